//! The tasks that read peers' messages, one per peer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use libp2p::swarm::Stream;
use meshwork_core::{frames::Cutter, identity::PublicKey};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    frames::{Frames, Patience},
    mesh::{
        events::MessageSink,
        handle::Verdict,
        metrics::{Counters, add, one},
        streams::Incoming,
    },
};

/// Points against a peer whose stream of messages is malformed.
const MALFORMED_POINTS: u32 = 100;

/// Between messages a stream may rest for as long as it likes; the rest of one that has begun must come.
const PATIENCE: Patience = Patience { begin: None, stall: Duration::from_secs(60) };

/// What every reader needs.
#[derive(Clone)]
pub(in crate::mesh) struct Reader {
    pub(in crate::mesh) sink: MessageSink,
    pub(in crate::mesh) verdicts: mpsc::UnboundedSender<Verdict>,
    pub(in crate::mesh) counters: Arc<Counters>,
    pub(in crate::mesh) message_bytes_max: usize,
}

/// Reads every incoming stream of messages. A peer has one: a new stream ends the one before, because that belongs to
/// a connection whose loss this side has not noticed yet.
pub(in crate::mesh) async fn take_incoming(mut incoming: Incoming, reader: Reader, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut current: HashMap<PublicKey, AbortHandle> = HashMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            next = incoming.next() => {
                let Some((from, stream)) = next else { return };
                let task = tasks.spawn(reader.clone().run(from, stream));
                if let Some(before) = current.insert(from, task) {
                    before.abort();
                }
            }
            Some(_) = tasks.join_next(), if !tasks.is_empty() => current.retain(|_, task| !task.is_finished()),
        }
    }
}

impl Reader {
    async fn run(self, from: PublicKey, stream: Stream) {
        let mut frames = Frames::new(stream, Cutter::new(self.message_bytes_max), PATIENCE);
        loop {
            match frames.next().await {
                Ok(Some(bytes)) => {
                    one(&self.counters.messages_in);
                    add(&self.counters.message_bytes_in, bytes.len());
                    if !self.sink.send(from, bytes).await {
                        return;
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(peer = %from, %error, "a stream of messages ended");
                    if error.is_malice() {
                        one(&self.counters.messages_malformed);
                        let _ = self.verdicts.send(Verdict::Penalize(from, MALFORMED_POINTS));
                    }
                    return;
                }
            }
        }
    }
}
