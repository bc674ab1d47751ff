//! The ledger: finalized blocks in; jobs, leases, outcomes and receipts out. The same on every peer, to the byte.
//!
//! `docs/glossary.md` explains the words.
//!
//! Start at [`Ledger::apply`]. It reads no clock, checks no transaction's signature and does no I/O: a block is final
//! when it comes here, and is executed as it stands.
//!
//! # What it consists of
//!
//! * `records`: what is so. Exactly that is in a [snapshot](Ledger::snapshot).
//! * `index`: how it is found. All of it can be computed from the records; only modules below `index` write it.
//! * `steps`: what a block does, in order.
//! * `views`: what others may ask.
//!
//! # Within a block, in this order
//!
//! 1. *Time*: block time and [`LeaseTime`]; what was remembered long enough is forgotten (`steps/deadlines`).
//! 2. *Transactions*, in their order. Each is executed, or void with the [`VoidReason`] in its receipt (`steps/apply`,
//!    one file for each kind).
//! 3. *What has run out*: claims by key, then attempts by id, then back-offs and jobs' times; then recurring jobs run
//!    (`steps/deadlines`, `steps/recurring`).
//! 4. *Matching*: waiting attempts move up, then ready tasks go to free resources, then to free waiting places
//!    (`steps/matching`), then speculative attempts to resources that nobody wants (`steps/speculation`); and who has
//!    had more than others who still wait may be preempted (`steps/preemption`).
//!
//! # The rules, and where they stand
//!
//! * A claim is the heartbeat of its worker's leases; a new incarnation, or the claim's end, sends them to recovery,
//!   and no later claim revives one: `steps/apply/claim`, `index/claims`.
//! * Resources are the ledger's arithmetic: `records/workers`, `steps/matching`.
//! * Failures of the program and losses by workers have a budget each; what never began counts for nothing:
//!   `steps/recovery`, [`schedule::recovery`](crate::schedule::recovery).
//! * What keys and jobs submitted, used and had lost is booked where attempts begin and end: `records/usage`.
//! * A late success is taken while the task is outstanding; a large output only with a second holder's word:
//!   `steps/apply/report`.
//! * Whatever exceeds a bound of the genesis is void, on every peer alike: [`bounds`], `steps/apply/submit`.
//! * Each occurrence of a recurring job is run, or the record says why not: `steps/recurring`, `steps/apply/recur`.
//! * A quorum of the present authorities changes who they are, from the next epoch on: `records/governance`,
//!   `steps/apply/govern`; and at once who may do what, how much of it, and the policies of the scheduler:
//!   `records/rules`.

pub mod bounds;
mod event;
mod index;
mod records;
mod snapshot;
mod steps;
mod views;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use event::{EndReason, IgnoredReason, LedgerEvent};
pub use records::{
    Counters,
    governance::{PROPOSAL_LIFE_MS, PROPOSALS_MAX, ProposalView},
    jobs::{ATTEMPTS_KEPT, Checkpoint, Gone, PastAttempt, ProducedInput, TaskCounts},
    lease_time::LeaseTime,
    recurring::{PAST_KEPT, PastOccurrences},
    rules::{Admission, QuotaUse, Rules},
    usage::{ACCOUNTS_MAX, Account, AccountView, DAY_ACCOUNTS_MAX, DAYS_KEPT, Day, Side},
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
    identity::NetworkId,
    merkle::{self, Position},
    schedule::{order::Sequence, placement::Policies},
    types::{
        Action, Block, BlockTime, Genesis, JobId, Permission, Receipt, RecurringId, SignedTransaction,
        TransactionReceipt, VoidReason,
    },
};
use index::Index;
use records::Records;
use steps::apply::Controlled;

/// What a block did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// What can be proven of it: the leaves of this height's tree, in order. Each transaction's receipt comes before
    /// those of the outcomes that it brought.
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
    /// By who the authorities are.
    stall_threshold_ms: u64,
    /// By the rules in force.
    sequence: Arc<Sequence>,
    policies: Policies,
    records: Records,
    index: Index,
    block: WithinBlock,
}

