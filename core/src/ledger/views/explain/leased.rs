//! What speaks for the claim to which a task went.

use std::collections::BTreeMap;

use super::{
    NAMED_MAX,
    reasons::{Avoided, LargestInput, LeaseStage, Leased, LeasesAt, PreemptionFor, Preference, SpeculationNow, Spread},
};
use crate::{
    identity::PublicKey,
    ledger::{
        Ledger,
        records::jobs::{Job, Lease, Live, Speculation, TaskRef},
    },
    types::Claim,
};

impl Ledger {
    pub(in crate::ledger) fn why_leased(&self, job: &Job, task: TaskRef) -> Option<Leased> {
        let live = job.live(task.index)?;
        let lease = live.lease()?;
        let (spec, needs) = (job.spec(task.index)?, job.needs(task.index)?);
        let standing = |key: &PublicKey| self.records.worker(key)?.record.standing.as_ref();
        let claim = standing(&lease.worker).map(|standing| &standing.claim);
        let label = |label: &str| claim.and_then(|claim| claim.labels.get(label));
        let prefers = spec.prefers.iter().map(|(name, value)| Preference {
            label: name.clone(),
            value: value.clone(),
            met: label(name) == Some(value),
        });
        let input = job.largest_input(task.index);
        let stage = match (lease.commitment(), lease.allocation) {
            (Some(commitment), _) => {
                LeaseStage::Committed { reveal_until: commitment.reveal_until.map(|until| self.at(until)) }
            }
            (None, Some(allocation)) => {
                LeaseStage::Running { since: allocation.started, ends: self.at(allocation.ends) }
            }
            (None, None) => LeaseStage::Waiting { ends: self.at(lease.waits_until) },
        };
        let capable = self.records.workers().values().filter_map(|worker| worker.record.standing.as_ref());
        let capable = capable.filter(|standing| standing.could_ever_hold(needs)).count();
        Some(Leased {
            attempt: lease.attempt.0,
            worker: lease.worker,
            incarnation: lease.incarnation.0,
            leased: lease.leased,
            stage,
            standing: u32::try_from(self.index.claims_standing()).unwrap_or(u32::MAX),
            capable: u32::try_from(capable).unwrap_or(u32::MAX),
            prefers: prefers.collect(),
            spread: spec.spread.as_deref().and_then(|label| self.spread_over(job, task.index, label, claim)),
            input: input.map(|digest| {
                let cached = claim.is_some_and(|claim| claim.blobs.contains(&digest));
                LargestInput { digest, cached }
            }),
            placement: self.records.rules().schedule().placement.clone(),
            avoids: self.avoided_by(live),
            preemption: lease
                .preemption
                .as_ref()
                .map(|preemption| PreemptionFor { by: preemption.by, until: self.at(preemption.until) }),
            speculation: self.speculation_of(lease),
            alone: self.runs_alone(job.task_id(task.index)),
        })
    }

    /// What is known about an attempt's speed.
    fn speculation_of(&self, lease: &Lease) -> SpeculationNow {
        match (&lease.speculative, lease.allocation.map(|allocation| allocation.speculation)) {
            (Some(speculative), _) => SpeculationNow::Speculated {
                attempt: speculative.attempt.0,
                worker: speculative.worker,
                leased: speculative.leased,
            },
            (None, Some(Speculation::Watched(look))) => SpeculationNow::Watched { look: self.at(look) },
            (None, Some(Speculation::Slow)) => SpeculationNow::Slow,
            (None, Some(Speculation::Settled) | None) => SpeculationNow::Unwatched,
        }
    }

    /// How many leases of a task's array are at each value of a label that claims have.
    fn spread_over(&self, job: &Job, index: u32, label: &str, claim: Option<&Claim>) -> Option<Spread> {
        let (array, _) = job.array_index(index)?;
        let counts = job.index.spread(array);
        let at = |value: &str| counts.and_then(|counts| counts.get(value)).copied().unwrap_or(0);
        let value = claim.and_then(|claim| claim.labels.get(label)).cloned();
        let mut values: Vec<LeasesAt> = self
            .index
            .open()
            .values(label)
            .map(|value| LeasesAt { value: value.to_owned(), leases: at(value) })
            .collect();
        let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
        // The claim's own value first, then those with the fewest leases. The values with many are seldom of
        // interest.
        values.sort_unstable_by_key(|one| (Some(&one.value) != value.as_ref(), one.leases, one.value.clone()));
        values.truncate(NAMED_MAX);
        Some(Spread { label: label.to_owned(), value, leases: values, values: count })
    }

    /// The workers that a task avoids, and why.
    pub(in crate::ledger) fn avoided_by(&self, live: &Live) -> Vec<Avoided> {
        let mut avoided: BTreeMap<PublicKey, Avoided> = BTreeMap::new();
        for past in live.history().past.iter().filter(|past| past.avoided) {
            let worker = past.worker;
            let stands = self.records.worker(&worker).is_some_and(|worker| worker.record.standing.is_some());
            let one = avoided.entry(worker).or_insert(Avoided { worker, attempts: 0, last: past.why, stands });
            one.attempts += 1;
            one.last = past.why;
        }
        avoided.into_values().collect()
    }
}
