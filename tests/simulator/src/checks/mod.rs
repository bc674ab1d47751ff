//! The rules that must hold after every step of every peer, and what must have happened at the end.
//!
//! The checks look closely at each height where it is first executed, with a ledger of their own. Every other
//! peer that executes the height must reach the same result. The modules check:
//!
//! * `chain`: agreement, and what headers say;
//! * `epochs`: where an epoch ends, who comes next, and that only the authorities of an epoch vote in it;
//! * `leases`: each lease's life, from the events and transactions alone, with its own count of lease time;
//! * `policy`: which task and claim a lease joins, and which others were passed over;
//! * `shares`: whether submitters who wait for the same resources get their shares;
//! * `room`: what keys without a quota hold together, and that keys with one find room;
//! * `deaths`: of what workers died, and that it ends no further ones;
//! * `trials`: how much workers hold that have not delivered, and which failures end tasks;
//! * `placed`: which claim a task goes to, by spread and by the network's placement policies;
//! * `waits`: which tasks wait for which;
//! * `controls`: what submitters did to their tasks;
//! * `usage`: accounts that add up, in every way;
//! * `workers`: what each worker's process does with what it is told;
//! * `occurrences`: what becomes of the occurrences of recurring jobs;
//! * `agreement`: who gets replicas of a task, when their answers are asked for, and that no lie is taken;
//! * this module: bounds, and the end.

mod agreement;
mod chain;
mod controls;
pub mod deaths;
mod epochs;
mod leases;
mod occurrences;
mod placed;
mod policy;
mod room;
mod rules;
mod shares;
mod stored;
mod trials;
mod unclaimed;
mod usage;
mod waits;
pub mod workers;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::Ledger,
    proof::Handover,
    replica::{Executed, Replica},
    types::{
        Action, AuthoritySet, BlockTime, Epoch, Genesis, Height, JobId, Receipt, SignedTransaction, TransactionId,
        VoidReason, Vote,
    },
    worker::Died,
};
use serde::Serialize;

use self::{
    agreement::Agreements, chain::Chain, controls::Controls, deaths::Deaths, epochs::Epochs, leases::Leases,
    occurrences::Occurrences, placed::Placed, room::Room, rules::Rules, shares::Shares, stored::Stored, trials::Trials,
    unclaimed::Unclaimed, usage::Accounts, waits::Waits,
};
use crate::scenario::{START_US, Scenario};

/// How many tasks of a job the checks look at.
const TASKS_LOOKED_AT: u32 = 64;
/// The most journal records that a peer may hold.
const JOURNAL_MAX: usize = 50_000;
/// How long a whole network may take to order a transaction: this many blocks, and this many microseconds.
const ORDERED_WITHIN: (usize, u64) = (20, 20_000_000);

/// A rule that did not hold.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// When, in microseconds of the run.
    pub at_us: u64,
    /// The peer that showed it.
    pub peer: usize,
    /// What is wrong.
    pub what: String,
}

/// The result of a check: nothing, or the rule that does not hold.
pub type Checked = Result<(), String>;

fn rule(holds: bool, what: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(what()) }
}

/// A transaction that a peer took, so that it must be ordered.
struct Taken {
    id: TransactionId,
    expires: BlockTime,
    through: usize,
    life: u64,
}

/// The transactions that were void.
fn void(receipts: &[Receipt]) -> BTreeSet<TransactionId> {
    let void = receipts.iter().filter_map(|receipt| match receipt {
        Receipt::Transaction(receipt) if receipt.result.is_err() => Some(receipt.id),
        _ => None,
    });
    void.collect()
}

/// What became of a block's transactions, in order.
fn results_of(receipts: &[Receipt]) -> impl Iterator<Item = Result<(), VoidReason>> {
    receipts.iter().filter_map(|receipt| match receipt {
        Receipt::Transaction(receipt) => Some(receipt.result),
        Receipt::Outcome(_) => None,
    })
}

