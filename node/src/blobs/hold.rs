//! Holds other peers' outputs: takes a delivery, stores it durably, and signs that it is stored.

use std::{io, sync::Arc, time::Duration};

use meshwork_core::{
    blobs::{self as rules, DeliveryAnswer, DeliveryOffer, FRAME_BYTES_MAX, Offered, REASON_BYTES_MAX},
    digest::Digest,
    identity::PublicKey,
    types::{AttemptId, BlobRef, DeliveryStatement, Height, Manifest},
};

use super::{
    BLOB_BYTES_MAX, BlobStore, Blobs, DeliveryId, Kept, blocking, error::StoreError, packs, sealed::Seals,
    turns::Turns, writer::BlobWriter,
};
use crate::{
    mesh::{Incoming, Stream},
    wire::{self, CHUNK_BYTES, IDLE_MAX, Pace, Rate},
};

/// This exchange's word in protocol names.
pub(super) const KIND: &str = "deliver";
/// How long a holder may take to decide, or to store what it was sent.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(60);
/// The most deliveries taken at once.
const HOLDS_MAX: usize = 32;
/// The most deliveries taken from one peer at once.
const PEER_HOLDS_MAX: usize = 8;
/// The most open streams.
const STREAMS_MAX: usize = 512;
/// The most open streams of one peer.
const PEER_STREAMS_MAX: usize = 64;
/// Blobs up to this size are gathered in memory and stored together.
const SMALL_BYTES: u64 = 256 << 10;
/// The most bytes gathered in memory for one delivery.
const GATHERED_BYTES: usize = 4 << 20;
/// Points against a worker whose bytes do not match its manifest.
const WRONG_POINTS: u32 = 200;

/// Why an output is refused; at most 256 bytes of it are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub String);

/// Decides whose outputs this peer holds. The node answers from the ledger.
pub trait DeliveryPolicy: Send + Sync + 'static {
    /// Decides whether this peer holds `bytes` bytes of the output of `attempt`, which `from` has run. Its blobs
    /// [cost](rules::cost) little more than that, because small contents lie in packs. Returns the height that this peer
    /// has executed, which it will sign.
    fn accepts(
        &self,
        from: PublicKey,
        attempt: AttemptId,
        manifest: Digest,
        bytes: u64,
    ) -> impl Future<Output = Result<Height, Refusal>> + Send;
}

