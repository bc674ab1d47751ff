//! Compiled programs on disk.
//!
//! Each file begins with a keyed checksum over all that follows and over what it is for. A file that does not fit is
//! set aside and the program is compiled again, so nothing that happened to the disk can run. The key never leaves
//! the node.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, SystemTime},
};

use meshwork_core::digest::Digest;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tracing::{debug, warn};

use super::Budget;

/// The most bytes of compiled programs on disk. Beyond it, those used longest ago go.
const BYTES_MAX: u64 = 2 << 30;
/// The most bytes of one compiled program.
pub(super) const COMPILED_BYTES_MAX: u64 = 1 << 30;
const CHECKSUM_BYTES: usize = 32;

/// What is known of a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It is compiled.
    Compiled(Vec<u8>),
    /// It took more than this to compile.
    TooLarge(Budget),
}

/// Everything of a [`Known`] but the compiled bytes.
#[derive(Serialize, Deserialize)]
enum Kind {
    Compiled,
    TooLarge { memory_bytes: u64, cpu_ms: u64 },
}

/// The directory.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    key: [u8; 32],
    compiler: Digest,
    /// One insertion at a time makes place.
    inserting: Mutex<()>,
}

impl Cache {
    /// The cache for programs of this compiler, in a directory that exists.
    pub(super) fn open(dir: &Path, key: [u8; 32], compiler: Digest) -> Self {
        Self { dir: dir.to_owned(), key, compiler, inserting: Mutex::default() }
    }

    /// What is known of a program. Reads it whole.
    pub(super) fn get(&self, program: &Digest) -> Option<Known> {
        let path = self.path(program);
        let mut file = File::open(&path).ok()?;
        match self.read(program, &mut file) {
            Ok(known) => {
                // Only says which files go first.
                let _ = file.set_modified(SystemTime::now());
                Some(known)
            }
            Err(error) => {
                warn!(%program, "a compiled program on disk is damaged and is made again: {error}");
                let _ = fs::remove_file(&path);
                None
            }
        }
    }

    fn read(&self, program: &Digest, file: &mut File) -> io::Result<Known> {
        let bad = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
        if file.metadata()?.len() > COMPILED_BYTES_MAX + 4096 {
            return Err(bad("it is too long"));
        }
        let mut checksum = [0; CHECKSUM_BYTES];
        file.read_exact(&mut checksum)?;
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        // Compared in constant time by the library.
        if blake3::Hash::from(checksum) != self.checksum(program, &rest) {
            return Err(bad("its checksum does not fit"));
        }
        let kind_bytes = usize::from(*rest.first().ok_or_else(|| bad("it is empty"))?);
        let kind = rest.get(1..=kind_bytes).ok_or_else(|| bad("it is cut off"))?;
        let kind = meshwork_core::codec::decode(kind, 255).map_err(|error| bad(&error.to_string()))?;
        Ok(match kind {
            Kind::Compiled => {
                rest.drain(..=kind_bytes);
                Known::Compiled(rest)
            }
            Kind::TooLarge { memory_bytes, cpu_ms } => {
                Known::TooLarge(Budget { memory_bytes, cpu: Duration::from_millis(cpu_ms) })
            }
        })
    }

    /// Keeps what is known of a program. If that fails, it is found out again next time.
    pub(super) fn put(&self, program: &Digest, known: &Known) {
        if let Err(error) = self.write(program, known) {
            debug!(%program, "a compiled program cannot be kept on disk: {error}");
        }
    }

    fn write(&self, program: &Digest, known: &Known) -> io::Result<()> {
        let (kind, compiled) = match known {
            Known::Compiled(compiled) => (Kind::Compiled, compiled.as_slice()),
            Known::TooLarge(Budget { memory_bytes, cpu }) => {
                let cpu_ms = u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX);
                (Kind::TooLarge { memory_bytes: *memory_bytes, cpu_ms }, [].as_slice())
            }
        };
        let kind = meshwork_core::codec::encode(&kind);
        let head = [&[u8::try_from(kind.len()).expect("a few words")], kind.as_slice()].concat();
        let mut hasher = self.hasher(program);
        let checksum = hasher.update(&head).update(compiled).finalize();
        let _one_at_a_time = self.inserting.lock();
        self.make_place((CHECKSUM_BYTES + head.len() + compiled.len()) as u64)?;
        let mut file = NamedTempFile::new_in(&self.dir)?;
        file.write_all(checksum.as_bytes())?;
        file.write_all(&head)?;
        file.write_all(compiled)?;
        file.persist(self.path(program))?;
        Ok(())
    }

    fn path(&self, program: &Digest) -> PathBuf {
        let name = Digest::of_parts("meshwork 2026 name of a compiled program", &[&program.0, &self.compiler.0]);
        self.dir.join(name.to_string())
    }

    fn checksum(&self, program: &Digest, rest: &[u8]) -> blake3::Hash {
        self.hasher(program).update(rest).finalize()
    }

    fn hasher(&self, program: &Digest) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&program.0).update(&self.compiler.0);
        hasher
    }

    /// Removes the files used longest ago until so many bytes more are within the bound.
    fn make_place(&self, bytes: u64) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_file() {
                files.push((metadata.modified()?, metadata.len(), entry.path()));
            }
        }
        files.sort();
        let mut total = files.iter().map(|(_, bytes, _)| bytes).sum::<u64>().saturating_add(bytes);
        for (_, bytes, path) in files {
            if total <= BYTES_MAX {
                break;
            }
            fs::remove_file(path)?;
            total -= bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: Digest = Digest([1; 32]);

    fn cache(dir: &Path) -> Cache {
        Cache::open(dir, [7; 32], Digest([2; 32]))
    }

    #[test]
    fn what_was_kept_is_known_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        assert_eq!(cache.get(&PROGRAM), None);
        cache.put(&PROGRAM, &Known::Compiled(b"code".to_vec()));
        assert_eq!(cache.get(&PROGRAM), Some(Known::Compiled(b"code".to_vec())));
        assert_eq!(cache.get(&Digest([3; 32])), None);
        let too_large = Budget { memory_bytes: 5, cpu: Duration::from_millis(6) };
        cache.put(&PROGRAM, &Known::TooLarge(too_large));
        assert_eq!(cache.get(&PROGRAM), Some(Known::TooLarge(too_large)));
        let other = Cache::open(dir.path(), [7; 32], Digest([4; 32]));
        assert_eq!(other.get(&PROGRAM), None, "another compiler's program is not this one's");
    }

    #[test]
    fn a_file_with_any_bit_flipped_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        cache.put(&PROGRAM, &Known::Compiled(b"code".to_vec()));
        let path = cache.path(&PROGRAM);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, flipped).unwrap();
            assert_eq!(cache.get(&PROGRAM), None, "bit {bit}");
            assert!(!path.exists(), "a damaged file is removed");
        }
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(cache.get(&PROGRAM), None, "cut off after {end}");
        }
    }

    #[test]
    fn another_programs_file_or_another_keys_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path());
        cache.put(&PROGRAM, &Known::Compiled(b"code".to_vec()));
        let other = Digest([3; 32]);
        fs::copy(cache.path(&PROGRAM), cache.path(&other)).unwrap();
        assert_eq!(cache.get(&other), None);
        let stranger = Cache::open(dir.path(), [8; 32], Digest([2; 32]));
        assert_eq!(stranger.get(&PROGRAM), None);
    }
}
