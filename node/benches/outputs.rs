//! What it takes to keep an output of many small files at two peers: `cargo bench -p meshwork-node --bench outputs
//! [FILES [BYTES]]`.
//!
//! Two peers on loopback, with real stores. One stores the output and delivers it to the other, as a worker does. Beside
//! that stands what it would take at least if each file were a blob of its own: the same two stores, without the way
//! between them. The store syncs each file, and each directory that got one.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_core::{
    codec,
    digest::Digest,
    identity::{NetworkId, PublicKey, SecretKey},
    types::{AttemptId, AttemptNumber, Height, JobId, Manifest, Packed, TaskId},
};
use meshwork_node::{
    blobs::{BlobStore, Blobs, DeliveryPolicy, Quota, Refusal},
    disk_space::DiskSpace,
    mesh::{MeshConfig, MeshHandle, start},
    metrics::Metrics,
};
use redb::Database;
use tempfile::TempDir;

/// How many outputs are measured.
const ROUNDS: u32 = 20;

struct Peer {
    mesh: MeshHandle,
    blobs: Blobs,
    directory: TempDir,
}

impl Peer {
    async fn start(seed: u8, join: Option<&Self>) -> Self {
        let mut config = MeshConfig::new(SecretKey::from_seed([seed; 32]), NetworkId([7; 32]));
        config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
        config.peers = join.iter().map(|peer| peer.mesh.listen_addresses()[0].clone()).collect();
        let key = config.key.clone();
        let (mesh, mut events) = start(config).await.expect("it starts");
        tokio::spawn(async move { while events.recv().await.is_some() {} });
        let directory = tempfile::tempdir().expect("a directory");
        let database = Arc::new(Database::create(directory.path().join("index")).expect("an index"));
        let space = DiskSpace::of(directory.path());
        let store = BlobStore::open(directory.path(), database, Quota::of_bytes(1 << 30), space, Metrics::new());
        let blobs = Blobs::start(store.expect("a store"), mesh.clone(), key);
        Self { mesh, blobs, directory }
    }

    /// Its blobs, and the directories that they are in.
    fn kept(&self) -> (usize, usize) {
        let directories = fs::read_dir(self.directory.path().join("blobs")).expect("readable");
        let files = |path: &Path| fs::read_dir(path).expect("readable").count();
        let counts: Vec<usize> = directories.map(|entry| files(&entry.expect("an entry").path())).collect();
        (counts.iter().sum(), counts.iter().filter(|count| **count > 0).count())
    }
}

/// Holds everything.
struct Anything;

impl DeliveryPolicy for Anything {
    async fn accepts(&self, _: PublicKey, _: AttemptId, _: Digest, _: u64) -> Result<Height, Refusal> {
        Ok(Height(1))
    }
}

/// The files of one round. No two have the same content.
fn files(round: u32, count: u32, bytes: usize) -> Vec<(String, Vec<u8>)> {
    let content = |number: u32| {
        let mut content = vec![0; bytes];
        let seed = [round.to_le_bytes(), number.to_le_bytes()].concat();
        blake3::Hasher::new().update(&seed).finalize_xof().fill(&mut content);
        content
    };
    (0..count).map(|number| (format!("{number:05}"), content(number))).collect()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1000.0
}

/// The syncs of putting blobs with these digests into one store together.
fn syncs<'a>(digests: impl Iterator<Item = &'a Digest>) -> usize {
    let digests: BTreeSet<&Digest> = digests.collect();
    let directories: BTreeSet<u8> = digests.iter().map(|digest| digest.0[0]).collect();
    digests.len() + directories.len()
}

#[tokio::main]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let (count, bytes) = (numbers.next().unwrap_or(500), numbers.next().unwrap_or(170) as usize);
    println!("an output of {count} files of {bytes} bytes, at each of two peers");

    let worker = Peer::start(1, None).await;
    let holder = Peer::start(2, Some(&worker)).await;
    holder.blobs.hold(Arc::new(Anything));
    while !worker.mesh.is_connected(&holder.mesh.key()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (mut stored, mut delivered, mut synced) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let attempt = AttemptId { task: TaskId { job: JobId(Digest::ZERO), index: round }, number: AttemptNumber(0) };
        let files = files(round, count, bytes);
        let began = Instant::now();
        let Packed { manifest, blobs } = Manifest::of(b"done\n".to_vec(), files, Vec::new());
        let encoding = codec::encode(&manifest);
        let digests: Vec<Digest> = blobs.iter().chain([&encoding]).map(|blob| Digest::of(blob)).collect();
        synced += syncs(digests.iter());
        let manifest = worker.blobs.put_output(attempt, encoding, blobs).await.expect("stored");
        stored.push(began.elapsed());
        let began = Instant::now();
        worker.blobs.deliver(holder.mesh.key(), attempt, manifest.digest, None).await.expect("delivered");
        delivered.push(began.elapsed());
    }
    let rounds = ROUNDS as usize;
    println!(
        "in packs: {} blobs, {} syncs, stored in {:.1} ms, delivered in {:.1} ms",
        holder.kept().0 / rounds,
        synced / rounds,
        median(stored),
        median(delivered)
    );

    let [one, other] = [Peer::start(3, None).await, Peer::start(4, None).await];
    let (mut stored, mut again, mut synced) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let files = files(round, count, bytes);
        let contents: Vec<&[u8]> = files.iter().map(|(_, content)| content.as_slice()).collect();
        let digests: Vec<Digest> = contents.iter().map(|content| Digest::of(content)).collect();
        synced += syncs(digests.iter());
        for (peer, times) in [(&one, &mut stored), (&other, &mut again)] {
            let began = Instant::now();
            peer.blobs.store().put_all(&contents).expect("stored");
            times.push(began.elapsed());
        }
    }
    println!(
        "each a blob: {} blobs, {} syncs, stored in {:.1} ms, and in {:.1} ms by the other",
        other.kept().0 / rounds,
        synced / rounds,
        median(stored),
        median(again)
    );
}
