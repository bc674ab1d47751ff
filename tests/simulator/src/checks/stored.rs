//! Checks what keys make every peer store for good in a day: the real bytes of their jobs' definitions and of the
//! receipts of tasks that were admitted that day.

use std::collections::BTreeMap;

use meshwork_core::{
    codec,
    identity::PublicKey,
    ledger::{Day, Ledger},
    types::{Action, KeyLimit, Limit, NetworkLimit, Receipt, SignedTransaction},
};

use super::{Checked, room::Room, rule};

/// What was stored on one day.
#[derive(Default)]
pub(super) struct Stored {
    day: Day,
    by_key: BTreeMap<PublicKey, u64>,
}

impl Stored {
    /// Checks a block's good transactions and receipts, with the ledger after it.
    pub(super) fn check<'a>(
        &mut self,
        good: impl Iterator<Item = &'a SignedTransaction>,
        receipts: &[Receipt],
        room: &Room,
        ledger: &Ledger,
    ) -> Checked {
        let today = Day::of(ledger.time());
        if self.day != today {
            *self = Self { day: today, by_key: BTreeMap::new() };
        }
        for transaction in good {
            if let Action::Submit(_) | Action::Extend(_) | Action::Recur(_) = &transaction.transaction().action {
                *self.by_key.entry(transaction.signer()).or_default() += transaction.envelope().payload.len() as u64;
            }
        }
        for receipt in receipts {
            let Receipt::Outcome(outcome) = receipt else { continue };
            let Some((task, job)) = ledger.task(outcome.attempt.task).zip(ledger.job(outcome.attempt.task.job)) else {
                continue;
            };
            if Day::of(task.admitted) == today {
                *self.by_key.entry(job.submitter).or_default() += codec::encode(receipt).len() as u64;
            }
        }
        for (key, bytes) in &self.by_key {
            let most = ledger.key_limit(key, KeyLimit::DailyStoredBytes);
            rule(*bytes <= most, || format!("{key} has every peer store {bytes} bytes today, of {most}"))?;
        }
        let of_strangers = self.by_key.iter().filter(|(key, _)| !room.is_vouched(key)).map(|(_, bytes)| bytes);
        let (bytes, most) =
            (of_strangers.sum::<u64>(), room.share(ledger.limit(Limit::Network(NetworkLimit::DailyStoredBytes))));
        rule(bytes <= most, || format!("keys that are new have every peer store {bytes} bytes today, of {most}"))
    }
}