/// How a delivery ended.
enum Ended {
    /// It was answered, and the stream can carry the next.
    Answered,
    /// The worker has no more deliveries.
    Closed,
    /// The stream is unusable.
    Broken(io::Error),
    /// The worker's bytes are wrong.
    Wrong(&'static str),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

impl Blobs {
    /// Starts to take deliveries, as far as `policy` allows.
    ///
    /// # Panics
    /// If it is called twice.
    pub fn hold(&self, policy: Arc<impl DeliveryPolicy>) {
        let mesh = &self.0.mesh;
        let incoming = mesh.accept(mesh.protocol(KIND)).expect("deliveries are taken once");
        tokio::spawn(take(self.clone(), incoming, policy));
    }
}

async fn take(blobs: Blobs, incoming: Incoming, policy: Arc<impl DeliveryPolicy>) {
    let turns = Arc::new(Turns::new(HOLDS_MAX, PEER_HOLDS_MAX));
    incoming
        .serve_each(STREAMS_MAX, PEER_STREAMS_MAX, |from, stream| {
            take_stream(blobs.clone(), from, stream, Arc::clone(&policy), Arc::clone(&turns))
        })
        .await;
}

async fn take_stream(
    blobs: Blobs,
    from: PublicKey,
    mut stream: Stream,
    policy: Arc<impl DeliveryPolicy>,
    turns: Arc<Turns>,
) {
    loop {
        match take_one(&blobs, from, &mut stream, &*policy, &turns).await {
            Ok(Ended::Answered) => {}
            Ok(Ended::Closed) => return,
            Ok(Ended::Broken(error)) | Err(Ended::Broken(error)) => {
                tracing::debug!(peer = %from, %error, "a delivery broke off");
                return;
            }
            Ok(Ended::Wrong(what)) | Err(Ended::Wrong(what)) => {
                tracing::warn!(peer = %from, what, "a delivery is not what it says");
                blobs.0.mesh.penalize(from, WRONG_POINTS);
                // The worker is told, but nothing waits for it: the rest of the stream has no meaning any more.
                let _ = wire::write_value(&mut stream, &DeliveryAnswer::Refused(what.to_owned())).await;
                return;
            }
            Err(Ended::Answered | Ended::Closed) => return,
        }
    }
}

async fn take_one(
    blobs: &Blobs,
    from: PublicKey,
    stream: &mut Stream,
    policy: &impl DeliveryPolicy,
    turns: &Turns,
) -> Result<Ended, Ended> {
    let offer: DeliveryOffer = match wire::read_value(stream, FRAME_BYTES_MAX, IDLE_MAX).await {
        Ok(offer) => offer,
        Err(error) if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::TimedOut) => {
            return Ok(Ended::Closed);
        }
        Err(error) => return Err(error.into()),
    };
    let digest = Digest::of(&offer.manifest);
    let bytes = offer.bytes;
    let Offered { manifest, parts } = offer.offered().map_err(Ended::Wrong)?;
    let Some(_turn) = turns.take(from, HOLD_MAX / 2).await else {
        return refuse(stream, "too many deliveries at once").await;
    };
    let store = &blobs.0.store;
    let allowed = if parts.iter().any(|part| part.bytes > BLOB_BYTES_MAX) {
        Err(Refusal("one of its blobs is too large".to_owned()))
    } else {
        policy.accepts(from, offer.attempt, digest, bytes).await
    };
    let height = match allowed {
        Ok(height) => height,
        Err(Refusal(reason)) => return refuse(stream, &reason).await,
    };
    let Ok((here, lacking)) = sort(store.clone(), Arc::clone(&blobs.0.seals), parts.clone()).await else {
        return refuse(stream, "it could not be looked for here").await;
    };
    let sizes: Vec<u64> = lacking.iter().map(|(_, part)| part.bytes).chain([offer.manifest.len() as u64]).collect();
    blobs.make_room(&sizes).await;
    if rules::costs(sizes) > store.free() {
        return refuse(stream, "there is no room for it").await;
    }
    if !lacking.is_empty() {
        let places = lacking.iter().map(|(place, _)| *place).collect();
        wire::write_value(stream, &DeliveryAnswer::Wanted(places)).await?;
    }
    let lacking: Vec<BlobRef> = lacking.into_iter().map(|(_, part)| part).collect();
    // Before its parts, so that none of them can be evicted before all are there.
    let held = DeliveryId { attempt: offer.attempt, manifest: digest };
    let news = store.hold(held, parts.iter().map(|part| part.digest).collect());
    let stored = match receive(blobs, stream, &lacking, &offer.manifest).await {
        Ok(Ok(())) => check_packs(store.clone(), manifest).await,
        failed => failed,
    };
    if news && !matches!(stored, Ok(Ok(()))) {
        let store = store.clone();
        blocking(move || store.give_up(&[held])).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a delivery that did not come cannot be removed");
        });
    }
    if let Err(error) = stored? {
        tracing::error!(%error, "a delivery could not be stored");
        return refuse(stream, "it could not be stored").await;
    }
    blobs.bound_deliveries(offer.attempt).await;
    let manifest = BlobRef { digest, bytes: offer.manifest.len() as u64 };
    let statement = DeliveryStatement { attempt: offer.attempt, manifest, stderr: offer.stderr, bytes, height };
    let delivery = statement.sign(&blobs.0.key, &blobs.0.mesh.network());
    drop(here);
    wire::write_value(stream, &DeliveryAnswer::Stored(delivery)).await?;
    Ok(Ended::Answered)
}

/// The parts that are here, checked, and those that are lacking, each with its place among all of them. What is sealed
/// counts as lacking, so that nobody learns of it by offering it.
async fn sort(
    store: BlobStore,
    seals: Arc<Seals>,
    parts: Vec<BlobRef>,
) -> Result<(Vec<Kept>, Vec<(u32, BlobRef)>), StoreError> {
    blocking(move || {
        let (mut here, mut lacking) = (Vec::new(), Vec::new());
        for (place, part) in (0..).zip(parts) {
            match store.check(&part.digest)? {
                Some(kept) if kept.blob() == part && !seals.has(&part.digest) => here.push(kept),
                _ => lacking.push((place, part)),
            }
        }
        Ok((here, lacking))
    })
    .await
}

