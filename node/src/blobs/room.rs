//! Makes room: gives up what is owed to nobody, and evicts before anything is refused.
//!
//! Owed to others are outputs and checkpoints as long as the ledger knows what they are for, and the programs and
//! inputs of unfinished tasks. The [`Obligations`] say which those are. Besides, a blob stays while it is fetched,
//! delivered or run, and for [`UPLOAD_KEPT_FOR`](super::store::UPLOAD_KEPT_FOR) after a client has uploaded it.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use meshwork_core::{
    blobs::{MANIFEST_BYTES_MAX, costs, decode_manifest, parts},
    digest::Digest,
    ledger::NeededBlobs,
    types::{AttemptId, BlobRef},
};

use super::{
    BlobStore, Blobs, Kept, StoreError, blocking,
    holdings::{DeliveryId, Standing, UNDECIDED_MAX, Whose, given_up},
    store::Reservation,
};

/// The most deliveries that one question is about.
const ASKED_MAX: usize = 256;
/// How long to wait after a search for blobs to evict that found too few.
const SEARCH_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Says what this peer owes to others. The node answers from the ledger.
pub trait Obligations: Send + Sync + 'static {
    /// What these deliveries are to the ledger, in the same order; `None` if that cannot be said now.
    fn standings(&self, deliveries: Vec<DeliveryId>) -> BoxFuture<'_, Option<Vec<Standing>>>;

    /// Those of these blobs that are the program or an input of unfinished tasks, and all folders that these are given;
    /// `None` if that cannot be said now.
    fn needed(&self, blobs: HashSet<Digest>) -> BoxFuture<'_, Option<NeededBlobs>>;
}

/// The blobs of which these folders consist, as far as their manifests are here.
fn of_folders(store: &BlobStore, folders: &HashSet<Digest>) -> HashSet<Digest> {
    let mut needed = HashSet::new();
    for folder in folders {
        let has_size = |kept: Kept| (1..=MANIFEST_BYTES_MAX as u64).contains(&kept.blob().bytes);
        if !store.pin(folder).is_some_and(has_size) {
            continue;
        }
        let encoding = match store.read(folder) {
            Ok(Some(encoding)) => encoding,
            Ok(None) => continue,
            Err(error) => {
                tracing::warn!(%folder, %error, "a folder's list cannot be read, and its files may be given up");
                continue;
            }
        };
        let Ok(manifest) = decode_manifest(&encoding) else { continue };
        let Ok((parts, _)) = parts(&manifest, None, 0) else { continue };
        needed.extend(parts.into_iter().map(|part| part.digest));
    }
    needed
}

/// Room in the store that nobody else takes while this lives.
pub struct KeptRoom {
    _space: Reservation,
}

impl Blobs {
    /// From now on, gives up what these obligations say is owed to nobody. Until then nothing is given up.
    ///
    /// # Panics
    /// If it is called twice.
    pub fn owe(&self, obligations: Arc<dyn Obligations>) {
        assert!(self.0.obligations.set(obligations).is_ok(), "obligations are set once");
    }

    /// Looks again at deliveries of these attempts, because the ledger may say something else of them now. Gives up
    /// those that are owed to nobody, with their blobs.
    pub async fn reconsider(&self, whose: Whose) {
        let Some(obligations) = self.0.obligations.get() else { return };
        let deliveries = self.0.store.deliveries_of(whose);
        let mut from = 0;
        while from < deliveries.len() {
            // An attempt's deliveries stay together, however many there are.
            let cut = (from + ASKED_MAX).min(deliveries.len());
            let attempt = deliveries[cut - 1].attempt;
            let more = deliveries[cut..].iter().take_while(|delivery| delivery.attempt == attempt).count();
            let asked = &deliveries[from..cut + more];
            from = cut + more;
            let Some(standings) = obligations.standings(asked.to_vec()).await else { return };
            let judged: Vec<_> = asked.iter().copied().zip(standings).collect();
            let (store, unowed) = (self.0.store.clone(), given_up(&judged));
            if unowed.is_empty() {
                continue;
            }
            if let Err(error) = blocking(move || store.give_up(&unowed)).await {
                tracing::warn!(%error, "what is owed to nobody cannot be removed");
            }
        }
    }

