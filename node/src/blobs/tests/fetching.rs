//! Blobs from other peers, which may be silent, slow or lie.

use super::*;

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
