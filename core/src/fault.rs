//! Faults that tests plant in this crate, to show that the checks notice them. A release build has no faults:
//! the switch is not there, and each place that asks for it finds it off.
//!
//! Each fault is a rule of the crate in a simpler, wrong form, named by what goes wrong.

macro_rules! faults {
    ($(#[doc = $meaning:literal] $name:ident,)*) => {
        /// A planted fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault {
            $(#[doc = $meaning] $name,)*
        }

        impl Fault {
            /// All faults.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// What goes wrong, in one sentence.
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
    /// One vote fewer than a quorum makes a certificate.
    QuorumTooSmall,
    /// Votes are sent and never made durable.
    VotesNotDurable,
    /// An authority finalizes a view that it nullified.
    FinalizeAfterNullify,
    /// An authority notarizes a second proposal of a view as well.
    SecondVote,
    /// A block may stand on any notarized block, whatever happened in the views between.
    ViewsSkipped,
    /// A leader's F is believed without proof.
    FinalOnTrust,
    /// A leader's result is believed without comparison.
    ResultOnTrust,
    /// A leader's time is believed, however far ahead.
    TimeOnTrust,
    /// Timers grow only for views that a quorum nullified, not for those that this node gave up.
    TimersGrowBySome,
    /// Timers do not grow.
    TimersNeverGrow,
    /// Votes are kept for any view, however far ahead.
    NoWindow,
    /// A vote of its own that its journal lacks stops an authority, even far below what is final.
    OldOwnVoteStops,
    /// The journal is pruned above what is final.
    PrunedTooFar,
    /// The journal holds no certificates.
    NoCertificates,
    /// An authority that lost its journal goes on voting.
    LostJournalVotes,
    /// Every signature is accepted, whoever made it.
    SignaturesUnchecked,
    // The end of an epoch.
    /// A leader's word decides whether a block is its epoch's last.
    LastOnTrust,
    /// A leader's word decides who the next authorities are.
    NextOnTrust,
    /// An epoch ends as soon as it may, at a gate or not.
    EndsAnywhere,
    /// A change that is approved by now ends the epoch, whatever the header's R is.
    EndsWhateverR,
    /// An epoch's first final closing block ends it, even if it names no authorities.
    EndsUnnamed,
    /// An authority that has left goes on voting in its place.
    LeaverVotes,
    /// A journal's records of a past epoch are kept, and count in the next.
    JournalOfAnyEpoch,
    // The replica.
    /// No peer asks after messages of an epoch that has not begun here.
    LaterEpochsIgnored,
    /// A replica that is behind never fetches the missing blocks.
    NeverCatchesUp,
    /// A transaction that gossip lost is published again by gossip.
    RetriesByGossip,
    /// A snapshot's digest is due at a fixed height, whether or not that is executed.
    DigestAtFixedHeight,
    /// A restart forgets the digests of snapshots that no header has carried.
    DigestsForgotten,
    // The ledger.
    /// Executed transactions are forgotten, and can be executed again.
    ReplayForgotten,
    /// The order of a hash map decides which claim gets a task.
    HashOrder,
    /// Running attempts take nothing of their claim.
    SlotsNotCounted,
    /// What an attempt took is given back twice.
    FreedTwice,
    /// Whatever runs out at a block's time stands until the next block.
    ExpiryOffByOne,
    /// Whatever has run out ends before a block's transactions are executed.
    RunOutsFirst,
    /// Time in which no quorum could meet counts for leases.
    StallsCount,
    /// The stall threshold leaves out idle heartbeats.
    ThresholdWithoutHeartbeats,
    /// Attempts have no time beyond their wall time.
    NoAllowance,
    /// A timeout counts from the lease, not from taking resources.
    TimeoutFromLease,
    /// An attempt that timed out is never taken back.
    NeverTimesOut,
    /// A claim that offers less than before keeps all attempts that wait there.
    ShrinksAndKeeps,
    /// A claim that runs out leaves its attempts for a later one.
    ClaimRevives,
    /// A new attempt takes resources for which another one waits.
    PastTheWaiting,
    /// Waiting places are filled before free resources.
    WaitingFirst,
    /// A task goes back to the worker that lost it if all others are full for the moment.
    BackWhereLost,
    /// A task that its worker returned counts as lost.
    ReturnsCount,
    /// A leased task stays in the queue.
    LeasedTwice,
    /// What is outstanding for a task stays outstanding when the task has ended.
    DebtsStay,
    /// Submitters' shares decide nothing.
    SharesIgnored,
    /// Tasks with a spread are placed without it.
    SpreadIgnored,
    /// The network's placement policies give every claim the same score.
    ScoresIgnored,
    /// A speculative attempt goes to the worker that has the first attempt.
    SpeculativeAtTheSame,
    /// Speculative attempts are placed before ready tasks.
    SpeculativeFirst,
    /// A task whose attempt is lost goes back to the queue while its speculative attempt lives.
    SpeculativeForgotten,
    /// Ready tasks go in the order of their jobs' admission, whatever their rank.
    RankIgnored,
    /// A task that backs off is never ready again.
    BackOffNeverEnds,
    /// Anyone may report an attempt.
    AnyonesReport,
    /// A report on a task that has its outcome is accepted.
    EndedTaskReported,
    /// A late failure is accepted as if the attempt were live.
    LateFailureTaken,
    /// A late success is dropped.
    LateSuccessDropped,
    /// What ends its hosts goes on to others.
    DeathsNotCounted,
    /// A worker that dies again counts as another one.
    DeathsOfOneWorker,
    // Governance.
    /// Any signer of a proposal or an approval counts as an authority.
    AnyoneGoverns,
    /// One approval fewer than a quorum is enough.
    FewerApprove,
    /// The stall threshold remains that of the genesis' authorities.
    ThresholdOfGenesis,
    /// A change that one epoch ended for ends the next one too.
    ChangesEndTwice,
    /// A submitter's tasks are placed however many of them workers hold.
    RunsPastQuota,
    /// What a barred submitter has unfinished stays, and keeps its room.
    BarredKeepsRoom,
    /// Unproven keys may take all that there is in all.
    UnprovenTakeAll,
    /// Jobs are admitted whatever they make every peer store for good.
    StoredUnbounded,
    /// Tasks that no claim could ever hold wait for ever.
    UnclaimedWaitForEver,
    /// Replicas of a task go to workers that have one already.
    ReplicasAtTheSame,
    /// Workers of one operator count as several.
    OperatorsIgnored,
    /// Answers are asked for as soon as one worker has committed itself.
    AskedEarly,
    /// What a worker reveals is not compared with its commitment.
    CommitmentUnchecked,
    /// A replica's failure is its task's outcome.
    FailureOfOne,
    /// Whether an answer is compared is drawn in the block that takes the commitment.
    DrawnAtOnce,
    /// No answer of a worker that is relied on is compared.
    NeverCompared,
    /// A wrong answer does not end a row of agreed ones.
    MismatchForgiven,
    /// An answer that was not compared counts as agreed.
    UncheckedCounts,
    /// A record with one submitter counts for all.
    RecordOfAnyone,
    /// A restored snapshot takes all agreed answers for one row.
    MismatchLostInSnapshot,
    /// Workers on trial hold as many attempts as they offer.
    TrialsIgnored,
    /// A failure at a worker on trial counts like any other.
    TrialFailuresCount,
    /// A barred worker keeps its attempts.
    BarredWorksOn,
    /// The genesis' policies order tasks even after others are in force, until a restart.
    ScheduleOfGenesis,
    /// A job's tasks may spawn any number of tasks.
    SpawnsUnbounded,
    /// An occurrence of a recurring job runs alongside earlier ones, whatever the job's rule is.
    OverlapIgnored,
    /// All missed occurrences of a recurring job run.
    MissedAreRun,
    /// A worker's losses are booked to the submitter only.
    LossOfNoWorker,
    // Control.
    /// A task that its submitter holds runs again once it comes back.
    HeldGoesOn,
    /// An attempt that waits at a worker begins with the terms from before a change.
    WaitingKeepsOldNeeds,
    /// An attempt frees its task's present resources, not those that it took.
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
    /// A preempted attempt keeps its slot.
    PreemptedKeepsSlot,
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
    /// A worker that died does not say of what.
    DeathUntold,
    /// What is to run alone runs beside others.
    AloneBesideOthers,
}

#[cfg(debug_assertions)]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Fault>> = const { std::cell::Cell::new(None) };
}

/// Plants a fault for this thread from now on, or removes it.
#[cfg(debug_assertions)]
pub fn plant(fault: Option<Fault>) {
    PLANTED.set(fault);
}

/// Whether this fault is planted.
#[cfg(debug_assertions)]
pub(crate) fn is_planted(fault: Fault) -> bool {
    PLANTED.get() == Some(fault)
}

/// A release build has no planted faults.
#[cfg(not(debug_assertions))]
pub(crate) const fn is_planted(_: Fault) -> bool {
    false
}
