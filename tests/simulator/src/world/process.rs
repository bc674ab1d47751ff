//! What a peer's process does with what comes to it: the replica's step first, what is to be stored next, and then the
//! rest.

use std::sync::Arc;

use meshwork_core::{
    consensus::{Evidence, Judgement, VotingStatus},
    proof::Handover,
    replica::{Action, Executed, Gossip, Installation, Message, message_bytes_max},
    types::Epoch,
};

use super::{Event, World};
use crate::{
    disk::Transaction as DiskTransaction,
    liar::Lie,
    peer::{Parcel, Step},
    worker::{Errand, Worker},
};

/// How soon a twin that has been stopped is back, in microseconds.
const TWIN_AGAIN_US: u64 = 500_000;
/// How long unsynced writes stay so, in microseconds.
pub(super) const SYNC_EVERY_US: u64 = 250_000;

impl World<'_> {
    /// Something comes to a peer.
    pub(super) fn arrive(&mut self, to: usize, life: Option<u64>, parcel: Parcel) {
        let peer = &mut self.peers[to];
        if peer.replica.is_none() || life.is_some_and(|life| life != peer.life) {
            return;
        }
        if let Parcel::Gossip { rumour: Some(rumour), .. } = parcel
            && !self.rumours.reach(rumour, to)
        {
            return;
        }
        if matches!(parcel, Parcel::Wake) && peer.wakes_at.is_some_and(|at| at <= self.now) {
            peer.wakes_at = None;
        }
        peer.inbox.push_back(parcel);
        self.go_on(to);
    }

    /// Handles what waits at a peer, until it waits for its disk, stands still, or nothing is left.
    pub(super) fn go_on(&mut self, index: usize) {
        loop {
            let peer = &mut self.peers[index];
            if peer.replica.is_none() || peer.syncing.is_some() || self.violation.is_some() {
                return;
            }
            if peer.paused_until > self.now {
                if peer.wakes_at.is_none_or(|at| at > peer.paused_until) {
                    let (at, life) = (peer.paused_until, peer.life);
                    peer.wakes_at = Some(at);
                    self.post(at, Event::Parcel { to: index, life: Some(life), parcel: Parcel::Wake });
                }
                return;
            }
            let Some(parcel) = peer.inbox.pop_front() else {
                self.post_wake(index);
                return;
            };
            self.take(index, parcel);
        }
    }

    fn post_wake(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        let Some(replica) = &peer.replica else { return };
        let Some(due) = replica.next_wake(peer.now(self.now)) else { return };
        let at = peer.moment(due, self.now);
        if peer.wakes_at.is_none_or(|posted| at < posted) {
            peer.wakes_at = Some(at);
            let life = Some(peer.life);
            self.post(at, Event::Parcel { to: index, life, parcel: Parcel::Wake });
        }
    }

    fn take(&mut self, index: usize, parcel: Parcel) {
        let peer = &mut self.peers[index];
        let now = peer.now(self.now);
        let Some(replica) = &mut peer.replica else { return };
        let mut actions = Vec::new();
        match parcel {
            Parcel::Gossip { from, rumour, gossip } => {
                let judgement = replica.gossip(now, Gossip::clone(&gossip), &mut actions);
                if rumour.is_some() {
                    self.blame(index, from, judgement);
                }
                if let Some(rumour) = rumour
                    && matches!(judgement, Judgement::Accept | Judgement::Deferred(_))
                {
                    self.forward(index, from, rumour, &gossip);
                }
                self.forge_on(index, &gossip);
            }
            Parcel::Message { from, tampered, message } => {
                let sender = self.peers[from].public;
                if let Some(replica) = &mut self.peers[index].replica {
                    let judgement = replica.message(now, sender, Message::clone(&message), &mut actions);
                    if !tampered {
                        self.blame(index, from, judgement);
                    }
                }
            }
            Parcel::Connected(other) => replica.connected(now, other, &mut actions),
            Parcel::Wake => {
                if replica.next_wake(now).is_some_and(|at| at <= now.monotonic) {
                    replica.tick(now, &mut actions);
                }
            }
            Parcel::Worker(errand) => self.work(index, errand, &mut actions),
        }
        self.step(index, actions);
    }

    /// What an honest peer says, no honest peer refuses: else they would come to shun each other.
    fn blame(&mut self, index: usize, from: usize, judgement: Judgement) {
        if let Judgement::Reject(why) = judgement
            && !self.peers[from].is_liar()
            && !self.peers[index].is_liar()
        {
            self.violate(index, format!("it refuses what honest peer {from} says: {why}"));
        }
    }

    /// Stores what is to be stored and then does the rest, at once or when the disk has it.
    pub(super) fn step(&mut self, index: usize, actions: Vec<Action>) {
        if actions.is_empty() {
            return;
        }
        let transaction = DiskTransaction::of(&actions);
        let peer = &mut self.peers[index];
        if transaction.must_sync {
            let (at, life) = (self.now + peer.sync_us, peer.life);
            peer.syncing = Some(Step { actions, transaction });
            self.post(at, Event::Synced { peer: index, life });
            return;
        }
        if !transaction.is_empty() {
            if peer.disk_full {
                self.crash(index);
                return;
            }
            peer.write_soon(transaction, self.now, SYNC_EVERY_US);
        }
        self.carry_out(index, actions);
    }

    pub(super) fn carry_out(&mut self, index: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Persist(_) | Action::Prune(..) | Action::Closed(..) => {}
                Action::Epoch { epoch, handover } => self.epoch_begins(index, epoch, &handover),
                Action::Executed(executed) => self.executed(index, &executed),
                Action::Send { to, message } => {
                    self.check_votes(index, &message);
                    self.send(index, to, &Arc::new(message));
                }
                Action::Gossip(gossip) => self.gossip(index, gossip),
                Action::ServeBlocks { to, epoch, from } => {
                    let most = message_bytes_max(&self.genesis) - (64 << 10);
                    if let Some(message) = self.peers[index].disk.blocks_from(epoch, from, most) {
                        self.send(index, to, &Arc::new(message));
                    }
                }
                Action::Fork(_) => self.violate(index, "two histories are final".into()),
                Action::Evidence(evidence) => {
                    let Some(culprit) = self.culprit(&evidence) else {
                        self.violate(index, "there is evidence against nobody".into());
                        return;
                    };
                    self.note(|| format!("peer {index} has evidence against peer {culprit}"));
                    if !self.peers[culprit].is_liar() {
                        self.violate(culprit, "there is evidence against an honest authority".into());
                    }
                }
                Action::VotingStatus(voting_status) => {
                    self.note(|| format!("peer {index} now stands as {voting_status:?}"));
                    let peer = &self.peers[index];
                    if voting_status == VotingStatus::Voting {
                        continue;
                    }
                    if peer.lie == Some(Lie::Twin) {
                        self.post(self.now + TWIN_AGAIN_US, Event::Twin(index));
                    } else if !peer.is_liar() && !peer.has_lost_journal {
                        self.violate(index, "an honest authority that has its journal votes no more".into());
                    }
                }
            }
        }
    }

    /// Whom evidence is against.
    pub(super) fn culprit(&self, evidence: &Evidence) -> Option<usize> {
        let key = self.checks.authorities(evidence.first.epoch)?.key(evidence.culprit())?;
        self.by_key.get(&key)?.first().copied()
    }

    /// Nobody honest votes in an epoch in which it is no authority.
    fn check_votes(&mut self, index: usize, message: &Message) {
        if let Message::Votes(votes) = message
            && !self.peers[index].is_liar()
        {
            let key = self.peers[index].public;
            if let Some(what) = votes.iter().find_map(|vote| self.checks.votes(vote, &key).err()) {
                self.violate(index, what);
            }
        }
    }

    fn epoch_begins(&mut self, index: usize, epoch: Epoch, handover: &Handover) {
        self.note(|| format!("peer {index} enters epoch {epoch} of {} authorities", handover.authorities.count()));
        if let Some(forger) = &mut self.peers[index].forger {
            forger.on_epoch(epoch, &handover.authorities);
        }
        if self.peers[index].is_liar() {
            return;
        }
        if let Err(what) = self.checks.epoch_begins(epoch, handover) {
            self.violate(index, what);
        }
    }

    fn executed(&mut self, index: usize, executed: &Executed) {
        let header = &executed.block.header;
        self.trace.update(&self.now.to_le_bytes());
        self.trace.update(&(index as u64).to_le_bytes());
        self.trace.update(&executed.digest.0);
        let (height, view, count) = (header.height, header.view, executed.block.transactions.len());
        self.note(|| format!("peer {index} executes height {height} of view {view} with {count} transactions"));
        let peer = &mut self.peers[index];
        if let Some(forger) = &mut peer.forger {
            forger.on_executed(executed);
        }
        if !peer.is_liar()
            && let Some(replica) = &peer.replica
        {
            let checked = self.checks.executed(executed, self.now);
            let bounded = self.checks.bounded(replica, peer.disk.journal_len());
            if let Err(what) = checked.and(bounded) {
                self.violate(index, what);
                return;
            }
        }
        let peer = &mut self.peers[index];
        let heard = peer.worker.as_mut().and_then(|worker| worker.executed(executed, &peer.public));
        if let Some((after_us, errand)) = heard {
            self.post_errand(index, after_us, errand);
        }
    }

    pub(super) fn start(&mut self, index: usize) {
        if self.peers[index].replica.is_some() {
            return;
        }
        self.begin_with_a_snapshot(index);
        if let Err(what) = self.peers[index].start(self.scenario, &self.genesis, self.now) {
            self.violate(index, format!("it cannot start from its disk: {what}"));
            return;
        }
        let life = Some(self.peers[index].life);
        let parcel = |parcel| Event::Parcel { to: index, life, parcel };
        self.post(self.now, parcel(Parcel::Wake));
        if self.peers[index].worker.is_some() {
            self.post(self.now + 1, parcel(Parcel::Worker(Errand::Tick)));
        }
        let me = self.peers[index].public;
        for other in (0..self.peers.len()).filter(|other| *other != index) {
            let key = self.peers[other].public;
            if key != me && self.peers[other].replica.is_some() {
                self.post(self.now, Event::Parcel { to: index, life, parcel: Parcel::Connected(key) });
                let theirs = Some(self.peers[other].life);
                self.post(self.now, Event::Parcel { to: other, life: theirs, parcel: Parcel::Connected(me) });
            }
        }
    }

    /// A peer that is far behind as it starts fetches what another offers, every other time that it starts: blocks
    /// alone have to do as well. It believes none of it.
    fn begin_with_a_snapshot(&mut self, index: usize) {
        let peer = &self.peers[index];
        if peer.is_liar() || peer.life % 4 < 2 {
            return;
        }
        let interval = self.genesis.consensus.snapshot_interval;
        let executed = peer.disk.height();
        let offers = self.peers.iter().filter(|other| other.replica.is_some() && !other.is_liar());
        let offers = offers.filter_map(|other| other.disk.offer());
        let worth = offers.filter(|(offer, ..)| offer.is_worth(executed, interval));
        let Some((offer, bytes, blocks)) = worth.max_by_key(|(offer, ..)| offer.certified.height()) else { return };
        let height = offer.certified.height();
        let (genesis, me) = (Arc::clone(&self.genesis), peer.public);
        let installed = offer.certified.verify(&genesis).map_err(|error| error.to_string()).and_then(|()| {
            Installation::of(&genesis, &me, offer.certified, bytes, blocks).map_err(|error| error.to_string())
        });
        match installed {
            Ok(installation) => {
                self.count("snapshot installed");
                self.note(|| format!("peer {index} at height {executed} begins with the snapshot of height {height}"));
                self.peers[index].disk.install(&installation);
                for executed in &installation.executed {
                    if let Err(what) = self.checks.executed(executed, self.now) {
                        self.violate(index, what);
                    }
                }
            }
            Err(what) => self.violate(index, format!("an honest peer's snapshot is not believed: {what}")),
        }
    }

    /// A twin that was shown what its other half says starts anew, without its memory of that.
    pub(super) fn start_again(&mut self, index: usize) {
        if self.peers[index].replica.is_some() {
            self.crash(index);
            self.peers[index].disk.forget_stop();
            self.start(index);
        }
    }

    /// What was being synced is on disk: nothing of it is sent, but the peer will go on from there, perhaps as the only
    /// one.
    fn survive(&mut self, index: usize, step: Step) {
        self.peers[index].write(step.transaction, self.now);
        for action in step.actions {
            match action {
                Action::Epoch { epoch, handover } => self.epoch_begins(index, epoch, &handover),
                Action::Executed(executed) => self.executed(index, &executed),
                _ => {}
            }
        }
    }

    /// Kills a process. A step that was being synced is on disk or not, as it happens.
    pub(super) fn crash(&mut self, index: usize) {
        use rand::RngExt;
        if self.peers[index].replica.is_none() {
            return;
        }
        if let Some(step) = self.peers[index].syncing.take()
            && self.random.random_range(0..2) == 0
        {
            self.survive(index, step);
        }
        let died_of = self.peers[index].worker.as_ref().map(Worker::dies_of).unwrap_or_default();
        if let Err(what) = self.checks.died(&died_of) {
            self.violate(index, what);
        }
        self.peers[index].crash();
        self.rumours.forget(index);
        let key = self.peers[index].public;
        for peer in &mut self.peers {
            if let Some(replica) = &mut peer.replica {
                replica.disconnected(&key);
            }
        }
    }
}
