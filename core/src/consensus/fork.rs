//! Proof that two histories are final: a block that conflicts with one that is final here.

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::types::{AuthorityIndex, Certificate, Header};

/// Two finalizations of which neither stands on the other. A quorum signed each, so more than f authorities broke their
/// promise: their machines run from old copies of their data, or their keys are used twice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Fork {
    /// The finalization of the newest block that was final here when the other came.
    pub here: Certificate,
    /// The other finalization, of the same epoch.
    pub there: Certificate,
    /// If it is of another view: the headers from the block in the place after the one that is final here, which stands on
    /// another block, up to the one that `there` is of.
    pub headers: Vec<Header>,
}

impl Fork {
    /// The authorities that signed both finalizations.
    #[must_use]
    pub fn signed_both(&self) -> Vec<AuthorityIndex> {
        let there: Vec<AuthorityIndex> = self.there.signers.iter().collect();
        self.here.signers.iter().filter(|signer| there.contains(signer)).collect()
    }
}
