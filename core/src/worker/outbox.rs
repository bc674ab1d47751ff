//! Verdicts that the ledger has not taken yet: batches them into reports, and reports them again if one is lost.
//!
//! Each attempt has one verdict, the newest. It is in the queue or in one report on its way. The ledger's answer to an
//! older verdict settles nothing.

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

/// The most reports on their way at once. Meanwhile, verdicts gather for the next, larger report.
const ON_THEIR_WAY_MAX: usize = 2;
/// The pause after a refused report, in microseconds.
const AGAIN_AFTER_US: u64 = 100_000;
/// The time after which a report counts as lost and its items go into another, in microseconds.
const LOST_AFTER_US: u64 = 20_000_000;

/// The verdict on an attempt.
struct Item {
    verdict: Verdict,
    /// The report that carries it; none while it is in the queue.
    report: Option<Ticket>,
}

/// A report on its way.
struct Sent {
    at: Monotonic,
    id: Option<TransactionId>,
    /// None if they are reported again.
    items: Vec<AttemptId>,
}

/// A report that the ledger has judged.
pub(super) struct Judged {
    /// How long that took.
    pub(super) took: Duration,
    /// Attempts whose late success was taken: the ledger had ended them before.
    pub(super) taken_late: Vec<AttemptId>,
}

/// Verdicts that the ledger has not taken yet.
pub(super) struct Outbox {
    items: BTreeMap<AttemptId, Item>,
    /// The attempts in no report on its way, oldest first. Settled ones may be among them.
    queue: VecDeque<AttemptId>,
    sent: BTreeMap<Ticket, Sent>,
    refused: Option<Monotonic>,
    items_max: usize,
    bytes_max: usize,
}

impl Outbox {
    /// An empty outbox, with the bounds of a report.
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

    /// Whether a verdict on this attempt is not taken yet.
    pub(super) fn has(&self, attempt: &AttemptId) -> bool {
        self.items.contains_key(attempt)
    }

    /// Replaces the verdict on an attempt.
    pub(super) fn push(&mut self, attempt: AttemptId, verdict: Verdict) {
        let before = self.items.insert(attempt, Item { verdict, report: None });
        let is_queued = before.is_some_and(|before| before.report.is_none());
        if !is_queued || is_planted(Fault::OutcomeBesideCheckpoint) {
            self.queue.push_back(attempt);
        }
    }

    /// Reports a checkpoint of an attempt that goes on. It replaces an older checkpoint, but no outcome.
    pub(super) fn push_checkpoint(&mut self, attempt: AttemptId, checkpoint: Verdict) {
        if !self.items.get(&attempt).is_some_and(|item| !matches!(item.verdict, Verdict::Checkpointed { .. })) {
            self.push(attempt, checkpoint);
        }
    }

    /// Drops the verdict on an attempt that has ended.
    pub(super) fn settle(&mut self, attempt: &AttemptId) {
        self.items.remove(attempt);
    }

    /// Drops a commitment, which the ledger has by now, whichever report brought it.
    pub(super) fn settle_commitment(&mut self, attempt: &AttemptId) {
        if self.items.get(attempt).is_some_and(|item| matches!(item.verdict, Verdict::Committed(_))) {
            self.items.remove(attempt);
        }
    }

    /// Drops the verdict on a lost attempt, unless the ledger takes it late: a success, or a death.
    pub(super) fn settle_unless_late(&mut self, attempt: &AttemptId) {
        let item = self.items.get(attempt);
        let is_taken_late = item.is_some_and(|item| match item.verdict {
            Verdict::Succeeded(..) => !is_planted(Fault::LateSuccessThrownAway),
            Verdict::HostDied { .. } => true,
            _ => false,
        });
        if !is_taken_late {
            self.items.remove(attempt);
        }
    }

    /// Drops and returns the verdict on an attempt, if this block executes the report that holds it.
    pub(super) fn settle_if_said(&mut self, attempt: &AttemptId, news: &News) -> Option<Verdict> {
        let report = self.items.get(attempt)?.report;
        let id = report.and_then(|report| self.sent.get(&report)?.id);
        if id.is_some_and(|id| news.executes(id)) || is_planted(Fault::OldWordSettlesNew) {
            return self.items.remove(attempt).map(|item| item.verdict);
        }
        None
    }

    /// Handles an executed or void transaction, if it is one of these reports.
    pub(super) fn executed(&mut self, id: TransactionId, is_good: bool, now: Monotonic) -> Option<Judged> {
        let report = self.sent.iter().find(|(_, sent)| sent.id == Some(id)).map(|(report, _)| *report)?;
        let sent = self.sent.remove(&report)?;
        let took = Duration::from_micros(now.0.saturating_sub(sent.at.0));
        let mut judged = Judged { took, taken_late: Vec::new() };
        for attempt in sent.items {
            let Some(item) = self.items.get_mut(&attempt).filter(|item| item.report == Some(report)) else { continue };
            if is_good {
                // The ledger neither ignored it nor ended a lease by it, so it took a late success.
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
        let on_their_way = self.sent.values().filter(|sent| !sent.items.is_empty()).count();
        if on_their_way >= ON_THEIR_WAY_MAX || waits {
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

    /// A report was signed and has this id.
    pub(super) fn signed(&mut self, ticket: Ticket, id: TransactionId) {
        if let Some(sent) = self.sent.get_mut(&ticket) {
            sent.id = Some(id);
        }
    }

    /// A report was refused. Its items go back to the front of the queue.
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

    /// Gives up reports that have been on their way for too long.
    pub(super) fn give_up_on_lost(&mut self, now: Monotonic) {
        let is_lost = |sent: &Sent| now > sent.at.plus_us(LOST_AFTER_US);
        self.report_again(is_lost);
        self.sent.retain(|_, sent| !is_lost(sent));
    }

    /// Reports again what is on its way: blocks were missed, and may have executed it. The ledger ignores what it has.
    pub(super) fn report_all_again(&mut self) {
        self.report_again(|_| true);
    }

    fn report_again(&mut self, is_meant: impl Fn(&Sent) -> bool) {
        for (ticket, sent) in self.sent.iter_mut().filter(|(_, sent)| is_meant(sent)) {
            for attempt in std::mem::take(&mut sent.items) {
                if let Some(item) = self.items.get_mut(&attempt).filter(|item| item.report == Some(*ticket))
                    && !is_planted(Fault::LostReportForgotten)
                {
                    item.report = None;
                    self.queue.push_back(attempt);
                }
            }
        }
    }
}
