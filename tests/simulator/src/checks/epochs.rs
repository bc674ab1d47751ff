//! Checks where an epoch ends, who comes next, and that everyone agrees on both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use meshwork_core::{
    digest::Digest,
    identity::{NetworkId, PublicKey},
    ledger::Ledger,
    proof::Handover,
    types::{
        Action, AuthoritySet, Block, Change, Epoch, Genesis, Govern, Height, Role, SignedTransaction, TransactionId,
        Vote,
    },
};

use super::{Checked, rule};

/// All epochs so far.
pub(super) struct Epochs {
    network: NetworkId,
    gate_interval: u64,
    /// By epoch: its authorities.
    sets: Vec<Arc<AuthoritySet>>,
    /// By epoch: its last height, its digest, and the root over all receipts up to it.
    ends: Vec<(Height, Digest, Digest)>,
    /// The epoch and role of the newest block.
    newest: (Epoch, Role),
    /// The height at which the newest block's epoch first approved a change.
    approved: Option<Height>,
    /// The open proposals of that epoch, and who approved each.
    open: BTreeMap<TransactionId, (Change, BTreeSet<PublicKey>)>,
    /// That epoch's authorities, and the next ones by all approvals so far, as counted here.
    set: AuthoritySet,
    next: AuthoritySet,
}

impl Epochs {
    pub(super) fn new(genesis: &Genesis) -> Self {
        Self {
            network: genesis.network_id(),
            gate_interval: genesis.consensus.gate_interval,
            sets: vec![Arc::new(genesis.authority_set())],
            ends: Vec::new(),
            newest: (Epoch(0), Role::Inner),
            approved: None,
            open: BTreeMap::new(),
            set: genesis.authority_set(),
            next: genesis.authority_set(),
        }
    }

    /// How many epochs have ended.
    pub(super) fn ended(&self) -> usize {
        self.ends.len()
    }

    /// The authorities of an epoch that an honest peer has reached.
    pub(super) fn authorities(&self, epoch: Epoch) -> Option<&AuthoritySet> {
        self.sets.get(epoch.0 as usize).map(Arc::as_ref)
    }

    /// Checks a block before its height is executed for the first time, on this ledger.
    pub(super) fn check_block(&mut self, block: &Block, ledger: &Ledger) -> Checked {
        let header = &block.header;
        let (height, (epoch, role)) = (header.height, self.newest);
        rule(!header.role.is_closing(), || format!("height {height} is a closing block's"))?;
        match role {
            Role::Last => {
                rule(header.epoch == epoch.next(), || format!("height {height} is above the last of epoch {epoch}"))?;
                let end = (ledger.height(), header.parent, ledger.receipts_root());
                if self.ends.len() as u64 == epoch.0 {
                    self.ends.push(end);
                    self.sets.push(Arc::new(self.next.clone()));
                }
                self.approved = None;
                self.open.clear();
                self.set = self.next.clone();
            }
            _ => rule(header.epoch == epoch, || format!("height {height} is of epoch {}, not {epoch}", header.epoch))?,
        }
        let is_gate = height.0.is_multiple_of(self.gate_interval);
        let holds = self.approved.is_some_and(|approved| approved <= header.result_height);
        rule((header.role == Role::Last) == (is_gate && holds), || {
            format!("height {height} is {:?}, with a change approved at {:?}", header.role, self.approved)
        })?;
        self.newest = (header.epoch, header.role);
        Ok(())
    }

