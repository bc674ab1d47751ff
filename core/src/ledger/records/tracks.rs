//! Track records: what became of what a worker computed, for each submitter and program.
//!
//! Answers count as *agreed* or *wrong* only by comparison: when a quorum of workers decided. A worker that agreed
//! [`RELIED_FROM`](crate::types::RELIED_FROM) times in a row is relied on: adaptive tasks of the same submitter and program that it computes are
//! compared only now and then (`steps/agreement`). The rule is that of BOINC's adaptive replication.
//!
//! A record belongs to one submitter and one program. So nobody is relied on for somebody else's tasks because of tasks of
//! its own, and no submitter's word about a worker decides whether another one relies on it. A machine can also be right
//! at one program and wrong at the next. (The placement policy `trusted` looks at the sum over all submitters.)
//!
//! Records are bounded. Of one worker, [`TRACKS_KEPT`] are kept; what is dropped is added to one sum. When something is
//! booked, counts are halved for every [`HALF_LIFE_DAYS`] days that are over; a row of agreed answers that is older counts
//! no more. When a worker is forgotten, so are its records, and it is compared always, as a new one is.

use std::collections::BTreeMap;

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::usage::Day;
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
    types::{BlockTime, RELIED_FROM},
};

/// How many records of one worker are kept.
pub const TRACKS_KEPT: usize = 16;
/// The longest row of agreed answers that counts. So at least one answer in a hundred is compared.
pub const ROW_MAX: u16 = 100;
/// How many times its row of agreed answers may be accepted since the last one, without comparison.
const UNCHECKED_FACTOR: u16 = 3;
/// After how many days counts are halved.
pub const HALF_LIFE_DAYS: u32 = 30;

/// What became of one thing that a worker computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Deed {
    /// Its answer was compared, and a quorum agreed with it.
    Agreed,
    /// Its answer was compared, and a quorum gave another one.
    Wrong,
    /// Its answer was compared, and no quorum agreed on any.
    Disputed,
    /// Its task ended while its answer was to be compared.
    Unresolved,
    /// Its outcome was accepted without comparison, because it is relied on.
    Relied,
    /// Its outcome was accepted without comparison, as any one worker's is.
    Accepted,
    /// Its success was accepted although the attempt had been lost.
    Late,
    /// It lost the attempt.
    Lost,
    /// It lost the attempt by not revealing what it had committed itself to.
    Broken,
    /// It returned the attempt.
    Returned,
}

/// A worker's track record, or the sum of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Track {
    /// Answers with which a quorum agreed.
    pub agreed: u32,
    /// Answers against which a quorum decided.
    pub wrong: u32,
    /// Outcomes that were accepted without comparison.
    pub accepted: u32,
    /// Successes that were accepted after their attempts had been lost.
    pub late: u32,
    /// Attempts that it lost.
    pub lost: u32,
    /// Attempts that it returned.
    pub returned: u32,
    /// Processor time of attempts that ended with an outcome or an answer, in milliseconds, as the worker reported it.
    pub cpu_ms: u64,
    /// How many answers in a row were agreed, at most [`ROW_MAX`]. Only comparisons count. 0 in a sum.
    pub row: u16,
    /// How many outcomes in a row were accepted without comparison, because it is relied on. 0 in a sum.
    pub unchecked: u16,
    /// When the first of all this happened.
    pub first: BlockTime,
    /// When the last of it happened.
    pub last: BlockTime,
    /// Until which day counts have been halved.
    halved: Day,
}

impl Track {
    fn begun(now: BlockTime) -> Self {
        Self { first: now, last: now, halved: Day::of(now), ..Self::default() }
    }

    /// Halves the counts for each half-life that is over.
    fn decay(&mut self, today: Day) {
        let times = today.0.saturating_sub(self.halved.0) / HALF_LIFE_DAYS;
        if times == 0 {
            return;
        }
        self.halved = Day(self.halved.0.saturating_add(times * HALF_LIFE_DAYS));
        for count in
            [&mut self.agreed, &mut self.wrong, &mut self.accepted, &mut self.late, &mut self.lost, &mut self.returned]
        {
            *count = count.checked_shr(times).unwrap_or(0);
        }
        self.cpu_ms = self.cpu_ms.checked_shr(times).unwrap_or(0);
    }

