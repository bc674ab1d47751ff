//! A peer's services for its worker: brings it its inputs, looks up what claims need, signs and hands in.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use meshwork_core::{
    identity::PublicKey,
    ledger::{Ledger, Stage},
    pool::Refusal,
    replica::{self, Assignment},
    types::{Action, AttemptId, BlockTime, Incarnation, VoidReason},
    worker::{Input, LedgerStatus, LookedUp, Ticket},
};
use rand::RngExt;

use super::{Event, World};
use crate::{
    peer::Parcel,
    worker::{Errand, Wish},
};

/// With more workers than this, all look up what their claims need at the same moments, which are `GATHERED_US` apart.
/// Claims then share blocks, so a large network costs less to simulate.
const FEW: usize = 5;
const GATHERED_US: u64 = 2_000_000;
/// The longest time for which a peer is away after its worker has left, in microseconds.
const AWAY_US: u64 = 5_000_000;

impl World<'_> {
    pub(super) fn post_errand(&mut self, index: usize, after_us: u64, errand: Errand) {
        let life = Some(self.peers[index].life);
        self.post(self.now + after_us, Event::Parcel { to: index, life, parcel: Parcel::Worker(errand) });
    }

    /// Carries out an errand of a peer's worker.
    pub(super) fn work(&mut self, index: usize, errand: Errand, actions: &mut Vec<replica::Action>) {
        let peer = &mut self.peers[index];
        let now = peer.now(self.now);
        let (Some(worker), Some(replica)) = (&mut peer.worker, &peer.replica) else { return };
        if let Errand::LookUp(blobs) = errand {
            let wishes = self.look_up(index, blobs);
            return self.fulfil(index, wishes, actions);
        }
        let next_tick = matches!(errand, Errand::Tick).then(|| worker.tick_us());
        let wishes = if matches!(errand, Errand::CatchUp) {
            let (ledger, me) = (replica.ledger(), &peer.public);
            let given = |attempt, incarnation| Assignment::of(ledger, attempt, incarnation);
            let leases = ledger.leases_of(me).into_iter();
            let standing = LedgerStatus {
                leases: leases.filter_map(|lease| given(lease.attempt, lease.incarnation)).collect(),
                stands: ledger.worker(me).map(|worker| worker.claim.incarnation),
                committed: committed(ledger, me),
            };
            worker.catch_up(now, standing)
        } else {
            worker.take(now, replica.ledger().height(), errand)
        };
        if let Some(tick_us) = next_tick {
            self.post_errand(index, tick_us, Errand::Tick);
        }
        self.fulfil(index, wishes, actions);
    }

    /// Carries out what a worker wants of its peer.
    fn fulfil(&mut self, index: usize, wishes: Vec<Wish>, actions: &mut Vec<replica::Action>) {
        let mut wishes = VecDeque::from(wishes);
        while let Some(wish) = wishes.pop_front() {
            match wish {
                Wish::Later(after_us, due) => self.post_errand(index, after_us, Errand::Due(due)),
                Wish::LookUp { blobs } if self.scenario.workers.len() > FEW => {
                    let after_us = GATHERED_US - self.now % GATHERED_US;
                    self.post_errand(index, after_us, Errand::LookUp(blobs));
                }
                Wish::LookUp { blobs } => wishes.extend(self.look_up(index, blobs)),
                Wish::HandIn { ticket, action, expires } => {
                    wishes.extend(self.hand_in(index, ticket, (action, expires), actions));
                }
                Wish::Left | Wish::Die => self.post(self.now + 1, Event::Left(index)),
                Wish::Forget(attempt) => self.peers[index].died_of.retain(|died| died.attempt != attempt),
            }
        }
        if let Some(what) = self.peers[index].worker.as_mut().and_then(|worker| worker.broken()) {
            self.violate(index, what);
        }
    }

    fn look_up(&mut self, index: usize, blobs: bool) -> Vec<Wish> {
        let peer = &self.peers[index];
        let Some(replica) = &peer.replica else { return Vec::new() };
        let looked_up = LookedUp {
            lacks_blocks: replica.lacks_blocks(),
            network_time: replica.network_time(),
            last: replica.ledger().last_sequence(&peer.public),
            blobs: blobs.then(Default::default),
        };
        self.tell_worker(index, Input::LookedUp(looked_up))
    }

    fn tell_worker(&mut self, index: usize, input: Input) -> Vec<Wish> {
        let peer = &mut self.peers[index];
        let now = peer.now(self.now);
        peer.worker.as_mut().map(|worker| worker.tell(now, input)).unwrap_or_default()
    }

    /// Signs an action of a worker and hands it in. Returns what the worker wants then.
    fn hand_in(
        &mut self,
        index: usize,
        ticket: Option<Ticket>,
        (action, expires): (Action, BlockTime),
        actions: &mut Vec<replica::Action>,
    ) -> Vec<Wish> {
        let is_report = matches!(action, Action::Report(_));
        let key = self.peers[index].key.clone();
        let signed = self.sign_with(&key, expires, action);
        self.checks.signed(&signed);
        let mut wishes = Vec::new();
        if let Some(ticket) = ticket {
            wishes.extend(self.tell_worker(index, Input::Signed { ticket, id: signed.id() }));
        }
        let peer = &mut self.peers[index];
        let now = peer.now(self.now);
        let is_unlucky = is_report && peer.worker.as_mut().is_some_and(|worker| worker.is_unlucky());
        let Some(replica) = &mut peer.replica else { return wishes };
        let answers = if is_unlucky { Vec::new() } else { replica.submit(now, vec![Arc::clone(&signed)], actions) };
        if answers.first() == Some(&Err(Refusal::Void(VoidReason::OldSequence))) && !peer.has_jumped {
            self.violate(index, "its worker signs a claim that is older than the last".into());
        }
        if let Some(ticket) = ticket
            && !answers.first().is_some_and(Result::is_ok)
        {
            wishes.extend(self.tell_worker(index, Input::Refused(ticket)));
        }
        wishes
    }

    /// A worker has left, and its peer with it. The peer comes back later.
    pub(super) fn worker_left(&mut self, index: usize) {
        self.crash(index);
        let away_us = self.random.random_range(1..AWAY_US);
        self.post(self.now + away_us, Event::Back(index));
    }

    /// A second process elsewhere claims once with a worker's key, and is gone.
    pub(super) fn begin_elsewhere(&mut self, through: usize, of: usize) {
        let key = self.peers[of].key.clone();
        let Some((sequence, incarnation)) = self.checks.ledger().last_sequence(&key.public()) else { return };
        let claim = self.one_claim((sequence + 1, Incarnation(incarnation.0 + 1)));
        let signed = self.sign_with(&key, self.life_end(), Action::Claim(claim));
        self.submit(through, signed);
    }
}

/// The attempts to whose answers a worker has committed itself, each with whether it is asked for it.
fn committed(ledger: &Ledger, worker: &PublicKey) -> BTreeMap<AttemptId, bool> {
    let leases = ledger.leases_of(worker).into_iter();
    let committed = leases.filter_map(|lease| match lease.stage {
        Stage::Committed { asked } => Some((lease.attempt, asked)),
        Stage::Waiting | Stage::Running => None,
    });
    committed.collect()
}
