//! An executed block: takes in new assignments, ended attempts, and the ledger's answers to reports.

use std::sync::Arc;

use crate::{
    consensus::Now,
    fault::{Fault, is_planted},
    ledger::{EndReason, IgnoredReason},
    replica::Assignment,
    types::{AttemptId, Incarnation, Remains, Verdict},
    worker::{Effect, Happened, Held, News, Phase, Stage, Worker},
};

/// The most times that one output is delivered again because the ledger did not believe its holder.
const DELIVERIES_MAX: u32 = 4;

impl Worker {
    pub(super) fn on_executed(&mut self, now: Now, news: News, effects: &mut Vec<Effect>) {
        for happened in &news.happened {
            match happened {
                Happened::Ended { attempt, why } => self.on_ended(attempt, *why, effects),
                Happened::Ignored { attempt, why } => self.on_ignored(attempt, *why, &news, effects),
                Happened::ClaimBegan(incarnation) => self.on_claim_began(*incarnation),
                Happened::ClaimEnded { drained } => self.offer.lapsed(*drained, now.monotonic),
                Happened::PreemptionRequested(attempt) => {
                    if self.held.contains_key(attempt) {
                        self.preempted.insert(*attempt);
                    }
                }
                Happened::Checkpointed(attempt) => self.on_checkpointed(attempt, &news, effects),
                Happened::Committed(attempt) => self.outbox.settle_commitment(attempt),
                Happened::RevealAsked(attempt) => self.reveal(attempt, effects),
            }
        }
        for (id, is_good) in &news.receipts {
            if let Some(judged) = self.outbox.executed(*id, *is_good, now.monotonic) {
                self.throughput.round(judged.took);
                for attempt in judged.taken_late {
                    self.redelivered.remove(&attempt);
                }
            }
            self.offer.executed(*id, *is_good);
            if matches!(self.stage, Stage::Draining { id: Some(drain), .. } if drain == *id) {
                self.leave(*is_good, effects);
            }
        }
        self.take(now, news.assignments, effects);
    }

    /// Has the assignments of this process prepared.
    pub(super) fn take(&mut self, now: Now, assignments: Vec<Assignment>, effects: &mut Vec<Effect>) {
        // A leaving worker's drain gives its new assignments back.
        if self.stage != Stage::Working {
            return;
        }
        for assignment in assignments {
            let attempt = assignment.attempt;
            let is_known = self.held.contains_key(&attempt) && !is_planted(Fault::BegunTwice);
            if assignment.incarnation != self.incarnation || is_known {
                continue;
            }
            self.leases += 1;
            let (order, since, assignment) = (self.leases, now.monotonic, Arc::new(assignment));
            self.queue.insert(order, attempt);
            self.held.insert(attempt, Held { assignment, order, since, prepared: None, phase: Phase::Queued });
        }
        if self.offer.is_paused() {
            self.return_what_waits(effects);
        }
    }

    /// The ledger has ended an attempt of this worker.
    pub(super) fn on_ended(&mut self, attempt: &AttemptId, why: EndReason, effects: &mut Vec<Effect>) {
        use EndReason::{
            Answered, Cancelled, ClaimEnded, Drained, Failed, HostDied, Mismatched, NewIncarnation, Preempted,
            Returned, Succeeded, Superseded, TakenBack, TimedOut, Undelivered, Unrevealed,
        };
        let phase = self.held.get(attempt).map(|held| held.phase);
        self.forget(attempt);
        match why {
            Succeeded
            | Failed
            | Answered
            | Unrevealed
            | Mismatched
            | Returned
            | Undelivered
            | Preempted
            | HostDied { .. }
            | Superseded
            | Cancelled => self.outbox.settle(attempt),
            ClaimEnded | NewIncarnation | TimedOut | Drained | TakenBack => self.outbox.settle_unless_late(attempt),
        }
        if !self.outbox.has(attempt) {
            self.redelivered.remove(attempt);
        }
        let goes_on = phase.is_some_and(|phase| {
            phase.waits() || matches!(phase, Phase::Running | Phase::Delivering | Phase::Committed)
        });
        if goes_on && !is_planted(Fault::StopLost) {
            effects.push(Effect::Stop(*attempt));
        }
    }

