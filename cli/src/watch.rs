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
    let (mut silence, mut was_there) = (0, None);
    loop {
        match client.job(job).await {
            Ok(view) => {
                if was_there.is_none() {
                    tracing::debug!(%job, "on the ledger");
                }
                (silence, was_there) = (0, Some(view.height));
                seen(&view);
                if view.ended_us.is_some() {
                    return Ok(view);
                }
            }
            Err(error) if error.is_absent() => match (was_there, expires_us) {
                // A node that was started anew may not have come to it yet.
                (Some(submitted), _) => {
                    silence = 0;
                    let has_come_to_it = client.status().await.is_ok_and(|status| status.height >= submitted);
                    // It may have come to it since the job was asked for.
                    if has_come_to_it && client.job(job).await.is_err_and(|error| error.is_absent()) {
                        return Err(forgotten(&job));
                    }
                }
                // Not on the ledger yet.
                (None, None) => return Err(error.into()),
                (None, Some(expires_us)) if now_us() > expires_us.saturating_add(CLOCKS_DIFFER_US) => {
                    return Err(Failure::failed(format!(
                        "Job {job} was not admitted before its expiry; see `meshwork status` for the network's health, and submit it again."
                    )));
                }
                (None, Some(_)) => silence = 0,
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

/// A job that was on the ledger, and is known no more where the ledger has its block.
fn forgotten(job: &JobId) -> Failure {
    Failure::failed(format!(
        "Job {job} has ended, and the network and this node have forgotten it since, so how it ended is not known here; \
         ask a node that keeps every receipt (`meshwork up --keep full`)."
    ))
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

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        thread,
    };

    use meshwork_core::{digest::Digest, types::Height};

    use super::*;
    use crate::submission::tests::status;

    /// A node that knows a job of height 1 when it is first asked, and never again. It is at this height itself.
    fn forgetful(job: JobId, height: u64) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = Client::new(&listener.local_addr().unwrap().to_string()).unwrap();
        let view = serde_json::json!({
            "id": job, "name": "", "submitter": crate::keys::generate().public(), "height": 1, "submitted_us": 0,
            "ended_us": null, "tasks": 1, "counts": TaskCounts::default(), "open_until_us": null, "occurrence_of": null,
        });
        let mut view = Some(view.to_string());
        let mut own = status(0, None, None);
        own.height = Height(height);
        let own = serde_json::to_string(&own).unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().unwrap_or_default();
                let _ = lines.find(String::is_empty);
                let found = match path.split(' ').nth(1) {
                    Some("/v1/status") => Some(own.clone()),
                    Some(path) if path.starts_with("/v1/jobs/") => view.take(),
                    _ => None,
                };
                let status = if found.is_some() { "200 OK" } else { "404 Not Found" };
                let body = found.unwrap_or_else(|| "{\"error\":\"not here\"}".into());
                let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close");
                let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            }
        });
        client
    }

    #[tokio::test]
    async fn a_job_that_was_forgotten_is_waited_for_no_longer_and_one_that_is_yet_to_come_is() {
        let job = JobId(Digest::of(b"job"));
        let until =
            |client| async move { until_ended_at_last(&client, job, None, |_| panic!("it answers"), |_| {}).await };
        let failure = until(forgetful(job, 1)).await.unwrap_err();
        assert!(failure.sentence.contains("forgotten"), "{}", failure.sentence);
        let behind = tokio::time::timeout(Duration::from_secs(2), until(forgetful(job, 0))).await;
        assert!(behind.is_err(), "the node has yet to come to it");
    }
}