    fn book(&mut self, deed: Option<Deed>, cpu_ms: u64, now: BlockTime) {
        self.row = self.row_at(now);
        self.decay(Day::of(now));
        self.last = now;
        self.cpu_ms = self.cpu_ms.saturating_add(cpu_ms);
        let Some(deed) = deed else { return };
        let count = match deed {
            Deed::Agreed => &mut self.agreed,
            Deed::Wrong => &mut self.wrong,
            Deed::Relied | Deed::Accepted => &mut self.accepted,
            Deed::Disputed | Deed::Unresolved => &mut 0,
            Deed::Late => &mut self.late,
            Deed::Lost | Deed::Broken => &mut self.lost,
            Deed::Returned => &mut self.returned,
        };
        *count = count.saturating_add(1);
        match deed {
            Deed::Agreed => (self.row, self.unchecked) = (self.row.saturating_add(1).min(ROW_MAX), 0),
            Deed::Relied if is_planted(Fault::UncheckedCounts) => self.row = self.row.saturating_add(1).min(ROW_MAX),
            Deed::Relied => self.unchecked = self.unchecked.saturating_add(1),
            Deed::Wrong | Deed::Broken | Deed::Disputed if !is_planted(Fault::MismatchForgiven) => self.row = 0,
            Deed::Unresolved => self.row = self.row.min(RELIED_FROM - 1),
            _ => {}
        }
    }

    /// How many answers in a row were agreed, as it counts at this time.
    fn row_at(&self, now: BlockTime) -> u16 {
        let idle_days = Day::of(now).0.saturating_sub(Day::of(self.last).0);
        if idle_days > HALF_LIFE_DAYS { 0 } else { self.row }
    }

    /// How many answers in a row were agreed, as far as that is a reason to rely on the worker: not if too many others
    /// were accepted since without comparison. So one whose comparisons never end is not relied on for long.
    fn relied_row(&self, now: BlockTime) -> u16 {
        let row = self.row_at(now);
        let is_checked = self.unchecked < row.saturating_mul(UNCHECKED_FACTOR) || is_planted(Fault::NeverCompared);
        if is_checked { row } else { 0 }
    }

    /// Adds another record to this sum.
    fn add(&mut self, other: &Self) {
        let is_empty = self.last == BlockTime::default();
        for (sum, more) in [
            (&mut self.agreed, other.agreed),
            (&mut self.wrong, other.wrong),
            (&mut self.accepted, other.accepted),
            (&mut self.late, other.late),
            (&mut self.lost, other.lost),
            (&mut self.returned, other.returned),
        ] {
            *sum = sum.saturating_add(more);
        }
        self.cpu_ms = self.cpu_ms.saturating_add(other.cpu_ms);
        self.first = if is_empty { other.first } else { self.first.min(other.first) };
        self.last = self.last.max(other.last);
        self.halved = if is_empty { other.halved } else { self.halved.min(other.halved) };
    }

    /// The share of what it computed that went wrong, in thousandths, as the rule of succession estimates it:
    /// `(faults + 1) / (faults + agreed + 2)`, where a wrong answer is ten faults and a lost attempt is one. Without a
    /// record it is a half. What was accepted without comparison vouches for nothing.
    #[must_use]
    pub fn faults_permille(&self) -> u16 {
        let faults = u64::from(self.wrong) * 10 + u64::from(self.lost);
        let permille = (faults + 1) * 1000 / (faults + u64::from(self.agreed) + 2);
        u16::try_from(permille).unwrap_or(1000)
    }

    fn is_sound(&self, now: BlockTime) -> bool {
        self.row <= ROW_MAX && self.first <= self.last && self.last <= now && self.halved <= Day::of(now)
    }
}

