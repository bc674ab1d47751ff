//! The rules that a worker's machine must keep, whatever the worker's manner. A watch follows one process by its inputs
//! and effects alone, and keeps its own account of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use meshwork_core::{
    consensus::Now,
    ledger::{EndReason, IgnoredReason},
    replica::Assignment,
    types::{Action, AttemptId, Claim, Genesis, Incarnation, Report, TransactionId, Verdict},
    worker::{Config, Effect, Happened, Input, LedgerStatus, News, Progress, Ticket},
};

use super::{Checked, rule};

/// The most times that one output may be delivered again.
const DELIVERIES_MAX: u32 = 4;
/// How long a leaving worker waits for deliveries, in microseconds.
const DRAIN_US: u64 = 5_000_000;
/// A verdict that is not taken must be reported again within this time, in microseconds, and this many ticks. That is
/// long enough for two reports to be lost in turn.
const SAID_AGAIN: (u64, u32) = (45_000_000, 60);
/// The time after which a report that is not executed counts as lost, in microseconds.
const LOST_AFTER_US: u64 = 20_000_000;
/// How long an attempt may wait behind others: at least this time, and this many rounds of reports.
const PATIENCE: (Duration, u32) = (Duration::from_secs(2), 20);
/// The number of rounds for which attempts may wait in waiting places.
const ROUNDS: u128 = 2;
/// The most waiting places.
const PLACES_MAX: u128 = 1024;

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Preparing,
    Ready,
    Running,
    Delivering,
}

/// An attempt that the worker works on.
struct GoesOn {
    given: Arc<Assignment>,
    order: u64,
    since_us: u64,
    phase: Phase,
}

/// A verdict that the ledger has not taken.
struct Word {
    is_success: bool,
    is_failure: bool,
    is_commitment: bool,
    report: Option<Ticket>,
    since_us: u64,
    ticks: u32,
}

/// A report on its way.
struct Sent {
    at_us: u64,
    id: Option<TransactionId>,
    attempts: Vec<AttemptId>,
}

/// A newer process of the key: since when its claim stands no more, if it does not.
#[derive(Clone, Copy)]
struct Newer {
    ended_us: Option<u64>,
}

/// The claims of a process.
#[derive(Default)]
struct Claims {
    last: Option<(Ticket, u64, Incarnation)>,
    id: Option<TransactionId>,
    has_stood: bool,
    is_executed: bool,
    newer: Option<Newer>,
    /// Whether a look-up for a claim is under way.
    looks_up: bool,
    /// The sequence number that the next claim must exceed.
    above: Option<u64>,
}

/// Exponential averages of how long tasks and rounds take.
#[derive(Clone, Copy, Default)]
struct Throughput {
    task: Option<Duration>,
    round: Option<Duration>,
}

fn average(before: Option<Duration>, now: Duration) -> Option<Duration> {
    Some(before.map_or(now, |before| (before * 7 + now) / 8))
}

/// A watch on a worker's process.
pub struct Watch {
    /// The first rule that was broken, if any.
    pub broken: Option<String>,
    slots: u32,
    memory_bytes: u64,
    places_max: u128,
    third_us: u64,
    now_us: u64,
    next: u64,
    leases: BTreeSet<AttemptId>,
    goes_on: BTreeMap<AttemptId, GoesOn>,
    /// The waiting attempts, in the order of their leases.
    line: BTreeMap<u64, AttemptId>,
    running: u32,
    memory_used: u64,
    begun: BTreeSet<AttemptId>,
    preempted: BTreeSet<AttemptId>,
    deliveries: BTreeMap<AttemptId, u32>,
    redelivering: BTreeSet<AttemptId>,
    /// The attempts for whose answers the ledger has asked.
    asked: BTreeSet<AttemptId>,
    words: BTreeMap<AttemptId, Word>,
    reports: BTreeMap<Ticket, Sent>,
    claims: Claims,
    throughput: Throughput,
    /// What the process before this one died of, and what of that it has not said.
    died_of: BTreeSet<AttemptId>,
    unsaid: BTreeSet<AttemptId>,
    is_paused: bool,
    leaves_us: Option<u64>,
    /// The attempts that must be stopped by the input being handled.
    to_stop: BTreeSet<AttemptId>,
    /// Whether that input is a tick, and whether all slots were taken before it.
    ticks: bool,
    was_full: bool,
}

