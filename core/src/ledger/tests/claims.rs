//! Claims: how long they stand, what they hold, and what ends with them.

use super::mesh::*;
use crate::{
    ledger::{EndReason, LedgerEvent, STANDINGS_KEPT, TaskStateView},
    types::*,
};

fn standing_ms(mesh: &Mesh, worker: u8) -> u64 {
    let until = mesh.ledger.worker(&key(worker).public()).expect("it stands").until;
    (until.0 - mesh.ledger.lease_time().0) / 1000
}

#[test]
fn a_claim_stands_as_long_as_it_says_within_the_bounds() {
    let mut mesh = Mesh::new(genesis());
    let threshold_ms = mesh.ledger.genesis().consensus.stall_threshold_ms(0);
    let limits_ms = mesh.ledger.genesis().ledger.claim_stands_ms_max;
    for (asked_ms, granted_ms) in [(0, 3 * threshold_ms), (u64::MAX, limits_ms), (10_000, 10_000)] {
        mesh.claim(&key(1), Claim { stands_ms: asked_ms, ..offer(1, 0) });
        mesh.next();
        assert_eq!(standing_ms(&mesh, 1), granted_ms, "{asked_ms}");
    }
    assert_eq!(mesh.ledger.next_due(), Some(mesh.now.plus_ms(10_000)));
    mesh.idle(9_999);
    assert!(mesh.ledger.worker(&key(1).public()).is_some());
    let applied = mesh.next();
    assert!(applied.events.contains(&LedgerEvent::ClaimEnded { worker: key(1).public(), drained: false }));
    assert!(mesh.ledger.worker(&key(1).public()).is_none());
    assert_eq!(mesh.ledger.next_due(), None);
}

#[test]
fn a_sequence_number_belongs_to_the_key_and_only_rises() {
    let mut mesh = Mesh::new(genesis());
    let claim = |mesh: &mut Mesh, sequence, incarnation| {
        let claim = Claim { sequence, incarnation: Incarnation(incarnation), ..offer(1, 0) };
        let id = mesh.sign(&key(1), Action::Claim(claim));
        result_of(&mesh.next(), id)
    };
    let drain = |mesh: &mut Mesh, sequence| {
        let id = mesh.sign(&key(1), Action::Drain(Drain { sequence }));
        result_of(&mesh.next(), id)
    };
    assert_eq!(claim(&mut mesh, 10, 5), Ok(()));
    assert_eq!(claim(&mut mesh, 10, 5), Err(VoidReason::OldSequence));
    assert_eq!(claim(&mut mesh, 9, 6), Err(VoidReason::OldSequence), "also in a new life");
    assert_eq!(drain(&mut mesh, 10), Err(VoidReason::OldSequence));
    assert_eq!(claim(&mut mesh, 100, 4), Err(VoidReason::OldIncarnation));
    assert_eq!(claim(&mut mesh, 11, 5), Ok(()), "the void one did not count");
    assert_eq!(drain(&mut mesh, 20), Ok(()));
    assert_eq!(claim(&mut mesh, 20, 5), Err(VoidReason::OldSequence), "it survives the drain");
    assert_eq!(claim(&mut mesh, 21, 5), Ok(()));
    mesh.idle(70_000);
    assert!(mesh.ledger.worker(&key(1).public()).is_none());
    assert_eq!(claim(&mut mesh, 21, 5), Err(VoidReason::OldSequence), "and the claim's end");
}

#[test]
fn a_worker_is_forgotten_once_nothing_that_it_signed_could_be_executed() {
    let mut mesh = Mesh::new(genesis());
    let life_ms = mesh.ledger.genesis().ledger.transaction_life_ms_max;
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    mesh.drain(&key(1));
    mesh.next();
    // A claim that stands is never forgotten, however long the network stalled.
    let mut stalled = Mesh::of(mesh.ledger.clone());
    let claim = Claim { sequence: 1000, ..offer(1, 0) };
    stalled.sign(&key(1), Action::Claim(claim));
    stalled.next();
    stalled.pass(life_ms + 2);
    assert!(stalled.ledger.worker(&key(1).public()).is_some());
    mesh.pass(life_ms);
    assert!(mesh.ledger.last_sequence(&key(1).public()).is_some());
    mesh.next();
    assert!(mesh.ledger.last_sequence(&key(1).public()).is_none());
    // One that only ever drained is forgotten too.
    mesh.drain(&key(2));
    mesh.next();
    assert!(mesh.ledger.last_sequence(&key(2).public()).is_some());
    mesh.pass(life_ms + 1);
    assert!(mesh.ledger.last_sequence(&key(2).public()).is_none());
}

#[test]
fn a_drain_before_any_claim_keeps_earlier_claims_out() {
    let mut mesh = Mesh::new(genesis());
    let late = Claim { sequence: mesh.next_sequence(), ..offer(1, 0) };
    mesh.drain(&key(1));
    let late = mesh.sign(&key(1), Action::Claim(late));
    assert_eq!(result_of(&mesh.next(), late), Err(VoidReason::OldSequence));
}

