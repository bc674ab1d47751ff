//! Outputs that another peer holds.

use super::*;

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
            within(worker.blobs.deliver(holder.mesh.key(), attempt(number), manifest.digest, stderr())).await.unwrap();
        let statement =
            DeliveryStatement { attempt: attempt(number), manifest, stderr: stderr(), bytes: sum, height: Height(17) };
        assert!(delivered.bytes == sum && delivered.delivery.holder == holder.mesh.key());
        assert!(statement.is_signed_by(&delivered.delivery, &NETWORK));
    }
    let pack = [files[0].as_slice(), &files[2]].concat();
    for content in [&pack, &files[1], STDERR] {
        assert_eq!(holder.blobs.read(Digest::of(content)).await.unwrap().unwrap(), content);
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
    let refused = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), large.digest, stderr())).await;
    let Err(DeliverError::Refused { reason, .. }) = refused else { panic!("{refused:?}") };
    assert_eq!(reason, "more than was promised");
    let missing = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), Digest::ZERO, None)).await;
    assert!(matches!(missing, Err(DeliverError::Missing(Digest::ZERO))));
    let no_manifest = worker.blobs.put(b"no manifest".to_vec()).await.unwrap().digest;
    let wrong = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), no_manifest, None)).await;
    assert!(matches!(wrong, Err(DeliverError::Manifest(..))));
    let (good, _) = output(&worker.blobs, &[bytes(1000, 2)]).await;
    within(worker.blobs.deliver(holder.mesh.key(), attempt(1), good.digest, stderr())).await.unwrap();
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
    let manifest_encoded = ByteString::from(encoding);
    let offer = DeliveryOffer { attempt: attempt(0), stderr: stderr(), bytes: sum, manifest: manifest_encoded };
    crate::wire::write_value(&mut stream, &offer).await.unwrap();
    let wrong = [&bytes(1000, 2), STDERR].concat();
    stream.write_all(&wrong).await.unwrap();
    stream.flush().await.unwrap();
    within(async { while holder.mesh.score_of(&worker.mesh.key()).await > -100.0 {} }).await;
    assert!(!holder.blobs.store().has(&manifest.digest));
}

/// What a manifest names, and what its pack has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_pack_has_other_contents_than_its_manifest_says_gets_no_signature_and_pays() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let [good, other] = [[1, 2], [1, 3]].map(|seeds| packed(&seeds.map(|seed| bytes(500, seed))));
    // The manifest of one output with the pack of another.
    let mut encoding = codec::encode(&good.manifest);
    let [named, had] = [&good, &other].map(|output| output.manifest.packs()[0].digest.0);
    let at = encoding.windows(32).position(|window| window == named).unwrap();
    encoding[at..at + 32].copy_from_slice(&had);
    for content in other.blobs {
        worker.blobs.put(content).await.unwrap();
    }
    let lying = worker.blobs.put(encoding).await.unwrap().digest;
    let refused = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), lying, None)).await;
    assert!(matches!(refused, Err(DeliverError::Refused { .. } | DeliverError::Broken { .. })), "{refused:?}");
    within(async { while holder.mesh.score_of(&worker.mesh.key()).await > -100.0 {} }).await;
    assert!(!holder.blobs.store().has(&lying) && !holder.blobs.store().has(&Digest(had)), "nothing of it is kept");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_that_rotted_is_not_delivered_and_costs_its_worker_no_score() {
    let nodes = nodes(2).await;
    let (holder, worker) = (&nodes[0], &nodes[1]);
    holder.blobs.hold(Arc::new(Anyone));
    let content = bytes(1000, 1);
    let (manifest, _) = output(&worker.blobs, std::slice::from_ref(&content)).await;
    rot(worker.blobs.store(), &Digest::of(&content));
    let lost = within(worker.blobs.deliver(holder.mesh.key(), attempt(0), manifest.digest, stderr())).await;
    assert!(matches!(lost, Err(DeliverError::Missing(digest)) if digest == Digest::of(&content)), "{lost:?}");
    // A holder whose own copy has rotted asks for it, and does not sign for what it has not.
    let (manifest, _) = output(&worker.blobs, std::slice::from_ref(&content)).await;
    holder.blobs.put(content.clone()).await.unwrap();
    rot(holder.blobs.store(), &Digest::of(&content));
    within(worker.blobs.deliver(holder.mesh.key(), attempt(1), manifest.digest, stderr())).await.unwrap();
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
            let statement =
                DeliveryStatement { attempt: attempt(9), manifest, stderr: stderr(), bytes: sum, height: Height(1) };
            let answer = DeliveryAnswer::Stored(statement.sign(&secret, &NETWORK));
            let _ = crate::wire::write_value(&mut stream, &answer).await;
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let answer = within(worker.blobs.deliver(liar.key(), attempt(0), manifest.digest, stderr())).await;
    assert!(matches!(answer, Err(DeliverError::Nonsense(_))), "{answer:?}");
}
