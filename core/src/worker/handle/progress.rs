//! What became of what the worker had done: prepared, ran, saved, ended.

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
            Progress::Ended(attempt, verdict) => {
                // What was taken back in the meantime may still be a late success, which the ledger takes if its task
                // is outstanding.
                if self.held.contains_key(&attempt) || matches!(verdict, Verdict::Succeeded(..)) {
                    self.free(&attempt, Phase::Said);
                    self.outbox.push(attempt, verdict);
                }
            }
        }
    }

    fn on_prepared(&mut self, attempt: AttemptId, prepared: Result<(), Verdict>) {
        // What was given back while it was prepared stays so.
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
