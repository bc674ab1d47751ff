//! The keys' accounts by day, and the bounds on their number.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{Account, UsageEntry};
use crate::{identity::PublicKey, types::BlockTime};

/// How many days are kept, today included.
pub const DAYS_KEPT: u32 = 400;
/// How many accounts of single keys are kept in total, for submitters and workers together.
pub const ACCOUNTS_MAX: usize = 65_536;
/// How many accounts of single keys one day may have, for submitters and workers together.
pub const DAY_ACCOUNTS_MAX: usize = 16_384;

/// Microseconds in a UTC day. Leap seconds do not count.
const DAY_US: u64 = 86_400_000_000;

/// A UTC day, as the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Day(pub u32);

impl Day {
    /// The last day that can be named.
    pub const MAX: Self = Self(u32::MAX);

    /// The day of a block time.
    #[must_use]
    pub const fn of(time: BlockTime) -> Self {
        // The largest block time is some 213 million days.
        Self((time.0 / DAY_US) as u32)
    }

    /// The first microsecond of the day.
    #[must_use]
    pub const fn begins(self) -> BlockTime {
        BlockTime((self.0 as u64).saturating_mul(DAY_US))
    }

    /// The oldest day that is still kept on this day.
    #[must_use]
    pub const fn oldest_kept(self) -> Self {
        Self(self.0.saturating_sub(DAYS_KEPT - 1))
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which of a key's two accounts is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// What the key submitted, and what became of it.
    Submitter,
    /// What the key was given as a worker, and what it did with it.
    Worker,
}

/// The accounts of one side on one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct SideBook {
    pub(in crate::ledger) keys: BTreeMap<PublicKey, Account>,
    /// All keys without an account of their own, together.
    pub(in crate::ledger) others: Account,
}

impl SideBook {
    pub(in crate::ledger) fn total(&self) -> Account {
        Account::sum(self.keys.values().chain([&self.others]))
    }

    fn fold(&mut self) {
        self.others = self.total();
        self.keys.clear();
    }
}

/// The accounts of one day.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct DayBook {
    submitters: SideBook,
    workers: SideBook,
}

impl DayBook {
    pub(in crate::ledger) const fn side(&self, side: Side) -> &SideBook {
        match side {
            Side::Submitter => &self.submitters,
            Side::Worker => &self.workers,
        }
    }

    const fn side_mut(&mut self, side: Side) -> &mut SideBook {
        match side {
            Side::Submitter => &mut self.submitters,
            Side::Worker => &mut self.workers,
        }
    }

    fn enter(&mut self, side: Side, key: PublicKey, entry: &UsageEntry) {
        let is_full = self.len() >= DAY_ACCOUNTS_MAX;
        let book = self.side_mut(side);
        if let Some(account) = book.keys.get_mut(&key) {
            account.enter(entry);
        } else if is_full {
            book.others.enter(entry);
        } else {
            book.keys.entry(key).or_default().enter(entry);
        }
    }

    fn len(&self) -> usize {
        self.submitters.keys.len() + self.workers.keys.len()
    }

    /// What bookings cannot have produced, if anything.
    fn flaw(&self) -> Option<&'static str> {
        let [submitters, workers] = [&self.submitters, &self.workers];
        let mut all = [submitters, workers].into_iter().flat_map(|side| side.keys.values().chain([&side.others]));
        if !all.all(|account| account.is_sound()) {
            return Some("an account holds what is never booked");
        }
        let both = submitters.total().of_both_sides() == workers.total();
        (!both).then_some("a day's submitters and workers do not come to the same")
    }
}

/// All days' accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Days {
    books: BTreeMap<Day, DayBook>,
    /// How many accounts of single keys there are.
    pub(in crate::ledger) accounts: usize,
}

impl Days {
    /// Restores the days from their records.
    ///
    /// # Errors
    ///
    /// What could not have been kept on this day.
    pub(in crate::ledger) fn restored(books: BTreeMap<Day, DayBook>, today: Day) -> Result<Self, &'static str> {
        let kept = today.oldest_kept()..=today;
        if !books.keys().all(|day| kept.contains(day)) {
            return Err("accounts are kept of a day that is too long ago, or to come");
        }
        let accounts = books.values().map(DayBook::len).sum();
        if accounts > ACCOUNTS_MAX || books.values().any(|book| book.len() > DAY_ACCOUNTS_MAX) {
            return Err("more accounts are kept than may be");
        }
        match books.values().find_map(DayBook::flaw) {
            Some(flaw) => Err(flaw),
            None => Ok(Self { books, accounts }),
        }
    }

    /// The part that cannot be computed from anything else.
    pub(in crate::ledger) const fn records(&self) -> &BTreeMap<Day, DayBook> {
        &self.books
    }

    /// Advances to this day, and drops the days that are too old.
    pub(in crate::ledger) fn pass(&mut self, today: Day) {
        while let Some(oldest) = self.books.first_entry()
            && *oldest.key() < today.oldest_kept()
        {
            self.accounts -= oldest.remove().len();
        }
    }

    /// Books an event to a submitter, and to a worker if one is involved. No later day may have been booked before.
    pub(in crate::ledger) fn enter(
        &mut self,
        today: Day,
        submitter: PublicKey,
        worker: Option<PublicKey>,
        entry: &UsageEntry,
    ) {
        let book = self.books.entry(today).or_default();
        let before = book.len();
        book.enter(Side::Submitter, submitter, entry);
        if let Some(worker) = worker {
            book.enter(Side::Worker, worker, entry);
        }
        self.accounts += book.len() - before;
        while self.accounts > ACCOUNTS_MAX {
            self.fold_oldest();
        }
    }

    /// Folds the accounts of the oldest day that has any into that day's others.
    fn fold_oldest(&mut self) {
        if let Some(book) = self.books.values_mut().find(|book| book.len() > 0) {
            self.accounts -= book.len();
            for side in [Side::Submitter, Side::Worker] {
                book.side_mut(side).fold();
            }
        }
    }

    /// The days in a range, oldest first.
    pub(in crate::ledger) fn range(
        &self,
        days: RangeInclusive<Day>,
    ) -> impl DoubleEndedIterator<Item = (Day, &DayBook)> {
        // A map panics on a range that ends before it begins. Such a range holds nothing.
        let days = (days.start() <= days.end()).then_some(days);
        days.into_iter().flat_map(|days| self.books.range(days)).map(|(day, book)| (*day, book))
    }
}
