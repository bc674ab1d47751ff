//! The cost of matching, by policy and by the length of the queue. 10,000 claims of one slot each come free in
//! one block, and as many tasks are placed. Run `cargo bench -p meshwork-core --bench matching`, or one case
//! with `… -- fair/1000000`.
//!
//! Cancelling the job that held the claims frees them. `nothing/0` measures that alone, with an empty queue.
//! Whatever the other cases take beyond it is the cost of placing.

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use mesh::*;
// The tests' miniature network refers to these as modules of its own crate.
use meshwork_core::{digest, identity, ledger, types};
use types::*;

#[allow(dead_code, reason = "tests use the rest")]
#[path = "../src/ledger/tests/mesh.rs"]
mod mesh;

const CLAIMS: u32 = 10_000;
const LENGTHS: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
/// Tasks per job, and submitters.
const JOB_TASKS: u32 = 100;
const SUBMITTERS: u32 = 50;

fn worker(number: u32) -> identity::SecretKey {
    let mut seed = [7; 32];
    seed[..4].copy_from_slice(&number.to_be_bytes());
    identity::SecretKey::from_seed(seed)
}

/// A ledger on which one job holds all claims, while `queued` tasks of others wait.
fn network(order: &[OrderPolicy], placement: &[PlacementPolicy], queued: u32) -> (Mesh, JobId) {
    let mut genesis = genesis();
    genesis.schedule.order = order.to_vec();
    genesis.schedule.placement = placement.to_vec();
    genesis.ledger.claim_stands_ms_max = 1 << 40;
    let mut mesh = Mesh::new(genesis);
    for number in 0..CLAIMS {
        let region = ["eu", "us", "as"][number as usize % 3];
        let mut claim = Claim { load: (number * 37 % 1000) as u16, stands_ms: 1 << 40, ..offer(1, 0) };
        claim.labels.insert("region".into(), region.into());
        claim.blobs.insert(digest::Digest::of(&(number % 100).to_be_bytes()));
        mesh.claim(&worker(number), claim);
    }
    let first = mesh.submit(&key(1), CLAIMS, spec());
    mesh.next();
    for number in 0..queued.div_ceil(JOB_TASKS) {
        let input = BlobRef { digest: digest::Digest::of(&(number % 100).to_be_bytes()), bytes: 8 << 20 };
        let spec = TaskSpec {
            priority: (number % 7) as i16,
            expected_ms: u64::from(number * 31 % 5000),
            inputs: vec![Input::blob("in", input)],
            ..spec()
        };
        let deadline = mesh.now.plus_ms(60_000 + u64::from(number * 17 % 9000));
        let times = Times { deadline: Some(deadline), ..Times::default() };
        let submit = Submit { times, ..Submit::new("job", spec, Tasks::Repeat(JOB_TASKS)) };
        mesh.sign(&key((10 + number % SUBMITTERS) as u8), Action::Submit(submit));
    }
    mesh.next();
    (mesh, first)
}

/// The time that the block takes in which all claims come free.
fn measure(mesh: &mut Mesh, first: JobId, placed: u32, times: u64) -> Duration {
    mesh.cancel(&key(1), first);
    let block = mesh.block(1);
    let mut spent = Duration::ZERO;
    for _ in 0..times {
        let mut ledger = mesh.ledger.clone();
        let start = Instant::now();
        let applied = ledger.apply(&block);
        spent += start.elapsed();
        let leased = applied.events.iter().filter(|event| matches!(event, ledger::LedgerEvent::Leased { .. })).count();
        assert_eq!(leased, placed as usize);
    }
    spent
}

fn matching(criterion: &mut Criterion) {
    use OrderPolicy::{Deadline, Fair, Fifo, Priority, Shortest};
    use PlacementPolicy::{LeastLoaded, Locality, Pack, Random, RoundRobin};
    let policies: [(&str, &[OrderPolicy], &[PlacementPolicy]); 10] = [
        ("fifo", &[Fifo], &[LeastLoaded]),
        ("priority", &[Priority], &[LeastLoaded]),
        ("deadline", &[Deadline], &[LeastLoaded]),
        ("shortest", &[Shortest], &[LeastLoaded]),
        ("fair", &[Fair], &[LeastLoaded]),
        ("priority-fair-shortest", &[Priority, Fair, Shortest], &[LeastLoaded]),
        ("round-robin", &[Priority], &[RoundRobin]),
        ("random", &[Priority], &[Random]),
        ("pack", &[Priority], &[Pack]),
        ("locality", &[Priority], &[Locality, LeastLoaded]),
    ];
    let mut bench = |name: &str, order: &[OrderPolicy], placement: &[PlacementPolicy], queued: u32| {
        let mut built = None;
        criterion.bench_function(&format!("{name}/{queued}"), |bencher| {
            bencher.iter_custom(|times| {
                let (mesh, first) = built.get_or_insert_with(|| network(order, placement, queued));
                measure(mesh, *first, queued.min(CLAIMS), times)
            });
        });
    };
    bench("nothing", &[Fifo], &[LeastLoaded], 0);
    for (name, order, placement) in policies {
        for queued in LENGTHS {
            bench(name, order, placement, queued);
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500)).without_plots();
    targets = matching
}
criterion_main!(benches);
