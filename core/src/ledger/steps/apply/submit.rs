//! Submit: admits a job. It costs one record for each array, however many tasks the array has.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Account, Applied, Ledger, LedgerEvent, bounds,
        index::Outstanding,
        records::{jobs::JobRecord, stored, trust::Full},
    },
    schedule::ready::Needs,
    types::{Array, JobId, KeyLimit, Limit, NetworkLimit, Occurrence, Permission, Submit, VoidReason},
};

/// An amount: how to find it, how much more of it there would be, and its limits for each key and in all.
type Amount = (fn(&Outstanding) -> u64, u64, KeyLimit, NetworkLimit);

/// Why there may be no more of an amount: for the key, and in all.
const fn full_of(limit: NetworkLimit) -> (VoidReason, VoidReason) {
    match limit {
        NetworkLimit::OutputBytes => (VoidReason::KeyOutputFull, VoidReason::OutputFull),
        NetworkLimit::DefinitionBytes => (VoidReason::KeyDefinitionsFull, VoidReason::DefinitionsFull),
        NetworkLimit::Recurring => (VoidReason::KeyRecurringFull, VoidReason::RecurringFull),
        NetworkLimit::Tasks | NetworkLimit::DailyStoredBytes | NetworkLimit::UnprovenPermille => {
            (VoidReason::KeyTasksFull, VoidReason::TasksFull)
        }
    }
}

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
        self.check_quotas(signer, &submit.arrays, bytes)?;
        self.check_daily_stored(signer, &submit.arrays, u64::from(submit.spawns_max), bytes)
    }

    /// Whether a submitter may have this much more outstanding.
    pub(in crate::ledger) fn check_quotas(
        &self,
        signer: &PublicKey,
        arrays: &[Array],
        bytes: u64,
    ) -> Result<(), VoidReason> {
        let (of_key, in_all) = (self.index.quotas().outstanding_of(signer), self.index.quotas().outstanding());
        let trust = self.trust(Permission::Submit, signer);
        let tasks = arrays.iter().map(|array| array.tasks.count() as u64).sum();
        let amounts: [Amount; 3] = [
            (|own| own.tasks, tasks, KeyLimit::Tasks, NetworkLimit::Tasks),
            (|own| own.output_bytes, output_bytes(arrays), KeyLimit::OutputBytes, NetworkLimit::OutputBytes),
            (|own| own.definition_bytes, bytes, KeyLimit::DefinitionBytes, NetworkLimit::DefinitionBytes),
        ];
        for (of, more, key_limit, network_limit) in amounts {
            let (most_of_key, most) = (self.key_limit(signer, key_limit), self.limit(Limit::Network(network_limit)));
            let (key_is_full, is_full) = full_of(network_limit);
            of(&of_key).checked_add(more).filter(|sum| *sum <= most_of_key).ok_or(key_is_full)?;
            self.room(most).takes(&in_all.amounts(of), trust, more).map_err(|full| full.reason(is_full))?;
        }
        self.check_needs(signer, &arrays.iter().map(|array| Needs::of(&array.spec)).collect())
    }

    /// Whether a submitter's jobs may make every peer store what these tasks leave at most, and so many that they may
    /// spawn, and their definition.
    pub(in crate::ledger) fn check_daily_stored(
        &self,
        signer: &PublicKey,
        arrays: &[Array],
        spawns_max: u64,
        definition_bytes: u64,
    ) -> Result<(), VoidReason> {
        let trust = self.trust(Permission::Submit, signer);
        let stored = self.records.stored();
        let stored_bytes = |array: &Array| {
            let task_bytes = stored::task_bytes(&self.genesis.ledger, array.spec.redundancy);
            task_bytes.saturating_mul(array.tasks.count() as u64)
        };
        let spawned_bytes = spawns_max.saturating_mul(stored::task_bytes(&self.genesis.ledger, None));
        let more = arrays.iter().map(stored_bytes).fold(spawned_bytes, u64::saturating_add);
        let more = more.saturating_add(definition_bytes);
        let most_of_key = self.key_limit(signer, KeyLimit::DailyStoredBytes);
        let of_key = stored.of(signer).saturating_add(more);
        if is_planted(Fault::StoredUnbounded) {
            return Ok(());
        }
        if of_key > most_of_key {
            return Err(VoidReason::KeyDailyStoredFull);
        }
        let room = self.room(self.limit(Limit::Network(NetworkLimit::DailyStoredBytes)));
        room.takes(stored.by_trust(), trust, more).map_err(|_| VoidReason::DailyStoredFull)
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
        // Needs that submitters of another trust have too count once for each trust here.
        let (trust, by_trust) = (self.trust(Permission::Submit, signer), self.index.quotas().needs_by_trust());
        let more = needs.iter().filter(|needs| !by_trust.of(trust).contains_key(*needs)).count() as u64;
        let taken = by_trust.amounts(|known| known.len() as u64);
        match self.room(bounds::NEEDS_MAX as u64).takes(&taken, trust, more) {
            Err(full @ (Full::ForUnproven | Full::ForStrangers)) if more > 0 => Err(full.reason(VoidReason::NeedsFull)),
            _ => Ok(()),
        }
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
        let admission = self.records.admit();
        let number = admission.number;
        let record = JobRecord {
            number,
            submitter: signer,
            name: submit.name.clone(),
            definition_bytes,
            height: self.height(),
            time: admission.time,
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
            deaths: BTreeMap::new(),
        };
        self.take_up(id, record);
        match occurrence_of {
            // Its definition was stored once, with the recurring job.
            Some(_) => self.add_outstanding(signer, Outstanding::definition(definition_bytes)),
            None => self.charge_definition(signer, definition_bytes),
        }
        let tasks = self.add_arrays(number, &submit.arrays, admission);
        self.records.counters_mut().jobs += 1;
        applied.events.push(LedgerEvent::JobAdmitted { job: id, tasks });
        self.wait_for_jobs(number, applied);
        self.open_job(number);
        self.end_job_if_over(number, applied);
    }
}
