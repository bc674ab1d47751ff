//! Blobs: programs, inputs, outputs and checkpoints, each named by the BLAKE3 digest of its bytes.
//!
//! * [`BlobStore`] keeps them as files, within a quota.
//! * [`Blobs`] joins a store with the mesh. It fetches missing blobs, serves blobs to other peers, announces blobs
//!   that other peers should find, delivers an output to a second holder, and can be that holder.
//!
//! Bytes from a peer get a name, and are used, only after their digest was checked. Bytes from the disk are checked
//! again before they are used: [`Kept`] is the proof of that.
//!
//! There are two ways to find a blob. Programs and inputs, which people upload, are *announced* in the Kademlia table
//! ([`Blobs::announce`]). Outputs are not, because there are thousands of small ones: the ledger names the peers that
//! have each (the worker, and the holder of its delivery). These are the *hints* for [`Blobs::fetch`].

mod checked;
mod deliver;
mod error;
mod fetch;
mod hold;
mod holdings;
mod index;
mod packs;
mod pool;
mod room;
mod sealed;
mod serve;
mod store;
#[cfg(test)]
mod tests;
mod turns;
mod writer;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

pub use meshwork_core::blobs::BLOB_BYTES_MAX;
use meshwork_core::{digest::Digest, identity::SecretKey, types::BlobRef};
use tokio::{io::AsyncRead, task::spawn_blocking};

pub use checked::{Kept, Verified};
pub use deliver::Delivered;
pub use error::{DeliverError, FetchError, StoreError};
pub use hold::{DeliveryPolicy, Refusal};
pub use holdings::{DeliveryId, Standing, Whose};
pub use index::DELIVERIES;
pub use packs::holds;
pub use room::{KeptRoom, Obligations};
pub use sealed::Seal;
pub use store::{BlobInfo, BlobStore, Quota, UPLOAD_KEPT_FOR};

use self::{fetch::Fetching, pool::Pool, sealed::Seals, serve::ServeBounds};
use crate::mesh::MeshHandle;

/// A store and the mesh, joined. Cheap to clone.
#[derive(Clone)]
pub struct Blobs(Arc<Inner>);

struct Inner {
    store: BlobStore,
    mesh: MeshHandle,
    key: SecretKey,
    fetches: Pool,
    deliveries: Pool,
    fetching: Mutex<BTreeMap<BlobRef, Fetching>>,
    obligations: OnceLock<Arc<dyn Obligations>>,
    seals: Arc<Seals>,
    /// When a search for blobs to evict last found too few; held during a search.
    searched: tokio::sync::Mutex<Option<Instant>>,
    /// Held while stored blobs are verified: the disk is everybody's.
    verifying: tokio::sync::Mutex<()>,
}

impl Blobs {
    /// Joins a store with the mesh. From now on it serves blobs, and announces again what was announced before.
    ///
    /// `key` is this peer's own; it signs deliveries.
    ///
    /// # Panics
    /// If another `Blobs` already serves on this mesh.
    #[must_use]
    pub fn start(store: BlobStore, mesh: MeshHandle, key: SecretKey) -> Self {
        Self::start_bounded(store, mesh, key, ServeBounds::default())
    }

    fn start_bounded(store: BlobStore, mesh: MeshHandle, key: SecretKey, bounds: ServeBounds) -> Self {
        let incoming = mesh.accept(mesh.protocol(serve::KIND)).expect("one `Blobs` for a mesh");
        let announced = store.announced();
        let announcer = mesh.clone();
        tokio::spawn(async move {
            for digest in announced {
                announcer.provide(digest).await;
            }
        });
        let blobs = Self(Arc::new(Inner {
            fetches: Pool::new(mesh.clone(), mesh.protocol(serve::KIND)),
            deliveries: Pool::new(mesh.clone(), mesh.protocol(hold::KIND)),
            store,
            mesh,
            key,
            fetching: Mutex::default(),
            obligations: OnceLock::new(),
            seals: Arc::default(),
            searched: tokio::sync::Mutex::default(),
            verifying: tokio::sync::Mutex::default(),
        }));
        tokio::spawn(serve::serve(incoming, blobs.clone(), bounds));
        blobs
    }

    /// Keeps blobs from other peers until the seal is opened or dropped: those of them that are not here yet. Others
    /// may have those that are, and know it.
    #[must_use]
    pub fn seal(&self, blobs: impl IntoIterator<Item = Digest>) -> Seal {
        self.0.seals.seal(blobs.into_iter().filter(|blob| !self.0.store.has(blob)).collect())
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &BlobStore {
        &self.0.store
    }

    /// Stores bytes durably.
    ///
    /// # Errors
    /// A [`StoreError`] if the blob is too large, there is no space for it, or the disk fails.
    pub async fn put(&self, bytes: Vec<u8>) -> Result<BlobRef, StoreError> {
        self.make_room(&[bytes.len() as u64]).await;
        let store = self.0.store.clone();
        blocking(move || store.put(&bytes)).await
    }

    /// Stores what a reader yields, at most `bytes_max`, durably.
    ///
    /// # Errors
    /// Those of [`Blobs::put`], and the reader's.
    pub async fn put_stream(
        &self,
        reader: impl AsyncRead + Unpin + Send,
        bytes_max: u64,
    ) -> Result<BlobRef, StoreError> {
        writer::put_stream(self, reader, bytes_max).await
    }

    /// A stored blob, checked; `None` if it is not in the store. One whose file is damaged is fetched again meanwhile,
    /// because others may rely on this peer to have it.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn check(&self, digest: Digest) -> Result<Option<Kept>, StoreError> {
        let Some(blob) = self.0.store.get(&digest) else { return Ok(None) };
        let store = self.0.store.clone();
        let kept = blocking(move || store.check(&digest)).await?;
        if kept.is_none() {
            self.fetch_again(blob);
        }
        Ok(kept)
    }

    /// Compares stored blobs with their digests ([`BlobStore::verify`]), and has damaged ones fetched again. One call waits
    /// for the other.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn verify(&self, after: Option<Digest>, bytes_max: u64) -> Result<Verified, StoreError> {
        let _alone = self.0.verifying.lock().await;
        let store = self.0.store.clone();
        let verified = blocking(move || store.verify(after, bytes_max)).await?;
        verified.damaged.iter().for_each(|blob| self.fetch_again(*blob));
        Ok(verified)
    }

    /// Fetches a damaged blob again, without waiting for it.
    fn fetch_again(&self, blob: BlobRef) {
        let blobs = self.clone();
        tokio::spawn(async move {
            if let Err(error) = blobs.fetch(blob, &[]).await {
                tracing::warn!(%error, "a damaged blob could not be fetched again");
            }
        });
    }

    /// A blob's bytes, checked; `None` if it is not in the store.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn read(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(kept) = self.check(digest).await? else { return Ok(None) };
        blocking(move || Ok(Some(std::fs::read(kept.path())?))).await
    }

    /// Announces a stored blob in the Kademlia table, now and after a restart, so that other peers find it. For
    /// uploads, not for every output.
    pub async fn announce(&self, digest: Digest) {
        if self.0.store.set_announced(&digest, true) {
            self.0.mesh.provide(digest).await;
        }
    }

    /// Removes a blob, and stops announcing it.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn remove(&self, digest: Digest) -> Result<bool, StoreError> {
        self.0.mesh.stop_providing(digest).await;
        let store = self.0.store.clone();
        blocking(move || store.remove(&digest)).await
    }
}

/// Runs work that waits for the disk on a thread where it may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(StoreError::Io(Arc::new(std::io::Error::other(error)))))
}
