//! Fetches a snapshot in parallel: each peer that offers the same one gives some of its chunks. If one peer fails,
//! another gives its chunks.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use meshwork_api::Progress;
use meshwork_core::{
    codec::ByteString,
    identity::PublicKey,
    replica::{Installation, message_bytes_max},
    snapshot::{CHUNK_BYTES, Certified, OFFER_BYTES_MAX, SnapshotOffer, SnapshotRequest},
    types::Block,
};
use rand::seq::IteratorRandom;
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::spawn_blocking;

use super::{KIND, Sync};
use crate::{
    mesh::Stream,
    wire::{read_value, write_value},
};

/// How many peers are asked at once.
const PEERS_MAX: usize = 8;
/// How long a peer has until the first byte of an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
/// Points against a peer for an offer or a chunk that no honest peer sends.
const MALICE: u32 = 100;
/// How often chunks that no peer gave are asked for again.
const ROUNDS_MAX: usize = 5;

/// A snapshot that a peer offers, checked, and the stream to that peer.
pub(super) struct Held {
    pub(super) peer: PublicKey,
    pub(super) offer: SnapshotOffer,
    stream: Stream,
}

/// The valid offers of some of the connected peers.
pub(super) async fn offers(sync: &Sync) -> Vec<Held> {
    let asked = sync.mesh.connected().into_iter().sample(&mut rand::rng(), PEERS_MAX);
    join_all(asked.into_iter().map(|peer| offer_of(sync, peer))).await.into_iter().flatten().collect()
}

async fn offer_of(sync: &Sync, peer: PublicKey) -> Option<Held> {
    let mut stream = sync.mesh.open_stream(peer, sync.mesh.protocol(KIND)).await.ok()?;
    let offer: SnapshotOffer = ask(&mut stream, SnapshotRequest::Newest, OFFER_BYTES_MAX).await.ok()??;
    match offer.certified.verify(&sync.genesis) {
        Ok(()) => Some(Held { peer, offer, stream }),
        Err(error) => {
            blame(sync, peer, &format!("a snapshot was offered that is not true: {error}"));
            None
        }
    }
}

/// Asks for one thing; `None` if the peer does not have it.
async fn ask<T: Serialize + DeserializeOwned>(
    stream: &mut Stream,
    ask: SnapshotRequest,
    bytes_max: usize,
) -> io::Result<Option<T>> {
    write_value(stream, &ask).await?;
    read_value(stream, bytes_max, ANSWER_MAX).await
}

fn blame(sync: &Sync, peer: PublicKey, what: &str) {
    tracing::warn!(%peer, what, "a peer is scored down");
    sync.metrics.refuse(what);
    sync.mesh.penalize(peer, MALICE);
}

/// The chunks still to fetch, and those received.
struct Work {
    todo: VecDeque<u32>,
    chunks: BTreeMap<u32, Vec<u8>>,
}

/// Fetches the snapshot that all of these peers offer and the blocks after it, and builds the installation.
///
/// # Errors
/// The reason, in words.
pub(super) async fn fetch(sync: &Sync, mut held: Vec<Held>) -> Result<Installation, String> {
    let Some(certified) = held.first().map(|held| held.offer.certified.clone()) else {
        return Err("nobody offers it".into());
    };
    let count = certified.chunks.count();
    let work = Mutex::new(Work { todo: (0..count).collect(), chunks: BTreeMap::new() });
    for _ in 0..ROUNDS_MAX {
        let parts = held.into_iter().map(|held| fetch_some(sync, held, &certified, &work));
        held = join_all(parts).await.into_iter().flatten().collect();
        if lock(&work).chunks.len() == count as usize || held.is_empty() {
            break;
        }
    }
    let chunks = std::mem::take(&mut lock(&work).chunks);
    if chunks.len() < count as usize {
        return Err(format!("{} of {count} chunks came, and nobody is left who gives more", chunks.len()));
    }
    let blocks = blocks(sync, &mut held, &certified).await?;
    let (genesis, me) = (Arc::clone(&sync.genesis), sync.mesh.key());
    let bytes: Vec<u8> = chunks.into_values().flatten().collect();
    let install = move || Installation::of(&genesis, &me, certified, bytes, blocks);
    let installation = spawn_blocking(install).await.map_err(|error| error.to_string())?;
    installation.map_err(|error| error.to_string())
}

fn lock(work: &Mutex<Work>) -> std::sync::MutexGuard<'_, Work> {
    work.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fetches chunks of the work until none is left. Returns nothing if this peer failed, so that it is not asked again.
async fn fetch_some(sync: &Sync, mut held: Held, certified: &Certified, work: &Mutex<Work>) -> Option<Held> {
    let height = certified.height();
    loop {
        let Some(place) = lock(work).todo.pop_front() else { return Some(held) };
        let came = ask::<ByteString>(&mut held.stream, SnapshotRequest::Chunk(height, place), CHUNK_BYTES + 64).await;
        let chunk = match came {
            Ok(Some(chunk)) if certified.chunks.is_chunk(place, &chunk) => chunk,
            other => {
                lock(work).todo.push_back(place);
                if let Ok(Some(_)) = other {
                    blame(sync, held.peer, "a chunk of a snapshot is not what it should be");
                }
                return None;
            }
        };
        let fetched = {
            let mut work = lock(work);
            work.chunks.insert(place, chunk.to_vec());
            u32::try_from(work.chunks.len()).unwrap_or(u32::MAX)
        };
        sync.metrics.sync(Some(Progress { height: height.0, fetched, chunks: certified.chunks.count() }));
    }
}

/// The blocks between the snapshot and the header that vouches for it, each from the first peer that gives it.
async fn blocks(sync: &Sync, held: &mut Vec<Held>, certified: &Certified) -> Result<Vec<Arc<Block>>, String> {
    let bytes_max = message_bytes_max(&sync.genesis);
    let mut blocks = Vec::new();
    for (place, header) in certified.headers.iter().skip(1).enumerate() {
        let block = loop {
            let Some(peer) = held.first_mut() else {
                return Err(format!("nobody is left who gives the block of height {}", header.height));
            };
            let came = ask::<Block>(&mut peer.stream, SnapshotRequest::Block(header.height), bytes_max).await;
            match came {
                Ok(Some(block)) if certified.is_block(place, &block) => break block,
                Ok(Some(_)) => blame(sync, peer.peer, "a block is not what its header says"),
                _ => {}
            }
            held.remove(0);
        };
        blocks.push(Arc::new(block));
    }
    Ok(blocks)
}
