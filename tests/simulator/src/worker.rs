//! A worker's life as the ledger sees it, kept to what matters there: claims, runs of some length, reports until they are
//! taken. What bad workers do is here too.

use std::collections::BTreeMap;

use meshwork_core::{
    codec::ByteString,
    digest::Digest,
    identity::{NetworkId, PublicKey, SecretKey},
    ledger::LedgerEvent,
    replica::Executed,
    types::{
        Action, Ask, AttemptId, AttemptNumber, BlobRef, BlockTime, Claim, DeliveryStatement, Failure, Genesis, Height,
        Incarnation, InlineOutput, Labels, Output, Report, ReportItem, Resources, Usage, Verdict,
    },
};

use crate::scenario::{Manner, Scenario};

/// How many tasks an honest worker runs at once.
pub const SLOTS: u32 = 2;
/// How often a worker looks around, in microseconds.
const TICK_US: u64 = 500_000;
/// The same for one that does everything at the last moment.
const LAST_MINUTE_TICK_US: u64 = 20_000;
/// How long before the end of its claim such a one renews it, in microseconds.
const LAST_MINUTE_US: u64 = 60_000;
/// How many attempts of others a thief remembers.
const OTHERS_KEPT: usize = 8;
/// After so long a report that was not taken is sent again, in microseconds.
const AGAIN_US: u64 = 5_000_000;

/// A worker's process.
pub struct Worker {
    manner: Manner,
    key: PublicKey,
    incarnation: Incarnation,
    sequence: u64,
    claims: usize,
    claimed_us: Option<u64>,
    /// In the order of their leases, with how long each takes, how much of that was done before, and whether its program fails.
    waiting: Vec<(AttemptId, u64, u64, bool, bool)>,
    /// The time of the last block.
    now: BlockTime,
    /// Since when, by block time in microseconds, and what was done before.
    running: BTreeMap<AttemptId, (u64, u64)>,
    /// Who may be said to hold its checkpoints.
    holder: SecretKey,
    network: NetworkId,
    /// What was saved, to be said once.
    saved: Vec<ReportItem>,
    outcomes: BTreeMap<AttemptId, (Verdict, Option<u64>)>,
    /// What others were given last.
    others: Vec<AttemptId>,
    stands_us: u64,
}

impl Worker {
    /// A new process. Its incarnation is above that of every earlier one.
    #[must_use]
    pub fn new(manner: Manner, key: PublicKey, incarnation: u64, sequence: u64, genesis: &Genesis) -> Self {
        Self {
            manner,
            key,
            incarnation: Incarnation(incarnation),
            sequence,
            claims: 0,
            claimed_us: None,
            waiting: Vec::new(),
            now: genesis.time,
            running: BTreeMap::new(),
            holder: Scenario::key(0),
            network: genesis.network_id(),
            saved: Vec::new(),
            outcomes: BTreeMap::new(),
            others: Vec::new(),
            stands_us: genesis.ledger.claim_stands_ms_max * 1000,
        }
    }

    /// What it was given, and what it hears of what it holds. What begins to run, and for how many microseconds.
    pub fn on_executed(&mut self, executed: &Executed) -> Vec<(AttemptId, u64)> {
        self.now = executed.block.header.time;
        for event in &executed.applied.events {
            match event {
                LedgerEvent::Ended { .. } if self.lets_lapse() => {}
                LedgerEvent::Leased { attempt, worker, .. } if *worker != self.key => {
                    self.others.push(*attempt);
                    if self.others.len() > OTHERS_KEPT {
                        self.others.remove(0);
                    }
                }
                LedgerEvent::Ended { attempt, .. } | LedgerEvent::ReportIgnored { attempt, .. } => {
                    self.outcomes.remove(attempt);
                    self.waiting.retain(|(waiting, ..)| waiting != attempt);
                    self.running.remove(attempt);
                }
                LedgerEvent::RoomAsked { attempt, worker } if *worker == self.key => {
                    self.make_room(*attempt, executed.block.header.height.previous());
                }
                _ => {}
            }
        }
        for given in executed.given.iter().filter(|given| given.incarnation == self.incarnation) {
            let fails = given.spec.arguments.iter().any(|argument| argument == "fail");
            // What a checkpoint holds is how far it has come, in milliseconds.
            let done_us = given.checkpoint.map_or(0, |checkpoint| checkpoint.bytes * 1000);
            // Every other task that may asks for one more.
            let asks = given.spec.spawns && given.attempt.task.index.is_multiple_of(2);
            self.waiting.push((given.attempt, given.spec.limits.fuel * 1000, done_us, fails, asks));
        }
        self.begin()
    }

