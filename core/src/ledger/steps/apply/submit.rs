//! Submit: admits a job. It costs one record for each array, however many tasks that has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Account, Applied, Day, Ledger, LedgerEvent, Owed, bounds,
        records::{
            jobs::{ArrayRecord, Graph, Job, JobRecord, Segment, Standing, TaskCounts},
            usage::Entry,
        },
    },
    schedule::{
        order::{Facts, Rank},
        ready::{JobNumber, Needs},
    },
    types::{Array, JobId, KeyLimit, Limit, NetworkLimit, RunOf, Submit, Terms, VoidReason},
};

/// The output that arrays may leave; one that cannot be counted is larger than any bound.
fn output_bytes(arrays: &[Array]) -> u64 {
    let of = |array: &Array| array.spec.limits.output_bytes.saturating_mul(array.tasks.count() as u64);
    arrays.iter().fold(0, |sum: u64, array| sum.saturating_add(of(array)))
}

impl Ledger {
    pub(in crate::ledger) fn check_submit(
        &self,
        signer: &PublicKey,
        submit: &Submit,
        bytes: u64,
    ) -> Result<(), VoidReason> {
        bounds::check_submit(&self.genesis.ledger, submit)?;
        let passed = |time| time <= self.time;
        if submit.times.deadline.is_some_and(passed) {
            return Err(VoidReason::DeadlinePassed);
        }
        if submit.after.iter().any(|after| !self.job_numbers.contains_key(&after.job)) {
            return Err(VoidReason::UnknownJob);
        }
        self.check_room(signer, &submit.arrays, bytes)
    }

    /// Whether so much more may be owed to a submitter.
    pub(in crate::ledger) fn check_room(
        &self,
        signer: &PublicKey,
        arrays: &[Array],
        bytes: u64,
    ) -> Result<(), VoidReason> {
        let of_key = self.owed_by_key.get(signer).copied().unwrap_or_default();
        let tasks = arrays.iter().map(|array| array.tasks.count() as u64).sum();
        let output_bytes = output_bytes(arrays);
        let fits = |owed: u64, more: u64, most: u64| owed.checked_add(more).is_some_and(|sum| sum <= most);
        if !fits(of_key.tasks, tasks, self.key_limit(signer, KeyLimit::Tasks)) {
            return Err(VoidReason::KeyTasksFull);
        }
        if !fits(self.owed.tasks, tasks, self.limit(Limit::Network(NetworkLimit::Tasks))) {
            return Err(VoidReason::TasksFull);
        }
        if !fits(of_key.output_bytes, output_bytes, self.key_limit(signer, KeyLimit::OutputBytes)) {
            return Err(VoidReason::KeyOutputFull);
        }
        if !fits(self.owed.output_bytes, output_bytes, self.limit(Limit::Network(NetworkLimit::OutputBytes))) {
            return Err(VoidReason::OutputFull);
        }
        if !fits(of_key.definition_bytes, bytes, self.key_limit(signer, KeyLimit::DefinitionBytes)) {
            return Err(VoidReason::KeyDefinitionsFull);
        }
        if !fits(self.owed.definition_bytes, bytes, self.limit(Limit::Network(NetworkLimit::DefinitionBytes))) {
            return Err(VoidReason::DefinitionsFull);
        }
        self.check_needs(signer, &arrays.iter().map(|array| Needs::of(&array.spec)).collect())
    }

    /// Whether there may be these needs too.
    pub(in crate::ledger) fn check_needs(&self, signer: &PublicKey, needs: &BTreeSet<Needs>) -> Result<(), VoidReason> {
        let is_full = |known: &BTreeMap<Arc<Needs>, u64>, most| {
            let more = needs.iter().filter(|needs| !known.contains_key(*needs)).count();
            more > 0 && known.len() + more > most
        };
        let none = BTreeMap::new();
        let of_key = self.needs_by_key.get(signer).unwrap_or(&none);
        if is_full(of_key, bounds::KEY_NEEDS_MAX) || is_full(&self.needs, bounds::NEEDS_MAX) {
            return Err(VoidReason::NeedsFull);
        }
        Ok(())
    }

    pub(in crate::ledger) fn submit(
        &mut self,
        id: JobId,
        signer: PublicKey,
        submit: &Submit,
        definition_bytes: u64,
        applied: &mut Applied,
    ) {
        self.admit(id, signer, submit, definition_bytes, None, applied);
    }

    /// Admits a job that was checked: one that was submitted, or the run of a recurring one.
    pub(in crate::ledger) fn admit(
        &mut self,
        id: JobId,
        signer: PublicKey,
        submit: &Submit,
        definition_bytes: u64,
        run_of: Option<RunOf>,
        applied: &mut Applied,
    ) {
        let number = self.next_job;
        self.next_job += 1;
        let record = JobRecord {
            number,
            submitter: signer,
            name: submit.name.clone(),
            definition_bytes,
            height: self.height,
            time: self.time,
            times: submit.times,
            after: submit.after.clone(),
            open_until: submit.open_until.filter(|until| *until > self.time),
            held: false,
            arrays: Vec::new(),
            segments: Vec::new(),
            states: BTreeMap::new(),
            began: None,
            ended: None,
            usage: Account::default(),
            run_of,
            spawns_max: submit.spawns_max,
            spawned: 0,
        };
        self.take_up(id, record);
        self.owe(signer, Owed { definition_bytes, ..Owed::default() });
        let tasks = self.add_arrays(number, &submit.arrays);
        self.counters.jobs += 1;
        applied.events.push(LedgerEvent::JobAdmitted { job: id, tasks });
        self.wait_for_jobs(number, applied);
        self.open_job(number);
        self.end_job_if_over(number, applied);
    }

