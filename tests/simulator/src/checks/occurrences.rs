//! Checks recurring jobs: every occurrence is run, or skipped with a reason, once and in order. Judged from
//! what was submitted, by a look at every minute; every expression that is submitted here recurs each minute.

use std::collections::BTreeMap;

use meshwork_core::{
    ledger::{Ledger, LedgerEvent, RecurringEndReason},
    types::{Action, BlockTime, CatchUp, Overlap, Recur, Recurring, RecurringId, SignedTransaction, SkipReason},
};

use super::{Checked, rule};

const MINUTE_US: u64 = 60_000_000;

/// A recurring job, and the last occurrence that was run or skipped.
struct Book {
    recurring: Recurring,
    last: BlockTime,
}

/// All recurring jobs that have not ended.
#[derive(Default)]
pub(super) struct Occurrences {
    books: BTreeMap<RecurringId, Book>,
}

const fn next(after: BlockTime) -> BlockTime {
    BlockTime((after.0 / MINUTE_US + 1) * MINUTE_US)
}

impl Occurrences {
    /// A transaction was executed at this time, and was not void.
    pub(super) fn hear(&mut self, transaction: &SignedTransaction, now: BlockTime) {
        if let Action::Recur(Recur::Submit(recurring)) = &transaction.transaction().action {
            let book = Book { recurring: Recurring::clone(recurring), last: now };
            self.books.insert(RecurringId(transaction.id().0), book);
        }
    }

    /// Checks the events of a block against the ledger after it.
    pub(super) fn check(&mut self, events: &[LedgerEvent], ledger: &Ledger) -> Checked {
        let now = ledger.time();
        for event in events {
            let (id, first, last, occurrences, why) = match *event {
                LedgerEvent::RecurringRun { recurring, occurrence, .. } => (recurring, occurrence, occurrence, 1, None),
                LedgerEvent::RecurringSkipped { recurring, first, last, occurrences, why } => {
                    (recurring, first, last, occurrences, Some(why))
                }
                LedgerEvent::RecurringEnded { recurring, why: RecurringEndReason::Barred } => {
                    // Another check judges whether its submitter is barred.
                    drop(self.books.remove(&recurring));
                    continue;
                }
                LedgerEvent::RecurringEnded { recurring, .. } => {
                    let book = self.books.remove(&recurring);
                    let is_over = |book: Book| book.recurring.until.is_some_and(|until| next(book.last) > until);
                    rule(book.is_some_and(is_over), || format!("{recurring} ends before its last occurrence"))?;
                    continue;
                }
                _ => continue,
            };
            let Some(book) = self.books.get_mut(&id) else { return Err(format!("{id} runs, and is unknown")) };
            rule(first == next(book.last), || {
                format!("an occurrence of {id} before {first:?} is left out, or comes twice")
            })?;
            rule(last.0 == first.0 + (occurrences - 1) * MINUTE_US, || format!("occurrences of {id} are miscounted"))?;
            let is_late = now.micros_since(last) > MINUTE_US;
            let Recurring { catch_up, overlap, .. } = book.recurring;
            let fits = match why {
                None => !is_late || catch_up != CatchUp::Skip,
                Some(SkipReason::Missed) => is_late && catch_up != CatchUp::All,
                Some(SkipReason::Overlap) => overlap == Overlap::Skip,
                Some(SkipReason::TooManyOccurrences | SkipReason::Void(_)) => false,
            };
            rule(fits, || format!("{last:?} of {id} is not treated as was said: {why:?}"))?;
            book.last = last;
        }
        let left = self.books.iter().find(|(_, book)| next(book.last) <= now);
        rule(left.is_none(), || {
            format!("nothing became of an occurrence of {:?} that has come", left.map(|(id, _)| id))
        })
    }

    /// Whether a recurring job that has not ended could still run.
    pub(super) fn is_empty(&self) -> bool {
        self.books.is_empty()
    }
}
