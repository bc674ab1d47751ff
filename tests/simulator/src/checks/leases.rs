//! Checks each lease's life from the transactions and events alone: who holds what, since when, and why it may
//! end. Computes lease time anew, from block times and the genesis.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{ATTEMPTS_KEPT, Applied, EndReason, Ledger, LedgerEvent, TaskStateView},
    types::{
        Action, AttemptId, Block, BlockTime, Change, Claim, Failure, Genesis, Incarnation, JobId, OutcomeReceipt,
        Output, Permission, Receipt, Report, ReportItem, TaskId, TransactionId, Verdict,
    },
};

use super::{Checked, rule};

/// An attempt that has run for no longer than this is never slow, in milliseconds.
const SLOW_MS_MIN: u64 = 1000;

/// A lease that lives.
struct Live {
    attempt: AttemptId,
    worker: PublicKey,
    /// Its place in the order of leases.
    order: u64,
    leased_us: u64,
    started_us: Option<u64>,
}

/// What was seen of a task.
#[derive(Default)]
struct Seen {
    given: BTreeMap<AttemptId, PublicKey>,
    /// Oldest first: an attempt and perhaps a speculative one.
    live: Vec<Live>,
    /// Whether the live attempt has, or had, a speculative attempt beside it.
    speculated: bool,
    ended: Vec<(AttemptId, EndReason)>,
    failures: u32,
    losses: u32,
    outcomes: u32,
}

/// A claim that stands.
struct Standing {
    since_us: u64,
    stands_us: u64,
}

/// The relevant transactions of one block.
#[derive(Default)]
struct Said<'a> {
    claims: BTreeSet<(PublicKey, Incarnation)>,
    reports: Vec<(PublicKey, &'a Report)>,
    /// Workers that this block bars.
    barred: BTreeSet<PublicKey>,
}

impl Said<'_> {
    fn claims_of(&self, worker: &PublicKey) -> bool {
        self.claims.range((*worker, Incarnation(0))..).next().is_some_and(|(signer, _)| signer == worker)
    }

    /// Whether a worker reports that an attempt ended this way.
    fn ends(&self, worker: &PublicKey, attempt: &AttemptId, why: EndReason) -> bool {
        let items = self.reports.iter().filter(|(signer, _)| signer == worker).flat_map(|(_, report)| &report.items);
        items.filter(|item| item.attempt == *attempt).any(|item| {
            matches!(
                (&item.verdict, why),
                (Verdict::Failed(..), EndReason::Failed)
                    | (Verdict::Returned, EndReason::Returned)
                    | (Verdict::Undelivered, EndReason::Undelivered)
                    | (Verdict::HostDied { .. }, EndReason::HostDied { .. })
                    | (Verdict::Preempted, EndReason::Preempted)
                    | (Verdict::Succeeded(..), EndReason::Succeeded)
                    | (Verdict::Revealed(..), EndReason::Answered | EndReason::Mismatched)
            ) || matches!(&item.verdict, Verdict::Succeeded(.., spawns) if why == EndReason::Failed && !spawns.is_empty())
        })
    }
}

/// All leases.
pub(super) struct Leases {
    runs_once: bool,
    threshold_us: u64,
    allowance_us: u64,
    stands_us_max: u64,
    losses_max: u32,
    /// Lease time, in microseconds.
    now_us: u64,
    next: u64,
    tasks: BTreeMap<TaskId, Seen>,
    jobs: BTreeMap<JobId, u32>,
    /// How many tasks each submitted job may get.
    tasks_max: BTreeMap<JobId, u32>,
    ended_jobs: BTreeSet<JobId>,
    standing: BTreeMap<PublicKey, Standing>,
    /// The attempts that each worker holds, in the order of its leases, and whether each has resources.
    held: BTreeMap<PublicKey, BTreeMap<u64, (TaskId, bool)>>,
    outcomes: u64,
    speculative: u64,
}

/// The longest gap between two blocks that idleness, clocks and f skipped leaders explain, in milliseconds.
fn threshold_ms(genesis: &Genesis, authorities: usize) -> u64 {
    let round = &genesis.consensus;
    let faulty = authorities.saturating_sub(1) / 3;
    let timers =
        std::iter::successors(Some(3 * round.delta_ms), |timer| Some((timer + timer / 2).min(round.timer_ms_max)));
    (faulty as u64 + 1) * round.heartbeat_ms + 2 * round.clock_bound_ms + timers.take(faulty).sum::<u64>()
}