/// Whom and what a track record is about, besides the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct TrackOf {
    /// Who submitted the tasks.
    pub submitter: PublicKey,
    /// Their program.
    pub program: Digest,
}

/// The track records of one worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Tracks {
    kept: BTreeMap<TrackOf, Track>,
    /// The sum of those that are not kept any more.
    others: Track,
}

impl Tracks {
    /// Books what became of something that the worker computed, and the processor time that it took. `None`: only the
    /// time is booked.
    pub(in crate::ledger) fn book(&mut self, of: TrackOf, deed: Option<Deed>, cpu_ms: u64, now: BlockTime) {
        if !self.kept.contains_key(&of) && self.kept.len() >= TRACKS_KEPT {
            self.drop_least(now);
        }
        self.kept.entry(of).or_insert_with(|| Track::begun(now)).book(deed, cpu_ms, now);
    }

    /// Drops the record with the shortest row of agreed answers that still counts, and of these the oldest one. So nobody
    /// pushes a good record out by tasks of other programs, unless their answers agree as often.
    fn drop_least(&mut self, now: BlockTime) {
        let least = self.kept.iter().min_by_key(|(of, track)| (track.row_at(now), track.last, **of)).map(|(of, _)| *of);
        if let Some(mut dropped) = least.and_then(|of| self.kept.remove(&of)) {
            dropped.decay(Day::of(now));
            self.others.decay(Day::of(now));
            self.others.add(&dropped);
        }
    }

    /// How many answers in a row were agreed; 0 if that is no reason to rely on the worker.
    pub(in crate::ledger) fn row(&self, of: &TrackOf, now: BlockTime) -> u16 {
        if is_planted(Fault::RecordOfAnyone) {
            let of_program = self.kept.iter().filter(|(other, _)| other.program == of.program);
            return of_program.map(|(_, track)| track.row).max().unwrap_or(0);
        }
        self.kept.get(of).map_or(0, |track| track.relied_row(now))
    }

    /// The records that are kept.
    pub(in crate::ledger) const fn kept(&self) -> &BTreeMap<TrackOf, Track> {
        &self.kept
    }

    /// The sum of all records.
    pub(in crate::ledger) fn sum(&self) -> Track {
        let mut sum = self.others;
        self.kept.values().for_each(|track| sum.add(track));
        sum
    }

    /// Whether a ledger can have come to this by now.
    pub(in crate::ledger) fn are_sound(&self, now: BlockTime) -> bool {
        self.kept.len() <= TRACKS_KEPT
            && self.kept.values().all(|track| track.is_sound(now))
            && (self.others.row, self.others.unchecked) == (0, 0)
            && self.others.is_sound(now)
    }

