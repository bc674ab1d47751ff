//! Accounting: what each key submitted, used and had lost, by day; and the same of each job.
//!
//! An [`Account`] is kept for each submitter and each worker and [`Day`] (`days`), and one for each job, in its record,
//! until the job is forgotten. All are booked in one place, `Days::book`, which `leases` calls where attempts begin and
//! end, so that what is booked to a job is booked to its submitter too, and to the worker that held the attempt:
//!
//! * on each day the submitters' accounts and the workers' come to the same, but for the tasks submitted, which are no
//!   worker's;
//! * what is booked to a submitter's jobs is what is booked to the submitter.
//!
//! # What is booked when
//!
//! * A task is booked when its job is admitted or extended, an attempt as leased when it is leased, and all else of an
//!   attempt when it ends. A span that crosses midnight is booked whole on the day on which it ends. Days are those of
//!   block time, in UTC.
//! * Slot time is the *lease time* for which the ledger had resources taken for the attempt: what a stall of the
//!   network takes is nobody's use. An attempt whose outcome came while the ledger saw it wait for resources held none,
//!   and books none.
//! * Reserved core time and memory are what the task asked for, times slot time.
//! * Processor time is what the worker reports with an outcome that is taken. That is a stranger's claim: no more of it
//!   is booked than the core time that the attempt had reserved, so no word makes an account larger than the schedule
//!   did.
//! * Core time is *lost* that was reserved by an attempt whose program failed, or that was lost or drained. It is
//!   booked as reserved too.
//! * What was booked stays booked. An attempt that was lost stays lost when its success is taken late: that books its
//!   output and one late success, and no processor time, since no slot time is booked for which it could be.
//!
//! # What is kept
//!
//! [`DAYS_KEPT`] days, and within these at most [`ACCOUNTS_MAX`] accounts of single keys. When one more is needed, the
//! accounts of the oldest day that has any are folded into that day's *others*, one for its submitters and one for its
//! workers. A key that is seen first on a day that has [`DAY_ACCOUNTS_MAX`] accounts is booked among that day's others
//! at once, so that no crowd of keys drives out more than its own day and the oldest. What a day comes to is right in
//! any case. Booking costs O(log n) for n accounts, folding spread over the bookings that made it necessary.

mod account;
mod days;

#[cfg(test)]
mod tests;

use account::AttemptEnd;
pub(in crate::ledger) use account::UsageEntry;
pub use account::{Account, AccountView};
pub use days::{ACCOUNTS_MAX, DAY_ACCOUNTS_MAX, DAYS_KEPT, Day, Side};
pub(in crate::ledger) use days::{DayBook, Days};

use crate::{
    codec::ByteString,
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{event::EndReason, records::jobs::JobRecord},
    types::{OutcomeReceipt, Output, Resources, Usage, Verdict},
};

/// What a worker's word on an attempt says of its use.
const fn reported(verdict: &Verdict) -> Option<&Usage> {
    match verdict {
        Verdict::Succeeded(_, usage, _) | Verdict::Failed(_, _, usage) => Some(usage),
        Verdict::Returned | Verdict::Preempted | Verdict::Checkpointed { .. } => None,
    }
}

/// Bytes that a successful attempt left.
fn output_bytes(output: &Output) -> u64 {
    match output {
        Output::Stored { bytes, .. } => *bytes,
        Output::Inline(inline) => {
            let length = |content: &ByteString| content.len() as u64;
            let files: u64 = inline.files.iter().map(|(_, content)| length(content)).sum();
            length(&inline.stdout) + length(&inline.stderr) + files
        }
    }
}

impl UsageEntry {
    /// An attempt has ended for this reason, after so long with these resources; what its worker says of it, if that is
    /// why.
    pub(in crate::ledger) fn end(why: EndReason, resources: Resources, slot_ms: u64, said: Option<&Verdict>) -> Self {
        // A word on an earlier attempt says nothing of the one that ends by it.
        let said = said.filter(|_| why != EndReason::Superseded);
        let cpu_us = said.and_then(reported).map_or(0, |usage| usage.cpu_us);
        Self::End(AttemptEnd::new(why, resources, slot_ms, cpu_us))
    }

    /// A task has its outcome; whether that came of an attempt that had ended before. Nothing is booked of a failure,
    /// whose attempt is.
    pub(in crate::ledger) fn outcome(outcome: &OutcomeReceipt, is_late: bool) -> Option<Self> {
        match &outcome.verdict {
            Verdict::Succeeded(output, ..) => Some(Self::Success { output_bytes: output_bytes(output), is_late }),
            _ => None,
        }
    }
}

impl Days {
    /// Books something today to a job, to its submitter, and to a worker if it has to do with one.
    pub(in crate::ledger) fn book(
        &mut self,
        today: Day,
        job: &mut JobRecord,
        worker: Option<PublicKey>,
        entry: &UsageEntry,
    ) {
        job.usage.enter(entry);
        let is_loss = matches!(entry, UsageEntry::End(end) if end.why.is_loss());
        let worker = worker.filter(|_| !is_loss || !is_planted(Fault::LossOfNoWorker));
        self.enter(today, job.submitter, worker, entry);
    }
}
