//! The journal's identity: random bytes, kept both in the store and beside the key.
//!
//! An authority that lost its journal could vote twice in one view without knowing. So the key remembers which
//! journal is its own. With any other store, the peer may follow but not vote. An operator who restores a store and
//! its identity together from a backup deceives this check, and bears the risk.
//!
//! The file has the identity several times, each with a checksum. One that is whole is enough.

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
};

use meshwork_core::consensus::VotingStatus;
use tracing::warn;

use super::{NodeError, at, sync_folder_of};
use crate::store::Store;

/// How often the identity stands in its file, so that a disk has to change all of them for it to be lost.
const COPIES: usize = 3;
/// Bytes of an identity.
const ID: usize = 16;
/// Bytes of its checksum.
const SUM: usize = 8;

/// Checks whether this store's journal belongs to the key. A key that never had a journal adopts this one.
pub(super) fn check(store: &Store, file: &Path) -> Result<VotingStatus, NodeError> {
    let stored = store.journal_id().map_err(NodeError::Store)?;
    let beside_key = match fs::read(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(error) => return Err(at(file)(error)),
    };
    match (stored, beside_key) {
        (Some(stored), Some(beside_key)) => {
            let lines = || beside_key.split(|byte| *byte == b'\n');
            if !lines().any(|line| line == line_of(&stored).as_bytes()) {
                if !lines().any(is_line) {
                    warn!(file = %file.display(), "the journal's identity is damaged");
                }
                return Ok(VotingStatus::JournalLost);
            }
            if beside_key != text_of(&stored).as_bytes() {
                warn!(file = %file.display(), "the journal's identity is damaged in part, and is written again");
                return remember(file, &stored);
            }
            Ok(VotingStatus::Voting)
        }
        (None, Some(_)) => Ok(VotingStatus::JournalLost),
        // In this order: a crash in between leaves a store whose journal is empty, and no identity beside the key.
        (Some(stored), None) => remember(file, &stored),
        (None, None) => {
            let id: [u8; ID] = rand::random();
            store.set_journal_id(&id).map_err(NodeError::Store)?;
            remember(file, &id)
        }
    }
}

/// An identity with its checksum.
fn line_of(id: &[u8]) -> String {
    hex::encode([id, &blake3::hash(id).as_bytes()[..SUM]].concat())
}

/// Whether a line is an identity with its checksum, whosever it is.
fn is_line(line: &[u8]) -> bool {
    hex::decode(line).is_ok_and(|bytes| bytes.len() == ID + SUM && line_of(&bytes[..ID]).as_bytes() == line)
}

fn text_of(id: &[u8]) -> String {
    (line_of(id) + "\n").repeat(COPIES)
}

/// Writes the file anew in one step: a crash, or a full disk, leaves what was there.
fn remember(file: &Path, id: &[u8]) -> Result<VotingStatus, NodeError> {
    let new = file.with_added_extension("new");
    let write = || {
        let mut out = fs::File::create(&new)?;
        out.write_all(text_of(id).as_bytes())?;
        out.sync_all()?;
        fs::rename(&new, file)?;
        sync_folder_of(file)
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
            let store = Store::open(&first, &[9; 32], &network, Keep::Full).unwrap();
            assert_eq!(check(&store, &id).unwrap(), VotingStatus::Voting);
            assert_eq!(check(&store, &id).unwrap(), VotingStatus::Voting);
        }
        // The store is lost. A new one in its place is not the key's.
        let store = Store::open(&second, &[9; 32], &network, Keep::Full).unwrap();
        assert_eq!(check(&store, &id).unwrap(), VotingStatus::JournalLost);
        assert_eq!(check(&store, &id).unwrap(), VotingStatus::JournalLost);
        let store = Store::open(&first, &[9; 32], &network, Keep::Full).unwrap();
        assert_eq!(check(&store, &id).unwrap(), VotingStatus::Voting);
    }

    #[test]
    fn one_copy_of_the_identity_is_enough_and_none_of_another_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("id");
        let store = Store::open(&dir.path().join("a"), &[9; 32], &NetworkId([1; 32]), Keep::Full).unwrap();
        check(&store, &file).unwrap();
        let whole = fs::read(&file).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut text = whole.clone();
            text[bit / 8] ^= 1 << (bit % 8);
            fs::write(&file, &text).unwrap();
            assert_eq!(check(&store, &file).unwrap(), VotingStatus::Voting, "bit {bit}");
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
        // What is damaged in part stays where the new file cannot be written.
        let mut text = whole.clone();
        text[0] ^= 1;
        fs::write(&file, &text).unwrap();
        let new = dir.path().join("id.new");
        fs::create_dir(&new).unwrap();
        assert!(check(&store, &file).is_err());
        assert_eq!(fs::read(&file).unwrap(), text);
        fs::remove_dir(&new).unwrap();
        assert_eq!(check(&store, &file).unwrap(), VotingStatus::Voting);
        assert_eq!(fs::read(&file).unwrap(), whole);
        for text in [b"".to_vec(), whole[..line_of(&[0; ID]).len() - 1].to_vec(), text_of(&[7; ID]).into_bytes()] {
            fs::write(&file, &text).unwrap();
            assert_eq!(check(&store, &file).unwrap(), VotingStatus::JournalLost);
        }
    }
}
