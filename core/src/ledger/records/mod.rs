//! The state: exactly what a snapshot holds, and nothing that can be computed from it.

pub(in crate::ledger) mod governance;
pub(in crate::ledger) mod jobs;
pub(in crate::ledger) mod lease_time;
pub(in crate::ledger) mod recurring;
pub(in crate::ledger) mod replay;
pub(in crate::ledger) mod rules;
pub(in crate::ledger) mod stored;
pub(in crate::ledger) mod tracks;
pub(in crate::ledger) mod trust;
pub(in crate::ledger) mod unclaimed;
pub(in crate::ledger) mod usage;
pub(in crate::ledger) mod workers;

use std::collections::BTreeMap;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    identity::PublicKey,
    ledger::snapshot::Head,
    merkle::Frontier,
    schedule::{
        estimate::Estimates,
        order::{Share, Shares},
        ready::{JobNumber, Needs},
    },
    types::{BlockTime, Genesis, Height},
};
use governance::Governance;
use jobs::{Admission, Job};
use lease_time::LeaseTime;
use recurring::{RecurringJobs, RecurringNumber};
use replay::Replay;
use rules::Rules;
use stored::Stored;
use trust::Merits;
use unclaimed::Unclaimed;
use usage::{Day, Days};
use workers::Worker;

/// Totals since the genesis. They include what the ledger has forgotten in detail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Counters {
    /// Jobs admitted.
    pub jobs: u64,
    /// Their tasks.
    pub tasks: u64,
    /// Leases given, speculative ones among them.
    pub leases: u64,
    /// Speculative attempts given.
    pub speculative: u64,
    /// Tasks that ended with a success.
    pub succeeded: u64,
    /// Tasks that ended with a failure.
    pub failed: u64,
    /// Tasks cancelled.
    pub cancelled: u64,
    /// Tasks skipped.
    pub skipped: u64,
    /// Attempts lost or drained, begun or not.
    pub lost: u64,
    /// Successes that were accepted from attempts already lost.
    pub late: u64,
    /// Items of reports that changed nothing.
    pub ignored: u64,
}

/// The state.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Records {
    height: Height,
    time: BlockTime,
    lease_time: LeaseTime,
    history: Frontier,
    jobs: BTreeMap<JobNumber, Job>,
    workers: BTreeMap<PublicKey, Worker>,
    replay: Replay,
    governance: Governance,
    rules: Rules,
    recurring: RecurringJobs,
    numbers: Numbers,
    counters: Counters,
    shares: Shares,
    estimates: Estimates,
    usage: Days,
    stored: Stored,
    unclaimed: Unclaimed,
    merits: Merits,
}

/// The next numbers to give out. None is given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Numbers {
    pub(in crate::ledger) job: JobNumber,
    pub(in crate::ledger) lease: u64,
    /// See [`Candidate::turn`](crate::schedule::placement::Candidate::turn).
    pub(in crate::ledger) turn: u64,
}

impl Records {
    /// The records of a network before its first block.
    pub(in crate::ledger) fn founded(genesis: &Genesis) -> Self {
        let rules = Rules::founded(genesis);
        Self {
            height: Height(0),
            time: genesis.time,
            lease_time: LeaseTime::default(),
            history: Frontier::default(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            replay: Replay::default(),
            governance: Governance::founded(genesis),
            shares: rules.shares(),
            rules,
            recurring: RecurringJobs::from(1),
            numbers: Numbers { job: 1, lease: 1, turn: 1 },
            counters: Counters::default(),
            estimates: Estimates::default(),
            usage: Days::default(),
            stored: Stored::default(),
            unclaimed: Unclaimed::default(),
            merits: Merits::default(),
        }
    }

    /// The records that a snapshot's head gives: still without jobs, workers, recurring jobs and shares.
    pub(in crate::ledger) fn of_head(
        head: &Head,
        replay: Replay,
        usage: Days,
        next_recurring: RecurringNumber,
    ) -> Self {
        Self {
            height: head.height,
            time: head.time,
            lease_time: head.lease_time,
            history: head.history.clone(),
            jobs: BTreeMap::new(),
            workers: BTreeMap::new(),
            replay,
            governance: head.govern.clone(),
            shares: head.rules.shares(),
            rules: head.rules.clone(),
            recurring: RecurringJobs::from(next_recurring),
            numbers: Numbers { job: head.next_job, lease: head.next_lease, turn: head.next_turn },
            counters: head.counters,
            estimates: Estimates::restored(head.estimates.clone()),
            usage,
            stored: head.stored.clone(),
            unclaimed: head.unclaimed.clone(),
            merits: head.merits.clone(),
        }
    }

    pub(in crate::ledger) const fn height(&self) -> Height {
        self.height
    }

    pub(in crate::ledger) const fn time(&self) -> BlockTime {
        self.time
    }

    pub(in crate::ledger) const fn lease_time(&self) -> LeaseTime {
        self.lease_time
    }

    /// Advances to a block at this height and time. Block time never goes back, and lease time leaves stalls out.
    /// Expired memories are dropped.
    pub(in crate::ledger) fn pass_time(&mut self, height: Height, time: BlockTime, stall_threshold_ms: u64) {
        self.lease_time = self.lease_time.after(self.time, time, stall_threshold_ms);
        self.height = height;
        self.time = self.time.max(time);
        self.replay.forget_before(self.time);
        self.usage.pass(Day::of(self.time));
        self.stored.pass(Day::of(self.time));
        self.governance.end_proposals(self.time);
    }

    pub(in crate::ledger) const fn history(&self) -> &Frontier {
        &self.history
    }

    pub(in crate::ledger) const fn history_mut(&mut self) -> &mut Frontier {
        &mut self.history
    }

    /// The jobs that are not forgotten, in order of admission.
    pub(in crate::ledger) const fn jobs(&self) -> &BTreeMap<JobNumber, Job> {
        &self.jobs
    }

    pub(in crate::ledger) fn job(&self, number: JobNumber) -> Option<&Job> {
        self.jobs.get(&number)
    }

    pub(in crate::ledger) fn job_mut(&mut self, number: JobNumber) -> Option<&mut Job> {
        self.jobs.get_mut(&number)
    }

    /// A job, and the accounts in which its usage is booked.
    pub(in crate::ledger) fn job_and_days(&mut self, number: JobNumber) -> Option<(&mut Job, &mut Days)> {
        Some((self.jobs.get_mut(&number)?, &mut self.usage))
    }

    pub(in crate::ledger) fn add_job(&mut self, job: Job) {
        self.jobs.insert(job.record.number, job);
    }

    pub(in crate::ledger) fn remove_job(&mut self, number: JobNumber) -> Option<Job> {
        self.jobs.remove(&number)
    }

    /// All known workers, whether or not their claims stand.
    pub(in crate::ledger) const fn workers(&self) -> &BTreeMap<PublicKey, Worker> {
        &self.workers
    }

    pub(in crate::ledger) fn worker(&self, key: &PublicKey) -> Option<&Worker> {
        self.workers.get(key)
    }

    /// The workers whose claims stand and could hold a task with these needs if nothing else ran there.
    pub(in crate::ledger) fn able<'a>(&'a self, needs: &'a Needs) -> impl Iterator<Item = (&'a PublicKey, &'a Worker)> {
        self.workers.iter().filter(|(_, worker)| {
            worker.record.standing.as_ref().is_some_and(|standing| standing.could_ever_hold(needs))
        })
    }

