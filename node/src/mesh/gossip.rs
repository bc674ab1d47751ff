//! Gossip: topics, message ids, and the settings of gossipsub.

use std::{collections::HashSet, time::Duration};

use libp2p::{
    PeerId,
    gossipsub::{
        self, ConfigBuilder, IdentTopic, IdentityTransform, Message, MessageAuthenticity, MessageId, PeerScoreParams,
        PeerScoreThresholds, TopicHash, TopicScoreParams, ValidationMode, WhitelistSubscriptionFilter,
        score_parameter_decay,
    },
};
use meshwork_core::identity::NetworkId;

use super::{config::MeshConfig, error::MeshError, protocols};

/// A gossip topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// Batches of transactions.
    Transactions,
    /// Proposed blocks.
    Blocks,
    /// Finalizations.
    Finalizations,
    /// Proofs that authorities broke promises.
    Evidence,
}

impl Topic {
    /// All topics.
    pub const ALL: [Self; 4] = [Self::Transactions, Self::Blocks, Self::Finalizations, Self::Evidence];

    /// The topic's word in topic names and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transactions => "transactions",
            Self::Blocks => "blocks",
            Self::Finalizations => "finalizations",
            Self::Evidence => "evidence",
        }
    }
}

/// The id of a gossip message that waits for its verdict.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GossipId {
    pub(super) message: MessageId,
    pub(super) from: PeerId,
}

/// The verdict on a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acceptance {
    /// The message is good: gossipsub passes it on.
    Accept,
    /// No honest peer would have passed it on: gossipsub drops it and lowers the sender's score.
    Reject,
    /// Neither: gossipsub drops it and blames no peer. The same bytes are then dropped for a minute, whichever peer
    /// sends them. So a message that cannot be judged *yet* should be held, not ignored.
    Ignore,
}

/// The topics of one network.
pub(super) struct Topics {
    topics: [(Topic, IdentTopic, TopicHash); Topic::ALL.len()],
}

impl Topics {
    pub(super) fn new(network: &NetworkId) -> Self {
        Self {
            topics: Topic::ALL.map(|topic| {
                let ident = IdentTopic::new(protocols::topic(network, topic.name()));
                let hash = ident.hash();
                (topic, ident, hash)
            }),
        }
    }

    pub(super) fn hash(&self, topic: Topic) -> TopicHash {
        self.topics[topic as usize].2.clone()
    }

    pub(super) fn of(&self, hash: &TopicHash) -> Option<Topic> {
        self.topics.iter().find(|(_, _, known)| known == hash).map(|(topic, ..)| *topic)
    }

    pub(super) fn idents(&self) -> impl Iterator<Item = &IdentTopic> {
        self.topics.iter().map(|(_, ident, _)| ident)
    }
}

/// Makes the id from the content. Gossipsub's own signatures and sequence numbers are off, because all gossip carries
/// signatures of its own. Without them, all messages would share one id.
fn message_id(message: &Message) -> MessageId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(message.topic.as_str().as_bytes());
    hasher.update(&[0]);
    hasher.update(&message.data);
    MessageId::from(&hasher.finalize().as_bytes()[..20])
}

/// Only what is provably wrong counts. Time in the mesh and first deliveries (P1, P2) would let a liar collect
/// credit, and missing deliveries (P3) would punish a peer for a quiet network. Invalid messages (P4) count by the
/// square.
fn topic_score() -> TopicScoreParams {
    TopicScoreParams {
        topic_weight: 1.0,
        time_in_mesh_weight: 0.0,
        first_message_deliveries_weight: 0.0,
        mesh_message_deliveries_weight: 0.0,
        mesh_failure_penalty_weight: 0.0,
        invalid_message_deliveries_weight: -10.0,
        invalid_message_deliveries_decay: score_parameter_decay(Duration::from_secs(600)),
        ..TopicScoreParams::default()
    }
}

