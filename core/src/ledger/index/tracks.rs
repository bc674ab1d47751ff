//! Books what became of what a worker computed in its track record, and follows its score where placement looks at the
//! record.

use crate::{
    identity::PublicKey,
    invariant::known,
    ledger::{
        EndReason, Ledger,
        records::{
            jobs::{Lease, TaskRef},
            tracks::{Deed, TrackOf},
        },
    },
};

impl Ledger {
    /// Whom and what a track record of a task's attempts is about, besides the worker.
    pub(in crate::ledger) fn track_of(&self, task: TaskRef) -> Option<TrackOf> {
        let job = self.records.job(task.job)?;
        let program = job.spec(task.index)?.program_blob().digest;
        Some(TrackOf { submitter: job.record.submitter, program })
    }

    /// How many answers of a worker in a row were agreed, of tasks like this one.
    pub(in crate::ledger) fn row(&self, key: &PublicKey, task: TaskRef) -> u16 {
        let worker = self.records.worker(key);
        let row = worker.zip(self.track_of(task)).map(|(worker, of)| worker.record.tracks.row(&of, self.time()));
        row.unwrap_or(0)
    }

    /// Books what became of something that a worker computed, if the worker is still known.
    pub(in crate::ledger) fn book_deed(&mut self, key: PublicKey, task: TaskRef, deed: Option<Deed>, cpu_us: u64) {
        let Some(of) = known(self.track_of(task)) else { return };
        let now = self.time();
        let Some(worker) = self.records.worker_mut(&key) else { return };
        worker.record.tracks.book(of, deed, cpu_us / 1000, now);
        if self.policies.look_at_tracks {
            self.reindex(key);
        }
    }

    /// Books the end of an attempt, and the processor time that it took, in microseconds. What becomes of a replica's answer is
    /// booked when it is compared. Whoever has committed itself and loses the attempt may have seen that its answer was
    /// going to be compared, so that counts as a broken commitment. If the task itself ends then, it may have known that
    /// too; `is_compared` tells that this answer of an adaptive task was going to be compared.
    pub(super) fn book_end(&mut self, task: TaskRef, lease: &Lease, is_compared: bool, why: EndReason, cpu_us: u64) {
        let has_begun = lease.allocation.is_some() || matches!(why, EndReason::HostDied { .. });
        let deed = match why {
            EndReason::Succeeded => Some(Deed::Accepted),
            why if why.is_loss() && lease.commitment().is_some() => Some(Deed::Broken),
            EndReason::Cancelled | EndReason::Superseded if is_compared && lease.commitment().is_some() => {
                Some(Deed::Unresolved)
            }
            EndReason::Returned | EndReason::Drained => Some(Deed::Returned),
            why if why.is_loss() && has_begun => Some(Deed::Lost),
            _ => None,
        };
        if deed.is_some() || cpu_us > 0 {
            self.book_deed(lease.worker, task, deed, cpu_us);
        }
    }
}