    pub(in crate::ledger) fn worker_mut(&mut self, key: &PublicKey) -> Option<&mut Worker> {
        self.workers.get_mut(key)
    }

    pub(in crate::ledger) fn add_worker(&mut self, key: PublicKey, worker: Worker) {
        self.workers.insert(key, worker);
    }

    pub(in crate::ledger) fn remove_worker(&mut self, key: &PublicKey) {
        self.workers.remove(key);
    }

    pub(in crate::ledger) const fn replay(&self) -> &Replay {
        &self.replay
    }

    pub(in crate::ledger) const fn replay_mut(&mut self) -> &mut Replay {
        &mut self.replay
    }

    pub(in crate::ledger) const fn governance(&self) -> &Governance {
        &self.governance
    }

    pub(in crate::ledger) const fn governance_mut(&mut self) -> &mut Governance {
        &mut self.governance
    }

    pub(in crate::ledger) const fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(in crate::ledger) const fn rules_mut(&mut self) -> &mut Rules {
        &mut self.rules
    }

    pub(in crate::ledger) const fn recurring(&self) -> &RecurringJobs {
        &self.recurring
    }

    pub(in crate::ledger) const fn recurring_mut(&mut self) -> &mut RecurringJobs {
        &mut self.recurring
    }

    pub(in crate::ledger) const fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Takes the next place in the order of admission. A job's is its number.
    pub(in crate::ledger) const fn admit(&mut self) -> Admission {
        let number = self.numbers.job;
        self.numbers.job += 1;
        Admission { number, time: self.time }
    }

    /// Takes the next lease number, and the turn of the worker that gets the lease.
    pub(in crate::ledger) const fn number_lease(&mut self) -> (u64, u64) {
        let Numbers { lease, turn, .. } = self.numbers;
        self.numbers.lease += 1;
        self.numbers.turn += 1;
        (lease, turn)
    }

    pub(in crate::ledger) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(in crate::ledger) const fn counters_mut(&mut self) -> &mut Counters {
        &mut self.counters
    }

    pub(in crate::ledger) const fn shares(&self) -> &Shares {
        &self.shares
    }

    pub(in crate::ledger) const fn shares_mut(&mut self) -> &mut Shares {
        &mut self.shares
    }

    /// Starts the shares anew by the rules in force: no submitter has had anything yet.
    pub(in crate::ledger) fn begin_shares(&mut self) {
        self.shares = self.rules.shares();
    }

    /// Takes up the submitters' shares. `is_owed` tells whether a submitter has unfinished tasks.
    pub(in crate::ledger) fn take_up_shares(
        &mut self,
        round: u64,
        shares: BTreeMap<PublicKey, Share>,
        is_owed: impl Fn(&PublicKey) -> bool,
    ) {
        self.shares = self.rules.shares().restored(round, shares, is_owed);
    }

    pub(in crate::ledger) const fn estimates(&self) -> &Estimates {
        &self.estimates
    }

    pub(in crate::ledger) const fn estimates_mut(&mut self) -> &mut Estimates {
        &mut self.estimates
    }

    pub(in crate::ledger) const fn usage(&self) -> &Days {
        &self.usage
    }

    pub(in crate::ledger) const fn stored(&self) -> &Stored {
        &self.stored
    }

    pub(in crate::ledger) const fn stored_mut(&mut self) -> &mut Stored {
        &mut self.stored
    }

    pub(in crate::ledger) const fn unclaimed(&self) -> &Unclaimed {
        &self.unclaimed
    }

    pub(in crate::ledger) const fn unclaimed_mut(&mut self) -> &mut Unclaimed {
        &mut self.unclaimed
    }

    pub(in crate::ledger) const fn merits(&self) -> &Merits {
        &self.merits
    }

    pub(in crate::ledger) const fn merits_mut(&mut self) -> &mut Merits {
        &mut self.merits
    }

    #[cfg(test)]
    pub(in crate::ledger) const fn usage_mut(&mut self) -> &mut Days {
        &mut self.usage
    }
}
