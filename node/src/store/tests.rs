//! The store under a real replica: a single authority in virtual time, which makes a block each heartbeat.

use std::{fs, path::Path, sync::Arc};

use meshwork_api::Keep;
use meshwork_core::{
    consensus::{Monotonic, Now, VotingStatus},
    identity::{PublicKey, SecretKey},
    replica::{Config, Gossip, Installation, Recovered, Replica},
    types::{AuthorityIndex, BlockTime, Genesis, Height},
};
use redb::{Durability, ReadableDatabase, ReadableTable, TableDefinition};
use tempfile::TempDir;

use super::{OthersTable, Store, StoreError, long, salvage, tables};

const INTERVAL: u64 = 4;

fn key() -> SecretKey {
    SecretKey::from_seed([1; 32])
}

fn genesis() -> Arc<Genesis> {
    let text = format!(
        "name = \"t\"\ntime_us = 1\n[consensus]\nsnapshot_interval = {INTERVAL}\nsnapshot_lag = 2\n\
         [[authorities]]\nname = \"only\"\nkey = \"{}\"\n",
        key().public()
    );
    Arc::new(Genesis::from_toml(&text).expect("a genesis"))
}

fn config() -> Config {
    Config { genesis: genesis(), key: key() }
}

fn open(dir: &Path, keep: Keep) -> Store {
    Store::open(&dir.join("store.redb"), &[9; 32], &genesis().network_id(), keep).expect("a store")
}

/// A store with blocks up to a height, and the replica that made them.
fn with_blocks(keep: Keep, height: u64) -> (TempDir, Store, Replica) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = open(dir.path(), keep);
    let mut replica = Replica::new(config(), Recovered::nothing(VotingStatus::Voting)).expect("nothing to contradict");
    let mut now = 1;
    while replica.ledger().height().0 < height {
        now += 1_000_000;
        let mut actions = Vec::new();
        replica.tick(Now { monotonic: Monotonic(now), clock: BlockTime(now) }, &mut actions);
        store.write(&actions).expect("stored");
    }
    (dir, store, replica)
}

fn height_of(store: &Store) -> Result<Height, StoreError> {
    let recovered = store.recover(VotingStatus::Voting)?;
    Ok(Replica::new(config(), recovered).expect("it fits together").ledger().height())
}

#[test]
fn what_is_kept_of_the_past_is_what_was_asked_for() {
    for (keep, has_first_block, has_first_receipts) in
        [(Keep::Archive, true, true), (Keep::Full, false, true), (Keep::Pruned, false, false)]
    {
        let (_dir, store, replica) = with_blocks(keep, 30);
        let read = store.database.begin_read().expect("a read");
        let receipts = long::get(&read, tables::RECEIPTS, 1).expect("read").is_some();
        let lowest = store.reader().lowest_block().expect("read").expect("some");
        assert_eq!((lowest == Height(1), receipts), (has_first_block, has_first_receipts), "{keep:?}");
        assert!(lowest.0 <= 24, "{keep:?}: from the older snapshot on blocks are there");
        assert_eq!(height_of(&store).expect("it recovers"), replica.ledger().height());
        let proof = replica.ledger().height().0 - INTERVAL;
        assert!(store.reader().proofs(&[(Height(1), 0), (Height(proof), 0)]).is_ok(), "{keep:?}");
    }
}

#[test]
fn the_proof_that_an_authority_went_on_from_an_old_copy_outlasts_a_restart() {
    let (_dir, mut store, mut replica) = with_blocks(Keep::Full, 6);
    let at = |now| Now { monotonic: Monotonic(now), clock: BlockTime(now) };
    let mut copy = Replica::new(config(), Recovered::nothing(VotingStatus::Voting)).expect("nothing to contradict");
    let mut now = 500;
    while copy.consensus().tip().view < replica.consensus().tip().view {
        now += 1_500_000;
        copy.tick(at(now), &mut Vec::new());
    }
    let there = copy.consensus().finalization().cloned().expect("its newest block is final");
    let mut actions = Vec::new();
    replica.gossip(at(100_000_000), Gossip::Finalization(there.clone()), &mut actions);
    store.write(&actions).expect("stored");
    let again = Replica::new(config(), store.recover(VotingStatus::Voting).expect("read")).expect("it fits together");
    let fork = again.fork().expect("a fork");
    assert_eq!((&fork.there, fork.signed_both()), (&there, vec![AuthorityIndex(0)]));
    assert_ne!(replica.consensus().voting_status(), VotingStatus::Voting, "its key signs elsewhere");
}

