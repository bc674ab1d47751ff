//! Who may know whom: the arrows that ARCHITECTURE.md draws ([`arrows`]), what the sources really name ([`sources`]),
//! and the difference ([`check`]).
//!
//! The sources are parsed. What counts is every path that begins with `crate`, `self`, `super` or the name of a crate
//! of this workspace, in `use`s, in the code and within macros. Tests may know whom they like.
#![forbid(unsafe_code)]

pub mod arrows;
pub mod check;
pub mod sources;
