//! Queries on the accounts.

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

    /// The sum of one side's accounts on each day in a range that has bookings, oldest first. With a key, only that
    /// key's account, on the days on which it has one of its own.
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

    /// Each key's sum over a range of days, by key, from the first key after `after` on: at most `limit` keys. It
    /// looks at all accounts of those days.
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

    /// The sum, over a range of days, of the accounts for keys without one of their own.
    #[must_use]
    pub fn usage_of_others(&self, side: Side, days: RangeInclusive<Day>) -> Account {
        Account::sum(self.records.usage().range(days).map(|(_, book)| &book.side(side).others))
    }

    /// The jobs admitted after the one with this number and not forgotten, in order of admission, each with its
    /// number.
    pub fn jobs_after(&self, number: JobNumber) -> impl Iterator<Item = (JobNumber, JobView<'_>)> {
        let jobs = self.records.jobs().range((Bound::Excluded(number), Bound::Unbounded));
        jobs.map(|(number, job)| (*number, view_of_job(job)))
    }
}
