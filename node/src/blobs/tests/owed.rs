//! What is owed, and what gives way to other blobs.

use super::*;

/// A ledger that says of deliveries and blobs what the test says. Nothing is decided, and nothing needed, if it does
/// not.
#[derive(Default)]
struct Says {
    standings: Mutex<HashMap<Digest, Standing>>,
    needed: HashSet<Digest>,
    folders: HashSet<Digest>,
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

    fn needed(&self, blobs: HashSet<Digest>) -> BoxFuture<'_, Option<NeededBlobs>> {
        let named = blobs.intersection(&self.needed).copied().collect();
        ready(Some(NeededBlobs { named, folders: self.folders.clone() })).boxed()
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
async fn what_a_needed_folder_consists_of_is_kept_though_the_ledger_names_only_its_manifest() {
    let node = node_with_quota(mesh(config(1, &[])).await, Quota { bytes_max: 40 * cost(1000), blobs_max: 6 });
    let folder = |seed: u8| packed(&[bytes(70_000, seed), bytes(10, seed)]);
    let encoded = |seed: u8| codec::encode(&folder(seed).manifest);
    let mut says = Says::default();
    says.folders.insert(Digest::of(&encoded(1)));
    says.needed.insert(Digest::of(&encoded(1)));
    node.blobs.owe(Arc::new(says));
    for seed in [1, 2] {
        for content in folder(seed).blobs.into_iter().chain([encoded(seed)]) {
            node.blobs.put(content).await.unwrap();
        }
    }
    for seed in 3..6 {
        node.blobs.put(bytes(1000, seed)).await.unwrap();
    }
    let here = |seed: u8| {
        let blobs = folder(seed).blobs.into_iter().chain([encoded(seed)]);
        blobs.filter(|content| node.blobs.store().has(&Digest::of(content))).count()
    };
    assert_eq!((here(1), here(2)), (3, 0));
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
        let Packed { manifest, blobs } = packed(&[content]);
        let manifest = worker.blobs.put_output(attempt(0), codec::encode(&manifest), blobs).await.unwrap();
        within(worker.blobs.deliver(holder.mesh.key(), attempt(0), manifest.digest, None)).await.unwrap();
        for node in &nodes {
            assert!(node.blobs.store().list().len() <= 8, "four manifests, and four packs of one file");
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
