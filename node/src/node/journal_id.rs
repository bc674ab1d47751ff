//! The journal's identity: random bytes, kept both in the store and beside the key.
//!
//! An authority that lost its journal could vote twice in one view without knowing. So the key remembers which
//! journal is its own. With any other store, the peer may follow but not vote. An operator who restores a store and
//! its identity together from a backup deceives this check, and bears the risk.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
};

use meshwork_core::consensus::VotingStatus;

use super::{NodeError, at};
use crate::store::Store;

/// Checks whether this store's journal belongs to the key. A key that never had a journal adopts this one.
pub(super) fn check(store: &Store, file: &Path) -> Result<VotingStatus, NodeError> {
    let stored = store.journal_id().map_err(NodeError::Store)?;
    let beside_key = match fs::read_to_string(file) {
        Ok(text) => Some(text.trim().to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(at(file)(error)),
    };
    match (stored, beside_key) {
        (Some(stored), Some(beside_key)) if hex::encode(&stored) == beside_key => Ok(VotingStatus::Voting),
        (_, Some(_)) => Ok(VotingStatus::JournalLost),
        // In this order: a crash in between leaves a store whose journal is empty, and no identity beside the key.
        (Some(stored), None) => remember(file, &stored),
        (None, None) => {
            let id: [u8; 16] = rand::random();
            store.set_journal_id(&id).map_err(NodeError::Store)?;
            remember(file, &id)
        }
    }
}

fn remember(file: &Path, id: &[u8]) -> Result<VotingStatus, NodeError> {
    let write = || {
        let mut out = fs::File::create(file)?;
        out.write_all(hex::encode(id).as_bytes())?;
        out.sync_all()
    };
    write().map_err(at(file))?;
    Ok(VotingStatus::Voting)
}

#[cfg(test)]
mod tests {
    use meshwork_api::Keep;
    use meshwork_core::identity::NetworkId;

    use super::*;

    #[test]
    fn a_key_votes_with_its_own_journal_only() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second, id) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("id"));
        let network = NetworkId([1; 32]);
        {
            let store = Store::open(&first, &network, Keep::Full).unwrap();
            assert_eq!(check(&store, &id).unwrap(), VotingStatus::Voting);
            assert_eq!(check(&store, &id).unwrap(), VotingStatus::Voting);
        }
        // The store is lost. A new one in its place is not the key's.
        let store = Store::open(&second, &network, Keep::Full).unwrap();
        assert_eq!(check(&store, &id).unwrap(), VotingStatus::JournalLost);
        assert_eq!(check(&store, &id).unwrap(), VotingStatus::JournalLost);
        let store = Store::open(&first, &network, Keep::Full).unwrap();
        assert_eq!(check(&store, &id).unwrap(), VotingStatus::Voting);
    }
}
