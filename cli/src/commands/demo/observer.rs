//! An observer: listens to one peer's events and keeps count.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use meshwork_api::{EventView, TaskView};
use meshwork_core::types::JobId;
use tokio::task::JoinHandle;

use super::tally::Tally;
use crate::{
    client::{Client, ClientError, Events},
    failure::Done,
};

/// How many tasks one request asks for.
const PAGE: u32 = 1000;

/// How long to wait before listening again after the stream broke.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// An observer.
pub(super) struct Observer {
    /// The client of the observed peer.
    pub client: Client,
    tally: Arc<Mutex<Tally>>,
    task: JoinHandle<()>,
}

impl Observer {
    /// Starts to listen to a peer's events of one job.
    ///
    /// # Errors
    /// The peer does not answer.
    pub(super) async fn start(client: Client, job: JobId, tasks: usize) -> Done<Self> {
        let tally = Arc::new(Mutex::new(Tally::new(job, tasks)));
        let events = client.events(None).await?;
        let task = tokio::spawn(listen(client.clone(), job, tally.clone(), events));
        Ok(Self { client, tally, task })
    }

    /// The counts so far.
    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        // The counts survive a panic: each event changes them in one step.
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(client: Client, job: JobId, tally: Arc<Mutex<Tally>>, mut events: Events) {
    let lock = || tally.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        match events.next().await {
            Ok(Some(event)) => {
                lock().take(Instant::now(), &event);
                if !matches!(event, EventView::Missed { .. }) {
                    continue;
                }
            }
            broken => {
                tracing::debug!(?broken, "listening again");
                lock().missed += 1;
                tokio::time::sleep(AGAIN_AFTER).await;
                match client.events(None).await {
                    Ok(again) => events = again,
                    Err(_) => continue,
                }
            }
        }
        if let Ok(views) = all_tasks(&client, job).await {
            lock().correct(Instant::now(), &views);
        }
    }
}

async fn all_tasks(client: &Client, job: JobId) -> Result<Vec<TaskView>, ClientError> {
    let mut views = Vec::new();
    loop {
        let from = u32::try_from(views.len()).unwrap_or(u32::MAX);
        let page = client.tasks(job, from, PAGE, None).await?;
        let is_last = page.len() < PAGE as usize;
        views.extend(page);
        if is_last {
            return Ok(views);
        }
    }
}