    /// Takes up a job from its record, without its arrays.
    pub(in crate::ledger) fn take_up(&mut self, id: JobId, record: JobRecord) {
        let number = record.number;
        let job = Job {
            id,
            record,
            count: 0,
            standings: Vec::new(),
            graph: Graph::default(),
            counts: TaskCounts::default(),
            copies: 0,
            spread: BTreeMap::new(),
            due: None,
        };
        self.job_numbers.insert(id, number);
        self.jobs.insert(number, job);
        self.await_time(number);
    }

    /// Adds arrays to a job whose tasks have all still to come. How many tasks it has then.
    pub(in crate::ledger) fn add_arrays(&mut self, number: JobNumber, arrays: &[Array]) -> u32 {
        for array in arrays {
            // What nobody expects anything of may take as long as it may.
            let expected_ms = self.foreseen_ms(&array.spec).unwrap_or(array.spec.limits.wall_ms);
            let Some(job) = self.jobs.get_mut(&number) else { return 0 };
            let record = ArrayRecord {
                name: array.name.clone(),
                tasks: Arc::clone(&array.tasks),
                after: array.after.clone(),
                feeds: array.feeds,
            };
            let known = &job.record;
            let more = job.graph.add(&record, &array.spec, |task| known.ending_of(task));
            let place = u16::try_from(job.record.arrays.len()).unwrap_or(u16::MAX);
            let start = job.count;
            let tasks = u32::try_from(array.tasks.count()).unwrap_or(u32::MAX);
            let segment = Segment {
                array: place,
                start,
                end: start.saturating_add(tasks),
                spec: Arc::clone(&array.spec),
                terms: Terms::of(&array.spec, job.record.times.deadline),
                expected_ms,
                fresh: start,
                held: job.record.held,
                gone: None,
            };
            let (submitter, output_bytes) = (job.record.submitter, array.spec.limits.output_bytes);
            job.record.arrays.push(record);
            job.record.segments.push(segment);
            let tasks = u64::from(tasks);
            self.usage.book(Day::of(self.time), &mut job.record, None, &Entry::Tasks(tasks));
            self.owe(submitter, Owed { tasks, output_bytes: output_bytes.saturating_mul(tasks), definition_bytes: 0 });
            self.counters.tasks += tasks;
            self.take_up_segment(number);
            self.follow(number, more);
        }
        self.jobs.get(&number).map_or(0, |job| job.count)
    }

    /// Takes up the next segment of a job, of which nothing is computed yet.
    pub(in crate::ledger) fn take_up_segment(&mut self, number: JobNumber) {
        let Some(job) = self.jobs.get(&number) else { return };
        let at = job.standings.len();
        let Some(segment) = job.record.segments.get(at) else { return };
        let (needs, rank) = (self.needs_of(segment), self.rank_of(job, segment));
        let own = job.record.states.range(segment.start..segment.end).count();
        let stateless = (segment.end - segment.start).saturating_sub(u32::try_from(own).unwrap_or(u32::MAX));
        let (submitter, end, unfinished) = (job.record.submitter, segment.end, job.record.ended.is_none());
        if unfinished {
            self.need(submitter, &needs);
        }
        let Some(job) = self.jobs.get_mut(&number) else { return };
        job.standings.push(Standing { needs, rank, stateless, counted: None });
        job.count = end;
        self.stand_segment(number, at);
    }

    /// What the tasks of a segment need, in the one copy that there is of it.
    pub(in crate::ledger) fn needs_of(&self, segment: &Segment) -> Arc<Needs> {
        let needs = Needs::new(segment.terms.resources, segment.spec.labels.clone());
        self.needs.get_key_value(&needs).map_or_else(|| Arc::new(needs), |(known, _)| Arc::clone(known))
    }

    /// Where the tasks of a segment stand in the queue, as far as that is settled.
    pub(in crate::ledger) fn rank_of(&self, job: &Job, segment: &Segment) -> Rank {
        if is_planted(Fault::RankIgnored) {
            return Rank::default();
        }
        self.sequence.rank(&Facts {
            number: job.record.number,
            admitted: job.record.time,
            priority: segment.terms.priority,
            deadline: segment.terms.deadline,
            expected_ms: segment.expected_ms,
        })
    }

    /// Holds a new job against those that it waits for and that have ended already, and has it told of the others.
    fn wait_for_jobs(&mut self, number: JobNumber, applied: &mut Applied) {
        let Some(job) = self.jobs.get(&number) else { return };
        let (after, mut missed, mut met) = (job.record.after.clone(), false, BTreeSet::new());
        for waited in &after {
            let other = self.job_numbers.get(&waited.job).and_then(|other| self.jobs.get(other));
            match other.and_then(|other| other.has_met(waited.when)) {
                Some(true) => drop(met.insert(waited.job)),
                Some(false) => missed = true,
                None => drop(self.waiters.entry(waited.job).or_default().insert(number)),
            }
        }
        if let Some(job) = self.jobs.get_mut(&number) {
            job.record.after.retain(|after| !met.contains(&after.job));
        }
        if missed {
            self.skip_job(number, applied);
        }
    }
}
