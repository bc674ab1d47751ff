//! What cannot be, said aloud.
//!
//! No input reaches some branches; only a defect of this crate does. A debug build, which every test and the
//! fuzzers run, stops there and says where. A release build leaves the function instead, because a peer that
//! leaves a thing undone is better than one that ends. Anything that a stranger or a disk can cause is an
//! error, and never goes through this module.

/// What must be there. The caller sees `None` only in a release build.
#[track_caller]
pub(crate) fn known<T>(what: Option<T>) -> Option<T> {
    debug_assert!(what.is_some(), "what must be known here is not");
    what
}

/// For a branch that no input reaches.
#[track_caller]
pub(crate) fn cannot_be(what: &str) {
    debug_assert!(false, "this cannot be: {what}");
}
