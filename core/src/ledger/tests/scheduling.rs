//! Which ready task goes next, and where.

use super::mesh::*;
use crate::{ledger::TaskStateView, types::*};

fn with_policies(order: OrderPolicy, placement: PlacementPolicy) -> Mesh {
    let mut genesis = genesis();
    genesis.schedule = ScheduleParameters { order: vec![order], placement: vec![placement], ..genesis.schedule };
    Mesh::new(genesis)
}

fn with_priority(priority: i16) -> TaskSpec {
    TaskSpec { priority, ..spec() }
}

#[test]
fn a_task_is_placed_in_the_block_that_admits_it() {
    let mut mesh = Mesh::new(genesis());
    let job = mesh.submit(&key(100), 1, spec());
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()));
}

#[test]
fn fifo_goes_by_admission_and_priority_by_priority() {
    for (order, first) in [(OrderPolicy::Fifo, 0), (OrderPolicy::Priority, 1)] {
        let mut mesh = with_policies(order, PlacementPolicy::LeastLoaded);
        let jobs = [mesh.submit(&key(100), 1, with_priority(0)), mesh.submit(&key(101), 1, with_priority(5))];
        mesh.claim(&key(1), offer(1, 0));
        mesh.next();
        assert_eq!(mesh.holder(jobs[first], 0), Some(key(1).public()), "{order:?}");
    }
}

#[test]
fn equal_priorities_go_in_the_order_of_admission() {
    let mut mesh = with_policies(OrderPolicy::Priority, PlacementPolicy::LeastLoaded);
    let jobs: Vec<JobId> = (0..5).map(|_| mesh.submit(&key(100), 1, spec())).collect();
    mesh.claim(&key(1), offer(3, 0));
    mesh.next();
    let placed: Vec<bool> = jobs.iter().map(|job| mesh.holder(*job, 0).is_some()).collect();
    assert_eq!(placed, [true, true, true, false, false]);
}

#[test]
fn nothing_starves_under_a_stream_of_higher_priorities() {
    let mut mesh = with_policies(OrderPolicy::Priority, PlacementPolicy::LeastLoaded);
    mesh.claim(&key(1), offer(1, 0));
    let mut running = (mesh.submit(&key(100), 1, with_priority(1)), 0);
    let patient = mesh.submit(&key(101), 1, with_priority(0));
    mesh.next();
    let mut minutes = 0;
    while mesh.holder(patient, 0).is_none() {
        assert!(minutes < 3, "it starves");
        let next = mesh.submit(&key(100), 1, with_priority(1));
        mesh.claim(&key(1), offer(1, 0));
        mesh.report(&key(1), attempt(running.0, 0, 0), success());
        mesh.idle(30_000);
        running = (next, running.1 + 1);
        minutes = running.1 / 2;
    }
    assert!(running.1 >= 2, "a level of priority is worth a minute");
}

#[test]
fn a_task_that_fits_nowhere_holds_up_only_its_like() {
    let mut mesh = Mesh::new(genesis());
    let sized = |millicores| TaskSpec { resources: Resources { millicores, memory_bytes: 0 }, ..spec() };
    let huge = mesh.submit(&key(100), 50, sized(64_000));
    let mut labelled = spec();
    labelled.labels.insert("gpu".into(), "yes".into());
    let labelled = mesh.submit(&key(100), 50, labelled);
    let small = mesh.submit(&key(100), 2, sized(1000));
    mesh.claim(&key(1), offer(2, 1));
    mesh.next();
    assert_eq!((mesh.holder(small, 0), mesh.holder(small, 1)), (Some(key(1).public()), Some(key(1).public())));
    assert_eq!(mesh.waiting(&key(1)), 0, "what could never run there does not wait there");
    // A claim that comes later takes what waited.
    let mut capable = offer(64, 0);
    capable.labels.insert("gpu".into(), "yes".into());
    mesh.claim(&key(2), capable);
    mesh.next();
    assert_eq!(mesh.holder(huge, 0), Some(key(2).public()));
    assert_eq!(mesh.holder(labelled, 0), None, "all its cores are taken");
}

#[test]
fn what_could_never_run_at_a_claim_does_not_wait_there_whatever_it_lacks() {
    let needy: [fn(&mut TaskSpec); 3] = [
        |spec| spec.resources.memory_bytes = 201,
        |spec| spec.resources.millicores = 2001,
        |spec| drop(spec.labels.insert("gpu".into(), "yes".into())),
    ];
    for change in needy {
        let mut mesh = Mesh::new(genesis());
        mesh.claim(&key(1), offer(2, 9));
        let mut spec = spec();
        change(&mut spec);
        mesh.submit(&key(100), 3, spec);
        mesh.next();
        assert!(mesh.held(&key(1)).is_empty());
    }
}

