//! The mesh over real sockets on loopback.

mod stranger;
mod strangers;

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use meshwork_core::{
    digest::Digest,
    identity::{NetworkId, SecretKey},
};
use tokio::time::timeout;

use super::{
    Acceptance, MeshConfig, MeshError, MeshEvent, OpenError, Topic, Versions, start,
    testing::{NETWORK, TestMesh, all_connected, config, gossip_flows, mesh, meshes, until, within},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_join_by_one_find_each_other() {
    let meshes = meshes(4).await;
    all_connected(&meshes).await;
    let peers = meshes[3].handle.peers().await;
    assert_eq!(peers.len(), 3);
    assert!(peers.iter().all(|peer| peer.agent.starts_with("meshwork/")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_meet_over_quic_and_by_name_too() {
    let mut settings = config(1, &[]);
    settings.listen = vec!["/ip4/127.0.0.1/udp/0/quic-v1".parse().unwrap(), "/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    let a = mesh(settings).await;
    let addresses = a.handle.listen_addresses();
    let quic = addresses.iter().find(|address| address.to_string().contains("quic")).unwrap();
    let tcp = addresses.iter().find(|address| address.to_string().contains("tcp")).unwrap();
    let mut by_quic = config(2, &[]);
    by_quic.peers = vec![quic.clone()];
    let mut by_name = config(3, &[]);
    by_name.peers = vec![tcp.to_string().replace("/ip4/127.0.0.1", "/dns4/localhost").parse().unwrap()];
    let (b, c) = (mesh(by_quic).await, mesh(by_name).await);
    until(|| a.handle.is_connected(&b.key()) && a.handle.is_connected(&c.key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_whose_bootstrap_starts_later_still_joins_and_joins_again_when_it_comes_back() {
    // A port that is free now, and on which nothing listens yet.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let mut joining = config(2, &[]);
    joining.peers = vec![address];
    let early = mesh(joining).await;
    until(|| early.handle.metrics().dials_failed > 0).await;
    let late = || {
        let mut settings = config(1, &[]);
        settings.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
        mesh(settings)
    };
    let bootstrap = late().await;
    until(|| early.handle.is_connected(&bootstrap.key())).await;
    let key = bootstrap.key();
    bootstrap.handle.stop().await;
    until(|| !early.handle.is_connected(&key)).await;
    let again = late().await;
    until(|| early.handle.is_connected(&again.key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_notices_another_process_with_its_own_key_and_does_not_take_itself_for_one() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address: libp2p::Multiaddr = format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap();
    let mut first = config(1, &[]);
    (first.listen, first.peers) = (vec![address.clone()], vec![address.clone()]);
    let first = mesh(first).await;
    let mut second = config(1, &[]);
    second.peers = vec![address];
    let second = mesh(second).await;
    until(|| first.handle.twin().is_some() && second.handle.twin().is_some()).await;
    assert!(first.handle.twin().is_some_and(|sentence| sentence.contains("dials this one from")));
    assert!(second.handle.twin().is_some_and(|sentence| sentence.contains("answers at")));
    assert_eq!(first.handle.metrics().dials_failed, 0, "it does not dial itself");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_is_found_and_kept_without_being_told_its_address() {
    let hub = mesh(config(1, &[])).await;
    let mut wanting = config(2, &[&hub]);
    wanting.authorities = vec![SecretKey::from_seed([3; 32]).public()];
    // Too few peers to be looked for by count.
    wanting.peers_wanted = 0;
    let wanting = mesh(wanting).await;
    until(|| wanting.handle.is_connected(&hub.key())).await;
    let authority = mesh(config(3, &[&hub])).await;
    until(|| wanting.handle.is_connected(&authority.key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_of_another_network_are_turned_away() {
    let a = mesh(config(1, &[])).await;
    let mut other = config(2, &[&a]);
    other.network = NetworkId([8; 32]);
    let b = mesh(other).await;
    until(|| a.handle.metrics().foreign_peers > 0 || b.handle.metrics().foreign_peers > 0).await;
    until(|| a.handle.metrics().connections_closed > 0).await;
    assert!(a.handle.connected().is_empty() && b.handle.connected().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_without_a_common_version_part_and_each_is_told_who_is_to_be_upgraded() {
    let old = mesh(config(1, &[])).await;
    let mut newer = config(2, &[&old]);
    let next = Versions::OWN.newest + 1;
    newer.versions = Versions { lowest: next, newest: next + 1 };
    let new = mesh(newer).await;
    until(|| old.handle.apart().is_some() && new.handle.apart().is_some()).await;
    for (mesh, words) in [(&old, "this program is to be upgraded"), (&new, "that peer is to be upgraded")] {
        assert!(mesh.handle.apart().is_some_and(|why| why.contains(words)));
        assert!(mesh.handle.connected().is_empty());
    }
    let mut between = config(3, &[&old, &new]);
    between.versions = Versions { lowest: Versions::OWN.newest, newest: next };
    let between = mesh(between).await;
    until(|| between.handle.connected().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_reaches_everyone_once_however_often_it_is_published() {
    let mut meshes = meshes(3).await;
    all_connected(&meshes).await;
    gossip_flows(&mut meshes).await;
    for (topic, bytes) in [(Topic::Blocks, vec![1; 300_000]), (Topic::Finalizations, vec![2; 50])] {
        let before = meshes[0].handle.metrics().gossip_duplicates;
        for _ in 0..3 {
            meshes[0].handle.publish(topic, bytes.clone());
        }
        for mesh in &mut meshes[1..] {
            // What showed that gossip flows may have been sent more than once.
            let (got_topic, got, id) = loop {
                let (topic, bytes, _, id) = mesh.gossip().await;
                if topic != Topic::Transactions {
                    break (topic, bytes, id);
                }
            };
            assert!(got_topic == topic && got == bytes);
            mesh.handle.judge(id, Acceptance::Accept);
        }
        until(|| meshes[0].handle.metrics().gossip_duplicates == before + 2).await;
    }
    // A second copy would arrive before this.
    meshes[0].handle.publish(Topic::Blocks, vec![3]);
    for mesh in &mut meshes[1..] {
        assert_eq!(mesh.gossip().await.1, [3]);
    }
}

/// A chain a - b - c in which a and c know nothing of each other.
async fn chain() -> [TestMesh; 3] {
    let limited = |seed, join: &[&TestMesh]| {
        let mut settings = config(seed, join);
        settings.peers_wanted = 0;
        settings
    };
    let b = mesh(limited(2, &[])).await;
    // A peer that does not listen cannot be dialled, so the two ends never connect.
    let end = |seed| {
        let mut settings = limited(seed, &[&b]);
        settings.listen = Vec::new();
        mesh(settings)
    };
    let (a, c) = (end(1).await, end(3).await);
    until(|| b.handle.connected().len() == 2).await;
    [a, b, c]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejected_gossip_goes_no_further_and_costs_its_sender() {
    let mut chain = chain().await;
    // Both links carry gossip once the middle has accepted what went over them.
    for end in [0, 2] {
        let mut attempt = 0u8;
        within(async {
            loop {
                attempt += 1;
                chain[end].handle.publish(Topic::Blocks, vec![end as u8, attempt]);
                if timeout(Duration::from_millis(300), chain[1].gossip()).await.is_ok() {
                    return;
                }
            }
        })
        .await;
    }
    let [a, b, c] = &mut chain;
    a.handle.publish(Topic::Blocks, b"bad".to_vec());
    loop {
        let (_, bytes, from, id) = b.gossip().await;
        if bytes == b"bad" {
            assert_eq!(from, a.key());
            b.handle.judge(id, Acceptance::Reject);
            break;
        }
    }
    a.handle.publish(Topic::Blocks, b"good".to_vec());
    let (_, bytes, _, id) = b.gossip().await;
    assert_eq!(bytes, b"good");
    b.handle.judge(id, Acceptance::Accept);
    // If the bad one were passed on, it would arrive first.
    assert_eq!(c.gossip().await.1, b"good");
    within(async { while b.score_of(&a.key()).await > -5.0 {} }).await;
    assert_eq!(b.score_of(&c.key()).await, 0.0);
    assert_eq!(b.handle.metrics().gossip_rejected, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn penalties_lower_the_score_and_end_in_a_ban() {
    let meshes = meshes(2).await;
    all_connected(&meshes).await;
    let [a, b] = &meshes[..] else { unreachable!() };
    a.handle.penalize(b.key(), 100);
    within(async { while a.score_of(&b.key()).await > -50.0 {} }).await;
    assert!(a.handle.is_connected(&b.key()));
    a.handle.penalize(b.key(), 1000);
    until(|| !a.handle.is_connected(&b.key())).await;
    until(|| !b.handle.is_connected(&a.key())).await;
    assert_eq!(a.handle.metrics().peers_banned, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn direct_messages_come_in_order_and_whole() {
    let mut meshes = meshes(2).await;
    let (to, from) = (meshes[1].key(), meshes[0].key());
    let message = |n: u32| vec![n as u8; 1 + (n as usize * 37) % 9000];
    // Sent before there is a connection: the messages wait for it.
    for n in 0..2000 {
        meshes[0].handle.send(to, message(n));
    }
    for n in 0..2000 {
        let (sender, bytes) = meshes[1].message().await;
        assert!(sender == from && bytes == message(n), "message {n}");
    }
    let big = vec![5; 3 << 20];
    meshes[1].handle.send(from, big.clone());
    assert_eq!(meshes[0].message().await.1, big);
    meshes[0].handle.send(to, vec![0; (16 << 20) + 1]);
    assert_eq!(meshes[0].handle.metrics().messages_dropped, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_reach_a_peer_that_was_restarted() {
    let mut a = mesh(config(1, &[])).await;
    let b = mesh(config(2, &[&a])).await;
    let key = b.key();
    b.handle.send(a.key(), b"before".to_vec());
    assert_eq!(a.message().await.1, b"before");
    a.handle.send(key, b"dropped or not".to_vec());
    drop(b);
    until(|| !a.handle.is_connected(&key)).await;
    a.handle.send(key, b"while away".to_vec());
    let mut again = mesh(config(2, &[&a])).await;
    while again.message().await.1 != b"while away" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_stream_of_messages_costs_its_sender() {
    let meshes = meshes(2).await;
    all_connected(&meshes).await;
    let [a, b] = &meshes[..] else { unreachable!() };
    let mut stream = a.handle.open_stream(b.key(), a.handle.protocol("message")).await.unwrap();
    stream.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    until(|| b.handle.metrics().messages_malformed == 1).await;
    within(async { while b.score_of(&a.key()).await > -50.0 {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_gossip_that_nobody_reads_holds_up_no_message() {
    let mut meshes = meshes(2).await;
    all_connected(&meshes).await;
    gossip_flows(&mut meshes).await;
    let (to, before) = (meshes[1].key(), meshes[1].handle.metrics().gossip_in);
    for n in 0..3000u32 {
        meshes[0].handle.publish(Topic::Transactions, n.to_le_bytes().repeat(256));
    }
    until(|| meshes[1].handle.metrics().gossip_in > before + 500).await;
    meshes[0].handle.send(to, b"vote".to_vec());
    // It is read first, although hundreds of gossip messages arrived before it.
    until(|| meshes[1].handle.metrics().messages_in == 1).await;
    let first = within(async {
        loop {
            match meshes[1].events.recv().await {
                Some(MeshEvent::Connected(_) | MeshEvent::Disconnected(_)) => {}
                other => return other,
            }
        }
    });
    assert!(matches!(first.await, Some(MeshEvent::Message { bytes, .. }) if bytes == b"vote"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_are_opened_on_demand_and_refused_in_time() {
    let meshes = meshes(3).await;
    until(|| meshes[0].handle.connected().len() == 2).await;
    let protocol = meshes[0].handle.protocol("echo");
    let mut incoming = meshes[2].handle.accept(protocol.clone()).unwrap();
    assert!(meshes[2].handle.accept(protocol.clone()).is_none(), "one taker for a protocol");
    let mut stream = within(meshes[1].handle.open_stream(meshes[2].key(), protocol.clone())).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.close().await.unwrap();
    let (from, mut theirs) = within(incoming.next()).await.unwrap();
    let mut got = Vec::new();
    theirs.read_to_end(&mut got).await.unwrap();
    assert!(from == meshes[1].key() && got == b"hello");
    let unsupported = meshes[1].handle.open_stream(meshes[0].key(), protocol.clone()).await;
    assert!(matches!(unsupported, Err(OpenError::Unsupported { .. })));
    let nobody = SecretKey::from_seed([99; 32]).public();
    let unreachable = within(meshes[1].handle.open_stream(nobody, protocol)).await;
    assert!(matches!(unreachable, Err(OpenError::Unreachable(key) | OpenError::TimedOut(key)) if key == nobody));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_streams_loses_none() {
    let meshes = meshes(2).await;
    all_connected(&meshes).await;
    let protocol = meshes[0].handle.protocol("burst");
    let mut incoming = meshes[1].handle.accept(protocol.clone()).unwrap();
    let opens = (0..100).map(|_| meshes[0].handle.open_stream(meshes[1].key(), protocol.clone()));
    let streams = within(futures::future::join_all(opens)).await;
    assert!(streams.iter().all(Result::is_ok));
    for _ in 0..100 {
        within(incoming.next()).await.unwrap();
    }
    assert_eq!(meshes[1].handle.metrics().streams_dropped, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_are_found_through_the_table() {
    let meshes = meshes(3).await;
    let digest = Digest::of(b"something");
    // This may be announced before any peer is connected. It then waits.
    meshes[1].handle.provide(digest).await;
    all_connected(&meshes).await;
    within(async { while meshes[2].handle.providers(digest).await.recv().await != Some(meshes[1].key()) {} }).await;
    let mut none = meshes[2].handle.providers(Digest::of(b"nothing")).await;
    assert_eq!(within(none.recv()).await, None);
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_in_a_sentence() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut settings = config(1, &[]);
    settings.listen = vec![format!("/ip4/127.0.0.1/tcp/{port}").parse().unwrap()];
    let Err(error) = start(settings).await else { panic!("it listens on a taken port") };
    assert!(matches!(error, MeshError::Listen { .. }));
    let text = error.to_string();
    assert!(text.contains(&port.to_string()) && text.to_lowercase().contains("in use"), "{text}");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let mut settings = MeshConfig::new(SecretKey::from_seed([1; 32]), NETWORK);
    settings.gossip_bytes_max = 0;
    assert!(matches!(start(settings).await, Err(MeshError::Config(_))));
    let mut settings = MeshConfig::new(SecretKey::from_seed([1; 32]), NETWORK);
    let mut no_point = [0; 32];
    no_point[0] = 2;
    settings.authorities = vec![meshwork_core::identity::PublicKey(no_point)];
    assert!(matches!(start(settings).await, Err(MeshError::Key { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_stops_the_mesh() {
    let TestMesh { handle, mut events, .. } = mesh(config(1, &[])).await;
    drop(handle);
    assert!(within(events.recv()).await.is_none());
}