impl Watch {
    /// A watch on a process that has had no input yet.
    #[must_use]
    pub fn new(config: &Config, genesis: &Genesis) -> Self {
        let limits = &genesis.ledger;
        Self {
            broken: None,
            slots: config.slots,
            memory_bytes: config.resources.memory_bytes,
            places_max: u128::from(limits.claim_attempts_max - config.slots),
            third_us: limits.claim_stands_ms_max * 1000 / 3,
            now_us: 0,
            next: 0,
            leases: BTreeSet::new(),
            goes_on: BTreeMap::new(),
            line: BTreeMap::new(),
            running: 0,
            memory_used: 0,
            begun: BTreeSet::new(),
            preempted: BTreeSet::new(),
            deliveries: BTreeMap::new(),
            redelivering: BTreeSet::new(),
            asked: BTreeSet::new(),
            words: BTreeMap::new(),
            reports: BTreeMap::new(),
            claims: Claims::default(),
            throughput: Throughput::default(),
            died_of: config.died_of.iter().map(|died| died.attempt).collect(),
            unsaid: config.died_of.iter().map(|died| died.attempt).collect(),
            is_paused: false,
            leaves_us: None,
            to_stop: BTreeSet::new(),
            ticks: false,
            was_full: false,
        }
    }

    /// Takes note of an input.
    pub fn told(&mut self, now: Now, input: &Input) {
        self.now_us = now.monotonic.0;
        self.to_stop.clear();
        self.ticks = matches!(input, Input::Tick { .. });
        self.was_full = self.running >= self.slots;
        match input {
            Input::Executed(news) => self.executed(news),
            Input::Resynchronized(standing) => self.resynchronized(standing),
            Input::Progress(progress) => progress.iter().for_each(|progress| self.progressed(progress)),
            Input::Tick { .. } => {
                let ended_us = self.claims.newer.and_then(|newer| newer.ended_us);
                if ended_us.is_some_and(|ended_us| self.now_us >= ended_us + 3 * self.third_us) {
                    self.newer_is_gone();
                }
                self.words.values_mut().for_each(|word| word.ticks += 1);
                let lost = self.reports.iter().filter(|(_, sent)| self.now_us - sent.at_us > LOST_AFTER_US);
                let lost: Vec<Ticket> = lost.map(|(ticket, _)| *ticket).collect();
                lost.into_iter().for_each(|ticket| self.report_is_back(ticket));
            }
            Input::LookedUp(looked_up) => {
                self.claims.above = looked_up.last.map(|(sequence, _)| sequence);
                self.claims.looks_up = false;
            }
            Input::Signed { ticket, id } => self.signed(*ticket, *id),
            Input::Refused(ticket) => self.report_is_back(*ticket),
            Input::Pause => {
                self.is_paused = true;
                self.to_stop.extend(self.line.values());
            }
            Input::Resume => self.is_paused = false,
            Input::Drain => {
                self.leaves_us.get_or_insert(self.now_us);
                let unfinished = self.goes_on.iter().filter(|(_, goes_on)| goes_on.phase != Phase::Delivering);
                self.to_stop.extend(unfinished.map(|(attempt, _)| *attempt));
            }
        }
    }

    fn signed(&mut self, ticket: Ticket, id: TransactionId) {
        if let Some(sent) = self.reports.get_mut(&ticket) {
            sent.id = Some(id);
        }
        if self.claims.last.is_some_and(|(last, ..)| last == ticket) {
            self.claims.id = Some(id);
        }
    }

    /// The verdicts of a report must be reported again.
    fn report_is_back(&mut self, ticket: Ticket) {
        let Some(sent) = self.reports.remove(&ticket) else { return };
        for attempt in sent.attempts {
            if let Some(word) = self.words.get_mut(&attempt).filter(|word| word.report == Some(ticket)) {
                word.report = None;
            }
        }
    }