    /// The ledger knows a checkpoint, so an attempt that is to be preempted can stop.
    fn on_checkpointed(&mut self, attempt: &AttemptId, news: &News, effects: &mut Vec<Effect>) {
        self.outbox.settle_if_said(attempt, news);
        let runs = self.held.get(attempt).is_some_and(|held| held.phase == Phase::Running);
        if runs && self.preempted.remove(attempt) {
            effects.push(Effect::Stop(*attempt));
            if is_planted(Fault::PreemptedKeepsSlot) {
                self.running += 1;
            }
            self.free(attempt, Phase::Said);
            self.outbox.push(*attempt, Verdict::Preempted);
        }
    }

    /// The ledger ignored this worker's verdict on an attempt.
    fn on_ignored(&mut self, attempt: &AttemptId, why: IgnoredReason, news: &News, effects: &mut Vec<Effect>) {
        let Some(verdict) = self.outbox.settle_if_said(attempt, news) else { return };
        match (why, verdict) {
            // The program will save another.
            (_, Verdict::Checkpointed { .. }) => {}
            // An earlier report said so.
            (IgnoredReason::Repeated, Verdict::Committed(_)) => {}
            (IgnoredReason::NotDelivered, Verdict::Revealed(..)) => {
                if self.may_deliver_again(attempt) {
                    self.free(attempt, Phase::Delivering);
                    effects.push(Effect::Reveal(*attempt));
                } else {
                    self.give_up(attempt);
                }
            }
            (IgnoredReason::NotDelivered, verdict @ (Verdict::Succeeded(..) | Verdict::Failed(..))) => {
                if self.may_deliver_again(attempt) {
                    self.free(attempt, Phase::Delivering);
                    effects.push(Effect::Deliver { attempt: *attempt, verdict });
                } else if let Verdict::Failed(failure, remains, usage) = verdict {
                    // That the program failed is known, even if nobody keeps what it left.
                    let remains = Remains { output: None, ..remains };
                    self.outbox.push(*attempt, Verdict::Failed(failure, remains, usage));
                } else {
                    self.give_up(attempt);
                }
            }
            // It was reported before, and that report is executed.
            (IgnoredReason::Repeated | IgnoredReason::TaskEnded, _) => {
                self.forget(attempt);
                self.redelivered.remove(attempt);
            }
            _ => self.give_up(attempt),
        }
    }

    /// Counts one more delivery of an output, if there may be one.
    fn may_deliver_again(&mut self, attempt: &AttemptId) -> bool {
        let tries = self.redelivered.entry(*attempt).or_default();
        *tries += 1;
        *tries <= DELIVERIES_MAX || is_planted(Fault::DeliversForEver)
    }

    /// The ledger asks for the answer to which this worker has committed itself.
    pub(super) fn reveal(&mut self, attempt: &AttemptId, effects: &mut Vec<Effect>) {
        if self.held.get(attempt).is_some_and(|held| held.phase == Phase::Committed) {
            self.free(attempt, Phase::Delivering);
            effects.push(Effect::Reveal(*attempt));
        }
    }

    /// Gives up an attempt, because the ledger takes no verdict on it. The ledger ends it when its time is over.
    fn give_up(&mut self, attempt: &AttemptId) {
        self.free(attempt, Phase::Over);
        self.redelivered.remove(attempt);
    }

    /// A claim of this key began to stand.
    pub(super) fn on_claim_began(&mut self, incarnation: Incarnation) {
        // Until a claim of this process has stood, its next claim exceeds this one. Afterwards, this one is a newer
        // process's.
        if self.offer.has_stood() && incarnation > self.incarnation && !is_planted(Fault::ClaimsPastNewer) {
            self.offer.supersede(incarnation);
        }
    }
}
