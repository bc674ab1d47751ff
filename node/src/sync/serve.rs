//! Serves the newest snapshot that can be proven, and the blocks up to the header that vouches for it.

use std::{io, sync::Arc, time::Duration};

use meshwork_core::{
    codec::ByteString,
    identity::PublicKey,
    snapshot::{SNAPSHOT_REQUEST_BYTES_MAX, SnapshotRequest},
};
use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::{
    mesh::{Incoming, Stream},
    store::{Reader, StoreError},
    wire::{IDLE_MAX, read_value, write_value},
};

/// The most open streams; further ones are closed.
const STREAMS_MAX: usize = 64;
/// The most open streams of one peer. A peer that catches up has one.
const PEER_STREAMS_MAX: usize = 4;
/// The most answers being prepared at once.
const ANSWERS_MAX: usize = 4;
/// The least time between two answers on one stream.
const PAUSE: Duration = Duration::from_millis(2);

/// Serves every incoming stream, until the mesh stops.
pub(super) async fn serve(incoming: Incoming, reader: Reader) {
    let turns = Arc::new(Semaphore::new(ANSWERS_MAX));
    let serve = |from, stream| serve_stream(from, stream, reader.clone(), turns.clone());
    incoming.serve_each(STREAMS_MAX, PEER_STREAMS_MAX, serve).await;
}

async fn serve_stream(from: PublicKey, mut stream: Stream, reader: Reader, turns: Arc<Semaphore>) {
    loop {
        let Ok(ask) = read_value::<SnapshotRequest>(&mut stream, SNAPSHOT_REQUEST_BYTES_MAX, IDLE_MAX).await else {
            return;
        };
        let Ok(_turn) = turns.acquire().await else { return };
        if let Err(error) = answer(ask, &mut stream, &reader).await {
            tracing::debug!(peer = %from, %error, ?ask, "a question was not answered");
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn answer(ask: SnapshotRequest, stream: &mut Stream, reader: &Reader) -> io::Result<()> {
    match ask {
        SnapshotRequest::Newest => write_value(stream, &look(reader, Reader::offer).await?).await,
        SnapshotRequest::Chunk(height, place) => {
            let chunk = look(reader, move |reader| reader.snapshot_chunk(height, place)).await?;
            write_value(stream, &chunk.map(ByteString::from)).await
        }
        SnapshotRequest::Block(height) => {
            let stored = look(reader, move |reader| reader.block(height)).await?;
            write_value(stream, &stored.map(|stored| stored.block)).await
        }
    }
}

async fn look<T: Send + 'static>(
    reader: &Reader,
    look: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
) -> io::Result<T> {
    let reader = reader.clone();
    spawn_blocking(move || look(&reader)).await?.map_err(io::Error::other)
}
