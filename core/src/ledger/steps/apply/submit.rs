//! Submit: admits a job. It costs one record for each array, however many tasks the array has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    identity::PublicKey,
    ledger::{Account, Applied, Ledger, LedgerEvent, bounds, index::Outstanding, records::jobs::JobRecord},
    schedule::ready::Needs,
    types::{Array, JobId, KeyLimit, Limit, NetworkLimit, Occurrence, Submit, VoidReason},
};

/// The bytes of output that arrays may leave. An overflow counts as larger than any bound.
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
        let passed = |time| time <= self.time();
        if submit.times.deadline.is_some_and(passed) {
            return Err(VoidReason::DeadlinePassed);
        }
        if submit.after.iter().any(|after| self.index.number_of(&after.job).is_none()) {
            return Err(VoidReason::UnknownJob);
        }
        self.check_quotas(signer, &submit.arrays, bytes)
    }

    /// Whether a submitter may have this much more outstanding.
    pub(in crate::ledger) fn check_quotas(
        &self,
        signer: &PublicKey,
        arrays: &[Array],
        bytes: u64,
    ) -> Result<(), VoidReason> {
        let (of_key, in_all) = (self.index.quotas().outstanding_of(signer), self.index.quotas().outstanding());
        let tasks = arrays.iter().map(|array| array.tasks.count() as u64).sum();
        let output_bytes = output_bytes(arrays);
        let fits =
            |outstanding: u64, more: u64, most: u64| outstanding.checked_add(more).is_some_and(|sum| sum <= most);
        if !fits(of_key.tasks, tasks, self.key_limit(signer, KeyLimit::Tasks)) {
            return Err(VoidReason::KeyTasksFull);
        }
        if !fits(in_all.tasks, tasks, self.limit(Limit::Network(NetworkLimit::Tasks))) {
            return Err(VoidReason::TasksFull);
        }
        if !fits(of_key.output_bytes, output_bytes, self.key_limit(signer, KeyLimit::OutputBytes)) {
            return Err(VoidReason::KeyOutputFull);
        }
        if !fits(in_all.output_bytes, output_bytes, self.limit(Limit::Network(NetworkLimit::OutputBytes))) {
            return Err(VoidReason::OutputFull);
        }
        if !fits(of_key.definition_bytes, bytes, self.key_limit(signer, KeyLimit::DefinitionBytes)) {
            return Err(VoidReason::KeyDefinitionsFull);
        }
        if !fits(in_all.definition_bytes, bytes, self.limit(Limit::Network(NetworkLimit::DefinitionBytes))) {
            return Err(VoidReason::DefinitionsFull);
        }
        self.check_needs(signer, &arrays.iter().map(|array| Needs::of(&array.spec)).collect())
    }

    /// Whether unfinished jobs may have these needs in addition.
    pub(in crate::ledger) fn check_needs(&self, signer: &PublicKey, needs: &BTreeSet<Needs>) -> Result<(), VoidReason> {
        let is_full = |known: &BTreeMap<Arc<Needs>, u64>, most| {
            let more = needs.iter().filter(|needs| !known.contains_key(*needs)).count();
            more > 0 && known.len() + more > most
        };
        let none = BTreeMap::new();
        let of_key = self.index.quotas().needs_of(signer).unwrap_or(&none);
        if is_full(of_key, bounds::KEY_NEEDS_MAX) || is_full(self.index.quotas().needs(), bounds::NEEDS_MAX) {
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

    /// Admits a job that was checked: a submitted one, or an occurrence of a recurring one.
    pub(in crate::ledger) fn admit(
        &mut self,
        id: JobId,
        signer: PublicKey,
        submit: &Submit,
        definition_bytes: u64,
        occurrence_of: Option<Occurrence>,
        applied: &mut Applied,
    ) {
        let number = self.records.number_job();
        let record = JobRecord {
            number,
            submitter: signer,
            name: submit.name.clone(),
            definition_bytes,
            height: self.height(),
            time: self.time(),
            times: submit.times,
            after: submit.after.clone(),
            open_until: submit.open_until.filter(|until| *until > self.time()),
            held: false,
            arrays: Vec::new(),
            segments: Vec::new(),
            states: BTreeMap::new(),
            began: None,
            ended: None,
            usage: Account::default(),
            occurrence_of,
            spawns_max: submit.spawns_max,
            spawned: 0,
        };
        self.take_up(id, record);
        self.add_outstanding(signer, Outstanding::definition(definition_bytes));
        let tasks = self.add_arrays(number, &submit.arrays);
        self.records.counters_mut().jobs += 1;
        applied.events.push(LedgerEvent::JobAdmitted { job: id, tasks });
        self.wait_for_jobs(number, applied);
        self.open_job(number);
        self.end_job_if_over(number, applied);
    }
}
