//! What became of attempts, until the ledger has taken it: batched into reports, offered again if one is lost.
//!
//! Each attempt has one word, the newest, and that stands either in the queue or in one report on its way. What the
//! ledger says of an older word settles nothing.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use super::{Ticket, input::News};
use crate::{
    codec,
    consensus::Monotonic,
    fault::{Fault, is_planted},
    types::{AttemptId, Report, ReportItem, TransactionId, Verdict},
};

/// How many reports may be on their way at once. While they are, outcomes gather for the next, larger one.
const ON_THEIR_WAY_MAX: usize = 2;
/// After a report was refused, so long passes before the next one, in microseconds.
const AGAIN_AFTER_US: u64 = 100_000;
/// After so long a report is taken for lost and its items go into another, in microseconds.
const LOST_AFTER_US: u64 = 20_000_000;

/// A word on an attempt.
struct Item {
    verdict: Verdict,
    /// The report in which it is on its way; in the queue if there is none.
    report: Option<Ticket>,
}

/// A report on its way.
struct Sent {
    at: Monotonic,
    id: Option<TransactionId>,
    items: Vec<AttemptId>,
}

/// What comes of a report that the ledger has judged.
pub(super) struct Judged {
    /// How long that took.
    pub(super) took: Duration,
    /// Outcomes that it took of attempts whose end it has told before.
    pub(super) taken_late: Vec<AttemptId>,
}

/// Outcomes that the ledger has not taken yet.
pub(super) struct Outbox {
    items: BTreeMap<AttemptId, Item>,
    /// Those that are in no report on its way, oldest first, among others that have been settled.
    queue: VecDeque<AttemptId>,
    sent: BTreeMap<Ticket, Sent>,
    refused: Option<Monotonic>,
    items_max: usize,
    bytes_max: usize,
}

impl Outbox {
    /// An empty one, with the bounds of a report.
    pub(super) const fn new(items_max: usize, bytes_max: usize) -> Self {
        Self {
            items: BTreeMap::new(),
            queue: VecDeque::new(),
            sent: BTreeMap::new(),
            refused: None,
            items_max,
            bytes_max,
        }
    }

    /// Whether the ledger has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether something is to be said of an attempt.
    pub(super) fn has(&self, attempt: &AttemptId) -> bool {
        self.items.contains_key(attempt)
    }

    /// What is said of an attempt from now on, whatever was said before.
    pub(super) fn push(&mut self, attempt: AttemptId, verdict: Verdict) {
        let before = self.items.insert(attempt, Item { verdict, report: None });
        let is_queued = before.is_some_and(|before| before.report.is_none());
        if !is_queued || is_planted(Fault::OutcomeBesideCheckpoint) {
            self.queue.push_back(attempt);
        }
    }

    /// An attempt's program has saved something, and goes on. What was saved before is of no account any more.
    pub(super) fn push_checkpoint(&mut self, attempt: AttemptId, checkpoint: Verdict) {
        if !self.items.get(&attempt).is_some_and(|item| !matches!(item.verdict, Verdict::Checkpointed { .. })) {
            self.push(attempt, checkpoint);
        }
    }

    /// The attempt has ended, and nothing more is to be said of it.
    pub(super) fn settle(&mut self, attempt: &AttemptId) {
        self.items.remove(attempt);
    }

    /// The attempt was lost: what is not a success is of no account any more.
    pub(super) fn settle_unless_success(&mut self, attempt: &AttemptId) {
        let succeeded = |item: &Item| matches!(item.verdict, Verdict::Succeeded(..));
        if !self.items.get(attempt).is_some_and(succeeded) || is_planted(Fault::LateSuccessThrownAway) {
            self.items.remove(attempt);
        }
    }

    /// The ledger speaks of the word on an attempt that a report of this block holds: that word, if it is the newest.
    pub(super) fn settle_if_said(&mut self, attempt: &AttemptId, news: &News) -> Option<Verdict> {
        let report = self.items.get(attempt)?.report;
        let id = report.and_then(|report| self.sent.get(&report)?.id);
        if id.is_some_and(|id| news.executes(id)) || is_planted(Fault::OldWordSettlesNew) {
            return self.items.remove(attempt).map(|item| item.verdict);
        }
        None
    }

