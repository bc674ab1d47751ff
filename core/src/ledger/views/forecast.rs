//! Forecasts when a job ends at the earliest, so that its submitter learns at once that a deadline cannot be met.

use crate::{
    ledger::{Ledger, records::workers::StandingClaim},
    schedule::{estimate::Estimate, ready::Needs},
    types::{Array, BlockTime, Claim, Submit, TaskSpec},
};

impl Ledger {
    /// When a job that is submitted now ends at the earliest, if that is after its deadline. The forecast takes the
    /// standing claims, and assumes that nothing else runs there. Attempts take as long as was learned of their
    /// programs, or as was declared. A task without an expected time takes no time, and a task that no standing claim
    /// could hold is not waited for.
    #[must_use]
    pub fn misses_deadline(&self, submit: &Submit) -> Option<BlockTime> {
        let deadline = submit.times.deadline?;
        let begins = submit.times.not_before.map_or(self.time(), |time| time.max(self.time()));
        let mut ends: Vec<BlockTime> = Vec::with_capacity(submit.arrays.len());
        for array in &submit.arrays {
            let waits = array.after.iter().filter_map(|after| ends.get(usize::from(after.array)).copied());
            let from = waits.fold(begins, BlockTime::max);
            ends.push(from.plus_ms(self.least_ms(array)));
        }
        ends.into_iter().max().filter(|end| *end > deadline)
    }

    /// The least time that an array takes, in milliseconds.
    fn least_ms(&self, array: &Array) -> u64 {
        let (each_ms, tasks) = (self.foreseen_ms(&array.spec).unwrap_or(0), array.tasks.count() as u64);
        let at_once: u64 = self.places(&Needs::of(&array.spec));
        let rounds = if at_once == 0 { 1 } else { tasks.div_ceil(at_once) };
        each_ms.saturating_mul(rounds)
    }

    /// How long an attempt is expected to run, in milliseconds, if anything is known: as learned of its program,
    /// otherwise as declared, and at most its wall time.
    pub(in crate::ledger) fn foreseen_ms(&self, spec: &TaskSpec) -> Option<u64> {
        let learned = self.records.estimates().of(&spec.program_blob().digest).and_then(Estimate::mean_ms);
        let declared = Some(spec.expected_ms).filter(|declared| *declared > 0);
        learned.or(declared).map(|ms| ms.min(spec.limits.wall_ms))
    }

    /// How many tasks with these needs the standing claims could run at once.
    fn places(&self, needs: &Needs) -> u64 {
        let standing = self.records.workers().values().filter_map(|worker| worker.record.standing.as_ref());
        standing.filter(|standing| standing.could_ever_hold(needs)).map(|standing| places_of(standing, needs)).sum()
    }
}

fn places_of(StandingClaim { claim, .. }: &StandingClaim, needs: &Needs) -> u64 {
    let Claim { slots, resources, .. } = claim;
    let by = |offered: u64, needed: u64| offered.checked_div(needed).unwrap_or(u64::MAX);
    let cores = by(resources.millicores.into(), needs.millicores.into());
    u64::from(*slots).min(cores).min(by(resources.memory_bytes, needs.memory_bytes))
}
