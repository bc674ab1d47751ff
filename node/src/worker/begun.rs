//! The journal of begun attempts: what this worker compiles and runs now. If the process dies, the next one reads of
//! what.
//!
//! The file is a row of records of one size, each with a checksum. An attempt is recorded before its program is handed
//! to a runner, and once more when that is over, however it ended. Nothing is synced: a process that is killed loses
//! nothing of what it has written, and a record that a power cut took is at worst an attempt that nobody blames.
//!
//! A record that cannot be read may be the end of any attempt before it. So a file with one blames nobody.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use meshwork_core::{
    digest::Digest,
    types::{AttemptId, AttemptNumber, JobId, TaskId},
    worker::Died,
};
use tracing::warn;

/// The name of the file in the data folder.
const FILE: &str = "begun";
/// The bytes of a record: its kind, job, task, attempt, program and checksum.
const RECORD_BYTES: usize = BODY_BYTES + CHECKSUM_BYTES;
const BODY_BYTES: usize = 1 + 32 + 4 + 4 + 32;
const CHECKSUM_BYTES: usize = 8;
/// The most bytes of the file. Beyond it, the file is written anew with what goes on.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The most attempts that a process can say it died of. More cannot have been begun at once.
const DIED_MAX: usize = 4096;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A program was about to be handed to a runner.
    Begun = 1,
    /// That is over.
    Ended = 2,
    /// An earlier process died while it compiled or ran the attempt, and the ledger may not have heard of it.
    Died = 3,
    /// The same, and it compiled and ran nothing else.
    DiedAlone = 4,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    kind: Kind,
    attempt: AttemptId,
    program: Digest,
}

impl Record {
    fn bytes(&self) -> [u8; RECORD_BYTES] {
        let Self { kind, attempt: AttemptId { task: TaskId { job, index }, number }, program } = self;
        let mut bytes = [0; RECORD_BYTES];
        bytes[0] = *kind as u8;
        bytes[1..33].copy_from_slice(&job.0.0);
        bytes[33..37].copy_from_slice(&index.to_be_bytes());
        bytes[37..41].copy_from_slice(&number.0.to_be_bytes());
        bytes[41..BODY_BYTES].copy_from_slice(&program.0);
        let checksum = checksum(&bytes[..BODY_BYTES]);
        bytes[BODY_BYTES..].copy_from_slice(&checksum);
        bytes
    }

    /// The record of these bytes, if they are one.
    fn of(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(BODY_BYTES)?;
        if sum != checksum(body) {
            return None;
        }
        let (kind, rest) = body.split_first()?;
        let kind = match kind {
            1 => Kind::Begun,
            2 => Kind::Ended,
            3 => Kind::Died,
            4 => Kind::DiedAlone,
            _ => return None,
        };
        let (job, rest) = rest.split_first_chunk()?;
        let (index, rest) = rest.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let task = TaskId { job: JobId(Digest(*job)), index: u32::from_be_bytes(*index) };
        let attempt = AttemptId { task, number: AttemptNumber(u32::from_be_bytes(*number)) };
        Some(Self { kind, attempt, program: Digest(rest.try_into().ok()?) })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let hash = blake3::hash(body);
    hash.as_bytes().first_chunk().copied().unwrap_or_default()
}

/// What a file says that was read whole.
#[derive(Default)]
struct Contents {
    begun: BTreeMap<AttemptId, Digest>,
    died: BTreeMap<AttemptId, Died>,
}

impl Contents {
    /// What these bytes say; nothing if they are damaged.
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut contents = Self::default();
        for bytes in bytes.chunks(RECORD_BYTES) {
            let Record { kind, attempt, program } = Record::of(bytes)?;
            match kind {
                Kind::Begun => drop(contents.begun.insert(attempt, program)),
                Kind::Ended => {
                    contents.begun.remove(&attempt);
                    contents.died.remove(&attempt);
                }
                Kind::Died => drop(contents.died.insert(attempt, Died { attempt, alone: false })),
                Kind::DiedAlone => drop(contents.died.insert(attempt, Died { attempt, alone: true })),
            }
        }
        Some(contents)
    }

