//! Blobs on real disks and over real sockets.

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
    types::{
        AttemptId, AttemptNumber, BlobRef, DeliveryStatement, Height, JobId, Manifest, OutputFile, TaskId,
        TransactionId,
    },
};
use redb::Database;
use tempfile::TempDir;

use super::{
    BLOB_BYTES_MAX, BlobStore, Blobs, DeliverError, DeliveryId, DeliveryPolicy, FetchError, Obligations, Quota,
    Refusal, Standing, StoreError, Whose, serve::ServeBounds,
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
        assert_eq!(store.used(), cost(3000) + cost(10));
        assert!(store.remove(&Digest::of(&removed)).unwrap());
        assert!(!store.remove(&Digest::of(&removed)).unwrap());
        fs::write(dir.path().join("blobs/new/left over"), b"half").unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.used(), cost(3000));
    assert_eq!(store.announced(), [Digest::of(&kept)]);
    assert_eq!(store.read(&Digest::of(&kept)).unwrap().unwrap(), kept);
    assert!(store.list()[0].added_ms > 0);
    assert_eq!(fs::read_dir(dir.path().join("blobs/new")).unwrap().count(), 0);
}

#[test]
fn what_a_crash_swallowed_from_the_index_is_found_and_what_is_wrong_is_removed() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (bytes(100, 1), bytes(100, 2));
    let paths = {
        let store = open(dir.path());
        [&a, &b].map(|bytes| store.place(&store.put(bytes).unwrap().digest))
    };
    // The index is lost altogether, and one file is not what its name says.
    fs::remove_file(dir.path().join("db")).unwrap();
    fs::write(&paths[1], b"something else").unwrap();
    let store = open(dir.path());
    assert!(store.has(&Digest::of(&a)) && !store.has(&Digest::of(&b)));
    assert!(!paths[1].exists());
    assert_eq!(store.used(), cost(100));
}

#[test]
fn a_file_that_changed_is_not_given_out_but_set_aside_counted_and_can_be_stored_again() {
    let (dir, metrics) = (TempDir::new().unwrap(), Metrics::new());
    let store = open_with(dir.path(), QUOTA, &metrics);
    let digest = store.put(b"true").unwrap().digest;
    store.set_announced(&digest, true);
    assert!(store.checked_already(&digest).is_some(), "what was just written counts as checked");
    rot(&store, &digest);
    assert!(store.checked_already(&digest).is_none());
    assert!(store.check(&digest).unwrap().is_none() && store.read(&digest).unwrap().is_none());
    assert!(!store.has(&digest) && store.used() == 0 && metrics.blobs_damaged.get() == 1);
    assert!(dir.path().join("blobs/damaged").join(digest.to_string()).exists());
    store.put(b"true").unwrap();
    assert_eq!(store.read(&digest).unwrap().unwrap(), b"true");
    assert_eq!(store.announced(), [digest], "those who look for it still find it here");
}

#[test]
fn a_file_that_rotted_while_the_peer_was_down_is_not_given_out_and_a_sound_one_is_read_once() {
    let dir = TempDir::new().unwrap();
    let [sound, rotten] = [bytes(3000, 1), bytes(3000, 2)].map(|content| {
        let store = open(dir.path());
        let digest = store.put(&content).unwrap().digest;
        (digest, store.place(&digest))
    });
    let mut content = fs::read(&rotten.1).unwrap();
    content[1000] ^= 4;
    fs::write(&rotten.1, content).unwrap();
    let store = open(dir.path());
    assert!(store.has(&rotten.0) && store.check(&rotten.0).unwrap().is_none());
    assert!(store.checked_already(&sound.0).is_none(), "nothing is known of it yet");
    assert_eq!(store.check(&sound.0).unwrap().unwrap().path(), sound.1);
    assert!(store.checked_already(&sound.0).is_some());
}

#[test]
fn of_damaged_files_only_some_are_kept() {
    let (store, dir) = store();
    for seed in 0..20 {
        let digest = store.put(&bytes(10, seed)).unwrap().digest;
        rot(&store, &digest);
        assert!(store.check(&digest).unwrap().is_none());
    }
    assert_eq!(fs::read_dir(dir.path().join("blobs/damaged")).unwrap().count(), 16);
    drop(store);
    assert!(open(dir.path()).list().is_empty(), "none of them counts as stored");
}