fn score(topics: &Topics) -> PeerScoreParams {
    PeerScoreParams {
        topics: topics.topics.iter().map(|(_, _, hash)| (hash.clone(), topic_score())).collect(),
        // `scores.rs` counts in the same points.
        app_specific_weight: 1.0,
        // Admission bounds the connections of each address. Peers within that bound are no worse for their neighbours.
        ip_colocation_factor_weight: 0.0,
        // A busy peer breaks a few promises and drops messages from full queues without meaning harm.
        behaviour_penalty_weight: -10.0,
        behaviour_penalty_threshold: 6.0,
        behaviour_penalty_decay: score_parameter_decay(Duration::from_secs(60)),
        slow_peer_weight: 0.0,
        retain_score: Duration::from_secs(1800),
        ..PeerScoreParams::default()
    }
}

/// Gossipsub that remembers only subscriptions to the network's topics. A stranger can name any number of others.
pub(super) type Gossip = gossipsub::Behaviour<IdentityTransform, WhitelistSubscriptionFilter>;

/// The score below which a peer's gossip is ignored.
pub(super) const GRAYLIST_SCORE: f64 = -240.0;
/// What a peer's score falls by while it has sent too much. Below [`GRAYLIST_SCORE`], gossipsub drops what comes before
/// it remembers it as seen, so another peer can still deliver the same.
pub(super) const THROTTLED_SCORE: f64 = 2.0 * GRAYLIST_SCORE;

/// Two invalid messages within minutes cost a peer this peer's gossip. After five, its gossip is ignored.
const THRESHOLDS: PeerScoreThresholds = PeerScoreThresholds {
    gossip_threshold: -35.0,
    publish_threshold: -85.0,
    graylist_threshold: GRAYLIST_SCORE,
    accept_px_threshold: 1000.0,
    opportunistic_graft_threshold: 0.0,
};

/// Gossipsub for one network, subscribed to its topics.
pub(super) fn behaviour(config: &MeshConfig, topics: &Topics) -> Result<Gossip, MeshError> {
    let wrong = |what: &dyn std::fmt::Display| MeshError::Config(format!("gossip: {what}"));
    let settings = ConfigBuilder::default()
        .protocol_id_prefix(protocols::gossip_prefix(&config.network))
        .validation_mode(ValidationMode::Anonymous)
        .validate_messages()
        .message_id_fn(message_id)
        // The protobuf around a message needs some space.
        .max_transmit_size(config.gossip_bytes_max + 1024)
        .duplicate_cache_time(Duration::from_secs(60))
        .flood_publish(true)
        // Up to nine peers, all are neighbours anyway. Beyond that, each message crosses about five links per peer.
        .mesh_n(5)
        .mesh_n_low(4)
        .mesh_n_high(8)
        .mesh_outbound_min(2)
        .heartbeat_initial_delay(Duration::from_millis(200))
        .heartbeat_interval(Duration::from_millis(700))
        // Messages are remembered for seven seconds, which bounds the time for a verdict.
        .history_length(10)
        .prune_backoff(Duration::from_secs(15))
        .unsubscribe_backoff(Duration::from_secs(2))
        // A shorter queue would drop bursts. A peer that is a second behind has this much to read.
        .connection_handler_queue_len(20_000)
        .publish_queue_duration(Duration::from_secs(10))
        .forward_queue_duration(Duration::from_secs(5))
        .max_publish_messages(20_000)
        .build()
        .map_err(|error| wrong(&error))?;
    let own = WhitelistSubscriptionFilter(topics.idents().map(IdentTopic::hash).collect::<HashSet<_>>());
    let mut behaviour = Gossip::new_with_subscription_filter(MessageAuthenticity::Anonymous, settings, own)
        .map_err(|error| wrong(&error))?;
    behaviour.with_peer_score(score(topics), THRESHOLDS).map_err(|error| wrong(&error))?;
    for topic in topics.idents() {
        behaviour.subscribe(topic).map_err(|error| wrong(&error))?;
    }
    Ok(behaviour)
}
