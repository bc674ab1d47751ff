//! The protocols of one peer, combined in one behaviour.

use std::{collections::HashSet, num::NonZeroUsize, sync::Arc, time::Duration};

use libp2p::{
    PeerId, StreamProtocol, allow_block_list,
    allow_block_list::BlockedPeers,
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::Keypair,
    kad::{
        self, Mode,
        store::{MemoryStore, MemoryStoreConfig},
    },
    mdns, ping,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use super::{
    admission::Admission,
    config::{DIALS_MAX, MeshConfig, PING_INTERVAL, PING_TIMEOUT, PROVIDED_MAX},
    error::MeshError,
    gossip::{self, Gossip, Topics},
    metrics::Counters,
    protocols,
    streams::Streams,
};

/// How often Kademlia refreshes its table by itself. The driver asks for more while there are few peers.
const BOOTSTRAP_INTERVAL: Duration = Duration::from_secs(60);

/// All protocols. The order matters for those that refuse connections: a peer that is banned displaces nobody.
#[derive(NetworkBehaviour)]
pub(super) struct Behaviour {
    pub(super) banned: allow_block_list::Behaviour<BlockedPeers>,
    pub(super) dials: connection_limits::Behaviour,
    pub(super) admission: Admission,
    pub(super) identify: identify::Behaviour,
    pub(super) ping: ping::Behaviour,
    pub(super) kad: kad::Behaviour<MemoryStore>,
    pub(super) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(super) gossip: Gossip,
    pub(super) streams: Streams,
}

impl Behaviour {
    pub(super) fn new(
        config: &MeshConfig,
        keypair: &Keypair,
        topics: &Topics,
        authorities: &HashSet<PeerId>,
        counters: Arc<Counters>,
    ) -> Result<Self, MeshError> {
        let local = keypair.public().to_peer_id();
        let mdns = if config.mdns {
            let behaviour = mdns::tokio::Behaviour::new(mdns::Config::default(), local)
                .map_err(|source| MeshError::Transport { what: "multicast DNS", source })?;
            Some(behaviour)
        } else {
            None
        };
        Ok(Self {
            banned: allow_block_list::Behaviour::default(),
            dials: dials(authorities),
            admission: Admission::new(config.bounds(), counters.clone()),
            identify: identify::Behaviour::new(
                identify::Config::new(protocols::identify_version(&config.network, config.versions), keypair.public())
                    .with_agent_version(concat!("meshwork/", env!("CARGO_PKG_VERSION")).to_owned())
                    .with_push_listen_addr_updates(true),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_TIMEOUT)),
            kad: kademlia(local, protocols::name(&config.network, "kad")),
            mdns: mdns.into(),
            gossip: gossip::behaviour(config, topics)?,
            streams: Streams::new(config.rates.streams, counters),
        })
    }
}

/// Bounds the dials under way. Established connections and incoming ones are bounded by [`Admission`].
fn dials(authorities: &HashSet<PeerId>) -> connection_limits::Behaviour {
    let mut behaviour =
        connection_limits::Behaviour::new(ConnectionLimits::default().with_max_pending_outgoing(Some(DIALS_MAX)));
    for authority in authorities {
        behaviour.bypass_peer_id(authority);
    }
    behaviour
}

fn kademlia(local: PeerId, protocol: StreamProtocol) -> kad::Behaviour<MemoryStore> {
    let mut config = kad::Config::new(protocol);
    config
        .set_query_timeout(Duration::from_secs(10))
        .set_periodic_bootstrap_interval(Some(BOOTSTRAP_INTERVAL))
        .set_replication_factor(const { NonZeroUsize::new(20).expect("20 is not 0") });
    // Only provider records are used. No peer may store values here.
    let store = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_provided_keys: PROVIDED_MAX,
        ..MemoryStoreConfig::default()
    };
    let mut kad = kad::Behaviour::with_config(local, MemoryStore::with_config(local, store), config);
    // Only servers enter routing tables, and no peer confirms an external address on loopback or among containers.
    kad.set_mode(Some(Mode::Server));
    kad
}
