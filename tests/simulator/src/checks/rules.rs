//! Checks that the rules a quorum has approved are in force, and no others, and that no lease breaks them.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Ledger, LedgerEvent},
    types::{Change, Genesis, KeyLimit, Limit, Permission, ScheduleParameters},
};

use super::{Checked, rule};

/// The rules in force, as counted here.
pub(super) struct Rules {
    schedule: ScheduleParameters,
    barred: BTreeSet<PublicKey>,
    running_of: BTreeMap<PublicKey, u64>,
    running_max: u64,
}

impl Rules {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            schedule: genesis.schedule.clone(),
            barred: BTreeSet::new(),
            running_of: BTreeMap::new(),
            running_max: genesis.ledger.key_running_max,
        }
    }

    fn approved(&mut self, change: Change) {
        match change {
            Change::SetSchedule(schedule) => self.schedule = *schedule,
            Change::Bar(Permission::Work, key) => drop(self.barred.insert(key)),
            Change::Permit(Permission::Work, key) => drop(self.barred.remove(&key)),
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

/// How many leases workers hold for a submitter's tasks.
pub(super) fn leased_of(ledger: &Ledger, submitter: &PublicKey) -> u64 {
    let own = ledger.jobs().filter(|job| job.submitter == *submitter);
    own.map(|job| job.counts.running + job.counts.waiting + job.speculative).sum()
}
