//! The ledger: finalized blocks in; jobs, leases, outcomes and receipts out. The same on every peer, to the byte.
//!
//! Start at [`Ledger::apply`]. It reads no clock, checks no transaction's signature and does no I/O: a block is final when it
//! comes here, and is executed as it stands.
//!
//! # Within a block, in this order
//!
//! 1. *Time*: block time and [`LeaseTime`]; what was remembered long enough is forgotten (`due`).
//! 2. *Transactions*, in their order. Each is executed, or void with the [`VoidReason`] in its receipt (`apply`, one file for
//!    each kind).
//! 3. *What has run out*: claims by key, then attempts by id, then back-offs and jobs' times; then recurring jobs run (`due`,
//!    `recurring`).
//! 4. *Matching*: waiting attempts move up, then ready tasks go to free resources, then to free waiting places
//!    (`matching`), then copies of slow attempts to resources that nobody wants (`copies`); and who has had more than others who
//!    still wait may be asked to make room (`room`).
//!
//! # The rules, and where they stand
//!
//! * A claim is the heartbeat of its worker's leases; a new incarnation, or the claim's end, sends them to recovery, and no
//!   later claim revives one: `apply/claim`, `due`.
//! * Resources are the ledger's arithmetic: `workers`, `matching`.
//! * Failures of the program and losses by workers have a budget each; what never began counts for nothing: `leases`,
//!   [`schedule::recovery`](crate::schedule::recovery).
//! * What keys and jobs submitted, used and had lost is booked where attempts begin and end: `usage`.
//! * A late success is taken while the task is owed; a large output only with a second holder's word: `apply/report`.
//! * Whatever exceeds a bound of the genesis is void, on every peer alike: [`bounds`], `apply/submit`.
//! * Each moment of a recurring job is run, or the record says why not: `recurring`, `apply/recur`.
//! * A quorum of the present authorities changes who they are, from the next epoch on: `govern`, `apply/govern`; and at once
//!   who may do what, how much of it, and the policies of the scheduler: `rules`.
//!
//! Besides its records (what a [snapshot](Ledger::snapshot) holds) the ledger keeps what can be computed from them: counts,
//! queues and deadlines. `leases` keeps those in step.

pub mod bounds;
mod event;
mod index;
mod records;
mod snapshot;
mod steps;
mod views;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub use event::{EndReason, IgnoredReason, LedgerEvent};
pub use records::{
    Counters,
    governance::{PROPOSAL_LIFE_MS, PROPOSALS_MAX, ProposalView},
    jobs::{ATTEMPTS_KEPT, Checkpoint, Gone, PastAttempt, Taken, TaskCounts},
    lease_time::LeaseTime,
    recurring::{PAST_KEPT, PastMoments},
    rules::{Admission, Allowance, Rules},
    usage::{ACCOUNTS_MAX, Account, DAY_ACCOUNTS_MAX, DAYS_KEPT, Day, Side},
    workers::STANDINGS_KEPT,
};
pub use snapshot::RestoreError;
pub use views::{
    explain::{self, reasons::Explanation},
    query::{ArrayView, JobView, LeaseView, TaskStateView, TaskView, Totals, WorkerView},
    recurring::{RecurringState, RecurringView},
    timeline::{self, Timeline},
};

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::{NetworkId, PublicKey},
    merkle::{self, Frontier, Position},
    schedule::{
        estimate::Estimates,
        order::{Sequence, Shares},
        placement::{OpenClaims, Policies},
        ready::{JobNumber, Needs, Offers, ReadyQueue},
    },
    types::{
        Action, Block, BlockTime, Genesis, Height, JobId, Permission, Receipt, RecurringId, SignedTransaction,
        TransactionReceipt, VoidReason,
    },
};
use index::{Due, Owed};
use records::{
    governance::Governance,
    jobs::{Job, TaskRef},
    recurring::RecurringJobs,
    replay::Replay,
    usage::Days,
    workers::Worker,
};
use steps::apply::Controlled;

/// What a block did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What can be proven of it: the leaves of this height's tree, in order. Each transaction's receipt comes before those
    /// of the outcomes that it brought.
    pub receipts: Vec<Receipt>,
    /// The nodes of the history's tree that this height's leaf completed, for later inclusion paths.
    pub history: Vec<(Position, Digest)>,
    /// What changed, in order.
    pub events: Vec<LedgerEvent>,
}

