//! Whether tasks that are to be spread are: a block's leases are taken back one by one, from the last to the first, so that each is
//! judged by how things stood when it was given.

use std::collections::BTreeMap;

use meshwork_core::{
    identity::PublicKey,
    ledger::{Ledger, TaskView},
    types::JobId,
};

use super::{
    Checked,
    policy::{Given, Offer},
};

/// A label of more values is not looked at when tasks are placed.
const VALUES_MAX: usize = 64;

/// How many leases an array has at each value of the label that it is spread over.
type Counts = BTreeMap<(JobId, u16), BTreeMap<String, u32>>;

/// The leases of a block in their order, and what is offered after it. `permits` tells where a task may go, and whether as a copy.
pub(super) fn check(
    ledger: &Ledger,
    mut offers: BTreeMap<PublicKey, Offer<'_>>,
    given: &[Given],
    permits: impl Fn(&Given, &TaskView<'_>, &PublicKey) -> bool,
) -> Checked {
    let mut counts = counts(ledger, &offers);
    for lease in given.iter().rev() {
        let (Some(task), Some(offer)) = (ledger.task(lease.attempt.task), offers.get_mut(&lease.worker)) else {
            continue;
        };
        offer.take_back(lease, &task);
        let Some(label) = task.spec.spread.as_deref() else { continue };
        let at = offer.view.claim.labels.get(label).cloned();
        let at_values = counts.entry((task.id.job, task.array)).or_default();
        if let Some(count) = at.as_ref().and_then(|value| at_values.get_mut(value)) {
            *count -= 1;
        }
        let count = |value: Option<&String>| value.map_or(u32::MAX, |value| at_values.get(value).copied().unwrap_or(0));
        let values = offers.values().filter_map(|offer| offer.view.claim.labels.get(label));
        if values.collect::<std::collections::BTreeSet<_>>().len() > VALUES_MAX {
            continue;
        }
        let meets = offers.get(&lease.worker).map(|offer| offer.meets(&task));
        let better = offers.values().find(|other| {
            let open = if lease.running { other.has_room(&task) } else { other.has_place(&task) };
            let value = other.view.claim.labels.get(label);
            open && count(value) < count(at.as_ref())
                && Some(other.meets(&task)) == meets
                && permits(lease, &task, &other.view.key)
        });
        if let Some(better) = better {
            let key = better.view.key;
            return Err(format!(
                "{} goes to {at:?} of {label}, where more of its kind are than at {key}",
                lease.attempt
            ));
        }
    }
    Ok(())
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
