//! A volunteer without its machine: it claims, runs and reports by the rules of `core/src/worker`.
//!
//! It keeps only the state that those rules use, so that ten thousand volunteers fit. It acts when something
//! happens or is due, instead of four times a second. It leaves out fetching programs and returning tasks that
//! wait too long.

use std::collections::{BTreeSet, VecDeque};

use meshwork_core::{
    codec::ByteString,
    types::{
        Action, AttemptId, Claim, Incarnation, InlineOutput, Labels, Output, Report, ReportItem, Resources,
        TransactionId, Usage, Verdict,
    },
};
use rand::RngExt;
use rand_pcg::Pcg64Mcg;

/// How many tasks a volunteer runs at once.
const SLOTS: u32 = 4;
/// How long a task takes, in microseconds: half a second on average, so that the smallest network keeps up with
/// the load.
const TASK_US: std::ops::RangeInclusive<u64> = 100_000..=900_000;
/// Bytes that a task writes.
const OUTPUT_BYTES: usize = 64;

/// A change of the load score that triggers a claim: `LOAD_STEP` of `offer.rs`.
const LOAD_STEP: u16 = 100;
/// How often the load is measured, in microseconds: `MEASURE_EVERY` of the node's worker.
const MEASURE_US: u64 = 1_000_000;
/// The time constant of its smoothing, in microseconds: `SMOOTHING` of the node's `load.rs`.
const SMOOTHING_US: f64 = 5_000_000.0;
/// The least time between two claims that are not urgent, in microseconds: `CLAIM_EVERY_US`.
const CLAIM_US: u64 = 500_000;
/// The same, if far more waiting places are wanted than claimed: `GROW_EVERY_US`.
const GROW_US: u64 = 50_000;
/// If a claim is not executed after this time, another follows: `LOST_AFTER_US`.
const LOST_US: u64 = 3_000_000;
/// How many reports may be unexecuted at once: `ON_THEIR_WAY_MAX` of `outbox.rs`.
const REPORTS_MAX: usize = 2;
/// The weight of a new measurement of the throughput is one in this many: `MEMORY` of `pace.rs`.
const MEMORY: u64 = 8;
/// How many rounds of tasks the waiting places are for, and the most waiting places: `ROUNDS` and
/// `WAITING_MAX`.
const ROUNDS: u64 = 2;
const WAITING_MAX: u64 = 1024;
/// The assumed time from a report to its execution, before one was measured, in microseconds.
const ROUND_FIRST_US: u64 = 1_000_000;

/// What one final block says about this volunteer.
#[derive(Debug, Default)]
pub struct News {
    /// Attempts that it was assigned.
    pub given: Vec<AttemptId>,
    /// Its attempts that have ended or need no further report.
    pub ended: Vec<AttemptId>,
    /// Its transactions that were executed, and whether each was valid.
    pub executed: Vec<(TransactionId, bool)>,
    /// Its claim ran out.
    pub lapsed: bool,
}

struct Sent {
    at_us: u64,
    id: Option<TransactionId>,
    waiting: u32,
    load: u16,
    executed: bool,
}

/// A volunteer's process.
pub struct Volunteer {
    stands_us: u64,
    /// When its first claim is renewed: random, so that not all renew at once.
    renews_first_us: Option<u64>,
    sequence: u64,
    waiting: VecDeque<AttemptId>,
    running: BTreeSet<AttemptId>,
    outcomes: Vec<(AttemptId, u64)>,
    reports: Vec<(TransactionId, u64)>,
    sent: Option<Sent>,
    load: f64,
    load_at_us: u64,
    task_us: u64,
    round_us: u64,
}

impl Volunteer {
    /// A process without a claim yet. Its claims will stand for `stands_us`.
    pub fn new(stands_us: u64, random: &mut Pcg64Mcg) -> Self {
        Self {
            stands_us,
            renews_first_us: Some(random.random_range(0..stands_us / 3)),
            sequence: 0,
            waiting: VecDeque::new(),
            running: BTreeSet::new(),
            outcomes: Vec::new(),
            reports: Vec::new(),
            sent: None,
            load: 0.0,
            load_at_us: 0,
            task_us: (TASK_US.start() + TASK_US.end()) / 2,
            round_us: ROUND_FIRST_US,
        }
    }

    /// A final block has arrived. Returns the tasks that begin to run, and for how many microseconds.
    pub fn hear(&mut self, news: News, now_us: u64, random: &mut Pcg64Mcg) -> Vec<(AttemptId, u64)> {
        self.measure(now_us);
        for attempt in &news.ended {
            self.waiting.retain(|waiting| waiting != attempt);
            self.running.remove(attempt);
            self.outcomes.retain(|(done, _)| done != attempt);
        }
        for (id, is_good) in news.executed {
            if let Some(place) = self.reports.iter().position(|(sent, _)| *sent == id) {
                let (_, at_us) = self.reports.swap_remove(place);
                self.round_us = average(self.round_us, now_us - at_us);
            }
            if let Some(sent) = &mut self.sent
                && sent.id == Some(id)
            {
                sent.executed = is_good;
            }
        }
        if news.lapsed {
            self.sent = None;
        }
        self.waiting.extend(news.given);
        self.begin(random)
    }