    /// What processes died of: the last one, and earlier ones of which the ledger may not have heard.
    fn died_of(mut self) -> BTreeMap<AttemptId, Died> {
        let mut what = self.begun.iter().map(|(attempt, program)| (attempt.task.job, *program));
        let first = what.next();
        let alone = what.all(|other| Some(other) == first);
        self.died.extend(self.begun.into_keys().map(|attempt| (attempt, Died { attempt, alone })));
        self.died.into_iter().take(DIED_MAX).collect()
    }
}

/// The journal of a running process.
#[derive(Clone)]
pub struct BegunJournal(Arc<Mutex<Inner>>);

struct Inner {
    path: PathBuf,
    /// None after an error. The journal then blames nobody.
    file: Option<File>,
    file_bytes: u64,
    /// The attempts that go on, each with its program and by how many pieces of work.
    begun: BTreeMap<AttemptId, (Digest, u32)>,
    died: BTreeMap<AttemptId, Died>,
    is_closed: bool,
}

/// Work on an attempt that a runner has been given. Its end is recorded when this is dropped.
#[must_use]
pub struct Begun {
    journal: BegunJournal,
    attempt: AttemptId,
}

impl BegunJournal {
    /// The journal of this process, for its next worker. The first one opens it. What an earlier worker began may still
    /// go on, and nobody died of it.
    #[must_use]
    pub fn of_process(opened: &OnceLock<Self>, data_dir: &Path) -> Self {
        let journal = opened.get_or_init(|| Self::open(data_dir)).clone();
        let mut inner = journal.0.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut inner.is_closed) {
            inner.begin_file();
        }
        drop(inner);
        journal
    }

    /// Opens the journal in a data folder, and reads what the process before this one died of.
    fn open(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let died = read(&path).unwrap_or_else(|error| {
            warn!(path = %path.display(), %error, "what this worker compiled and ran last cannot be read");
            BTreeMap::new()
        });
        let mut inner = Inner { path, file: None, file_bytes: 0, begun: BTreeMap::new(), died, is_closed: false };
        inner.begin_file();
        Self(Arc::new(Mutex::new(inner)))
    }

    /// What processes before this one died of, as far as the ledger has not heard of it.
    #[must_use]
    pub fn died_of(&self) -> Vec<Died> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).died.values().copied().collect()
    }

    /// Records that an attempt's program is about to be handed to a runner.
    pub fn begin(&self, attempt: AttemptId, program: Digest) -> Begun {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.is_closed {
            return Begun { journal: self.clone(), attempt };
        }
        let pieces = &mut inner.begun.entry(attempt).or_insert((program, 0)).1;
        *pieces += 1;
        if *pieces == 1 {
            inner.append(Record { kind: Kind::Begun, attempt, program });
        }
        Begun { journal: self.clone(), attempt }
    }

    /// Records that the ledger has heard that an earlier process died of this attempt.
    pub fn forget(&self, attempt: &AttemptId) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.died.remove(attempt).is_some() {
            inner.append(Record { kind: Kind::Ended, attempt: *attempt, program: Digest::ZERO });
        }
    }

    /// Records that all that goes on is over, because the worker ends in order. Nothing more is recorded until the next
    /// worker of the process.
    pub fn close(&self) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.begun.clear();
        inner.begin_file();
        (inner.file, inner.is_closed) = (None, true);
    }

    fn end(&self, attempt: AttemptId) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((program, pieces)) = inner.begun.get_mut(&attempt) else { return };
        *pieces -= 1;
        if *pieces == 0 {
            let program = *program;
            inner.begun.remove(&attempt);
            inner.append(Record { kind: Kind::Ended, attempt, program });
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.journal.end(self.attempt);
    }
}

