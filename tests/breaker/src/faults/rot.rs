//! Bits of a stopped peer's files are changed, and it is started again: every worker's in turn, then an authority's.
//!
//! An authority keeps its store, and loses one bit of its journal's identity: without its journal it would not vote
//! again, and the faults that come later count on its vote.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use meshwork::failure::{Done, Failure};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;

use super::{Fault, Pace};
use crate::{hosts::Role, network::Network};

/// The most bits that are changed in one file of a worker.
const BITS_MAX: usize = 8;
/// Bytes of a page, of files and of the store.
const PAGE_BYTES: usize = 4096;

/// The fault.
pub(super) struct Rot {
    random: Pcg64Mcg,
    victims: Vec<(String, Role)>,
    notes: Vec<String>,
}

impl Default for Rot {
    fn default() -> Self {
        Self { random: Pcg64Mcg::seed_from_u64(rand::random()), victims: Vec::new(), notes: Vec::new() }
    }
}

impl Fault for Rot {
    fn name(&self) -> &'static str {
        "rot"
    }

    fn title(&self) -> String {
        "bits changed in every file but the key: each worker's, then an authority's but its store".into()
    }

    fn rounds(&self, network: &Network) -> usize {
        victims(network).len()
    }

    fn hold(&self, pace: Pace) -> Duration {
        pace.seconds(3, 1)
    }

    fn inject(&mut self, network: &Network, round: usize) -> Done {
        if round == 0 {
            self.victims = victims(network);
        }
        let (name, role) = self.victims[round].clone();
        let data = network.with(|hosts| {
            hosts.stop(&name)?;
            hosts.data(&name).ok_or_else(|| Failure::failed(format!("{name} has no files that can be reached.")))
        })?;
        let files = files_below(&data).map_err(|error| Failure::file("read", &data, &error))?;
        let spared = |file: &&PathBuf| is_spared(file, role);
        let mut changed = 0;
        for file in files.iter().filter(|file| !spared(file)) {
            changed +=
                flip(file, bits_max(role), &mut self.random).map_err(|error| Failure::file("change", file, &error))?;
        }
        self.notes
            .push(format!("{name}: {changed} bits in {} files", files.iter().filter(|file| !spared(file)).count()));
        Ok(())
    }

    fn heal(&mut self, network: &Network, round: usize) -> Done {
        let Some((name, _)) = self.victims.get(round).cloned() else { return Ok(()) };
        network.with(|hosts| hosts.start(&name))
    }

    fn notes(&mut self) -> Vec<String> {
        std::mem::take(&mut self.notes)
    }
}

fn victims(network: &Network) -> Vec<(String, Role)> {
    let role_of = |name: &String| network.member(name).ok().map(|member| member.role);
    let mut victims: Vec<(String, Role)> =
        network.mortal_workers().into_iter().map(|name| (name, Role::Worker)).collect();
    let authority = network.mortals().into_iter().find(|name| role_of(name) == Some(Role::Authority));
    victims.extend(authority.map(|name| (name, Role::Authority)));
    victims
}

/// The most bits that are changed in one file of a peer.
const fn bits_max(role: Role) -> usize {
    match role {
        Role::Authority => 1,
        Role::Worker | Role::Gateway => BITS_MAX,
    }
}

/// Whether a file stays as it is.
fn is_spared(file: &Path, role: Role) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "key" || role == Role::Authority && name.ends_with(".redb")
}

/// All files below a folder.
fn files_below(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files.extend(files_below(&entry.path())?);
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

/// Changes some bits of a file where something is written. Returns how many.
fn flip(file: &Path, bits_max: usize, random: &mut impl Rng) -> std::io::Result<usize> {
    let mut bytes = fs::read(file)?;
    let pages = bytes.chunks(PAGE_BYTES).enumerate();
    let written: Vec<usize> =
        pages.filter(|(_, page)| page.iter().any(|byte| *byte != 0)).map(|(page, _)| page).collect();
    if written.is_empty() {
        return Ok(0);
    }
    let count = random.random_range(1..=bits_max);
    for _ in 0..count {
        let from = written[random.random_range(0..written.len())] * PAGE_BYTES;
        let to = (from + PAGE_BYTES).min(bytes.len());
        bytes[random.random_range(from..to)] ^= 1 << random.random_range(0..8);
    }
    fs::write(file, bytes)?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_change_in_every_file_that_is_not_spared_and_only_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = ["key", "key.journal-id", "data/store.redb", "data/blobs/ab/abcd"];
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, vec![7; 3 * PAGE_BYTES + 1]).expect("written");
        }
        let found = files_below(folder.path()).expect("read");
        assert_eq!(found.len(), files.len());
        let spared = |role| found.iter().filter(|file| is_spared(file, role)).count();
        assert_eq!((spared(Role::Worker), spared(Role::Authority)), (1, 2));
        let mut random = Pcg64Mcg::seed_from_u64(1);
        for file in found {
            assert!((1..=BITS_MAX).contains(&flip(&file, BITS_MAX, &mut random).expect("changed")));
            let bits: u32 = fs::read(&file).expect("read").iter().map(|byte| (byte ^ 7).count_ones()).sum();
            assert!((1..=BITS_MAX as u32).contains(&bits), "{bits}");
        }
    }
}
