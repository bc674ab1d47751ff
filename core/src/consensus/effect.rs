//! All that can go out, and where this authority stands.

use std::sync::Arc;

use super::{Evidence, Message, Record};
use crate::types::{AuthorityIndex, AuthoritySet, Block, Certificate, Closing, Epoch, Height, Proposal, View, Vote};

/// What is to be done, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Append to the journal. It must be durable before any later effect, of this call or a later one, is carried out;
    /// records that follow each other may share one sync.
    Persist(Record),
    /// The journal's records whose [`Record::place`] is below this may go, once all that became final before is durable.
    Prune {
        /// The present epoch.
        epoch: Epoch,
        /// The view of its newest final block, or closing block.
        below: View,
    },
    /// Send to every other authority, directly.
    SendVotes(Vec<Vote>),
    /// Send to one authority, directly.
    Send {
        /// Who is to have it.
        to: AuthorityIndex,
        /// What.
        message: Message,
    },
    /// Publish this authority's own proposal.
    GossipProposal(Arc<Proposal>),
    /// Publish a finalization.
    GossipFinalization(Certificate),
    /// These blocks are final, for ever. Each comes exactly once, by height. Store and execute them, then, once the
    /// other effects of this call are taken, say [`super::Input::Executed`].
    Finalized {
        /// Consecutive, oldest first; at least one.
        blocks: Vec<Arc<Block>>,
        /// The finalization of the last one, or of a closing block above it: then [`Effect::Closed`] comes next.
        finalization: Certificate,
    },
    /// Closing blocks are final: store these, beside the epoch's last block, instead of what was stored there before. Whoever
    /// is behind is given them too.
    Closed {
        /// The epoch's last height.
        last: Height,
        /// All so far.
        closing: Closing,
    },
    /// An epoch begins: who orders transactions from now on. What comes after is said among these.
    Epoch {
        /// Which.
        epoch: Epoch,
        /// Who.
        authorities: Arc<AuthoritySet>,
    },
    /// Somebody broke a promise, and signed the proof: keep it, publish it, show it. At most one a liar.
    Evidence(Evidence),
    /// A block is final that this node lacks, or lacks an ancestor of: fetch blocks by range and hand them in as
    /// [`super::Input::Blocks`]. Said again every retry interval while it lasts.
    Behind {
        /// The first height to fetch.
        from: Height,
        /// What is known to be final.
        finalization: Certificate,
    },
    /// This authority has stopped voting.
    Standing(Standing),
}

/// Whether this node votes, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// An authority with the journal of all its votes.
    Voting,
    /// Not an authority: it follows.
    Follower,
    /// An authority that has lost its journal, or has another's: it might break a promise, so it follows.
    JournalLost,
    /// An authority that was shown a vote of its own that its journal lacks: somewhere else its key votes, or did.
    VoteUnknown,
}
