//! Who may do what on a network, and how much of it, to begin with.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{identity::PublicKey, types::Quota};

/// Who may do what, and how much of it, to begin with. A list that is absent permits everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Whose claims are taken.
    pub workers: Option<BTreeSet<PublicKey>>,
    /// Whose jobs are taken.
    pub submitters: Option<BTreeSet<PublicKey>>,
    /// The limits of single submitters, in place of those of each key in the ledger's bounds.
    pub quotas: BTreeMap<PublicKey, Quota>,
}

impl Access {
    /// The most keys in each of these lists.
    pub const KEYS_MAX: usize = 65_536;

    pub(super) fn check(&self) -> Result<(), String> {
        let lists = [&self.workers, &self.submitters].into_iter().flatten().map(BTreeSet::len);
        if lists.chain([self.quotas.len()]).any(|keys| keys > Self::KEYS_MAX) {
            return Err(format!(
                "access.workers, access.submitters and access.quotas name at most {} keys each",
                Self::KEYS_MAX
            ));
        }
        Ok(())
    }
}
