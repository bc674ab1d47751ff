//! Accounts kept by hand, by someone who only hears events and receipts: what the ledger's own are held against.

use std::collections::BTreeMap;

use crate::{
    identity::PublicKey,
    ledger::{Account, Applied, Day, EndReason, LeaseTime, Ledger, LedgerEvent, Side},
    types::*,
};

/// All days.
const EVER: std::ops::RangeInclusive<Day> = Day(0)..=Day::MAX;

/// What a worker says that an attempt took of its processor: often less than it can have been, often more.
pub(super) fn cpu_us(attempt: AttemptId) -> u64 {
    u64::from(attempt.task.index % 3) * 150_000 + u64::from(attempt.number.0 % 2) * 5_000_000
}

/// An attempt that lives.
struct Open {
    worker: PublicKey,
    resources: Resources,
    since: Option<LeaseTime>,
    /// When its worker committed itself to its answer.
    committed: Option<LeaseTime>,
}

/// The accounts.
#[derive(Default)]
pub(super) struct Bookkeeper {
    keys: BTreeMap<(Side, PublicKey, Day), Account>,
    jobs: BTreeMap<JobId, (PublicKey, Account)>,
    open: BTreeMap<AttemptId, Open>,
    ended: BTreeMap<AttemptId, EndReason>,
    /// How many successes several workers agreed on.
    agreed: u64,
}

impl Bookkeeper {
    fn book(&mut self, today: Day, job: JobId, worker: Option<PublicKey>, enter: impl Fn(&mut Account)) {
        let (submitter, account) = self.jobs.get_mut(&job).expect("it was admitted");
        enter(account);
        enter(self.keys.entry((Side::Submitter, *submitter, today)).or_default());
        if let Some(worker) = worker {
            enter(self.keys.entry((Side::Worker, worker, today)).or_default());
        }
    }

    /// A block has been applied, which left the ledger so.
    pub(super) fn check(&mut self, ledger: &Ledger, applied: &Applied) {
        self.see(ledger, applied);
        self.check_accounts(ledger);
        self.check_sums(ledger);
    }

    fn see(&mut self, ledger: &Ledger, applied: &Applied) {
        let (today, now) = (Day::of(ledger.time()), ledger.lease_time());
        for event in &applied.events {
            match event {
                LedgerEvent::JobAdmitted { job, tasks } => {
                    let submitter = ledger.job(*job).expect("just admitted").submitter;
                    self.jobs.insert(*job, (submitter, Account::default()));
                    self.book(today, *job, None, |account| account.tasks_submitted += u64::from(*tasks));
                }
                LedgerEvent::JobExtended { job, tasks } => {
                    let before = self.jobs.get(job).map_or(0, |(_, account)| account.tasks_submitted);
                    self.book(today, *job, None, |account| account.tasks_submitted += u64::from(*tasks) - before);
                }
                LedgerEvent::Leased { attempt, worker, running, .. } => {
                    let resources = ledger.task(attempt.task).expect("just leased").terms.resources;
                    self.open.insert(
                        *attempt,
                        Open { worker: *worker, resources, since: running.then_some(now), committed: None },
                    );
                    self.book(today, attempt.task.job, Some(*worker), |account| account.attempts_leased += 1);
                }
                LedgerEvent::Started { attempt, .. } => {
                    self.open.get_mut(attempt).expect("it was leased").since = Some(now);
                }
                LedgerEvent::Committed { attempt, .. } => {
                    self.open.get_mut(attempt).expect("it was leased").committed = Some(now);
                }
                LedgerEvent::Ended { attempt, why, .. } => {
                    let Open { worker, resources, since, committed } =
                        self.open.remove(attempt).expect("it was leased");
                    self.ended.insert(*attempt, *why);
                    let held_ms = since.map_or(0, |since| (committed.unwrap_or(now).0 - since.0) / 1000);
                    let core_us = held_ms * u64::from(resources.millicores);
                    let said_us = cpu_us(*attempt).min(core_us);
                    self.book(today, attempt.task.job, Some(worker), |account| {
                        account.slot_ms += held_ms;
                        account.reserved_core_us += core_us;
                        account.reserved_mib_ms += held_ms * resources.memory_bytes / (1 << 20);
                        match why {
                            EndReason::Succeeded => {
                                account.attempts_succeeded += 1;
                                account.cpu_us += said_us;
                            }
                            EndReason::Answered => {
                                account.attempts_answered += 1;
                                account.cpu_us += said_us;
                            }
                            EndReason::Failed => {
                                account.attempts_failed += 1;
                                account.cpu_us += said_us;
                                account.lost_core_us += core_us;
                            }
                            EndReason::ClaimEnded
                            | EndReason::NewIncarnation
                            | EndReason::HostDied { .. }
                            | EndReason::TimedOut
                            | EndReason::Unrevealed
                            | EndReason::Mismatched
                            | EndReason::Undelivered
                            | EndReason::Drained => {
                                account.attempts_lost += 1;
                                account.lost_core_us += core_us;
                            }
                            EndReason::Returned | EndReason::TakenBack => account.attempts_returned += 1,
                            EndReason::Preempted => account.attempts_preempted += 1,
                            EndReason::Superseded | EndReason::Cancelled => account.attempts_cancelled += 1,
                        }
                    });
                }
                _ => {}
            }
        }
        for receipt in &applied.receipts {
            let Receipt::Outcome(outcome) = receipt else { continue };
            let Verdict::Succeeded(_, Output::Inline(output), ..) = &outcome.verdict else { continue };
            self.agreed += u64::from(outcome.agreement.is_some());
            let is_late =
                outcome.agreement.is_none() && self.ended.get(&outcome.attempt) != Some(&EndReason::Succeeded);
            self.book(today, outcome.attempt.task.job, Some(outcome.worker), |account| {
                account.output_bytes += output.stdout.len() as u64;
                account.late_successes += u64::from(is_late);
            });
        }
    }

