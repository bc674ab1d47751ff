//! Replays the corpus: the useful inputs that fuzzing found, the seeds, and mutations of both that are always
//! the same.

use std::{
    collections::BTreeMap,
    fs,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use meshwork_core::digest::Digest;
use meshwork_decoders::{TARGETS, Target, seeds::seeds};
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

/// Mutations of one input.
const MUTATIONS_EACH: usize = 8;
/// Mutations for one target.
const MUTATIONS_MAX: usize = 800;

/// Memory is counted for the whole process, so one test runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kept inputs of each target's folder, in the order of their names.
fn corpus() -> BTreeMap<String, Vec<(PathBuf, Vec<u8>)>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let entries = |folder: &Path| {
        let mut paths: Vec<PathBuf> = fs::read_dir(folder)
            .expect("the folder can be read")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        paths.sort();
        paths
    };
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).expect("a kept input can be read");
        (path, bytes)
    };
    entries(&folder)
        .into_iter()
        .map(|of_target| {
            let name = of_target.file_name().expect("a folder has a name").to_string_lossy().into_owned();
            (name, entries(&of_target).into_iter().map(read).collect())
        })
        .collect()
}

/// Runs a target, and names the input if a check fails.
fn run(target: &Target, bytes: &[u8], input: &dyn std::fmt::Display) -> bool {
    let ran = panic::catch_unwind(AssertUnwindSafe(|| target.run(bytes)));
    ran.unwrap_or_else(|_| panic!("{}: {input}: {}", target.name, shown(bytes)))
}

/// An input in a form that people can pass on.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let _alone = alone();
    let corpus = corpus();
    for target in &TARGETS {
        assert!(corpus.get(target.name).is_some_and(|inputs| !inputs.is_empty()), "{} has no corpus", target.name);
    }
    for name in corpus.keys() {
        assert!(Target::named(name).is_some(), "{name} has a corpus and is no target");
    }
    assert!(TARGETS.is_sorted_by_key(|target| target.name), "the table is in order");
}

#[test]
fn what_fuzzing_kept_holds_and_much_of_it_decodes() {
    let _alone = alone();
    let (mut kept, mut decoded) = (0, 0);
    for (name, inputs) in corpus() {
        let Some(target) = Target::named(&name) else { continue };
        for (path, bytes) in &inputs {
            assert!(bytes.len() <= target.bytes_max, "{} is longer than its target takes", path.display());
            kept += 1;
            decoded += usize::from(run(target, bytes, &path.display()));
        }
    }
    // Otherwise formats have changed, and a new corpus has to be found: `tests/fuzz/run --keep`.
    assert!(8 * decoded > kept, "of {kept} kept inputs only {decoded} decode any more");
    println!("{decoded} of {kept} decode");
}

#[test]
fn every_seed_decodes_and_every_target_has_one() {
    let _alone = alone();
    let seeds = seeds();
    for (place, seed) in seeds.iter().enumerate() {
        let target = Target::named(seed.target).expect("a seed is some target's");
        assert!(run(target, &seed.bytes, &place), "seed {place}, of {}, does not decode", seed.target);
    }
    for target in &TARGETS {
        assert!(seeds.iter().any(|seed| seed.target == target.name), "{} has no seed", target.name);
    }
}

#[test]
fn what_is_cut_short_changed_or_spliced_holds_too() {
    let _alone = alone();
    let mut inputs: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
    for seed in seeds() {
        inputs.entry(seed.target.to_owned()).or_default().push(seed.bytes);
    }
    for (name, kept) in corpus() {
        inputs.entry(name).or_default().extend(kept.into_iter().map(|(_, bytes)| bytes));
    }
    for (name, inputs) in inputs {
        let Some(target) = Target::named(&name) else { continue };
        let every = (inputs.len() * MUTATIONS_EACH).div_ceil(MUTATIONS_MAX);
        for (place, bytes) in inputs.iter().enumerate().step_by(every) {
            let mut random = Pcg64::from_seed(Digest::of(bytes).0);
            for turn in 0..MUTATIONS_EACH {
                let other = &inputs[random.random_range(0..inputs.len())];
                let mutant = mutate(bytes, other, &mut random);
                run(target, &mutant, &format!("mutation {turn} of input {place}"));
            }
        }
    }
}

/// One of the ways in which an input can be damaged.
fn mutate(bytes: &[u8], other: &[u8], random: &mut Pcg64) -> Vec<u8> {
    let mut mutant = bytes.to_vec();
    let mut place = |length: usize| if length == 0 { 0 } else { random.random_range(0..length) };
    let at = place(mutant.len());
    match place(5) {
        0 => mutant.truncate(at),
        1 if !mutant.is_empty() => mutant[at] ^= 1 << place(8),
        2 if !mutant.is_empty() => mutant[at] = place(256) as u8,
        3 => mutant.insert(at, place(256) as u8),
        _ => {
            mutant.truncate(at);
            mutant.extend_from_slice(&other[place(other.len())..]);
        }
    }
    mutant
}

#[test]
#[should_panic(expected = "bytes of memory")]
fn memory_out_of_proportion_is_noticed() {
    let _alone = alone();
    meshwork_decoders::memory::bounded(&[0; 8], || vec![0u8; 1 << 20]);
}

/// With this fault every signature passes the strict rule, which then takes what the batch rule refuses.
#[cfg(debug_assertions)]
#[test]
fn a_rule_that_is_broken_in_core_is_noticed() {
    use meshwork_core::fault::{Fault, plant};

    let _alone = alone();
    let target = Target::named("transactions").expect("there is one");
    let seed = seeds().into_iter().find(|seed| seed.target == target.name).expect("it has a seed");
    let mut forged = seed.bytes;
    *forged.last_mut().expect("it ends in a signature") ^= 1;
    assert!(target.run(&forged), "it decodes, and is not good");
    plant(Some(Fault::SignaturesUnchecked));
    let noticed = panic::catch_unwind(|| target.run(&forged)).is_err();
    plant(None);
    assert!(noticed);
}
