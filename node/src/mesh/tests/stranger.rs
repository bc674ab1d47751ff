//! A peer that does nothing but connect, say who it is, and hold the connection; and one that has no place for others.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use libp2p::{
    Multiaddr, Swarm,
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::Keypair,
    swarm::{self, NetworkBehaviour, SwarmEvent, behaviour::toggle::Toggle},
};
use meshwork_core::identity::SecretKey;
use tokio::{sync::watch, task::AbortHandle};

use crate::mesh::{Rates, Versions, peer::keypair, protocols, testing::NETWORK, transport::transport};

/// Whether the connection stands; `None` until it does.
type Held = watch::Receiver<Option<bool>>;

/// A running stranger. Dropping it drops its connection.
pub(super) struct Stranger {
    held: Held,
    task: AbortHandle,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn swarm<Behaviour: NetworkBehaviour>(seed: u8, behaviour: impl FnOnce(&Keypair) -> Behaviour) -> Swarm<Behaviour> {
    let keypair = keypair(&SecretKey::from_seed([seed; 32]));
    let transport = transport(&keypair, Rates::default().handshakes, Arc::default()).unwrap();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(3600));
    Swarm::new(transport, behaviour(&keypair), keypair.public().to_peer_id(), config)
}

/// A peer that listens, completes every handshake, and then closes the connection.
pub(super) fn full() -> Swarm<connection_limits::Behaviour> {
    let limits = ConnectionLimits::default().with_max_established_incoming(Some(0));
    let mut swarm = swarm(200, |_| connection_limits::Behaviour::new(limits));
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().unwrap()).unwrap();
    swarm
}

impl Stranger {
    /// Connects with the key of this seed. A stranger that is not `talkative` does not even say who it is.
    pub(super) fn connect(seed: u8, to: Multiaddr, talkative: bool) -> Self {
        let mut swarm = swarm(seed, |keypair| {
            let version = protocols::identify_version(&NETWORK, Versions::OWN);
            let config = identify::Config::new(version, keypair.public());
            Toggle::from(talkative.then(|| identify::Behaviour::new(config)))
        });
        swarm.dial(to).unwrap();
        let (says, held) = watch::channel(None);
        let task = tokio::spawn(async move {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => drop(says.send(Some(true))),
                    SwarmEvent::ConnectionClosed { .. } | SwarmEvent::OutgoingConnectionError { .. } => {
                        let _ = says.send(Some(false));
                    }
                    _ => {}
                }
            }
        });
        Self { held, task: task.abort_handle() }
    }

    /// Whether its connection stands.
    pub(super) fn holds(&self) -> bool {
        *self.held.borrow() == Some(true)
    }

    /// Whether it had a connection, or tried to have one, and was turned out.
    pub(super) fn is_out(&self) -> bool {
        *self.held.borrow() == Some(false)
    }
}
