//! Getting a blob from whoever has it.
//!
//! Who is asked, one after the other and each once: those that the caller named, those that the Kademlia table names, and
//! at last whoever is connected. A transfer that breaks off is continued with the next; if bytes of several peers turn
//! out wrong together, nobody is blamed, and everyone is asked once more from the beginning.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
    sync::PoisonError,
    time::{Duration, Instant},
};

use meshwork_core::{
    blobs::{Head, Request},
    digest::Digest,
    identity::PublicKey,
    types::BlobRef,
};
use tokio::sync::{mpsc, watch};

use super::{
    BLOB_BYTES_MAX, Blobs,
    error::{FetchError, StoreError},
    writer::BlobWriter,
};
use crate::wire::{self, CHUNK_BYTES};

/// Peers asked for one blob.
const ASKED_MAX: usize = 64;
/// Hints that a fetch that is under way still takes.
const HINTS_MAX: usize = 64;
/// Blobs that are fetched at one time.
const FETCHES_MAX: usize = 1024;
/// A transfer is given so long before its rate counts, and then must keep up [`RATE_MIN`] on average.
const RATE_AFTER: Duration = Duration::from_secs(10);
/// Bytes a second below which the next peer is asked.
const RATE_MIN: u64 = 16 << 10;
/// Points against a peer that gave bytes of another digest.
const WRONG_POINTS: u32 = 200;

/// What becomes of a fetch, once it is known.
type Outcome = watch::Receiver<Option<Result<PathBuf, FetchError>>>;

/// A fetch under way, which others may wait for too.
pub(super) struct Fetching {
    result: Outcome,
    hints: mpsc::Sender<PublicKey>,
}

/// Why one peer did not give a blob.
enum Failed {
    /// It has none, or cannot be reached, or the line broke.
    Passed,
    /// Its bytes are wrong.
    Wrong,
    /// They cannot be stored here, whoever gives them.
    Here(StoreError),
}

impl Blobs {
    /// Gets a blob from others, unless it is here, and says where its file is. Who has it, as far as the caller knows,
    /// stands in `hints`. Several fetches of one blob are one.
    ///
    /// # Errors
    /// A [`FetchError`]: nobody has it, or it cannot be stored here.
    pub async fn fetch(&self, blob: BlobRef, hints: &[PublicKey]) -> Result<PathBuf, FetchError> {
        if let Some(here) = self.0.store.get(&blob.digest) {
            if here.bytes != blob.bytes {
                return Err(FetchError::WrongSize { digest: blob.digest, expected: blob.bytes, found: here.bytes });
            }
            if let Some(path) = self.0.store.path(&blob.digest) {
                return Ok(path);
            }
        }
        if blob.bytes > BLOB_BYTES_MAX {
            return Err(FetchError::TooLarge(blob));
        }
        let mut result = self.join_fetch(blob, hints).ok_or(FetchError::Busy)?;
        let result = result.wait_for(Option::is_some).await.map_err(|_| FetchError::Stopped)?;
        result.clone().unwrap_or(Err(FetchError::Stopped))
    }

    /// The fetch of this blob that is under way, or a new one. It goes on when nobody waits for it any more: whoever asks
    /// again finds it done.
    fn join_fetch(&self, blob: BlobRef, hints: &[PublicKey]) -> Option<Outcome> {
        let mut fetching = self.0.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = fetching.get(&blob) {
            for hint in hints {
                let _ = under_way.hints.try_send(*hint);
            }
            return Some(under_way.result.clone());
        }
        if fetching.len() >= FETCHES_MAX {
            return None;
        }
        let (done, result) = watch::channel(None);
        let (more, more_receiver) = mpsc::channel(HINTS_MAX);
        fetching.insert(blob, Fetching { result: result.clone(), hints: more });
        drop(fetching);
        let search = Search {
            blobs: self.clone(),
            blob,
            hints: hints.iter().copied().collect(),
            more: more_receiver,
            asked: HashSet::new(),
            wrong: 0,
        };
        let blobs = self.clone();
        tokio::spawn(async move {
            let stopping = blobs.0.mesh.stopping();
            let found = tokio::select! {
                found = search.run() => found,
                () = stopping.cancelled() => Err(FetchError::Stopped),
            };
            blobs.0.fetching.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob);
            let _ = done.send(Some(found));
        });
        Some(result)
    }
}

/// One search for one blob.
struct Search {
    blobs: Blobs,
    blob: BlobRef,
    hints: VecDeque<PublicKey>,
    /// Hints of those who came later.
    more: mpsc::Receiver<PublicKey>,
    asked: HashSet<PublicKey>,
    wrong: usize,
}

/// What came so far of a blob, and from how many peers.
struct Partial {
    writer: BlobWriter,
    givers: usize,
}