#[test]
fn standing_claims_are_bounded_but_each_may_be_renewed() {
    let mut genesis = genesis();
    genesis.ledger.workers_max = 2;
    let mut mesh = Mesh::new(genesis);
    let ids = [1, 2, 3, 1].map(|worker| mesh.claim(&key(worker), offer(1, 0)));
    let applied = mesh.next();
    let results = ids.map(|id| result_of(&applied, id));
    assert_eq!(results, [Ok(()), Ok(()), Err(VoidReason::WorkersFull), Ok(())]);
    mesh.drain(&key(1));
    let third = mesh.claim(&key(3), offer(1, 0));
    assert_eq!(result_of(&mesh.next(), third), Ok(()));
}

#[test]
fn a_claim_beyond_the_bounds_is_refused() {
    let mut mesh = Mesh::new(genesis());
    let most = mesh.ledger.genesis().ledger.claim_attempts_max;
    let ids = [
        mesh.claim(&key(1), offer(most, 1)),
        mesh.claim(&key(1), offer(1, u32::MAX)),
        mesh.claim(&key(1), Claim { load: 1001, ..offer(1, 1) }),
    ];
    let applied = mesh.next();
    assert!(ids.iter().all(|id| result_of(&applied, *id) == Err(VoidReason::Malformed)));
}

#[test]
fn an_attempt_takes_resources_if_free_else_a_waiting_place_and_moves_up_in_lease_order() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(2, 2));
    let job = mesh.submit(&key(100), 6, spec());
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (1, 0, true), (2, 0, false), (3, 0, false)]);
    mesh.report(&key(1), attempt(job, 1, 0), success());
    let applied = mesh.next();
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (2, 0, true), (3, 0, false), (4, 0, false)]);
    assert!(applied.events.contains(&LedgerEvent::Started { attempt: attempt(job, 2, 0), worker: key(1).public() }));
}

#[test]
fn slots_millicores_and_memory_each_bound_what_runs() {
    let run = |slots, millicores, memory_bytes| {
        let mut mesh = Mesh::new(genesis());
        let resources = Resources { millicores, memory_bytes };
        mesh.claim(&key(1), Claim { resources, ..offer(slots, 0) });
        mesh.submit(&key(100), 9, spec());
        mesh.next();
        mesh.running(&key(1))
    };
    assert_eq!([run(3, 9000, 900), run(9, 3999, 900), run(9, 9000, 299), run(0, 9000, 900)], [3, 3, 2, 0]);
}

#[test]
fn nothing_overtakes_an_earlier_lease_that_waits_for_resources() {
    let mut mesh = Mesh::new(genesis());
    let sized = |millicores| TaskSpec { resources: Resources { millicores, memory_bytes: 0 }, ..spec() };
    mesh.claim(&key(1), Claim { resources: Resources { millicores: 3000, memory_bytes: 0 }, ..offer(8, 2) });
    let running = mesh.submit(&key(100), 2, sized(1000));
    let large = mesh.submit(&key(100), 1, sized(3000));
    mesh.next();
    let small = mesh.submit(&key(100), 1, sized(1000));
    mesh.next();
    assert_eq!(
        (mesh.running(&key(1)), mesh.waiting(&key(1))),
        (2, 2),
        "a core is free, but the large one waits for it"
    );
    mesh.report(&key(1), attempt(running, 0, 0), success());
    mesh.report(&key(1), attempt(running, 1, 0), success());
    mesh.next();
    assert!(matches!(mesh.state(large, 0), TaskStateView::Leased { ends: Some(_), .. }));
    assert!(matches!(mesh.state(small, 0), TaskStateView::Leased { ends: None, .. }));
}

#[test]
fn a_claim_that_shrinks_starts_nothing_until_what_runs_fits_it() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(3, 1));
    let job = mesh.submit(&key(100), 6, spec());
    mesh.next();
    mesh.claim(&key(1), offer(1, 1));
    mesh.next();
    assert_eq!((mesh.running(&key(1)), mesh.waiting(&key(1))), (3, 1), "what runs goes on");
    for index in [0, 1] {
        mesh.report(&key(1), attempt(job, index, 0), success());
        mesh.next();
    }
    assert_eq!((mesh.running(&key(1)), mesh.waiting(&key(1))), (1, 1));
    mesh.report(&key(1), attempt(job, 2, 0), success());
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(3, 0, true), (4, 0, false)]);
}

#[test]
fn what_waits_beyond_its_places_or_could_never_fit_goes_back_and_costs_nothing() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 3));
    let job = mesh.submit(&key(100), 4, spec());
    mesh.next();
    mesh.claim(&key(1), offer(1, 1));
    let applied = mesh.next();
    let taken_back = |index, attempt| (index, attempt, EndReason::TakenBack);
    assert_eq!(ends(&applied), [taken_back(3, 0), taken_back(2, 0)]);
    assert_eq!(mesh.held(&key(1)), [(0, 0, true), (1, 0, false)]);
    let resources = Resources { millicores: 999, memory_bytes: 1000 };
    mesh.claim(&key(1), Claim { resources, ..offer(4, 3) });
    let applied = mesh.next();
    assert_eq!(ends(&applied), [taken_back(1, 0)]);
    assert_eq!(mesh.held(&key(1)), [(0, 0, true)], "what runs goes on");
    let task = mesh.ledger.task(TaskId { job, index: 1 }).expect("a task");
    assert_eq!((task.losses, task.failures, task.state), (0, 0, TaskStateView::Ready));
}