    fn executed(&mut self, news: &News) {
        for happened in &news.happened {
            match happened {
                Happened::Ended { attempt, why } => self.ended(*attempt, *why),
                Happened::Ignored { attempt, why } => {
                    let id = |ticket: Ticket| self.reports.get(&ticket).and_then(|sent| sent.id);
                    let of = self.words.get(attempt).and_then(|word| id(word.report?));
                    if of.is_some_and(|id| news.receipts.contains(&(id, true)))
                        && let Some(word) = self.words.remove(attempt)
                    {
                        // What a failed program left is lost in the end, and that it failed is not.
                        let times = self.deliveries.get(attempt).copied().unwrap_or(0);
                        let is_lost = *why == IgnoredReason::NotDelivered && times == DELIVERIES_MAX;
                        if word.is_failure && is_lost {
                            self.words.insert(*attempt, Word { report: None, since_us: self.now_us, ticks: 0, ..word });
                        }
                    }
                }
                Happened::ClaimBegan(incarnation) => self.claim_began(*incarnation),
                Happened::ClaimEnded { drained } => self.claim_ended(*drained),
                Happened::PreemptionRequested(attempt) if self.leases.contains(attempt) => {
                    self.preempted.insert(*attempt);
                }
                Happened::PreemptionRequested(_) => {}
                Happened::Committed(attempt) => {
                    if self.words.get(attempt).is_some_and(|word| word.is_commitment) {
                        self.words.remove(attempt);
                    }
                }
                Happened::RevealAsked(attempt) => drop(self.asked.insert(*attempt)),
                Happened::Checkpointed(attempt) => {
                    let runs = self.goes_on.get(attempt).is_some_and(|goes_on| goes_on.phase == Phase::Running);
                    if runs && self.preempted.remove(attempt) {
                        self.to_stop.insert(*attempt);
                    }
                }
            }
        }
        for (id, is_good) in &news.receipts {
            self.judged(*id, *is_good);
        }
        self.given(&news.assignments);
    }

    fn judged(&mut self, id: TransactionId, is_good: bool) {
        if self.claims.id == Some(id) {
            self.claims.is_executed = is_good;
            self.claims.has_stood |= is_good;
        }
        let report = self.reports.iter().find(|(_, sent)| sent.id == Some(id)).map(|(ticket, _)| *ticket);
        let Some(ticket) = report else { return };
        let took_us = self.reports.get(&ticket).map_or(0, |sent| self.now_us - sent.at_us);
        self.throughput.round = average(self.throughput.round, Duration::from_micros(took_us));
        if is_good {
            // The ledger has taken or ignored each of its verdicts.
            self.words.retain(|_, word| word.report != Some(ticket));
        }
        self.report_is_back(ticket);
    }

    fn given(&mut self, given: &[Assignment]) {
        if self.leaves_us.is_none() {
            let own = self.claims.last.map(|(.., incarnation)| incarnation);
            let own = given.iter().filter(|given| Some(given.incarnation) == own);
            self.leases.extend(own.map(|given| given.attempt));
        }
    }

    fn ended(&mut self, attempt: AttemptId, why: EndReason) {
        use EndReason::{ClaimEnded, Drained, NewIncarnation, TakenBack, TimedOut};
        self.leases.remove(&attempt);
        self.preempted.remove(&attempt);
        let is_lost = matches!(why, ClaimEnded | NewIncarnation | TimedOut | Drained | TakenBack);
        if !is_lost || self.words.get(&attempt).is_some_and(|word| !word.is_success) {
            self.words.remove(&attempt);
        }
        // What begins later is another thing: a success that is late may be delivered again, and taken.
        if self.goes_on.contains_key(&attempt) || self.redelivering.contains(&attempt) {
            self.to_stop.insert(attempt);
        }
    }

    fn resynchronized(&mut self, standing: &LedgerStatus) {
        let own = self.claims.last.map(|(.., incarnation)| incarnation);
        match standing.stands {
            Some(incarnation) if own.is_some_and(|own| incarnation > own) => self.claim_began(incarnation),
            _ if self.claims.newer.is_some() => self.claim_ended(false),
            _ => {}
        }
        let live = standing.leases.iter().filter(|given| Some(given.incarnation) == own);
        let live: BTreeSet<AttemptId> = live.map(|given| given.attempt).collect();
        let gone: Vec<AttemptId> = self.leases.difference(&live).copied().collect();
        gone.into_iter().for_each(|attempt| self.ended(attempt, EndReason::TakenBack));
        self.given(&standing.leases);
        for (attempt, is_asked) in &standing.committed {
            if self.words.get(attempt).is_some_and(|word| word.is_commitment) {
                self.words.remove(attempt);
            }
            if *is_asked {
                self.asked.insert(*attempt);
            }
        }
        // What was on its way may be executed by now, so it may be said again.
        for word in self.words.values_mut() {
            (word.report, word.ticks) = (None, 0);
        }
    }