impl Search {
    async fn run(mut self) -> Result<PathBuf, FetchError> {
        let mut partial: Option<Partial> = None;
        // A second round only if the bytes of several peers were wrong together.
        for round in 0..2 {
            let mut providers = None;
            let mut connected: Option<VecDeque<PublicKey>> = None;
            let mut blameless = false;
            let hints = self.hints.clone();
            while let Some(peer) = self.next(&mut providers, &mut connected).await {
                if self.asked.len() >= ASKED_MAX {
                    break;
                }
                if peer == self.blobs.0.mesh.key() || !self.asked.insert(peer) {
                    continue;
                }
                if round > 0 {
                    // Whose bytes were wrong before is not known, so nobody's are mixed with another's any more.
                    partial = None;
                }
                match self.ask(peer, &mut partial).await {
                    Ok(()) => return self.found(),
                    Err(Failed::Here(error)) => return Err(error.into()),
                    Err(Failed::Passed) => {}
                    Err(Failed::Wrong) => {
                        let givers = partial.take().map_or(1, |partial| partial.givers);
                        if givers > 1 {
                            blameless = true;
                            break;
                        }
                        tracing::warn!(%peer, digest = %self.blob.digest, "a peer gave other bytes than were asked for");
                        self.wrong += 1;
                        self.blobs.0.mesh.penalize(peer, WRONG_POINTS);
                    }
                }
            }
            if !blameless || round == 1 {
                break;
            }
            self.asked.clear();
            self.hints = hints;
        }
        Err(FetchError::NotFound { digest: self.blob.digest, asked: self.asked.len(), wrong: self.wrong })
    }

    fn found(&self) -> Result<PathBuf, FetchError> {
        let digest: Digest = self.blob.digest;
        let missing = FetchError::NotFound { digest, asked: self.asked.len(), wrong: self.wrong };
        self.blobs.0.store.path(&digest).ok_or(missing)
    }

    /// Whom to ask next.
    async fn next(
        &mut self,
        providers: &mut Option<mpsc::Receiver<PublicKey>>,
        connected: &mut Option<VecDeque<PublicKey>>,
    ) -> Option<PublicKey> {
        while let Ok(hint) = self.more.try_recv() {
            self.hints.push_back(hint);
        }
        if let Some(hint) = self.hints.pop_front() {
            return Some(hint);
        }
        if connected.is_none() {
            if providers.is_none() {
                *providers = Some(self.blobs.0.mesh.providers(self.blob.digest).await);
            }
            if let Some(providers) = providers
                && let Some(provider) = providers.recv().await
            {
                return Some(provider);
            }
        }
        let mesh = &self.blobs.0.mesh;
        connected.get_or_insert_with(|| mesh.connected().into()).pop_front()
    }

    /// Asks one peer; once more over a new stream if one that was kept had been closed by it.
    async fn ask(&self, peer: PublicKey, partial: &mut Option<Partial>) -> Result<(), Failed> {
        for fresh in [false, true] {
            let Ok(pooled) = self.blobs.0.fetches.take(peer, fresh).await else { return Err(Failed::Passed) };
            let mut stream = pooled.stream;
            let offset = partial.as_ref().map_or(0, |partial| partial.writer.bytes());
            let request = Request { digest: self.blob.digest, offset };
            let mut head = [0; Head::BYTES];
            let asked = async {
                wire::write_all(&mut stream, &request.encode()).await?;
                wire::flush(&mut stream).await?;
                wire::read_all(&mut stream, &mut head).await
            };
            if let Err(error) = asked.await {
                tracing::debug!(%peer, %error, "a peer was asked for a blob in vain");
                if pooled.used && !fresh {
                    continue;
                }
                return Err(Failed::Passed);
            }
            return match Head::decode(&head) {
                Some(Head::Found(bytes)) if bytes == self.blob.bytes => {
                    self.receive(&mut stream, partial).await?;
                    self.blobs.0.fetches.keep(peer, stream);
                    Ok(())
                }
                Some(Head::Missing | Head::Busy) => {
                    self.blobs.0.fetches.keep(peer, stream);
                    Err(Failed::Passed)
                }
                // Another size can only be another blob; this one stream is of no use any more.
                Some(Head::Found(_)) | None => Err(Failed::Passed),
            };
        }
        Err(Failed::Passed)
    }

    /// Receives the bytes that are missing, and stores the blob if it is right.
    async fn receive(&self, stream: &mut crate::mesh::Stream, partial: &mut Option<Partial>) -> Result<(), Failed> {
        let store = &self.blobs.0.store;
        let Partial { mut writer, givers } = partial
            .take()
            .unwrap_or_else(|| Partial { writer: BlobWriter::new(store.clone(), self.blob.bytes), givers: 0 });
        let givers = givers + 1;
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(self.blob.bytes).unwrap_or(CHUNK_BYTES))];
        let (began, before) = (Instant::now(), writer.bytes());
        while writer.bytes() < self.blob.bytes {
            let (passed, came) = (began.elapsed(), writer.bytes() - before);
            if passed > RATE_AFTER && came < passed.as_secs() * RATE_MIN {
                // One byte now and then is no stall, and would never come to an end.
                *partial = Some(Partial { writer, givers });
                return Err(Failed::Passed);
            }
            let left = usize::try_from(self.blob.bytes - writer.bytes()).unwrap_or(usize::MAX);
            let room = left.min(chunk.len());
            match wire::read_some(stream, &mut chunk[..room]).await {
                Ok(0) | Err(_) => {
                    *partial = Some(Partial { writer, givers });
                    return Err(Failed::Passed);
                }
                Ok(bytes) => {
                    if writer.take(&chunk[..bytes]).map_err(Failed::Here)? {
                        writer = writer.flush_blocking().await.map_err(Failed::Here)?;
                    }
                }
            }
        }
        match writer.finish_blocking(Some(self.blob.digest)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Mismatch { .. }) => {
                // What is left of it is only how many gave it.
                *partial = Some(Partial { writer: BlobWriter::new(store.clone(), self.blob.bytes), givers });
                Err(Failed::Wrong)
            }
            Err(error) => Err(Failed::Here(error)),
        }
    }
}