impl Leases {
    pub(super) fn new(genesis: &Genesis, runs_once: bool) -> Self {
        Self {
            runs_once,
            threshold_us: 0,
            allowance_us: genesis.ledger.allowance_ms * 1000,
            stands_us_max: genesis.ledger.claim_stands_ms_max * 1000,
            losses_max: genesis.ledger.losses_max,
            now_us: 0,
            next: 0,
            tasks: BTreeMap::new(),
            jobs: BTreeMap::new(),
            tasks_max: BTreeMap::new(),
            ended_jobs: BTreeSet::new(),
            standing: BTreeMap::new(),
            held: BTreeMap::new(),
            outcomes: 0,
            speculative: 0,
        }
    }

    pub(super) fn tasks(&self) -> u64 {
        self.jobs.values().map(|tasks| u64::from(*tasks)).sum()
    }

    pub(super) const fn outcomes(&self) -> u64 {
        self.outcomes
    }

    pub(super) const fn speculative(&self) -> u64 {
        self.speculative
    }

    pub(super) fn is_unfinished(&self, job: &JobId) -> bool {
        self.jobs.contains_key(job) && !self.ended_jobs.contains(job)
    }

    /// Checks a block and its events against the ledger after it. `before` is the time of the block below.
    pub(super) fn check(&mut self, block: &Block, applied: &Applied, before: BlockTime, ledger: &Ledger) -> Checked {
        self.threshold_us = threshold_ms(ledger.genesis(), ledger.authorities().count()) * 1000;
        self.now_us += block.header.time.micros_since(before).min(self.threshold_us);
        rule(ledger.lease_time().0 == self.now_us, || "lease time is not block time less the stalls".into())?;
        let mut said = self.hear(block, applied);
        said.barred = barred(applied);
        let outstanding = self.outstanding_successes(&said, ledger);
        for event in &applied.events {
            self.happened(event, &said, ledger)?;
        }
        for receipt in &applied.receipts {
            if let Receipt::Outcome(outcome) = receipt {
                self.received(outcome, ledger)?;
            }
        }
        self.check_taken(&outstanding, ledger)?;
        check_nothing_overdue(ledger)
    }

