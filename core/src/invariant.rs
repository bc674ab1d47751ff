//! What cannot be, said aloud.
//!
//! Some branches can be reached by no input, only by a defect of this crate. A debug build, which every test and the
//! fuzzers run, stops there and says where. A release build steps out of the function instead: a peer that a defect would
//! end is worse than one that leaves a thing undone. What a stranger or a disk can bring about is an error, never this.

/// What must be there. `None` goes on to the caller only in a release build.
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
