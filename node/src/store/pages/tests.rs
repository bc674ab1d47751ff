//! What a store's pages withstand: changed bits, power cuts, and a way back that must not be.

use redb::{Durability, ReadableDatabase, TableDefinition};

use super::*;

const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("t");
const KEY: [u8; 32] = [3; 32];

/// A disk that several processes use, one after the other. It can lose what was not synced.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Content>>);

#[derive(Debug, Default)]
struct Content {
    now: Vec<u8>,
    /// What each sync left.
    synced: Vec<Vec<u8>>,
}

impl Disk {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().expect("nobody panicked")
    }

    fn open(&self) -> (Result<Database, StoreError>, Damage) {
        let damage = Damage::default();
        let opened = create(Sealed::new(self.clone(), KEY, damage.clone()), 1 << 20);
        (opened.map_err(|error| damage.explains(error)), damage)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content().now.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content();
        let found = content.now.get(offset as usize..offset as usize + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.content().now.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.content();
        let now = content.now.clone();
        content.synced.push(now);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.content().now[offset as usize..offset as usize + data.len()].copy_from_slice(data);
        Ok(())
    }
}

fn put(database: &Database, key: u64, value: &[u8], durability: Durability) {
    let mut write = database.begin_write().expect("a write");
    write.set_durability(durability).expect("set");
    write.open_table(TABLE).expect("a table").insert(key, value).expect("put");
    write.commit().expect("written");
}

/// All that the table has, or the error.
fn all(database: &Database) -> Result<Vec<(u64, Vec<u8>)>, redb::Error> {
    let read = database.begin_read()?.open_table(TABLE)?;
    let entries = read.range(0u64..)?.map(|entry| {
        let (key, value) = entry?;
        Ok((key.value(), value.value().to_vec()))
    });
    entries.collect()
}

/// A disk with a store of some hundred pages, closed in order.
fn written() -> (Disk, Vec<(u64, Vec<u8>)>) {
    let disk = Disk::default();
    let database = disk.open().0.expect("a store");
    let values: Vec<(u64, Vec<u8>)> = (0..300).map(|key| (key, vec![key as u8; 40 * key as usize])).collect();
    for part in values.chunks(50) {
        for (key, value) in part {
            put(&database, *key, value, Durability::None);
        }
        put(&database, part[0].0, &part[0].1, Durability::Immediate);
    }
    drop(database);
    (disk, values)
}

#[test]
fn lengths_are_those_that_redb_set() {
    for pages in (0..3 * GROUP_PAGES + 3).filter(|pages| *pages != 1) {
        assert_eq!(bytes_in(file_bytes(pages * PAGE)), pages * PAGE);
    }
}

#[test]
fn a_flipped_bit_is_never_read_as_something_else() {
    let (disk, values) = written();
    assert_eq!(all(&disk.open().0.expect("it opens")).expect("read"), values);
    let whole = disk.content().now.clone();
    let mut found = 0;
    // Each of the head, and some of each page.
    let head = (0..GROUPS_AT as usize + 64).step_by(61);
    let pages = (GROUPS_AT as usize..whole.len()).step_by(4003);
    for (place, at) in head.chain(pages).enumerate() {
        disk.content().now = whole.clone();
        disk.content().now[at] ^= 1 << (place % 8);
        let (opened, damage) = disk.open();
        match opened.map(|database| all(&database)) {
            Ok(Ok(read)) => assert_eq!(read, values, "byte {at}"),
            Ok(Err(_)) | Err(_) => {
                assert!(damage.what().is_some(), "byte {at}");
                found += 1;
            }
        }
    }
    assert!(found > 50, "{found}");
}

#[test]
fn a_header_lives_by_either_copy_and_dies_with_both() {
    let (disk, values) = written();
    let whole = disk.content().now.clone();
    let flip = |places: &[u64]| {
        disk.content().now = whole.clone();
        for at in places {
            disk.content().now[*at as usize + 40] ^= 4;
        }
    };
    for copy in HEADERS_AT {
        flip(&[copy]);
        assert_eq!(all(&disk.open().0.expect("it opens")).expect("read"), values);
    }
    flip(&HEADERS_AT);
    assert!(disk.open().0.expect_err("neither is left").is_damage());
}

