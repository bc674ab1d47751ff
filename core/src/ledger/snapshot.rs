//! The whole state as bytes, and back. What can be computed from the records is not in them: it is computed again, so a
//! snapshot cannot contradict itself there; what it could contradict otherwise is checked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use crate::{
    codec::{self, DecodeError},
    digest::Digest,
    identity::{NetworkId, PublicKey},
    ledger::{
        Counters, Day, Ledger, Owed, bounds,
        index::SEGMENTS_MAX,
        records::{
            governance::Governance,
            jobs::{ATTEMPTS_KEPT, ArrayRecord, Job, JobRecord, Lease, Live, Pace, Phase, Stand, TaskRef, TaskState},
            lease_time::LeaseTime,
            recurring::{RecurringNumber, RecurringRecord},
            replay::Executed,
            rules::Rules,
            usage::{DayBook, Days},
            workers::{STANDINGS_KEPT, Worker, WorkerRecord},
        },
    },
    merkle::Frontier,
    schedule::{
        estimate::{Estimate, Estimates, PROGRAMS_KEPT},
        order::{SHARES_KEPT, Share},
        ready::JobNumber,
    },
    snapshot::Chunks,
    types::{Array, BlockTime, Genesis, Height, JobId, RecurringId, Submit, TaskSpec, TransactionId},
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
    rules: Rules,
    next_job: JobNumber,
    next_lease: u64,
    next_turn: u64,
    counters: Counters,
    share_round: u64,
    shares: BTreeMap<PublicKey, Share>,
    estimates: BTreeMap<Digest, Estimate>,
    usage: BTreeMap<Day, DayBook>,
}

/// Recurring jobs by number, and the next number.
type RecurringRecords = (RecurringNumber, Vec<(RecurringId, RecurringRecord)>);

/// All records: jobs by number, workers by key, executed transactions by id, recurring jobs.
type Records =
    (Head, Vec<(JobId, JobRecord)>, Vec<(PublicKey, WorkerRecord)>, Vec<(TransactionId, Executed)>, RecurringRecords);

/// No honest count comes near it, and none that is below overflows.
pub(super) const COUNT_MAX: u64 = 1 << 62;

fn rule(holds: bool, what: &'static str) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(RestoreError::Inconsistent(what)) }
}

/// The segments cover the arrays, in order, each with tasks that have states of their own first where that is so.
fn check_segments(record: &JobRecord) -> Result<(), RestoreError> {
    let mut next = 0u32;
    let mut counts = vec![0usize; record.arrays.len()];
    let mut array = 0;
    for segment in &record.segments {
        rule(segment.start == next && segment.start < segment.end, "a job's segments leave tasks out")?;
        rule((segment.start..=segment.end).contains(&segment.fresh), "a segment's fresh tasks are not its own")?;
        rule(segment.array >= array, "a job's segments are out of order")?;
        (array, next) = (segment.array, segment.end);
        let count = counts.get_mut(usize::from(array));
        let Some(count) = count else { return Err(RestoreError::Inconsistent("a segment is of no array")) };
        *count += (segment.end - segment.start) as usize;
        let own = record.states.range(segment.start..segment.fresh).count();
        rule(own == (segment.fresh - segment.start) as usize, "a task that is not fresh has no state")?;
    }
    let whole = record.arrays.iter().zip(&counts).all(|(array, count)| array.tasks.count() == *count);
    rule(whole, "a job's segments are not its arrays")?;
    rule(record.states.last_key_value().is_none_or(|(last, _)| *last < next), "a state is of no task")
}

/// The arrays as they were submitted, as far as is still known.
fn arrays_of(record: &JobRecord) -> Vec<Array> {
    let array = |(place, array): (usize, &ArrayRecord)| {
        let first = record.segments.partition_point(|segment| usize::from(segment.array) < place);
        let segment = record.segments.get(first)?;
        Some(Array {
            name: array.name.clone(),
            spec: Arc::clone(&segment.spec),
            tasks: Arc::clone(&array.tasks),
            after: array.after.clone(),
            feeds: array.feeds,
        })
    };
    record.arrays.iter().enumerate().filter_map(array).collect()
}

impl Job {
    /// Whether its account holds its tasks and its leases.
    fn is_accounted_for(&self) -> bool {
        let Job { count, counts, copies, record: JobRecord { usage, .. }, .. } = self;
        let ended = usage.attempts_leased.checked_sub(counts.running + counts.waiting + copies);
        usage.is_sound() && usage.tasks_submitted == u64::from(*count) && ended == Some(usage.attempts_ended())
    }

