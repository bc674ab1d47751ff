//! Speculative attempts. If an attempt takes far longer than most of its program's, a second one may run beside it,
//! at a worker that has nothing else to do. The first success is accepted, and the other attempt ends. (Backup tasks:
//! Dean and Ghemawat, MapReduce, OSDI 2004, §3.6.)
//!
//! An attempt gets at most one speculative attempt, ever, and a speculative attempt gets none. Ready tasks come
//! first: a claim gets a speculative attempt only if no ready task waits for it. A speculative attempt counts like
//! any lease towards its submitter's quota. If one of the two ends badly, that is counted, and the task goes on with
//! the other.

use std::{cell::Cell, collections::BTreeSet, sync::Arc};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, Ledger,
        records::jobs::{Allocation, AttemptRef, Speculation, TaskRef},
    },
    schedule::{
        estimate::{Estimate, SLOW_MS_MIN},
        placement::{Opening, choose::Cursor},
        ready::Needs,
        recovery::{Allowed, Avoidance},
    },
    types::TaskSpec,
};

/// How many slow attempts one block looks at, at most: the oldest.
const LOOKS_MAX: usize = 1024;
/// How many searches for a claim may fail in one block.
const VAIN_MAX: usize = 16;

impl Ledger {
    /// When an attempt that takes resources now is first compared with others of its program.
    pub(in crate::ledger) fn first_speculation(&self, spec: &TaskSpec) -> Speculation {
        if !spec.speculation || spec.redundancy.is_some() {
            return Speculation::Settled;
        }
        let after_ms = self.slow_after_ms(spec).unwrap_or(SLOW_MS_MIN);
        Speculation::Watched(self.lease_time().plus_ms(after_ms.saturating_add(1)))
    }

    fn slow_after_ms(&self, spec: &TaskSpec) -> Option<u64> {
        self.records.estimates().of(&spec.program_blob().digest).and_then(Estimate::slow_after_ms)
    }

    /// Compares an attempt with the estimate for its program. Without an estimate, the next look is when it has run
    /// twice as long. If it is not slow, the next look is no sooner than after another quarter of its time. This
    /// keeps the looks few.
    pub(in crate::ledger) fn look_for_straggler(&mut self, attempt: AttemptRef) {
        let (task, now) = (attempt.task(), self.lease_time());
        let Some(job) = known(self.records.job(task.job)) else { return };
        let Some((lease, spec)) = known(job.lease(task.index).zip(job.spec(task.index))) else { return };
        let Some(Allocation { since, .. }) = known(lease.allocation) else { return };
        let ran_ms = lease.ran_ms(now);
        let speculation = match self.slow_after_ms(spec) {
            Some(after_ms) if ran_ms > after_ms => Speculation::Slow,
            Some(after_ms) => {
                let after_ms = after_ms.saturating_add(1).max(ran_ms.saturating_add(ran_ms / 4));
                Speculation::Watched(since.plus_ms(after_ms))
            }
            None => Speculation::Watched(since.plus_ms(ran_ms.max(SLOW_MS_MIN).saturating_mul(2))),
        };
        self.set_speculation(attempt, speculation);
    }

    /// After all ready tasks have been placed, gives speculative attempts, the oldest first, to claims that have
    /// resources left.
    pub(in crate::ledger) fn lease_speculatively(&mut self, applied: &mut Applied) {
        let slow: Vec<TaskRef> = self.index.slow().take(LOOKS_MAX).collect();
        let mut full: BTreeSet<Arc<Needs>> = BTreeSet::new();
        let mut vain = 0;
        for task in slow {
            if self.index.open().is_empty(Opening::Resources) || vain == VAIN_MAX {
                return;
            }
            let Some(needs) = self.needs_of_speculative(task).filter(|needs| !full.contains(needs)) else { continue };
            match self.find_for_speculative(task, &needs) {
                Ok(key) => self.lease_speculative(task, key, applied),
                Err(Unfound { elsewhere }) => {
                    vain += 1;
                    if !elsewhere {
                        full.insert(needs);
                    }
                }
            }
        }
    }

    /// What a task needs, if it may be leased now.
    fn needs_of_speculative(&self, task: TaskRef) -> Option<Arc<Needs>> {
        let job = self.records.job(task.job)?;
        let may_go = !job.segment(task.index)?.held && !self.is_frozen(&job.record.submitter);
        job.needs(task.index).filter(|_| may_go).cloned()
    }

    /// The best claim for a speculative attempt. It is never where the first attempt runs, nor at a worker that the
    /// task avoids.
    fn find_for_speculative(&self, task: TaskRef, needs: &Needs) -> Result<PublicKey, Unfound> {
        let elsewhere = Cell::new(false);
        let live = self.records.job(task.job).and_then(|job| job.live(task.index));
        let Some((live, own)) = known(live.and_then(|live| Some((live, live.lease()?.worker)))) else {
            return Err(Unfound { elsewhere: false });
        };
        let past = live.history().past.iter().filter(|past| past.avoided).map(|past| past.worker);
        let own = Some(own).filter(|_| !is_planted(Fault::SpeculativeAtTheSame));
        let avoidance = Avoidance::of(past.chain(own));
        let permits = |key: &PublicKey| {
            let permitted = avoidance.permits(Allowed::NEWCOMERS, key, self.is_on_trial(key));
            elsewhere.set(elsewhere.get() || !permitted);
            permitted
        };
        let found = self.search(Opening::Resources, needs, task, permits, &mut Cursor::default());
        found.ok_or(Unfound { elsewhere: elsewhere.get() })
    }
}

/// No claim was found.
struct Unfound {
    /// Some claims could take it, but it may not go there. Another task's attempt may.
    elsewhere: bool,
}