    /// Makes room for blobs of these sizes, if there is none: by giving up and evicting what is owed to nobody, the
    /// least recently used first. There may be none all the same.
    pub async fn make_room(&self, sizes: &[u64]) {
        let store = &self.0.store;
        let costs = costs(sizes.iter().copied());
        // What can never fit is worth no search.
        if store.has_room(costs, sizes.len()) || costs > store.bytes_max() {
            return;
        }
        let mut searched = self.0.searched.lock().await;
        if store.has_room(costs, sizes.len()) || searched.is_some_and(|at| at.elapsed() < SEARCH_AGAIN_AFTER) {
            return;
        }
        self.reconsider(Whose::All).await;
        if !store.has_room(costs, sizes.len()) {
            self.evict(costs, sizes.len()).await;
        }
        *searched = (!store.has_room(costs, sizes.len())).then(Instant::now);
    }

    /// Keeps room for so many bytes of blobs that are yet to come.
    ///
    /// # Errors
    /// There is none, whatever is evicted.
    pub async fn keep_room(&self, bytes: u64) -> Result<KeptRoom, StoreError> {
        self.make_room(&[bytes]).await;
        Ok(KeptRoom { _space: self.0.store.reserve(bytes)? })
    }

    async fn evict(&self, costs: u64, blobs: usize) {
        let Some(obligations) = self.0.obligations.get() else { return };
        let mut unused = self.0.store.evictable();
        let Some(needed) = obligations.needed(unused.iter().copied().collect()).await else { return };
        let store = self.0.store.clone();
        let evicted = blocking(move || {
            let in_folders = of_folders(&store, &needed.folders);
            unused.retain(|digest| !needed.named.contains(digest) && !in_folders.contains(digest));
            store.evict(&unused, costs, blobs)
        });
        match evicted.await {
            Ok(evicted) => {
                tracing::info!(blobs = evicted.len(), "blobs that nobody is owed made room for others");
                for blob in evicted.into_iter().filter(|blob| blob.announced) {
                    self.0.mesh.stop_providing(blob.blob.digest).await;
                }
            }
            Err(error) => tracing::warn!(%error, "blobs cannot be evicted"),
        }
    }

    /// Stores an attempt's output or checkpoint durably: its manifest, and the blobs that it names.
    ///
    /// # Errors
    /// Those of [`Blobs::put`].
    pub async fn put_output(
        &self,
        attempt: AttemptId,
        manifest: Vec<u8>,
        contents: Vec<Vec<u8>>,
    ) -> Result<BlobRef, StoreError> {
        let sizes: Vec<u64> = contents.iter().chain([&manifest]).map(|content| content.len() as u64).collect();
        self.make_room(&sizes).await;
        let store = self.0.store.clone();
        let stored = blocking(move || {
            let named: Vec<Digest> = contents.iter().map(|content| Digest::of(content)).collect();
            let id = DeliveryId { attempt, manifest: Digest::of(&manifest) };
            // First of all, so that no part of it can be evicted before all is there.
            let news = store.hold(id, named);
            let all: Vec<&[u8]> = contents.iter().map(Vec::as_slice).chain([manifest.as_slice()]).collect();
            store.put_all(&all).inspect_err(|_| {
                if news {
                    // The cause is reported; an error here would have the same.
                    let _ = store.give_up(&[id]);
                }
            })?;
            Ok(BlobRef { digest: id.manifest, bytes: manifest.len() as u64 })
        })
        .await?;
        self.bound_deliveries(attempt).await;
        Ok(stored)
    }

    /// Looks at an attempt's deliveries again, once there are more than an honest worker has under way.
    pub(super) async fn bound_deliveries(&self, attempt: AttemptId) {
        if self.0.store.deliveries_count(&attempt) > UNDECIDED_MAX {
            self.reconsider(Whose::Attempt(attempt)).await;
        }
    }
}