/// The ledger.
#[derive(Clone)]
pub struct Ledger {
    genesis: Arc<Genesis>,
    network: NetworkId,
    stall_threshold_ms: u64,
    sequence: Arc<Sequence>,
    policies: Policies,
    /// What is drawn in this block is drawn from its parent's digest.
    entropy: Digest,

    height: Height,
    time: BlockTime,
    lease_time: LeaseTime,
    history: Frontier,
    jobs: BTreeMap<JobNumber, Job>,
    workers: BTreeMap<PublicKey, Worker>,
    replay: Replay,
    govern: Governance,
    rules: Rules,
    recurring: RecurringJobs,
    next_job: JobNumber,
    next_lease: u64,
    next_turn: u64,
    counters: Counters,
    shares: Shares,
    estimates: Estimates,
    usage: Days,

    job_numbers: BTreeMap<JobId, JobNumber>,
    standing: usize,
    owed: Owed,
    owed_by_key: BTreeMap<PublicKey, Owed>,
    /// The leases of each submitter's tasks.
    leased_by_key: BTreeMap<PublicKey, u64>,
    counts: TaskCounts,
    due: Due,
    /// The jobs that wait for each job.
    waiters: BTreeMap<JobId, BTreeSet<JobNumber>>,
    /// Jobs that have ended in this block, and whose waiters are yet to be told.
    just_ended: Vec<JobNumber>,
    /// The slow attempts that may have a copy, by the numbers of their leases.
    slow: BTreeMap<u64, TaskRef>,
    /// The attempts that can be asked to make room.
    spent: BTreeSet<TaskRef>,
    /// The submitters for whom an attempt is asked to make room.
    asking: BTreeSet<PublicKey>,
    ready: ReadyQueue,
    open: OpenClaims,
    /// The workers whose waiting attempts may move up or have to go, and whether because their claim changed.
    unsettled: BTreeMap<PublicKey, bool>,
    /// The workers that may have room since the last matching which they did not have then.
    changed: BTreeSet<PublicKey>,
    offers: Offers,
    /// The unfinished jobs of each kind of needs, in all and of each submitter.
    needs: BTreeMap<Arc<Needs>, u64>,
    needs_by_key: BTreeMap<PublicKey, BTreeMap<Arc<Needs>, u64>>,
    /// How much submitters have had changed in this block; nothing between blocks.
    controlled: Controlled,
    /// Whether other policies have been approved in this block; never between blocks.
    schedule_changed: bool,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ledger at height {} with {} jobs and {} workers", self.height, self.jobs.len(), self.workers.len())
    }
}

impl Ledger {
    /// The ledger of a network before its first block: height 0, at the genesis' time.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>) -> Self {
        Self {
            network: genesis.network_id(),
            stall_threshold_ms: genesis.consensus.stall_threshold_ms(genesis.authority_set().faulty_max()),
            sequence: Arc::new(Sequence::new(&genesis.schedule)),
            policies: Policies::new(&genesis.schedule.placement),
            entropy: Digest::ZERO,
            height: Height(0),
            time: genesis.time,
            lease_time: LeaseTime::default(),
            history: Frontier::default(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            replay: Replay::default(),
            govern: Governance::founded(&genesis),
            rules: Rules::founded(&genesis),
            recurring: RecurringJobs::default(),
            next_job: 1,
            next_lease: 1,
            next_turn: 1,
            counters: Counters::default(),
            shares: Shares::new(genesis.schedule.slice_ms, genesis.schedule.weights.clone()),
            estimates: Estimates::default(),
            usage: Days::default(),
            job_numbers: BTreeMap::new(),
            standing: 0,
            owed: Owed::default(),
            owed_by_key: BTreeMap::new(),
            leased_by_key: BTreeMap::new(),
            counts: TaskCounts::default(),
            due: Due::default(),
            waiters: BTreeMap::new(),
            just_ended: Vec::new(),
            slow: BTreeMap::new(),
            spent: BTreeSet::new(),
            asking: BTreeSet::new(),
            ready: ReadyQueue::default(),
            open: OpenClaims::default(),
            unsettled: BTreeMap::new(),
            changed: BTreeSet::new(),
            offers: Offers::default(),
            needs: BTreeMap::new(),
            needs_by_key: BTreeMap::new(),
            controlled: Controlled::default(),
            schedule_changed: false,
            genesis,
        }
    }

