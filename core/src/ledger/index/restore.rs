//! Computes the whole index from the records. A ledger does so when it takes up a snapshot and when the scheduler's
//! policies change; a debug build also does so to check the index. The records are checked while they are taken up,
//! because they may come from a stranger.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Index, Outstanding, SEGMENTS_MAX};
use crate::{
    identity::{NetworkId, PublicKey},
    invariant::known,
    ledger::{
        Counters, Day, Ledger, PAST_KEPT, RestoreError, STANDINGS_KEPT, bounds,
        records::{
            Records,
            jobs::{
                ATTEMPTS_KEPT, Admission, ArrayRecord, FreshState, Job, JobRecord, Lease, Live, Phase, Segment,
                Speculation, TaskRef, TaskState,
            },
            recurring::{RecurringNumber, RecurringRecord},
            replay::{Executed, Replay},
            usage::Days,
            workers::{Worker, WorkerRecord},
        },
        snapshot::{Head, Saved},
    },
    schedule::{
        estimate::PROGRAMS_KEPT,
        order::{SHARES_KEPT, Share},
        ready::JobNumber,
    },
    types::{Array, BlockTime, Genesis, JobId, RecurringId, Redundancy, Submit, TaskSpec, TransactionId},
};

/// Far above any honest count, and low enough that sums of counts do not overflow.
const COUNT_MAX: u64 = 1 << 62;

fn rule(holds: bool, what: &'static str) -> Result<(), RestoreError> {
    if holds { Ok(()) } else { Err(RestoreError::Inconsistent(what)) }
}

impl Head {
    /// Checks that a ledger of this genesis could have these records.
    fn check(&self, genesis: &Genesis, next_recurring: RecurringNumber) -> Result<(), RestoreError> {
        let history = &self.history;
        rule(history.is_consistent() && history.size() == self.height.0, "the history is not as long as the ledger")?;
        rule(self.time >= genesis.time, "it is older than the genesis")?;
        let Counters { jobs, tasks, leases, speculative, succeeded, failed, cancelled, skipped, lost, late, ignored } =
            self.counters;
        let own = [self.height.0, self.share_round, self.next_job, self.next_lease, self.next_turn, next_recurring];
        let ever = [jobs, tasks, leases, speculative, succeeded, failed, cancelled, skipped, lost, late, ignored];
        let mut numbers = own.iter().chain(&ever);
        rule(numbers.all(|number| *number < COUNT_MAX), "a number is larger than could be counted to")?;
        rule(self.govern.is_consistent(genesis, self.height, self.time), "what authorities have settled")?;
        rule(self.rules.is_consistent(), "rules that nobody can have settled")?;
        rule(self.merits.are_sound(Day::of(self.time)), "merits that no key can have")?;
        rule(self.stored.are_sound(Day::of(self.time)), "more is stored for keys than for all")?;
        rule(self.unclaimed.is_sound(self.lease_time), "needs were looked at later")?;
        let estimates = &self.estimates;
        rule(estimates.len() <= PROGRAMS_KEPT, "more programs are remembered than may be")?;
        rule(estimates.values().all(|estimate| estimate.is_sound(self.time)), "what was learned cannot have been")
    }
}

/// Checks that the segments cover the arrays in order, and that each task before a segment's first fresh one has a
/// state of its own.
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
    let admissions = || record.arrays.iter().map(|array| array.admission);
    let first = Admission { number: record.number, time: record.time };
    let are_in_order = [first]
        .into_iter()
        .chain(admissions())
        .zip(admissions())
        .all(|(before, after)| before.number <= after.number && before.time <= after.time);
    rule(are_in_order, "a job's arrays were not admitted in their order")?;
    let whole = record.arrays.iter().zip(&counts).all(|(array, count)| array.tasks.count() == *count);
    rule(whole, "a job's segments are not its arrays")?;
    rule(record.states.last_key_value().is_none_or(|(last, _)| *last < next), "a state is of no task")
}

