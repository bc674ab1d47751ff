//! Carries out the round's effects: sends, stores, and executes.

use std::{collections::VecDeque, sync::Arc};

#[cfg(feature = "memo")]
use super::shared;
use super::{Action, Executed, Gossip, Message, Replica, Snapshot, executed};
use crate::{
    consensus::{self, Effect, Input, Record},
    digest::Digest,
    fault::{Fault, is_planted},
    ledger::Applied,
    types::{AuthoritySet, Block, Certificate, Epoch, View},
};

/// A transaction that expires later than any block can hold it, by this many milliseconds, came in while a
/// clock was wrong.
const WRONG_CLOCK_MS: u64 = 10_000;

/// The epoch and view of a certificate.
fn place_of(certificate: &Certificate) -> (Epoch, View) {
    (certificate.epoch, certificate.statement.view())
}

impl Replica {
    /// Carries out effects in order. `authorities` are those of the epoch in which the first effect was given.
    pub(super) fn carry_all(
        &mut self,
        mut authorities: Arc<AuthoritySet>,
        effects: Vec<Effect>,
        inputs: &mut VecDeque<Input>,
        actions: &mut Vec<Action>,
    ) {
        for effect in effects {
            match effect {
                Effect::Persist(Record::Voted(_) | Record::Notarized(..)) if is_planted(Fault::VotesNotDurable) => {}
                Effect::Persist(Record::Certified(_)) if is_planted(Fault::NoCertificates) => {}
                Effect::Persist(record) => actions.push(Action::Persist(record)),
                Effect::Prune { epoch, below } => actions.push(Action::Prune(epoch, below)),
                Effect::SendVotes(votes) => {
                    let others = authorities.keys().filter(|key| *key != self.me);
                    actions.extend(others.map(|to| Action::Send { to, message: Message::Votes(votes.clone()) }));
                }
                Effect::Send { to, message } => {
                    let Some(to) = authorities.key(to) else { continue };
                    let message = match message {
                        consensus::Message::Ask(ask) => Message::Ask(ask),
                        consensus::Message::Tell(tell) => Message::Tell(Box::new(tell)),
                    };
                    actions.push(Action::Send { to, message });
                }
                Effect::GossipProposal(proposal) => {
                    actions.push(Action::Gossip(Gossip::Proposal(Box::new(Arc::unwrap_or_clone(proposal)))));
                }
                Effect::GossipFinalization(certificate) => {
                    actions.push(Action::Gossip(Gossip::Finalization(certificate)));
                }
                Effect::Finalized { blocks, finalization } => {
                    self.execute_all(blocks, finalization, inputs, actions);
                }
                Effect::Closed { last, closing } => {
                    if self.behind.is_some_and(|view| view <= place_of(&closing.finalization)) {
                        self.behind = None;
                    }
                    self.closing = Some(closing.clone());
                    actions.push(Action::Closed(last, Box::new(closing)));
                }
                Effect::Epoch { epoch, authorities: next } => {
                    authorities = next;
                    actions.extend(self.epoch_begins(epoch, &authorities));
                }
                Effect::Evidence(evidence) => {
                    actions.push(Action::Evidence(Box::new(evidence.clone())));
                    // If the evidence came by gossip, gossip drops this as a duplicate.
                    actions.push(Action::Gossip(Gossip::Evidence(Box::new(evidence))));
                }
                Effect::Fork(fork) => {
                    if self.fork.is_none() {
                        self.fork = Some((*fork).clone());
                        actions.push(Action::Fork(fork));
                    }
                }
                Effect::Behind { finalization, .. } => {
                    self.behind = self.behind.max(Some(place_of(&finalization)));
                }
                Effect::VotingStatus(voting_status) => actions.push(Action::VotingStatus(voting_status)),
            }
        }
    }

    fn execute_all(
        &mut self,
        blocks: Vec<Arc<Block>>,
        finalization: Certificate,
        inputs: &mut VecDeque<Input>,
        actions: &mut Vec<Action>,
    ) {
        if self.behind.is_some_and(|place| place <= place_of(&finalization)) {
            self.behind = None;
        }
        self.closing = None;
        for block in blocks {
            let height = block.header.height;
            let digest = block.header.digest();
            let (applied, snapshot) = self.execute(&block, digest);
            self.results.executed(height, self.ledger.receipts_root());
            if let Some(snapshot) = &snapshot {
                self.results.snapshot_taken(height, snapshot.chunks.state());
            }
            self.results.prune(&block, self.genesis.consensus.snapshot_lag);
            let life_ms = self.genesis.ledger.transaction_life_ms_max;
            self.pool.settle(&block, block.header.time.plus_ms(life_ms.saturating_add(WRONG_CLOCK_MS)));
            let of_this = finalization.statement.block() == Some(digest);
            let finalization = of_this.then(|| finalization.clone());
            let executed = Executed::of(&self.ledger, &self.me, (block, digest), finalization, (applied, snapshot));
            actions.push(Action::Executed(Box::new(executed)));
            inputs.push_back(Input::Executed(height));
        }
    }

    fn execute(&mut self, block: &Block, digest: Digest) -> (Applied, Option<Snapshot>) {
        let before = std::mem::replace(&mut self.executed, digest);
        #[cfg(feature = "memo")]
        return shared::execute(&mut self.ledger, before, (digest, block), executed::execute);
        #[cfg(not(feature = "memo"))]
        {
            let _ = before;
            executed::execute(Arc::make_mut(&mut self.ledger), block)
        }
    }
}
