//! Submit: admits a job. It costs one record, however many tasks there are.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Applied, Ledger, LedgerEvent, Owed, bounds,
        jobs::{Job, JobRecord, TaskCounts, TaskState},
    },
    schedule::{
        estimate::Estimate,
        order::{Facts, Rank},
        ready::Needs,
    },
    types::{JobId, Submit, TaskSpec, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_submit(
        &self,
        signer: &PublicKey,
        submit: &Submit,
        bytes: u64,
    ) -> Result<(), VoidReason> {
        let limits = &self.genesis.ledger;
        bounds::check_submit(limits, submit)?;
        if submit.deadline.is_some_and(|deadline| deadline <= self.time) {
            return Err(VoidReason::DeadlinePassed);
        }
        let of_key = self.owed_by_key.get(signer).copied().unwrap_or_default();
        let tasks = submit.tasks.count() as u64;
        // A promise that cannot be counted is larger than any bound.
        let output_bytes = submit.spec.limits.output_bytes.saturating_mul(tasks);
        let fits = |owed: u64, more: u64, most: u64| owed.checked_add(more).is_some_and(|sum| sum <= most);
        if !fits(of_key.tasks, tasks, limits.key_tasks_max) {
            return Err(VoidReason::KeyTasksFull);
        }
        if !fits(self.owed.tasks, tasks, limits.tasks_max) {
            return Err(VoidReason::TasksFull);
        }
        if !fits(of_key.output_bytes, output_bytes, limits.key_output_bytes_max) {
            return Err(VoidReason::KeyOutputFull);
        }
        if !fits(self.owed.output_bytes, output_bytes, limits.output_bytes_max) {
            return Err(VoidReason::OutputFull);
        }
        if !fits(of_key.definition_bytes, bytes, limits.key_definition_bytes_max) {
            return Err(VoidReason::KeyDefinitionsFull);
        }
        if !fits(self.owed.definition_bytes, bytes, limits.definition_bytes_max) {
            return Err(VoidReason::DefinitionsFull);
        }
        let needs = Needs::of(&submit.spec);
        let is_full = |known: &BTreeMap<Arc<Needs>, u64>, most| known.len() >= most && !known.contains_key(&needs);
        let of_key_full = self.needs_by_key.get(signer).is_some_and(|known| is_full(known, bounds::KEY_NEEDS_MAX));
        if of_key_full || is_full(&self.needs, bounds::NEEDS_MAX) {
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
        let record = JobRecord {
            number: self.next_job,
            submitter: signer,
            name: submit.name.clone(),
            spec: Arc::clone(&submit.spec),
            tasks: Arc::clone(&submit.tasks),
            deadline: submit.deadline,
            expected_ms: self.expected_ms(&submit.spec),
            definition_bytes,
            height: self.height,
            time: self.time,
            fresh: 0,
            states: BTreeMap::new(),
            cancelled: false,
            ended: None,
        };
        self.next_job += 1;
        if self.sequence.is_fair() && self.owed_by_key.get(&signer).is_none_or(|owed| owed.tasks == 0) {
            self.shares.begin(&signer);
        }
        let tasks = self.admit(id, record);
        self.counters.jobs += 1;
        self.counters.tasks += u64::from(tasks);
        applied.events.push(LedgerEvent::JobAdmitted { job: id, tasks });
    }

    /// How long an attempt is expected to run, in milliseconds: as was learned of its program, else as is declared, else as
    /// long as it may.
    fn expected_ms(&self, spec: &TaskSpec) -> u64 {
        let learned = self.estimates.of(&spec.program_blob().digest).and_then(Estimate::mean_ms);
        let declared = Some(spec.expected_ms).filter(|declared| *declared > 0);
        learned.or(declared).unwrap_or(spec.limits.wall_ms).min(spec.limits.wall_ms)
    }

    /// Takes up a job from its record, whose tasks with states of their own are yet to be attached. How many tasks it has.
    pub(in crate::ledger) fn admit(&mut self, id: JobId, record: JobRecord) -> u32 {
        let count = u32::try_from(record.tasks.count()).unwrap_or(u32::MAX);
        let rank = self.sequence.rank(&Facts {
            number: record.number,
            admitted: record.time,
            priority: record.spec.priority,
            deadline: record.deadline,
            expected_ms: record.expected_ms,
        });
        let rank = if is_planted(Fault::RankIgnored) { Rank::default() } else { rank };
        let mut needs = Arc::new(Needs::of(&record.spec));
        if let Some((known, _)) = self.needs.get_key_value(&needs) {
            needs = Arc::clone(known);
        }
        if record.ended.is_none() {
            *self.needs.entry(Arc::clone(&needs)).or_default() += 1;
            let of_key = self.needs_by_key.entry(record.submitter).or_default();
            *of_key.entry(Arc::clone(&needs)).or_default() += 1;
        }
        let number = record.number;
        let mut job = Job { id, count, needs, rank, counts: TaskCounts::default(), spread: BTreeMap::new(), record };
        let live = job.record.states.values().filter(|state| matches!(state, TaskState::Live(_)));
        let mut unfinished = live.count() as u64;
        if !job.record.cancelled && job.record.fresh < count {
            let fresh = u64::from(count - job.record.fresh);
            job.counts.ready = fresh;
            self.counts.ready += fresh;
            unfinished += fresh;
            self.ready.push(&job.run(), &self.sequence, &self.shares);
        }
        self.owe(&job, unfinished);
        self.job_numbers.insert(id, number);
        self.jobs.insert(number, job);
        count
    }

    /// Counts one unfinished job less of a submitter and of these needs.
    pub(in crate::ledger) fn need_no_more(&mut self, submitter: PublicKey, needs: &Arc<Needs>) {
        let less = |known: &mut BTreeMap<Arc<Needs>, u64>| {
            if let Some(jobs) = known.get_mut(needs) {
                *jobs -= 1;
                if *jobs == 0 {
                    known.remove(needs);
                }
            }
        };
        less(&mut self.needs);
        if let Some(of_key) = self.needs_by_key.get_mut(&submitter) {
            less(of_key);
            if of_key.is_empty() {
                self.needs_by_key.remove(&submitter);
            }
        }
    }

    /// Counts what is owed of a job of which so many tasks are unfinished.
    pub(in crate::ledger) fn owe(&mut self, job: &Job, tasks: u64) {
        let output_bytes = job.record.spec.limits.output_bytes.saturating_mul(tasks);
        let more = Owed { tasks, output_bytes, definition_bytes: job.record.definition_bytes };
        if more == Owed::default() {
            return;
        }
        let of_key = self.owed_by_key.entry(job.record.submitter).or_default();
        for owed in [of_key, &mut self.owed] {
            owed.tasks = owed.tasks.saturating_add(more.tasks);
            owed.output_bytes = owed.output_bytes.saturating_add(more.output_bytes);
            owed.definition_bytes = owed.definition_bytes.saturating_add(more.definition_bytes);
        }
    }

    /// Counts so many fewer unfinished tasks of a submitter, each of which promised so many bytes.
    pub(in crate::ledger) fn settle_debt(&mut self, submitter: PublicKey, output_bytes: u64, tasks: u64) {
        let output_bytes = output_bytes.saturating_mul(tasks);
        self.owe_less(submitter, Owed { tasks, output_bytes, definition_bytes: 0 });
    }

    pub(in crate::ledger) fn owe_less(&mut self, submitter: PublicKey, less: Owed) {
        let lower = |owed: &mut Owed| {
            owed.tasks = owed.tasks.saturating_sub(less.tasks);
            owed.output_bytes = owed.output_bytes.saturating_sub(less.output_bytes);
            owed.definition_bytes = owed.definition_bytes.saturating_sub(less.definition_bytes);
        };
        lower(&mut self.owed);
        if let Some(of_key) = self.owed_by_key.get_mut(&submitter) {
            lower(of_key);
            if of_key.tasks == 0 && less.tasks > 0 && self.sequence.is_fair() {
                self.shares.end(&submitter);
            }
            if *of_key == Owed::default() {
                self.owed_by_key.remove(&submitter);
            }
        }
    }
}
