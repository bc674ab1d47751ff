//! Waits for a job. The node's events tell when it changes; the job is also asked for at intervals.

use std::time::Duration;

use meshwork_api::{EventView, JobView, TaskCounts};
use meshwork_core::types::JobId;
use tokio::time::Instant;

use crate::{
    client::{Client, ClientError, Events},
    failure::{Done, Failure},
    output::words,
    time::{CLOCKS_DIFFER_US, now_us},
};

/// How often the job is asked for while no event arrives.
const ASK_INTERVAL: Duration = Duration::from_millis(250);

/// How many answers in a row may fail before the node counts as gone, for those who wait no longer.
const SILENCE_MAX: u32 = 20;

/// Waits until a job has ended. `seen` gets the job each time that it is asked for.
///
/// `expires_us` is when a job that is not on the ledger yet can no longer be admitted, if that is known.
///
/// # Errors
/// The node is gone, the ledger refused the job, or the job was never admitted.
pub async fn until_ended(
    client: &Client,
    job: JobId,
    expires_us: Option<u64>,
    seen: impl FnMut(&JobView),
) -> Done<JobView> {
    follow(client.clone(), job, expires_us, None::<fn(u32) -> Done<Client>>, seen).await
}

/// The same, and for as long as that takes, whether the node answers all the time or not. Each time that it has not
/// answered, `again` gets how often that was in a row, and says where the node is now: one that was started anew may
/// listen elsewhere.
///
/// # Errors
/// The ledger refused the job, or the job was never admitted.
pub async fn until_ended_at_last(
    client: &Client,
    job: JobId,
    expires_us: Option<u64>,
    again: impl FnMut(u32) -> Done<Client>,
    seen: impl FnMut(&JobView),
) -> Done<JobView> {
    follow(client.clone(), job, expires_us, Some(again), seen).await
}

async fn follow(
    mut client: Client,
    job: JobId,
    expires_us: Option<u64>,
    mut again: Option<impl FnMut(u32) -> Done<Client>>,
    mut seen: impl FnMut(&JobView),
) -> Done<JobView> {
    let mut events = client.events(Some(job)).await.ok();
    let (mut silence, mut was_there) = (0, false);
    loop {
        match client.job(job).await {
            Ok(view) => {
                if !was_there {
                    tracing::debug!(%job, "on the ledger");
                }
                (silence, was_there) = (0, true);
                seen(&view);
                if view.ended_us.is_some() {
                    return Ok(view);
                }
            }
            // A node that was started anew may not have come to it yet.
            Err(error) if error.is_absent() && was_there => silence = 0,
            // Not on the ledger yet.
            Err(error) if error.is_absent() => match expires_us {
                None => return Err(error.into()),
                Some(expires_us) if now_us() > expires_us.saturating_add(CLOCKS_DIFFER_US) => {
                    return Err(Failure::failed(format!(
                        "Job {job} was not admitted before its expiry; see `meshwork status` for the network's health, and submit it again."
                    )));
                }
                Some(_) => silence = 0,
            },
            Err(error) => {
                tracing::debug!(%error, "asking again");
                silence += 1;
                let is_silence = matches!(error, ClientError::Unreachable { .. } | ClientError::Busy { .. });
                match &mut again {
                    Some(again) if is_silence => {
                        // Until the node is there again, the old place is as good as any.
                        client = again(silence).unwrap_or(client);
                        events = client.events(Some(job)).await.ok();
                    }
                    None if silence < SILENCE_MAX => {}
                    _ => return Err(error.into()),
                }
            }
        }
        pause(&mut events).await;
    }
}

/// Waits until an event says that the job was admitted or ended, or for a moment.
async fn pause(events: &mut Option<Events>) {
    let until = Instant::now() + ASK_INTERVAL;
    while let Some(stream) = events {
        match tokio::time::timeout_at(until, stream.next()).await {
            Ok(Ok(Some(EventView::JobEnded { .. } | EventView::JobAdmitted { .. } | EventView::Missed { .. })))
            | Err(_) => return,
            Ok(Ok(Some(_))) => {}
            // Without events, the job is asked for at intervals, which is enough.
            Ok(Ok(None) | Err(_)) => *events = None,
        }
    }
    tokio::time::sleep_until(until).await;
}

/// The number of tasks that have ended, in whatever way.
pub const fn ended(counts: &TaskCounts) -> u64 {
    counts.succeeded + counts.failed + counts.cancelled + counts.skipped
}

/// Checks that an ended job went well.
///
/// # Errors
/// Tasks failed or were cancelled.
pub fn all_succeeded(job: &JobView) -> Done {
    // A skipped task was not wanted, unless something failed.
    if job.counts.failed == 0 && job.counts.cancelled == 0 && (job.counts.succeeded > 0 || job.counts.skipped == 0) {
        return Ok(());
    }
    let TaskCounts { succeeded, failed, cancelled, skipped, .. } = job.counts;
    let why = if failed > 0 { ", `meshwork logs` why" } else { "" };
    let ended = words::counts(&TaskCounts { succeeded, failed, cancelled, skipped, ..TaskCounts::default() });
    Err(Failure::job(format!(
        "Job {} ended with {ended} of {} tasks; `meshwork status {}` shows which{why}.",
        job.id,
        job.tasks,
        words::short(&job.id)
    )))
}