#[test]
fn labels_must_match_in_value() {
    let mut mesh = Mesh::new(genesis());
    let mut needy = spec();
    needy.labels.insert("arch".into(), "x86_64".into());
    let job = mesh.submit(&key(100), 1, needy);
    for (worker, arch) in [(1, "aarch64"), (2, "x86_64")] {
        let mut claim = offer(1, 1);
        claim.labels.insert("arch".into(), arch.into());
        claim.labels.insert("site".into(), "home".into());
        mesh.claim(&key(worker), claim);
        mesh.next();
        assert_eq!(mesh.holder(job, 0).is_some(), worker == 2);
    }
}

#[test]
fn the_least_loaded_claim_goes_first_and_a_burst_spreads_by_slots() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { load: 500, ..offer(10, 0) });
    mesh.claim(&key(2), Claim { load: 100, ..offer(10, 0) });
    let first = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert_eq!(mesh.holder(first, 0), Some(key(2).public()));
    mesh.submit(&key(100), 3, spec());
    mesh.next();
    assert_eq!([mesh.running(&key(1)), mesh.running(&key(2))], [0, 4]);
    mesh.submit(&key(100), 6, spec());
    mesh.next();
    assert_eq!([mesh.running(&key(1)), mesh.running(&key(2))], [3, 7]);
}

#[test]
fn a_hundred_tasks_in_one_block_spread_over_all_claims() {
    for placement in [PlacementPolicy::LeastLoaded, PlacementPolicy::RoundRobin] {
        let mut mesh = with_policies(OrderPolicy::Fifo, placement);
        for worker in 1..=10 {
            mesh.claim(&key(worker), offer(20, 0));
        }
        mesh.submit(&key(100), 100, spec());
        mesh.next();
        let running: Vec<u32> = (1..=10).map(|worker| mesh.running(&key(worker))).collect();
        assert_eq!(running, [10; 10], "{placement:?}");
    }
}

#[test]
fn round_robin_goes_on_where_it_stopped_whatever_the_load() {
    let mut mesh = with_policies(OrderPolicy::Fifo, PlacementPolicy::RoundRobin);
    for worker in 1..=3 {
        mesh.claim(&key(worker), Claim { load: u16::from(worker) * 300, ..offer(10, 0) });
    }
    mesh.next();
    let mut went = Vec::new();
    for _ in 0..9 {
        let job = mesh.submit(&key(100), 1, spec());
        mesh.next();
        went.push(mesh.holder(job, 0).expect("placed"));
    }
    assert_eq!(went[..3], went[3..6]);
    assert_eq!(went[..3], went[6..]);
    let mut all = went[..3].to_vec();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 3);
}

#[test]
fn ties_go_to_the_smaller_key() {
    let mut mesh = Mesh::new(genesis());
    let job = mesh.submit(&key(100), 1, spec());
    let keys: Vec<_> = (1..=5).map(|worker| key(worker).public()).collect();
    for worker in 1..=5 {
        mesh.claim(&key(worker), offer(1, 0));
    }
    mesh.next();
    assert_eq!(mesh.holder(job, 0), keys.iter().min().copied());
}

#[test]
fn every_claims_free_resources_are_filled_before_any_waiting_place() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { load: 0, ..offer(1, 10) });
    mesh.claim(&key(2), Claim { load: 1000, ..offer(3, 0) });
    mesh.submit(&key(100), 6, spec());
    mesh.next();
    assert_eq!([mesh.running(&key(1)), mesh.running(&key(2)), mesh.waiting(&key(1))], [1, 3, 2]);
    // A large task of higher rank takes a waiting place only after smaller ones have taken what is free.
    let mut mesh = Mesh::new(genesis());
    let sized = |millicores| TaskSpec { resources: Resources { millicores, memory_bytes: 0 }, ..spec() };
    mesh.claim(&key(1), Claim { resources: Resources { millicores: 2000, memory_bytes: 0 }, ..offer(4, 4) });
    mesh.submit(&key(100), 1, sized(1000));
    mesh.next();
    let large = mesh.submit(&key(100), 1, sized(2000));
    let small = mesh.submit(&key(100), 1, sized(1000));
    mesh.next();
    assert!(matches!(mesh.state(small, 0), TaskStateView::Leased { ends: Some(_), .. }));
    assert!(matches!(mesh.state(large, 0), TaskStateView::Leased { ends: None, .. }));
}

#[test]
fn a_task_that_comes_back_keeps_its_place() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 0));
    let job = mesh.submit(&key(100), 10, TaskSpec { retry: Retry::of(5, 0), ..spec() });
    mesh.next();
    mesh.report(&key(1), attempt(job, 1, 0), failure());
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (1, 1, true)]);
}
