//! Checks which module may know which: reads the arrows that ARCHITECTURE.md draws ([`arrows`]), reads what the sources
//! name ([`sources`]), and compares the two ([`check`]).
//!
//! The sources are parsed. Every path counts that begins with `crate`, `self`, `super` or the name of a crate of this
//! workspace, in `use`s, in code and in macros. Code for tests may know anything.
#![forbid(unsafe_code)]

pub mod arrows;
pub mod check;
pub mod sources;
