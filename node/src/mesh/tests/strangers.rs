//! What strangers do to a peer's connections, streams and messages, with bounds that are very low.

use std::{
    net::TcpStream,
    time::{Duration, Instant},
};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt, future::pending};
use libp2p::{
    multiaddr::Protocol,
    swarm::{Stream, SwarmEvent},
};
use meshwork_core::identity::PublicKey;
use tokio::time::sleep;

use super::stranger::{self, Stranger};
use crate::mesh::{
    Acceptance, MeshConfig, OpenError, Rate, Topic,
    testing::{TestMesh, all_connected, config, gossip_flows, mesh, meshes, until, within},
};

/// Three places, and two visitors who may stay for this long.
const VISIT: Duration = Duration::from_millis(1500);

fn narrow(seed: u8) -> MeshConfig {
    let mut settings = config(seed, &[]);
    settings.connections_max = 4;
    settings.visit = VISIT;
    settings.peers_wanted = 0;
    settings
}

/// A peer that knows no other one than the one that it joins by.
fn follower(seed: u8, of: &TestMesh) -> MeshConfig {
    let mut settings = config(seed, &[of]);
    settings.peers_wanted = 0;
    settings
}

/// Peers that take all places, and are of use.
async fn useful(hub: &TestMesh, seeds: std::ops::Range<u8>) -> Vec<TestMesh> {
    let mut peers = Vec::new();
    for seed in seeds {
        let peer = mesh(follower(seed, hub)).await;
        until(|| hub.handle.is_connected(&peer.key())).await;
        hub.handle.commend(peer.key());
        peers.push(peer);
    }
    peers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_is_refused_knocks_ever_more_slowly() {
    let mut full = stranger::full();
    let address = within(async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = full.select_next_some().await {
                return address;
            }
        }
    })
    .await;
    let since = Instant::now();
    let mut settings = config(9, &[]);
    settings.peers = vec![address];
    let refused = mesh(settings).await;
    let mut refusals = 0;
    while refusals < 5 {
        if let SwarmEvent::IncomingConnectionError { .. } = within(full.select_next_some()).await {
            refusals += 1;
        }
    }
    // Four waits that double from 100 ms, each a quarter shorter by chance.
    assert!(since.elapsed() >= Duration::from_millis(75 + 150 + 300 + 600), "{:?}", since.elapsed());
    assert!(refused.handle.connected().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_merely_holds_connections_gives_way_to_a_new_peer() {
    let hub = mesh(narrow(1)).await;
    let strangers: Vec<_> = (100..105).map(|seed| Stranger::connect(seed, hub.address(), true)).collect();
    until(|| strangers.iter().all(|stranger| stranger.holds() || stranger.is_out())).await;
    sleep(VISIT).await;
    let new = mesh(follower(2, &hub)).await;
    until(|| hub.handle.is_connected(&new.key()) && hub.handle.metrics().connections_displaced > 0).await;
    hub.handle.commend(new.key());
    // Two have a place besides it.
    until(|| strangers.iter().filter(|stranger| stranger.is_out()).count() == 3).await;
    assert_eq!(hub.handle.connected().len(), 3);
    assert!(hub.handle.is_connected(&new.key()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_even_say_who_it_is_never_gets_a_place_from_one_who_does() {
    let hub = mesh(narrow(1)).await;
    let silent: Vec<_> = (100..103).map(|seed| Stranger::connect(seed, hub.address(), false)).collect();
    until(|| silent.iter().all(Stranger::holds)).await;
    sleep(VISIT).await;
    let peers = useful(&hub, 2..5).await;
    until(|| silent.iter().all(Stranger::is_out)).await;
    let more: Vec<_> = (103..106).map(|seed| Stranger::connect(seed, hub.address(), false)).collect();
    until(|| more.iter().all(Stranger::is_out)).await;
    assert!(peers.iter().all(|peer| hub.handle.is_connected(&peer.key())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newcomer_that_knows_only_a_full_peer_finds_the_others() {
    let hub = mesh(narrow(1)).await;
    let peers = useful(&hub, 2..5).await;
    let newcomer = mesh(config(9, &[&hub])).await;
    until(|| peers.iter().all(|peer| newcomer.handle.is_connected(&peer.key()))).await;
    // It was shown out where it had come in, and nobody who was of use had to leave for it.
    until(|| hub.handle.metrics().connections_refused_full > 0).await;
    assert!(peers.iter().all(|peer| hub.handle.is_connected(&peer.key())));
    assert_eq!(hub.handle.metrics().connections_displaced, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_has_a_place_in_any_case() {
    let mut settings = narrow(1);
    settings.authorities = vec![config(3, &[]).key.public()];
    let hub = mesh(settings).await;
    let strangers: Vec<_> = (100..105).map(|seed| Stranger::connect(seed, hub.address(), true)).collect();
    until(|| strangers.iter().all(|stranger| stranger.holds() || stranger.is_out())).await;
    let authority = mesh(follower(3, &hub)).await;
    until(|| hub.handle.is_connected(&authority.key())).await;
    sleep(VISIT).await;
    let more: Vec<_> = (110..118).map(|seed| Stranger::connect(seed, hub.address(), true)).collect();
    until(|| more.iter().all(|stranger| stranger.holds() || stranger.is_out())).await;
    until(|| hub.handle.connected().len() == 4).await;
    assert!(hub.handle.is_connected(&authority.key()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_keep_nobody_out() {
    let hub = mesh(config(1, &[])).await;
    let port = hub.address().iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(port),
        _ => None,
    });
    let held: Vec<_> = (0..100).map(|_| TcpStream::connect(("127.0.0.1", port.unwrap())).unwrap()).collect();
    until(|| hub.handle.metrics().handshakes_displaced >= 36).await;
    let new = mesh(follower(2, &hub)).await;
    until(|| hub.handle.is_connected(&new.key())).await;
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_begins_too_many_connections_is_refused() {
    let mut settings = config(1, &[]);
    settings.rates.handshakes = Rate { burst: 4.0, per_second: 0.001 };
    let hub = mesh(settings).await;
    let strangers: Vec<_> = (100..110).map(|seed| Stranger::connect(seed, hub.address(), true)).collect();
    until(|| strangers.iter().filter(|stranger| stranger.is_out()).count() == 6).await;
    assert_eq!(hub.handle.metrics().connections_refused_rate, 6);
    until(|| strangers.iter().filter(|stranger| stranger.holds()).count() == 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_gossip_ends_in_a_ban() {
    let mut meshes = meshes(2).await;
    all_connected(&meshes).await;
    gossip_flows(&mut meshes).await;
    let [a, b] = &mut meshes[..] else { unreachable!() };
    let mut sent = 0u32;
    while b.handle.metrics().peers_banned == 0 {
        sent += 1;
        assert!(sent < 50, "it goes on and on");
        a.handle.publish(Topic::Blocks, sent.to_le_bytes().to_vec());
        let received = async {
            loop {
                let (topic, _, _, id) = b.gossip().await;
                b.handle.judge(id, Acceptance::Reject);
                if topic == Topic::Blocks {
                    return;
                }
            }
        };
        // What is ignored by now is not received any more.
        let _ = tokio::time::timeout(Duration::from_millis(300), received).await;
    }
    until(|| !a.handle.is_connected(&b.key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_end_in_a_ban() {
    let meshes = meshes(2).await;
    all_connected(&meshes).await;
    let [a, b] = &meshes[..] else { unreachable!() };
    within(async {
        while b.handle.metrics().peers_banned == 0 {
            let Ok(mut stream) = a.handle.open_stream(b.key(), a.handle.protocol("message")).await else { continue };
            let _ = stream.write_all(&u32::MAX.to_le_bytes()).await;
            let _ = stream.close().await;
            // The other side ends the stream once it has read this.
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    until(|| !b.handle.is_connected(&a.key())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_gossips_too_much_is_not_listened_to_until_it_is_even() {
    let mut settings = config(1, &[]);
    settings.rates.gossip = Rate { burst: 50.0, per_second: 10.0 };
    let hub = mesh(settings).await;
    let flood = mesh(config(2, &[&hub])).await;
    let mut meshes = vec![hub, flood];
    all_connected(&meshes).await;
    gossip_flows(&mut meshes).await;
    let [hub, flood] = &mut meshes[..] else { unreachable!() };
    let mut sent = 0u32;
    until(|| {
        for _ in 0..10 {
            sent += 1;
            flood.handle.publish(Topic::Transactions, sent.to_le_bytes().to_vec());
        }
        hub.handle.metrics().gossip_throttled >= 3
    })
    .await;
    assert_eq!(hub.handle.metrics().peers_banned, 0, "what it sent was valid");
    assert!(hub.handle.is_connected(&flood.key()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_gossips_too_much_keeps_nothing_from_coming_from_another() {
    let mut settings = config(1, &[]);
    settings.rates.gossip = Rate { burst: 50.0, per_second: 0.001 };
    let mut hub = mesh(settings).await;
    let [flood, other] = [2, 3].map(|seed| {
        let mut settings = follower(seed, &hub);
        // So the two cannot reach each other.
        settings.listen = Vec::new();
        settings
    });
    let (flood, other) = (mesh(flood).await, mesh(other).await);
    let mut sent = 0u32;
    until(|| {
        sent += 1;
        other.handle.publish(Topic::Transactions, sent.to_le_bytes().to_vec());
        hub.handle.metrics().gossip_in > 0
    })
    .await;
    until(|| {
        sent += 1;
        flood.handle.publish(Topic::Blocks, sent.to_le_bytes().to_vec());
        hub.handle.metrics().gossip_throttled == 1
    })
    .await;
    let marker = b"the block that all wait for".to_vec();
    flood.handle.publish(Topic::Blocks, marker.clone());
    // It would have arrived by now.
    sleep(Duration::from_millis(300)).await;
    other.handle.publish(Topic::Blocks, marker.clone());
    loop {
        let (_, bytes, from, id) = hub.gossip().await;
        hub.handle.judge(id, Acceptance::Ignore);
        if bytes == marker {
            assert_eq!(from, other.key());
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_authority_may_gossip_any_amount() {
    let mut settings = config(1, &[]);
    settings.rates.gossip = Rate { burst: 1.0, per_second: 0.001 };
    settings.authorities = vec![config(2, &[]).key.public()];
    let hub = mesh(settings).await;
    let authority = mesh(follower(2, &hub)).await;
    until(|| hub.handle.is_connected(&authority.key())).await;
    let mut sent = 0u32;
    until(|| {
        sent += 1;
        authority.handle.publish(Topic::Blocks, sent.to_le_bytes().to_vec());
        hub.handle.metrics().gossip_in >= 20
    })
    .await;
    assert_eq!(hub.handle.metrics().gossip_throttled, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_too_many_messages_is_read_slowly_unless_it_is_an_authority() {
    let [authority, other] = [2, 3].map(|seed| config(seed, &[]).key.public());
    let mut settings = config(1, &[]);
    settings.rates.messages = Rate { burst: 10.0, per_second: 20.0 };
    settings.authorities = vec![authority];
    let mut hub = mesh(settings).await;
    let senders = [mesh(config(2, &[&hub])).await, mesh(config(3, &[&hub])).await];
    let since = Instant::now();
    for n in 0..40u8 {
        for sender in &senders {
            sender.handle.send(hub.key(), vec![n]);
        }
    }
    let mut arrived = std::collections::HashMap::<PublicKey, Vec<(u8, Duration)>>::new();
    for _ in 0..80 {
        let (from, bytes) = hub.message().await;
        arrived.entry(from).or_default().push((bytes[0], since.elapsed()));
    }
    let is_whole = |of: &[(u8, Duration)]| of.iter().map(|(n, _)| *n).eq(0..40);
    assert!(is_whole(&arrived[&authority]) && is_whole(&arrived[&other]), "nothing is lost");
    // Thirty messages beyond the burst, twenty a second; the last of them is not waited for.
    assert!(arrived[&other].last().unwrap().1 >= Duration::from_millis(1400), "{arrived:?}");
    let throttled = hub.handle.metrics().messages_throttled;
    assert!((29..=30).contains(&throttled), "the authority is read at once: {throttled}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_opens_too_many_streams_gets_no_more() {
    let mut settings = config(1, &[]);
    settings.rates.streams = Rate { burst: 10.0, per_second: 0.001 };
    let hub = mesh(settings).await;
    let opener = mesh(config(2, &[&hub])).await;
    until(|| opener.handle.is_connected(&hub.key())).await;
    let protocol = hub.handle.protocol("many");
    let mut incoming = hub.handle.accept(protocol.clone()).unwrap();
    let mut streams = Vec::new();
    for _ in 0..15 {
        streams.push(within(opener.handle.open_stream(hub.key(), protocol.clone())).await.unwrap());
    }
    for _ in 0..10 {
        within(incoming.next()).await.unwrap();
    }
    until(|| hub.handle.metrics().streams_refused == 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_with_many_streams_makes_room_for_one_with_few() {
    let meshes = meshes(3).await;
    all_connected(&meshes).await;
    let [hub, many, few] = &meshes[..] else { unreachable!() };
    let protocol = hub.handle.protocol("served");
    let incoming = hub.handle.accept(protocol.clone()).unwrap();
    let greet = async |stream: &mut Stream| stream.write_all(b"hello").await.and(stream.flush().await);
    let serve = move |_, mut stream| async move {
        let _ = greet(&mut stream).await;
        pending::<()>().await;
    };
    tokio::spawn(incoming.serve_each(3, 3, serve));
    let open = async |mesh: &TestMesh| {
        let mut stream = within(mesh.handle.open_stream(hub.key(), protocol.clone())).await.unwrap();
        let mut greeting = [0; 5];
        within(stream.read_exact(&mut greeting)).await.map(|()| stream)
    };
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(open(many).await.unwrap());
    }
    assert!(open(many).await.is_err(), "it has as many as it may have");
    let _first = open(few).await.unwrap();
    assert_eq!(within(held[0].read(&mut [0])).await.unwrap_or(0), 0, "the oldest of the other has ended");
    assert!(open(few).await.is_err(), "it would have as many as the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_has_no_room_for_another_is_not_said_to_be_away() {
    let hub = mesh(config(1, &[])).await;
    let mut settings = config(2, &[&hub]);
    settings.rates.handshakes = Rate { burst: 0.0, per_second: 0.001 };
    let busy = mesh(settings).await;
    let mut settings = follower(3, &hub);
    settings.listen = Vec::new();
    let other = mesh(settings).await;
    until(|| hub.handle.connected().len() == 2 && other.handle.connected().len() == 1).await;
    let refused = within(other.handle.open_stream(busy.key(), other.handle.protocol("blob"))).await;
    assert_eq!(refused.err(), Some(OpenError::Lost(busy.key())));
}
