//! Govern: a present authority proposes a change, or approves one.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    invariant::known,
    ledger::{
        Applied, Ledger, LedgerEvent,
        records::governance::{PROPOSAL_LIFE_MS, PROPOSALS_MAX, Proposal},
    },
    types::{Change, Govern, TransactionId, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_govern(&self, signer: &PublicKey, govern: &Govern) -> Result<(), VoidReason> {
        if !self.records.governance().set().contains(signer) && !is_planted(Fault::AnyoneGoverns) {
            return Err(VoidReason::NotAuthority);
        }
        match govern {
            Govern::Propose(change) => {
                let own = self
                    .records
                    .governance()
                    .proposals
                    .values()
                    .filter(|proposal| proposal.proposer == *signer)
                    .count();
                if own >= PROPOSALS_MAX {
                    return Err(VoidReason::ProposalsFull);
                }
                self.check_change(change)
            }
            Govern::Approve(id) => {
                let proposal = self.records.governance().proposals.get(id).ok_or(VoidReason::UnknownProposal)?;
                if proposal.approvals.contains(signer) {
                    return Err(VoidReason::ApprovedBefore);
                }
                // Changes that were approved since may rule this proposal out.
                self.check_change(&proposal.change)
            }
        }
    }

    /// Checks whether a change could be made if it were approved now.
    ///
    /// # Errors
    ///
    /// Why it could not be made.
    pub fn check_change(&self, change: &Change) -> Result<(), VoidReason> {
        self.records.governance().changed(&self.genesis, change)?;
        self.records.rules().check(&self.genesis, change)
    }

    pub(in crate::ledger) fn govern(
        &mut self,
        id: TransactionId,
        signer: PublicKey,
        govern: &Govern,
        applied: &mut Applied,
    ) {
        let id = match govern {
            Govern::Propose(change) => {
                let (proposer, change) = (signer, change.clone());
                let until = self.time().plus_ms(PROPOSAL_LIFE_MS);
                self.records
                    .governance_mut()
                    .proposals
                    .insert(id, Proposal { proposer, change, until, approvals: BTreeSet::new() });
                id
            }
            Govern::Approve(id) => *id,
        };
        let height = self.height();
        let quorum = self.records.governance().set().quorum() - usize::from(is_planted(Fault::FewerApprove));
        let Some(proposal) = known(self.records.governance_mut().proposals.get_mut(&id)) else { return };
        proposal.approvals.insert(signer);
        if proposal.approvals.len() < quorum {
            return;
        }
        let change = proposal.change.clone();
        self.records.governance_mut().proposals.remove(&id);
        match self.records.governance().changed(&self.genesis, &change) {
            Ok(Some(next)) => self.records.governance_mut().approve(next, height),
            Ok(None) => self.change_rule(change.clone(), applied),
            Err(_) => return,
        }
        applied.events.push(LedgerEvent::ChangeApproved { proposal: id, change: Box::new(change) });
    }
}
