//! The ledger: finalized blocks go in; jobs, leases, outcomes and receipts come out, byte for byte the same on every
//! peer. `docs/glossary.md` explains the words.
//!
//! Start at [`Ledger::apply`]. It reads no clock, checks no transaction's signature and does no I/O. It executes each
//! block as it is, because the block is already final.
//!
//! # Parts
//!
//! - `records`: the state. A [snapshot](Ledger::snapshot) holds exactly this.
//! - `index`: lookups into the state. All of it is computed from the records, and only modules below `index` write
//!   it.
//! - `steps`: what a block does, in order.
//! - `views`: read-only queries for other modules.
//!
//! # The order within a block
//!
//! 1. *Time*: block time and [`LeaseTime`] advance, and expired memories are dropped (`steps/deadlines`). It is drawn
//!    which answers that workers have committed themselves to before this block are compared (`steps/agreement`).
//! 2. *Transactions*, in block order. Each is executed, or void with the [`VoidReason`] in its receipt
//!    (`steps/apply`, one file for each kind).
//! 3. *Expiry*: first claims by key, then attempts by id, then back-offs and jobs' times (`steps/deadlines`). Then
//!    recurring jobs run (`steps/recurring`).
//! 4. *Matching*: waiting attempts move up. Ready tasks go to free resources, then to free waiting places
//!    (`steps/matching`). Speculative attempts go to resources that nobody else wants (`steps/speculation`). Attempts
//!    of submitters who have had more than those still waiting may be preempted (`steps/preemption`).
//!
//! # The rules, and where they are implemented
//!
//! - A claim is the heartbeat of its worker's leases. When a new incarnation appears or the claim ends, its leases go
//!   to recovery. No later claim revives one: `steps/apply/claim`, `index/claims`.
//! - The ledger alone computes which resources are free: `records/workers`, `steps/matching`.
//! - The program's failures and the workers' losses each have a budget. An attempt that never began counts for
//!   nothing: `steps/recovery`, [`schedule::recovery`](crate::schedule::recovery).
//! - What workers die of runs alone, and once enough have died of it alone, no more: `steps/deaths`.
//! - What several workers compute has the outcome on which enough of them agree: `steps/agreement`.
//! - What keys and jobs submitted, used and lost is booked where attempts begin and end: `records/usage`.
//! - A late success is accepted while the task is outstanding. A large output needs a second holder's word:
//!   `steps/apply/report`.
//! - A transaction that exceeds a bound of the genesis is void, on every peer alike: [`bounds`],
//!   `steps/apply/submit`.
//! - Each occurrence of a recurring job is run, or the record says why not: `steps/recurring`, `steps/apply/recur`.
//! - A quorum of the present authorities can change the set of authorities from the next epoch on
//!   (`records/governance`, `steps/apply/govern`). It can change permissions, limits and the scheduler's policies at
//!   once (`records/rules`).

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
    jobs::{ATTEMPTS_KEPT, Checkpoint, Comparison, Gone, PastAttempt, ProducedInput, TaskCounts},
    lease_time::LeaseTime,
    recurring::{PAST_KEPT, PastOccurrences, RecurringEndReason},
    rules::{Admission, QuotaUse, Rules},
    tracks::{HALF_LIFE_DAYS, ROW_MAX, TRACKS_KEPT, Track, TrackOf},
    trust::{MERIT_DAYS, MERITS_MAX, PROVEN_DAYS, Trust},
    usage::{ACCOUNTS_MAX, Account, AccountView, DAY_ACCOUNTS_MAX, DAYS_KEPT, Day, Side},
    workers::STANDINGS_KEPT,
};
pub use snapshot::RestoreError;
pub use views::{
    explain::{self, reasons::Explanation},
    owed::{NeededBlobs, NeedsSearched, Owed},
    query::{ArrayView, JobView, LeaseView, Stage, TaskStateView, TaskView, Totals, WorkerView},
    recurring::{RecurringState, RecurringView},
    replicas::ReplicasView,
    timeline::{self, Timeline},
};

use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::NetworkId,
    merkle::{self, Position},
    schedule::{order::Sequence, placement::Policies},
    types::{
        Action, Block, BlockTime, Genesis, JobId, Receipt, RecurringId, SignedTransaction, TransactionReceipt,
        VoidReason,
    },
};
use index::Index;
use records::Records;
use steps::apply::Controlled;

/// What a block did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The leaves of this height's tree, in order: what can be proven of the block. Each transaction's receipt
    /// precedes those of the outcomes that it brought.
    pub receipts: Vec<Receipt>,
    /// The nodes of the history tree that this height's leaf completed, for later inclusion paths.
    pub history: Vec<(Position, Digest)>,
    /// What changed, in order.
    pub events: Vec<LedgerEvent>,
}

/// The ledger.
#[derive(Clone)]
pub struct Ledger {
    genesis: Arc<Genesis>,
    network: NetworkId,
    /// Depends on the set of authorities.
    stall_threshold_ms: u64,
    /// Depends on the rules in force.
    sequence: Arc<Sequence>,
    policies: Policies,
    records: Records,
    index: Index,
    block: WithinBlock,
}

/// Working state of one block. It is empty when the next block starts.
#[derive(Clone, Debug)]
struct WithinBlock {
    /// The parent's digest, the source of all draws in this block.
    entropy: Digest,
    /// How much submitters have changed by control transactions.
    controlled: Controlled,
    /// Whether the scheduler's policies have changed.
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
    /// Creates the ledger of a network before its first block: height 0, at the genesis' time.
    #[must_use]
    pub fn new(genesis: Arc<Genesis>) -> Self {
        let network = genesis.network_id();
        Self::founded(genesis, network)
    }

    /// Like [`Self::new`], for a genesis whose id is known. Computing the id takes longer than everything else.
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

    /// Derives the values that depend on the rules in force and on the authorities.
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

    /// Executes a finalized block without checking its transactions' signatures again. The block's height must be the
    /// ledger's height plus one.
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
        self.draw_comparisons(&mut applied);
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

    /// Checks whether a transaction would be void if a block at time `at` executed it next.
    ///
    /// # Errors
    ///
    /// The reason why it would be void.
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
        let permission = action.permission();
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