    fn claim_began(&mut self, incarnation: Incarnation) {
        let is_newer = self.claims.last.is_some_and(|(.., own)| incarnation > own);
        if is_newer && self.claims.has_stood {
            self.claims.newer = Some(Newer { ended_us: None });
        }
    }

    fn claim_ended(&mut self, drained: bool) {
        self.claims.last = self.claims.last.map(|(ticket, _, incarnation)| (ticket, self.now_us, incarnation));
        match &mut self.claims.newer {
            Some(newer) if !drained => newer.ended_us = newer.ended_us.or(Some(self.now_us)),
            Some(_) => self.newer_is_gone(),
            None => {}
        }
    }

    fn newer_is_gone(&mut self) {
        (self.claims.newer, self.claims.has_stood, self.claims.is_executed) = (None, false, false);
        self.claims.last = self.claims.last.map(|(ticket, _, incarnation)| (ticket, self.now_us, incarnation));
    }

    fn progressed(&mut self, progress: &Progress) {
        match progress {
            Progress::Prepared(attempt, prepared) => {
                let preparing = self.goes_on.get_mut(attempt).filter(|goes_on| goes_on.phase == Phase::Preparing);
                let Some(goes_on) = preparing else { return };
                match prepared {
                    Ok(()) => goes_on.phase = Phase::Ready,
                    Err(verdict) => {
                        self.goes_no_further(*attempt);
                        self.heard(*attempt, verdict);
                    }
                }
            }
            Progress::Ran(attempt, took) => {
                self.throughput.task = average(self.throughput.task, *took);
                self.comes_to(*attempt, Phase::Delivering);
            }
            Progress::Saved(..) => {}
            Progress::Answered(attempt, commitment) => {
                self.goes_no_further(*attempt);
                if self.leases.contains(attempt) {
                    self.heard(*attempt, &Verdict::Committed(*commitment));
                }
            }
            Progress::Ended(attempt, verdict) => {
                self.goes_no_further(*attempt);
                if self.leases.contains(attempt) || matches!(verdict, Verdict::Succeeded(..)) {
                    self.heard(*attempt, verdict);
                }
            }
        }
    }

    fn heard(&mut self, attempt: AttemptId, verdict: &Verdict) {
        let is_success = matches!(verdict, Verdict::Succeeded(..));
        let is_failure = matches!(verdict, Verdict::Failed(..));
        let is_commitment = matches!(verdict, Verdict::Committed(_));
        let (report, since_us, ticks) = (None, self.now_us, 0);
        self.words.insert(attempt, Word { is_success, is_failure, is_commitment, report, since_us, ticks });
    }

    fn comes_to(&mut self, attempt: AttemptId, phase: Phase) {
        let Some(goes_on) = self.goes_on.get_mut(&attempt) else { return };
        let memory_bytes = goes_on.given.resources.memory_bytes;
        match goes_on.phase {
            Phase::Running => {
                self.running -= 1;
                self.memory_used -= memory_bytes;
            }
            Phase::Preparing | Phase::Ready if phase != Phase::Ready => {
                self.line.remove(&goes_on.order);
            }
            _ => {}
        }
        if phase == Phase::Running {
            self.running += 1;
            self.memory_used += memory_bytes;
        }
        goes_on.phase = phase;
    }

    fn goes_no_further(&mut self, attempt: AttemptId) {
        self.redelivering.remove(&attempt);
        self.comes_to(attempt, Phase::Delivering);
        self.goes_on.remove(&attempt);
    }

    /// Takes note of the effects of the last input, and checks them.
    pub fn did(&mut self, now: Now, effects: &[Effect]) {
        if self.broken.is_some() {
            return;
        }
        self.claims.looks_up |= effects.iter().any(|effect| matches!(effect, Effect::LookUp { .. }));
        let mut checked = effects.iter().map(|effect| self.does(now, effect));
        let checked = checked.find(Result::is_err).unwrap_or(Ok(()));
        let checked = checked.and_then(|()| self.check_stopped()).and_then(|()| self.check_line());
        let checked = checked.and_then(|()| if self.ticks { self.check_times() } else { Ok(()) });
        self.broken = checked.err();
    }