impl Inner {
    fn append(&mut self, record: Record) {
        let is_long = self.file_bytes + RECORD_BYTES as u64 > FILE_BYTES_MAX;
        if is_long && self.file.is_some() {
            self.begin_file();
            return;
        }
        let Some(file) = &mut self.file else { return };
        match file.write_all(&record.bytes()) {
            Ok(()) => self.file_bytes += RECORD_BYTES as u64,
            Err(error) => self.give_up(&error),
        }
    }

    /// Writes the file anew, with what goes on.
    fn begin_file(&mut self) {
        let kind = |died: &Died| if died.alone { Kind::DiedAlone } else { Kind::Died };
        let died = self.died.values();
        let died = died.map(|died| Record { kind: kind(died), attempt: died.attempt, program: Digest::ZERO });
        let begun = self.begun.iter();
        let begun =
            begun.map(|(attempt, (program, _))| Record { kind: Kind::Begun, attempt: *attempt, program: *program });
        let bytes: Vec<u8> = died.chain(begun).flat_map(|record| record.bytes()).collect();
        let written = write_anew(&self.path, &bytes);
        match written {
            Ok(file) => (self.file, self.file_bytes) = (Some(file), bytes.len() as u64),
            Err(error) => self.give_up(&error),
        }
    }

    fn give_up(&mut self, error: &io::Error) {
        warn!(path = %self.path.display(), %error, "what this worker compiles and runs cannot be recorded");
        self.file = None;
        // What the file says would be wrong from now on.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn read(path: &Path) -> io::Result<BTreeMap<AttemptId, Died>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(2 * FILE_BYTES_MAX).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "it is damaged");
    Contents::of(&bytes).map(Contents::died_of).ok_or_else(damaged)
}

/// Replaces a file in one step, and leaves it open at its end.
fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(&new)?;
    file.write_all(bytes)?;
    std::fs::rename(&new, path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn attempt(job: u8, index: u32) -> AttemptId {
        let task = TaskId { job: JobId(Digest([job; 32])), index };
        AttemptId { task, number: AttemptNumber(7) }
    }

    fn program(byte: u8) -> Digest {
        Digest([byte; 32])
    }

    /// What the next process reads.
    fn next(dir: &Path) -> Vec<(AttemptId, bool)> {
        BegunJournal::open(dir).died_of().into_iter().map(|died| (died.attempt, died.alone)).collect()
    }

    #[test]
    fn what_goes_on_when_a_worker_ends_in_order_is_not_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = BegunJournal::open(dir.path());
        let goes_on = journal.begin(attempt(1, 0), program(1));
        journal.close();
        drop(goes_on);
        std::mem::forget(journal.begin(attempt(1, 1), program(1)));
        let opened = OnceLock::from(journal);
        assert_eq!(next(dir.path()), []);
        std::mem::forget(BegunJournal::of_process(&opened, dir.path()).begin(attempt(1, 2), program(1)));
        assert_eq!(next(dir.path()), [(attempt(1, 2), true)], "but what the next worker dies of is");
    }

    /// Begins this and dies.
    fn dies_of(dir: &Path, begun: &[(AttemptId, Digest)]) -> BegunJournal {
        let journal = BegunJournal::open(dir);
        begun.iter().for_each(|(attempt, program)| std::mem::forget(journal.begin(*attempt, *program)));
        journal
    }

    #[test]
    fn a_process_that_dies_leaves_what_it_had_begun_and_not_ended() {
        let dir = tempfile::tempdir().unwrap();
        let journal = BegunJournal::open(dir.path());
        assert_eq!(journal.died_of(), []);
        let first = journal.begin(attempt(1, 0), program(1));
        let compiled = journal.begin(attempt(1, 1), program(1));
        let ran = journal.begin(attempt(1, 1), program(1));
        drop((first, compiled));
        std::mem::forget(ran);
        assert_eq!(next(dir.path()), [(attempt(1, 1), true)]);
    }