    /// Checks that the valid transactions of an executed height did to the ledger what they should. Returns the
    /// changes of rules that they approved with effect at once.
    pub(super) fn check_governed<'a>(
        &mut self,
        executed: impl Iterator<Item = &'a Arc<SignedTransaction>>,
        ledger: &Ledger,
    ) -> Result<Vec<Change>, String> {
        let mut rules = Vec::new();
        for transaction in executed {
            let (id, signer) = (transaction.id(), transaction.signer());
            let Action::Govern(govern) = &transaction.transaction().action else { continue };
            rule(self.set.contains(&signer), || format!("{signer} governs, and is no authority"))?;
            let id = match govern {
                Govern::Propose(change) => {
                    self.open.insert(id, (change.clone(), BTreeSet::new()));
                    id
                }
                Govern::Approve(id) => *id,
            };
            let Some((change, approvals)) = self.open.get_mut(&id) else {
                return Err(format!("{signer} approves {id}, which is not open"));
            };
            rule(approvals.insert(signer), || format!("{signer} approves {id} twice"))?;
            let count = self.set.count();
            if approvals.len() >= count - (count - 1) / 3 {
                let next = match change {
                    Change::AddAuthority(authority) => Some(self.next.with(authority.clone())),
                    Change::RemoveAuthority(key) => Some(self.next.without(key)),
                    Change::Permit(..)
                    | Change::Bar(..)
                    | Change::SetQuota(..)
                    | Change::SetLimit(..)
                    | Change::SetSchedule(_) => {
                        rules.push(change.clone());
                        None
                    }
                };
                self.open.remove(&id);
                if let Some(next) = next {
                    self.next = next;
                    self.approved.get_or_insert(ledger.height());
                }
            }
        }
        let height = ledger.height();
        rule(**ledger.next_authorities() == self.next, || {
            format!("height {height} leaves other authorities for the next epoch than were approved")
        })?;
        rule(**ledger.authorities() == self.set, || {
            format!("height {height} is under other authorities than its epoch's")
        })?;
        Ok(rules)
    }

    /// An honest peer has reached an epoch by this handover; the ledger is at the newest height that anyone has
    /// executed.
    pub(super) fn begins(&mut self, epoch: Epoch, handover: &Handover, ledger: &Ledger) -> Checked {
        let Some(past) = epoch.0.checked_sub(1).map(Epoch) else { return Err("epoch 0 begins again".into()) };
        if self.ends.len() as u64 == past.0 {
            let (newest, role) = self.newest;
            rule(newest == past && role == Role::Last, || {
                format!("epoch {epoch} begins, and the newest block of {past} is not its last")
            })?;
            self.ends.push((ledger.height(), Digest::ZERO, ledger.receipts_root()));
            self.sets.push(Arc::new(self.next.clone()));
        }
        let known = self.ends.get(past.0 as usize).zip(self.sets.get(epoch.0 as usize));
        let Some(((height, _, root), set)) = known else { return Err(format!("epoch {epoch} begins too soon")) };
        let header = &handover.header;
        rule(header.height == *height && header.result == *root, || {
            format!("epoch {past} ended at height {height}, and a peer was handed over at {}", header.height)
        })?;
        rule(handover.authorities == **set, || {
            format!("epoch {epoch} begins with other authorities than were approved")
        })?;
        let Some(before) = self.authorities(past) else { return Err(format!("epoch {past} has no authorities")) };
        rule(handover.verify(past, before, &self.network), || format!("the handover to epoch {epoch} does not hold"))
    }

    /// At the end: the handovers that a peer has stored lead from the genesis to the newest epoch.
    pub(super) fn check_handovers<'a>(&self, stored: impl Iterator<Item = (&'a Epoch, &'a Handover)>) -> Checked {
        let mut past = 0;
        for (epoch, handover) in stored {
            let before = self.sets.get(past as usize).filter(|_| epoch.0 == past + 1);
            rule(before.is_some_and(|before| handover.verify(Epoch(past), before, &self.network)), || {
                format!("what is stored of the handover to epoch {epoch} does not hold")
            })?;
            past += 1;
        }
        rule(past == self.ends.len() as u64, || {
            format!("{past} handovers are stored, and {} epochs ended", self.ends.len())
        })
    }

    /// An honest key has signed a vote, which goes out.
    pub(super) fn check_vote(&self, vote: &Vote, key: &PublicKey) -> Checked {
        let Some(set) = self.authorities(vote.epoch) else {
            return Err(format!("{key} votes in epoch {}, which nobody has come to", vote.epoch));
        };
        rule(set.key(vote.voter) == Some(*key) && vote.verify(key, &self.network), || {
            format!("{key} votes as authority {} of epoch {}, which it is not", vote.voter, vote.epoch)
        })
    }
}
