//! Who may do what on a new network, and how much.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{identity::PublicKey, types::Quota};

/// Who may do what on a new network, and how much. A list that is absent permits everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// The keys that may claim.
    pub workers: Option<BTreeSet<PublicKey>>,
    /// The keys that may submit.
    pub submitters: Option<BTreeSet<PublicKey>>,
    /// Limits of single submitters, in place of the limits for each key in the ledger's bounds.
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
