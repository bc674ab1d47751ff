//! Blobs on real disks and over real sockets: what the tests of each subject share.

mod deliveries;
mod fetching;
mod owed;
mod packs;
mod store;

use std::{
    collections::{HashMap, HashSet},
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt,
    future::{BoxFuture, ready},
};
use meshwork_core::{
    blobs::{DeliveryAnswer, DeliveryOffer, Head, Request, cost},
    codec::{self, ByteString},
    digest::Digest,
    identity::{PublicKey, SecretKey},
    ledger::NeededBlobs,
    types::{
        AttemptId, AttemptNumber, BlobRef, DeliveryStatement, Height, JobId, Manifest, Packed, TaskId, TransactionId,
    },
};
use redb::Database;
use tempfile::TempDir;

use super::{
    BLOB_BYTES_MAX, BlobStore, Blobs, DeliverError, DeliveryId, DeliveryPolicy, FetchError, Obligations, Quota,
    Refusal, Standing, StoreError, Whose, holds, serve::ServeBounds,
};
use crate::{
    disk_space::DiskSpace,
    mesh::{
        Stream,
        testing::{NETWORK, TestMesh, all_connected, config, mesh, meshes, until, within},
    },
    metrics::Metrics,
    wire::Rate,
};

const QUOTA: Quota = Quota::of_bytes(64 << 20);

fn open(dir: &Path) -> BlobStore {
    open_with(dir, QUOTA, &Metrics::new())
}

fn open_with(dir: &Path, quota: Quota, metrics: &Arc<Metrics>) -> BlobStore {
    let database = Arc::new(Database::create(dir.join("db")).unwrap());
    BlobStore::open(dir, database, quota, DiskSpace::of(dir), Arc::clone(metrics)).unwrap()
}

/// Flips one bit of a stored blob. Its time of modification says so, even within one tick of the system's clock.
fn rot(store: &BlobStore, digest: &Digest) {
    let path = store.place(digest);
    let mut content = fs::read(&path).unwrap();
    content[0] ^= 1;
    fs::write(&path, content).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(10)).unwrap();
}

fn store() -> (BlobStore, TempDir) {
    let dir = TempDir::new().unwrap();
    (open(dir.path()), dir)
}

struct Node {
    blobs: Blobs,
    mesh: TestMesh,
    _dir: TempDir,
}

fn node(mesh: TestMesh) -> Node {
    node_bounded(mesh, ServeBounds::default())
}

fn node_with_quota(mesh: TestMesh, quota: Quota) -> Node {
    let dir = TempDir::new().unwrap();
    let store = open_with(dir.path(), quota, &Metrics::new());
    let blobs = Blobs::start(store, mesh.handle.clone(), mesh.secret.clone());
    Node { blobs, mesh, _dir: dir }
}

fn node_bounded(mesh: TestMesh, bounds: ServeBounds) -> Node {
    let (store, dir) = store();
    let blobs = Blobs::start_bounded(store, mesh.handle.clone(), mesh.secret.clone(), bounds);
    Node { blobs, mesh, _dir: dir }
}

async fn nodes(count: u8) -> Vec<Node> {
    let meshes = meshes(count).await;
    all_connected(&meshes).await;
    meshes.into_iter().map(node).collect()
}

/// Bytes that are not all equal.
fn bytes(length: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn blob(bytes: &[u8]) -> BlobRef {
    BlobRef { digest: Digest::of(bytes), bytes: bytes.len() as u64 }
}

fn attempt(number: u32) -> AttemptId {
    let job: JobId = TransactionId(Digest::of(b"job")).to_string().parse().unwrap();
    AttemptId { task: TaskId { job, index: 3 }, number: AttemptNumber(number) }
}

/// What the program of [`output`] wrote to standard error.
const STDERR: &[u8] = b"warning";

fn stderr() -> Option<BlobRef> {
    Some(blob(STDERR))
}

/// An output with these files, of which the small ones lie in a pack.
fn packed(files: &[Vec<u8>]) -> Packed {
    let files = files.iter().enumerate().map(|(n, content)| (format!("{n}"), content.clone())).collect();
    Manifest::of(Vec::new(), files, Vec::new())
}

/// Stores an output with these files, and returns its manifest and the sum of bytes.
async fn output(blobs: &Blobs, files: &[Vec<u8>]) -> (BlobRef, u64) {
    let Packed { manifest, blobs: contents } = packed(files);
    let encoding = codec::encode(&manifest);
    let sum = contents.iter().map(Vec::len).sum::<usize>() + encoding.len() + STDERR.len();
    blobs.put(STDERR.to_vec()).await.unwrap();
    for content in contents {
        blobs.put(content).await.unwrap();
    }
    (blobs.put(encoding).await.unwrap(), sum as u64)
}

/// Holds whatever is not too large.
struct Anyone;

impl DeliveryPolicy for Anyone {
    async fn accepts(&self, _: PublicKey, _: AttemptId, _: Digest, bytes: u64) -> Result<Height, Refusal> {
        if bytes > 10_000_000 { Err(Refusal("more than was promised".to_owned())) } else { Ok(Height(17)) }
    }
}
