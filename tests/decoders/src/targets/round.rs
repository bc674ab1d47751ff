//! The messages between replicas. Each is also given to a replica with a network's history. One authority of
//! four may lie, so messages that a liar could sign are signed and given too.

use std::sync::Arc;

use meshwork_core::{
    consensus::{Evidence, Now},
    identity::PublicKey,
    replica::{Action, Gossip, Message, Replica, gossip_bytes_max, message_bytes_max},
    types::{AuthorityIndex, Block, BlockTime, Certificate, Epoch, Proposal, Statement, View, Vote},
};

use super::canonical;
use crate::network::{AUTHORITIES, network};

/// The liar among the authorities.
const LIAR: usize = AUTHORITIES - 1;

/// Any gossip.
pub(super) fn gossip(bytes: &[u8]) -> bool {
    let genesis = &network().genesis;
    let Some(gossip) = canonical::<Gossip>(bytes, gossip_bytes_max(genesis)) else { return false };
    assert_eq!(Gossip::decode(bytes, genesis).as_ref(), Ok(&gossip));
    tell_everyone(gossip);
    true
}

/// Any direct message.
pub(super) fn message(bytes: &[u8]) -> bool {
    let network = network();
    let Some(message) = canonical::<Message>(bytes, message_bytes_max(&network.genesis)) else { return false };
    assert_eq!(Message::decode(bytes, &network.genesis).as_ref(), Ok(&message));
    let (mut replica, mut now) = network.replica();
    let from = match &message {
        Message::Votes(votes) => votes.first().and_then(|vote| network.authorities.get(usize::from(vote.voter.0))),
        _ => None,
    };
    let mut from = from.unwrap_or(&network.authorities[LIAR]).public();
    if matches!(message, Message::Blocks(..)) {
        // A replica looks at answers only if it asked for them.
        (from, now) = fall_behind(&mut replica, now);
    }
    replica.message(now, from, message, &mut Vec::new());
    go_on(replica, now);
    true
}

/// Tells a replica of a final block that it lacks. Returns whom it asks for the missing blocks, and when.
fn fall_behind(replica: &mut Replica, now: Now) -> (PublicKey, Now) {
    let mut actions = Vec::new();
    if let Some(newest) = network().finalizations().last() {
        replica.gossip(now, Gossip::Finalization(newest.clone()), &mut actions);
    }
    // Before the replica asks for blocks by range, it waits for those that authorities send.
    for seconds in 0..5 {
        let now = later(now, seconds);
        replica.tick(now, &mut actions);
        let asked = actions.iter().find_map(|action| match action {
            Action::Send { to, message: Message::BlocksFrom(..) } => Some(*to),
            _ => None,
        });
        if let Some(asked) = asked {
            return (asked, now);
        }
    }
    panic!("a replica that is behind asks for blocks");
}

/// A leader's proposal.
pub(super) fn proposal(bytes: &[u8]) -> bool {
    let network = network();
    let Some(proposal) = canonical::<Proposal>(bytes, gossip_bytes_max(&network.genesis)) else { return false };
    let block = &proposal.block;
    let _ = (block.is_whole(), block.transaction_bytes());
    tell_everyone(Gossip::Proposal(Box::new(proposal.clone())));
    // The same from a leader who lies: in one of the liar's own views, complete, and signed.
    let (mut header, transactions) = (block.header.clone(), block.transactions.clone());
    let view = header.view.0 - header.view.0 % AUTHORITIES as u64;
    header.view = View(view.saturating_add(LIAR as u64));
    header.transactions = Block::transactions_digest(&transactions);
    let signature = network.vote(LIAR, Statement::Notarize(header.view, header.digest())).signature;
    let block = Arc::new(Block { header, transactions });
    tell_everyone(Gossip::Proposal(Box::new(Proposal { block, signature, ..proposal })));
    true
}

/// One vote.
pub(super) fn vote(bytes: &[u8]) -> bool {
    let Some(vote) = canonical::<Vote>(bytes, bytes.len()) else { return false };
    check_vote(&vote);
    true
}

/// An authority's own votes, and the same from a liar.
pub(super) fn votes(bytes: &[u8]) -> bool {
    let network = network();
    let Some(votes) = canonical::<Vec<Vote>>(bytes, bytes.len()) else { return false };
    for vote in &votes {
        check_vote(vote);
    }
    let lies = votes.iter().map(|vote| network.vote(LIAR, vote.statement)).collect();
    let (mut replica, now) = network.replica();
    let liar = network.authorities[LIAR].public();
    replica.message(now, liar, Message::Votes(lies), &mut Vec::new());
    go_on(replica, now);
    true
}

fn check_vote(vote: &Vote) -> bool {
    let (view, block) = (vote.statement.view(), vote.statement.block());
    assert_eq!(block.is_none(), vote.statement == Statement::Nullify(view));
    let key = network().authorities.get(usize::from(vote.voter.0));
    key.is_some_and(|key| vote.verify(&key.public(), &network().id))
}

/// A certificate: the votes of a quorum in one.
pub(super) fn certificate(bytes: &[u8]) -> bool {
    let network = network();
    let Some(certificate) = canonical::<Certificate>(bytes, bytes.len()) else { return false };
    let set = network.genesis.authority_set();
    let (count, quorum) = (set.count(), set.quorum());
    if certificate.verify(&set, &network.id) {
        assert!(certificate.has_shape(count, quorum));
        assert!(certificate.votes().count() >= quorum && certificate.votes().all(|vote| check_vote(&vote)));
    }
    tell_everyone(Gossip::Finalization(certificate));
    true
}

/// Evidence that an authority broke a promise, and the same votes from a liar.
pub(super) fn evidence(bytes: &[u8]) -> bool {
    let network = network();
    let Some(evidence) = canonical::<Evidence>(bytes, bytes.len()) else { return false };
    let set = network.genesis.authority_set();
    if evidence.verify(&set, &network.id) {
        let Evidence { first, second } = &evidence;
        assert!(usize::from(evidence.culprit().0) < set.count() && check_vote(first) && check_vote(second));
        assert_ne!(first.statement, second.statement, "one statement breaks no promise");
    }
    let lies = |vote: &Vote| network.vote(LIAR, vote.statement);
    let shown = Evidence { first: lies(&evidence.first), second: lies(&evidence.second) };
    assert_eq!((shown.culprit(), shown.first.epoch), (AuthorityIndex(LIAR as u16), Epoch(0)));
    tell_everyone(Gossip::Evidence(Box::new(evidence)));
    tell_everyone(Gossip::Evidence(Box::new(shown)));
    true
}

fn tell_everyone(gossip: Gossip) {
    let (mut replica, now) = network().replica();
    replica.gossip(now, gossip, &mut Vec::new());
    go_on(replica, now);
}

fn later(now: Now, seconds: u64) -> Now {
    let us = seconds * 1_000_000;
    Now { monotonic: now.monotonic.plus_us(us), clock: BlockTime(now.clock.0 + us) }
}

/// Lets time pass, in which the replica uses what it kept.
pub(super) fn go_on(mut replica: Replica, now: Now) {
    for seconds in [1, 5, 60] {
        let now = later(now, seconds);
        let _ = replica.next_wake(now);
        replica.tick(now, &mut Vec::new());
    }
}
