//! The memory that the live state of a million tasks takes. Run `cargo bench -p meshwork-core --bench memory`.
//!
//! Ten jobs have one array of 100,000 tasks each, which is how a submitter gets to a million. Then each task is
//! leased, by workers of 4,000 slots. Then each has its outcome, before the ledger forgets it. The workers'
//! claims are not counted.

use mesh::*;
// The tests' miniature network refers to these as modules of its own crate.
use meshwork_core::{digest, identity, ledger, types};
use peak_alloc::PeakAlloc;
use types::*;

#[allow(dead_code, reason = "tests use the rest")]
#[path = "../src/ledger/tests/mesh.rs"]
mod mesh;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const JOBS: u32 = 10;
const JOB_TASKS: u32 = 100_000;
const TASKS: u32 = JOBS * JOB_TASKS;
const WORKERS: u32 = 250;
const SLOTS: u32 = TASKS / WORKERS;
const REPORT_ITEMS: usize = 1000;

fn worker(number: u32) -> identity::SecretKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    identity::SecretKey::from_seed(seed)
}

/// Prints how much more memory is in use than before, in all and for each task.
fn say(what: &str, before: usize) {
    let bytes = ALLOCATOR.current_usage().saturating_sub(before);
    println!("| {what} | {bytes} | {:.1} |", bytes as f64 / f64::from(TASKS));
}

fn claim_all(mesh: &mut Mesh) {
    for number in 0..WORKERS {
        let claim = Claim { stands_ms: 1 << 40, ..offer(SLOTS, 0) };
        mesh.claim(&worker(number), claim);
    }
}

fn main() {
    let mut genesis = genesis();
    genesis.ledger.claim_stands_ms_max = 1 << 40;
    let mut mesh = Mesh::new(genesis);
    println!("{TASKS} tasks\n\n| state | bytes | for each task |\n|---|--:|--:|");
    let empty = ALLOCATOR.current_usage();
    let jobs: Vec<JobId> = (0..JOBS).map(|_| mesh.submit(&key(100), JOB_TASKS, spec())).collect();
    drop(mesh.next());
    say("ready, none ever leased", empty);
    claim_all(&mut mesh);
    drop(mesh.next());
    say("all leased", empty);
    for number in 0..WORKERS {
        let by = worker(number);
        let held: Vec<AttemptId> = mesh.ledger.leases_of(&by.public()).into_iter().map(|lease| lease.attempt).collect();
        for attempts in held.chunks(REPORT_ITEMS) {
            let item = |attempt: &AttemptId| ReportItem { attempt: *attempt, verdict: success() };
            mesh.sign(&by, Action::Report(Report { items: attempts.iter().map(item).collect() }));
        }
        drop(mesh.next());
    }
    let ended = jobs.iter().filter(|job| mesh.ledger.job(**job).is_some_and(|job| job.ended.is_some())).count();
    assert_eq!(ended, jobs.len(), "all have their outcome");
    say("all ended, and not yet forgotten", empty);
    println!("\nThe snapshot of that has {} bytes.", mesh.ledger.snapshot().len());
}