#[test]
fn a_file_of_another_key_or_cut_short_is_damaged_and_one_without_checksums_is_of_another_format() {
    let (disk, _) = written();
    let damage = Damage::default();
    let other = create(Sealed::new(disk.clone(), [4; 32], damage.clone()), 1 << 20);
    assert!(other.is_err() && damage.what().is_some());
    let whole = disk.content().now.clone();
    for length in [1, 100, PAGE as usize, GROUPS_AT as usize, whole.len() / 2, whole.len() - 1] {
        disk.content().now = whole[..length].to_vec();
        assert!(disk.open().0.expect_err("it is cut short").is_damage(), "{length}");
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("bare");
    drop(Database::create(&file).expect("made"));
    let error = open(&file, &KEY, 1 << 20, &Damage::default()).expect_err("it has no checksums");
    assert!(matches!(error, StoreError::OtherFormat { found: BARE_FORMAT, .. }), "{error}");
}

/// What the disk holds if power fails while a commit is being written: some of the sectors that it changed are new.
fn torn(before: &[u8], after: &[u8], seed: u64) -> Vec<u8> {
    let mut content = after.to_vec();
    for (place, (old, new)) in before.chunks(512).zip(content.chunks_mut(512)).enumerate() {
        let drawn = blake3::hash(&[seed.to_le_bytes(), (place as u64).to_le_bytes()].concat());
        if drawn.as_bytes()[0].is_multiple_of(2) {
            new.copy_from_slice(old);
        }
    }
    content
}

#[test]
fn a_commit_that_power_cut_off_is_there_or_not_and_the_one_before_is_not_lost() {
    for seed in 0..60 {
        let disk = Disk::default();
        let database = disk.open().0.expect("a store");
        for key in 0..20 {
            put(&database, key, &vec![key as u8; 3000], Durability::Immediate);
        }
        put(&database, 7, &[77; 9000], Durability::Immediate);
        let content = std::mem::take(&mut disk.content().synced);
        let [.., before, after] = &content[..] else { panic!("there were syncs") };
        assert_eq!(before.len(), after.len(), "the file does not grow here");
        // The process is gone without an end in order.
        std::mem::forget(database);
        disk.content().now = torn(before, after, seed);
        let (opened, damage) = disk.open();
        let database = opened.expect("it recovers");
        let read = all(&database).expect("read");
        assert_eq!(read.len(), 20, "seed {seed}");
        assert!(read[7].1 == [7; 3000] || read[7].1 == [77; 9000], "seed {seed}");
        put(&database, 21, b"on", Durability::Immediate);
        drop(database);
        let read = all(&disk.open().0.expect("it opens")).expect("read");
        assert_eq!((read.len(), damage.what()), (21, None), "seed {seed}");
    }
}

#[test]
fn there_is_no_way_back_behind_a_commit_that_was_synced() {
    let disk = Disk::default();
    let database = disk.open().0.expect("a store");
    for key in 0..20 {
        put(&database, key, &vec![key as u8; 3000], Durability::Immediate);
    }
    let before = disk.content().now.clone();
    put(&database, 7, &[77; 9000], Durability::Immediate);
    std::mem::forget(database);
    let after = disk.content().now.clone();
    let changed: Vec<usize> = (0..after.len()).filter(|at| before.get(*at) != Some(&after[*at])).collect();
    let mut lost = 0;
    for at in changed.iter().step_by(changed.len() / 200) {
        disk.content().now = after.clone();
        disk.content().now[*at] ^= 16;
        // The process may die between finding the damage and setting the store aside.
        for _ in 0..2 {
            match disk.open().0.map(|database| all(&database)) {
                Ok(read) => assert_eq!(read.expect("read")[7].1, [77; 9000], "byte {at}"),
                Err(error) => {
                    assert!(error.is_damage(), "byte {at}: {error}");
                    lost += 1;
                }
            }
        }
    }
    // The newest head is lost, and the one before is in its place.
    disk.content().now = after.clone();
    disk.content().now[..MARK_AT as usize].copy_from_slice(&before[..MARK_AT as usize]);
    assert!(disk.open().0.expect_err("it is older than the mark").is_damage());
    assert!(lost > 200, "{lost}");
}
