//! Queries on the authorities and the open proposals.

use std::sync::Arc;

use crate::{
    ledger::{Ledger, ProposalView},
    types::{AuthoritySet, Epoch, Height},
};

impl Ledger {
    /// The epoch of the newest block; 0 before the first.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.records.governance().epoch()
    }

    /// The first height of that epoch.
    #[must_use]
    pub const fn epoch_since(&self) -> Height {
        self.records.governance().since()
    }

    /// The authorities of that epoch.
    #[must_use]
    pub const fn authorities(&self) -> &Arc<AuthoritySet> {
        self.records.governance().set()
    }

    /// The authorities of the next epoch, by what is approved so far. Without an approved change, those of this
    /// epoch.
    #[must_use]
    pub const fn next_authorities(&self) -> &Arc<AuthoritySet> {
        self.records.governance().next()
    }

    /// The height at which the first change of an epoch was approved, if any was. An epoch of which nothing is
    /// executed has none.
    #[must_use]
    pub fn change_approved_since(&self, epoch: Epoch) -> Option<Height> {
        self.records.governance().approved_since(epoch)
    }

    /// Whether an approved change waits for the epoch's end.
    #[must_use]
    pub const fn change_waits(&self) -> bool {
        self.records.governance().waits()
    }

    /// The open proposals.
    pub fn proposals(&self) -> impl Iterator<Item = ProposalView<'_>> {
        self.records.governance().proposals.iter().map(|(id, proposal)| ProposalView {
            id: *id,
            proposer: proposal.proposer,
            change: &proposal.change,
            until: proposal.until,
            approvals: &proposal.approvals,
        })
    }
}