/// What a block has to itself: nothing of it is left when the next one comes.
#[derive(Clone, Debug)]
struct WithinBlock {
    /// What is drawn in this block is drawn from its parent's digest.
    entropy: Digest,
    /// How much submitters have had changed.
    controlled: Controlled,
    /// Whether other policies have been approved.
    schedule_changed: bool,
}

impl WithinBlock {
    fn of(parent: Digest) -> Self {
        Self { entropy: parent, controlled: Controlled::default(), schedule_changed: false }
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (jobs, workers) = (self.records.jobs().len(), self.records.workers().len());
        write!(f, "ledger at height {} with {jobs} jobs and {workers} workers", self.height())
    }
}

impl Ledger {
    /// The ledger of a network before its first block: height 0, at the genesis' time.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>) -> Self {
        let network = genesis.network_id();
        Self::founded(genesis, network)
    }

    /// The same, of a genesis whose id is known: to compute it takes longer than all else.
    fn founded(genesis: Arc<Genesis>, network: NetworkId) -> Self {
        Self {
            network,
            stall_threshold_ms: genesis.consensus.stall_threshold_ms(genesis.authority_set().faulty_max()),
            sequence: Arc::new(Sequence::new(&genesis.schedule)),
            policies: Policies::new(&genesis.schedule.placement),
            records: Records::founded(&genesis),
            index: Index::empty(),
            block: WithinBlock::of(Digest::ZERO),
            genesis,
        }
    }

    /// What follows from the rules in force, and from who the authorities are, before anything is computed by it.
    fn set_in_force(&mut self) {
        let schedule = self.records.rules().schedule();
        self.sequence = Arc::new(Sequence::new(schedule));
        self.policies = Policies::new(&schedule.placement);
        self.set_stall_threshold();
    }

    fn set_stall_threshold(&mut self) {
        if !is_planted(Fault::ThresholdOfGenesis) {
            let authorities = self.records.governance().set();
            self.stall_threshold_ms = self.genesis.consensus.stall_threshold_ms(authorities.faulty_max());
        }
    }

    /// Executes a final block as it stands: signatures of transactions are not looked at again. Its height must be the
    /// ledger's and one.
    pub fn apply(&mut self, block: &Block) -> Applied {
        debug_assert_eq!(block.header.height, self.height().next(), "blocks are executed in order, once each");
        let mut applied = Applied::default();
        self.block = WithinBlock::of(block.header.parent);
        if self.records.governance_mut().enter_epoch(&block.header) {
            self.set_stall_threshold();
        }
        self.pass_time(block.header.height, block.header.time, &mut applied);
        if is_planted(Fault::RunOutsFirst) {
            self.end_what_has_run_out(&mut applied);
        }
        for transaction in &block.transactions {
            self.execute(transaction, &mut applied);
        }
        self.block.controlled = Controlled::default();
        self.end_what_has_run_out(&mut applied);
        self.match_ready_to_claims(&mut applied);
        self.request_preemptions(&mut applied);
        let leaves: Vec<Digest> = applied.receipts.iter().map(Receipt::digest).collect();
        self.records
            .history_mut()
            .append(&merkle::root(&leaves), |position, node| applied.history.push((position, node)));
        self.follow_schedule();
        self.block = WithinBlock::of(Digest::ZERO);
        #[cfg(debug_assertions)]
        self.check_index();
        applied
    }

    fn execute(&mut self, transaction: &SignedTransaction, applied: &mut Applied) {
        let (id, signer) = (transaction.id(), transaction.signer());
        let result = self.check(transaction, self.time());
        applied.receipts.push(Receipt::Transaction(TransactionReceipt { id, result }));
        if matches!(result, Err(VoidReason::Expired | VoidReason::Replayed)) {
            return;
        }
        self.records.replay_mut().remember(id, transaction.transaction().expires, result);
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
        if self.records.replay().contains(transaction.id()) {
            return Err(VoidReason::Replayed);
        }
        let (signer, action) = (transaction.signer(), &transaction.transaction().action);
        let permission = match action {
            Action::Submit(_) | Action::Extend(_) | Action::Control(_) | Action::Recur(_) => Some(Permission::Submit),
            Action::Claim(_) | Action::Report(_) | Action::Drain(_) => Some(Permission::Work),
            Action::Govern(_) => None,
        };
        if permission.is_some_and(|permission| !self.records.rules().admission(permission).includes(&signer)) {
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