    /// A task has ended. Returns the task that begins instead.
    pub fn ran(&mut self, attempt: AttemptId, us: u64, now_us: u64, random: &mut Pcg64Mcg) -> Vec<(AttemptId, u64)> {
        self.measure(now_us);
        if self.running.remove(&attempt) {
            self.task_us = average(self.task_us, us);
            self.outcomes.push((attempt, us));
        }
        self.begin(random)
    }

    fn begin(&mut self, random: &mut Pcg64Mcg) -> Vec<(AttemptId, u64)> {
        let mut begun = Vec::new();
        while self.running.len() < SLOTS as usize
            && let Some(attempt) = self.waiting.pop_front()
        {
            self.running.insert(attempt);
            begun.push((attempt, random.random_range(TASK_US)));
        }
        begun
    }

    /// Updates the load score: the present slots have been taken since the last call.
    fn measure(&mut self, now_us: u64) {
        let present = self.load_now();
        let kept = (-((now_us - self.load_at_us) as f64) / SMOOTHING_US).exp();
        self.load = present + (self.load - present) * kept;
        self.load_at_us = now_us;
    }

    fn load_now(&self) -> f64 {
        1000.0 * self.running.len() as f64 / f64::from(SLOTS)
    }

    fn waiting_places(&self) -> u32 {
        (self.round_us * ROUNDS * u64::from(SLOTS) / self.task_us.max(1)).min(WAITING_MAX) as u32
    }

    fn renews_us(&self) -> u64 {
        self.renews_first_us.unwrap_or(self.stands_us / 3)
    }

    fn is_claim_due(&self, now_us: u64) -> bool {
        let Some(sent) = &self.sent else { return true };
        let age_us = now_us - sent.at_us;
        let wanted = self.waiting_places();
        let grows = sent.executed && wanted / 2 > sent.waiting;
        if age_us < if grows { GROW_US } else { CLAIM_US } {
            return false;
        }
        let overdue = age_us >= if sent.executed { self.renews_us() } else { LOST_US.min(self.stands_us / 3) };
        let moved = sent.load.abs_diff(self.load.round() as u16) >= LOAD_STEP;
        overdue || sent.executed && (differs(sent.waiting, wanted) || moved)
    }

    /// What is due now: a report of all tasks that have run, and a claim.
    pub fn says(&mut self, now_us: u64) -> Vec<Action> {
        self.measure(now_us);
        let mut says = Vec::new();
        if !self.outcomes.is_empty() && self.reports.len() < REPORTS_MAX {
            let items = self.outcomes.drain(..).map(|(attempt, us)| ReportItem { attempt, verdict: success(us) });
            says.push(Action::Report(Report { items: items.collect() }));
        }
        if self.is_claim_due(now_us) {
            self.sequence = (self.sequence + 1).max(now_us);
            says.push(Action::Claim(self.claim()));
        }
        says
    }

    fn claim(&self) -> Claim {
        Claim {
            sequence: self.sequence,
            incarnation: Incarnation(1),
            slots: SLOTS,
            resources: Resources { millicores: SLOTS * 1000, memory_bytes: u64::from(SLOTS) << 30 },
            waiting: self.waiting_places(),
            load: self.load.round() as u16,
            labels: Labels::from([("arch".into(), "x86_64".into()), ("os".into(), "linux".into())]),
            stands_ms: self.stands_us / 1000,
            ..Claim::default()
        }
    }

    /// A transaction that it signed is on its way.
    pub fn sent(&mut self, action: &Action, id: TransactionId, now_us: u64) {
        match action {
            Action::Claim(claim) => {
                if self.sent.is_some() {
                    self.renews_first_us = None;
                }
                let (waiting, load) = (claim.waiting, claim.load);
                self.sent = Some(Sent { at_us: now_us, id: Some(id), waiting, load, executed: false });
            }
            _ => self.reports.push((id, now_us)),
        }
    }

    /// When to act next, if nothing happens before.
    pub fn next_look(&self, now_us: u64) -> u64 {
        let Some(sent) = &self.sent else { return now_us };
        if !sent.executed {
            return sent.at_us + LOST_US.min(self.stands_us / 3);
        }
        let mut next_us = sent.at_us + self.renews_us();
        if f64::abs(self.load_now() - f64::from(sent.load)) >= f64::from(LOAD_STEP) {
            next_us = next_us.min(now_us + MEASURE_US);
        }
        if differs(sent.waiting, self.waiting_places()) {
            next_us = next_us.min(now_us + CLAIM_US);
        }
        next_us.max(now_us + 1)
    }
}

const fn average(before_us: u64, now_us: u64) -> u64 {
    (before_us * (MEMORY - 1) + now_us) / MEMORY
}

/// Whether a changed number of waiting places triggers a claim: `Pace::differs`.
const fn differs(claimed: u32, wanted: u32) -> bool {
    let (small, large) = if claimed < wanted { (claimed, wanted) } else { (wanted, claimed) };
    large > small + small / 2 + 1
}

fn success(wall_us: u64) -> Verdict {
    let stdout = ByteString::from([b'7'; OUTPUT_BYTES].as_slice());
    let usage = Usage { wall_us, cpu_us: wall_us, fuel: 1000 * wall_us, memory_bytes: 20 << 20 };
    Verdict::Succeeded(0, Output::Inline(InlineOutput { stdout, ..InlineOutput::default() }), usage, Vec::new())
}