/// Everything that is known to be final, and all checks.
pub struct Checks {
    genesis: Arc<Genesis>,
    whole_at: BlockTime,
    ledger: Ledger,
    chain: Chain,
    epochs: Epochs,
    rules: Rules,
    room: Room,
    stored: Stored,
    trials: Trials,
    unclaimed: Unclaimed,
    deaths: Deaths,
    leases: Leases,
    agreements: Agreements,
    waits: Waits,
    controls: Controls,
    accounts: Accounts,
    shares: Shares,
    placed: Placed,
    occurrences: Occurrences,
    taken: Vec<Taken>,
    /// The claims and drains of workers in the order in which they were signed, and each worker's newest executed one.
    claims: BTreeMap<TransactionId, u64>,
    executed_claim: BTreeMap<PublicKey, u64>,
    signed: u64,
    /// Workers whose clock was set: they may sign lower sequence numbers than before.
    set_clocks: BTreeSet<PublicKey>,
}

impl Checks {
    /// Before the first block.
    #[must_use]
    pub fn new(scenario: &Scenario, genesis: &Arc<Genesis>) -> Self {
        let ledger = Ledger::new(Arc::clone(genesis));
        Self {
            chain: Chain::new(scenario, ledger.receipts_root()),
            epochs: Epochs::new(genesis),
            rules: Rules::new(genesis),
            room: Room::new(genesis),
            stored: Stored::default(),
            trials: Trials::new(genesis),
            unclaimed: Unclaimed::default(),
            deaths: Deaths::new(scenario, genesis),
            leases: Leases::new(genesis, scenario.runs_once),
            agreements: Agreements::default(),
            waits: Waits::default(),
            controls: Controls::default(),
            accounts: Accounts::default(),
            shares: Shares::default(),
            placed: Placed::default(),
            occurrences: Occurrences::default(),
            whole_at: BlockTime(START_US + scenario.whole_at_us),
            genesis: Arc::clone(genesis),
            ledger,
            taken: Vec::new(),
            claims: BTreeMap::new(),
            executed_claim: BTreeMap::new(),
            signed: 0,
            set_clocks: BTreeSet::new(),
        }
    }

