//! Fetches a blob from a peer that has it.
//!
//! Each peer is asked once: first those that the caller names, then those that the Kademlia table names, and
//! connected peers between. A peer that does not answer within [`PATIENCE`] holds nothing up: the next one is asked
//! besides, and the first answer is taken.
//!
//! A peer that is busy, or sends too slowly, is passed over for the next one. If a transfer breaks off, another peer continues it. If the bytes of several peers are wrong together, no peer is
//! blamed, and all are asked once more from the beginning.

use std::{
    collections::{HashSet, VecDeque},
    sync::PoisonError,
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use meshwork_core::{
    blobs::{Head, Request},
    digest::Digest,
    identity::PublicKey,
    types::BlobRef,
};
use tokio::{
    sync::{mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    BLOB_BYTES_MAX, Blobs, Kept, blocking,
    error::{FetchError, StoreError},
    writer::BlobWriter,
};
use crate::{
    mesh::{MeshHandle, OpenError, Stream},
    wire::{self, CHUNK_BYTES, Pace, Rate},
};

/// The most peers asked for one blob.
const ASKED_MAX: usize = 64;
/// The most further hints that a running fetch takes.
const HINTS_MAX: usize = 64;
/// The most blobs fetched at once.
const FETCHES_MAX: usize = 1024;
/// How often a blob is fetched that is damaged as soon as it was stored.
const DAMAGED_MAX: usize = 3;
/// How long to wait for a peer before asking another besides.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many connected peers are asked for each provider that must be dialled.
const MET_BETWEEN: usize = 8;
/// Points against a peer that sent bytes of another digest.
const WRONG_POINTS: u32 = 200;

/// The outcome of a fetch, once it is known.
type Outcome = watch::Receiver<Option<Result<(), FetchError>>>;

/// A fetch that is under way. Several callers may wait for it.
pub(super) struct Fetching {
    result: Outcome,
    hints: mpsc::Sender<PublicKey>,
}

/// What a peer answers that was asked for a blob.
enum Answer {
    /// It is about to send it.
    Gives(Provider),
    /// It does not have the blob, or nobody is where it should be.
    Lacks,
    /// It is busy or silent, turned this peer away, or broke off before it had answered: it may have the blob.
    Unanswered(PublicKey),
}

/// Why a peer that was to give a blob did not.
enum Failed {
    /// The stream broke, or was too slow.
    BrokeOff,
    /// Its bytes are wrong.
    Wrong,
    /// This store cannot take the blob, whichever peer sends it.
    Here(StoreError),
}

impl Blobs {
    /// Fetches a blob from other peers, unless it is in the store and undamaged.
    ///
    /// `hints` are peers that the caller believes have it. Several fetches of one blob are one.
    ///
    /// # Errors
    /// A [`FetchError`]: no peer has the blob, or it cannot be stored here.
    pub async fn fetch(&self, blob: BlobRef, hints: &[PublicKey]) -> Result<Kept, FetchError> {
        for _ in 0..DAMAGED_MAX {
            if let Some(kept) = self.stored(blob.digest).await? {
                let found = kept.blob().bytes;
                let wrong = FetchError::WrongSize { digest: blob.digest, expected: blob.bytes, found };
                return if found == blob.bytes { Ok(kept) } else { Err(wrong) };
            }
            if blob.bytes > BLOB_BYTES_MAX {
                return Err(FetchError::TooLarge(blob));
            }
            let mut result = self.join_fetch(blob, hints).ok_or(FetchError::Busy)?;
            let result = result.wait_for(Option::is_some).await.map_err(|_| FetchError::Stopped)?;
            result.clone().unwrap_or(Err(FetchError::Stopped))?;
        }
        Err(StoreError::Damaged(blob.digest).into())
    }

    async fn stored(&self, digest: Digest) -> Result<Option<Kept>, StoreError> {
        let store = self.0.store.clone();
        if !store.has(&digest) {
            return Ok(None);
        }
        match store.checked_already(&digest) {
            Some(kept) => Ok(Some(kept)),
            None => blocking(move || store.check(&digest)).await,
        }
    }

    /// The fetch of this blob that is under way, or a new one. It goes on even if no caller waits for it any more, so
    /// that the next one finds it done.
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
            unanswered: HashSet::new(),
            wrong: 0,
        };
        let blobs = self.clone();
        tokio::spawn(async move {
            let stopping = blobs.0.mesh.stopping();
            let searching = async {
                blobs.make_room(&[blob.bytes]).await;
                search.run().await
            };
            let found = tokio::select! {
                found = searching => found,
                () = stopping.cancelled() => Err(FetchError::Stopped),
            };
            blobs.0.fetching.lock().unwrap_or_else(PoisonError::into_inner).remove(&blob);
            let _ = done.send(Some(found));
        });
        Some(result)
    }
}

