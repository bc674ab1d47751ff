//! A pool of streams that stay open between requests, so that a small blob costs one round trip and no negotiation.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use meshwork_core::identity::PublicKey;

use crate::mesh::{MeshHandle, OpenError, Stream, StreamProtocol};

/// How long an unused stream is kept: shorter than the other side keeps it.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// The most streams kept for one peer.
const PEER_STREAMS_MAX: usize = 8;
/// The most peers for which streams are kept.
const PEERS_MAX: usize = 128;

/// Pooled streams of one protocol.
pub(super) struct Pool {
    mesh: MeshHandle,
    protocol: StreamProtocol,
    idle: Mutex<HashMap<PublicKey, Vec<(Stream, Instant)>>>,
}

/// A stream from the pool.
pub(super) struct Pooled {
    pub(super) stream: Stream,
    /// Whether it was used before. The other side may then have closed it meanwhile, which is not the peer's fault.
    pub(super) used: bool,
}

impl Pool {
    pub(super) fn new(mesh: MeshHandle, protocol: StreamProtocol) -> Self {
        Self { mesh, protocol, idle: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PublicKey, Vec<(Stream, Instant)>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream to a peer: a pooled one if there is one, unless `fresh` is set.
    pub(super) async fn take(&self, peer: PublicKey, fresh: bool) -> Result<Pooled, OpenError> {
        let kept = {
            let mut idle = self.lock();
            let streams = idle.get_mut(&peer);
            streams.and_then(|streams| {
                streams.retain(|(_, since)| since.elapsed() < KEPT_FOR);
                streams.pop()
            })
        };
        match kept {
            Some((stream, _)) if !fresh => Ok(Pooled { stream, used: true }),
            _ => Ok(Pooled { stream: self.mesh.open_stream(peer, self.protocol.clone()).await?, used: false }),
        }
    }

    /// Puts a stream back whose requests have all been answered.
    pub(super) fn keep(&self, peer: PublicKey, stream: Stream) {
        let mut idle = self.lock();
        if idle.len() >= PEERS_MAX {
            idle.retain(|_, streams| {
                streams.retain(|(_, since)| since.elapsed() < KEPT_FOR);
                !streams.is_empty()
            });
        }
        if idle.len() < PEERS_MAX || idle.contains_key(&peer) {
            let streams = idle.entry(peer).or_default();
            if streams.len() < PEER_STREAMS_MAX {
                streams.push((stream, Instant::now()));
            }
        }
    }
}
