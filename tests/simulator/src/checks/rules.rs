//! Checks that the rules a quorum has approved are in force, and no others, and that no lease breaks them.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Gone, Ledger, LedgerEvent, RecurringState, Stage, TaskStateView},
    types::{Change, Genesis, KeyLimit, Limit, Permission, ScheduleParameters, TaskId},
};

use super::{Checked, TASKS_LOOKED_AT, rule};

/// The rules in force, as counted here.
pub(super) struct Rules {
    schedule: ScheduleParameters,
    barred: BTreeSet<PublicKey>,
    /// The keys that may not submit now, and those that ever might not.
    barred_submitters: BTreeSet<PublicKey>,
    ever_barred: BTreeSet<PublicKey>,
    running_of: BTreeMap<PublicKey, u64>,
    running_max: u64,
}

impl Rules {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            schedule: genesis.schedule.clone(),
            barred: BTreeSet::new(),
            barred_submitters: BTreeSet::new(),
            ever_barred: BTreeSet::new(),
            running_of: BTreeMap::new(),
            running_max: genesis.ledger.key_running_max,
        }
    }

    fn approved(&mut self, change: Change) {
        match change {
            Change::SetSchedule(schedule) => self.schedule = *schedule,
            Change::Bar(Permission::Work, key) => drop(self.barred.insert(key)),
            Change::Permit(Permission::Work, key) => drop(self.barred.remove(&key)),
            Change::Bar(Permission::Submit, key) => {
                self.barred_submitters.insert(key);
                self.ever_barred.insert(key);
            }
            Change::Permit(Permission::Submit, key) => drop(self.barred_submitters.remove(&key)),
            Change::SetLimit(Limit::Key(KeyLimit::Running), most) => self.running_max = most,
            Change::SetQuota(key, quota) => {
                self.running_of.remove(&key);
                self.running_of.extend(quota.get(&KeyLimit::Running).map(|most| (key, *most)));
            }
            _ => {}
        }
    }

    /// Checks the events of a block that approved these changes against the ledger after it.
    pub(super) fn check(&mut self, approved: Vec<Change>, events: &[LedgerEvent], ledger: &Ledger) -> Checked {
        let are_new = !approved.is_empty();
        for change in approved {
            self.approved(change);
        }
        rule(*ledger.rules().schedule() == self.schedule, || "policies are in force that were not approved".into())?;
        if are_new {
            let standing = self.barred.iter().find(|key| ledger.worker(key).is_some());
            rule(standing.is_none(), || format!("{standing:?} stands though it may not work"))?;
        }
        self.check_barred(ledger)?;
        let given = events.iter().filter_map(|event| match event {
            LedgerEvent::Leased { attempt, worker, .. } => Some((attempt, worker)),
            _ => None,
        });
        let mut submitters = BTreeSet::new();
        for (attempt, worker) in given {
            rule(!self.barred.contains(worker), || format!("{attempt} goes to {worker}, which may not work"))?;
            submitters.extend(ledger.job(attempt.task.job).map(|job| job.submitter));
        }
        for submitter in submitters {
            let held = leased_of(ledger, &submitter);
            let most = self.running_of.get(&submitter).copied().unwrap_or(self.running_max);
            rule(held <= most, || format!("workers hold {held} tasks of {submitter}, and may hold {most}"))?;
        }
        Ok(())
    }
}

impl Rules {
    /// A submitter that is barred has nothing unfinished, and nobody else's tasks ended for that reason.
    fn check_barred(&self, ledger: &Ledger) -> Checked {
        for job in ledger.jobs().filter(|job| self.barred_submitters.contains(&job.submitter)) {
            rule(job.ended.is_some(), || format!("{} is unfinished though its submitter is barred", job.id))?;
        }
        for job in ledger.jobs().filter(|job| job.counts.cancelled > 0 && !self.ever_barred.contains(&job.submitter)) {
            let tasks =
                (0..job.count.min(TASKS_LOOKED_AT)).filter_map(|index| ledger.task(TaskId { job: job.id, index }));
            let wrong = tasks.filter(|task| task.state == TaskStateView::Gone(Gone::Barred)).count();
            rule(wrong == 0, || format!("{wrong} tasks of {} ended with a bar on nobody", job.id))?;
        }
        let live = ledger.recurring().find(|recurring| {
            recurring.ended.is_none() && self.barred_submitters.contains(&recurring.submitter)
                || recurring.state == RecurringState::Barred && !self.ever_barred.contains(&recurring.submitter)
        });
        rule(live.is_none(), || format!("{:?} of a barred submitter", live.map(|recurring| recurring.id)))
    }
}

/// How many leases workers hold for a submitter's tasks.
pub(super) fn leased_of(ledger: &Ledger, submitter: &PublicKey) -> u64 {
    let leases = ledger.workers().flat_map(|worker| ledger.leases_of(&worker.key));
    let own = leases.filter(|lease| ledger.job(lease.attempt.task.job).is_some_and(|job| job.submitter == *submitter));
    own.filter(|lease| !matches!(lease.stage, Stage::Committed { .. })).count() as u64
}
