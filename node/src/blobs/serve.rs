//! Serves stored blobs to other peers.

use std::{fs::File, io, os::unix::fs::FileExt, sync::Arc, time::Duration};

use futures::AsyncReadExt;
use meshwork_core::{
    blobs::{Head, Request},
    identity::PublicKey,
};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use super::store::BlobStore;
use crate::{
    mesh::{Incoming, Stream},
    wire::{IDLE_MAX, flush, read_all, write_all},
};

/// This exchange's word in protocol names.
pub(super) const KIND: &str = "blob";
/// The most blobs sent at once.
const SERVES_MAX: usize = 32;
/// The most open streams; further ones are closed.
const STREAMS_MAX: usize = 1024;
/// How long a request waits for its turn.
const TURN_MAX: Duration = Duration::from_secs(3);
/// How many bytes are read from the disk at once.
const READ_BYTES: usize = 1 << 20;

/// Serves every incoming stream, until the mesh stops.
pub(super) async fn serve(incoming: Incoming, store: BlobStore) {
    let turns = Arc::new(Semaphore::new(SERVES_MAX));
    incoming.serve_each(STREAMS_MAX, |from, stream| serve_stream(from, stream, store.clone(), turns.clone())).await;
}

async fn serve_stream(from: PublicKey, mut stream: Stream, store: BlobStore, turns: Arc<Semaphore>) {
    loop {
        match serve_one(&mut stream, &store, &turns).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::debug!(peer = %from, %error, "a blob was not sent to its end");
                return;
            }
        }
    }
}

/// Answers one request; false if there are no more.
async fn serve_one(stream: &mut Stream, store: &BlobStore, turns: &Semaphore) -> io::Result<bool> {
    let mut request = [0; Request::BYTES];
    match timeout(IDLE_MAX, stream.read(&mut request[..1])).await {
        Err(_) | Ok(Ok(0)) => return Ok(false),
        Ok(read) => read?,
    };
    read_all(stream, &mut request[1..]).await?;
    let Request { digest, offset } = Request::decode(&request);
    let found = store.get(&digest).zip(store.path(&digest)).filter(|(blob, _)| offset <= blob.bytes);
    let Some((blob, path)) = found else {
        write_all(stream, &Head::Missing.encode()).await?;
        flush(stream).await?;
        return Ok(true);
    };
    let Ok(Ok(_turn)) = timeout(TURN_MAX, turns.acquire()).await else {
        write_all(stream, &Head::Busy.encode()).await?;
        flush(stream).await?;
        return Ok(true);
    };
    let file = Arc::new(spawn_blocking(move || File::open(path)).await??);
    let mut at = offset;
    let mut head = Head::Found(blob.bytes).encode().to_vec();
    while at < blob.bytes {
        let bytes = (blob.bytes - at).min(READ_BYTES as u64);
        let file = file.clone();
        // The head travels with the first bytes.
        let mut buffer = std::mem::take(&mut head);
        let before = buffer.len();
        let buffer = spawn_blocking(move || {
            buffer.resize(before + bytes as usize, 0);
            file.read_exact_at(&mut buffer[before..], at).map(|()| buffer)
        })
        .await??;
        write_all(stream, &buffer).await?;
        at += bytes;
    }
    write_all(stream, &head).await?;
    flush(stream).await?;
    Ok(true)
}
