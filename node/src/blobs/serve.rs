//! Serves stored blobs to other peers.
//!
//! A stranger may open many streams and read them slowly. So a peer has a bounded number of turns, and a reader that
//! does not keep up the least rate is dropped and gets points.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};

use futures::AsyncReadExt;
use meshwork_core::{
    blobs::{Head, Request},
    identity::PublicKey,
    types::BlobRef,
};
use tokio::{task::spawn_blocking, time::timeout};

use super::{Blobs, turns::Turns};
use crate::{
    mesh::{Incoming, Stream},
    wire::{IDLE_MAX, Pace, Rate, flush, read_all, write_all},
};

/// This exchange's word in protocol names.
pub(super) const KIND: &str = "blob";
/// The most open streams; further ones are closed. A waiting stream costs some kilobytes.
const STREAMS_MAX: usize = 1024;
/// The most open streams of one peer. A worker that prepares as many attempts as it may at once has about half.
const PEER_STREAMS_MAX: usize = 64;
/// How many bytes are read from the disk at once. Each blob being sent takes so much memory.
const READ_BYTES: usize = 256 << 10;
/// Points against a peer that reads too slowly. Its line may just have broken; who does it on several streams again
/// and again is banned within a minute.
const SLOW_POINTS: u32 = 50;

/// How much is served, and how slowly.
#[derive(Clone, Copy, Debug)]
pub(super) struct ServeBounds {
    /// The most blobs sent at once: 32 MiB of memory.
    pub(super) serves_max: usize,
    /// The most blobs sent to one peer at once.
    pub(super) peer_serves_max: usize,
    /// How long a request waits for its turn.
    pub(super) turn_max: Duration,
    /// The least rate of a reader.
    pub(super) rate: Rate,
}

impl Default for ServeBounds {
    fn default() -> Self {
        Self { serves_max: 128, peer_serves_max: 8, turn_max: Duration::from_secs(3), rate: Rate::LEAST }
    }
}

/// How a request ended.
enum Served {
    /// The stream can carry the next one.
    Answered,
    /// There are no more.
    Closed,
    /// The peer reads too slowly.
    TooSlow,
}

/// Serves every incoming stream, until the mesh stops.
pub(super) async fn serve(incoming: Incoming, blobs: Blobs, bounds: ServeBounds) {
    let turns = Arc::new(Turns::new(bounds.serves_max, bounds.peer_serves_max));
    let serve = |from, stream| serve_stream(from, stream, blobs.clone(), bounds, Arc::clone(&turns));
    incoming.serve_each(STREAMS_MAX, PEER_STREAMS_MAX, serve).await;
}

async fn serve_stream(from: PublicKey, mut stream: Stream, blobs: Blobs, bounds: ServeBounds, turns: Arc<Turns>) {
    loop {
        match serve_one(from, &mut stream, &blobs, bounds, &turns).await {
            Ok(Served::Answered) => {}
            Ok(Served::Closed) => return,
            Ok(Served::TooSlow) => {
                tracing::debug!(peer = %from, "a peer reads a blob too slowly and is dropped");
                blobs.0.mesh.penalize(from, SLOW_POINTS);
                return;
            }
            Err(error) => {
                tracing::debug!(peer = %from, %error, "a blob was not sent to its end");
                return;
            }
        }
    }
}

/// Answers one request.
async fn serve_one(
    from: PublicKey,
    stream: &mut Stream,
    blobs: &Blobs,
    bounds: ServeBounds,
    turns: &Turns,
) -> io::Result<Served> {
    let mut request = [0; Request::BYTES];
    match timeout(IDLE_MAX, stream.read(&mut request[..1])).await {
        Err(_) | Ok(Ok(0)) => return Ok(Served::Closed),
        Ok(read) => read?,
    };
    read_all(stream, &mut request[1..]).await?;
    let Request { digest, offset } = Request::decode(&request);
    if blobs.0.seals.has(&digest) || blobs.0.store.get(&digest).is_none_or(|blob| offset > blob.bytes) {
        return answer(stream, Head::Missing).await;
    }
    let Some(_turn) = turns.take(from, bounds.turn_max).await else { return answer(stream, Head::Busy).await };
    let Some(kept) = blobs.check(digest).await.map_err(io::Error::other)? else {
        return answer(stream, Head::Missing).await;
    };
    let file = Arc::new(kept.open()?);
    match send(stream, &file, kept.blob(), offset, bounds.rate).await {
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(Served::TooSlow),
        sent => sent.map(|()| Served::Answered),
    }
}

async fn answer(stream: &mut Stream, head: Head) -> io::Result<Served> {
    write_all(stream, &head.encode()).await?;
    flush(stream).await?;
    Ok(Served::Answered)
}

/// Sends a blob from an offset on.
async fn send(stream: &mut Stream, file: &Arc<File>, blob: BlobRef, offset: u64, rate: Rate) -> io::Result<()> {
    let mut pace = Pace::begin(rate);
    let mut at = offset;
    let mut head = Head::Found(blob.bytes).encode().to_vec();
    while at < blob.bytes {
        let bytes = (blob.bytes - at).min(READ_BYTES as u64);
        let file = Arc::clone(file);
        // The head travels with the first bytes.
        let mut buffer = std::mem::take(&mut head);
        let before = buffer.len();
        let buffer = spawn_blocking(move || {
            buffer.resize(before + bytes as usize, 0);
            file.read_exact_at(&mut buffer[before..], at).map(|()| buffer)
        })
        .await??;
        pace.write_all(stream, &buffer).await?;
        at += bytes;
    }
    write_all(stream, &head).await?;
    flush(stream).await
}
