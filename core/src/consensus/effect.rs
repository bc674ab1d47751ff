//! Everything that can go out, and whether this authority votes.

use std::sync::Arc;

use super::{Evidence, Fork, Message, Record};
use crate::types::{AuthorityIndex, AuthoritySet, Block, Certificate, Closing, Epoch, Height, Proposal, View, Vote};

/// What the driver is to do, in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Append to the journal. The record must be durable before any later effect, of this call or a later one,
    /// is carried out. Consecutive records may share one sync.
    Persist(Record),
    /// The journal's records whose [`Record::place`] is below this may be dropped, once everything that became
    /// final before is durable.
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
        /// The receiver.
        to: AuthorityIndex,
        /// The message.
        message: Message,
    },
    /// Publish this authority's own proposal.
    GossipProposal(Arc<Proposal>),
    /// Publish a finalization.
    GossipFinalization(Certificate),
    /// These blocks are final, for ever. Each height comes exactly once, in order. Store and execute the
    /// blocks. Then, after the other effects of this call, hand in [`super::Input::Executed`].
    Finalized {
        /// Consecutive, oldest first; at least one.
        blocks: Vec<Arc<Block>>,
        /// The finalization of the last of them, or of a closing block above it: then [`Effect::Closed`] comes
        /// next.
        finalization: Certificate,
    },
    /// Closing blocks are final. Store these beside the epoch's last block, in place of those stored there
    /// before, and give them to peers that are behind.
    Closed {
        /// The height of the epoch's last block.
        last: Height,
        /// All closing blocks that are final so far.
        closing: Closing,
    },
    /// An epoch begins. These authorities order transactions from now on, and all messages that follow go
    /// between them.
    Epoch {
        /// The epoch.
        epoch: Epoch,
        /// Its authorities.
        authorities: Arc<AuthoritySet>,
    },
    /// An authority broke a promise, and this is the proof that it signed. Keep it, publish it, show it. At
    /// most one for each liar.
    Evidence(Evidence),
    /// A block is final elsewhere that conflicts with what is final here. Keep the proof, and show it. At most one comes
    /// after each start.
    Fork(Box<Fork>),
    /// A final block, or an ancestor of it, is missing here. Fetch blocks by range and hand them in as
    /// [`super::Input::Blocks`]. Comes again every retry interval while it lasts.
    Behind {
        /// The first height to fetch.
        from: Height,
        /// The newest finalization known.
        finalization: Certificate,
    },
    /// This authority has stopped voting.
    VotingStatus(VotingStatus),
}

/// Whether this node votes, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VotingStatus {
    /// An authority that has the journal of all its votes.
    Voting,
    /// Not an authority: it follows.
    Follower,
    /// An authority that has lost its journal, or has another's. It might break a promise, so it follows.
    JournalLost,
    /// An authority that was shown a vote of its own that its journal lacks. Its key votes, or voted, somewhere
    /// else too.
    VoteUnknown,
}