#[test]
fn a_snapshot_that_others_have_is_where_a_new_peer_begins() {
    let (_dir, store, replica) = with_blocks(Keep::Full, 30);
    let reader = store.reader();
    let offer = reader.offer().expect("read").expect("there is one");
    offer.certified.verify(&genesis()).expect("true");
    assert!(offer.is_worth(Height(0), INTERVAL));
    let height = offer.certified.height();
    let chunk = |place| reader.snapshot_chunk(height, place).expect("read").expect("there");
    let bytes: Vec<u8> = (0..offer.certified.chunks.count()).flat_map(chunk).collect();
    let later = &offer.certified.headers[1..];
    let block = |height| Arc::new(reader.block(height).expect("read").expect("there").block);
    let blocks: Vec<_> = later.iter().map(|header| block(header.height)).collect();
    let newest = blocks.last().expect("some").header.height;
    let me = PublicKey([7; 32]);
    let made = |bytes, blocks| Installation::of(&genesis(), &me, offer.certified.clone(), bytes, blocks);
    assert!(made(bytes[1..].to_vec(), blocks.clone()).is_err() && made(bytes.clone(), blocks[1..].to_vec()).is_err());
    let installation = made(bytes, blocks).expect("it fits together");

    let dir = tempfile::tempdir().expect("a directory");
    let mut other = open(dir.path(), Keep::Full);
    other.install(&installation).expect("stored");
    assert_eq!(height_of(&other).expect("it recovers"), newest);
    let mine = reader.result(newest).expect("read");
    assert_eq!(other.reader().result(newest).expect("read"), mine);
    assert!(mine.0.is_some() && replica.ledger().height() >= newest);
    // It can serve other peers once more than the snapshot's own header vouches for it.
    assert_eq!(other.reader().offer().expect("read").map(|offer| offer.certified.height()), Some(height));
}

/// Changes the value of a key in a table.
macro_rules! overwrite {
    ($store:expr, $table:expr, $key:expr) => {{
        let write = $store.database.begin_write().expect("a write");
        write.open_table($table).expect("a table").insert($key, [0u8; 9].as_slice()).expect("written");
        write.commit().expect("written");
    }};
}

#[test]
fn what_a_disk_has_changed_is_noticed_and_an_older_snapshot_stands_in() {
    let (_dir, store, replica) = with_blocks(Keep::Archive, 30);
    let newest = |store: &Store| {
        let read = store.database.begin_read().expect("a read");
        let heights: Vec<u64> = read
            .open_table(tables::SNAPSHOTS)
            .expect("a table")
            .iter()
            .expect("read")
            .map(|entry| entry.expect("read").0.value())
            .collect();
        heights
    };
    let snapshots = newest(&store);
    assert_eq!(snapshots.len(), 2);
    overwrite!(store, tables::SNAPSHOT_BYTES, (snapshots[1], 0));
    assert_eq!(height_of(&store).expect("the older one does"), replica.ledger().height());
    overwrite!(store, tables::SNAPSHOT_BYTES, (snapshots[0], 0));
    let error = height_of(&store).expect_err("none is left");
    assert!(error.is_damage(), "{error}");

    let (_dir, store, _) = with_blocks(Keep::Archive, 30);
    overwrite!(store, tables::BLOCKS, (29, 0));
    assert!(height_of(&store).expect_err("a block is not one").is_damage());
    let (_dir, store, _) = with_blocks(Keep::Archive, 30);
    let write = store.database.begin_write().expect("a write");
    {
        let mut blocks = write.open_table(tables::BLOCKS).expect("a table");
        let other = blocks.get((27, 0)).expect("read").expect("there").value().to_vec();
        blocks.insert((29, 0), other.as_slice()).expect("written");
    }
    write.commit().expect("written");
    let error = height_of(&store).expect_err("it is another block");
    assert!(matches!(error, StoreError::False(_)), "{error}");
}

/// A table that others have in the store.
const OTHERS: OthersTable = TableDefinition::new("others");
const PAGE: usize = 4096;

