//! Bad workers: they change what the worker's machine hears and says.

use meshwork_core::{
    consensus::Now,
    identity::PublicKey,
    ledger::LedgerEvent,
    replica::Executed,
    types::{
        Action, Answer, AttemptId, AttemptNumber, BlockTime, Claim, Failure, Genesis, Output, Remains, Report,
        ReportItem, Resources, TaskId, Usage, Verdict,
    },
    worker::{Happened, Input, Ticket},
};

use super::{Wish, right_answer, success};
use crate::scenario::Manner;

/// How long before its claim's end a worker renews it if it does everything at the last moment, in microseconds.
const LAST_MINUTE_US: u64 = 60_000;
/// How many tasks a worker that turns answers rightly.
const TURNS_AFTER: u32 = 14;
/// The most attempts of other workers that a thief remembers.
const OTHERS_KEPT: usize = 8;

/// The mask between a machine and the rest of the world.
pub(super) struct Mask {
    manner: Manner,
    key: PublicKey,
    stands_us: u64,
    claims: usize,
    claimed_us: Option<u64>,
    /// A claim that is held back, and since when.
    kept: Option<(Ticket, Claim, BlockTime, u64)>,
    /// The newest attempts that other workers were given.
    others: Vec<AttemptId>,
    /// How many tasks it has answered that several workers compute.
    answered: u32,
}

impl Mask {
    pub(super) fn new(manner: Manner, key: PublicKey, genesis: &Genesis) -> Self {
        let stands_us = genesis.ledger.claim_stands_ms_max * 1000;
        Self { manner, key, stands_us, claims: 0, claimed_us: None, kept: None, others: Vec::new(), answered: 0 }
    }

    pub(super) const fn manner(&self) -> Manner {
        self.manner
    }

    pub(super) const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// What it answers to a task that several workers compute.
    pub(super) fn answers(&mut self, task: &TaskId) -> Answer {
        self.answered += 1;
        let failed = || Answer::Failed(Failure::Exited(1), Remains::default(), Usage::default());
        match self.manner {
            // All who lie alike say what the next task's answer would be.
            Manner::Colludes | Manner::Mob => right_answer(&TaskId { index: task.index.wrapping_add(1), ..*task }),
            Manner::Lies => {
                right_answer(&TaskId { index: u32::from_be_bytes([1, 2, self.key.0[0], self.key.0[1]]), ..*task })
            }
            Manner::Turns if self.answered > TURNS_AFTER => right_answer(&TaskId { index: !task.index, ..*task }),
            Manner::Fails => failed(),
            // It has computed nothing.
            Manner::Copies => right_answer(&TaskId { index: u32::MAX, ..*task }),
            _ => right_answer(task),
        }
    }

    /// What it reveals in place of its answer. Who copies says by now what others have revealed.
    pub(super) fn reveals(&self, task: &TaskId, answer: Answer) -> Answer {
        if self.manner == Manner::Copies { right_answer(task) } else { answer }
    }

    /// Whether its claims run out while it works.
    const fn lets_lapse(&self) -> bool {
        matches!(self.manner, Manner::Late | Manner::Overdue)
    }

    /// How long an attempt runs that should run for `us`, in microseconds.
    pub(super) const fn lasts_us(&self, us: u64) -> u64 {
        if self.lets_lapse() { us + self.stands_us } else { us }
    }

    /// Whether all its outputs are stored and delivered, even small ones.
    pub(super) const fn stores(&self) -> bool {
        self.is_never_believed()
    }

    /// Whether the ledger believes none of its second holders.
    pub(super) const fn is_never_believed(&self) -> bool {
        matches!(self.manner, Manner::Undelivered)
    }

    /// Takes note of an executed block.
    pub(super) fn sees(&mut self, executed: &Executed) {
        if self.manner != Manner::Twice {
            return;
        }
        for event in &executed.applied.events {
            if let LedgerEvent::Leased { attempt, worker, .. } = event
                && *worker != self.key
            {
                self.others.push(*attempt);
                if self.others.len() > OTHERS_KEPT {
                    self.others.remove(0);
                }
            }
        }
    }