    /// What a fault makes of records that a snapshot restores.
    pub(in crate::ledger) fn restored(mut self) -> Self {
        if is_planted(Fault::MismatchLostInSnapshot) {
            for track in self.kept.values_mut() {
                track.row = u16::try_from(track.agreed).unwrap_or(ROW_MAX).min(ROW_MAX);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: u64 = 24 * 3600 * 1_000_000;

    fn of(program: u8) -> TrackOf {
        TrackOf { submitter: PublicKey([7; 32]), program: Digest::of(&[program]) }
    }

    fn at(day: u64) -> BlockTime {
        BlockTime(day * DAY_US)
    }

    #[test]
    fn a_row_grows_by_comparison_alone_and_one_wrong_answer_ends_it() {
        let mut tracks = Tracks::default();
        for _ in 0..RELIED_FROM {
            tracks.book(of(1), Some(Deed::Agreed), 5, at(1));
            tracks.book(of(1), Some(Deed::Accepted), 5, at(1));
            tracks.book(of(1), Some(Deed::Relied), 0, at(1));
            tracks.book(of(1), Some(Deed::Lost), 0, at(1));
        }
        assert_eq!((tracks.row(&of(1), at(1)), tracks.row(&of(2), at(1))), (RELIED_FROM, 0));
        assert_eq!(tracks.sum().cpu_ms, 100);
        let elsewhere = TrackOf { submitter: PublicKey([8; 32]), ..of(1) };
        assert_eq!(tracks.row(&elsewhere, at(1)), 0, "another submitter has seen nothing of it");
        tracks.book(of(1), Some(Deed::Wrong), 5, at(1));
        assert_eq!(tracks.row(&of(1), at(1)), 0);
        tracks.book(of(1), Some(Deed::Agreed), 5, at(1));
        tracks.book(of(1), Some(Deed::Broken), 5, at(1));
        assert_eq!(tracks.row(&of(1), at(1)), 0);
    }

    #[test]
    fn without_a_comparison_that_ends_well_nobody_is_relied_on_for_long() {
        let mut tracks = Tracks::default();
        for _ in 0..RELIED_FROM {
            tracks.book(of(1), Some(Deed::Agreed), 0, at(1));
        }
        for _ in 0..3 * RELIED_FROM {
            assert_eq!(tracks.row(&of(1), at(1)), RELIED_FROM);
            tracks.book(of(1), Some(Deed::Relied), 0, at(1));
        }
        assert_eq!(tracks.row(&of(1), at(1)), 0);
        tracks.book(of(1), Some(Deed::Agreed), 0, at(1));
        assert_eq!(tracks.row(&of(1), at(1)), RELIED_FROM + 1);
        tracks.book(of(1), Some(Deed::Unresolved), 0, at(1));
        assert_eq!(tracks.row(&of(1), at(1)), RELIED_FROM - 1);
        tracks.book(of(1), Some(Deed::Disputed), 0, at(1));
        assert_eq!(tracks.row(&of(1), at(1)), 0);
    }

    #[test]
    fn counts_are_halved_with_time_and_an_old_row_counts_no_more() {
        let mut tracks = Tracks::default();
        for _ in 0..40 {
            tracks.book(of(1), Some(Deed::Agreed), 10, at(100));
        }
        assert_eq!(tracks.row(&of(1), at(130)), 40);
        assert_eq!(tracks.row(&of(1), at(131)), 0, "nothing for more than {HALF_LIFE_DAYS} days");
        tracks.book(of(1), Some(Deed::Agreed), 10, at(161));
        let track = tracks.kept()[&of(1)];
        assert_eq!((track.agreed, track.cpu_ms, track.row), (11, 110, 1));
        assert_eq!((track.first, track.last), (at(100), at(161)));
        assert!(tracks.are_sound(at(161)) && !tracks.are_sound(at(160)));
    }

    #[test]
    fn what_is_dropped_still_counts_in_the_sum_and_a_long_row_stays() {
        let mut tracks = Tracks::default();
        tracks.book(of(0), Some(Deed::Agreed), 0, at(1));
        for program in 1..100 {
            tracks.book(of(program), Some(Deed::Wrong), 1, at(2));
        }
        assert_eq!(tracks.kept().len(), TRACKS_KEPT);
        assert_eq!(tracks.row(&of(0), at(2)), 1);
        let sum = tracks.sum();
        assert_eq!((sum.agreed, sum.wrong, sum.cpu_ms, sum.first, sum.last), (1, 99, 99, at(1), at(2)));
        assert!(tracks.are_sound(at(2)));
    }

    #[test]
    fn the_estimate_of_faults_begins_at_a_half_and_only_agreement_lowers_it() {
        let permille = |agreed, wrong, lost, accepted| {
            Track { agreed, wrong, lost, accepted, ..Track::default() }.faults_permille()
        };
        assert_eq!(permille(0, 0, 0, 0), 500);
        assert_eq!(permille(0, 0, 0, 1_000), 500);
        assert_eq!(permille(8, 0, 0, 0), 100);
        assert_eq!(permille(8, 1, 0, 0), 550);
        assert_eq!(permille(0, 0, 8, 0), 900);
        assert_eq!(permille(0, u32::MAX, u32::MAX, 0), 999);
    }
}
