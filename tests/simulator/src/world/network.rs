//! Carries messages: gossip to everyone, once; direct messages to one peer. Both go over links that may fail.

use std::{collections::BTreeSet, sync::Arc};

use meshwork_core::{
    codec,
    consensus::VotingStatus,
    digest::Digest,
    identity::PublicKey,
    replica::{Gossip, Message},
    types::AuthoritySet,
};
use rand::RngExt;

use super::{Event, World};
use crate::{
    liar::{Audience, Forged, Lie},
    links::{Fate, fate},
    peer::Parcel,
    rumours::RumourId,
};

/// How many of a hundred messages a withholding authority withholds.
const WITHHELD_PERCENT: u32 = 70;

impl World<'_> {
    pub(super) fn send(&mut self, from: usize, to: PublicKey, message: &Arc<Message>) {
        for to in self.by_key.get(&to).cloned().unwrap_or_default() {
            self.carry(from, to, Parcel::Message { from, tampered: false, message: Arc::clone(message) });
        }
    }

    /// A peer publishes a message; a forger publishes something else instead.
    pub(super) fn gossip(&mut self, from: usize, gossip: Gossip) {
        let clock = self.peers[from].now(self.now).clock;
        if let (Some(forger), Gossip::Proposal(proposal)) = (&mut self.peers[from].forger, &gossip)
            && let Some(forged) = forger.instead_of(proposal, clock, &mut self.random)
        {
            self.say(from, forged);
            return;
        }
        self.publish(from, gossip, Audience::All);
    }

    fn publish(&mut self, from: usize, gossip: Gossip, audience: Audience) {
        let digest = Digest::of(&codec::encode(&gossip));
        let Some(rumour) = self.rumours.publish(from, digest, self.now) else { return };
        let gossip = Arc::new(gossip);
        for to in 0..self.peers.len() {
            if audience.has(to) && self.peers[to].public != self.peers[from].public {
                self.carry(from, to, Parcel::Gossip { from, rumour: Some(rumour), gossip: Arc::clone(&gossip) });
            }
        }
    }

    /// Honest peers that a liar told something pass it on.
    pub(super) fn forward(&mut self, by: usize, from: usize, rumour: RumourId, gossip: &Arc<Gossip>) {
        if !self.peers[from].is_liar() || self.peers[by].is_liar() {
            return;
        }
        for to in 0..self.peers.len() {
            if to != by && to != from && !self.rumours.has_reached(rumour, to) {
                let parcel = Parcel::Gossip { from: by, rumour: Some(rumour), gossip: Arc::clone(gossip) };
                self.carry(by, to, parcel);
            }
        }
    }

    /// A forger's answers to a message.
    pub(super) fn forge_on(&mut self, index: usize, gossip: &Gossip) {
        let peer = &mut self.peers[index];
        let clock = peer.now(self.now).clock;
        let not_vote =
            peer.replica.as_ref().is_some_and(|replica| replica.consensus().voting_status() != VotingStatus::Voting);
        if let (Some(forger), Gossip::Proposal(proposal)) = (&mut peer.forger, gossip) {
            let forged = forger.on_proposal(proposal, not_vote, clock, &mut self.random);
            self.say(index, forged);
        }
    }

    fn say(&mut self, from: usize, forged: Vec<Forged>) {
        for word in forged {
            self.count("forged message");
            match word {
                Forged::Gossip(gossip, audience) => self.publish(from, gossip, audience),
                Forged::Message(message, audience) => {
                    let message = Arc::new(message);
                    for to in self.heard_by(from).into_iter().filter(|to| audience.has(*to)) {
                        let parcel = Parcel::Message { from, tampered: false, message: Arc::clone(&message) };
                        self.carry(from, to, parcel);
                    }
                }
            }
        }
    }

    /// The authorities of a liar's epoch, and of the newest.
    fn heard_by(&self, from: usize) -> Vec<usize> {
        let of_liar = self.peers[from].replica.as_ref().map(|replica| replica.consensus().authorities().as_ref());
        let keys =
            of_liar.into_iter().chain([self.checks.ledger().authorities().as_ref()]).flat_map(AuthoritySet::keys);
        let peers: BTreeSet<usize> = keys.filter_map(|key| self.by_key.get(&key)?.first().copied()).collect();
        peers.into_iter().filter(|to| *to != from).collect()
    }

    fn is_kept_back(&mut self, from: usize, to: usize) -> bool {
        if self.are_apart(from, to) || self.are_apart(to, from) {
            return true;
        }
        match &self.peers[from].lie {
            Some(Lie::Withholds) => self.random.random_range(0..100) < WITHHELD_PERCENT,
            Some(Lie::Selective) => to % 2 == 1,
            _ => false,
        }
    }

    /// The first instance of a twin is among the honest peers of even number, the second among the others.
    fn are_apart(&self, twin: usize, other: usize) -> bool {
        let is_second = twin >= self.scenario.peers();
        let of_twin = self.peers[twin].lie == Some(Lie::Twin);
        of_twin && !self.peers[other].is_liar() && (other % 2 == 1) != is_second
    }

    /// Puts a message on its way, if there is one.
    fn carry(&mut self, from: usize, to: usize, parcel: Parcel) {
        if !self.cuts.carries(from, to, self.now) || self.is_kept_back(from, to) || self.is_spared(to, &parcel) {
            return;
        }
        let Fate::Comes { after_us, corrupt } = fate(&self.weather, from, to, &mut self.random) else { return };
        let slowness = self.cuts.slowness(from, to);
        for (copy, after_us) in after_us.into_iter().enumerate() {
            let parcel = if corrupt && copy == 0 { self.corrupt(&parcel) } else { Some(parcel.clone()) };
            if let Some(parcel) = parcel {
                self.post(self.now + after_us * slowness, Event::Parcel { to, life: None, parcel });
            }
        }
    }

    /// A liar ignores evidence against itself: it would stop, and lie no more.
    fn is_spared(&self, to: usize, parcel: &Parcel) -> bool {
        let Parcel::Gossip { gossip, .. } = parcel else { return false };
        matches!(&**gossip, Gossip::Evidence(evidence)
            if self.culprit(evidence).is_some_and(|culprit| self.peers[culprit].public == self.peers[to].public))
            && self.peers[to].is_liar()
    }

    /// A message with a flipped bit. Nothing if it no longer decodes.
    fn corrupt(&mut self, parcel: &Parcel) -> Option<Parcel> {
        self.count("corrupt message");
        let mut flip = |bytes: &mut Vec<u8>| {
            let bit = self.random.random_range(0..bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
        };
        match parcel {
            Parcel::Gossip { from, gossip, .. } => {
                let mut bytes = codec::encode(&**gossip);
                flip(&mut bytes);
                let gossip = Arc::new(Gossip::decode(&bytes, &self.genesis).ok()?);
                Some(Parcel::Gossip { from: *from, rumour: None, gossip })
            }
            Parcel::Message { from, message, .. } => {
                let mut bytes = codec::encode(&**message);
                flip(&mut bytes);
                let message = Arc::new(Message::decode(&bytes, &self.genesis).ok()?);
                Some(Parcel::Message { from: *from, tampered: true, message })
            }
            other => Some(other.clone()),
        }
    }
}
