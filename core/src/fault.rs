//! Faults that can be planted in this crate, to show that what watches over it would notice. In a release build none can be:
//! the switch is not there, and every place that asks for it is as if it did not.
//!
//! Each is a rule of the design in a simpler, wrong form, named by what goes wrong.

macro_rules! faults {
    ($(#[doc = $meaning:literal] $name:ident,)*) => {
        /// A planted fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $meaning] $name,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What goes wrong, in a sentence.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

faults! {
    // The round.
    /// One vote fewer makes a certificate.
    QuorumTooSmall,
    /// Votes are sent and never made durable.
    VotesNotDurable,
    /// A view that was nullified here is finalized all the same.
    FinalizeAfterNullify,
    /// A second proposal of a view is notarized too.
    SecondVote,
    /// A block may stand on any notarized one, whatever came of the views between.
    ViewsSkipped,
    /// A leader's F is believed without being shown.
    FinalOnTrust,
    /// A leader's result is believed without being compared.
    ResultOnTrust,
    /// A leader's time is believed, however far ahead.
    TimeOnTrust,
    /// Timers grow only for views that ended in a nullification, not for those that were given up here.
    TimersGrowBySome,
    /// Timers do not grow.
    TimersNeverGrow,
    /// Votes are kept for views however far ahead.
    NoWindow,
    /// A vote of its own that the journal lacks stops an authority, be it long below what is final.
    OldOwnVoteStops,
    /// The journal is pruned above what is final.
    PrunedTooFar,
    /// The journal holds no certificates.
    NoCertificates,
    /// An authority without its journal votes on.
    LostJournalVotes,
    /// A signature is good whoever made it.
    SignaturesUnchecked,
    // The end of an epoch.
    /// A leader's word is taken for whether a block is its epoch's last.
    LastOnTrust,
    /// A leader's word is taken for the next authorities.
    NextOnTrust,
    /// An epoch ends as soon as it may, at a gate or not.
    EndsAnywhere,
    /// What is approved by now ends an epoch, whatever the header's R is.
    EndsWhateverR,
    /// An epoch's first final closing block ends it, whether it names anybody or not.
    EndsUnnamed,
    /// Whoever leaves votes on in its place.
    LeaverVotes,
    /// A journal's records of an epoch that is over are kept, and count in the next.
    JournalOfAnyEpoch,
    // The replica.
    /// What comes of an epoch that has not begun here makes nobody ask.
    LaterEpochsIgnored,
    /// What a replica was told to be behind of is never fetched.
    NeverCatchesUp,
    /// A transaction that gossip lost is published again, by gossip.
    RetriesByGossip,
    /// A snapshot's digest is due at a fixed height, be it executed or not.
    DigestAtFixedHeight,
    /// The digests of snapshots that no header has carried are forgotten at a restart.
    DigestsForgotten,
    // The ledger.
    /// What was executed is forgotten, and can be executed again.
    ReplayForgotten,
    /// Which claim is given a task hangs on the order of a hash map.
    HashOrder,
    /// What runs at a claim takes nothing of it.
    SlotsNotCounted,
    /// What an attempt took is given back twice.
    FreedTwice,
    /// What runs out at a moment stands until the next.
    ExpiryOffByOne,
    /// What has run out ends before a block's transactions are executed.
    RunOutsFirst,
    /// Time in which no quorum could meet counts for leases.
    StallsCount,
    /// The stall threshold knows nothing of idle heartbeats.
    ThresholdWithoutHeartbeats,
    /// Attempts have no time beyond their wall time.
    NoAllowance,
    /// A timeout counts from the lease, not from taking resources.
    TimeoutFromLease,
    /// An attempt that timed out is never taken back.
    NeverTimesOut,
    /// A claim that came to offer less keeps all that waits there.
    ShrinksAndKeeps,
    /// A claim that runs out leaves its attempts for a later one.
    ClaimRevives,
    /// Resources are taken past one that waits for them.
    PastTheWaiting,
    /// Waiting places are filled before free resources.
    WaitingFirst,
    /// A task goes back to who lost it if the others are full for the moment.
    BackWhereLost,
    /// A task that its worker gave back has been lost.
    ReturnsCount,
    /// A leased task stays in the queue.
    LeasedTwice,
    /// What submitters have had decides nothing.
    SharesIgnored,
    /// Tasks that are to be spread go wherever they would otherwise.
    SpreadIgnored,
    /// Every claim is worth the same to the network's placement policies.
    ScoresIgnored,
    /// A copy of a slow attempt goes to the worker that has the attempt.
    CopyAtTheSame,
    /// Copies of slow attempts are given out before what is ready.
    CopiesFirst,
    /// A task whose attempt is lost goes back to the queue while its copy lives.
    CopyForgotten,
    /// Ready tasks go in the order of their jobs' admission, whatever their rank.
    RankIgnored,
    /// A task that backs off is never ready again.
    BackOffNeverEnds,
    /// Anyone may report an attempt.
    AnyonesReport,
    /// A report is taken of a task that has its outcome.
    EndedTaskReported,
    /// A late failure is taken as if the attempt were live.
    LateFailureTaken,
    /// A late success is dropped.
    LateSuccessDropped,
    // Governance.
    /// Whoever signs a proposal or an approval is taken for an authority.
    AnyoneGoverns,
    /// One approval fewer than a quorum is enough.
    FewerApprove,
    /// The stall threshold stays that of the genesis' authorities.
    ThresholdOfGenesis,
    /// A change that one epoch ended for ends the next one too.
    ChangesEndTwice,
    /// A submitter's tasks are placed however many of them workers hold.
    RunsPastQuota,
    /// A worker that may work no more keeps what it holds.
    BarredWorksOn,
    /// Tasks go on by the genesis' policies once others are in force, until a restart.
    ScheduleOfGenesis,
    /// Tasks may ask for as many others as they like.
    SpawnsUnbounded,
    /// A moment of a recurring job is run alongside earlier runs, whatever was said of that.
    OverlapIgnored,
    /// The moments of a recurring job that were missed are all run.
    MissedAreRun,
    /// What a worker loses is booked to who submitted it only.
    LossOfNoWorker,
    // Control.
    /// A task that its submitter holds goes on once it comes back.
    HeldGoesOn,
    /// An attempt that waits at a worker is begun with what was asked for it before.
    WaitingKeepsOldNeeds,
    /// An attempt frees what is asked for its task by then, not what it took.
    FreedAsAmended,
    // The worker.
    /// A worker's sequence numbers begin anew with its process.
    SequenceRestarts,
    /// A worker does not look up what its key signed last.
    LastSequenceIgnored,
    /// A worker goes on claiming once a newer process of its key stands.
    ClaimsPastNewer,
    /// A worker renews its claim after two thirds of its life, not after one.
    HeartbeatMissed,
    /// A worker asks for more waiting places than it can run in two rounds.
    WaitsBeyondRounds,
    /// A worker that is paused goes on offering its slots.
    PausedClaims,
    /// A worker that leaves does not wait for what is being delivered.
    DrainForgetsDeliveries,
    /// What is taken back from a worker runs on there.
    StopLost,
    /// A worker begins anew what it holds already when it hears of it again.
    BegunTwice,
    /// A worker begins what is ready, whatever memory it takes.
    MemoryNotCounted,
    /// What waits too long at a worker whose slots are taken is never given back.
    PatienceIgnored,
    /// An attempt that has made room keeps its slot.
    YieldKeepsSlot,
    /// An output is delivered again and again, though the ledger believes none of its holders.
    DeliversForEver,
    /// An outcome is queued beside a checkpoint that waits: one report holds the attempt twice.
    OutcomeBesideCheckpoint,
    /// What the ledger says of an older word on an attempt settles the newer one, which it has not seen.
    OldWordSettlesNew,
    /// What a report held that is lost on its way is never said again.
    LostReportForgotten,
    /// What a report held that the own replica refused is never said again.
    RefusedReportForgotten,
    /// A success that is not said yet is dropped when its lease is lost.
    LateSuccessThrownAway,
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