#[test]
fn tiny_blobs_cost_the_quota_what_they_cost_the_disk_and_an_entry() {
    let dir = TempDir::new().unwrap();
    let store = open_with(dir.path(), Quota { bytes_max: 3 * 5120, blobs_max: 100 }, &Metrics::new());
    let stored: Vec<bool> = (0..4).map(|seed| store.put(&[seed]).is_ok()).collect();
    assert_eq!(stored, [true, true, true, false]);
    assert_eq!((store.used(), store.free()), (3 * 5120, 0));
}

#[test]
fn there_are_at_most_so_many_blobs() {
    let dir = TempDir::new().unwrap();
    let store = open_with(dir.path(), Quota { blobs_max: 2, ..QUOTA }, &Metrics::new());
    assert!(store.put_all(&[b"1", b"2"]).is_ok());
    assert!(matches!(store.put(b"3"), Err(StoreError::TooMany(2))));
    store.remove(&Digest::of(b"1")).unwrap();
    assert!(store.put(b"3").is_ok());
}

#[tokio::test]
async fn what_is_too_large_or_does_not_fit_is_refused_and_leaves_nothing() {
    let quota = 5 << 20;
    let node = node_with_quota(mesh(config(1, &[])).await, Quota::of_bytes(quota));
    let store = node.blobs.store();
    let put = |length: usize, bytes_max| {
        let blobs = node.blobs.clone();
        async move { super::writer::put_stream(&blobs, &bytes(length, 1)[..], bytes_max).await }
    };
    assert!(matches!(put(1001, 1000).await, Err(StoreError::TooLarge { bytes_max: 1000 })));
    assert!(matches!(put(6 << 20, BLOB_BYTES_MAX).await, Err(StoreError::Full { .. })));
    assert!(matches!(store.put(&vec![0; 6 << 20]), Err(StoreError::Full { .. })));
    assert_eq!((store.used(), store.free()), (0, quota));
    assert_eq!(fs::read_dir(node._dir.path().join("blobs/new")).unwrap().count(), 0);
    assert_eq!(put(4 << 20, BLOB_BYTES_MAX).await.unwrap().bytes, 4 << 20);
    assert_eq!(store.free(), quota - cost(4 << 20));
}

// What is owed, and room.

/// A ledger that says of deliveries and blobs what the test says. Nothing is decided, and nothing needed, if it does
/// not.
#[derive(Default)]
struct Says {
    standings: Mutex<HashMap<Digest, Standing>>,
    needed: HashSet<Digest>,
}

impl Says {
    fn of(&self, manifest: BlobRef, standing: Standing) {
        self.standings.lock().unwrap().insert(manifest.digest, standing);
    }
}

impl Obligations for Says {
    fn standings(&self, deliveries: Vec<DeliveryId>) -> BoxFuture<'_, Option<Vec<Standing>>> {
        let says = self.standings.lock().unwrap();
        let standing = |id: &DeliveryId| says.get(&id.manifest).copied().unwrap_or(Standing::Undecided);
        ready(Some(deliveries.iter().map(standing).collect())).boxed()
    }

    fn needed(&self, blobs: HashSet<Digest>) -> BoxFuture<'_, Option<HashSet<Digest>>> {
        ready(Some(blobs.intersection(&self.needed).copied().collect())).boxed()
    }
}

