//! Blobs on real disks and over real sockets.

use std::{fs, path::Path, sync::Arc};

use futures::{AsyncReadExt, AsyncWriteExt};
use meshwork_core::{
    blobs::{DeliveryAnswer, Head, Request},
    codec,
    digest::Digest,
    identity::{PublicKey, SecretKey},
    types::{
        AttemptId, AttemptNumber, BlobRef, DeliveryStatement, Height, JobId, Manifest, OutputFile, TaskId,
        TransactionId,
    },
};
use redb::Database;
use tempfile::TempDir;

use super::{BLOB_BYTES_MAX, BlobStore, Blobs, DeliverError, DeliveryPolicy, FetchError, Refusal, StoreError};
use crate::{
    disk_space::DiskSpace,
    mesh::testing::{NETWORK, TestMesh, all_connected, config, mesh, meshes, until, within},
};

const QUOTA: u64 = 64 << 20;

fn open(dir: &Path) -> BlobStore {
    let database = Arc::new(Database::create(dir.join("db")).unwrap());
    BlobStore::open(dir, database, QUOTA, DiskSpace::of(dir)).unwrap()
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
    let (store, dir) = store();
    let blobs = Blobs::start(store, mesh.handle.clone(), mesh.secret.clone());
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

// The store.

#[test]
fn a_blob_is_there_after_a_restart_and_rubbish_is_not() {
    let dir = TempDir::new().unwrap();
    let (kept, removed) = (bytes(3000, 1), bytes(10, 2));
    {
        let store = open(dir.path());
        assert_eq!(store.put(&kept).unwrap(), blob(&kept));
        assert_eq!(store.put(&kept).unwrap(), blob(&kept));
        store.put(&removed).unwrap();
        store.set_announced(&Digest::of(&kept), true);
        assert_eq!(store.bytes(), 3010);
        assert!(store.remove(&Digest::of(&removed)).unwrap());
        assert!(!store.remove(&Digest::of(&removed)).unwrap());
        fs::write(dir.path().join("blobs/new/left over"), b"half").unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.bytes(), 3000);
    assert_eq!(store.announced(), [Digest::of(&kept)]);
    assert_eq!(store.read(&Digest::of(&kept)).unwrap().unwrap(), kept);
    assert_eq!(fs::read(store.path(&Digest::of(&kept)).unwrap()).unwrap(), kept);
    assert!(store.list()[0].added_ms > 0);
    assert_eq!(fs::read_dir(dir.path().join("blobs/new")).unwrap().count(), 0);
}

#[test]
fn what_a_crash_swallowed_from_the_index_is_found_and_what_is_wrong_is_removed() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (bytes(100, 1), bytes(100, 2));
    let paths = {
        let store = open(dir.path());
        [&a, &b].map(|bytes| store.path(&store.put(bytes).unwrap().digest).unwrap())
    };
    // The index is lost altogether, and one file is not what its name says.
    fs::remove_file(dir.path().join("db")).unwrap();
    fs::write(&paths[1], b"something else").unwrap();
    let store = open(dir.path());
    assert!(store.has(&Digest::of(&a)) && !store.has(&Digest::of(&b)));
    assert!(!paths[1].exists());
    assert_eq!(store.bytes(), 100);
}

#[test]
fn a_file_that_changed_is_not_given_out() {
    let (store, _dir) = store();
    let digest = store.put(b"true").unwrap().digest;
    fs::write(store.path(&digest).unwrap(), b"fals").unwrap();
    assert!(store.read(&digest).unwrap().is_none());
    assert!(!store.has(&digest));
}

