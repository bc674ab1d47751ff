//! Checks which claims tasks went to. The leases of a block are taken back one by one, from the last to the
//! first, so that each is judged in the state in which it was given. Spread comes first; then the network's
//! policies decide, which are computed here anew from claims and leases.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Ledger, LedgerEvent, TaskView},
    types::{Action, JobId, PlacementPolicy, SignedTransaction},
};

use super::{
    Checked,
    policy::{Leased, Offer},
    rule,
};

/// Placement ignores a spread label with more values than this.
const VALUES_MAX: usize = 64;
/// How many of a network's policies score claims.
const SCORED_MAX: usize = 2;

/// How many leases an array has at each value of the label that it is spread over.
type Counts = BTreeMap<(JobId, u16), BTreeMap<String, u32>>;

/// State that placement depends on and no view shows. What is unknown from outside is not judged.
#[derive(Default)]
pub(super) struct Placed {
    /// How many leases were given so far.
    given: u64,
    /// The last lease of each worker, as far as is known.
    turns: BTreeMap<PublicKey, Option<u64>>,
    /// How much ran at each worker when its claim was executed, as far as is known.
    at_claim: BTreeMap<PublicKey, Option<u32>>,
    /// Workers whose claims have ended: the ledger may forget them.
    gone: BTreeSet<PublicKey>,
    /// For each lease of this block, the lease that its worker was given before.
    before: Vec<Option<u64>>,
}

impl Placed {
    /// Takes in a block's good transactions and events, and the ledger after it.
    pub(super) fn see<'a>(
        &mut self,
        good: impl Iterator<Item = &'a SignedTransaction>,
        events: &[LedgerEvent],
        ledger: &Ledger,
    ) {
        let claims = good.filter(|transaction| matches!(transaction.transaction().action, Action::Claim(_)));
        for worker in claims.map(SignedTransaction::signer) {
            let moved = events.iter().any(|event| match event {
                LedgerEvent::Ended { worker: by, .. }
                | LedgerEvent::Started { worker: by, .. }
                | LedgerEvent::Committed { worker: by, .. } => *by == worker,
                _ => false,
            });
            let began = events.iter().filter(
                |event| matches!(event, LedgerEvent::Leased { worker: by, running: true, .. } if *by == worker),
            );
            let began = began.count() as u32;
            let running = ledger.worker(&worker).map(|view| view.running.saturating_sub(began));
            self.at_claim.insert(worker, running.filter(|_| !moved));
        }
        self.before.clear();
        for event in events {
            match event {
                LedgerEvent::ClaimBegan { worker, .. } if self.gone.remove(worker) => {
                    self.turns.insert(*worker, None);
                }
                LedgerEvent::ClaimEnded { worker, .. } => {
                    self.gone.insert(*worker);
                }
                LedgerEvent::Leased { worker, .. } => {
                    self.given += 1;
                    self.before.push(self.turns.insert(*worker, Some(self.given)).unwrap_or(Some(0)));
                }
                _ => {}
            }
        }
    }

    /// Checks that block's leases in their order, with the offers after it. `may_go` tells which claims a task
    /// may go to.
    pub(super) fn check(
        &self,
        ledger: &Ledger,
        mut offers: BTreeMap<PublicKey, Offer<'_>>,
        given: &[Leased],
        may_go: impl Fn(&Leased, &TaskView<'_>, &PublicKey) -> bool,
    ) -> Checked {
        let mut counts = counts(ledger, &offers);
        let mut turns = self.turns.clone();
        let policies = &ledger.rules().schedule().placement;
        for (lease, before) in given.iter().zip(&self.before).rev() {
            let (Some(task), Some(offer)) = (ledger.task(lease.attempt.task), offers.get_mut(&lease.worker)) else {
                continue;
            };
            offer.take_back(lease, &task);
            turns.insert(lease.worker, *before);
            let here = offers[&lease.worker].clone();
            let open = |other: &&Offer<'_>| {
                let open = if lease.running { other.has_capacity(&task) } else { other.has_waiting_place(&task) };
                open && other.meets(&task) == here.meets(&task) && may_go(lease, &task, &other.view.key)
            };
            let mut rivals: Vec<&Offer<'_>> = offers.values().filter(open).collect();
            if let Some(label) = task.spec.spread.as_deref() {
                let value_at = |offer: &Offer<'_>| offer.view.claim.labels.get(label).cloned();
                let at_values = counts.entry((task.id.job, task.array)).or_default();
                let at = value_at(&here);
                if let Some(count) = at.as_ref().and_then(|value| at_values.get_mut(value)) {
                    *count -= 1;
                }
                if offers.values().filter_map(value_at).collect::<BTreeSet<_>>().len() <= VALUES_MAX {
                    let count = |value: Option<&String>| {
                        value.map_or(u32::MAX, |value| at_values.get(value).copied().unwrap_or(0))
                    };
                    let fewer = rivals.iter().find(|other| count(value_at(other).as_ref()) < count(at.as_ref()));
                    rule(fewer.is_none(), || {
                        format!("{} goes where more of its kind are than elsewhere: {at:?} of {label}", lease.attempt)
                    })?;
                    rivals.retain(|other| value_at(other) == at);
                }
            }
            let score = |offer: &Offer<'_>| self.score(policies, &turns, offer);
            let Some(own) = score(&here) else { continue };
            let better = rivals.iter().find(|other| {
                score(other).is_some_and(|other_score| (other_score, other.view.key) < (own.clone(), here.view.key))
            });
            rule(better.is_none(), || {
                format!("{} goes to {}, which the policies put after another", lease.attempt, here.view.key)
            })?;
        }
        Ok(())
    }

    /// A claim's scores by all policies, smaller first, if they are known. Nothing where chance decides.
    fn score(
        &self,
        policies: &[PlacementPolicy],
        turns: &BTreeMap<PublicKey, Option<u64>>,
        offer: &Offer<'_>,
    ) -> Option<Vec<i128>> {
        let (view, claim) = (&offer.view, offer.view.claim);
        let number = |policy: &PlacementPolicy| match policy {
            // No task here has an input that is large enough to matter.
            PlacementPolicy::Locality | PlacementPolicy::Random => None,
            // A claim that was lowered may run more than it offers.
            PlacementPolicy::Trusted => Some(i128::from(view.track.faults_permille() / 50)),
            PlacementPolicy::Pack => Some(i128::from(claim.slots.saturating_sub(view.running))),
            PlacementPolicy::RoundRobin => turns.get(&view.key).copied().unwrap_or(Some(0)).map(i128::from),
            PlacementPolicy::LeastLoaded => {
                let at_claim = self.at_claim.get(&view.key).copied().flatten()?;
                let more = i128::from(view.running) - i128::from(at_claim) + i128::from(view.waiting);
                Some((i128::from(claim.load) * 1000 + 1_000_000 * more / i128::from(claim.slots.max(1))).max(0))
            }
        };
        let scored = policies.iter().filter(|policy| **policy != PlacementPolicy::Locality);
        scored.take(SCORED_MAX).map(number).collect()
    }
}

fn counts(ledger: &Ledger, offers: &BTreeMap<PublicKey, Offer<'_>>) -> Counts {
    let mut counts = Counts::new();
    for (key, offer) in offers {
        for lease in ledger.leases_of(key) {
            let Some(task) = ledger.task(lease.attempt.task) else { continue };
            let value = task.spec.spread.as_ref().and_then(|label| offer.view.claim.labels.get(label));
            if let Some(value) = value {
                *counts.entry((task.id.job, task.array)).or_default().entry(value.clone()).or_default() += 1;
            }
        }
    }
    counts
}
