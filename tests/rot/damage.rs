//! What a disk may do to a file.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use rand::{Rng, RngExt, rngs::StdRng};

/// Bytes that a disk writes at once.
const SECTOR: usize = 512;
/// Bytes of a page of the store.
const PAGE: usize = 4096;

/// What was done to which file.
pub(crate) struct Damage {
    /// The file, below the peer's home.
    pub(crate) file: PathBuf,
    what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.what, self.file.display())
    }
}

/// All files below a directory, in order.
pub(crate) fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("an entry");
            let list = if entry.file_type().expect("a type").is_dir() { &mut directories } else { &mut files };
            list.push(entry.path());
        }
    }
    files.sort();
    files
}

/// Damages one file below a peer's home: half of the time the store, and otherwise any.
pub(crate) fn damage(home: &Path, store: &Path, random: &mut StdRng) -> Damage {
    let files = files_below(home);
    let file = if random.random_bool(0.5) { store } else { &files[random.random_range(0..files.len())] };
    let mut bytes = fs::read(file).expect("it can be read");
    let what = change(&mut bytes, random);
    fs::write(file, bytes).expect("it can be written");
    Damage { file: file.strip_prefix(home).expect("below it").to_owned(), what }
}

fn change(bytes: &mut Vec<u8>, random: &mut StdRng) -> String {
    if bytes.is_empty() {
        return "nothing".into();
    }
    match random.random_range(0..10) {
        0 => {
            let length = random.random_range(0..bytes.len());
            bytes.truncate(length);
            format!("all from byte {length} on")
        }
        1 => {
            let at = place(bytes, random) / SECTOR * SECTOR;
            let end = (at + SECTOR).min(bytes.len());
            random.fill_bytes(&mut bytes[at..end]);
            format!("the sector at {at}")
        }
        _ => {
            let flips: Vec<(usize, u32)> =
                (0..random.random_range(1..=8)).map(|_| (place(bytes, random), random.random_range(0..8))).collect();
            for (at, bit) in &flips {
                bytes[*at] ^= 1 << bit;
            }
            format!("the bits {flips:?}")
        }
    }
}

/// A place in a file: often at its beginning, and otherwise where something is written.
fn place(bytes: &[u8], random: &mut StdRng) -> usize {
    if random.random_bool(0.2) {
        return random.random_range(0..bytes.len().min(4 * PAGE));
    }
    let at = random.random_range(0..bytes.len());
    let is_written = |page: &&usize| bytes[**page * PAGE..].iter().take(PAGE).any(|byte| *byte != 0);
    let pages = bytes.len().div_ceil(PAGE);
    let from = at / PAGE;
    let page = (from..pages).chain(0..from).collect::<Vec<_>>();
    let page = page.iter().find(is_written).copied().unwrap_or(from) * PAGE;
    page + at % PAGE.min(bytes.len() - page)
}
