//! Learns of the ends of many jobs over one event stream.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use meshwork_api::{EventView, TaskCounts};
use meshwork_core::types::JobId;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    client::{Client, Events},
    failure::{Done, Failure},
};

/// How often jobs with no known end are asked for, in case an event was lost.
const ASK_INTERVAL: Duration = Duration::from_secs(2);

/// How a job ended, and when the listener learned of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    /// When the listener learned of it.
    pub at: Instant,
    /// How its tasks ended.
    pub counts: TaskCounts,
}

#[derive(Default)]
struct Heard {
    waiting: HashMap<JobId, oneshot::Sender<End>>,
    finality_ms: Vec<f64>,
    height: u64,
}

/// A listener.
pub(super) struct Ends {
    client: Client,
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Ends {
    /// Starts to listen.
    ///
    /// # Errors
    /// The node does not answer.
    pub(super) async fn listen(client: Client) -> Done<Self> {
        let heard = Arc::new(Mutex::new(Heard::default()));
        let events = client.events_without_tasks().await?;
        let task = tokio::spawn(hear(client.clone(), heard.clone(), events));
        Ok(Self { client, heard, task })
    }

    /// Starts to wait for a job that is about to be submitted.
    pub(super) fn expect(&self, job: JobId) -> Waiting {
        let (sender, end) = oneshot::channel();
        lock(&self.heard).waiting.insert(job, sender);
        Waiting { client: self.client.clone(), job, end }
    }

    /// How long each block with transactions took to become final, in milliseconds, and the newest height.
    pub(super) fn blocks(&self) -> (Vec<f64>, u64) {
        let heard = lock(&self.heard);
        (heard.finality_ms.clone(), heard.height)
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A job that someone waits for.
pub(super) struct Waiting {
    client: Client,
    job: JobId,
    end: oneshot::Receiver<End>,
}

impl Waiting {
    /// Waits for the job's end.
    ///
    /// # Errors
    /// The node is gone, or a task did not succeed.
    pub(super) async fn end(mut self) -> Done<End> {
        let end = loop {
            if let Ok(heard) = tokio::time::timeout(ASK_INTERVAL, &mut self.end).await {
                break heard.map_err(|_| Failure::failed("The stream of events ended too early."))?;
            }
            match self.client.job(self.job).await {
                Ok(view) if view.ended_us.is_some() => break End { at: Instant::now(), counts: view.counts },
                Err(error) if !error.is_absent() => return Err(error.into()),
                _ => {}
            }
        };
        if end.counts.failed + end.counts.cancelled > 0 {
            return Err(Failure::job(format!("Job {} of the bench did not succeed.", self.job)));
        }
        Ok(end)
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn hear(client: Client, heard: Arc<Mutex<Heard>>, mut events: Events) {
    loop {
        match events.next().await {
            Ok(Some(EventView::JobEnded { job, counts })) => {
                let at = Instant::now();
                if let Some(waiting) = lock(&heard).waiting.remove(&job) {
                    let _ = waiting.send(End { at, counts });
                }
            }
            Ok(Some(EventView::Block { height, transactions, finality_ms, .. })) => {
                let mut heard = lock(&heard);
                heard.height = heard.height.max(height.0);
                if transactions > 0 {
                    heard.finality_ms.push(finality_ms);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if let Ok(again) = client.events_without_tasks().await {
                    events = again;
                }
            }
        }
    }
}
