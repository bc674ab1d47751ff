//! The peers that are not run in full: volunteers, who submit too, and the ways of their transactions.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::{
    ledger::LedgerEvent,
    replica::{Executed, Gossip, Message},
    types::{
        Action, AttemptId, BlobRef, Block, BlockTime, Limits, Receipt, Resources, Retry, SignedTransaction, Submit,
        TaskSpec, Tasks, Transaction, TransactionId,
    },
};
use rand::RngExt;

use super::{
    finality::Settled,
    network::{Event, Network},
    volunteer::News,
};
use crate::scenario::START_US;

/// How long transactions live, in milliseconds: `TRANSACTION_LIFE_MS` of `node/src/worker`.
const LIFE_MS: u64 = 60_000;
/// How often a peer offers its own transactions to the next leaders while it has seen them in no block:
/// `OFFER_US` of the replica.
const OFFER_US: u64 = 500_000;
/// How many leaders get the offer.
const OFFER_LEADERS: u64 = 2;
/// Bytes of one task's arguments.
const TASK_BYTES: usize = 1024;

/// A transaction that is on its way.
pub(super) struct Pending {
    peer: usize,
    at_us: u64,
    signed: Arc<SignedTransaction>,
    /// When its signer first sees it in a block.
    seen_us: u64,
}

/// What peers learn from a final block, once it is final with them.
pub(super) struct Heard {
    height: u64,
    news: BTreeMap<usize, News>,
    /// The jobs submitted in it: by whom, when, and when the first authority knew that the block is final.
    jobs: Vec<(usize, u64, u64)>,
}

