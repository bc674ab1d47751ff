//! The task that writes one peer's messages.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{AsyncWrite, AsyncWriteExt};
use libp2p::swarm::Stream;
use meshwork_core::identity::PublicKey;
use tokio::time::{sleep, timeout};

use super::outbox::{Batch, Outbox, Queue};
use crate::mesh::{
    config::{MESSAGE_STREAM_IDLE, OPEN_TIMEOUT, WRITE_STALL_MAX},
    metrics::add,
};

/// The most bytes that are written at once, except for a larger message.
const BATCH_BYTES: usize = 64 << 10;
/// The wait after a peer could not be reached. It doubles with each further failure.
const RETRY_FIRST: Duration = Duration::from_millis(100);
/// The longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(3);

pub(super) struct Writer {
    to: PublicKey,
    queue: Arc<Queue>,
    outbox: Arc<Outbox>,
    stream: Option<Stream>,
    /// The batch that is being written. It stays until it is written, so that a broken connection loses nothing by
    /// itself.
    batch: Option<Batch>,
    /// The buffer of the last batch, for reuse.
    spare: Vec<u8>,
    retry: Duration,
}

impl Writer {
    pub(super) fn new(to: PublicKey, queue: Arc<Queue>, outbox: Arc<Outbox>) -> Self {
        Self { to, queue, outbox, stream: None, batch: None, spare: Vec::new(), retry: RETRY_FIRST }
    }

    /// Writes until the queue has been empty for long, or the mesh stops.
    pub(super) async fn run(mut self) {
        let stop = self.outbox.stop.clone();
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.write_all() => {}
        }
    }

    async fn write_all(&mut self) {
        loop {
            if self.batch.is_none() {
                self.batch = self.queue.take(std::mem::take(&mut self.spare), BATCH_BYTES);
            }
            let Some(batch) = &self.batch else {
                if self.wait().await {
                    continue;
                }
                return;
            };
            let Some(stream) = &mut self.stream else {
                self.connect().await;
                continue;
            };
            match write(stream, &batch.frames, self.queue.is_empty()).await {
                Ok(()) => self.written(),
                Err(error) => {
                    tracing::debug!(peer = %self.to, %error, "a stream of messages broke");
                    self.stream = None;
                    self.pause().await;
                }
            }
        }
    }

    /// Waits for messages; false if the queue has ended because there were none.
    async fn wait(&mut self) -> bool {
        match timeout(MESSAGE_STREAM_IDLE, self.queue.filled.notified()).await {
            Ok(()) => true,
            Err(_) => !self.outbox.end(&self.to, &self.queue),
        }
    }

    async fn connect(&mut self) {
        match self.outbox.opener.open(self.to, self.outbox.protocol.clone(), OPEN_TIMEOUT).await {
            Ok(stream) => self.stream = Some(stream),
            Err(error) => {
                tracing::debug!(peer = %self.to, %error, "messages wait");
                self.pause().await;
            }
        }
    }

    /// Waits before the next attempt, then drops messages that have waited too long.
    async fn pause(&mut self) {
        tokio::select! {
            () = sleep(self.retry) => {}
            () = self.queue.connected.notified() => {}
        }
        self.retry = (self.retry * 2).min(RETRY_MAX);
        let now = Instant::now();
        let mut dropped = self.queue.expire(now);
        if let Some(batch) = self.batch.take_if(|batch| batch.is_expired(now)) {
            dropped += batch.messages;
        }
        add(&self.outbox.counters.messages_dropped, dropped);
    }

    fn written(&mut self) {
        let Some(batch) = self.batch.take() else { return };
        add(&self.outbox.counters.messages_out, batch.messages);
        add(&self.outbox.counters.message_bytes_out, batch.bytes);
        self.spare = batch.frames;
        self.spare.clear();
        self.spare.shrink_to(2 * BATCH_BYTES);
        self.retry = RETRY_FIRST;
    }
}

/// Writes all of `bytes`, and flushes if `flush` is set.
async fn write(stream: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8], flush: bool) -> io::Result<()> {
    let stalled = |_| io::Error::from(io::ErrorKind::TimedOut);
    while !bytes.is_empty() {
        let written = timeout(WRITE_STALL_MAX, stream.write(bytes)).await.map_err(stalled)??;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
    }
    if flush {
        timeout(WRITE_STALL_MAX, stream.flush()).await.map_err(stalled)??;
    }
    Ok(())
}
