//! An account of usage.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{ledger::event::EndReason, types::Resources};

/// Bytes in a mebibyte.
const MIB: u128 = 1 << 20;

/// Far above any honest figure, and low enough that additions to a figure do not overflow.
const FIGURE_MAX: u64 = 1 << 62;

/// Declares the figures of an account once, and generates everything else that names them.
macro_rules! figures {
    ($count:literal: $($(#[doc = $doc:literal])* $figure:ident,)*) => {
        /// What was submitted, used and lost. Every figure only grows, and saturates at the largest number.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
        pub struct Account {
            $($(#[doc = $doc])* pub $figure: u64,)*
        }

        /// An [`Account`] that is serialized with its figures' names, for people and scripts.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub struct AccountView {
            $($(#[doc = $doc])* pub $figure: u64,)*
        }

        impl From<Account> for AccountView {
            fn from(Account { $($figure),* }: Account) -> Self {
                Self { $($figure),* }
            }
        }

        impl From<AccountView> for Account {
            fn from(AccountView { $($figure),* }: AccountView) -> Self {
                Self { $($figure),* }
            }
        }

        impl Account {
            /// The figures' names in the order of declaration. Each name ends with its unit.
            pub const NAMES: [&'static str; $count] = [$(stringify!($figure)),*];

            /// The figures, in the same order.
            #[must_use]
            pub const fn figures(&self) -> [u64; $count] {
                [$(self.$figure),*]
            }

            const fn figures_mut(&mut self) -> [&mut u64; $count] {
                [$(&mut self.$figure),*]
            }
        }
    };
}

figures! {
    16:
    /// Tasks submitted. Always 0 for a worker.
    tasks_submitted,
    /// Attempts leased, live ones included.
    attempts_leased,
    /// Attempts that succeeded in time.
    attempts_succeeded,
    /// Replicas that gave an answer, whichever it was.
    attempts_answered,
    /// Attempts that ended by their program's failure.
    attempts_failed,
    /// Attempts that were drained or lost, begun or not. An attempt is lost when its worker's claim ends, its
    /// worker's process restarts, or its time in the ledger runs out.
    attempts_lost,
    /// Attempts that their worker gave back before they began, or that were taken back because there was no place for
    /// them any more.
    attempts_returned,
    /// Attempts that were preempted, at a checkpoint.
    attempts_preempted,
    /// Attempts that ended with their job, or because another attempt of their task brought the outcome.
    attempts_cancelled,
    /// Successes that were accepted from attempts booked as lost or otherwise ended.
    late_successes,
    /// Processor time reported with accepted outcomes, in microseconds. At most what the attempt had reserved.
    cpu_us,
    /// Time during which attempts held resources, in milliseconds of lease time.
    slot_ms,
    /// Core time reserved during slot time, in microseconds of one core: millicores × milliseconds.
    reserved_core_us,
    /// Memory reserved during slot time, in mebibyte-milliseconds. It is rounded down once for each attempt, here and
    /// nowhere else, so that all its sums agree.
    reserved_mib_ms,
    /// Reserved core time of attempts that failed, were lost or were drained, in microseconds of one core.
    lost_core_us,
    /// Bytes of output in accepted successes: output streams and files, and for a stored output also its manifest.
    output_bytes,
}

/// An event to book in accounts.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) enum UsageEntry {
    /// This many tasks were added to a job.
    Tasks(u64),
    /// An attempt was leased.
    Lease,
    /// An attempt has ended.
    End(AttemptEnd),
    /// A success with this many bytes of output was accepted. A late one is of an attempt that had already ended
    /// otherwise.
    Success { output_bytes: u64, is_late: bool },
}

/// How an attempt ended, and the figures that it adds.
#[derive(Clone, Copy, Debug)]
pub(in crate::ledger) struct AttemptEnd {
    pub(in crate::ledger) why: EndReason,
    pub(super) cpu_us: u64,
    slot_ms: u64,
    reserved_core_us: u64,
    reserved_mib_ms: u64,
}

impl AttemptEnd {
    /// The end of an attempt that held these resources for `slot_ms` milliseconds, with the processor time that its
    /// worker reported.
    pub(in crate::ledger) fn new(why: EndReason, resources: Resources, slot_ms: u64, reported_cpu_us: u64) -> Self {
        let reserved_core_us = u64::from(resources.millicores).saturating_mul(slot_ms);
        let mib_ms = u128::from(resources.memory_bytes) * u128::from(slot_ms) / MIB;
        Self {
            why,
            cpu_us: reported_cpu_us.min(reserved_core_us),
            slot_ms,
            reserved_core_us,
            reserved_mib_ms: u64::try_from(mib_ms).unwrap_or(u64::MAX),
        }
    }
}

const fn raise(figure: &mut u64, by: u64) {
    *figure = figure.saturating_add(by);
}

impl Account {
    /// Books an event.
    pub(in crate::ledger) fn enter(&mut self, entry: &UsageEntry) {
        match entry {
            UsageEntry::Tasks(tasks) => raise(&mut self.tasks_submitted, *tasks),
            UsageEntry::Lease => raise(&mut self.attempts_leased, 1),
            UsageEntry::End(end) => self.end(end),
            UsageEntry::Success { output_bytes, is_late } => {
                raise(&mut self.output_bytes, *output_bytes);
                raise(&mut self.late_successes, u64::from(*is_late));
            }
        }
    }

    fn end(&mut self, end: &AttemptEnd) {
        let AttemptEnd { why, cpu_us, slot_ms, reserved_core_us, reserved_mib_ms } = *end;
        raise(&mut self.cpu_us, cpu_us);
        raise(&mut self.slot_ms, slot_ms);
        raise(&mut self.reserved_core_us, reserved_core_us);
        raise(&mut self.reserved_mib_ms, reserved_mib_ms);
        let attempts = match why {
            EndReason::Succeeded => &mut self.attempts_succeeded,
            EndReason::Answered => &mut self.attempts_answered,
            EndReason::Failed => &mut self.attempts_failed,
            EndReason::ClaimEnded
            | EndReason::NewIncarnation
            | EndReason::TimedOut
            | EndReason::HostDied { .. }
            | EndReason::Unrevealed
            | EndReason::Mismatched
            | EndReason::Undelivered
            | EndReason::Drained => &mut self.attempts_lost,
            EndReason::Returned | EndReason::TakenBack => &mut self.attempts_returned,
            EndReason::Preempted => &mut self.attempts_preempted,
            EndReason::Superseded | EndReason::Cancelled => &mut self.attempts_cancelled,
        };
        raise(attempts, 1);
        if why.is_loss() || why == EndReason::Failed {
            raise(&mut self.lost_core_us, reserved_core_us);
        }
    }

    /// Adds another account's figures.
    pub fn add(&mut self, other: &Self) {
        for (own, more) in self.figures_mut().into_iter().zip(other.figures()) {
            raise(own, more);
        }
    }

    /// The sum of accounts.
    pub fn sum<'a>(accounts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for account in accounts {
            sum.add(account);
        }
        sum
    }

    /// How many of the attempts have ended.
    #[must_use]
    pub const fn attempts_ended(&self) -> u64 {
        self.attempts_succeeded
            .saturating_add(self.attempts_answered)
            .saturating_add(self.attempts_failed)
            .saturating_add(self.attempts_lost)
            .saturating_add(self.attempts_returned)
            .saturating_add(self.attempts_preempted)
            .saturating_add(self.attempts_cancelled)
    }

    /// Whether nothing is booked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The account without the figures that only submitters have. Its sums agree on both sides.
    #[must_use]
    pub const fn of_both_sides(self) -> Self {
        Self { tasks_submitted: 0, ..self }
    }

    /// Whether bookings can have produced these figures.
    pub(in crate::ledger) fn is_sound(self) -> bool {
        self.cpu_us <= self.reserved_core_us
            && self.lost_core_us <= self.reserved_core_us
            && self.figures().into_iter().all(|figure| figure < FIGURE_MAX)
    }
}