    /// A transaction was executed, or void: what comes of it, if it was one of these reports.
    pub(super) fn executed(&mut self, id: TransactionId, is_good: bool, now: Monotonic) -> Option<Judged> {
        let report = self.sent.iter().find(|(_, sent)| sent.id == Some(id)).map(|(report, _)| *report)?;
        let sent = self.sent.remove(&report)?;
        let took = Duration::from_micros(now.0.saturating_sub(sent.at.0));
        let mut judged = Judged { took, taken_late: Vec::new() };
        for attempt in sent.items {
            let Some(item) = self.items.get_mut(&attempt).filter(|item| item.report == Some(report)) else { continue };
            if is_good {
                // It is not ignored, and no lease has ended by it: only a late success is taken so.
                self.items.remove(&attempt);
                judged.taken_late.push(attempt);
            } else {
                item.report = None;
                self.queue.push_back(attempt);
            }
        }
        Some(judged)
    }

    /// The next report, if there is something to report and not too much on its way.
    pub(super) fn next(&mut self, now: Monotonic, ticket: Ticket) -> Option<Report> {
        let waits = self.refused.is_some_and(|at| now < at.plus_us(AGAIN_AFTER_US));
        if self.sent.len() >= ON_THEIR_WAY_MAX || waits {
            return None;
        }
        let mut items = Vec::new();
        let mut bytes = 0;
        while items.len() < self.items_max {
            let Some(attempt) = self.queue.front() else { break };
            let queued = self.items.get_mut(attempt);
            let queued = queued.filter(|item| item.report.is_none() || is_planted(Fault::OutcomeBesideCheckpoint));
            if let Some(waiting) = queued {
                let item = ReportItem { attempt: *attempt, verdict: waiting.verdict.clone() };
                bytes += codec::encode(&item).len();
                if bytes > self.bytes_max && !items.is_empty() {
                    break;
                }
                waiting.report = Some(ticket);
                items.push(item);
            }
            self.queue.pop_front();
        }
        if items.is_empty() {
            return None;
        }
        let attempts = items.iter().map(|item| item.attempt).collect();
        self.sent.insert(ticket, Sent { at: now, id: None, items: attempts });
        Some(Report { items })
    }

    /// A report has this id.
    pub(super) fn signed(&mut self, ticket: Ticket, id: TransactionId) {
        if let Some(sent) = self.sent.get_mut(&ticket) {
            sent.id = Some(id);
        }
    }

    /// A report was not taken: its items wait again, before all others.
    pub(super) fn refused(&mut self, ticket: Ticket, now: Monotonic) {
        let Some(sent) = self.sent.remove(&ticket) else { return };
        self.refused = Some(now);
        if is_planted(Fault::RefusedReportForgotten) {
            return;
        }
        for attempt in sent.items.into_iter().rev() {
            if let Some(item) = self.items.get_mut(&attempt).filter(|item| item.report == Some(ticket)) {
                item.report = None;
                self.queue.push_front(attempt);
            }
        }
    }

    /// Takes what has been on its way for too long as lost.
    pub(super) fn give_up_on_lost(&mut self, now: Monotonic) {
        let lost = |sent: &Sent| now > sent.at.plus_us(LOST_AFTER_US);
        while let Some((ticket, _)) = self.sent.iter().find(|(_, sent)| lost(sent)) {
            let ticket = *ticket;
            let Some(sent) = self.sent.remove(&ticket) else { return };
            for attempt in sent.items {
                if let Some(item) = self.items.get_mut(&attempt).filter(|item| item.report == Some(ticket))
                    && !is_planted(Fault::LostReportForgotten)
                {
                    item.report = None;
                    self.queue.push_back(attempt);
                }
            }
        }
    }
}