/// The search for one blob.
struct Search {
    blobs: Blobs,
    blob: BlobRef,
    hints: VecDeque<PublicKey>,
    /// Hints from later callers.
    more: mpsc::Receiver<PublicKey>,
    asked: HashSet<PublicKey>,
    /// Those of them that may have the blob but did not give it.
    unanswered: HashSet<PublicKey>,
    wrong: usize,
}

/// Peers to ask besides the hints.
#[derive(Default)]
struct Others {
    search: Option<mpsc::Receiver<PublicKey>>,
    /// Peers that the table has named.
    providers: VecDeque<PublicKey>,
    /// The connected peers.
    connected: Option<VecDeque<PublicKey>>,
    dialled: usize,
    met: usize,
}

impl Others {
    /// The next peer to ask: a provider, or a connected peer between providers that must be dialled.
    ///
    /// The table names peers long after they have gone, so dialling providers alone could take long. The future may
    /// be dropped at any time without skipping a peer.
    async fn next(&mut self, mesh: &MeshHandle, digest: Digest) -> Option<PublicKey> {
        let search = match &mut self.search {
            Some(search) => search,
            none => none.insert(mesh.providers(digest).await),
        };
        if self.connected.is_none() {
            if let Ok(Some(first)) = timeout(PATIENCE, search.recv()).await {
                self.providers.push_back(first);
            }
            self.connected = Some(mesh.connected().into());
        }
        while let Ok(provider) = search.try_recv() {
            self.providers.push_back(provider);
        }
        if let Some(near) = self.providers.iter().position(|provider| mesh.is_connected(provider)) {
            return self.providers.remove(near);
        }
        if self.dialled <= self.met / MET_BETWEEN
            && let Some(provider) = self.providers.pop_front()
        {
            self.dialled += 1;
            return Some(provider);
        }
        if let Some(connected) = self.connected.as_mut().and_then(VecDeque::pop_front) {
            self.met += 1;
            return Some(connected);
        }
        match self.providers.pop_front() {
            Some(provider) => Some(provider),
            None => search.recv().await,
        }
    }
}

/// The bytes of a blob received so far, and from how many peers.
struct Partial {
    writer: BlobWriter,
    givers: usize,
}

/// A peer that has the blob and is about to send it from an offset on.
struct Provider {
    peer: PublicKey,
    stream: Stream,
    offset: u64,
}

