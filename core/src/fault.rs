//! Faults that can be planted in this crate, to show that what watches over it would notice. In a release build none can be:
//! the switch is not there, and every place that asks for it is as if it did not.
//!
//! Each is a rule of the design in a simpler, wrong form.

/// A planted fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// One vote fewer makes a certificate.
    QuorumTooSmall,
    /// Votes are sent and never made durable.
    VotesNotDurable,
    /// A view that was nullified here is finalized all the same.
    FinalizeAfterNullify,
    /// A second proposal of a view is notarized too.
    SecondVote,
    /// The journal is pruned above what is final.
    PrunedTooFar,
    /// An authority without its journal votes on.
    LostJournalVotes,
    /// A signature is good whoever made it.
    SignaturesUnchecked,
    /// What was executed is forgotten, and can be executed again.
    ReplayForgotten,
    /// What runs at a claim takes nothing of it.
    SlotsNotCounted,
    /// Which claim is given a task hangs on the order of a hash map.
    HashOrder,
    /// An attempt that timed out is never taken back.
    NeverTimesOut,
    /// A task that backs off is never ready again.
    BackOffNeverEnds,
    /// Anyone may report an attempt.
    AnyonesReport,
    /// A late failure is taken as if the attempt were live.
    LateFailureTaken,
    /// A leased task stays in the queue.
    LeasedTwice,
    /// What a replica was told to be behind of is never fetched.
    NeverCatchesUp,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::QuorumTooSmall,
        Self::VotesNotDurable,
        Self::FinalizeAfterNullify,
        Self::SecondVote,
        Self::PrunedTooFar,
        Self::LostJournalVotes,
        Self::SignaturesUnchecked,
        Self::ReplayForgotten,
        Self::SlotsNotCounted,
        Self::HashOrder,
        Self::NeverTimesOut,
        Self::BackOffNeverEnds,
        Self::AnyonesReport,
        Self::LateFailureTaken,
        Self::LeasedTwice,
        Self::NeverCatchesUp,
    ];
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault in whatever this thread runs from now on, or takes it out again.
#[cfg(debug_assertions)]
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether a fault is planted.
#[cfg(debug_assertions)]
pub(crate) fn is_planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// Nothing is planted in a release build.
#[cfg(not(debug_assertions))]
pub(crate) const fn is_planted(_: Fault) -> bool {
    false
}
