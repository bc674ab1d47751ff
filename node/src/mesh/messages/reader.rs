//! The tasks that read peers' messages, one per peer.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use libp2p::swarm::Stream;
use lru::LruCache;
use meshwork_core::{frames::Cutter, identity::PublicKey};
use tokio::{
    sync::{mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    frames::{Frames, Patience},
    mesh::{
        allowance::Allowance,
        config::Rates,
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

/// The most peers of which it is remembered what they may still send.
const PEERS_MAX: usize = 4096;
/// How often a peer counts as being of use for its messages.
const USED_EVERY: Duration = Duration::from_secs(10);

/// What is left of the messages that are read from one peer, over all its streams.
#[derive(Clone)]
struct Allowances(Arc<Mutex<(Allowance, Allowance)>>);

impl Allowances {
    fn new(rates: &Rates, now: Instant) -> Self {
        let (messages, bytes) = (Allowance::new(rates.messages, now), Allowance::new(rates.message_bytes, now));
        Self(Arc::new(Mutex::new((messages, bytes))))
    }

    /// A message of so many bytes has been read. Returns how long to wait before reading on.
    fn read(&self, bytes: usize, rates: &Rates, now: Instant) -> Duration {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let for_messages = left.0.overdraw(1.0, rates.messages, now);
        for_messages.max(left.1.overdraw(bytes as f64, rates.message_bytes, now))
    }
}

/// What every reader needs.
#[derive(Clone)]
pub(in crate::mesh) struct Reader {
    pub(in crate::mesh) sink: MessageSink,
    pub(in crate::mesh) verdicts: mpsc::UnboundedSender<Verdict>,
    pub(in crate::mesh) counters: Arc<Counters>,
    pub(in crate::mesh) message_bytes_max: usize,
    pub(in crate::mesh) rates: Rates,
    /// Peers that are read as fast as they send.
    pub(in crate::mesh) authorities: watch::Receiver<HashSet<PublicKey>>,
}

/// Reads every incoming stream of messages. A peer has one: a new stream ends the one before, because that belongs to
/// a connection whose loss this side has not noticed yet.
pub(in crate::mesh) async fn take_incoming(mut incoming: Incoming, reader: Reader, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    let mut current: HashMap<PublicKey, AbortHandle> = HashMap::new();
    let mut allowances = LruCache::new(const { NonZeroUsize::new(PEERS_MAX).expect("it is not 0") });
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            next = incoming.next() => {
                let Some((from, stream)) = next else { return };
                let fresh = || Allowances::new(&reader.rates, Instant::now());
                let allowances = allowances.get_or_insert(from, fresh).clone();
                let task = tasks.spawn(reader.clone().run(from, stream, allowances));
                if let Some(before) = current.insert(from, task) {
                    before.abort();
                }
            }
            Some(_) = tasks.join_next(), if !tasks.is_empty() => current.retain(|_, task| !task.is_finished()),
        }
    }
}

impl Reader {
    async fn run(self, from: PublicKey, stream: Stream, allowances: Allowances) {
        let mut used: Option<Instant> = None;
        let mut frames = Frames::new(stream, Cutter::new(self.message_bytes_max), PATIENCE);
        loop {
            match frames.next().await {
                Ok(Some(bytes)) => {
                    one(&self.counters.messages_in);
                    add(&self.counters.message_bytes_in, bytes.len());
                    let now = Instant::now();
                    if used.is_none_or(|used| now.saturating_duration_since(used) >= USED_EVERY) {
                        used = Some(now);
                        let _ = self.verdicts.send(Verdict::Used(from));
                    }
                    let is_authority = self.authorities.borrow().contains(&from);
                    let wait =
                        if is_authority { Duration::ZERO } else { allowances.read(bytes.len(), &self.rates, now) };
                    if !self.sink.send(from, bytes).await {
                        return;
                    }
                    if !wait.is_zero() {
                        // Flow control makes the sender wait too.
                        one(&self.counters.messages_throttled);
                        sleep(wait).await;
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
