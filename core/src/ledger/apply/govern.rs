//! Govern: a present authority proposes a change, or approves one.

use std::collections::BTreeSet;

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{
        Ledger,
        govern::{PROPOSAL_LIFE_MS, PROPOSALS_MAX, Proposal},
    },
    types::{Govern, TransactionId, VoidReason},
};

impl Ledger {
    pub(in crate::ledger) fn check_govern(&self, signer: &PublicKey, govern: &Govern) -> Result<(), VoidReason> {
        if !self.govern.set().contains(signer) && !is_planted(Fault::AnyoneGoverns) {
            return Err(VoidReason::NotAuthority);
        }
        match govern {
            Govern::Propose(change) => {
                let own = self.govern.proposals.values().filter(|proposal| proposal.proposer == *signer).count();
                if own >= PROPOSALS_MAX {
                    return Err(VoidReason::ProposalsFull);
                }
                self.govern.changed(&self.genesis, change).map(|_| ())
            }
            Govern::Approve(id) => {
                let proposal = self.govern.proposals.get(id).ok_or(VoidReason::UnknownProposal)?;
                if proposal.approvals.contains(signer) {
                    return Err(VoidReason::ApprovedBefore);
                }
                // What was approved since it was made may leave no room for it.
                self.govern.changed(&self.genesis, &proposal.change).map(|_| ())
            }
        }
    }

    pub(in crate::ledger) fn govern(&mut self, id: TransactionId, signer: PublicKey, govern: &Govern) {
        let id = match govern {
            Govern::Propose(change) => {
                let (proposer, change) = (signer, change.clone());
                let until = self.time.plus_ms(PROPOSAL_LIFE_MS);
                self.govern.proposals.insert(id, Proposal { proposer, change, until, approvals: BTreeSet::new() });
                id
            }
            Govern::Approve(id) => *id,
        };
        let quorum = self.govern.set().quorum() - usize::from(is_planted(Fault::FewerApprove));
        let Some(proposal) = self.govern.proposals.get_mut(&id) else { return };
        proposal.approvals.insert(signer);
        if proposal.approvals.len() < quorum {
            return;
        }
        let change = proposal.change.clone();
        self.govern.proposals.remove(&id);
        if let Ok(next) = self.govern.changed(&self.genesis, &change) {
            self.govern.approve(next, self.height);
        }
    }
}