    /// How many heights are final.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.chain.height()
    }

    /// The time of the newest final block.
    #[must_use]
    pub fn newest(&self) -> BlockTime {
        self.chain.newest()
    }

    /// How many tasks were admitted.
    #[must_use]
    pub fn tasks(&self) -> u64 {
        self.leases.tasks()
    }

    /// How many attempts were leased.
    #[must_use]
    pub fn leases(&self) -> u64 {
        self.ledger.totals().ever.leases
    }

    /// How many wrong answers were accepted, because they were not compared.
    #[must_use]
    pub const fn lies(&self) -> u64 {
        self.agreements.lies()
    }

    /// How many speculative attempts were leased.
    #[must_use]
    pub const fn speculative(&self) -> u64 {
        self.leases.speculative()
    }

    /// How many outcomes were accepted.
    #[must_use]
    pub const fn outcomes(&self) -> u64 {
        self.leases.outcomes()
    }

    /// An honest peer has reached an epoch.
    ///
    /// # Errors
    /// A rule does not hold.
    pub fn epoch_begins(&mut self, epoch: Epoch, handover: &Handover) -> Checked {
        self.epochs.begins(epoch, handover, &self.ledger)
    }

    /// The newest epoch that any honest peer has reached.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epochs.ended() as u64
    }

    /// The authorities of an epoch that an honest peer has reached.
    #[must_use]
    pub fn authorities(&self, epoch: Epoch) -> Option<&AuthoritySet> {
        self.epochs.authorities(epoch)
    }

    /// The ledger at the newest height that any honest peer has executed.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// An honest key's vote goes out.
    ///
    /// # Errors
    /// It is no authority of the vote's epoch.
    pub fn votes(&self, vote: &Vote, key: &PublicKey) -> Checked {
        self.epochs.check_vote(vote, key)
    }

    /// At the end, checks the handovers that a peer has stored.
    ///
    /// # Errors
    /// They do not lead from the genesis to the newest epoch.
    pub fn handovers<'a>(&self, stored: impl Iterator<Item = (&'a Epoch, &'a Handover)>) -> Checked {
        self.epochs.check_handovers(stored)
    }

    /// Whether a job was admitted and has not ended.
    #[must_use]
    pub fn is_unfinished(&self, job: &JobId) -> bool {
        self.leases.is_unfinished(job)
    }

    /// A worker has signed this.
    pub fn signed(&mut self, transaction: &SignedTransaction) {
        if matches!(transaction.transaction().action, Action::Claim(_) | Action::Drain(_)) {
            self.signed += 1;
            self.claims.insert(transaction.id(), self.signed);
        }
    }

    /// A worker's process has died of these attempts.
    ///
    /// # Errors
    /// They have ended too many.
    pub fn died(&mut self, died: &[Died]) -> Checked {
        self.deaths.died(died)
    }

    /// A peer's clock was set.
    pub fn clock_set(&mut self, key: PublicKey) {
        self.set_clocks.insert(key);
    }

    /// An honest peer has taken a transaction of one of its own users.
    pub fn taken(&mut self, transaction: &SignedTransaction, through: usize, life: u64) {
        if matches!(transaction.transaction().action, Action::Submit(_)) {
            let expires = transaction.transaction().expires;
            self.taken.push(Taken { id: transaction.id(), expires, through, life });
        }
    }

    /// An honest peer has executed a block, at this time of the run.
    ///
    /// # Errors
    /// A rule does not hold.
    pub fn executed(&mut self, executed: &Executed, now_us: u64) -> Checked {
        let state = executed.snapshot.as_ref().map(|snapshot| snapshot.chunks.state());
        if executed.block.header.height.0 <= self.chain.height() {
            return self.chain.again(executed, state);
        }
        self.chain.check_block(&executed.block, now_us)?;
        self.epochs.check_block(&executed.block, &self.ledger)?;
        let before = self.ledger.time();
        let applied = self.ledger.apply(&executed.block);
        let own = state.map(|_| self.ledger.state_digest());
        self.chain.extend(executed, self.ledger.receipts_root(), own)?;
        rule(own == state, || format!("the state at height {} is not that of execution", self.chain.height()))?;
        self.check_sequences(&executed.block.transactions, &applied.receipts)?;
        let void = void(&applied.receipts);
        let good = executed.block.transactions.iter().filter(|transaction| !void.contains(&transaction.id()));
        let approved = self.epochs.check_governed(good.clone(), &self.ledger)?;
        let results = executed.block.transactions.iter().map(AsRef::as_ref).zip(results_of(&applied.receipts));
        self.room.check(&approved, results, &self.ledger)?;
        self.stored.check(good.clone().map(AsRef::as_ref), &applied.receipts, &self.room, &self.ledger)?;
        self.rules.check(approved, &applied.events, &self.ledger)?;
        self.trials.check(&applied, &self.room, &self.ledger)?;
        self.unclaimed.check(&applied, &self.ledger)?;
        self.deaths.check(good.map(AsRef::as_ref), &applied, &self.ledger)?;
        self.leases.check(&executed.block, &applied, before, &self.ledger)?;
        for (transaction, result) in executed.block.transactions.iter().zip(results_of(&applied.receipts)) {
            if result.is_ok() {
                self.waits.hear(transaction);
                self.controls.hear(transaction, &self.ledger);
                self.occurrences.hear(transaction, self.ledger.time());
            }
        }
        let good = executed.block.transactions.iter().filter(|transaction| !void.contains(&transaction.id()));
        self.agreements.check(good.map(AsRef::as_ref), &applied, &self.ledger)?;
        self.waits.check(&applied.events, &self.ledger)?;
        self.controls.check(&applied.events, &self.ledger)?;
        self.accounts.check(&self.ledger)?;
        self.shares.check(&applied.events, &self.ledger)?;
        self.occurrences.check(&applied.events, &self.ledger)?;
        let good = executed.block.transactions.iter().filter(|transaction| !void.contains(&transaction.id()));
        self.placed.see(good.map(AsRef::as_ref), &applied.events, &self.ledger);
        policy::check(&self.ledger, &self.placed, &applied.events, self.chain.height())
    }

    /// A worker's claim may be void for its sequence number only if a later claim was executed before.
    fn check_sequences(&mut self, transactions: &[Arc<SignedTransaction>], receipts: &[Receipt]) -> Checked {
        let results: BTreeMap<TransactionId, Result<(), VoidReason>> = receipts
            .iter()
            .filter_map(|receipt| match receipt {
                Receipt::Transaction(receipt) => Some((receipt.id, receipt.result)),
                Receipt::Outcome(_) => None,
            })
            .collect();
        for transaction in transactions {
            let (id, signer) = (transaction.id(), transaction.signer());
            let Some(order) = self.claims.get(&id).copied() else { continue };
            let newest = self.executed_claim.entry(signer).or_default();
            match results.get(&id) {
                Some(Ok(())) => *newest = order.max(*newest),
                Some(Err(VoidReason::OldSequence)) if !self.set_clocks.contains(&signer) => {
                    rule(order < *newest, || {
                        format!("a claim of {signer} is void though it is the newest of its key")
                    })?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A peer keeps its own bounds, whatever the others do.
    ///
    /// # Errors
    /// One does not hold.
    pub fn bounded(&self, replica: &Replica, journal: usize) -> Checked {
        rule(journal <= JOURNAL_MAX, || format!("the journal has {journal} records"))?;
        let pooled = replica.pool().len();
        rule(pooled <= meshwork_core::pool::TRANSACTIONS_MAX, || format!("the pool has {pooled} transactions"))?;
        let round = replica.consensus();
        let kept = round.kept();
        let open = round.view().0 - round.tip().view.0;
        let window = self.genesis.consensus.view_window;
        rule(kept.rounds as u64 <= open + window + 2, || {
            format!("{} views are kept, of which {open} are open", kept.rounds)
        })?;
        rule(kept.proposals as u64 <= 3 * (open + 18), || {
            format!("{} proposals are kept, with {open} open views", kept.proposals)
        })?;
        rule(kept.named as u64 <= 4 * (open + 64), || {
            format!("{} things are remembered besides, with {open} open views", kept.named)
        })
    }

    /// At the end, when the network has been whole for long enough, every peer is at the same height and
    /// nothing is outstanding. `life` tells which of a peer's processes runs now.
    ///
    /// # Errors
    /// Some peer is not, or something is.
    pub fn whole(&self, replicas: &[(usize, &Replica)], life: impl Fn(usize) -> u64) -> Checked {
        let mut states: BTreeMap<Height, (usize, Digest)> = BTreeMap::new();
        for (peer, replica) in replicas {
            let ledger = replica.ledger();
            let counts = ledger.totals().tasks;
            rule(counts.unfinished() == 0, || {
                format!("peer {peer} still has {} tasks outstanding: {counts:?}", counts.unfinished())
            })?;
            let state = ledger.state_digest();
            let (other, known) = *states.entry(ledger.height()).or_insert((*peer, state));
            rule(known == state, || {
                format!("peers {other} and {peer} have other states at height {}", ledger.height())
            })?;
        }
        rule(self.occurrences.is_empty(), || "a recurring job has not ended after its last occurrence".into())?;
        let ordered: BTreeSet<TransactionId> = self.chain.transactions().collect();
        for Taken { id, expires, through, life: process } in &self.taken {
            // A process that has ended since has forgotten the transaction.
            if ordered.contains(id) || life(*through) != *process {
                continue;
            }
            let (blocks, us) = self.chain.between(self.whole_at, *expires);
            rule(blocks < ORDERED_WITHIN.0 || us < ORDERED_WITHIN.1, || {
                format!("a transaction that peer {through} took was not ordered in {blocks} blocks of a whole network")
            })?;
        }
        Ok(())
    }
}