    fn does(&mut self, now: Now, effect: &Effect) -> Checked {
        match effect {
            Effect::Prepare(given) => self.prepares(given),
            Effect::Run(given) => self.runs(given),
            Effect::Stop(attempt) => {
                self.goes_no_further(*attempt);
                Ok(())
            }
            Effect::Deliver { attempt, .. } => {
                let times = self.deliveries.entry(*attempt).or_default();
                *times += 1;
                let times = *times;
                self.redelivering.insert(*attempt);
                rule(!self.words.contains_key(attempt), || {
                    format!("its worker delivers {attempt} again, of which the ledger has not judged what it said")
                })?;
                rule(times <= DELIVERIES_MAX, || format!("its worker delivers {attempt} again, {times} times by now"))
            }
            Effect::Forget(attempt) => rule(!self.unsaid.contains(attempt), || {
                format!("its worker forgets that it died of {attempt}, and has not said so")
            }),
            Effect::Reveal(attempt) => rule(self.asked.contains(attempt), || {
                format!("its worker reveals the answer of {attempt}, for which nobody asks")
            }),
            Effect::LookUp { .. } | Effect::Left { .. } => Ok(()),
            Effect::HandIn { ticket, action: Action::Report(report), .. } => self.reports(*ticket, report),
            Effect::HandIn { ticket, action: Action::Claim(claim), .. } => self.claims(*ticket, claim),
            Effect::HandIn { action: Action::Drain(_), .. } => self.drains(now),
            Effect::HandIn { .. } => Err("a worker signs what is not a worker's".into()),
        }
    }

    fn prepares(&mut self, given: &Arc<Assignment>) -> Checked {
        let attempt = given.attempt;
        let mut goes_on = self.goes_on.values().filter(|goes_on| goes_on.phase != Phase::Delivering);
        // The programs of a job are all the same.
        let is_beside = goes_on
            .any(|goes_on| (given.alone || goes_on.given.alone) && goes_on.given.attempt.task.job != attempt.task.job);
        rule(!is_beside, || {
            format!("its worker prepares {attempt} beside what is to run alone, or the other way round")
        })?;
        let is_new = !self.begun.contains(&attempt) && !self.goes_on.contains_key(&attempt);
        rule(is_new, || format!("its worker prepares {attempt} anew"))?;
        let (order, since_us) = (self.next, self.now_us);
        self.next += 1;
        self.line.insert(order, attempt);
        let goes_on = GoesOn { given: Arc::clone(given), order, since_us, phase: Phase::Preparing };
        self.goes_on.insert(attempt, goes_on);
        Ok(())
    }

    fn runs(&mut self, given: &Assignment) -> Checked {
        let attempt = given.attempt;
        let is_ready = self.goes_on.get(&attempt).is_some_and(|goes_on| goes_on.phase == Phase::Ready);
        rule(is_ready && self.begun.insert(attempt), || format!("its worker begins {attempt}, which is not ready"))?;
        self.comes_to(attempt, Phase::Running);
        rule(self.running <= self.slots, || format!("its worker runs {} attempts", self.running))?;
        rule(self.memory_used <= self.memory_bytes, || {
            format!("its worker runs what takes {} bytes of memory", self.memory_used)
        })
    }

    fn reports(&mut self, ticket: Ticket, report: &Report) -> Checked {
        let mut attempts = BTreeSet::new();
        for item in &report.items {
            let attempt = item.attempt;
            rule(attempts.insert(attempt), || format!("its worker's report holds {attempt} twice"))?;
            if matches!(item.verdict, Verdict::Checkpointed { .. }) {
                continue;
            }
            let says_unasked = match item.verdict {
                Verdict::Returned | Verdict::Preempted => true,
                Verdict::HostDied { .. } => self.died_of.contains(&attempt),
                _ => false,
            };
            self.unsaid.remove(&attempt);
            if says_unasked && !self.words.contains_key(&attempt) {
                self.heard(attempt, &item.verdict);
            }
            let Some(word) = self.words.get_mut(&attempt) else {
                return Err(format!("its worker says of {attempt} what it cannot know"));
            };
            rule(word.report.is_none(), || format!("its worker says in two reports at once what became of {attempt}"))?;
            (word.report, word.since_us, word.ticks) = (Some(ticket), self.now_us, 0);
        }
        let attempts = attempts.into_iter().collect();
        self.reports.insert(ticket, Sent { at_us: self.now_us, id: None, attempts });
        Ok(())
    }

