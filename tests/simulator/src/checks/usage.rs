//! Checks accounts: all ways of adding them up give the same sum.

use std::collections::BTreeMap;

use meshwork_core::{
    identity::PublicKey,
    ledger::{Account, Day, Ledger, Side},
    types::JobId,
};

use super::{Checked, rule};

const EVER: std::ops::RangeInclusive<Day> = Day(0)..=Day::MAX;

/// The last known account of each job, including jobs that are forgotten since.
#[derive(Default)]
pub(super) struct Accounts {
    jobs: BTreeMap<JobId, (PublicKey, Account)>,
}

impl Accounts {
    /// Checks the ledger after a block.
    pub(super) fn check(&mut self, ledger: &Ledger) -> Checked {
        self.jobs.extend(ledger.jobs().map(|job| (job.id, (job.submitter, *job.usage))));
        let mut of_jobs: BTreeMap<PublicKey, Account> = BTreeMap::new();
        for (submitter, account) in self.jobs.values() {
            of_jobs.entry(*submitter).or_default().add(account);
        }
        of_jobs.retain(|_, account| !account.is_empty());
        let of_submitters: BTreeMap<PublicKey, Account> =
            ledger.usage_by_key(Side::Submitter, EVER, None, usize::MAX).into_iter().collect();
        rule(of_jobs == of_submitters, || "submitters' accounts are not those of their jobs".into())?;

        let workers: BTreeMap<Day, Account> = ledger.usage_by_day(Side::Worker, None, EVER).collect();
        let mut all = Account::default();
        for (day, account) in ledger.usage_by_day(Side::Submitter, None, EVER) {
            all.add(&account);
            let of_workers = workers.get(&day).copied().unwrap_or_default();
            rule(account.of_both_sides() == of_workers, || {
                format!("submitters and workers do not come to the same on day {day}")
            })?;
        }
        let (totals, ended) = (ledger.totals(), all.attempts_ended());
        let live = ledger.workers().map(|worker| ledger.leases_of(&worker.key).len() as u64).sum::<u64>();
        rule(all.attempts_leased == ended + live, || {
            format!("{} attempts were leased, {ended} have ended, and {live} live", all.attempts_leased)
        })?;
        let ever = totals.ever;
        let counted = (ever.tasks, ever.leases, ever.lost, ever.late, ever.succeeded);
        let succeeded = all.attempts_succeeded + all.late_successes;
        // Successes that were compared are no attempt's own, and each took an answer at least.
        let agreed = ever.succeeded.saturating_sub(succeeded).min(all.attempts_answered);
        let succeeded = succeeded + agreed;
        let booked = (all.tasks_submitted, all.attempts_leased, all.attempts_lost, all.late_successes, succeeded);
        rule(counted == booked, || format!("{booked:?} are booked of {counted:?}"))?;
        rule(all.cpu_us.max(all.lost_core_us) <= all.reserved_core_us, || "more was used than was reserved".into())
    }
}
