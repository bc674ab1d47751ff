//! In debug builds: checks after a block that the index matches the records. The check computes a new index, as a
//! restart would, and compares it with the present one.
//!
//! The cost grows with the records, and blocks are frequent. A small ledger is checked after every block. A large one
//! is checked so seldom that the average cost stays below [`RECORDS_EACH`] records per block.

use std::sync::Arc;

use super::{Index, JobIndex, SegmentSummary};
use crate::ledger::{Ledger, records::jobs::Job};

/// How many records a block may cost on average.
const RECORDS_EACH: u64 = 128;

impl Ledger {
    /// Panics if the index does not match the records.
    pub(in crate::ledger) fn check_index(&self) {
        if self.height().0.is_multiple_of(1 + self.size() / RECORDS_EACH)
            && let Some(difference) = self.index_flaw()
        {
            debug_assert!(false, "after block {} {difference}", self.height());
        }
    }

    /// Roughly how many records a check takes up.
    fn size(&self) -> u64 {
        let (records, counts) = (&self.records, self.index.counts());
        let tasks = counts.all() - counts.ready - counts.blocked;
        // An executed transaction is two words in two maps.
        let executed = records.replay().entries().len() as u64 / 16;
        records.jobs().len() as u64 + records.workers().len() as u64 + executed + tasks
    }

    /// The part of the index that does not match the records, if any.
    pub(in crate::ledger) fn index_flaw(&self) -> Option<String> {
        let anew = match Self::of_records(Arc::clone(&self.genesis), self.network, self.saved()) {
            Ok(anew) => anew,
            Err(error) => return Some(format!("the records are not sound: {error}")),
        };
        let of_job = |(own, anew): (&Job, &Job)| {
            own.index.flaw(&anew.index, own.record.ended.is_some()).map(|what| (own.id, what))
        };
        let mut jobs = self.records.jobs().values().zip(anew.records.jobs().values());
        if let Some((id, what)) = jobs.find_map(of_job) {
            return Some(format!("the {what} of job {id} are not what the records give"));
        }
        let mut workers = self.records.workers().iter().zip(anew.records.workers().values());
        if let Some(((key, _), _)) = workers.find(|((_, own), anew)| own.index != anew.index) {
            return Some(format!("what worker {key} holds, or where it stands, is not what the records give"));
        }
        let own = [
            ("what is executed", self.records.replay() == anew.records.replay()),
            ("who has had what", self.records.shares() == anew.records.shares()),
            ("what was learned", self.records.estimates() == anew.records.estimates()),
            ("what is accounted for", self.records.usage() == anew.records.usage()),
            ("the stall threshold", self.stall_threshold_ms == anew.stall_threshold_ms),
        ];
        let mut parts = own.into_iter().chain(self.index.parts_like(&anew.index));
        let (what, _) = parts.find(|(_, are_equal)| !are_equal)?;
        Some(format!("{what}: this is not what the records give"))
    }
}

impl Index {
    /// Each part, and whether it equals the part of the new index. Memos only have to keep their own rules between
    /// blocks.
    fn parts_like(&self, anew: &Self) -> impl Iterator<Item = (&'static str, bool)> {
        let Self {
            job_numbers,
            claims_standing,
            places,
            workers_known,
            quotas,
            counts,
            due,
            recurring,
            waiters,
            slow,
            preemptible,
            preemptors,
            ready,
            open,
            ..
        } = self;
        let parts = [
            ("the numbers of jobs", *job_numbers == anew.job_numbers),
            ("how many claims stand", *claims_standing == anew.claims_standing),
            ("how many places workers take", *places == anew.places),
            ("how many workers are known", *workers_known == anew.workers_known),
            ("what submitters have taken", *quotas == anew.quotas),
            ("how many tasks are in which state", *counts == anew.counts),
            ("deadlines", *due == anew.due),
            ("recurring jobs", *recurring == anew.recurring),
            ("who waits for which job", *waiters == anew.waiters),
            ("slow attempts", *slow == anew.slow),
            ("what can be preempted", *preemptible == anew.preemptible),
            ("for whom attempts are preempted", *preemptors == anew.preemptors),
            ("the queue", ready.holds_as(&anew.ready)),
            ("the claims that are open", *open == anew.open),
            ("jobs that have just ended", self.just_ended.is_empty()),
            ("what is yet to settle", self.unsettled.is_empty()),
            ("what has changed since the last matching", self.changed.is_empty()),
        ];
        parts.into_iter()
    }
}