    /// Collects the relevant good transactions of a block.
    fn hear<'a>(&mut self, block: &'a Block, applied: &Applied) -> Said<'a> {
        let good: BTreeSet<TransactionId> = applied
            .receipts
            .iter()
            .filter_map(|receipt| match receipt {
                Receipt::Transaction(receipt) => receipt.result.is_ok().then_some(receipt.id),
                Receipt::Outcome(_) => None,
            })
            .collect();
        let mut said = Said::default();
        for transaction in block.transactions.iter().filter(|transaction| good.contains(&transaction.id())) {
            let signer = transaction.signer();
            match &transaction.transaction().action {
                Action::Claim(claim) => {
                    said.claims.insert((signer, claim.incarnation));
                    self.claimed(signer, claim);
                }
                Action::Report(report) => said.reports.push((signer, report)),
                Action::Submit(submit) => {
                    let most = submit.spawns_max.saturating_add(submit.count() as u32);
                    self.tasks_max.insert(JobId(transaction.id().0), most);
                }
                Action::Extend(extend) => {
                    let more: usize = extend.arrays.iter().map(|array| array.tasks.count()).sum();
                    if let Some(most) = self.tasks_max.get_mut(&extend.job) {
                        *most = most.saturating_add(more as u32);
                    }
                }
                Action::Control(_) | Action::Recur(_) | Action::Drain(_) | Action::Govern(_) => {}
            }
        }
        said
    }

    fn claimed(&mut self, worker: PublicKey, claim: &Claim) {
        let stands_us = (claim.stands_ms * 1000).min(self.stands_us_max).max(3 * self.threshold_us);
        let standing = Standing { since_us: self.now_us, stands_us };
        self.standing.insert(worker, standing);
    }

    fn happened(&mut self, event: &LedgerEvent, said: &Said<'_>, ledger: &Ledger) -> Checked {
        match event {
            LedgerEvent::JobAdmitted { job, tasks } => {
                rule(self.jobs.insert(*job, *tasks).is_none(), || format!("job {job} is admitted twice"))
            }
            LedgerEvent::JobExtended { job, tasks } => {
                let before = self.jobs.insert(*job, *tasks);
                let most = self.tasks_max.get(job).copied().unwrap_or(u32::MAX);
                rule(*tasks <= most, || format!("job {job} has {tasks} tasks, and may come to have {most}"))?;
                rule(before.is_some_and(|before| before < *tasks), || format!("job {job} grows by nothing"))
            }
            LedgerEvent::JobEnded { job, .. } => rule(self.ended_jobs.insert(*job), || format!("job {job} ends twice")),
            LedgerEvent::Leased { attempt, worker, running, speculative, .. } => {
                if *speculative {
                    self.may_be_speculative(*attempt, *worker, *running, ledger)?;
                }
                let are_replicas = ledger.task(attempt.task).is_some_and(|task| task.spec.redundancy.is_some());
                self.leased(*attempt, *worker, *running, *speculative, are_replicas)
            }
            LedgerEvent::Started { attempt, worker } => self.started(*attempt, *worker),
            LedgerEvent::Committed { attempt, worker } => {
                // It waits no more, if it did.
                let live = self.tasks.get(&attempt.task).into_iter().flat_map(|seen| &seen.live);
                let live = live.into_iter().find(|live| live.attempt == *attempt);
                if let Some((live, held)) = live.zip(self.held.get_mut(worker)) {
                    held.insert(live.order, (attempt.task, true));
                }
                Ok(())
            }
            LedgerEvent::Ended { attempt, worker, why, goes_on } => {
                self.ended(*attempt, *worker, *why, said, ledger)?;
                let lives = self.tasks.get(&attempt.task).map_or(0, |seen| seen.live.len());
                rule(*goes_on == (lives > 0), || format!("{attempt} ends, and {lives} others live on"))
            }
            LedgerEvent::ClaimBegan { worker, incarnation } => {
                rule(said.claims.contains(&(*worker, *incarnation)), || format!("{worker} stands without a claim"))?;
                self.holds_nothing(worker)
            }
            LedgerEvent::ClaimEnded { worker, drained } => {
                let standing = self.standing.get(worker);
                let over = standing.is_some_and(|standing| standing.since_us + standing.stands_us <= self.now_us);
                rule(*drained || said.barred.contains(worker) || over && !said.claims_of(worker), || {
                    format!("the claim of {worker} ends before its time")
                })?;
                self.holds_nothing(worker)
            }
            _ => Ok(()),
        }
    }

    fn holds_nothing(&self, worker: &PublicKey) -> Checked {
        let holds = self.held.get(worker).map_or(0, BTreeMap::len);
        rule(holds == 0, || format!("{worker} holds {holds} attempts of a claim that is over"))
    }

    /// The task has one attempt, at another worker. It has run for longer than the least time to be slow, and
    /// it is not speculative itself.
    fn may_be_speculative(&self, speculative: AttemptId, worker: PublicKey, running: bool, ledger: &Ledger) -> Checked {
        let Some(seen) = self.tasks.get(&speculative.task) else {
            return Err(format!("{speculative} is speculative beside nothing"));
        };
        let [live] = &seen.live[..] else {
            return Err(format!("{speculative} is speculative beside {}", seen.live.len()));
        };
        rule(!seen.speculated, || format!("{speculative} is a second speculative attempt"))?;
        rule(running && live.worker != worker, || format!("{speculative} waits, or is where {} is", live.attempt))?;
        let ran_us = live.started_us.map_or(0, |started_us| self.now_us - started_us);
        rule(ran_us > SLOW_MS_MIN * 1000, || {
            format!("{speculative} is speculative beside what has run for {ran_us} us")
        })?;
        let wanted = ledger.task(speculative.task).is_some_and(|task| task.spec.speculation);
        rule(wanted, || format!("{speculative} is a speculative attempt that its submitter does not want"))
    }

    fn leased(
        &mut self,
        attempt: AttemptId,
        worker: PublicKey,
        running: bool,
        speculative: bool,
        are_replicas: bool,
    ) -> Checked {
        let held = self.held.entry(worker).or_default();
        rule(!running || held.values().all(|(_, running)| *running), || {
            format!("{attempt} takes resources of {worker} for which another waits there")
        })?;
        let seen = self.tasks.entry(attempt.task).or_default();
        rule(are_replicas || seen.live.len() == usize::from(speculative), || {
            format!("{} has too many live leases", attempt.task)
        })?;
        rule(seen.outcomes == 0, || format!("{} is leased after its outcome", attempt.task))?;
        rule(seen.given.insert(attempt, worker).is_none(), || format!("{attempt} is given twice"))?;
        let (order, leased_us) = (self.next, self.now_us);
        self.next += 1;
        held.insert(order, (attempt.task, running));
        seen.live.push(Live { attempt, worker, order, leased_us, started_us: running.then_some(leased_us) });
        seen.speculated = speculative;
        self.speculative += u64::from(speculative);
        Ok(())
    }

    fn started(&mut self, attempt: AttemptId, worker: PublicKey) -> Checked {
        let held = self.held.entry(worker).or_default();
        let first = held.iter().find(|(_, (_, running))| !running).map(|(order, _)| *order);
        let live = self.tasks.get_mut(&attempt.task).into_iter().flat_map(|seen| &mut seen.live);
        let Some(live) = live.into_iter().find(|live| live.attempt == attempt && live.worker == worker) else {
            return Err(format!("{attempt} starts at {worker}, which does not hold it"));
        };
        rule(first == Some(live.order), || format!("{attempt} starts before one that waits longer at {worker}"))?;
        live.started_us = Some(self.now_us);
        held.insert(live.order, (attempt.task, true));
        Ok(())
    }

    fn ended(
        &mut self,
        attempt: AttemptId,
        worker: PublicKey,
        why: EndReason,
        said: &Said<'_>,
        ledger: &Ledger,
    ) -> Checked {
        let seen = self.tasks.entry(attempt.task).or_default();
        let Some(at) = seen.live.iter().position(|live| live.attempt == attempt) else {
            return Err(format!("{attempt} ends but was not live"));
        };
        let live = seen.live.remove(at);
        rule(live.worker == worker, || format!("{attempt} ends at another than holds it"))?;
        if let Some(held) = self.held.get_mut(&worker) {
            held.remove(&live.order);
        }
        seen.ended.push((attempt, why));
        seen.failures += u32::from(why == EndReason::Failed);
        let died = matches!(why, EndReason::HostDied { .. });
        let is_loss = died
            || matches!(
                why,
                EndReason::ClaimEnded
                    | EndReason::NewIncarnation
                    | EndReason::TimedOut
                    | EndReason::Drained
                    | EndReason::Unrevealed
                    | EndReason::Mismatched
            );
        seen.losses += u32::from(is_loss && (died || live.started_us.is_some()));
        // An attempt that waited in its place for too long never began.
        let was_running = live.started_us.is_some() || why != EndReason::TimedOut;
        rule(!(is_loss && was_running && self.runs_once), || {
            format!("{attempt} is lost by a stall of the network: {why:?}")
        })?;
        match why {
            EndReason::ClaimEnded => rule(said.barred.contains(&worker) || !said.claims_of(&worker), || {
                format!("{attempt} is lost though {worker} renewed its claim")
            }),
            EndReason::TimedOut => {
                let wall_us = ledger.task(attempt.task).map_or(0, |task| task.spec.limits.wall_ms * 1000);
                let due_us = match live.started_us {
                    Some(started_us) => started_us + wall_us + self.allowance_us,
                    None => live.leased_us + self.allowance_us,
                };
                rule(due_us <= self.now_us, || format!("{attempt} times out before its time"))?;
                let of_this = |(signer, report): &(PublicKey, &Report)| {
                    let says = |item: &ReportItem| item.attempt == attempt && ends(item, ledger);
                    *signer == worker && report.items.iter().any(says)
                };
                rule(!said.reports.iter().any(of_this), || format!("{attempt} times out though it was reported"))
            }
            EndReason::Failed
            | EndReason::Answered
            | EndReason::Mismatched
            | EndReason::Returned
            | EndReason::Undelivered
            | EndReason::Preempted
            | EndReason::HostDied { .. }
            | EndReason::Succeeded => rule(said.ends(&worker, &attempt, why), || {
                format!("{attempt} ends as {why:?}, which {worker} did not say")
            }),
            _ => Ok(()),
        }
    }

    fn received(&mut self, outcome: &OutcomeReceipt, ledger: &Ledger) -> Checked {
        let task = outcome.attempt.task;
        let seen = self.tasks.entry(task).or_default();
        seen.outcomes += 1;
        self.outcomes += 1;
        rule(seen.outcomes == 1, || format!("{task} has two outcomes"))?;
        let holder = seen.given.get(&outcome.attempt);
        rule(holder == Some(&outcome.worker), || format!("{task} has an outcome of one who was not given it"))?;
        rule(seen.live.is_empty(), || format!("{task} has an outcome and a live lease"))?;
        let retries = ledger.task(task).map_or(0, |task| task.spec.retry.retries);
        let redundancy = ledger.task(task).and_then(|task| task.spec.redundancy);
        // What several workers answer is judged by the account of agreements.
        if redundancy.is_some() && !matches!(outcome.verdict, Verdict::Failed(Failure::Lost, ..)) {
            return Ok(());
        }
        let losses_max = self.losses_max * redundancy.map_or(1, |redundancy| redundancy.replicas.into());
        match &outcome.verdict {
            Verdict::Failed(Failure::Lost, ..) => {
                rule(seen.losses > losses_max, || format!("{task} is given up after {} losses", seen.losses))
            }
            // Judged by the account of deaths.
            Verdict::Failed(Failure::EndedHosts, ..) => Ok(()),
            Verdict::Failed(..) => {
                // The other attempt of the task, speculative or not, ends with it.
                let mut last = seen.ended.iter().rev().skip_while(|(_, why)| *why == EndReason::Superseded);
                let last = last.next().is_some_and(|(attempt, _)| *attempt == outcome.attempt);
                rule(last, || format!("{task} ends by a failure that came late"))?;
                rule(seen.failures > retries, || format!("{task} fails after {} failures", seen.failures))
            }
            _ => Ok(()),
        }
    }

    /// The attempts whose success is reported by the workers that they were assigned to.
    fn outstanding_successes(&self, said: &Said<'_>, ledger: &Ledger) -> Vec<AttemptId> {
        let items =
            said.reports.iter().flat_map(|(signer, report)| report.items.iter().map(move |item| (signer, item)));
        // An outcome that spawns more tasks than there may be is refused.
        let successes = items.filter(|(_, item)| {
            ends(item, ledger) && matches!(&item.verdict, Verdict::Succeeded(.., spawns) if spawns.is_empty())
        });
        let theirs = successes.filter(|(signer, item)| {
            self.tasks.get(&item.attempt.task).is_some_and(|seen| seen.given.get(&item.attempt) == Some(signer))
        });
        theirs.map(|(_, item)| item.attempt).collect()
    }

    /// A success is accepted while its task is outstanding, however late.
    fn check_taken(&self, outstanding: &[AttemptId], ledger: &Ledger) -> Checked {
        for attempt in outstanding {
            let Some(seen) = self.tasks.get(&attempt.task) else { continue };
            let said_otherwise = seen.ended.iter().any(|(ended, why)| {
                ended == attempt && matches!(why, EndReason::Failed | EndReason::Returned | EndReason::Preempted)
            });
            let forgotten = seen.ended.len() > ATTEMPTS_KEPT;
            // Other checks judge whether it was cancelled, and by whom.
            let is_gone = ledger.task(attempt.task).is_some_and(|task| matches!(task.state, TaskStateView::Gone(_)));
            if !said_otherwise && !forgotten && !is_gone && !self.ended_jobs.contains(&attempt.task.job) {
                rule(seen.outcomes == 1, || format!("the success of {attempt} is not taken"))?;
            }
        }
        Ok(())
    }
}

/// Whether an item of a report ends an attempt that lives: it is no checkpoint, and an authority holds what it stored.
fn ends(item: &ReportItem, ledger: &Ledger) -> bool {
    match (&item.verdict, item.verdict.output()) {
        (Verdict::Checkpointed { .. } | Verdict::Committed(_), _) => false,
        (Verdict::Succeeded(..) | Verdict::Failed(..), Some(Output::Stored { delivery, .. })) => {
            ledger.authorities().contains(&delivery.holder)
        }
        _ => true,
    }
}

/// The workers that this block bars.
fn barred(applied: &Applied) -> BTreeSet<PublicKey> {
    let barred = applied.events.iter().filter_map(|event| match event {
        LedgerEvent::ChangeApproved { change, .. } => match **change {
            Change::Bar(Permission::Work, key) => Some(key),
            _ => None,
        },
        _ => None,
    });
    barred.collect()
}

/// No claim stands that has run out.
fn check_nothing_overdue(ledger: &Ledger) -> Checked {
    let now = ledger.lease_time();
    match ledger.workers().find(|worker| worker.until <= now) {
        Some(worker) => Err(format!("{} stands though its claim has run out", worker.key)),
        None => Ok(()),
    }
}