    fn claims(&mut self, ticket: Ticket, claim: &Claim) -> Checked {
        rule(self.claims.newer.is_none(), || "its worker claims though a newer process of its key is not gone".into())?;
        rule(self.unsaid.is_empty(), || {
            "its worker claims, and has not said what the process before it died of".into()
        })?;
        rule(self.leaves_us.is_none(), || "its worker claims while it leaves".into())?;
        rule(!self.is_paused || (claim.slots, claim.waiting) == (0, 0), || {
            format!("its worker is paused and claims {} slots and {} places", claim.slots, claim.waiting)
        })?;
        rule(self.claims.above.is_none_or(|last| claim.sequence > last), || {
            "its worker signs no higher a sequence number than its key has".into()
        })?;
        let places = self.places();
        rule(claim.slots == 0 || u128::from(claim.waiting) == places, || {
            format!("its worker asks for {} waiting places, and can run {places} in two rounds", claim.waiting)
        })?;
        self.claims.last = Some((ticket, self.now_us, claim.incarnation));
        (self.claims.id, self.claims.is_executed) = (None, false);
        Ok(())
    }

    /// The number of attempts that its slots run in two rounds.
    fn places(&self) -> u128 {
        let slots = u128::from(self.slots);
        let (Some(task), Some(round)) = (self.throughput.task, self.throughput.round) else {
            return slots.min(self.places_max);
        };
        let tasks = round.as_micros() * ROUNDS * slots / task.as_micros().max(1);
        tasks.min(PLACES_MAX).min(self.places_max)
    }

    fn drains(&self, now: Now) -> Checked {
        let Some(since_us) = self.leaves_us else { return Err("its worker drains unasked".into()) };
        rule(self.claims.newer.is_none(), || "its worker ends the claim of a newer process of its key".into())?;
        if now.monotonic.0 >= since_us + DRAIN_US {
            return Ok(());
        }
        if let Some(attempt) = self.goes_on.keys().chain(&self.redelivering).next() {
            return Err(format!("its worker drains while {attempt} is being delivered"));
        }
        match self.words.keys().next() {
            Some(attempt) => Err(format!("its worker drains while what became of {attempt} is not taken")),
            None => Ok(()),
        }
    }

    fn check_stopped(&self) -> Checked {
        let goes_on = |attempt: &&AttemptId| self.goes_on.contains_key(attempt) || self.redelivering.contains(attempt);
        let left = self.to_stop.iter().find(goes_on);
        left.map_or(Ok(()), |attempt| Err(format!("{attempt} has ended, and goes on at its worker")))
    }

    /// Checks that no ready attempt waits while it fits.
    fn check_line(&self) -> Checked {
        rule(!self.is_paused || self.line.is_empty(), || "its worker is paused and keeps what waits".into())?;
        if self.running >= self.slots || self.leaves_us.is_some() {
            return Ok(());
        }
        let fits = |attempt: &&AttemptId| {
            let goes_on = self.goes_on.get(attempt).filter(|goes_on| goes_on.phase == Phase::Ready);
            goes_on.is_some_and(|goes_on| self.memory_used + goes_on.given.resources.memory_bytes <= self.memory_bytes)
        };
        let left = self.line.values().find(fits);
        left.map_or(Ok(()), |attempt| Err(format!("{attempt} is ready, and waits though its worker has a free slot")))
    }

    /// Checks what must happen within a time.
    fn check_times(&self) -> Checked {
        let patience = PATIENCE.0.max(self.throughput.round.unwrap_or_default() * PATIENCE.1);
        let late = |attempt: &&AttemptId| {
            self.goes_on
                .get(attempt)
                .is_some_and(|goes_on| Duration::from_micros(self.now_us - goes_on.since_us) > patience)
        };
        if self.was_full
            && let Some(attempt) = self.line.values().find(late)
        {
            return Err(format!("{attempt} waits behind others at its worker for longer than {patience:?}"));
        }
        let unsaid = self.words.iter().find(|(_, word)| {
            self.now_us - word.since_us > SAID_AGAIN.0 && word.ticks > SAID_AGAIN.1 && self.leaves_us.is_none()
        });
        if let Some((attempt, _)) = unsaid {
            return Err(format!("what became of {attempt} was not taken, and its worker does not say it again"));
        }
        let Claims { last, newer, looks_up, .. } = self.claims;
        let is_due = last.is_some_and(|(_, at_us, _)| self.now_us - at_us >= self.third_us);
        let has_to = self.leaves_us.is_none() && newer.is_none() && is_due;
        rule(!has_to || looks_up, || "its worker does not renew its claim after a third of its life".into())
    }
}
