//! Transactions on their way to a block: what comes in is checked and pooled, what came in here is offered until it is ordered.

use std::sync::Arc;

use super::{Action, Gossip, Message, Replica};
use crate::{
    consensus::{Judgement, Monotonic, Now},
    fault::{Fault, is_planted},
    pool::Refusal,
    types::{SignedTransaction, TransactionId, View},
};

/// How long a transaction that came in here waits before it is offered to the next leaders directly, in microseconds.
const OFFER_US: u64 = 500_000;
/// How many of the next leaders it is offered to.
const OFFER_LEADERS: u64 = 2;
/// The most bytes of transactions in one offer.
const OFFER_BYTES_MAX: usize = 1 << 20;

impl Replica {
    /// Transactions come in here, from this peer's own people or worker. One answer for each.
    pub fn submit(
        &mut self,
        now: Now,
        transactions: Vec<Arc<SignedTransaction>>,
        actions: &mut Vec<Action>,
    ) -> Vec<Result<TransactionId, Refusal>> {
        if !self.pool.has_work() {
            self.offer_at = Monotonic(now.monotonic.0 + OFFER_US);
        }
        let mut taken = Vec::new();
        let mut answers = Vec::with_capacity(transactions.len());
        for transaction in transactions {
            let answer = self.admit(now, &transaction, true);
            answers.push(answer.map(|()| transaction.id()));
            if answer.is_ok() {
                taken.push(transaction);
            }
        }
        if !taken.is_empty() {
            actions.push(Action::Gossip(Gossip::Transactions(taken)));
            self.update_reason(now, actions);
        }
        answers
    }

    fn admit(&mut self, now: Now, transaction: &Arc<SignedTransaction>, local: bool) -> Result<(), Refusal> {
        if !transaction.verify(&self.network) {
            return Err(Refusal::BadSignature);
        }
        self.admit_checked(now, transaction, local)
    }

    /// Pools a transaction whose signature is good by the strict rule.
    fn admit_checked(&mut self, now: Now, transaction: &Arc<SignedTransaction>, local: bool) -> Result<(), Refusal> {
        self.pool.room_for(transaction)?;
        self.ledger.check(transaction, self.network_time().at(now))?;
        self.pool.insert(Arc::clone(transaction), local)
    }

    pub(super) fn take_all(
        &mut self,
        now: Now,
        transactions: Vec<Arc<SignedTransaction>>,
        actions: &mut Vec<Action>,
    ) -> Judgement {
        let mut judgement = Judgement::Ignore("no transaction in it is new and could be executed");
        for transaction in transactions {
            if self.pool.holds(&transaction) {
                continue;
            }
            // Every signature is looked at, also where nothing else speaks for the transaction: whoever forwards a batch
            // answers for all of it, to peers that may see it otherwise.
            if !transaction.verify(&self.network) {
                judgement = Judgement::Reject("a transaction's signature is not good");
                break;
            }
            if self.admit_checked(now, &transaction, false).is_ok() {
                judgement = Judgement::Accept;
            }
        }
        self.update_reason(now, actions);
        judgement
    }

    /// Offers what came in here and is still not ordered to the next leaders, directly: gossip may have lost it, and would
    /// drop it as a duplicate if it were published again.
    pub(super) fn offer(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.pool.has_work() || now.monotonic < self.offer_at {
            return;
        }
        self.offer_at = Monotonic(now.monotonic.0 + OFFER_US);
        let waiting = self.pool.local_waiting(OFFER_BYTES_MAX);
        if waiting.is_empty() {
            return;
        }
        if is_planted(Fault::RetriesByGossip) {
            actions.push(Action::Gossip(Gossip::Transactions(waiting)));
            return;
        }
        let authorities = self.consensus.authorities();
        let leaders = (0..OFFER_LEADERS.min(authorities.count() as u64)).filter_map(|ahead| {
            authorities.key(authorities.leader(View(self.consensus.view().0.saturating_add(ahead))))
        });
        for to in leaders.filter(|key| *key != self.me) {
            actions.push(Action::Send { to, message: Message::Transactions(waiting.clone()) });
        }
    }
}
