//! What a store keeps, finds again, sets aside and has room for.

use super::*;

#[test]
fn a_blob_is_there_after_a_restart_and_rubbish_is_not() {
    let dir = TempDir::new().unwrap();
    let (kept, removed) = (bytes(3000, 1), bytes(10, 2));
    {
        let store = open(dir.path());
        assert_eq!(store.put(&kept).unwrap(), blob(&kept));
        assert_eq!(store.put(&kept).unwrap(), blob(&kept));
        store.put(&removed).unwrap();
        store.set_announced(&Digest::of(&kept), true);
        assert_eq!(store.used(), cost(3000) + cost(10));
        assert!(store.remove(&Digest::of(&removed)).unwrap());
        assert!(!store.remove(&Digest::of(&removed)).unwrap());
        fs::write(dir.path().join("blobs/new/left over"), b"half").unwrap();
    }
    let store = open(dir.path());
    assert_eq!(store.used(), cost(3000));
    assert_eq!(store.announced(), [Digest::of(&kept)]);
    assert_eq!(store.read(&Digest::of(&kept)).unwrap().unwrap(), kept);
    assert!(store.list()[0].added_ms > 0);
    assert_eq!(fs::read_dir(dir.path().join("blobs/new")).unwrap().count(), 0);
}

#[test]
fn what_a_crash_swallowed_from_the_index_is_found_and_what_is_wrong_is_removed() {
    let dir = TempDir::new().unwrap();
    let (a, b) = (bytes(100, 1), bytes(100, 2));
    let paths = {
        let store = open(dir.path());
        [&a, &b].map(|bytes| store.place(&store.put(bytes).unwrap().digest))
    };
    // The index is lost altogether, and one file is not what its name says.
    fs::remove_file(dir.path().join("db")).unwrap();
    fs::write(&paths[1], b"something else").unwrap();
    let store = open(dir.path());
    assert!(store.has(&Digest::of(&a)) && !store.has(&Digest::of(&b)));
    assert!(!paths[1].exists());
    assert_eq!(store.used(), cost(100));
}

#[test]
fn a_file_that_changed_is_not_given_out_but_set_aside_counted_and_can_be_stored_again() {
    let (dir, metrics) = (TempDir::new().unwrap(), Metrics::new());
    let store = open_with(dir.path(), QUOTA, &metrics);
    let digest = store.put(b"true").unwrap().digest;
    store.set_announced(&digest, true);
    assert!(store.checked_already(&digest).is_some(), "what was just written counts as checked");
    rot(&store, &digest);
    assert!(store.checked_already(&digest).is_none());
    assert!(store.check(&digest).unwrap().is_none() && store.read(&digest).unwrap().is_none());
    assert!(!store.has(&digest) && store.used() == 0 && metrics.blobs_damaged.get() == 1);
    assert!(dir.path().join("blobs/damaged").join(digest.to_string()).exists());
    store.put(b"true").unwrap();
    assert_eq!(store.read(&digest).unwrap().unwrap(), b"true");
    assert_eq!(store.announced(), [digest], "those who look for it still find it here");
}

#[test]
fn a_file_that_rotted_while_the_peer_was_down_is_not_given_out_and_a_sound_one_is_read_once() {
    let dir = TempDir::new().unwrap();
    let [sound, rotten] = [bytes(3000, 1), bytes(3000, 2)].map(|content| {
        let store = open(dir.path());
        let digest = store.put(&content).unwrap().digest;
        (digest, store.place(&digest))
    });
    let mut content = fs::read(&rotten.1).unwrap();
    content[1000] ^= 4;
    fs::write(&rotten.1, content).unwrap();
    let store = open(dir.path());
    assert!(store.has(&rotten.0) && store.check(&rotten.0).unwrap().is_none());
    assert!(store.checked_already(&sound.0).is_none(), "nothing is known of it yet");
    assert_eq!(store.check(&sound.0).unwrap().unwrap().path(), sound.1);
    assert!(store.checked_already(&sound.0).is_some());
}