impl JobIndex {
    /// The part that differs from the new one, if any.
    fn flaw(&self, anew: &Self, has_ended: bool) -> Option<&'static str> {
        let Self { count, summaries, graph, counts, leased, speculative, spread, due } = self;
        let alike = |(own, anew): (&SegmentSummary, &SegmentSummary)| own.is_like(anew, has_ended);
        let parts = [
            ("tasks", *count == anew.count),
            ("segments", summaries.len() == anew.summaries.len() && summaries.iter().zip(&anew.summaries).all(alike)),
            ("things waited for", *graph == anew.graph),
            ("counts", *counts == anew.counts),
            ("leases", *leased == anew.leased),
            ("speculative attempts", *speculative == anew.speculative),
            ("leases by label", *spread == anew.spread),
            ("deadlines", *due == anew.due),
        ];
        parts.into_iter().find(|(_, are_equal)| !are_equal).map(|(what, _)| what)
    }
}

impl SegmentSummary {
    /// Whether two summaries describe the same tasks. How zero tasks are counted does not matter. Neither do the
    /// needs once the job has ended.
    fn is_like(&self, other: &Self, has_ended: bool) -> bool {
        let counted = |summary: &Self| summary.counted.filter(|(_, count)| *count > 0);
        self.stateless == other.stateless
            && counted(self) == counted(other)
            && (has_ended || self.needs == other.needs && self.rank == other.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::{
            index::Outstanding,
            records::trust::Trust,
            tests::mesh::{Mesh, genesis, key, offer, spec},
        },
        schedule::ready::ReadyQueue,
    };

    /// Finds the flaw in a ledger that has something in each part, after one part is spoilt.
    fn flaw(spoil: impl FnOnce(&mut Ledger)) -> Option<String> {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(1, 1));
        mesh.submit(&key(100), 4, spec());
        mesh.next();
        assert_eq!(mesh.ledger.index_flaw(), None);
        spoil(&mut mesh.ledger);
        mesh.ledger.index_flaw()
    }

    #[test]
    fn an_index_that_is_not_what_the_records_give_is_found_and_named() {
        let named = |flaw: Option<String>, what: &str| {
            assert!(flaw.as_ref().is_some_and(|flaw| flaw.contains(what)), "{what}: {flaw:?}");
        };
        named(flaw(|ledger| ledger.index.counts.ready += 1), "in which state");
        named(flaw(|ledger| ledger.index.claims_standing += 1), "claims stand");
        named(flaw(|ledger| ledger.index.places.count(Trust::Unproven, true)), "places");
        named(flaw(|ledger| ledger.index.workers_known.count(Trust::Proven, true)), "known");
        named(flaw(|ledger| ledger.index.due.attempts.clear()), "deadlines");
        named(flaw(|ledger| ledger.index.ready = ReadyQueue::default()), "queue");
        named(flaw(|ledger| ledger.add_outstanding(key(100).public(), Outstanding::definition(1))), "have taken");
        named(flaw(|ledger| ledger.index.changed.extend([key(1).public()])), "last matching");
        let first = |ledger: &Ledger| *ledger.records.jobs().keys().next().expect("a job");
        named(
            flaw(|ledger| ledger.records.job_mut(first(ledger)).expect("a job").index.speculative += 1),
            "speculative attempts",
        );
        let worker = key(1).public();
        named(flaw(|ledger| ledger.records.worker_mut(&worker).expect("known").index.leases.millicores += 1), "holds");
        named(flaw(|ledger| ledger.records.counters_mut().jobs = u64::MAX), "not sound");
    }
}
