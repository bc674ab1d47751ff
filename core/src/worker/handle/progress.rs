//! Progress of what the worker has begun: an attempt is prepared, ran, saved or ended.

use crate::{
    types::{AttemptId, Verdict},
    worker::{Phase, Progress, Worker},
};

impl Worker {
    pub(super) fn on_progress(&mut self, progress: Progress) {
        match progress {
            Progress::Prepared(attempt, prepared) => self.on_prepared(attempt, prepared),
            Progress::Ran(attempt, took) => {
                self.throughput.task(took);
                if self.is(&attempt, Phase::Running) {
                    self.free(&attempt, Phase::Delivering);
                }
            }
            Progress::Saved(attempt, checkpoint) => {
                if self.is(&attempt, Phase::Running) {
                    self.outbox.push_checkpoint(attempt, checkpoint);
                }
            }
            Progress::Answered(attempt, commitment) => {
                if self.held.contains_key(&attempt) {
                    self.free(&attempt, Phase::Committed);
                    self.outbox.push(attempt, Verdict::Committed(commitment));
                }
            }
            Progress::Ended(attempt, verdict) => {
                // The attempt may have been taken back meanwhile. The ledger takes a late success while its task is
                // outstanding.
                if self.held.contains_key(&attempt) || matches!(verdict, Verdict::Succeeded(..)) {
                    self.free(&attempt, Phase::Said);
                    self.outbox.push(attempt, verdict);
                }
            }
        }
    }

    fn on_prepared(&mut self, attempt: AttemptId, prepared: Result<(), Verdict>) {
        // An attempt that was returned while it was being prepared stays returned.
        let Some(held) = self.held.get_mut(&attempt).filter(|held| held.phase == Phase::Preparing) else { return };
        match prepared {
            Ok(()) => held.phase = Phase::Ready,
            Err(verdict) => {
                self.free(&attempt, Phase::Said);
                self.outbox.push(attempt, verdict);
            }
        }
    }

    fn is(&self, attempt: &AttemptId, phase: Phase) -> bool {
        self.held.get(attempt).is_some_and(|held| held.phase == phase)
    }
}
