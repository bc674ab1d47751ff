//! What became of attempts, until the ledger has taken it: batched into reports, offered again if one is lost.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use meshwork_core::{
    codec,
    types::{AttemptId, Report, ReportItem, TransactionId, Verdict},
};

/// How many reports may be on their way at once. While they are, outcomes gather for the next, larger one.
const ON_THEIR_WAY_MAX: usize = 2;
/// After a report was refused, so long passes before the next one.
const AGAIN_AFTER: Duration = Duration::from_millis(100);
/// After so long a report is taken for lost and its items go into another.
const LOST_AFTER: Duration = Duration::from_secs(20);

struct Sent {
    at: Instant,
    items: Vec<AttemptId>,
}

/// Outcomes that the ledger has not taken yet.
pub struct Outbox {
    items: BTreeMap<AttemptId, Verdict>,
    /// Those that are in no report on its way, oldest first.
    queue: VecDeque<AttemptId>,
    sent: BTreeMap<TransactionId, Sent>,
    refused: Option<Instant>,
    items_max: usize,
    bytes_max: usize,
}

impl Outbox {
    /// An empty one, with the bounds of a report.
    pub fn new(items_max: usize, bytes_max: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            refused: None,
            items_max,
            bytes_max,
        }
    }

    /// An attempt ended.
    pub fn push(&mut self, attempt: AttemptId, verdict: Verdict) {
        self.items.insert(attempt, verdict);
        self.queue.push_back(attempt);
    }

    /// An attempt's program has saved something, and goes on. What was saved before is of no account any more.
    pub fn push_checkpoint(&mut self, attempt: AttemptId, checkpoint: Verdict) {
        match self.items.get_mut(&attempt) {
            Some(verdict @ Verdict::Checkpointed { .. }) => *verdict = checkpoint,
            Some(_) => {}
            None => self.push(attempt, checkpoint),
        }
    }

    /// The ledger knows a checkpoint.
    pub fn settle_checkpoint(&mut self, attempt: &AttemptId) {
        if matches!(self.items.get(attempt), Some(Verdict::Checkpointed { .. })) {
            self.items.remove(attempt);
        }
    }

    /// The ledger has taken it, or wants it no more.
    pub fn settle(&mut self, attempt: &AttemptId) -> Option<Verdict> {
        self.items.remove(attempt)
    }

    /// A report was executed: how long that took, if it was one of these.
    pub fn executed(&mut self, id: TransactionId) -> Option<Duration> {
        let sent = self.sent.remove(&id)?;
        // What it did not settle was not taken for a reason that another try may mend.
        self.queue.extend(sent.items.iter().filter(|attempt| self.items.contains_key(attempt)));
        Some(sent.at.elapsed())
    }

    /// The next report, if there is something to report and not too much on its way.
    pub fn next(&mut self) -> Option<Report> {
        if self.sent.len() >= ON_THEIR_WAY_MAX || self.refused.is_some_and(|at| at.elapsed() < AGAIN_AFTER) {
            return None;
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < self.items_max {
            let Some(attempt) = self.queue.front() else { break };
            if let Some(verdict) = self.items.get(attempt) {
                let item = ReportItem { attempt: *attempt, verdict: verdict.clone() };
                bytes += codec::encode(&item).len();
                if bytes > self.bytes_max && !items.is_empty() {
                    break;
                }
                items.push(item);
            }
            self.queue.pop_front();
        }
        (!items.is_empty()).then_some(Report { items })
    }

    /// A report is on its way.
    pub fn sent(&mut self, id: TransactionId, items: Vec<AttemptId>) {
        self.sent.insert(id, Sent { at: Instant::now(), items });
    }

    /// A report was not taken: its items wait again, before all others.
    pub fn refused(&mut self, id: TransactionId) {
        let Some(sent) = self.sent.remove(&id) else { return };
        for attempt in sent.items.into_iter().rev() {
            self.queue.push_front(attempt);
        }
        self.refused = Some(Instant::now());
    }

    /// Takes what has been on its way for too long as lost.
    pub fn give_up_on_lost(&mut self) {
        let lost: Vec<_> =
            self.sent.iter().filter(|(_, sent)| sent.at.elapsed() > LOST_AFTER).map(|(id, _)| *id).collect();
        for id in lost {
            self.executed(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use meshwork_core::{
        digest::Digest,
        types::{AttemptNumber, JobId, TaskId},
    };

    use super::*;

    fn attempt(index: u32) -> AttemptId {
        AttemptId { task: TaskId { job: JobId(Digest::ZERO), index }, number: AttemptNumber(0) }
    }

    fn id(byte: u8) -> TransactionId {
        TransactionId(Digest([byte; 32]))
    }

    fn attempts(report: &Report) -> Vec<AttemptId> {
        report.items.iter().map(|item| item.attempt).collect()
    }

    fn indices(report: &Report) -> Vec<u32> {
        report.items.iter().map(|item| item.attempt.task.index).collect()
    }

    #[test]
    fn outcomes_gather_while_two_reports_are_on_their_way() {
        let mut outbox = Outbox::new(3, 10_000);
        for index in 0..8 {
            outbox.push(attempt(index), Verdict::Returned);
        }
        let first = outbox.next().expect("something to report");
        outbox.sent(id(1), attempts(&first));
        let second = outbox.next().expect("room for one more");
        outbox.sent(id(2), attempts(&second));
        assert_eq!((indices(&first), indices(&second)), (vec![0, 1, 2], vec![3, 4, 5]));
        assert!(outbox.next().is_none());
        for index in 0..3 {
            outbox.settle(&attempt(index));
        }
        assert!(outbox.executed(id(1)).is_some() && outbox.executed(id(1)).is_none());
        assert_eq!(outbox.next().map(|report| indices(&report)), Some(vec![6, 7]));
    }

    #[test]
    fn what_a_report_did_not_settle_is_reported_again() {
        let mut outbox = Outbox::new(9, 10_000);
        outbox.push(attempt(0), Verdict::Returned);
        outbox.push(attempt(1), Verdict::Returned);
        let report = outbox.next().expect("something");
        outbox.sent(id(1), attempts(&report));
        outbox.settle(&attempt(0));
        outbox.executed(id(1));
        assert_eq!(outbox.next().map(|report| indices(&report)), Some(vec![1]));
        outbox.settle(&attempt(1));
        assert!(outbox.items.is_empty());
    }

    #[test]
    fn what_was_refused_goes_first_after_a_while() {
        let mut outbox = Outbox::new(1, 10_000);
        outbox.push(attempt(0), Verdict::Returned);
        outbox.push(attempt(1), Verdict::Returned);
        let report = outbox.next().expect("something");
        outbox.sent(id(1), attempts(&report));
        outbox.refused(id(1));
        assert!(outbox.next().is_none(), "not at once");
        outbox.refused = None;
        assert_eq!(outbox.next().map(|report| indices(&report)), Some(vec![0]));
    }

    #[test]
    fn reports_keep_to_their_bytes() {
        let mut outbox = Outbox::new(9, 60);
        for index in 0..3 {
            outbox.push(attempt(index), Verdict::Returned);
        }
        assert_eq!(outbox.next().map(|report| indices(&report)), Some(vec![0]));
    }
}