#[tokio::test]
async fn what_is_too_large_or_does_not_fit_is_refused_and_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let database = Arc::new(Database::create(dir.path().join("db")).unwrap());
    let store = BlobStore::open(dir.path(), database, 5 << 20, DiskSpace::of(dir.path())).unwrap();
    let put = |length: usize, bytes_max| {
        let store = store.clone();
        async move { super::writer::put_stream(&store, &bytes(length, 1)[..], bytes_max).await }
    };
    assert!(matches!(put(1001, 1000).await, Err(StoreError::TooLarge { bytes_max: 1000 })));
    assert!(matches!(put(6 << 20, BLOB_BYTES_MAX).await, Err(StoreError::Full { .. })));
    assert!(matches!(store.put(&vec![0; 6 << 20]), Err(StoreError::Full { .. })));
    assert_eq!((store.bytes(), store.bytes_free()), (0, 5 << 20));
    assert_eq!(fs::read_dir(dir.path().join("blobs/new")).unwrap().count(), 0);
    assert_eq!(put(4 << 20, BLOB_BYTES_MAX).await.unwrap().bytes, 4 << 20);
    assert_eq!(store.bytes_free(), 1 << 20);
}

// Fetching.

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_is_fetched_from_a_provider_that_the_table_names() {
    let nodes = nodes(3).await;
    let content = bytes(3_000_000, 1);
    let put = nodes[1].blobs.put(content.clone()).await.unwrap();
    nodes[1].blobs.announce(put.digest).await;
    until(|| nodes[1].mesh.handle.metrics().announcements == 1).await;
    let path = within(nodes[2].blobs.fetch(put, &[])).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), content);
    // Small ones too, many at once, over the streams that are there.
    let small: Vec<Vec<u8>> = (0..50).map(|seed| bytes(seed as usize * 100, seed)).collect();
    for content in &small {
        nodes[1].blobs.put(content.clone()).await.unwrap();
    }
    let hints = [nodes[1].mesh.key()];
    let fetches = small.iter().map(|content| nodes[2].blobs.fetch(blob(content), &hints));
    for (fetched, content) in within(futures::future::join_all(fetches)).await.into_iter().zip(&small) {
        assert_eq!(&fs::read(fetched.unwrap()).unwrap(), content);
    }
}

/// A peer that answers every request for a blob with what `give` writes.
async fn liar(seed: u8, join: &TestMesh, give: impl Fn(u64) -> Vec<u8> + Send + 'static) -> TestMesh {
    let liar = mesh(config(seed, &[join])).await;
    let mut incoming = liar.handle.accept(liar.handle.protocol("blob")).unwrap();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            let mut request = [0; Request::BYTES];
            if stream.read_exact(&mut request).await.is_ok() {
                let offset = u64::from_le_bytes(request[32..].try_into().unwrap());
                let _ = stream.write_all(&give(offset)).await;
                let _ = stream.close().await;
            }
        }
    });
    liar
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_of_wrong_bytes_is_passed_over_and_pays() {
    let nodes = nodes(2).await;
    let content = bytes(200_000, 1);
    let wanted = nodes[0].blobs.put(content.clone()).await.unwrap();
    let liar = liar(9, &nodes[0].mesh, |_| [&Head::Found(200_000).encode()[..], &vec![7; 200_000]].concat()).await;
    until(|| nodes[1].mesh.handle.is_connected(&liar.key())).await;
    let path = within(nodes[1].blobs.fetch(wanted, &[liar.key(), nodes[0].mesh.key()])).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), content);
    within(async { while nodes[1].mesh.score_of(&liar.key()).await > -100.0 {} }).await;
    assert_eq!(nodes[1].mesh.score_of(&nodes[0].mesh.key()).await, 0.0);
}