    #[test]
    fn what_an_earlier_worker_of_the_process_began_is_blamed_only_if_the_process_dies() {
        let dir = tempfile::tempdir().unwrap();
        let opened = OnceLock::new();
        let goes_on = BegunJournal::of_process(&opened, dir.path()).begin(attempt(1, 0), program(1));
        let second = BegunJournal::of_process(&opened, dir.path());
        assert_eq!(second.died_of(), []);
        let stays = second.begin(attempt(2, 0), program(2));
        drop(goes_on);
        std::mem::forget(stays);
        assert_eq!(next(dir.path()), [(attempt(2, 0), true)]);
    }

    #[test]
    fn what_ended_is_not_blamed() {
        let dir = tempfile::tempdir().unwrap();
        let journal = BegunJournal::open(dir.path());
        (0..3).for_each(|index| drop(journal.begin(attempt(1, index), program(1))));
        assert_eq!(next(dir.path()), []);
    }

    #[test]
    fn a_death_among_others_is_no_death_alone() {
        let dir = tempfile::tempdir().unwrap();
        dies_of(dir.path(), &[(attempt(1, 0), program(1)), (attempt(1, 1), program(1))]);
        assert_eq!(next(dir.path()), [(attempt(1, 0), true), (attempt(1, 1), true)]);
        for other in [(attempt(2, 0), program(1)), (attempt(1, 2), program(2))] {
            let dir = tempfile::tempdir().unwrap();
            dies_of(dir.path(), &[(attempt(1, 0), program(1)), other]);
            assert!(next(dir.path()).iter().all(|(_, alone)| !alone), "{other:?}");
        }
    }

    #[test]
    fn a_death_is_told_until_the_ledger_has_heard_of_it() {
        let dir = tempfile::tempdir().unwrap();
        dies_of(dir.path(), &[(attempt(1, 0), program(1))]);
        let journal = dies_of(dir.path(), &[(attempt(2, 0), program(2)), (attempt(3, 0), program(3))]);
        drop(journal);
        // The second process died too, of other things, and the first's death is still one alone.
        let all = [(attempt(1, 0), true), (attempt(2, 0), false), (attempt(3, 0), false)];
        assert_eq!(next(dir.path()), all);
        let journal = BegunJournal::open(dir.path());
        journal.forget(&attempt(1, 0));
        journal.forget(&attempt(3, 0));
        assert_eq!(next(dir.path()), [(attempt(2, 0), false)]);
    }

    #[test]
    fn a_damaged_journal_blames_nobody_whichever_bit_flipped_and_wherever_it_was_cut() {
        let dir = tempfile::tempdir().unwrap();
        let journal = BegunJournal::open(dir.path());
        drop(journal.begin(attempt(1, 0), program(1)));
        std::mem::forget(journal.begin(attempt(2, 5), program(2)));
        let path = dir.path().join(FILE);
        let good = fs::read(&path).unwrap();
        assert_eq!(Contents::of(&good).unwrap().died_of().len(), 1);
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Contents::of(&bad).is_none(), "bit {bit}");
        }
        for len in (0..good.len()).filter(|len| !len.is_multiple_of(RECORD_BYTES)) {
            assert!(Contents::of(&good[..len]).is_none(), "{len} bytes");
        }
        fs::write(&path, [good.as_slice(), b"torn"].concat()).unwrap();
        assert_eq!(next(dir.path()), []);
        // From here on it is as good as new.
        dies_of(dir.path(), &[(attempt(3, 0), program(3))]);
        assert_eq!(next(dir.path()), [(attempt(3, 0), true)]);
    }

    #[test]
    fn the_file_stays_small_however_much_is_begun() {
        let dir = tempfile::tempdir().unwrap();
        let journal = BegunJournal::open(dir.path());
        std::mem::forget(journal.begin(attempt(9, 9), program(9)));
        for index in 0..20_000 {
            drop(journal.begin(attempt(1, index), program(1)));
            assert!(fs::metadata(dir.path().join(FILE)).unwrap().len() <= FILE_BYTES_MAX);
        }
        assert_eq!(next(dir.path()), [(attempt(9, 9), true)]);
    }
}
