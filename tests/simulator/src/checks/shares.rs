//! Checks that submitters get their shares, where shares come first. Computed from the expected and the actual
//! durations of attempts, over the times in which two submitters waited for the same resources without a break.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Ledger, LedgerEvent, TaskStateView, TaskView},
    types::{AttemptId, Change, Labels, OrderPolicy, Resources, TaskId},
};

use super::{Checked, TASKS_LOOKED_AT, policy::may_have_more, rule};

/// How many rounds of grants may lie between two submitters who wait for the same: the rounds by which one may
/// be behind, and the present round of each.
const ROUNDS: i128 = 6;

/// A live attempt: its submitter, its charge, and since when it has resources, by lease time in microseconds.
struct Charged {
    submitter: PublicKey,
    millicores: u32,
    cost: i128,
    since_us: Option<u64>,
}

/// The needs that all ready tasks of a submitter have in common.
type Need = (Resources, Labels);

/// What submitters were charged so far, in milliseconds of one core, and since when they wait.
#[derive(Default)]
pub(super) struct Shares {
    had: BTreeMap<PublicKey, i128>,
    live: BTreeMap<AttemptId, Charged>,
    /// The most that one attempt was charged.
    most: i128,
    /// Who waits, and for what. For each pair, what both had been charged when the second of them began to
    /// wait.
    waiting: BTreeMap<PublicKey, Need>,
    since: BTreeMap<(PublicKey, PublicKey), (i128, i128)>,
}

/// The cost of this many thousandths of a core for this long.
fn cost(millicores: u32, ms: u64) -> i128 {
    (i128::from(ms) * i128::from(millicores) / 1000).max(1)
}

impl Shares {
    /// Checks the events of a block against the ledger after it.
    pub(super) fn check(&mut self, events: &[LedgerEvent], ledger: &Ledger) -> Checked {
        let schedule = ledger.rules().schedule();
        let is_new = |event: &LedgerEvent| matches!(event, LedgerEvent::ChangeApproved { change, .. } if matches!(**change, Change::SetSchedule(_)));
        if schedule.order.first() != Some(&OrderPolicy::Fair) || events.iter().any(is_new) {
            *self = Self::default();
            return Ok(());
        }
        for event in events {
            self.see(event, ledger);
        }
        self.follow_waiting(ledger);
        let grant = |key: &PublicKey| {
            i128::from(schedule.slice_ms) * i128::from(schedule.weights.get(key).copied().unwrap_or(1))
        };
        let had = |key: &PublicKey| self.had.get(key).copied().unwrap_or(0);
        for ((one, other), (one_had, other_had)) in &self.since {
            // In grants, multiplied by both, so that no fraction is lost.
            let of_one = (had(one) - one_had) * grant(other);
            let of_other = (had(other) - other_had) * grant(one);
            let bound = ROUNDS * grant(one) * grant(other) + 2 * self.most * (grant(one) + grant(other));
            rule((of_one - of_other).abs() <= bound, || {
                let (one_ms, other_ms) = (had(one) - one_had, had(other) - other_had);
                format!("{one} had {one_ms} ms of a core while {other}, who waited too, had {other_ms}")
            })?;
        }
        Ok(())
    }

    fn see(&mut self, event: &LedgerEvent, ledger: &Ledger) {
        let now_us = ledger.lease_time().0;
        match event {
            LedgerEvent::Leased { attempt, running, .. } => {
                let (Some(task), Some(job)) = (ledger.task(attempt.task), ledger.job(attempt.task.job)) else { return };
                let millicores = task.terms.resources.millicores;
                let expected = cost(millicores, task.expected_ms);
                let since_us = running.then_some(now_us);
                self.live.insert(*attempt, Charged { submitter: job.submitter, millicores, cost: expected, since_us });
                self.charge(job.submitter, expected);
            }
            LedgerEvent::Started { attempt, .. } => {
                if let Some(charged) = self.live.get_mut(attempt) {
                    charged.since_us = Some(now_us);
                }
            }
            LedgerEvent::Ended { attempt, .. } => {
                let Some(charged) = self.live.remove(attempt) else { return };
                let ran_ms = charged.since_us.map(|since_us| (now_us - since_us) / 1000);
                let used = ran_ms.map_or(0, |ran_ms| cost(charged.millicores, ran_ms));
                self.charge(charged.submitter, used - charged.cost);
            }
            _ => {}
        }
    }

    fn charge(&mut self, submitter: PublicKey, cost: i128) {
        *self.had.entry(submitter).or_default() += cost;
        self.most = self.most.max(cost.abs());
    }

    /// Compares two submitters from when both wait for the same until one of them does not.
    fn follow_waiting(&mut self, ledger: &Ledger) {
        let waiting = waiting(ledger);
        self.since.retain(|(one, other), _| waiting.contains_key(one) && waiting.get(one) == waiting.get(other));
        let keys: Vec<&PublicKey> = waiting.keys().collect();
        for (at, one) in keys.iter().enumerate() {
            for other in &keys[at + 1..] {
                if waiting.get(one) == waiting.get(other) {
                    let had = |key: &PublicKey| self.had.get(key).copied().unwrap_or(0);
                    let now = (had(one), had(other));
                    self.since.entry((**one, **other)).or_insert(now);
                }
            }
        }
        // A submitter that comes to wait for something else begins anew.
        let changed = |key: &PublicKey| self.waiting.get(key) != waiting.get(key);
        for ((one, other), had) in &mut self.since {
            if changed(one) || changed(other) {
                let of = |key: &PublicKey| self.had.get(key).copied().unwrap_or(0);
                *had = (of(one), of(other));
            }
        }
        self.waiting = waiting;
    }
}

/// The submitters with ready tasks that the rules let go. All tasks of each need the same, may go anywhere and
/// are not charged by slices.
fn waiting(ledger: &Ledger) -> BTreeMap<PublicKey, Need> {
    let mut waiting: BTreeMap<PublicKey, BTreeSet<(u32, u64, Labels)>> = BTreeMap::new();
    let mut others: BTreeSet<PublicKey> = BTreeSet::new();
    for job in ledger.jobs().filter(|job| job.ended.is_none()) {
        let tasks = (0..job.count.min(TASKS_LOOKED_AT)).filter_map(|index| ledger.task(TaskId { job: job.id, index }));
        for task in tasks {
            let is_ready = task.state == TaskStateView::Ready;
            if task.spec.checkpoints || is_ready && !task.past.is_empty() {
                others.insert(job.submitter);
            } else if is_ready {
                waiting.entry(job.submitter).or_default().insert(need(&task));
            }
        }
        if job.count > TASKS_LOOKED_AT {
            others.insert(job.submitter);
        }
    }
    waiting
        .into_iter()
        .filter(|(key, needs)| needs.len() == 1 && !others.contains(key) && may_have_more(ledger, key))
        .filter_map(|(key, mut needs)| {
            let (millicores, memory_bytes, labels) = needs.pop_first()?;
            Some((key, (Resources { millicores, memory_bytes }, labels)))
        })
        .collect()
}

fn need(task: &TaskView<'_>) -> (u32, u64, Labels) {
    let Resources { millicores, memory_bytes } = task.terms.resources;
    (millicores, memory_bytes, task.spec.labels.clone())
}