    /// Saves how far an attempt has come, and stops it.
    fn make_room(&mut self, attempt: AttemptId, height: Height) {
        let Some((since_us, done_us)) = self.running.get(&attempt).copied() else { return };
        let done_us = done_us + self.now.0.saturating_sub(since_us);
        let manifest = BlobRef { digest: Digest::of(&attempt.number.0.to_be_bytes()), bytes: done_us / 1000 };
        let statement = DeliveryStatement { attempt, manifest, bytes: manifest.bytes, height };
        let delivery = statement.sign(&self.holder, &self.network);
        let verdict = Verdict::Checkpointed { manifest, bytes: manifest.bytes, delivery };
        self.saved.push(ReportItem { attempt, verdict });
        self.running.remove(&attempt);
        self.outcomes.insert(attempt, (Verdict::Yielded, None));
    }

    fn begin(&mut self) -> Vec<(AttemptId, u64)> {
        let now_us = self.now.0;
        let mut begun = Vec::new();
        while self.running.len() < SLOTS as usize && !self.waiting.is_empty() {
            let (attempt, us, done_us, fails, asks) = self.waiting.remove(0);
            let us = us.saturating_sub(done_us).max(1);
            self.running.insert(attempt, (now_us, done_us));
            let verdict = match (self.manner, fails) {
                (Manner::Returns, _) => Verdict::Returned,
                (Manner::Fails | Manner::Late, _) | (_, true) => {
                    Verdict::Failed(Failure::Exited(1), ByteString::default(), Usage::default())
                }
                _ => success(&attempt, asks),
            };
            self.outcomes.insert(attempt, (verdict, Some(u64::MAX)));
            begun.push((attempt, if self.lets_lapse() { us + self.stands_us } else { us }));
        }
        begun
    }

    /// A run has ended. What begins next.
    pub fn on_ran(&mut self, attempt: AttemptId) -> Vec<(AttemptId, u64)> {
        if self.running.remove(&attempt).is_some() {
            if self.manner == Manner::Silent {
                self.outcomes.remove(&attempt);
            } else if let Some((_, sent)) = self.outcomes.get_mut(&attempt) {
                *sent = None;
            }
        }
        self.begin()
    }

    /// Whether its claims run out while it works.
    const fn lets_lapse(&self) -> bool {
        matches!(self.manner, Manner::Late | Manner::Overdue)
    }

    /// How often it looks around, in microseconds.
    #[must_use]
    pub const fn tick_us(&self) -> u64 {
        if matches!(self.manner, Manner::LastMinute) { LAST_MINUTE_TICK_US } else { TICK_US }
    }

    /// What it signs now.
    pub fn says(&mut self, now: BlockTime) -> Vec<Action> {
        let mut says = Vec::new();
        let BlockTime(now_us) = now;
        let renews_us = match self.manner {
            Manner::LastMinute => self.stands_us - LAST_MINUTE_US,
            _ if self.lets_lapse() => 3 * self.stands_us,
            _ => self.stands_us / 3,
        };
        // A clock that was set back counts for a claim that is due.
        let overdue = |at: u64| now_us < at || now_us - at >= renews_us;
        if self.claimed_us.is_none_or(overdue) {
            self.claimed_us = Some(now_us);
            self.sequence = Claim::next_sequence(self.sequence, now);
            self.claims += 1;
            says.push(Action::Claim(self.claim()));
        }
        let saved = std::mem::take(&mut self.saved);
        if !saved.is_empty() {
            says.push(Action::Report(Report { items: saved }));
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
            never.extend(
                self.others.iter().map(|attempt| ReportItem { attempt: *attempt, verdict: success(attempt, false) }),
            );
            items.extend(items.clone());
            says.push(Action::Report(Report { items: never }));
            says.push(Action::Report(Report { items: items.clone() }));
        }
        says.push(Action::Report(Report { items }));
        says
    }

    fn claim(&self) -> Claim {
        let (slots, waiting) = match self.manner {
            Manner::Greedy => (64, 1024),
            Manner::Wavers => [(2, 4), (1, 0), (4, 8), (0, 2), (1, 1)][self.claims % 5],
            _ => (SLOTS, 2 * SLOTS),
        };
        Claim {
            sequence: self.sequence,
            incarnation: self.incarnation,
            slots,
            resources: Resources { millicores: slots * 1000, memory_bytes: u64::from(slots) << 30 },
            waiting,
            load: 0,
            stands_ms: self.stands_us / 1000,
            labels: Labels::from([("zone".to_owned(), (self.key.0[0] % 3).to_string())]),
            ..Claim::default()
        }
    }
}

/// The one right answer of a task.
fn success(attempt: &AttemptId, asks: bool) -> Verdict {
    let asks = if asks { vec![Ask::default()] } else { Vec::new() };
    let stdout = ByteString::from(attempt.task.index.to_be_bytes().as_slice());
    Verdict::Succeeded(Output::Inline(InlineOutput { stdout, ..InlineOutput::default() }), Usage::default(), asks)
}