/// A node that holds 8 small blobs: one that is needed, one that was uploaded, one that is part of an output
/// with its manifest, and four more.
async fn full(obligations: Option<Says>) -> (Node, Vec<Digest>) {
    let quota = Quota { bytes_max: 8 * cost(1000), blobs_max: 100 };
    let node = node_with_quota(mesh(config(1, &[])).await, quota);
    let contents: Vec<Vec<u8>> = (0..7).map(|seed| bytes(1000, seed)).collect();
    let digests: Vec<Digest> = contents.iter().map(|content| Digest::of(content)).collect();
    if let Some(mut says) = obligations {
        says.needed.insert(digests[0]);
        node.blobs.owe(Arc::new(says));
    }
    node.blobs.put_output(attempt(0), bytes(100, 9), vec![contents[2].clone()]).await.unwrap();
    for content in &contents {
        node.blobs.put(content.clone()).await.unwrap();
    }
    node.blobs.announce(digests[1]).await;
    assert_eq!(node.blobs.store().free(), 0);
    (node, digests)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_store_evicts_what_nobody_is_owed_the_least_recently_used_first() {
    let (node, digests) = full(Some(Says::default())).await;
    // Each but the fifth and the last is owed, in use, or was used since.
    let in_use = node.blobs.check(digests[3]).await.unwrap().unwrap();
    drop(node.blobs.check(digests[6]).await.unwrap());
    node.blobs.put(bytes(1000, 7)).await.unwrap();
    let here = |node: &Node| digests.iter().map(|digest| node.blobs.store().has(digest)).collect::<Vec<_>>();
    assert_eq!(here(&node), [true, true, true, true, false, false, true]);
    node.blobs.put(bytes(1000, 8)).await.unwrap();
    node.blobs.put(bytes(1000, 10)).await.unwrap();
    assert_eq!(here(&node), [true, true, true, true, false, false, false]);
    drop(in_use);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_know_what_is_owed_refuses_and_gives_up_nothing() {
    let (node, digests) = full(None).await;
    assert!(matches!(node.blobs.put(bytes(1000, 7)).await, Err(StoreError::Full { .. })));
    node.blobs.reconsider(Whose::All).await;
    assert!(digests.iter().all(|digest| node.blobs.store().has(digest)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_superseded_checkpoint_goes_at_once_and_all_goes_when_it_is_owed_to_nobody() {
    let node = node(mesh(config(1, &[])).await);
    let says = Arc::new(Says::default());
    node.blobs.owe(says.clone());
    let shared = bytes(100, 9);
    let mut saved = Vec::new();
    for seed in 0..3 {
        let contents = vec![shared.clone(), bytes(1000, seed)];
        saved.push(node.blobs.put_output(attempt(0), bytes(50, 20 + seed), contents).await.unwrap());
    }
    says.of(saved[1], Standing::Accepted);
    node.blobs.reconsider(Whose::Task(attempt(0).task)).await;
    let here = || (0..3).map(|seed| node.blobs.store().has(&Digest::of(&bytes(1000, seed)))).collect::<Vec<_>>();
    assert_eq!(here(), [false, true, true]);
    assert!(node.blobs.store().has(&Digest::of(&shared)));
    saved.iter().for_each(|manifest| says.of(*manifest, Standing::Unowed));
    node.blobs.reconsider(Whose::Job(attempt(0).task.job)).await;
    assert_eq!((node.blobs.store().used(), node.blobs.store().list()), (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_attempt_that_delivers_for_ever_and_reports_nothing_fills_no_store() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    for node in &nodes {
        node.blobs.owe(Arc::new(Says::default()));
    }
    for seed in 0..12 {
        let content = bytes(10_000, seed);
        let file = OutputFile { path: "saved".to_owned(), blob: blob(&content) };
        let manifest = codec::encode(&Manifest { stdout: blob(b""), stderr: blob(b""), files: vec![file] });
        let manifest = worker.blobs.put_output(attempt(0), manifest, vec![Vec::new(), content]).await.unwrap();
        within(worker.blobs.deliver(holder.mesh.key(), attempt(0), manifest.digest)).await.unwrap();
        for node in &nodes {
            assert!(node.blobs.store().list().len() <= 9, "four manifests, four files and the empty blob");
            assert!(node.blobs.store().has(&manifest.digest), "the newest is here");
        }
    }
}

#[test]
fn after_a_restart_it_is_known_what_is_owed_and_what_the_index_has_lost_is_kept_for_a_day() {
    let dir = TempDir::new().unwrap();
    let id = DeliveryId { attempt: attempt(0), manifest: Digest::of(b"manifest") };
    let cached = {
        let store = open(dir.path());
        assert!(store.hold(id, vec![Digest::of(b"part")]) && !store.hold(id, vec![Digest::of(b"part")]));
        store.put_all(&[b"part", b"manifest", b"cached"]).unwrap()[2].digest
    };
    {
        let store = open(dir.path());
        assert_eq!(store.deliveries_of(Whose::All), [id]);
        assert_eq!(store.evictable(), [cached]);
        store.give_up(&[id]).unwrap();
    }
    fs::remove_file(dir.path().join("db")).unwrap();
    let store = open(dir.path());
    assert_eq!(store.list().len(), 1, "what was given up does not come back");
    assert!(store.has(&cached) && store.evictable().is_empty());
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
    assert_eq!(fs::read(path.path()).unwrap(), content);
    // Small ones too, many at once, over the streams that are there.
    let small: Vec<Vec<u8>> = (0..50).map(|seed| bytes(seed as usize * 100, seed)).collect();
    for content in &small {
        nodes[1].blobs.put(content.clone()).await.unwrap();
    }
    let hints = [nodes[1].mesh.key()];
    let fetches = small.iter().map(|content| nodes[2].blobs.fetch(blob(content), &hints));
    for (fetched, content) in within(futures::future::join_all(fetches)).await.into_iter().zip(&small) {
        assert_eq!(&fs::read(fetched.unwrap().path()).unwrap(), content);
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
    assert_eq!(fs::read(path.path()).unwrap(), content);
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
        assert_eq!(fs::read(path.path()).unwrap(), content);
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
async fn an_input_that_rotted_is_fetched_again_before_it_is_used() {
    let nodes = nodes(2).await;
    let content = bytes(300_000, 1);
    for node in &nodes {
        node.blobs.put(content.clone()).await.unwrap();
    }
    let wanted = blob(&content);
    for _ in 0..2 {
        rot(nodes[1].blobs.store(), &wanted.digest);
        let kept = within(nodes[1].blobs.fetch(wanted, &[])).await.unwrap();
        assert_eq!(fs::read(kept.path()).unwrap(), content);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_whose_disk_rotted_sends_nothing_wrong_keeps_its_score_and_gets_the_blob_back() {
    let nodes = nodes(3).await;
    let content = bytes(300_000, 1);
    for node in &nodes[..2] {
        node.blobs.put(content.clone()).await.unwrap();
    }
    let wanted = blob(&content);
    rot(nodes[0].blobs.store(), &wanted.digest);
    let hints = [nodes[0].mesh.key(), nodes[1].mesh.key()];
    let kept = within(nodes[2].blobs.fetch(wanted, &hints)).await.unwrap();
    assert_eq!(fs::read(kept.path()).unwrap(), content);
    until(|| nodes[0].blobs.store().check(&wanted.digest).unwrap().is_some()).await;
    assert_eq!(nodes[2].mesh.score_of(&nodes[0].mesh.key()).await, 0.0);
}

/// Bounds under which a reader is slow that reads nothing for half a second.
const STRICT: ServeBounds = ServeBounds {
    serves_max: 4,
    peer_serves_max: 2,
    turn_max: Duration::from_secs(10),
    rate: Rate { after: Duration::from_millis(500), bytes_per_second: 64 << 20 },
};

/// A peer that asks for a blob on some streams and reads no answer.
async fn reads_nothing(seed: u8, from: &TestMesh, wanted: BlobRef, streams: usize) -> (TestMesh, Vec<Stream>) {
    let idle = mesh(config(seed, &[from])).await;
    until(|| idle.handle.is_connected(&from.key())).await;
    let mut open = Vec::new();
    for _ in 0..streams {
        let mut stream = idle.handle.open_stream(from.key(), idle.handle.protocol("blob")).await.unwrap();
        stream.write_all(&Request { digest: wanted.digest, offset: 0 }.encode()).await.unwrap();
        stream.flush().await.unwrap();
        open.push(stream);
    }
    (idle, open)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_hold_nobody_up_and_are_dropped_and_pay() {
    let mut meshes = meshes(2).await.into_iter();
    let holder = node_bounded(meshes.next().unwrap(), STRICT);
    let honest = node(meshes.next().unwrap());
    let content = bytes(8 << 20, 1);
    let wanted = holder.blobs.put(content.clone()).await.unwrap();
    let (slow, mut streams) = reads_nothing(9, &holder.mesh, wanted, 8).await;
    let kept = within(honest.blobs.fetch(wanted, &[holder.mesh.key()])).await.unwrap();
    assert_eq!(fs::read(kept.path()).unwrap(), content);
    within(async { while holder.mesh.score_of(&slow.key()).await > -40.0 {} }).await;
    assert_eq!(holder.mesh.score_of(&honest.mesh.key()).await, 0.0);
    let mut rest = Vec::new();
    let read = within(streams[0].read_to_end(&mut rest)).await;
    assert!(read.is_err() || rest.len() < content.len(), "the stream was closed before its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_a_holder_busy_goes_to_the_next_and_without_one_knows_that_the_blob_is_not_gone() {
    let mut meshes = meshes(3).await.into_iter();
    let patient = Rate { after: Duration::from_secs(60), ..Rate::LEAST };
    let bounds = ServeBounds { serves_max: 1, turn_max: Duration::from_millis(50), rate: patient, ..STRICT };
    let busy = node_bounded(meshes.next().unwrap(), bounds);
    let [other, honest] = [(); 2].map(|()| node(meshes.next().unwrap()));
    let content = bytes(8 << 20, 1);
    let wanted = busy.blobs.put(content.clone()).await.unwrap();
    let _slow = reads_nothing(9, &busy.mesh, wanted, 1).await;
    until(|| honest.mesh.handle.is_connected(&busy.mesh.key())).await;
    let in_vain = within(honest.blobs.fetch(wanted, &[busy.mesh.key()])).await;
    assert!(matches!(in_vain, Err(FetchError::Unanswered { .. })), "{in_vain:?}");
    other.blobs.put(content.clone()).await.unwrap();
    until(|| honest.mesh.handle.is_connected(&other.mesh.key())).await;
    let hints = [busy.mesh.key(), other.mesh.key()];
    let kept = within(honest.blobs.fetch(wanted, &hints)).await.unwrap();
    assert_eq!(fs::read(kept.path()).unwrap(), content);
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
    let beyond = BlobRef { digest: Digest::ZERO, bytes: QUOTA.bytes_max + 1 };
    assert!(within(nodes[1].blobs.fetch(beyond, &[])).await.is_err());
}

// Deliveries.

struct Anyone;

impl DeliveryPolicy for Anyone {
    async fn accepts(&self, _: PublicKey, _: AttemptId, _: Digest, bytes: u64, _: u64) -> Result<Height, Refusal> {
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
    for content in &files {
        assert_eq!(&holder.blobs.read(Digest::of(content)).await.unwrap().unwrap(), content);
    }
    // Any peer can get the output from the holder now.
    let path = within(worker.blobs.fetch(blob(&files[1]), &[])).await.unwrap();
    assert!(path.path().exists());
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
    let (manifest, sum) = output(&worker.blobs, &[bytes(1000, 1)]).await;
    let encoding = worker.blobs.read(manifest.digest).await.unwrap().unwrap();
    let handle = &worker.mesh.handle;
    let mut stream = within(handle.open_stream(holder.mesh.key(), handle.protocol("deliver"))).await.unwrap();
    let offer = DeliveryOffer { attempt: attempt(0), bytes: sum, manifest: ByteString::from(encoding) };
    crate::wire::write_value(&mut stream, &offer).await.unwrap();
    let wrong = [&b"warning"[..], &bytes(1000, 2)].concat();
    stream.write_all(&wrong).await.unwrap();
    stream.flush().await.unwrap();
    within(async { while holder.mesh.score_of(&worker.mesh.key()).await > -100.0 {} }).await;
    assert!(!holder.blobs.store().has(&manifest.digest));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_rotted_is_not_delivered_and_costs_its_worker_no_score() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let content = bytes(1000, 1);
    let (manifest, _) = output(&worker.blobs, std::slice::from_ref(&content)).await;
    rot(worker.blobs.store(), &Digest::of(&content));
    let lost = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), manifest.digest)).await;
    assert!(matches!(lost, Err(DeliverError::Missing(digest)) if digest == Digest::of(&content)), "{lost:?}");
    // A holder whose own copy has rotted asks for it, and does not sign for what it has not.
    let (manifest, _) = output(&worker.blobs, std::slice::from_ref(&content)).await;
    holder.blobs.put(content.clone()).await.unwrap();
    rot(holder.blobs.store(), &Digest::of(&content));
    within(worker.blobs.deliver(holder.mesh.key(), attempt(1), manifest.digest)).await.unwrap();
    assert_eq!(holder.blobs.read(Digest::of(&content)).await.unwrap().unwrap(), content);
    assert_eq!(holder.mesh.score_of(&worker.mesh.key()).await, 0.0);
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
