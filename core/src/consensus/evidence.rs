//! Proof that an authority broke a promise: two votes of its own that no honest one signs together.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    identity::NetworkId,
    types::{AuthorityIndex, AuthoritySet, Statement, Vote},
};

/// Two conflicting votes. [`Evidence::verify`] says whether they prove anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Evidence {
    /// The vote that was seen first.
    pub first: Vote,
    /// The vote that conflicts with it.
    pub second: Vote,
}

/// Whether no honest authority makes both statements: two blocks notarized or finalized in one view, or a view both
/// nullified and finalized.
pub(super) fn conflict(first: &Statement, second: &Statement) -> bool {
    use Statement::{Finalize, Notarize, Nullify};
    first.view() == second.view()
        && match (first, second) {
            (Notarize(_, one), Notarize(_, other)) | (Finalize(_, one), Finalize(_, other)) => one != other,
            (Nullify(_), Finalize(..)) | (Finalize(..), Nullify(_)) => true,
            _ => false,
        }
}

impl Evidence {
    /// The authority that broke its promise.
    #[must_use]
    pub const fn culprit(&self) -> AuthorityIndex {
        self.first.voter
    }

    /// Whether both votes are by the same authority, conflict, and are signed under the strict rule.
    /// `authorities` are those of the votes' epoch.
    #[must_use]
    pub fn verify(&self, authorities: &AuthoritySet, network: &NetworkId) -> bool {
        let Self { first, second } = self;
        first.epoch == second.epoch
            && first.voter == second.voter
            && conflict(&first.statement, &second.statement)
            && authorities
                .key(first.voter)
                .is_some_and(|key| first.verify(&key, network) && second.verify(&key, network))
    }
}