    /// Whether tasks have states of their own, and segments have vanished, where what they wait for says so.
    fn is_consistent(&self, now: BlockTime) -> bool {
        if self.record.ended.is_some() {
            return true;
        }
        self.record.segments.iter().enumerate().all(|(at, segment)| {
            let is_single = self.graph.is_single(segment.array);
            let may_begin = !self.is_shut(now) && self.graph.is_open(segment.array);
            let own = self.record.states.range(segment.fresh..segment.end);
            if !is_single {
                return own.count() == 0 && (may_begin || segment.fresh == segment.start);
            }
            let first = self.graph.first(segment.array);
            segment.fresh == segment.start
                && (segment.start..segment.end).all(|index| {
                    let is_free = may_begin && self.graph.left(segment.array, index - first) == 0;
                    match self.record.states.get(&index) {
                        Some(TaskState::Live(_) | TaskState::Done(_)) => is_free,
                        Some(TaskState::Gone(_)) => true,
                        None => !is_free || self.stand(at, now) != Stand::Blocked,
                    }
                })
        })
    }
}

/// Whether a copy is a later attempt at another worker, without a copy of its own.
fn is_other(lease: &Lease, copy: &Lease) -> bool {
    copy.copy.is_none() && copy.attempt > lease.attempt && copy.number > lease.number && copy.worker != lease.worker
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
            rules: self.rules.clone(),
            next_job: self.next_job,
            next_lease: self.next_lease,
            next_turn: self.next_turn,
            counters: self.counters,
            share_round: self.shares.records().0,
            shares: self.shares.records().1.clone(),
            estimates: self.estimates.records().clone(),
            usage: self.usage.records().clone(),
        };
        let jobs: Vec<(JobId, &JobRecord)> = self.jobs.values().map(|job| (job.id, &job.record)).collect();
        let workers: Vec<(&PublicKey, &WorkerRecord)> =
            self.workers.iter().map(|(key, worker)| (key, &worker.record)).collect();
        let executed: Vec<(&TransactionId, &Executed)> = self.replay.entries().iter().collect();
        let recurring = &self.recurring;
        let entries: Vec<(&RecurringId, &RecurringRecord)> =
            recurring.entries.values().map(|entry| (&entry.id, &entry.record)).collect();
        codec::encode(&(head, jobs, workers, executed, (recurring.next, entries)))
    }

    /// The digest of the state: that of the snapshot's [chunks](Chunks).
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        Self::snapshot_digest(&self.snapshot())
    }

    /// The digest of the state that a snapshot holds.
    #[must_use]
    pub fn snapshot_digest(snapshot: &[u8]) -> Digest {
        Chunks::of(snapshot).state()
    }

    /// The ledger that a snapshot was taken of. A stranger's snapshot is to be checked against a certified digest too: that
    /// it can be restored does not make it true.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn restore(genesis: Arc<Genesis>, bytes: &[u8]) -> Result<Self, RestoreError> {
        let (head, jobs, workers, executed, (next_recurring, recurring)): Records = codec::decode(bytes, bytes.len())?;
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
            copies: c11,
            succeeded: c4,
            failed: c5,
            cancelled: c6,
            skipped: c7,
            lost: c8,
            late: c9,
            ignored: c10,
        } = head.counters;
        let numbers = [
            head.height.0,
            head.share_round,
            head.next_job,
            head.next_lease,
            head.next_turn,
            next_recurring,
            c1,
            c2,
            c3,
            c4,
            c5,
            c6,
            c7,
            c8,
            c9,
            c10,
            c11,
        ];
        rule(numbers.iter().all(|number| *number < COUNT_MAX), "a number is larger than could be counted to")?;
        rule(head.govern.is_consistent(&ledger.genesis, head.height, head.time), "what authorities have settled")?;
        ledger.height = head.height;
        ledger.time = head.time;
        ledger.lease_time = head.lease_time;
        ledger.history = head.history;
        ledger.restore_governance(head.govern);
        rule(head.rules.is_consistent(), "rules that nobody can have settled")?;
        ledger.restore_rules(head.rules);
        ledger.next_job = head.next_job;
        ledger.next_lease = head.next_lease;
        ledger.next_turn = head.next_turn;
        ledger.counters = head.counters;
        let estimates = &head.estimates;
        rule(estimates.len() <= PROGRAMS_KEPT, "more programs are remembered than may be")?;
        rule(estimates.values().all(|estimate| estimate.is_sound(head.time)), "what was learned cannot have been")?;
        ledger.estimates = Estimates::restored(head.estimates);
        ledger.usage = Days::restored(head.usage, Day::of(head.time)).map_err(RestoreError::Inconsistent)?;
        rule(executed.is_sorted_by(|a, b| a.0 < b.0), "executed transactions are out of order")?;
        for (id, executed) in executed {
            ledger.replay.restore(id, executed);
        }
        rule(workers.is_sorted_by(|a, b| a.0 < b.0), "workers are out of order")?;
        for (key, record) in workers {
            ledger.restore_worker(key, record)?;
        }
        rule(recurring.is_sorted_by(|a, b| a.1.number < b.1.number), "recurring jobs are out of order")?;
        ledger.recurring.next = next_recurring;
        for (id, record) in recurring {
            ledger.restore_recurring(id, record)?;
        }
        rule(jobs.is_sorted_by(|a, b| a.1.number < b.1.number), "jobs are out of order")?;
        let mut leases = BTreeSet::new();
        for (id, record) in jobs {
            ledger.restore_job(id, record, &mut leases)?;
        }
        ledger.check_held()?;
        ledger.restore_shares(head.share_round, head.shares)?;
        Ok(ledger)
    }

    /// Who has had what; the lanes of the queue were put up without knowing it.
    fn restore_shares(&mut self, round: u64, shares: BTreeMap<PublicKey, Share>) -> Result<(), RestoreError> {
        let owes = |key: &PublicKey| self.owed_by_key.get(key).is_some_and(|owed| owed.tasks > 0);
        let paying = shares.keys().filter(|key| !owes(key)).count();
        rule(paying <= SHARES_KEPT, "more shares are remembered than may be")?;
        rule(shares.is_empty() || self.sequence.is_fair(), "shares are kept that nothing looks at")?;
        let has_one = |(key, owed): (&PublicKey, &Owed)| owed.tasks == 0 || shares.contains_key(key);
        rule(!self.sequence.is_fair() || self.owed_by_key.iter().all(has_one), "a submitter has no share")?;
        rule(shares.values().all(|share| share.round <= round), "a share is of a later round")?;
        let keys: Vec<PublicKey> = shares.keys().copied().collect();
        let restored = std::mem::take(&mut self.shares).restored(round, shares, owes);
        self.shares = restored;
        for key in keys {
            self.ready.share_changed(&key, &self.sequence, &self.shares);
        }
        Ok(())
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
            let seats = u64::from(standing.seat) < self.genesis.ledger.workers_max as u64;
            rule(seats && self.open.take_seat(standing.seat), "a claim's seat is not its own")?;
            self.open.describe(key, &standing.claim);
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
        let number = record.number;
        rule(number < self.next_job && !self.job_numbers.contains_key(&id), "a job's number or id is not its own")?;
        rule(record.time <= self.time && record.height <= self.height, "a job is of a later time")?;
        rule(
            record.began.is_none_or(|began| (record.time..=self.time).contains(&began)),
            "a job began at another time",
        )?;
        check_segments(&record)?;
        let segments = record.arrays.len() + SEGMENTS_MAX;
        rule(record.segments.len() <= segments, "a job's tasks stand in more different ways than they may")?;
        let submit = Submit {
            name: record.name.clone(),
            arrays: arrays_of(&record),
            after: record.after.clone(),
            times: record.times,
            open_until: record.open_until.or(Some(record.time)),
            spawns_max: record.spawns_max,
        };
        rule(bounds::check_submit(&self.genesis.ledger, &submit).is_ok(), "a job exceeds a bound")?;
        rule(record.spawned <= record.spawns_max, "a job's tasks have asked for more than they may")?;
        for (index, state) in &record.states {
            if let TaskState::Live(live) = state {
                self.check_live(live, leases)?;
                let held = record.segment_at(*index).is_some_and(|at| record.segments[at].held);
                let agrees = !matches!((held, &live.phase), (true, Phase::Ready) | (false, Phase::Held));
                rule(agrees, "a task is held that is not, or the other way round")?;
            }
        }
        if let Some(run) = record.run_of {
            rule(run.job() == id && run.moment <= record.time, "a run is of another moment")?;
            if record.ended.is_none() {
                self.take_up_run(run, id);
            }
        }
        let has_ended = record.ended.is_some();
        if let Some(ended) = record.ended {
            rule(ended <= self.time, "a job ended at a later time")?;
            self.due.retention.insert((ended.plus_ms(self.genesis.ledger.retention_ms), number));
        } else {
            rule(
                record.open_until.is_none_or(|until| until > self.time),
                "a job is open for longer than it was to be",
            )?;
        }
        self.put_back(id, record, &submit.arrays);
        let Some(job) = self.jobs.get(&number) else { return Ok(()) };
        rule(has_ended == job.is_over(), "a job ended before its tasks, or did not end with them")?;
        rule(job.is_accounted_for(), "a job's account is not what its tasks say")?;
        rule(job.is_consistent(self.time), "a task waits for what has ended, or does not wait")
    }

    /// Takes up a job from its whole record.
    fn put_back(&mut self, id: JobId, record: JobRecord, arrays: &[Array]) {
        let (number, submitter) = (record.number, record.submitter);
        let definition_bytes = record.definition_bytes;
        let is_owed = record.ended.is_none();
        self.take_up(id, record);
        self.owe(submitter, Owed { definition_bytes, ..Owed::default() });
        if is_owed {
            self.put_back_graph(number, arrays);
        }
        while self.jobs.get(&number).is_some_and(|job| job.standings.len() < job.record.segments.len()) {
            self.take_up_segment(number);
        }
        let Some(job) = self.jobs.get(&number) else { return };
        let mut owed = Owed::default();
        let mut owe = |spec: &TaskSpec, tasks: u64| {
            owed.tasks = owed.tasks.saturating_add(tasks);
            owed.output_bytes = owed.output_bytes.saturating_add(spec.limits.output_bytes.saturating_mul(tasks));
        };
        for (segment, standing) in job.record.segments.iter().zip(&job.standings) {
            let live = job.record.states.range(segment.start..segment.end);
            let live = live.filter(|(_, state)| matches!(state, TaskState::Live(_))).count() as u64;
            let stateless = if segment.gone.is_some() { 0 } else { u64::from(standing.stateless) };
            owe(&segment.spec, live + stateless);
        }
        let (after, tasks): (Vec<JobId>, Vec<u32>) =
            (job.record.after.iter().map(|after| after.job).collect(), job.record.states.keys().copied().collect());
        self.owe(submitter, owed);
        for job in after {
            self.waiters.entry(job).or_default().insert(number);
        }
        for index in tasks {
            self.attach(TaskRef { job: number, index });
        }
    }

    /// What a job's tasks wait for, as things stand.
    fn put_back_graph(&mut self, number: JobNumber, arrays: &[Array]) {
        let Some(job) = self.jobs.get_mut(&number) else { return };
        let record = &job.record;
        for (place, array) in (0u16..).zip(arrays) {
            let Some(known) = record.arrays.get(usize::from(place)) else { return };
            // Who waits in vain has been told: the states say so.
            let _ = job.graph.add(known, &array.spec, |task| record.ending_of(task));
            for task in job.graph.tasks_of(place) {
                if let Some(ending) = record.ending_of(task) {
                    job.graph.count_ended(place, ending, 1);
                }
            }
        }
    }

    fn check_live(&self, live: &Live, leases: &mut BTreeSet<u64>) -> Result<(), RestoreError> {
        let began = live.attempts > 0 || matches!(live.phase, Phase::Ready | Phase::Held);
        rule(began && live.history().past.len() <= ATTEMPTS_KEPT, "a task has more attempts than there were")?;
        let Some(oldest) = live.lease() else { return Ok(()) };
        for lease in live.leases() {
            let number = lease.number < self.next_lease && lease.attempt.0 < live.attempts;
            rule(number && leases.insert(lease.number), "a lease's number is not its own")?;
            rule(lease.due() > self.lease_time, "an attempt has run out")?;
            let worker = self.workers.get(&lease.worker);
            let stands = |w: &Worker| w.record.standing.is_some() && w.record.incarnation == lease.incarnation;
            rule(worker.is_some_and(stands), "a lease has no claim")?;
            let pace = lease.run.map_or(Pace::Settled, |run| run.pace);
            let is_copied = oldest.copy.is_some() || lease.attempt != oldest.attempt;
            rule(!is_copied || lease.run.is_some() && pace == Pace::Settled, "a copy of what may have none")?;
        }
        rule(oldest.copy.as_ref().is_none_or(|copy| is_other(oldest, copy)), "a copy is no other attempt")
    }

    fn check_held(&self) -> Result<(), RestoreError> {
        let most = u64::from(self.genesis.ledger.claim_attempts_max);
        let held = |worker: &Worker| (worker.held.running.len() + worker.held.waiting.len()) as u64;
        // A claim that shrank may hold more than it offers, but never twice what any may offer.
        rule(self.workers.values().all(|worker| held(worker) <= 2 * most), "a worker holds more than any may")
    }
}