async fn refuse(stream: &mut Stream, reason: &str) -> Result<Ended, Ended> {
    let end =
        reason.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= REASON_BYTES_MAX);
    let reason = reason[..end.last().unwrap_or(0)].to_owned();
    wire::write_value(stream, &DeliveryAnswer::Refused(reason)).await?;
    Ok(Ended::Answered)
}

/// Receives what is lacking, and stores it with the manifest. The inner error is the disk's; everything was received
/// then, so the stream stays usable.
async fn receive(
    blobs: &Blobs,
    stream: &mut Stream,
    lacking: &[BlobRef],
    manifest: &[u8],
) -> Result<Result<(), StoreError>, Ended> {
    let mut gathered: Vec<Vec<u8>> = Vec::new();
    let mut gathered_bytes = 0;
    let mut failed = None;
    let mut pace = Pace::begin(Rate::LEAST);
    for part in lacking {
        if part.bytes > SMALL_BYTES {
            if let Err(error) = receive_large(blobs, stream, &mut pace, *part).await? {
                failed = Some(error);
            }
            continue;
        }
        let mut bytes = vec![0; usize::try_from(part.bytes).unwrap_or(0)];
        pace.read_all(stream, &mut bytes).await?;
        if Digest::of(&bytes) != part.digest {
            return Err(Ended::Wrong("a blob has another digest than the manifest says"));
        }
        gathered_bytes += bytes.len();
        gathered.push(bytes);
        if gathered_bytes > GATHERED_BYTES {
            gathered_bytes = 0;
            failed = put_all(blobs, std::mem::take(&mut gathered)).await.err().or(failed);
        }
    }
    gathered.push(manifest.to_vec());
    failed = put_all(blobs, gathered).await.err().or(failed);
    Ok(failed.map_or(Ok(()), Err))
}

/// Compares what is in the packs with what the manifest says. The inner error is the disk's.
async fn check_packs(store: BlobStore, manifest: Manifest) -> Result<Result<(), StoreError>, Ended> {
    match packs::all_hold(store, manifest).await {
        Ok(true) => Ok(Ok(())),
        Ok(false) => Err(Ended::Wrong("a pack has other contents than the manifest says")),
        Err(error) => Ok(Err(error)),
    }
}

async fn put_all(blobs: &Blobs, gathered: Vec<Vec<u8>>) -> Result<(), StoreError> {
    let store = blobs.0.store.clone();
    blocking(move || store.put_all(&gathered.iter().map(Vec::as_slice).collect::<Vec<_>>()).map(drop)).await
}

async fn receive_large(
    blobs: &Blobs,
    stream: &mut Stream,
    pace: &mut Pace,
    part: BlobRef,
) -> Result<Result<(), StoreError>, Ended> {
    let mut writer = Ok(BlobWriter::new(blobs.0.store.clone(), part.bytes));
    let mut left = part.bytes;
    let mut chunk = vec![0; CHUNK_BYTES];
    while left > 0 {
        let length = chunk.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = pace.read_some(stream, &mut chunk[..length]).await?;
        if bytes == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        left -= bytes as u64;
        writer = match writer {
            Ok(mut writer) => match writer.take(&chunk[..bytes]) {
                Ok(true) => writer.flush_blocking().await,
                Ok(false) => Ok(writer),
                Err(error) => Err(error),
            },
            // The rest is read and discarded, so that the stream stays usable.
            Err(error) => Err(error),
        };
    }
    let writer = match writer {
        Ok(writer) => writer,
        Err(error) => return Ok(Err(error)),
    };
    match writer.finish_blocking(Some(part.digest)).await {
        Ok(_) => Ok(Ok(())),
        Err(StoreError::Mismatch { .. }) => Err(Ended::Wrong("a blob has another digest than the manifest says")),
        Err(error) => Ok(Err(error)),
    }
}