    /// The ledger's accounts are these.
    fn check_accounts(&self, ledger: &Ledger) {
        let mut kept = BTreeMap::new();
        for side in [Side::Submitter, Side::Worker] {
            for (key, sum) in ledger.usage_by_key(side, EVER, None, usize::MAX) {
                let days: Vec<(Day, Account)> = ledger.usage_by_day(side, Some(key), EVER).collect();
                assert_eq!(Account::sum(days.iter().map(|(_, account)| account)), sum);
                kept.extend(days.into_iter().map(|(day, account)| ((side, key, day), account)));
            }
            assert!(ledger.usage_of_others(side, EVER).is_empty(), "there is room for everyone");
        }
        assert_eq!(kept, self.keys);
        for job in ledger.jobs() {
            assert_eq!(*job.usage, self.jobs[&job.id].1, "the account of {}", job.id);
        }
    }

    /// What one account says another says too.
    fn check_sums(&self, ledger: &Ledger) {
        let submitters: Vec<(Day, Account)> = ledger.usage_by_day(Side::Submitter, None, EVER).collect();
        let workers: BTreeMap<Day, Account> = ledger.usage_by_day(Side::Worker, None, EVER).collect();
        for (day, account) in &submitters {
            assert_eq!(account.of_both_sides(), workers.get(day).copied().unwrap_or_default(), "on day {day}");
        }
        for (submitter, account) in ledger.usage_by_key(Side::Submitter, EVER, None, usize::MAX) {
            let jobs = self.jobs.values().filter(|(of, _)| *of == submitter);
            assert_eq!(Account::sum(jobs.map(|(_, account)| account)), account, "the jobs of {submitter}");
        }
        let all = Account::sum(submitters.iter().map(|(_, account)| account));
        let live = ledger.workers().map(|worker| ledger.leases_of(&worker.key).len() as u64).sum::<u64>();
        assert_eq!(all.attempts_leased, all.attempts_ended() + live, "an attempt lives, or has ended in one way");
        let ever = ledger.totals().ever;
        assert_eq!((all.tasks_submitted, all.attempts_leased), (ever.tasks, ever.leases));
        assert_eq!((all.attempts_lost, all.late_successes), (ever.lost, ever.late));
        assert_eq!(all.attempts_succeeded + all.late_successes + self.agreed, ever.succeeded);
    }
}