/// The arrays as they were submitted, as far as they are still known.
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
        let usage = &self.record.usage;
        let ended = usage.attempts_leased.checked_sub(self.index.leased());
        usage.is_sound() && usage.tasks_submitted == u64::from(self.count()) && ended == Some(usage.attempts_ended())
    }

    /// Whether tasks have states of their own, and segments are gone, where their dependencies require it.
    fn is_consistent(&self, now: BlockTime) -> bool {
        if self.record.ended.is_some() {
            return true;
        }
        self.record.segments.iter().enumerate().all(|(at, segment)| {
            let is_single = self.graph().is_single(segment.array);
            let may_begin = !self.is_shut(now) && self.graph().is_open(segment.array);
            let own = self.record.states.range(segment.fresh..segment.end);
            if !is_single {
                return own.count() == 0 && (may_begin || segment.fresh == segment.start);
            }
            let first = self.graph().first(segment.array);
            segment.fresh == segment.start
                && (segment.start..segment.end).all(|index| {
                    let is_free = may_begin && self.graph().left(segment.array, index - first) == 0;
                    match self.record.states.get(&index) {
                        Some(TaskState::Live(_) | TaskState::Done(_)) => is_free,
                        Some(TaskState::Gone(_)) => true,
                        None => !is_free || self.fresh_state(at, now) != FreshState::Blocked,
                    }
                })
        })
    }
}

/// Restores the executed transactions; each may occur once.
fn restore_replay(executed: Vec<(TransactionId, Executed)>) -> Result<Replay, RestoreError> {
    rule(executed.is_sorted_by(|a, b| a.0 < b.0), "executed transactions are out of order")?;
    let mut replay = Replay::default();
    for (id, executed) in executed {
        replay.restore(id, executed);
    }
    Ok(replay)
}

/// Whether a speculative attempt is later than its first, at another worker, and without one of its own.
fn is_other(lease: &Lease, speculative: &Lease) -> bool {
    speculative.speculative.is_none()
        && speculative.attempt > lease.attempt
        && speculative.number > lease.number
        && speculative.worker != lease.worker
}