impl Network<'_> {
    const fn peer_of(&self, volunteer: usize) -> usize {
        self.fulls.len() + volunteer
    }

    pub(super) fn look_at(&mut self, volunteer: usize, at_us: u64) {
        if at_us < self.looks_us[volunteer] || self.looks_us[volunteer] <= self.now_us {
            self.looks_us[volunteer] = at_us;
            self.post(at_us, Event::Look(volunteer));
        }
    }

    /// A volunteer signs and sends what is due.
    pub(super) fn look(&mut self, volunteer: usize) {
        let says = self.volunteers[volunteer].says(self.now_us);
        let peer = self.peer_of(volunteer);
        let signed: Vec<_> = says.into_iter().map(|action| self.sign(peer, action)).collect();
        for one in &signed {
            self.volunteers[volunteer].sent(&one.transaction().action, one.id(), self.now_us);
        }
        if !signed.is_empty() {
            self.hand_in(peer, signed);
        }
        let next_us = self.volunteers[volunteer].next_look(self.now_us);
        self.look_at(volunteer, next_us);
    }

    pub(super) fn ran(&mut self, volunteer: usize, attempt: AttemptId, us: u64) {
        let begun = self.volunteers[volunteer].ran(attempt, us, self.now_us, &mut self.random);
        self.begun(volunteer, begun);
    }

    pub(super) fn hear(&mut self, volunteer: usize, news: News) {
        let begun = self.volunteers[volunteer].hear(news, self.now_us, &mut self.random);
        self.begun(volunteer, begun);
    }

    fn begun(&mut self, volunteer: usize, begun: Vec<(AttemptId, u64)>) {
        for (attempt, us) in begun {
            self.post(self.now_us + us, Event::Ran(volunteer, attempt, us));
        }
        self.look(volunteer);
    }

    fn sign(&mut self, peer: usize, action: Action) -> Arc<SignedTransaction> {
        let expires = BlockTime(START_US + self.now_us).plus_ms(LIFE_MS);
        let transaction = Transaction { nonce: self.random.random(), expires, action };
        Arc::new(SignedTransaction::sign(transaction, &self.keys[peer], &self.id))
    }

    /// Publishes a peer's own transactions as one message, as its driver would.
    fn hand_in(&mut self, peer: usize, transactions: Vec<Arc<SignedTransaction>>) {
        for signed in &transactions {
            let pending = Pending { peer, at_us: self.now_us, signed: Arc::clone(signed), seen_us: u64::MAX };
            self.pending.insert(signed.id(), pending);
            // A replica under load offers all the time, so the first offer comes at a random point of its
            // interval.
            let first_us = self.now_us + self.random.random_range(0..OFFER_US);
            self.post(first_us, Event::Offer(signed.id()));
        }
        self.publish(peer, Gossip::Transactions(transactions));
    }

    /// A signer offers what it has not seen in a block yet to the next leaders.
    pub(super) fn offer(&mut self, id: TransactionId) {
        let Some(pending) = self.pending.get(&id).filter(|pending| pending.seen_us > self.now_us) else { return };
        let (peer, signed) = (pending.peer, Arc::clone(&pending.signed));
        let view = self.fulls[0].replica.consensus().view().0;
        let count = self.setup.authorities as u64;
        for ahead in 0..OFFER_LEADERS.min(count) {
            let message = Message::Transactions(vec![Arc::clone(&signed)]);
            self.send(peer, ((view + ahead) % count) as usize, Arc::new(message));
        }
        self.post(self.now_us + OFFER_US, Event::Offer(id));
    }

    /// A block with these transactions is on its way.
    pub(super) fn see_in_block(&mut self, block: &Block, comes_us: &[u64]) {
        for transaction in &block.transactions {
            if let Some(pending) = self.pending.get_mut(&transaction.id()) {
                pending.seen_us = pending.seen_us.min(comes_us[pending.peer]);
            }
        }
    }

    pub(super) fn submit_job(&mut self) {
        let gap_us = 2_000_000 / self.setup.tasks_per_s;
        let next_us = self.now_us + self.random.random_range(1..=gap_us);
        self.post(next_us, Event::Submit);
        let spec = TaskSpec {
            arguments: vec!["7".repeat(TASK_BYTES)],
            resources: Resources { millicores: 1000, memory_bytes: 64 << 20 },
            limits: Limits { wall_ms: 10_000, fuel: 1 << 40, output_bytes: 1 << 20 },
            retry: Retry::of(3, 1000),
            ..TaskSpec::of(BlobRef { digest: meshwork_core::digest::Digest::ZERO, bytes: 1 })
        };
        let submit = Submit::new("scale", spec, Tasks::Repeat(1));
        let peer = self.random.random_range(self.fulls.len()..self.setup.peers);
        let signed = self.sign(peer, Action::Submit(submit));
        if self.is_measured(self.now_us) {
            self.record.outstanding += 1;
        }
        self.hand_in(peer, vec![signed]);
    }

    /// Sorts the events of a block by the peers that they concern.
    pub(super) fn gather(&mut self, executed: &Executed) -> Heard {
        let mut heard = Heard { height: executed.block.header.height.0, news: BTreeMap::new(), jobs: Vec::new() };
        let by_key = &self.by_key;
        let mut news_of = |peer: Option<usize>, say: &mut dyn FnMut(&mut News)| {
            if let Some(peer) = peer {
                say(heard.news.entry(peer).or_default());
            }
        };
        for event in &executed.applied.events {
            match event {
                LedgerEvent::Leased { attempt, worker, .. } => {
                    news_of(by_key.get(worker).copied(), &mut |news| news.given.push(*attempt));
                }
                LedgerEvent::Ended { attempt, worker, .. } | LedgerEvent::ReportIgnored { attempt, worker, .. } => {
                    news_of(by_key.get(worker).copied(), &mut |news| news.ended.push(*attempt));
                }
                LedgerEvent::ClaimEnded { worker, .. } => {
                    news_of(by_key.get(worker).copied(), &mut |news| news.lapsed = true);
                }
                _ => {}
            }
        }
        for receipt in &executed.applied.receipts {
            let Receipt::Transaction(receipt) = receipt else { continue };
            let Some(pending) = self.pending.remove(&receipt.id) else { continue };
            if matches!(pending.signed.transaction().action, Action::Submit(_)) {
                heard.jobs.push((pending.peer, pending.at_us, self.now_us));
            } else {
                let is_good = receipt.result.is_ok();
                heard.news.entry(pending.peer).or_default().executed.push((receipt.id, is_good));
            }
        }
        heard
    }

    /// Tells all peers about the blocks whose finality times are now known.
    pub(super) fn settle(&mut self) {
        while let Some(Settled { then: Heard { height, news, jobs }, proposed_us }) = self.finality.settle() {
            let final_us = &self.finality.final_us;
            self.record.settled(height, final_us[self.setup.authorities]);
            if let Some(proposed_us) = proposed_us.filter(|at_us| self.is_measured(*at_us)) {
                self.record.block_final(proposed_us, final_us);
            }
            for (peer, at_us, known_us) in jobs {
                if self.is_measured(at_us) {
                    self.record.job_final(known_us - at_us, final_us[peer] - at_us);
                }
            }
            let heard: Vec<(usize, u64, News)> =
                news.into_iter().map(|(peer, news)| (peer, final_us[peer], news)).collect();
            for (peer, at_us, news) in heard {
                if let Some(volunteer) = peer.checked_sub(self.fulls.len()) {
                    self.post(at_us, Event::Heard(volunteer, Box::new(news)));
                }
            }
        }
    }
}
