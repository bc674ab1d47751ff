//! Governance: the authorities of this epoch, their open proposals, and the authorities of the next epoch.
//!
//! A proposal is put to the authorities of one epoch. It is approved once a quorum of them has approved it, its
//! proposer included. Otherwise it ends with its life or with its epoch, whichever comes first, because its approvals
//! may be those of authorities that have left.
//!
//! All approved changes to the authorities take effect together, at the end of the epoch (see
//! [`consensus`](crate::consensus)). All other changes take effect at once (`rules`). The epoch in a block's header
//! determines the block's authorities, and with them the stall threshold, on every peer alike.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    types::{
        AuthoritySet, AuthoritySetError, BlockTime, Change, Epoch, Genesis, Header, Height, TransactionId, VoidReason,
    },
};

/// The most open proposals of one authority.
pub const PROPOSALS_MAX: usize = 8;
/// How long a proposal stays open, in milliseconds of block time: a week.
pub const PROPOSAL_LIFE_MS: u64 = 7 * 24 * 3_600_000;

/// An open proposal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Proposal {
    /// Who made it.
    pub(in crate::ledger) proposer: PublicKey,
    /// What is to change.
    pub(in crate::ledger) change: Change,
    /// The last block time at which it can be approved.
    pub(in crate::ledger) until: BlockTime,
    /// Who has approved it, the proposer among them.
    pub(in crate::ledger) approvals: BTreeSet<PublicKey>,
}

/// An open proposal, as queries return it.
#[derive(Clone, Copy, Debug)]
pub struct ProposalView<'a> {
    /// Its id.
    pub id: TransactionId,
    /// Who made it.
    pub proposer: PublicKey,
    /// What is to change.
    pub change: &'a Change,
    /// The last block time at which it can be approved.
    pub until: BlockTime,
    /// Who has approved it, the proposer among them.
    pub approvals: &'a BTreeSet<PublicKey>,
}

/// The state of governance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Governance {
    /// The epoch of the newest block.
    epoch: Epoch,
    /// Its first height.
    since: Height,
    /// Its authorities.
    set: Arc<AuthoritySet>,
    pub(in crate::ledger) proposals: BTreeMap<TransactionId, Proposal>,
    /// `set` with all changes that were approved in this epoch.
    next: Arc<AuthoritySet>,
    /// The height at which the first change of this epoch was approved.
    approved_since: Option<Height>,
}

impl Governance {
    /// The state that the genesis sets.
    pub(in crate::ledger) fn founded(genesis: &Genesis) -> Self {
        let set = Arc::new(genesis.authority_set());
        Self {
            epoch: Epoch(0),
            since: Height(1),
            next: Arc::clone(&set),
            set,
            proposals: BTreeMap::new(),
            approved_since: None,
        }
    }

    /// The epoch of the newest block; 0 before the first.
    pub(in crate::ledger) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The first height of that epoch.
    pub(in crate::ledger) const fn since(&self) -> Height {
        self.since
    }

    /// The authorities of that epoch.
    pub(in crate::ledger) const fn set(&self) -> &Arc<AuthoritySet> {
        &self.set
    }

    /// `set` with all changes that were approved in this epoch.
    pub(in crate::ledger) const fn next(&self) -> &Arc<AuthoritySet> {
        &self.next
    }

    /// The height at which the first change of `epoch` was approved; none if it is not the present epoch.
    pub(in crate::ledger) fn approved_since(&self, epoch: Epoch) -> Option<Height> {
        self.approved_since.filter(|_| epoch == self.epoch || is_planted(Fault::ChangesEndTwice))
    }

    /// Whether an approved change waits for the epoch's end.
    pub(in crate::ledger) const fn waits(&self) -> bool {
        self.approved_since.is_some()
    }

    /// Handles a new block's header. The first block of a new epoch puts the next set in force and ends the open
    /// proposals. Returns whether this is such a block.
    pub(in crate::ledger) fn enter_epoch(&mut self, header: &Header) -> bool {
        if header.epoch <= self.epoch {
            return false;
        }
        self.epoch = header.epoch;
        self.since = header.height;
        self.set = Arc::clone(&self.next);
        self.proposals.clear();
        self.approved_since = None;
        true
    }

    /// Forgets the proposals whose life is over.
    pub(super) fn end_proposals(&mut self, now: BlockTime) {
        self.proposals.retain(|_, proposal| proposal.until >= now);
    }

    /// The next epoch's authorities if this change were approved too; none if it does not concern the authorities.
    pub(in crate::ledger) fn changed(
        &self,
        genesis: &Genesis,
        change: &Change,
    ) -> Result<Option<AuthoritySet>, VoidReason> {
        let next = match change {
            Change::AddAuthority(authority) if self.next.contains(&authority.key) => {
                return Err(VoidReason::AuthorityPresent);
            }
            Change::AddAuthority(authority) if !authority.is_brief() => return Err(VoidReason::Malformed),
            Change::AddAuthority(authority) => self.next.with(authority.clone()),
            Change::RemoveAuthority(key) if !self.next.contains(key) => return Err(VoidReason::AuthorityAbsent),
            Change::RemoveAuthority(key) => self.next.without(key),
            Change::Permit(..)
            | Change::Bar(..)
            | Change::SetQuota(..)
            | Change::SetLimit(..)
            | Change::SetSchedule(_) => return Ok(None),
        };
        match next.check(genesis) {
            Ok(()) => Ok(Some(next)),
            Err(AuthoritySetError::Count) => Err(VoidReason::AuthorityCount),
            Err(AuthoritySetError::LeasesTooShort) => Err(VoidReason::LeasesTooShort),
            Err(AuthoritySetError::SameKey | AuthoritySetError::Key | AuthoritySetError::Text) => {
                Err(VoidReason::Malformed)
            }
        }
    }

    /// Records that a quorum approved, at this height, a change that leads to this set.
    pub(in crate::ledger) fn approve(&mut self, next: AuthoritySet, height: Height) {
        self.next = Arc::new(next);
        self.approved_since.get_or_insert(height);
    }

    /// Whether a ledger of this genesis could be in this state at this height and time.
    pub(in crate::ledger) fn is_consistent(&self, genesis: &Genesis, height: Height, time: BlockTime) -> bool {
        let approved = self.approved_since;
        let founded = *self.set == genesis.authority_set();
        let quorum = self.set.quorum();
        let sound = |proposal: &Proposal| {
            proposal.approvals.contains(&proposal.proposer)
                && proposal.approvals.iter().all(|key| self.set.contains(key))
                && proposal.approvals.len() < quorum
                && proposal.until >= time
        };
        let mut of_key: BTreeMap<PublicKey, usize> = BTreeMap::new();
        for proposal in self.proposals.values() {
            *of_key.entry(proposal.proposer).or_default() += 1;
        }
        (self.epoch == Epoch(0)) == (self.since == Height(1))
            && (self.epoch > Epoch(0) || founded)
            && self.since <= height.next()
            && approved.is_none_or(|at| self.since <= at && at <= height)
            && (approved.is_some() || self.set == self.next)
            && self.set.check(genesis).is_ok()
            && self.next.check(genesis).is_ok()
            && self.proposals.values().all(sound)
            && of_key.values().all(|count| *count <= PROPOSALS_MAX)
    }
}
