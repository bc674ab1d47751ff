//! The whole state as bytes, and back. What can be computed from the records is not in them: it is computed again, so a
//! snapshot cannot contradict itself there; what it could contradict otherwise is checked.

use std::{collections::BTreeSet, sync::Arc};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use super::{
    Counters, Ledger, bounds,
    govern::Governance,
    jobs::{ATTEMPTS_KEPT, JobRecord, Live, Phase, TaskRef, TaskState},
    lease_time::LeaseTime,
    workers::{STANDINGS_KEPT, Worker, WorkerRecord},
};
use crate::{
    codec::{self, DecodeError},
    digest::Digest,
    identity::{NetworkId, PublicKey},
    merkle::Frontier,
    schedule::ready::JobNumber,
    types::{BlockTime, Genesis, Height, JobId, Submit, TransactionId},
};

/// Why a snapshot was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RestoreError {
    /// The bytes are no snapshot.
    #[error("not a snapshot of a ledger: {0}")]
    Decode(#[from] DecodeError),
    /// It is one of another network.
    #[error("a snapshot of another network, {0}")]
    OtherNetwork(NetworkId),
    /// It contradicts itself or the genesis.
    #[error("a snapshot that contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// The records besides jobs, workers and executed transactions.
#[derive(Serialize_tuple, Deserialize_tuple)]
struct Head {
    network: NetworkId,
    height: Height,
    time: BlockTime,
    lease_time: LeaseTime,
    history: Frontier,
    govern: Governance,
    next_job: JobNumber,
    next_lease: u64,
    next_turn: u64,
    counters: Counters,
}

/// All records: jobs by number, workers by key, executed transactions by id.
type Records = (Head, Vec<(JobId, JobRecord)>, Vec<(PublicKey, WorkerRecord)>, Vec<(TransactionId, BlockTime)>);

/// No honest count comes near it, and none that is below overflows.
const COUNT_MAX: u64 = 1 << 62;

fn rule(holds: bool, what: &'static str) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(RestoreError::Inconsistent(what)) }
}

impl Ledger {
    /// The whole state, in canonical bytes: equal states give equal bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let head = Head {
            network: self.network,
            height: self.height,
            time: self.time,
            lease_time: self.lease_time,
            history: self.history.clone(),
            govern: self.govern.clone(),
            next_job: self.next_job,
            next_lease: self.next_lease,
            next_turn: self.next_turn,
            counters: self.counters,
        };
        let jobs: Vec<(JobId, &JobRecord)> = self.jobs.values().map(|job| (job.id, &job.record)).collect();
        let workers: Vec<(&PublicKey, &WorkerRecord)> =
            self.workers.iter().map(|(key, worker)| (key, &worker.record)).collect();
        let executed: Vec<(&TransactionId, &BlockTime)> = self.replay.entries().iter().collect();
        codec::encode(&(head, jobs, workers, executed))
    }

    /// The digest of the state: that of the snapshot's bytes.
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        Self::snapshot_digest(&self.snapshot())
    }

    /// The digest of the state that a snapshot holds.
    #[must_use]
    pub fn snapshot_digest(snapshot: &[u8]) -> Digest {
        Digest::of_parts("meshwork 1 ledger state", &[snapshot])
    }

    /// The ledger that a snapshot was taken of. A stranger's snapshot is to be checked against a certified digest too: that
    /// it can be restored does not make it true.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn restore(genesis: Arc<Genesis>, bytes: &[u8]) -> Result<Self, RestoreError> {
        let (head, jobs, workers, executed): Records = codec::decode(bytes, bytes.len())?;
        let mut ledger = Self::new(genesis);
        if head.network != ledger.network {
            return Err(RestoreError::OtherNetwork(head.network));
        }
        let history = &head.history;
        rule(history.is_consistent() && history.size() == head.height.0, "the history is not as long as the ledger")?;
        rule(head.time >= ledger.time, "it is older than the genesis")?;
        let Counters {
            jobs: c1,
            tasks: c2,
            leases: c3,
            succeeded: c4,
            failed: c5,
            cancelled: c6,
            lost: c7,
            late: c8,
            ignored: c9,
        } = head.counters;
        let numbers =
            [head.height.0, head.next_job, head.next_lease, head.next_turn, c1, c2, c3, c4, c5, c6, c7, c8, c9];
        rule(numbers.iter().all(|number| *number < COUNT_MAX), "a number is larger than could be counted to")?;
        rule(head.govern.is_consistent(&ledger.genesis, head.height, head.time), "what authorities have settled")?;
        ledger.height = head.height;
        ledger.time = head.time;
        ledger.lease_time = head.lease_time;
        ledger.history = head.history;
        ledger.restore_governance(head.govern);
        ledger.next_job = head.next_job;
        ledger.next_lease = head.next_lease;
        ledger.next_turn = head.next_turn;
        ledger.counters = head.counters;
        rule(executed.is_sorted_by(|a, b| a.0 < b.0), "executed transactions are out of order")?;
        for (id, expires) in executed {
            ledger.replay.remember(id, expires);
        }
        rule(workers.is_sorted_by(|a, b| a.0 < b.0), "workers are out of order")?;
        for (key, record) in workers {
            ledger.restore_worker(key, record)?;
        }
        rule(jobs.is_sorted_by(|a, b| a.1.number < b.1.number), "jobs are out of order")?;
        let mut leases = BTreeSet::new();
        for (id, record) in jobs {
            ledger.restore_job(id, record, &mut leases)?;
        }
        ledger.check_held()?;
        Ok(ledger)
    }

    fn restore_worker(&mut self, key: PublicKey, record: WorkerRecord) -> Result<(), RestoreError> {
        rule(record.stood.len() <= STANDINGS_KEPT, "a worker has too many standings")?;
        rule(record.turn < self.next_turn, "a worker's turn is still to come")?;
        rule(record.last <= self.time, "a worker acted later than the ledger's time")?;
        let until = record.standing.as_ref().map(|standing| standing.until);
        if let Some(standing) = &record.standing {
            rule(bounds::check_claim(&self.genesis.ledger, &standing.claim).is_ok(), "a claim exceeds a bound")?;
            let claim = (standing.claim.sequence, standing.claim.incarnation);
            rule(claim == (record.sequence, record.incarnation), "a claim is not its worker's last")?;
            rule(standing.until > self.lease_time, "a claim has run out")?;
        }
        self.workers.insert(key, Worker::new(record));
        match until {
            Some(until) => {
                self.standing += 1;
                self.due.claims.insert((until, key));
            }
            None => self.forget_worker_later(key),
        }
        self.reindex(key);
        Ok(())
    }

    fn restore_job(&mut self, id: JobId, record: JobRecord, leases: &mut BTreeSet<u64>) -> Result<(), RestoreError> {
        let submit =
            Submit { name: record.name.clone(), spec: Arc::clone(&record.spec), tasks: Arc::clone(&record.tasks) };
        rule(bounds::check_submit(&self.genesis.ledger, &submit).is_ok(), "a job exceeds a bound")?;
        let count = submit.tasks.count();
        let (number, fresh, cancelled) = (record.number, record.fresh, record.cancelled);
        rule(number < self.next_job && !self.job_numbers.contains_key(&id), "a job's number or id is not its own")?;
        rule(record.time <= self.time && record.height <= self.height, "a job is of a later time")?;
        rule(fresh as usize <= count, "a job has more leased tasks than tasks")?;
        rule(record.states.keys().all(|index| *index < fresh), "a fresh task has a state of its own")?;
        rule(cancelled || record.states.len() == fresh as usize, "a leased task has no state")?;
        let live = record.states.values().any(|state| matches!(state, TaskState::Live(_)));
        rule(!(cancelled && live), "a cancelled job has live tasks")?;
        let unfinished = live || (!cancelled && (fresh as usize) < count);
        rule(record.ended.is_none() == unfinished, "a job ended before its tasks, or did not end with them")?;
        for state in record.states.values() {
            if let TaskState::Live(live) = state {
                self.check_live(live, leases)?;
            }
        }
        let tasks: Vec<u32> = record.states.keys().copied().collect();
        if let Some(ended) = record.ended {
            self.due.retention.insert((ended.plus_ms(self.genesis.ledger.retention_ms), number));
        }
        self.admit(id, record);
        for index in tasks {
            self.attach(TaskRef { job: number, index });
        }
        let Some(job) = self.jobs.get_mut(&number) else { return Ok(()) };
        if cancelled {
            let cancelled = count as u64 - job.counts.all();
            job.counts.cancelled = cancelled;
            self.counts.cancelled += cancelled;
        }
        Ok(())
    }

    fn check_live(&self, live: &Live, leases: &mut BTreeSet<u64>) -> Result<(), RestoreError> {
        rule(live.attempts > 0 && live.past.len() <= ATTEMPTS_KEPT, "a task has more attempts than there were")?;
        let Phase::Leased(lease) = &live.phase else { return Ok(()) };
        rule(lease.number < self.next_lease && leases.insert(lease.number), "a lease's number is not its own")?;
        rule(lease.due() > self.lease_time, "an attempt has run out")?;
        let worker = self.workers.get(&lease.worker);
        let stands = worker.is_some_and(|w| w.record.standing.is_some() && w.record.incarnation == lease.incarnation);
        rule(stands, "a lease has no claim")
    }

    fn check_held(&self) -> Result<(), RestoreError> {
        let most = u64::from(self.genesis.ledger.claim_attempts_max);
        let held = |worker: &Worker| (worker.held.running.len() + worker.held.waiting.len()) as u64;
        // A claim that shrank may hold more than it offers, but never twice what any may offer.
        rule(self.workers.values().all(|worker| held(worker) <= 2 * most), "a worker holds more than any may")
    }
}
