//! Outputs of many small files.

use super::*;

/// So many files, no two of which are equal.
fn tiny(count: usize, seed: u8) -> Vec<Vec<u8>> {
    bytes(count * 170, seed).chunks(170).map(<[u8]>::to_vec).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_outputs_of_a_thousand_tiny_files_do_not_come_near_the_most_blobs_of_a_store() {
    let quota = Quota { blobs_max: 300, ..QUOTA };
    let mut meshes = meshes(2).await.into_iter();
    let [holder, worker] = [(); 2].map(|()| node_with_quota(meshes.next().unwrap(), quota));
    all_connected_to(&holder, &worker).await;
    holder.blobs.hold(Arc::new(Anyone));
    for number in 0..100 {
        let Packed { manifest, blobs } = packed(&tiny(1000, number));
        let stored = worker.blobs.put_output(attempt(number.into()), codec::encode(&manifest), blobs).await.unwrap();
        let delivered = worker.blobs.deliver(holder.mesh.key(), attempt(number.into()), stored.digest, None);
        within(delivered).await.unwrap();
    }
    for node in [&holder, &worker] {
        assert_eq!(node.blobs.store().list().len(), 200, "a manifest and a pack of each");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pack_that_rotted_is_set_aside_and_fetched_anew_and_has_every_file() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let files = tiny(1000, 1);
    let Packed { manifest, blobs } = packed(&files);
    let stored = worker.blobs.put_output(attempt(0), codec::encode(&manifest), blobs).await.unwrap();
    within(worker.blobs.deliver(holder.mesh.key(), attempt(0), stored.digest, None)).await.unwrap();
    let pack = manifest.packs()[0];
    rot(holder.blobs.store(), &pack.digest);
    let kept = Arc::new(within(holder.blobs.fetch(pack, &[])).await.unwrap());
    let damaged = kept.path().parent().unwrap().parent().unwrap().join("damaged").join(pack.digest.to_string());
    assert!(damaged.exists(), "it was set aside");
    let pieces = manifest.pieces();
    assert!(holds(Arc::clone(&kept), pieces.values().copied().collect()).await.unwrap());
    let content = fs::read(kept.path()).unwrap();
    for (file, expected) in manifest.files().iter().zip(sorted(&files)) {
        let at = pieces[&file.content.digest].offset as usize;
        assert!(content[at..at + 170] == *expected, "{}", file.path);
    }
    assert_eq!(holder.mesh.score_of(&worker.mesh.key()).await, 0.0);
}

/// The files of [`packed`], in the order of their names.
fn sorted(files: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    let mut named: Vec<_> = files.iter().enumerate().map(|(number, file)| (number.to_string(), file)).collect();
    named.sort();
    named.into_iter().map(|(_, file)| file).collect()
}

async fn all_connected_to(one: &Node, other: &Node) {
    until(|| one.mesh.handle.is_connected(&other.mesh.key()) && other.mesh.handle.is_connected(&one.mesh.key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_has_or_hears_of_what_is_sealed_until_it_is_opened() {
    let nodes = nodes(2).await;
    let (other, worker) = (&nodes[0], &nodes[1]);
    worker.blobs.hold(Arc::new(Anyone));
    let large = bytes(2 << 20, 1);
    let Packed { manifest, blobs } = packed(std::slice::from_ref(&large));
    let encoding = codec::encode(&manifest);
    let named = [blob(&large), blob(&encoding)];
    let seal = worker.blobs.seal(named.map(|blob| blob.digest));
    worker.blobs.put_output(attempt(0), encoding.clone(), blobs.clone()).await.unwrap();
    assert!(worker.blobs.store().newest(1 << 20, 64).is_empty(), "claims name what people stored, not outputs");
    for blob in named {
        within(other.blobs.fetch(blob, &[worker.mesh.key()])).await.unwrap_err();
    }
    // Who offers the same has it taken, as if it were not there.
    let offered = other.blobs.put_output(attempt(1), encoding, blobs).await.unwrap();
    within(other.blobs.deliver(worker.mesh.key(), attempt(1), offered.digest, None)).await.unwrap();
    seal.open();
    other.blobs.remove(named[0].digest).await.unwrap();
    within(other.blobs.fetch(named[0], &[worker.mesh.key()])).await.unwrap();
}