    /// The input that the machine hears instead of this one.
    pub(super) fn hears(&self, mut input: Input) -> Input {
        if let Input::Executed(news) = &mut input
            && self.lets_lapse()
        {
            news.happened.retain(|happened| !matches!(happened, Happened::Ended { .. } | Happened::ClaimEnded { .. }));
        }
        input
    }

    /// What the worker says instead of the machine's action.
    pub(super) fn says(&mut self, now: Now, ticket: Ticket, action: Action, expires: BlockTime) -> Vec<Wish> {
        let hand_in = |action, ticket| Wish::HandIn { ticket, action, expires };
        match action {
            Action::Claim(claim) => {
                self.kept = Some((ticket, self.claims_instead(claim), expires, now.monotonic.0));
                self.keeps_no_longer(now)
            }
            Action::Report(_) if self.manner == Manner::Silent => Vec::new(),
            Action::Report(mut report) => {
                let mut says = Vec::new();
                for item in &mut report.items {
                    item.verdict = self.instead_of(&item.verdict);
                }
                if self.manner == Manner::Twice {
                    says.push(hand_in(Action::Report(self.never_held(&report)), None));
                    report.items.extend(report.items.clone());
                    says.push(hand_in(Action::Report(report.clone()), None));
                }
                says.push(hand_in(Action::Report(report), Some(ticket)));
                says
            }
            action => {
                // A worker that drains claims no more.
                self.kept = None;
                vec![hand_in(action, Some(ticket))]
            }
        }
    }

    fn instead_of(&self, verdict: &Verdict) -> Verdict {
        match (self.manner, verdict) {
            (_, Verdict::Checkpointed { .. } | Verdict::Preempted) => verdict.clone(),
            (Manner::Returns, _) => Verdict::Returned,
            (Manner::Dies, Verdict::Succeeded(..)) => Verdict::HostDied { alone: true },
            (Manner::Fails | Manner::Late, Verdict::Succeeded(..)) => {
                Verdict::Failed(Failure::Exited(1), Remains::default(), Usage::default())
            }
            _ => verdict.clone(),
        }
    }

    /// A report on attempts that no worker was given, and on attempts of other workers.
    fn never_held(&self, report: &Report) -> Report {
        let mut items = report.items.clone();
        for item in &mut items {
            item.attempt.task.index = item.attempt.task.index.wrapping_add(1);
            item.attempt.number = AttemptNumber(0);
            // Each holder signs for one attempt only.
            if matches!(item.verdict.output(), Some(Output::Stored { .. })) {
                item.verdict = success(&item.attempt);
            }
        }
        items.extend(self.others.iter().map(|attempt| ReportItem { attempt: *attempt, verdict: success(attempt) }));
        Report { items }
    }

    fn claims_instead(&mut self, claim: Claim) -> Claim {
        self.claims += 1;
        let (slots, waiting) = match self.manner {
            Manner::Greedy => (64, 1024),
            Manner::Wavers => [(2, 4), (1, 0), (4, 8), (0, 2), (1, 1)][self.claims % 5],
            _ => return claim,
        };
        let resources = Resources { millicores: slots * 1000, memory_bytes: u64::from(slots) << 30 };
        Claim { slots, waiting, resources, ..claim }
    }

    /// Hands in the claim that is held back, if it is due. It is also due if the clock was set back.
    pub(super) fn keeps_no_longer(&mut self, now: Now) -> Vec<Wish> {
        let renews_us = match self.manner {
            Manner::LastMinute => self.stands_us - LAST_MINUTE_US,
            _ if self.lets_lapse() => 3 * self.stands_us,
            _ => 0,
        };
        let now_us = now.monotonic.0;
        if self.claimed_us.is_some_and(|at| now_us - at < renews_us) {
            return Vec::new();
        }
        let Some((ticket, claim, expires, since_us)) = self.kept.take() else { return Vec::new() };
        self.claimed_us = Some(now_us);
        let expires = expires.plus_ms((now_us - since_us) / 1000);
        vec![Wish::HandIn { ticket: Some(ticket), action: Action::Claim(claim), expires }]
    }
}