/// What can be taken over of these bytes if a bit of one page is flipped, for each page: the store that takes its
/// place, and the replica that starts from it.
fn taken_over(whole: &[u8]) -> Vec<(TempDir, Store, Replica)> {
    let written = |page: &usize| whole[page * PAGE..].iter().take(PAGE).any(|byte| *byte != 0);
    let attempt = |page: usize| {
        let dir = tempfile::tempdir().expect("a directory");
        let mut bytes = whole.to_vec();
        bytes[page * PAGE + 100] ^= 1;
        let damaged = dir.path().join("damaged.redb");
        fs::write(&damaged, bytes).expect("written");
        let new = dir.path().join("store.redb");
        salvage(&damaged, &new, &[9; 32], &genesis().network_id(), &[OTHERS]).ok()?;
        fs::remove_file(&damaged).expect("removed");
        let store = open(dir.path(), Keep::Archive);
        let recovered = store.recover(VotingStatus::Voting).ok()?;
        let replica = Replica::new(config(), recovered).ok()?;
        Some((dir, store, replica))
    };
    (3..whole.len() / PAGE).filter(written).filter_map(attempt).collect()
}

#[test]
fn for_one_bad_page_the_rest_is_taken_over_or_nothing_is() {
    for is_closed in [true, false] {
        let (dir, mut store, replica) = with_blocks(Keep::Archive, 60);
        let file = dir.path().join("store.redb");
        let height = replica.ledger().height();
        let write = store.database.begin_write().expect("a write");
        write.open_table(OTHERS).expect("a table").insert(b"key".as_slice(), b"value".as_slice()).expect("put");
        write.commit().expect("written");
        store.set_journal_id(b"mine").expect("stored");
        store.sync(true).expect("synced");
        let journal = store.recover(VotingStatus::Voting).expect("it recovers").journal.len();
        let receipts =
            |store: &Store, at| long::get(&store.database.begin_read().expect("a read"), tables::RECEIPTS, at);
        let known: Vec<_> = (1..=height.0).map(|at| receipts(&store, at).expect("read")).collect();
        if is_closed {
            drop(store);
        } else {
            // The file grows for something that is not synced, and the process is gone without an end in order.
            let bytes = || fs::metadata(&file).expect("it is there").len();
            let before = bytes();
            let mut write = store.database.begin_write().expect("a write");
            write.set_durability(Durability::None).expect("set");
            long::put(&write, tables::RECEIPTS, height.0 + 1, &vec![1; before as usize]).expect("put");
            write.commit().expect("written");
            assert!(bytes() > before);
            std::mem::forget(store);
        }
        let taken = taken_over(&fs::read(&file).expect("read"));
        let (mut gaps, mut of_others) = (0, 0);
        for (_dir, store, replica) in &taken {
            assert_eq!(replica.ledger().height(), height);
            let recovered = store.recover(VotingStatus::Voting).expect("it did");
            let id = store.journal_id().expect("read");
            assert_eq!((recovered.journal.len(), id), (journal, Some(b"mine".to_vec())));
            for (at, known) in (1..).zip(&known) {
                let found = receipts(store, at).expect("read");
                gaps += usize::from(found.is_none());
                assert!(found.is_none() || found == *known);
            }
            assert_eq!(receipts(store, height.0 + 1).expect("read"), None);
            let others = store.database.begin_read().expect("a read").open_table(OTHERS).expect("a table");
            of_others += usize::from(others.get(b"key".as_slice()).expect("read").is_some());
        }
        assert!(!taken.is_empty() && gaps > 0, "{} {gaps}", taken.len());
        assert!(of_others > 0 && of_others >= taken.len() - 1, "{of_others}");
    }
}

#[test]
fn nothing_is_taken_over_of_a_commit_that_may_not_be_whole() {
    let (dir, store, _) = with_blocks(Keep::Archive, 10);
    let file = dir.path().join("store.redb");
    let before = fs::read(&file).expect("read");
    store.set_journal_id(b"mine").expect("stored");
    std::mem::forget(store);
    let salvaged = || {
        let new = dir.path().join("new.redb");
        // It may not exist.
        let _ = fs::remove_file(&new);
        salvage(&file, &new, &[9; 32], &genesis().network_id(), &[])
    };
    salvaged().expect("all is whole");
    // The mark is the third page. This one does not know that the last commit was synced.
    let mut bytes = fs::read(&file).expect("read");
    bytes[2 * PAGE..3 * PAGE].copy_from_slice(&before[2 * PAGE..3 * PAGE]);
    fs::write(&file, bytes).expect("written");
    assert!(matches!(salvaged(), Err(StoreError::Unreadable(_))));
}
