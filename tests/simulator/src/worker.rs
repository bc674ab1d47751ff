//! A worker's life as the ledger sees it, kept to what matters there: claims, runs of some length, reports until they are
//! taken. What bad workers do is here too.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    codec::ByteString,
    ledger::LedgerEvent,
    replica::Executed,
    types::{
        Action, AttemptId, AttemptNumber, Claim, Failure, Genesis, Incarnation, InlineOutput, Labels, Output, Report,
        ReportItem, Resources, Usage, Verdict,
    },
};

use crate::scenario::Manner;

/// How many tasks an honest worker runs at once.
pub const SLOTS: u32 = 2;
/// How often a worker looks around, in microseconds.
pub const TICK_US: u64 = 500_000;
/// After so long a report that was not taken is sent again, in microseconds.
const AGAIN_US: u64 = 5_000_000;

/// A worker's process.
pub struct Worker {
    manner: Manner,
    incarnation: Incarnation,
    sequence: u64,
    claimed_us: Option<u64>,
    /// In the order of their leases, with how long each takes and whether its program fails.
    waiting: Vec<(AttemptId, u64, bool)>,
    running: BTreeSet<AttemptId>,
    outcomes: BTreeMap<AttemptId, (Verdict, Option<u64>)>,
    stands_us: u64,
}

impl Worker {
    /// A new process. Its incarnation is above that of every earlier one.
    #[must_use]
    pub fn new(manner: Manner, incarnation: u64, sequence: u64, genesis: &Genesis) -> Self {
        Self {
            manner,
            incarnation: Incarnation(incarnation),
            sequence,
            claimed_us: None,
            waiting: Vec::new(),
            running: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            stands_us: genesis.ledger.claim_stands_ms_max * 1000,
        }
    }

    /// What it was given, and what it hears of what it holds. What begins to run, and for how many microseconds.
    pub fn on_executed(&mut self, executed: &Executed) -> Vec<(AttemptId, u64)> {
        for event in &executed.applied.events {
            match event {
                LedgerEvent::Ended { .. } if self.manner == Manner::Late => {}
                LedgerEvent::Ended { attempt, .. } | LedgerEvent::ReportIgnored { attempt, .. } => {
                    self.outcomes.remove(attempt);
                    self.waiting.retain(|(waiting, ..)| waiting != attempt);
                    self.running.remove(attempt);
                }
                _ => {}
            }
        }
        for given in executed.given.iter().filter(|given| given.incarnation == self.incarnation) {
            let fails = given.spec.arguments.iter().any(|argument| argument == "fail");
            self.waiting.push((given.attempt, given.spec.limits.fuel * 1000, fails));
        }
        self.begin()
    }

    fn begin(&mut self) -> Vec<(AttemptId, u64)> {
        let mut begun = Vec::new();
        while self.running.len() < SLOTS as usize && !self.waiting.is_empty() {
            let (attempt, us, fails) = self.waiting.remove(0);
            self.running.insert(attempt);
            let verdict = match (self.manner, fails) {
                (Manner::Returns, _) => Verdict::Returned,
                (Manner::Fails | Manner::Late, _) | (_, true) => {
                    Verdict::Failed(Failure::Exited(1), ByteString::default(), Usage::default())
                }
                _ => success(&attempt),
            };
            self.outcomes.insert(attempt, (verdict, Some(u64::MAX)));
            begun.push((attempt, if self.manner == Manner::Late { us + self.stands_us } else { us }));
        }
        begun
    }

    /// A run has ended. What begins next.
    pub fn on_ran(&mut self, attempt: AttemptId) -> Vec<(AttemptId, u64)> {
        if self.running.remove(&attempt) {
            if self.manner == Manner::Silent {
                self.outcomes.remove(&attempt);
            } else if let Some((_, sent)) = self.outcomes.get_mut(&attempt) {
                *sent = None;
            }
        }
        self.begin()
    }

    /// What it signs now.
    pub fn says(&mut self, now_us: u64) -> Vec<Action> {
        let mut says = Vec::new();
        let renews_us = if self.manner == Manner::Late { 3 * self.stands_us } else { self.stands_us / 3 };
        let overdue = |at: u64| now_us.saturating_sub(at) >= renews_us;
        if self.claimed_us.is_none_or(overdue) {
            self.claimed_us = Some(now_us);
            self.sequence = self.sequence.max(now_us) + 1;
            says.push(Action::Claim(self.claim()));
        }
        let mut items = Vec::new();
        for (attempt, (verdict, sent)) in &mut self.outcomes {
            if sent.is_none_or(|at| at != u64::MAX && now_us.saturating_sub(at) >= AGAIN_US) && items.len() < 256 {
                *sent = Some(now_us);
                items.push(ReportItem { attempt: *attempt, verdict: verdict.clone() });
            }
        }
        if items.is_empty() {
            return says;
        }
        if self.manner == Manner::Twice {
            let mut never = items.clone();
            for item in &mut never {
                item.attempt.task.index = item.attempt.task.index.wrapping_add(1);
                item.attempt.number = AttemptNumber(0);
            }
            items.extend(items.clone());
            says.push(Action::Report(Report { items: never }));
            says.push(Action::Report(Report { items: items.clone() }));
        }
        says.push(Action::Report(Report { items }));
        says
    }

    fn claim(&self) -> Claim {
        let (slots, waiting) = if self.manner == Manner::Greedy { (64, 1024) } else { (SLOTS, 2 * SLOTS) };
        Claim {
            sequence: self.sequence,
            incarnation: self.incarnation,
            slots,
            resources: Resources { millicores: slots * 1000, memory_bytes: u64::from(slots) << 30 },
            waiting,
            load: 0,
            labels: Labels::new(),
            stands_ms: self.stands_us / 1000,
        }
    }

    /// The last sequence number that it signed.
    #[must_use]
    pub const fn sequence(&self) -> u64 {
        self.sequence
    }
}

/// The one right answer of a task.
fn success(attempt: &AttemptId) -> Verdict {
    let stdout = ByteString::from(attempt.task.index.to_be_bytes().as_slice());
    Verdict::Succeeded(Output::Inline(InlineOutput { stdout, ..InlineOutput::default() }), Usage::default())
}