#[test]
fn a_new_incarnation_sends_back_what_the_old_one_held() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 1));
    let job = mesh.submit(&key(100), 2, spec());
    mesh.next();
    mesh.claim(&key(1), offer(1, 1));
    assert!(ends(&mesh.next()).is_empty(), "the same life goes on");
    mesh.claim(&key(1), Claim { incarnation: Incarnation(2), ..offer(1, 1) });
    let applied = mesh.next();
    assert_eq!(ends(&applied), [(0, 0, EndReason::NewIncarnation), (1, 0, EndReason::NewIncarnation)]);
    assert_eq!(mesh.held(&key(1)), [(0, 1, true), (1, 1, false)], "new attempts, in the only place there is");
    let losses = [0, 1].map(|index| mesh.ledger.task(TaskId { job, index }).expect("a task").losses);
    assert_eq!(losses, [1, 0], "what never began counts for nothing");
}

#[test]
fn a_later_claim_revives_no_attempt() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { stands_ms: 10_000, ..offer(1, 0) });
    let job = mesh.submit(&key(100), 1, TaskSpec { limits: Limits { wall_ms: 60_000, ..spec().limits }, ..spec() });
    mesh.next();
    let applied = mesh.idle(10_000);
    assert_eq!(ends(&applied), [(0, 0, EndReason::ClaimEnded)]);
    assert_eq!(mesh.state(job, 0), TaskStateView::Ready);
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(0, 1, true)]);
    mesh.report(&key(1), attempt(job, 0, 0), failure());
    mesh.next();
    assert_eq!(mesh.held(&key(1)), [(0, 1, true)]);
}

#[test]
fn a_claim_renewed_in_the_block_in_which_it_would_run_out_stands() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { stands_ms: 10_000, ..offer(1, 0) });
    mesh.submit(&key(100), 1, spec());
    mesh.next();
    mesh.idle(9_500);
    mesh.claim(&key(1), offer(1, 0));
    assert!(ends(&mesh.pass(500)).is_empty());
    assert_eq!(mesh.held(&key(1)), [(0, 0, true)]);
}

#[test]
fn a_drain_sends_everything_back_at_once() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 1));
    mesh.claim(&key(2), offer(2, 0));
    let job = mesh.submit(&key(100), 4, spec());
    mesh.next();
    let (running, waiting) = (mesh.running(&key(1)), mesh.waiting(&key(1)));
    assert_eq!((running, waiting), (1, 1));
    let lost: Vec<u32> = mesh.held(&key(1)).iter().map(|(index, _, _)| *index).collect();
    mesh.drain(&key(1));
    let applied = mesh.next();
    assert_eq!(ends(&applied), [(lost[0], 0, EndReason::Drained), (lost[1], 0, EndReason::Drained)]);
    assert!(mesh.ledger.worker(&key(1).public()).is_none());
    let losses = lost.iter().map(|index| mesh.ledger.task(TaskId { job, index: *index }).expect("a task").losses);
    assert_eq!(losses.collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn a_stall_of_the_network_ends_nothing() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), Claim { stands_ms: 10_000, ..offer(1, 0) });
    let job = mesh.submit(&key(100), 1, TaskSpec { limits: Limits { wall_ms: 1, ..spec().limits }, ..spec() });
    mesh.next();
    for _ in 0..4 {
        assert!(ends(&mesh.pass(3_600_000)).is_empty(), "each gap counts as two seconds");
    }
    assert_eq!(mesh.holder(job, 0), Some(key(1).public()));
    assert_eq!(ends(&mesh.pass(3_600_000)), [(0, 0, EndReason::ClaimEnded)]);
}

#[test]
fn heights_at_which_a_claim_stood_are_remembered_boundedly() {
    let mut mesh = Mesh::new(genesis());
    let stood = |mesh: &Mesh, height| mesh.ledger.claim_stood_at(&key(1).public(), Height(height));
    mesh.next();
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    mesh.next();
    mesh.drain(&key(1));
    mesh.next();
    assert_eq!([1, 2, 3, 4, 5].map(|height| stood(&mesh, height)), [false, true, true, false, false]);
    for _ in 0..STANDINGS_KEPT {
        mesh.claim(&key(1), offer(1, 0));
        mesh.next();
        mesh.drain(&key(1));
        mesh.next();
    }
    assert!(!stood(&mesh, 2), "the oldest is forgotten");
    let last = mesh.ledger.height().0;
    assert_eq!([stood(&mesh, last - 1), stood(&mesh, last), stood(&mesh, 5)], [true, false, true]);
}