impl Search {
    async fn run(mut self) -> Result<(), FetchError> {
        let mut partial: Option<Partial> = None;
        // A second round is needed only if the bytes of several peers were wrong together.
        for round in 0..2 {
            let hints = self.hints.clone();
            let mut others = Others::default();
            let mut asking = FuturesUnordered::new();
            let mut blameless = false;
            while let Some(provider) = self.next_provider(&mut others, &mut asking, partial.as_ref()).await {
                if round > 0 {
                    // It is not known whose bytes were wrong, so this round never mixes the bytes of two peers.
                    partial = None;
                }
                let offset = partial.as_ref().map_or(0, |partial| partial.writer.bytes());
                if provider.offset != offset {
                    // Another peer has sent more since this one was asked.
                    asking.push(self.ask(provider.peer, offset).boxed());
                    continue;
                }
                let Provider { peer, mut stream, .. } = provider;
                match self.receive(&mut stream, &mut partial).await {
                    Ok(()) => {
                        self.blobs.0.fetches.keep(peer, stream);
                        self.blobs.0.mesh.commend(peer);
                        return Ok(());
                    }
                    Err(Failed::Here(error)) => return Err(error.into()),
                    Err(Failed::BrokeOff) => {
                        self.unanswered.insert(peer);
                    }
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
        let (digest, asked) = (self.blob.digest, self.asked.len());
        Err(match self.unanswered.len() {
            0 => FetchError::NotFound { digest, asked, wrong: self.wrong },
            unanswered => FetchError::Unanswered { digest, asked, unanswered },
        })
    }

    /// The next peer that has the blob, among those being asked and further ones; `None` once all were asked.
    async fn next_provider(
        &mut self,
        others: &mut Others,
        asking: &mut FuturesUnordered<BoxFuture<'static, Answer>>,
        partial: Option<&Partial>,
    ) -> Option<Provider> {
        let offset = partial.map_or(0, |partial| partial.writer.bytes());
        let mut is_last = false;
        let mut patience = Duration::ZERO;
        loop {
            if is_last && asking.is_empty() {
                return None;
            }
            let further = async {
                sleep(patience).await;
                self.next_peer(others).await
            };
            tokio::select! {
                biased;
                Some(answer) = asking.next() => match answer {
                    Answer::Gives(provider) => return Some(provider),
                    Answer::Lacks => patience = Duration::ZERO,
                    Answer::Unanswered(peer) => {
                        self.unanswered.insert(peer);
                        patience = Duration::ZERO;
                    }
                },
                further = further, if !is_last => match further {
                    Some(peer) => {
                        asking.push(self.ask(peer, offset).boxed());
                        patience = PATIENCE;
                    }
                    None => is_last = true,
                },
            }
        }
    }

    /// The next peer to ask that was not asked yet. The future may be dropped at any time without skipping a peer.
    async fn next_peer(&mut self, others: &mut Others) -> Option<PublicKey> {
        loop {
            let peer = self.next_known(others).await?;
            if self.asked.len() >= ASKED_MAX {
                return None;
            }
            if peer != self.blobs.0.mesh.key() && self.asked.insert(peer) {
                return Some(peer);
            }
        }
    }

    async fn next_known(&mut self, others: &mut Others) -> Option<PublicKey> {
        while let Ok(hint) = self.more.try_recv() {
            self.hints.push_back(hint);
        }
        if let Some(hint) = self.hints.pop_front() {
            return Some(hint);
        }
        others.next(&self.blobs.0.mesh, self.blob.digest).await
    }

    /// Asks one peer, a second time over a new stream if the peer had closed a pooled one.
    fn ask(&self, peer: PublicKey, offset: u64) -> impl Future<Output = Answer> + Send + 'static {
        let (blobs, blob) = (self.blobs.clone(), self.blob);
        async move {
            for fresh in [false, true] {
                let pooled = match blobs.0.fetches.take(peer, fresh).await {
                    Ok(pooled) => pooled,
                    Err(OpenError::Busy | OpenError::Lost(_) | OpenError::TimedOut(_)) => {
                        return Answer::Unanswered(peer);
                    }
                    Err(_) if blobs.0.mesh.is_connected(&peer) => return Answer::Unanswered(peer),
                    Err(_) => return Answer::Lacks,
                };
                let mut stream = pooled.stream;
                let request = Request { digest: blob.digest, offset };
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
                    return Answer::Unanswered(peer);
                }
                return match Head::decode(&head) {
                    Some(Head::Found(bytes)) if bytes == blob.bytes => Answer::Gives(Provider { peer, stream, offset }),
                    Some(Head::Missing) => {
                        blobs.0.fetches.keep(peer, stream);
                        Answer::Lacks
                    }
                    Some(Head::Busy) => {
                        blobs.0.fetches.keep(peer, stream);
                        Answer::Unanswered(peer)
                    }
                    // Content of another size is another blob. The stream cannot be used any further.
                    Some(Head::Found(_)) | None => Answer::Lacks,
                };
            }
            Answer::Unanswered(peer)
        }
    }

    /// Receives the missing bytes, and stores the blob if its digest is right.
    async fn receive(&self, stream: &mut Stream, partial: &mut Option<Partial>) -> Result<(), Failed> {
        let store = &self.blobs.0.store;
        let Partial { mut writer, givers } = partial
            .take()
            .unwrap_or_else(|| Partial { writer: BlobWriter::new(store.clone(), self.blob.bytes), givers: 0 });
        let givers = givers + 1;
        let mut chunk = vec![0; CHUNK_BYTES.min(usize::try_from(self.blob.bytes).unwrap_or(CHUNK_BYTES))];
        let mut pace = Pace::begin(Rate::LEAST);
        while writer.bytes() < self.blob.bytes {
            let left = usize::try_from(self.blob.bytes - writer.bytes()).unwrap_or(usize::MAX);
            let length = left.min(chunk.len());
            match pace.read_some(stream, &mut chunk[..length]).await {
                Ok(0) | Err(_) => {
                    *partial = Some(Partial { writer, givers });
                    return Err(Failed::BrokeOff);
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
                // Only the number of givers is kept of what came.
                *partial = Some(Partial { writer: BlobWriter::new(store.clone(), self.blob.bytes), givers });
                Err(Failed::Wrong)
            }
            Err(error) => Err(Failed::Here(error)),
        }
    }
}
