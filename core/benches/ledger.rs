//! The cost of the ledger: placing and finishing arrays, and applying blocks while many tasks wait. Run
//! `cargo bench -p meshwork-core`.

use std::time::{Duration, Instant};

use mesh::*;
// The tests' miniature network refers to these as modules of its own crate.
use meshwork_core::{digest, identity, ledger, types};
use types::*;

#[allow(dead_code, reason = "tests use the rest")]
#[path = "../src/ledger/tests/mesh.rs"]
mod mesh;

const RUNS: usize = 5;

fn main() {
    for (tasks, workers, places) in
        [(10_000, 3, 8), (10_000, 3, 64), (10_000, 100, 16), (10_000, 3, 4096), (1_000, 200, 2)]
    {
        let mut spent: Vec<Duration> = (0..RUNS).map(|_| place_and_finish(tasks, workers, places)).collect();
        spent.sort_unstable();
        println!("{tasks} tasks on {workers} workers of {places} places: median {:?}", spent[RUNS / 2]);
    }
    blocks_beside_what_waits();
}

/// Places and finishes an array on a few workers, and counts the time spent in `apply` alone.
fn place_and_finish(tasks: u32, workers: u8, places: u32) -> Duration {
    let mut mesh = Mesh::new(genesis());
    let keys: Vec<_> = (1..=workers).map(key).collect();
    for worker in &keys {
        mesh.claim(worker, offer(places / 2, places / 2));
    }
    let spec = TaskSpec { resources: Resources::default(), ..spec() };
    let job = mesh.submit(&key(100), tasks, spec);
    let mut spent = Duration::ZERO;
    let mut apply = |mesh: &mut Mesh| {
        let block = mesh.block(1);
        let start = Instant::now();
        mesh.ledger.apply(&block);
        spent += start.elapsed();
    };
    apply(&mut mesh);
    while mesh.ledger.job(job).is_some_and(|job| job.ended.is_none()) {
        for worker in &keys {
            let running = mesh
                .ledger
                .leases_of(&worker.public())
                .into_iter()
                .filter(|lease| lease.stage == ledger::Stage::Running);
            let item = |lease: ledger::LeaseView| ReportItem { attempt: lease.attempt, verdict: success() };
            let items: Vec<ReportItem> = running.map(item).collect();
            for items in items.chunks(1024) {
                mesh.sign(worker, Action::Report(Report { items: items.to_vec() }));
            }
        }
        apply(&mut mesh);
    }
    assert_eq!(mesh.ledger.job(job).map(|job| job.counts.succeeded), Some(u64::from(tasks)));
    spent
}

/// Applies blocks of each kind beside as many kinds of needs as there may be, none of which fits, and a million
/// tasks that do.
fn blocks_beside_what_waits() {
    let mut genesis = genesis();
    genesis.ledger.key_tasks_max = 4_000_000;
    let mut mesh = Mesh::new(genesis);
    let sized = |millicores| TaskSpec { resources: Resources { millicores, memory_bytes: 0 }, ..spec() };
    for kind in 0..4000u32 {
        mesh.submit(&key(1 + (kind / 63) as u8), 1, sized(1_000_000 + kind));
    }
    for _ in 0..10 {
        mesh.submit(&key(250), 100_000, sized(1000));
    }
    let workers: Vec<_> = (0..100).map(|seed| key(100 + seed)).collect();
    for worker in &workers {
        // One more slot than there are cores: the claim stays open, and cannot take what waits.
        mesh.claim(worker, Claim { slots: 9, ..offer(8, 0) });
    }
    let timed = |mesh: &mut Mesh, what: &str| {
        let block = mesh.block(1);
        let start = Instant::now();
        let applied = mesh.ledger.apply(&block);
        let leased = applied.events.iter().filter(|e| matches!(e, ledger::LedgerEvent::Leased { .. })).count();
        println!("{what}: {leased} leases, {:?}", start.elapsed());
    };
    timed(&mut mesh, "the first block, which admits everything");
    timed(&mut mesh, "an empty block");
    for worker in &workers {
        let lease = mesh.ledger.leases_of(&worker.public())[0];
        mesh.report(worker, lease.attempt, success());
    }
    timed(&mut mesh, "a block of 100 reports");
    for worker in &workers {
        mesh.claim(worker, Claim { slots: 9, ..offer(8, 0) });
    }
    timed(&mut mesh, "a block of 100 heartbeats");
    let start = Instant::now();
    let snapshot = mesh.ledger.snapshot();
    println!("a snapshot of {} bytes: {:?}", snapshot.len(), start.elapsed());
}