    /// Executes a final block as it stands: signatures of transactions are not looked at again. Its height must be the
    /// ledger's and one.
    pub fn apply(&mut self, block: &Block) -> Applied {
        debug_assert_eq!(block.header.height, self.height.next(), "blocks are executed in order, once each");
        let mut applied = Applied::default();
        self.entropy = block.header.parent;
        self.enter_epoch(&block.header);
        self.pass_time(block.header.height, block.header.time, &mut applied);
        if is_planted(Fault::RunOutsFirst) {
            self.end_what_has_run_out(&mut applied);
        }
        for transaction in &block.transactions {
            self.execute(transaction, &mut applied);
        }
        self.controlled = Controlled::default();
        self.end_what_has_run_out(&mut applied);
        self.match_ready_to_claims(&mut applied);
        self.ask_for_room(&mut applied);
        let leaves: Vec<Digest> = applied.receipts.iter().map(Receipt::digest).collect();
        self.history.append(&merkle::root(&leaves), |position, node| applied.history.push((position, node)));
        self.follow_schedule();
        applied
    }

    fn execute(&mut self, transaction: &SignedTransaction, applied: &mut Applied) {
        let (id, signer) = (transaction.id(), transaction.signer());
        let result = self.check(transaction, self.time);
        applied.receipts.push(Receipt::Transaction(TransactionReceipt { id, result }));
        if matches!(result, Err(VoidReason::Expired | VoidReason::Replayed)) {
            return;
        }
        self.replay.remember(id, transaction.transaction().expires, result);
        if result.is_err() {
            return;
        }
        match &transaction.transaction().action {
            Action::Submit(submit) => {
                let bytes = transaction.envelope().payload.len() as u64;
                self.submit(JobId(id.0), signer, submit, bytes, applied);
            }
            Action::Extend(extend) => {
                let bytes = transaction.envelope().payload.len() as u64;
                self.extend(extend, bytes, applied);
            }
            Action::Control(control) => self.control(signer, control, applied),
            Action::Recur(recur) => {
                let bytes = transaction.envelope().payload.len() as u64;
                self.recur(RecurringId(id.0), signer, recur, bytes, applied);
            }
            Action::Claim(claim) => self.claim(signer, claim, applied),
            Action::Report(report) => self.report(signer, report, applied),
            Action::Drain(drain) => self.drain(signer, drain, applied),
            Action::Govern(govern) => self.govern(id, signer, govern, applied),
        }
        self.follow_ended_jobs(applied);
    }

    /// Whether a transaction would be void if a block at time `at` executed it now.
    ///
    /// # Errors
    /// Why it would be.
    pub fn check(&self, transaction: &SignedTransaction, at: BlockTime) -> Result<(), VoidReason> {
        let limits = &self.genesis.ledger;
        let expires = transaction.transaction().expires;
        if expires < at || expires > at.plus_ms(limits.transaction_life_ms_max) {
            return Err(VoidReason::Expired);
        }
        if self.replay.contains(transaction.id()) {
            return Err(VoidReason::Replayed);
        }
        let (signer, action) = (transaction.signer(), &transaction.transaction().action);
        let permission = match action {
            Action::Submit(_) | Action::Extend(_) | Action::Control(_) | Action::Recur(_) => Some(Permission::Submit),
            Action::Claim(_) | Action::Report(_) | Action::Drain(_) => Some(Permission::Work),
            Action::Govern(_) => None,
        };
        if permission.is_some_and(|permission| !self.rules.admission(permission).includes(&signer)) {
            return Err(VoidReason::NotPermitted);
        }
        if transaction.envelope().payload.len() > limits.transaction_bytes_max {
            return Err(VoidReason::Malformed);
        }
        match action {
            Action::Submit(submit) => self.check_submit(&signer, submit, transaction.envelope().payload.len() as u64),
            Action::Extend(extend) => self.check_extend(&signer, extend, transaction.envelope().payload.len() as u64),
            Action::Control(control) => self.check_control(&signer, control),
            Action::Recur(recur) => self.check_recur(&signer, recur, transaction.envelope().payload.len() as u64),
            Action::Claim(claim) => self.check_claim(&signer, claim),
            Action::Report(report) => self.check_report(&signer, report),
            Action::Drain(drain) => self.check_drain(&signer, drain),
            Action::Govern(govern) => self.check_govern(&signer, govern),
        }
    }
}
