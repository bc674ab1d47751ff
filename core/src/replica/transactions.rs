//! Transactions on their way to a block. Each is checked and pooled; those that came in at this peer are
//! offered to leaders until they are ordered.

use std::sync::Arc;

use super::{Action, Gossip, Message, Replica};
use crate::{
    consensus::{Judgement, Monotonic, Now},
    fault::{Fault, is_planted},
    ledger::Trust,
    pool::{Refusal, Signer},
    types::{SignedTransaction, TransactionId, View},
};

/// How long a transaction from this peer waits before it is offered to the next leaders directly, in
/// microseconds.
const OFFER_US: u64 = 500_000;
/// The number of next leaders that it is offered to.
const OFFER_LEADERS: u64 = 2;
/// The most bytes of transactions in one offer.
const OFFER_BYTES_MAX: usize = 1 << 20;

impl Replica {
    /// Takes transactions from this peer's own users or worker. Returns one answer for each.
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
        let signer = self.signer(transaction);
        self.pool.admits(transaction, signer)?;
        self.ledger.check(transaction, self.network_time().at(now))?;
        self.pool.insert(Arc::clone(transaction), signer, local)
    }

    /// Whether the ledger trusts the signer of a transaction with what it signs.
    fn signer(&self, transaction: &SignedTransaction) -> Signer {
        let side = match transaction.transaction().action.permission() {
            Some(permission) => permission,
            // Who may govern is no stranger.
            None => return Signer::Trusted,
        };
        match self.ledger.trust(side, &transaction.signer()) {
            Trust::Unproven => Signer::Stranger,
            Trust::Proven | Trust::Vouched => Signer::Trusted,
        }
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
            // Every signature is checked, even of a transaction that is refused anyway. A peer that forwards a
            // batch answers for all of it, and other peers may not refuse that transaction.
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

    /// Offers transactions of this peer that are still not ordered to the next leaders, directly. Gossip may
    /// have lost them, and would drop them as duplicates if they were published again.
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