impl Ledger {
    /// Builds the ledger of these records, in the network of this genesis and id.
    ///
    /// # Errors
    ///
    /// What the records contradict.
    pub(in crate::ledger) fn of_records(
        genesis: Arc<Genesis>,
        network: NetworkId,
        saved: Saved,
    ) -> Result<Self, RestoreError> {
        let (head, jobs, workers, executed, (next_recurring, recurring)) = saved;
        let mut ledger = Self::founded(genesis, network);
        if head.network != ledger.network {
            return Err(RestoreError::OtherNetwork(head.network));
        }
        head.check(&ledger.genesis, next_recurring)?;
        let usage = Days::restored(head.usage.clone(), Day::of(head.time)).map_err(RestoreError::Inconsistent)?;
        let replay = restore_replay(executed)?;
        ledger.records = Records::of_head(&head, replay, usage, next_recurring);
        ledger.index = Index::empty();
        ledger.set_in_force();
        rule(workers.is_sorted_by(|a, b| a.0 < b.0), "workers are out of order")?;
        for (key, record) in workers {
            ledger.restore_worker(key, record)?;
        }
        rule(recurring.is_sorted_by(|a, b| a.1.number < b.1.number), "recurring jobs are out of order")?;
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

    /// Restores the submitters' shares. The queue's lanes were filled without them.
    fn restore_shares(&mut self, round: u64, shares: BTreeMap<PublicKey, Share>) -> Result<(), RestoreError> {
        let outstanding = &self.index.quotas;
        let has_outstanding = |key: &PublicKey| outstanding.outstanding_of(key).tasks > 0;
        let paying = shares.keys().filter(|key| !has_outstanding(key)).count();
        rule(paying <= SHARES_KEPT, "more shares are remembered than may be")?;
        rule(shares.is_empty() || self.sequence.is_fair(), "shares are kept that nothing looks at")?;
        let has_one =
            |(key, outstanding): (&PublicKey, &Outstanding)| outstanding.tasks == 0 || shares.contains_key(key);
        rule(
            !self.sequence.is_fair() || outstanding.outstanding_by_key().iter().all(has_one),
            "a submitter has no share",
        )?;
        rule(shares.values().all(|share| share.round <= round), "a share is of a later round")?;
        let keys: Vec<PublicKey> = shares.keys().copied().collect();
        self.records.take_up_shares(round, shares, has_outstanding);
        for key in keys {
            self.index.ready.share_changed(&key, &self.sequence, self.records.shares());
        }
        Ok(())
    }

    fn restore_worker(&mut self, key: PublicKey, record: WorkerRecord) -> Result<(), RestoreError> {
        rule(record.tracks.are_sound(self.time()), "a worker has a track record that it cannot have")?;
        let record = WorkerRecord { tracks: record.tracks.restored(), ..record };
        rule(record.stood.len() <= STANDINGS_KEPT, "a worker has too many standings")?;
        let trial_is_new = record.trial.is_none_or(|trial| trial.since <= self.records.numbers().lease);
        rule(trial_is_new, "a worker's trial begins with a lease to come")?;
        rule(record.turn < self.records.numbers().turn, "a worker's turn is still to come")?;
        rule(record.last <= self.time(), "a worker acted later than the ledger's time")?;
        if let Some(standing) = &record.standing {
            rule(bounds::check_claim(&self.genesis.ledger, &standing.claim).is_ok(), "a claim exceeds a bound")?;
            let claim = (standing.claim.sequence, standing.claim.incarnation);
            rule(claim == (record.sequence, record.incarnation), "a claim is not its worker's last")?;
            rule(standing.until > self.lease_time(), "a claim has run out")?;
            let seats = u64::from(standing.seat) < self.workers_known_max();
            rule(seats && self.index.open.take_seat(standing.seat), "a claim's seat is not its own")?;
        }
        self.take_up_worker(key, record);
        Ok(())
    }

    fn restore_recurring(&mut self, id: RecurringId, record: RecurringRecord) -> Result<(), RestoreError> {
        let RecurringRecord { number, recurring, next, past, ended, .. } = &record;
        let is_new = *number < self.records.recurring().next() && self.index.recurring.number_of(&id).is_none();
        rule(is_new, "a recurring job's number or id is not its own")?;
        let now = self.time();
        let ended_at = ended.map(|ended| ended.at);
        let occurrences = [Some(record.time), record.resumed, ended_at, past.back().map(|past| past.last)];
        rule(occurrences.iter().flatten().all(|time| *time <= now), "a recurring job is of a later time")?;
        rule(record.height <= self.height(), "a recurring job is of a later height")?;
        rule(past.len() <= PAST_KEPT, "more is remembered of a recurring job than may be")?;
        rule(record.ran < COUNT_MAX && record.skipped < COUNT_MAX, "a recurring job ran more often than could be")?;
        let is_good = match ended {
            None => {
                self.may_submit(&record.submitter) && bounds::check_recurring(&self.genesis.ledger, recurring).is_ok()
            }
            Some(_) => recurring.job.arrays.is_empty() && record.definition_bytes == 0 && !record.is_paused,
        };
        rule(is_good, "a recurring job exceeds a bound")?;
        let comes = |next: &BlockTime| record.next_after(BlockTime(next.0.saturating_sub(1))) == Some(*next);
        let last = past.back().map_or(record.time, |past| past.last);
        rule(
            next.as_ref().is_none_or(|next| comes(next) && *next > last),
            "a recurring job's next occurrence is none",
        )?;
        rule(
            next.is_some() != ended.is_some(),
            "a recurring job ended before its occurrences, or did not end with them",
        )?;
        self.take_up_recurring(id, record);
        Ok(())
    }

    fn restore_job(&mut self, id: JobId, record: JobRecord, leases: &mut BTreeSet<u64>) -> Result<(), RestoreError> {
        let number = record.number;
        rule(
            number < self.records.numbers().job && self.index.number_of(&id).is_none(),
            "a job's number or id is not its own",
        )?;
        rule(record.time <= self.time() && record.height <= self.height(), "a job is of a later time")?;
        rule(record.ended.is_some() || self.may_submit(&record.submitter), "an unfinished job's submitter is barred")?;
        rule(
            record.began.is_none_or(|began| (record.time..=self.time()).contains(&began)),
            "a job began at another time",
        )?;
        check_segments(&record)?;
        let last = record.arrays.last().map(|array| array.admission);
        let is_past = |last: Admission| last.number < self.records.numbers().job && last.time <= self.time();
        rule(last.is_none_or(is_past), "an array was admitted later")?;
        // Beyond what controls may make of them, each can be cut once more where its tasks end unclaimed.
        let segments = 2 * (record.arrays.len() + SEGMENTS_MAX);
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
        let mut of_own = record.deaths.iter().map(|(program, deaths)| {
            let own = |segment: &Segment| segment.spec.program_blob().digest == *program;
            deaths.is_sound() && record.ended.is_none() && record.segments.iter().any(own)
        });
        rule(of_own.all(|is_sound| is_sound), "workers died of what is not a program of their job")?;
        for (index, state) in &record.states {
            if let TaskState::Live(live) = state {
                let redundancy = record.segment_at(*index).and_then(|at| record.segments[at].spec.redundancy);
                self.check_live(live, redundancy, leases)?;
                let held = record.segment_at(*index).is_some_and(|at| record.segments[at].held);
                let agrees = !matches!((held, &live.phase), (true, Phase::Ready) | (false, Phase::Held));
                rule(agrees, "a task is held that is not, or the other way round")?;
            }
        }
        if let Some(occurrence) = record.occurrence_of {
            rule(occurrence.job() == id && occurrence.time <= record.time, "an occurrence is of another time")?;
            if record.ended.is_none() {
                self.take_up_occurrence(occurrence, id);
            }
        }
        let has_ended = record.ended.is_some();
        if let Some(ended) = record.ended {
            rule(ended <= self.time(), "a job ended at a later time")?;
            self.keep_ended(number, ended);
        } else {
            rule(
                record.open_until.is_none_or(|until| until > self.time()),
                "a job is open for longer than it was to be",
            )?;
        }
        self.put_back(id, record, &submit.arrays);
        let Some(job) = known(self.records.job(number)) else { return Ok(()) };
        rule(has_ended == job.is_over(), "a job ended before its tasks, or did not end with them")?;
        rule(job.is_accounted_for(), "a job's account is not what its tasks say")?;
        rule(job.is_consistent(self.time()), "a task waits for what has ended, or does not wait")
    }

    /// Takes up a job from its whole record.
    fn put_back(&mut self, id: JobId, record: JobRecord, arrays: &[Array]) {
        let (number, submitter) = (record.number, record.submitter);
        let definition_bytes = record.definition_bytes;
        let is_owed = record.ended.is_none();
        self.take_up(id, record);
        self.add_outstanding(submitter, Outstanding::definition(definition_bytes));
        if is_owed {
            self.put_back_graph(number, arrays);
        }
        while self.records.job(number).is_some_and(|job| job.index.summaries.len() < job.record.segments.len()) {
            self.take_up_segment(number);
        }
        let Some(job) = known(self.records.job(number)) else { return };
        let mut outstanding = Outstanding::default();
        let mut add_outstanding = |spec: &TaskSpec, tasks: u64| {
            outstanding.tasks = outstanding.tasks.saturating_add(tasks);
            outstanding.output_bytes =
                outstanding.output_bytes.saturating_add(spec.limits.output_bytes.saturating_mul(tasks));
        };
        for (segment, summary) in job.record.segments.iter().zip(&job.index.summaries) {
            let live = job.record.states.range(segment.start..segment.end);
            let live = live.filter(|(_, state)| matches!(state, TaskState::Live(_))).count() as u64;
            let stateless = if segment.gone.is_some() { 0 } else { u64::from(summary.stateless) };
            add_outstanding(&segment.spec, live + stateless);
        }
        let (after, tasks): (Vec<JobId>, Vec<u32>) =
            (job.record.after.iter().map(|after| after.job).collect(), job.record.states.keys().copied().collect());
        self.add_outstanding(submitter, outstanding);
        for other in after {
            self.await_job(number, other);
        }
        for index in tasks {
            self.attach(TaskRef { job: number, index });
        }
    }

    /// Rebuilds the graph of a job's dependencies in its present state.
    fn put_back_graph(&mut self, number: JobNumber, arrays: &[Array]) {
        let Some(job) = known(self.records.job_mut(number)) else { return };
        let record = &job.record;
        for (place, array) in (0u16..).zip(arrays) {
            let Some(own) = known(record.arrays.get(usize::from(place))) else { return };
            // The states already show which tasks were skipped.
            let _ = job.index.graph.add(own, &array.spec, |task| record.ending_of(task));
            for task in job.index.graph.tasks_of(place) {
                if let Some(ending) = record.ending_of(task) {
                    job.index.graph.count_ended(place, ending, 1);
                }
            }
        }
    }

    fn check_live(
        &self,
        live: &Live,
        redundancy: Option<Redundancy>,
        leases: &mut BTreeSet<u64>,
    ) -> Result<(), RestoreError> {
        let began = live.attempts > 0 || matches!(live.phase, Phase::Ready | Phase::Held);
        rule(began && live.history().past.len() <= ATTEMPTS_KEPT, "a task has more attempts than there were")?;
        let are_replicas = match (redundancy, live.replicas()) {
            (None, None) => !matches!(live.phase, Phase::Replicated),
            (Some(_), None) => live.attempts == 0,
            (Some(redundancy), Some(replicas)) => {
                replicas.are_sound(&redundancy, live.attempts)
                    && !matches!(live.phase, Phase::Leased(_))
                    && (!matches!(live.phase, Phase::Replicated) || live.lease().is_some())
            }
            (None, Some(_)) => false,
        };
        rule(are_replicas, "a task's replicas are not such as it can have")?;
        let Some(oldest) = live.lease() else { return Ok(()) };
        for lease in live.leases() {
            let number = lease.number < self.records.numbers().lease && lease.attempt.0 < live.attempts;
            rule(number && leases.insert(lease.number), "a lease's number is not its own")?;
            rule(lease.due() > self.lease_time(), "an attempt has run out")?;
            let worker = self.records.worker(&lease.worker);
            let stands = |w: &Worker| w.record.standing.is_some() && w.record.incarnation == lease.incarnation;
            rule(worker.is_some_and(stands), "a lease has no claim")?;
            let speculation = lease.allocation.map_or(Speculation::Settled, |allocation| allocation.speculation);
            rule(lease.replica.is_some() == redundancy.is_some(), "a lease is of a replica, and its task has none")?;
            let is_speculated =
                redundancy.is_none() && (oldest.speculative.is_some() || lease.attempt != oldest.attempt);
            rule(
                !is_speculated || lease.allocation.is_some() && speculation == Speculation::Settled,
                "a speculative attempt of what may have none",
            )?;
        }
        rule(
            oldest.speculative.as_ref().is_none_or(|speculative| is_other(oldest, speculative)),
            "a speculative attempt is no other one",
        )
    }

    fn check_held(&self) -> Result<(), RestoreError> {
        let most = u64::from(self.genesis.ledger.claim_attempts_max);
        let held = |worker: &Worker| (worker.leases().running().len() + worker.leases().waiting().len()) as u64;
        // A worker whose claim shrank may hold more than it offers, but never twice what any claim may offer.
        rule(self.records.workers().values().all(|worker| held(worker) <= 2 * most), "a worker holds more than any may")
    }
}
