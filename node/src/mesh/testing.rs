//! Meshes for tests: real sockets on loopback, and bounded waits.

use std::time::Duration;

use meshwork_core::identity::{NetworkId, PublicKey, SecretKey};
use tokio::time::{sleep, timeout};

use super::{Acceptance, GossipId, MeshConfig, MeshEvent, MeshEvents, MeshHandle, Multiaddr, Topic, start};

pub(crate) const NETWORK: NetworkId = NetworkId([7; 32]);
/// How long anything here may take: far more than it does, so that a loaded machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running mesh and its events.
pub(crate) struct TestMesh {
    pub(crate) handle: MeshHandle,
    pub(crate) events: MeshEvents,
    pub(crate) secret: SecretKey,
}

/// The settings of the peer with this seed: a free TCP port, joining by the first addresses of these meshes.
pub(crate) fn config(seed: u8, join: &[&TestMesh]) -> MeshConfig {
    let mut config = MeshConfig::new(SecretKey::from_seed([seed; 32]), NETWORK);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().unwrap()];
    config.peers = join.iter().map(|mesh| mesh.address()).collect();
    config
}

pub(crate) async fn mesh(config: MeshConfig) -> TestMesh {
    let secret = config.key.clone();
    let (handle, events) = start(config).await.unwrap();
    TestMesh { handle, events, secret }
}

/// A first peer, and `count - 1` peers that join by it.
pub(crate) async fn meshes(count: u8) -> Vec<TestMesh> {
    let mut all = vec![mesh(config(1, &[])).await];
    for seed in 2..=count {
        let joining = mesh(config(seed, &[&all[0]])).await;
        all.push(joining);
    }
    all
}

/// Waits until all peers are connected to each other.
pub(crate) async fn all_connected(meshes: &[TestMesh]) {
    for mesh in meshes {
        until(|| mesh.handle.connected().len() == meshes.len() - 1).await;
    }
}

/// Waits until a condition holds that no event announces.
pub(crate) async fn until(mut holds: impl FnMut() -> bool) {
    within(async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it takes too long")
}

impl TestMesh {
    pub(crate) fn key(&self) -> PublicKey {
        self.handle.key()
    }

    pub(crate) fn address(&self) -> Multiaddr {
        self.handle.listen_addresses()[0].clone()
    }

    /// The next gossip message. Other events are skipped.
    pub(crate) async fn gossip(&mut self) -> (Topic, Vec<u8>, PublicKey, GossipId) {
        within(async {
            loop {
                match self.events.recv().await.expect("the mesh runs") {
                    MeshEvent::Gossip { topic, bytes, from, id } => return (topic, bytes, from, id),
                    _ => continue,
                }
            }
        })
        .await
    }

    /// The next direct message. Other events are skipped.
    pub(crate) async fn message(&mut self) -> (PublicKey, Vec<u8>) {
        within(async {
            loop {
                match self.events.recv().await.expect("the mesh runs") {
                    MeshEvent::Message { from, bytes } => return (from, bytes),
                    _ => continue,
                }
            }
        })
        .await
    }

    /// A peer's score here; 0 if it is not connected.
    pub(crate) async fn score_of(&self, key: &PublicKey) -> f64 {
        let peers = self.handle.peers().await;
        peers.iter().find(|peer| peer.key == *key).map_or(0.0, |peer| peer.score)
    }
}

/// Gossips new bytes until each peer has received some of every other, so that all are known to be subscribed. All
/// peers must be connected to each other.
pub(crate) async fn gossip_flows(meshes: &mut [TestMesh]) {
    for sender in 0..meshes.len() {
        for receiver in 0..meshes.len() {
            if sender == receiver {
                continue;
            }
            let mut attempt = 0u32;
            let marker = |attempt: u32| [&[0xff, sender as u8, receiver as u8][..], &attempt.to_le_bytes()].concat();
            within(async {
                loop {
                    attempt += 1;
                    let bytes = marker(attempt);
                    meshes[sender].handle.publish(Topic::Transactions, bytes.clone());
                    let arrived = async {
                        loop {
                            let (_, bytes, from, id) = meshes[receiver].gossip().await;
                            meshes[receiver].handle.judge(id, Acceptance::Ignore);
                            if bytes[..3] == [0xff, sender as u8, receiver as u8] && from == meshes[sender].key() {
                                return;
                            }
                        }
                    };
                    // `from` borrows nothing, so a timed-out attempt is simply repeated.
                    if timeout(Duration::from_millis(300), arrived).await.is_ok() {
                        return;
                    }
                }
            })
            .await;
        }
    }
    for mesh in meshes.iter_mut() {
        while let Some(event) = mesh.events.try_recv() {
            if let MeshEvent::Gossip { id, .. } = event {
                mesh.handle.judge(id, Acceptance::Ignore);
            }
        }
    }
}