/// A peer that takes every request and never answers, like one that is gone but whose connections have not broken
/// yet.
async fn silent(seed: u8, join: &TestMesh) -> TestMesh {
    let silent = mesh(config(seed, &[join])).await;
    let mut incoming = silent.handle.accept(silent.handle.protocol("blob")).unwrap();
    tokio::spawn(async move {
        let mut streams = Vec::new();
        while let Some((_, stream)) = incoming.next().await {
            streams.push(stream);
        }
    });
    silent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_do_not_answer_hold_nobody_up() {
    let nodes = nodes(2).await;
    let wanted = nodes[0].blobs.put(bytes(200_000, 1)).await.unwrap();
    // Waiting for one peer after the other would take longer than this test waits.
    let mut gone = Vec::new();
    for seed in 9..14 {
        gone.push(silent(seed, &nodes[0].mesh).await);
        until(|| nodes[1].mesh.handle.is_connected(&gone[gone.len() - 1].key())).await;
    }
    let hints: Vec<PublicKey> = gone.iter().map(TestMesh::key).chain([nodes[0].mesh.key()]).collect();
    within(nodes[1].blobs.fetch(wanted, &hints)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_breaks_off_is_continued_and_one_that_was_poisoned_is_begun_again() {
    let nodes = nodes(2).await;
    let content = bytes(200_000, 1);
    let wanted = nodes[0].blobs.put(content.clone()).await.unwrap();
    // One gives half of the true bytes, the other half of wrong ones. Both then break off.
    let half = [&Head::Found(200_000).encode()[..], &content[..100_000]].concat();
    let honest = liar(8, &nodes[0].mesh, move |_| half.clone()).await;
    let poison = liar(9, &nodes[0].mesh, |_| [&Head::Found(200_000).encode()[..], &vec![7; 100_000]].concat()).await;
    for (first, again) in [(&honest, false), (&poison, true)] {
        until(|| nodes[1].mesh.handle.is_connected(&first.key())).await;
        let before = nodes[1].mesh.handle.metrics().wire_bytes_in;
        let path = within(nodes[1].blobs.fetch(wanted, &[first.key(), nodes[0].mesh.key()])).await.unwrap();
        assert_eq!(fs::read(path).unwrap(), content);
        let came = nodes[1].mesh.handle.metrics().wire_bytes_in - before;
        assert_eq!(came > 290_000, again, "{came} bytes came");
        nodes[1].blobs.remove(wanted.digest).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fetches_of_one_blob_are_one() {
    let nodes = nodes(2).await;
    let content = bytes(2_000_000, 1);
    let wanted = nodes[0].blobs.put(content.clone()).await.unwrap();
    let before = nodes[1].mesh.handle.metrics().wire_bytes_in;
    let hints = [nodes[0].mesh.key()];
    let fetches = (0..20).map(|_| nodes[1].blobs.fetch(wanted, &hints));
    assert!(within(futures::future::join_all(fetches)).await.iter().all(Result::is_ok));
    assert!(nodes[1].mesh.handle.metrics().wire_bytes_in - before < 3_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_has_and_what_may_not_be_is_an_error() {
    let nodes = nodes(2).await;
    let missing = within(nodes[1].blobs.fetch(blob(b"nobody has this"), &[])).await;
    assert!(matches!(missing, Err(FetchError::NotFound { asked: 1, wrong: 0, .. })), "{missing:?}");
    let large = BlobRef { digest: Digest::ZERO, bytes: BLOB_BYTES_MAX + 1 };
    assert!(matches!(nodes[1].blobs.fetch(large, &[]).await, Err(FetchError::TooLarge(_))));
    // One byte more or less than expected is another blob.
    let there = nodes[0].blobs.put(b"there".to_vec()).await.unwrap();
    let short = BlobRef { bytes: 4, ..there };
    assert!(within(nodes[1].blobs.fetch(short, &[nodes[0].mesh.key()])).await.is_err());
    assert!(matches!(nodes[0].blobs.fetch(short, &[]).await, Err(FetchError::WrongSize { found: 5, .. })));
    // A blob larger than the quota.
    let beyond = BlobRef { digest: Digest::ZERO, bytes: QUOTA + 1 };
    assert!(within(nodes[1].blobs.fetch(beyond, &[])).await.is_err());
}

// Deliveries.

struct Anyone;

impl DeliveryPolicy for Anyone {
    async fn accepts(&self, _: PublicKey, _: AttemptId, _: Digest, bytes: u64) -> Result<Height, Refusal> {
        if bytes > 10_000_000 { Err(Refusal("more than was promised".to_owned())) } else { Ok(Height(17)) }
    }
}

fn attempt(number: u32) -> AttemptId {
    let job: JobId = TransactionId(Digest::of(b"job")).to_string().parse().unwrap();
    AttemptId { task: TaskId { job, index: 3 }, number: AttemptNumber(number) }
}

/// Stores an output with these files, and returns its manifest and the sum of bytes.
async fn output(blobs: &Blobs, files: &[Vec<u8>]) -> (BlobRef, u64) {
    let mut manifest = Manifest { stdout: blob(b""), stderr: blob(b"warning"), files: Vec::new() };
    let mut sum = 7;
    blobs.put(Vec::new()).await.unwrap();
    blobs.put(b"warning".to_vec()).await.unwrap();
    for (n, content) in files.iter().enumerate() {
        let blob = blobs.put(content.clone()).await.unwrap();
        sum += blob.bytes;
        manifest.files.push(OutputFile { path: format!("{n}"), blob });
    }
    let encoding = codec::encode(&manifest);
    sum += encoding.len() as u64;
    (blobs.put(encoding).await.unwrap(), sum)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_held_signed_and_checked() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let files = [bytes(500, 1), bytes(2_000_000, 2), bytes(300, 3)];
    let (manifest, sum) = output(&worker.blobs, &files).await;
    for number in 0..3 {
        // The second time everything is there already.
        let delivered =
            within(worker.blobs.deliver(holder.mesh.key(), attempt(number), manifest.digest)).await.unwrap();
        let statement = DeliveryStatement { attempt: attempt(number), manifest, bytes: sum, height: Height(17) };
        assert!(delivered.bytes == sum && delivered.delivery.holder == holder.mesh.key());
        assert!(statement.is_signed_by(&delivered.delivery, &NETWORK));
    }
    assert_eq!(holder.blobs.store().bytes(), sum);
    for content in &files {
        assert_eq!(&holder.blobs.read(Digest::of(content)).await.unwrap().unwrap(), content);
    }
    // Any peer can get the output from the holder now.
    let path = within(worker.blobs.fetch(blob(&files[1]), &[])).await.unwrap();
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_may_refuse_and_goes_on() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let (large, _) = output(&worker.blobs, &[bytes(10_000_001, 1)]).await;
    let refused = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), large.digest)).await;
    let Err(DeliverError::Refused { reason, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "more than was promised");
    let missing = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), Digest::ZERO)).await;
    assert!(matches!(missing, Err(DeliverError::Missing(Digest::ZERO))));
    let no_manifest = worker.blobs.put(b"no manifest".to_vec()).await.unwrap().digest;
    let wrong = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), no_manifest)).await;
    assert!(matches!(wrong, Err(DeliverError::Manifest(..))));
    let (good, _) = output(&worker.blobs, &[bytes(1000, 2)]).await;
    within(worker.blobs.deliver(holder.mesh.key(), attempt(1), good.digest)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_bytes_are_wrong_gets_no_signature_and_pays() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let (manifest, _) = output(&worker.blobs, &[bytes(1000, 1)]).await;
    let path = worker.blobs.store().path(&Digest::of(&bytes(1000, 1))).unwrap();
    fs::write(path, bytes(1000, 2)).unwrap();
    let refused = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), manifest.digest)).await;
    assert!(matches!(refused, Err(DeliverError::Refused { .. } | DeliverError::Broken { .. })), "{refused:?}");
    within(async { while holder.mesh.score_of(&worker.mesh.key()).await > -100.0 {} }).await;
    assert!(!holder.blobs.store().has(&manifest.digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_signs_something_else_is_not_believed() {
    let meshes = meshes(2).await;
    all_connected(&meshes).await;
    let mut meshes = meshes.into_iter();
    let (liar, worker) = (meshes.next().unwrap(), node(meshes.next().unwrap()));
    let (manifest, sum) = output(&worker.blobs, &[bytes(10, 1)]).await;
    let mut incoming = liar.handle.accept(liar.handle.protocol("deliver")).unwrap();
    let secret: SecretKey = liar.secret.clone();
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            let statement = DeliveryStatement { attempt: attempt(9), manifest, bytes: sum, height: Height(1) };
            let answer = DeliveryAnswer::Stored(statement.sign(&secret, &NETWORK));
            let _ = crate::wire::write_value(&mut stream, &answer).await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let answer = within(worker.blobs.deliver(liar.key(), attempt(0), manifest.digest)).await;
    assert!(matches!(answer, Err(DeliverError::Nonsense(_))), "{answer:?}");
}
