//! Accounting: what each key submitted, used and lost by day, and the same for each job.
//!
//! There is one [`Account`] for each submitter and each worker on each [`Day`] (`days`). Each job has one in its
//! record, until the job is forgotten. All are booked in one place, `Days::book`, which `index` calls where attempts
//! begin and end. What is booked to a job is therefore also booked to its submitter, and to the worker that held the
//! attempt:
//!
//! - On each day the submitters' accounts and the workers' accounts have equal sums, except for submitted tasks,
//!   which no worker has.
//! - The accounts of a submitter's jobs add up to the submitter's account.
//!
//! # What is booked when
//!
//! - A task is booked when its job is admitted or extended. An attempt is booked as leased when it is leased, and
//!   everything else about it when it ends. A span that crosses midnight is booked whole on the day on which it ends.
//!   Days are days of block time, in UTC.
//! - Slot time is the *lease time* for which the ledger had resources reserved for the attempt. It leaves out stalls
//!   of the network, which nobody used. If the outcome comes while the ledger has the attempt waiting for resources,
//!   the attempt held none and books none.
//! - Reserved core time and memory are the task's requested amounts, times slot time.
//! - Processor time is what the worker reports with an accepted outcome. Nothing verifies it, so at most the
//!   attempt's reserved core time is booked. No report makes an account larger than the schedule did.
//! - Core time is *lost* if an attempt reserved it whose program failed, or that was lost or drained. It is booked as
//!   reserved too.
//! - Bookings are never undone. A lost attempt stays lost when its success is accepted late. The late success books
//!   its output and one late success. It books no processor time, because no slot time is booked that could cover it.
//!
//! # What is kept
//!
//! [`DAYS_KEPT`] days are kept, and in them at most [`ACCOUNTS_MAX`] accounts of single keys. When one more is
//! needed, the oldest day that has any folds them into its *others*: one account for its submitters and one for its
//! workers. Once a day has [`DAY_ACCOUNTS_MAX`] accounts, further keys are booked among that day's others at once. A
//! crowd of keys thus drives out only its own day and the oldest. A day's totals are right in any case. Booking costs
//! O(log n) for n accounts, with folding spread over the bookings that made it necessary.

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

/// The usage that a worker's verdict on an attempt reports.
const fn reported(verdict: &Verdict) -> Option<&Usage> {
    match verdict {
        Verdict::Succeeded(_, _, usage, _) | Verdict::Failed(_, _, usage) => Some(usage),
        Verdict::Revealed(answer, _) => Some(answer.usage()),
        Verdict::Returned
        | Verdict::Undelivered
        | Verdict::Preempted
        | Verdict::HostDied { .. }
        | Verdict::Checkpointed { .. }
        | Verdict::Committed(_) => None,
    }
}

/// Bytes of a successful attempt's output.
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
    /// The end of an attempt that held these resources for `slot_ms` milliseconds. `said` is the worker's verdict, if
    /// that ended it.
    pub(in crate::ledger) fn end(why: EndReason, resources: Resources, slot_ms: u64, said: Option<&Verdict>) -> Self {
        // The verdict is on another attempt of the task, so it says nothing about this one.
        let said = said.filter(|_| why != EndReason::Superseded);
        let cpu_us = said.and_then(reported).map_or(0, |usage| usage.cpu_us);
        Self::End(AttemptEnd::new(why, resources, slot_ms, cpu_us))
    }

    /// The processor time that it books, in microseconds.
    pub(in crate::ledger) const fn cpu_us(&self) -> u64 {
        if let Self::End(end) = self { end.cpu_us } else { 0 }
    }

    /// The outcome of a task; late if its attempt had already ended. A failure books nothing here, because the end of
    /// its attempt does.
    pub(in crate::ledger) fn outcome(outcome: &OutcomeReceipt, is_late: bool) -> Option<Self> {
        match &outcome.verdict {
            Verdict::Succeeded(_, output, ..) => Some(Self::Success { output_bytes: output_bytes(output), is_late }),
            _ => None,
        }
    }
}

impl Days {
    /// Books an event today to a job, to its submitter, and to a worker if one is involved.
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