#[test]
fn of_damaged_files_only_some_are_kept() {
    let (store, dir) = store();
    for seed in 0..20 {
        let digest = store.put(&bytes(10, seed)).unwrap().digest;
        rot(&store, &digest);
        assert!(store.check(&digest).unwrap().is_none());
    }
    assert_eq!(fs::read_dir(dir.path().join("blobs/damaged")).unwrap().count(), 16);
    drop(store);
    assert!(open(dir.path()).list().is_empty(), "none of them counts as stored");
}

#[test]
fn tiny_blobs_cost_the_quota_what_they_cost_the_disk_and_an_entry() {
    let dir = TempDir::new().unwrap();
    let store = open_with(dir.path(), Quota { bytes_max: 3 * 5120, blobs_max: 100 }, &Metrics::new());
    let stored: Vec<bool> = (0..4).map(|seed| store.put(&[seed]).is_ok()).collect();
    assert_eq!(stored, [true, true, true, false]);
    assert_eq!((store.used(), store.free()), (3 * 5120, 0));
}

#[test]
fn there_are_at_most_so_many_blobs() {
    let dir = TempDir::new().unwrap();
    let store = open_with(dir.path(), Quota { blobs_max: 2, ..QUOTA }, &Metrics::new());
    assert!(store.put_all(&[b"1", b"2"]).is_ok());
    assert!(matches!(store.put(b"3"), Err(StoreError::TooMany(2))));
    store.remove(&Digest::of(b"1")).unwrap();
    assert!(store.put(b"3").is_ok());
}

#[tokio::test]
async fn what_is_too_large_or_does_not_fit_is_refused_and_leaves_nothing() {
    let quota = 5 << 20;
    let node = node_with_quota(mesh(config(1, &[])).await, Quota::of_bytes(quota));
    let store = node.blobs.store();
    let put = |length: usize, bytes_max| {
        let blobs = node.blobs.clone();
        async move { super::super::writer::put_stream(&blobs, &bytes(length, 1)[..], bytes_max).await }
    };
    assert!(matches!(put(1001, 1000).await, Err(StoreError::TooLarge { bytes_max: 1000 })));
    assert!(matches!(put(6 << 20, BLOB_BYTES_MAX).await, Err(StoreError::Full { .. })));
    assert!(matches!(store.put(&vec![0; 6 << 20]), Err(StoreError::Full { .. })));
    assert_eq!((store.used(), store.free()), (0, quota));
    assert_eq!(fs::read_dir(node._dir.path().join("blobs/new")).unwrap().count(), 0);
    assert_eq!(put(4 << 20, BLOB_BYTES_MAX).await.unwrap().bytes, 4 << 20);
    assert_eq!(store.free(), quota - cost(4 << 20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn room_that_is_kept_nobody_else_takes() {
    let node = node(mesh(config(1, &[])).await);
    let kept = node.blobs.keep_room(40 << 20).await.unwrap();
    assert!(node.blobs.keep_room(40 << 20).await.is_err_and(|error| error.is_lack_of_room()));
    drop(kept);
    node.blobs.keep_room(40 << 20).await.unwrap();
}

#[test]
fn to_verify_reads_everything_again_and_sets_aside_what_is_damaged() {
    let (store, _dir) = store();
    let mut all: Vec<Digest> = (0..9u8).map(|seed| store.put(&bytes(1000, seed)).unwrap().digest).collect();
    all.sort_unstable();
    let whole = store.verify(None, u64::MAX).unwrap();
    assert_eq!((whole.blobs, whole.bytes, whole.damaged.len(), whole.last), (9, 9000, 0, None));
    // The time of modification says nothing of this.
    let path = store.place(&all[4]);
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let mut content = fs::read(&path).unwrap();
    content[500] ^= 1;
    fs::write(&path, content).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    assert!(store.check(&all[4]).unwrap().is_some(), "its use goes by the time of modification");
    let first = store.verify(None, 3000).unwrap();
    assert_eq!((first.blobs, first.damaged.len(), first.last), (3, 0, Some(all[2])));
    let rest = store.verify(first.last, u64::MAX).unwrap();
    let damaged: Vec<Digest> = rest.damaged.iter().map(|blob| blob.digest).collect();
    assert_eq!((rest.blobs, damaged, rest.last), (6, vec![all[4]], None));
    assert!(!store.has(&all[4]));
    assert_eq!(store.verify(None, u64::MAX).unwrap().blobs, 8);
}
