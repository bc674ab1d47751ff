//! What others may ask of the accounts.

use std::{
    collections::BTreeMap,
    ops::{Bound, RangeInclusive},
};

use crate::{
    identity::PublicKey,
    ledger::{
        JobView, Ledger,
        records::usage::{Account, Day, Side},
        views::query::view_of_job,
    },
    schedule::ready::JobNumber,
};

impl Ledger {
    /// The day of the last block.
    #[must_use]
    pub const fn day(&self) -> Day {
        Day::of(self.time())
    }

    /// What one side comes to on each day of a range on which anything was booked, oldest first; of one key only, if
    /// one is named that has an account of its own on that day.
    pub fn usage_by_day(
        &self,
        side: Side,
        key: Option<PublicKey>,
        days: RangeInclusive<Day>,
    ) -> impl Iterator<Item = (Day, Account)> {
        self.records.usage().range(days).filter_map(move |(day, book)| match key {
            Some(key) => book.side(side).keys.get(&key).map(|account| (day, *account)),
            None => Some((day, book.side(side).total())),
        })
    }

    /// What each key comes to in a range of days, in the order of the keys, from the one after `after` on: at most
    /// `limit` of them. It looks at all accounts of those days.
    #[must_use]
    pub fn usage_by_key(
        &self,
        side: Side,
        days: RangeInclusive<Day>,
        after: Option<PublicKey>,
        limit: usize,
    ) -> Vec<(PublicKey, Account)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut sums: BTreeMap<PublicKey, Account> = BTreeMap::new();
        for (_, book) in self.records.usage().range(days) {
            for (key, account) in book.side(side).keys.range((from, Bound::Unbounded)) {
                if sums.len() >= limit && sums.last_key_value().is_none_or(|(last, _)| key > last) {
                    break;
                }
                sums.entry(*key).or_default().add(account);
                if sums.len() > limit {
                    sums.pop_last();
                }
            }
        }
        sums.into_iter().collect()
    }

    /// What the keys that have no accounts of their own come to in a range of days, all together.
    #[must_use]
    pub fn usage_of_others(&self, side: Side, days: RangeInclusive<Day>) -> Account {
        Account::sum(self.records.usage().range(days).map(|(_, book)| &book.side(side).others))
    }

    /// The jobs that are not forgotten and were admitted after the one with this number, in the order of admission,
    /// each with its own number.
    pub fn jobs_after(&self, number: JobNumber) -> impl Iterator<Item = (JobNumber, JobView<'_>)> {
        let jobs = self.records.jobs().range((Bound::Excluded(number), Bound::Unbounded));
        jobs.map(|(number, job)| (*number, view_of_job(job)))
    }
}
