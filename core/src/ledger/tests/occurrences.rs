//! A plain book of recurring jobs: which occurrences there are, minute by minute, and what the events say became of
//! each.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ledger::{Applied, Ledger, LedgerEvent, RecurringEndReason, bounds},
    types::*,
};

/// How late an occurrence of the tests' networks may be come to, in microseconds.
const LATE_US: u64 = 60_000_000;

struct Page {
    recurring: Recurring,
    /// The last occurrence that something became of, or when it was admitted.
    last: BlockTime,
    is_paused: bool,
    resumed: BlockTime,
    ran: u64,
    /// Its runs that have not ended.
    live: BTreeSet<JobId>,
}

/// What someone who only reads events knows of recurring jobs.
#[derive(Default)]
pub(super) struct Occurrences {
    pages: BTreeMap<RecurringId, Page>,
    runs: BTreeMap<JobId, RecurringId>,
    pub ids: Vec<RecurringId>,
}

impl Page {
    /// The minute after this one that is an occurrence, by a look at each: of the expressions of this test only minutes
    /// and hours say something.
    fn next(&self, after: BlockTime) -> BlockTime {
        let Cron { minutes, hours, .. } = self.recurring.cron;
        let is_moment = |minute: &u64| minutes >> (minute % 60) & 1 == 1 && hours >> (minute / 60 % 24) & 1 == 1;
        let minute = (after.0 / 60_000_000 + 1..).find(is_moment).expect("one comes each day");
        BlockTime(minute * 60_000_000)
    }

    fn was_missed(&self, occurrence: BlockTime, now: BlockTime) -> bool {
        occurrence <= self.resumed || now.micros_since(occurrence) > LATE_US
    }

    fn run(&mut self, occurrence: BlockTime, now: BlockTime) {
        assert!(!self.is_paused, "it runs while it is paused");
        assert_eq!(occurrence, self.next(self.last), "an occurrence is left out, or run twice");
        if self.was_missed(occurrence, now) {
            let next = self.next(occurrence);
            let is_last = next > now || self.recurring.until.is_some_and(|until| next > until);
            match self.recurring.catch_up {
                CatchUp::Skip => panic!("{occurrence:?} was missed, and is run all the same"),
                CatchUp::Once => assert!(!self.was_missed(next, now) || is_last, "not the last is caught up with"),
                CatchUp::All => {}
            }
        }
        match self.recurring.overlap {
            Overlap::Skip | Overlap::Cancel => assert!(self.live.is_empty(), "an earlier run has not ended"),
            Overlap::Queue | Overlap::Alongside => {}
        }
        (self.last, self.ran) = (occurrence, self.ran + 1);
    }

    fn skip(&mut self, (first, last, occurrences): (BlockTime, BlockTime, u64), why: SkipReason, now: BlockTime) {
        assert!(!self.is_paused, "it skips while it is paused");
        let mut at = self.last;
        for place in 0..occurrences {
            at = self.next(at);
            assert!(place > 0 || at == first, "an occurrence is left out");
        }
        assert_eq!(at, last, "occurrences are miscounted");
        match why {
            SkipReason::Missed => {
                assert!(self.was_missed(last, now), "it was not missed");
                if self.recurring.catch_up == CatchUp::All {
                    let kept = (0..bounds::CATCH_UP_MAX).fold(last, |at, _| self.next(at));
                    assert!(self.was_missed(kept, now), "fewer are caught up with than may be");
                }
            }
            SkipReason::Overlap => {
                assert!(self.recurring.overlap == Overlap::Skip && !self.live.is_empty(), "nothing overlaps");
            }
            SkipReason::Void(why) => assert!(matches!(why, VoidReason::KeyTasksFull | VoidReason::NotPermitted)),
            SkipReason::TooManyOccurrences => panic!("so many cannot be there"),
        }
        self.last = last;
    }

    /// Whether no occurrence is still to come.
    fn is_over(&self) -> bool {
        let Recurring { until, runs_max, .. } = self.recurring;
        runs_max.is_some_and(|most| self.ran >= most) || until.is_some_and(|until| self.next(self.last) > until)
    }
}

impl Occurrences {
    pub(super) fn see(&mut self, applied: &Applied, ledger: &Ledger) {
        let now = ledger.time();
        for event in &applied.events {
            match *event {
                LedgerEvent::RecurringAdmitted { recurring: id } => {
                    let recurring = ledger.recurring_job(id).expect("there").recurring.clone();
                    let page = Page {
                        recurring,
                        last: now,
                        is_paused: false,
                        resumed: BlockTime(0),
                        ran: 0,
                        live: BTreeSet::new(),
                    };
                    assert!(self.pages.insert(id, page).is_none());
                    self.ids.push(id);
                }
                LedgerEvent::RecurringPaused { recurring, paused } => {
                    let page = self.pages.get_mut(&recurring).expect("known");
                    page.is_paused = paused;
                    if !paused {
                        page.resumed = now;
                    }
                }
                LedgerEvent::RecurringRun { recurring, occurrence, job } => {
                    let page = self.pages.get_mut(&recurring).expect("known");
                    page.run(occurrence, now);
                    page.live.insert(job);
                    self.runs.insert(job, recurring);
                }
                LedgerEvent::RecurringSkipped { recurring, first, last, occurrences, why } => {
                    self.pages.get_mut(&recurring).expect("known").skip((first, last, occurrences), why, now);
                }
                LedgerEvent::RecurringEnded { recurring, why } => {
                    let page = self.pages.remove(&recurring).expect("known");
                    assert!(why != RecurringEndReason::Over || page.is_over(), "it ends before its last occurrence");
                }
                LedgerEvent::JobEnded { job, .. } => {
                    if let Some(page) = self.runs.remove(&job).and_then(|of| self.pages.get_mut(&of)) {
                        page.live.remove(&job);
                    }
                }
                _ => {}
            }
        }
        for (id, page) in &self.pages {
            assert!(!page.is_over(), "{id} has no occurrence any more, and has not ended");
            let goes_on = ledger.next_due() == Some(BlockTime(now.0 + 1));
            assert!(
                page.is_paused || goes_on || page.next(page.last) > now,
                "nothing became of an occurrence of {id} that has come"
            );
            let view = ledger.recurring_job(*id).expect("it has not ended");
            let runs: BTreeSet<JobId> = view.live_jobs.iter().copied().collect();
            assert_eq!((view.ran, runs), (page.ran, page.live.clone()));
        }
    }
}
