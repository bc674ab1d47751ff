//! Workers whose answers have agreed compute adaptive tasks alone, but for what is drawn.

use super::{agreement::*, mesh::*};
use crate::{
    identity::PublicKey,
    ledger::{
        Applied, Comparison, EndReason, Ledger, LedgerEvent, ROW_MAX, Track, TrackOf,
        records::tracks::{Deed, Tracks},
        tests::mesh::Mesh as Network,
    },
    types::*,
};

fn adaptive() -> TaskSpec {
    TaskSpec { redundancy: Some(Redundancy { adaptive: true, ..Redundancy::of(2) }), ..spec() }
}

fn track(mesh: &Network, worker: u8) -> Track {
    let of = TrackOf { submitter: key(100).public(), program: spec().program_blob().digest };
    let worker = mesh.ledger.worker(&key(worker).public()).expect("it claims");
    worker.tracks.get(&of).copied().unwrap_or_default()
}

fn drawn(applied: &Applied) -> Vec<(PublicKey, bool)> {
    let drawn = |event: &LedgerEvent| match event {
        LedgerEvent::ComparisonDrawn { worker, compared, .. } => Some((*worker, *compared)),
        _ => None,
    };
    applied.events.iter().filter_map(drawn).collect()
}

/// A network of three workers, of which the first two have agreed so often in a row.
fn agreed(times: u16) -> Network {
    let (mut mesh, _) = mesh_of(3, adaptive());
    for time in 1..=times {
        answer(&mut mesh, &[(1, says("42")), (2, says("42"))]);
        if time < times {
            mesh.submit(&key(100), 1, adaptive());
            mesh.next();
        }
    }
    assert_eq!((track(&mesh, 1).row, track(&mesh, 2).row, track(&mesh, 3).row), (times, times, 0));
    mesh
}

/// Submits a task and lets the first worker commit itself to an answer. What the next block drew: whether it is compared.
fn draw(mesh: &mut Network, text: &str) -> bool {
    mesh.submit(&key(100), 1, adaptive());
    mesh.next();
    assert_eq!(holders(mesh), [1], "the first worker alone");
    commit(mesh, 1, &says(text));
    assert!(drawn(&mesh.next()).is_empty(), "not in the block that takes the commitment");
    let due = mesh.ledger.next_due().expect("a draw");
    assert_eq!(due, BlockTime(mesh.ledger.time().0 + 1), "an idle network makes a block for it");
    let applied = mesh.next();
    let drawn = drawn(&applied);
    assert_eq!((drawn.len(), drawn[0].0), (1, key(1).public()));
    assert_eq!(asked(&applied), usize::from(!drawn[0].1));
    drawn[0].1
}

/// Ends what [`draw`] began, if it is not compared.
fn end_alone(mesh: &mut Network, text: &str) -> OutcomeReceipt {
    reveal(mesh, 1, &says(text));
    outcome(&mesh.next())
}

/// Ends what [`draw`] began, if it is compared with the second worker's answer.
fn end_compared(mesh: &mut Network, texts: [&str; 2]) -> Applied {
    assert_eq!(holders(mesh), [1, 2]);
    commit(mesh, 2, &says(texts[1]));
    assert_eq!(asked(&mesh.next()), 2);
    reveal(mesh, 1, &says(texts[0]));
    reveal(mesh, 2, &says(texts[1]));
    mesh.next()
}

#[test]
fn a_worker_that_is_relied_on_computes_most_tasks_alone_and_the_receipt_says_so() {
    let mut mesh = agreed(RELIED_FROM);
    let (mut alone, mut row) = (0, RELIED_FROM);
    for _ in 0..300 {
        if draw(&mut mesh, "42") {
            let outcome = outcome(&end_compared(&mut mesh, ["42", "42"]));
            row += 1;
            assert_eq!(outcome.agreement.expect("an agreement").basis, Basis::Quorum(2));
        } else {
            alone += 1;
            let outcome = end_alone(&mut mesh, "42");
            let agreement = outcome.agreement.expect("an agreement");
            assert_eq!((agreement.basis, agreement.answers.len()), (Basis::Relied(row), 1));
        }
        assert_eq!(track(&mesh, 1).row, row, "only what was compared counts");
    }
    assert!((260..300).contains(&alone), "{alone} of 300");
    assert_eq!(track(&mesh, 1).accepted, alone);
    assert_eq!(track(&mesh, 1).agreed, u32::from(row));
}

#[test]
fn without_enough_agreed_answers_every_task_is_compared() {
    let mut mesh = agreed(RELIED_FROM - 1);
    mesh.submit(&key(100), 1, adaptive());
    mesh.next();
    assert_eq!(holders(&mesh), [1, 2]);
    let view = |mesh: &Network| {
        let job = mesh.ledger.jobs().last().expect("a job").id;
        mesh.ledger.task(TaskId { job, index: 0 }).expect("a task").replicas.expect("replicas")
    };
    assert_eq!(view(&mesh).comparison, Comparison::Quorum);
}

#[test]
fn one_lie_that_is_compared_ends_it() {
    let mut mesh = agreed(RELIED_FROM);
    let mut taken = 0;
    while !draw(&mut mesh, "lie") {
        end_alone(&mut mesh, "lie");
        taken += 1;
    }
    assert!(taken < 100, "{taken} lies were taken");
    assert!(outcomes(&end_compared(&mut mesh, ["lie", "42"])).is_empty(), "a third worker is asked");
    assert_eq!(outcome(&answer(&mut mesh, &[(3, says("42"))])).worker, key(2).public());
    assert_eq!((track(&mesh, 1).row, track(&mesh, 1).wrong), (0, 1));
    mesh.submit(&key(100), 1, adaptive());
    mesh.next();
    assert_eq!(holders(&mesh), [1, 2], "compared at once");
}

#[test]
fn who_leaves_when_its_answer_is_compared_stands_where_a_liar_does() {
    let mut mesh = agreed(RELIED_FROM);
    while !draw(&mut mesh, "lie") {
        end_alone(&mut mesh, "lie");
    }
    mesh.claim(&key(1), Claim { incarnation: Incarnation(9), ..slot(1) });
    let applied = mesh.next();
    assert!(applied.events.iter().any(|event| matches!(
        event,
        LedgerEvent::Ended { why: EndReason::NewIncarnation, worker, .. } if *worker == key(1).public()
    )));
    assert_eq!((track(&mesh, 1).row, track(&mesh, 1).lost), (0, 1));
}

#[test]
fn an_answer_on_which_nobody_agrees_ends_the_row_of_all_who_gave_one() {
    let mut mesh = agreed(RELIED_FROM);
    let narrow = Redundancy { replicas_max: 2, adaptive: true, ..Redundancy::of(2) };
    let spec = || TaskSpec { redundancy: Some(narrow), ..spec() };
    let compared = |mesh: &mut Network| {
        mesh.submit(&key(100), 1, spec());
        mesh.next();
        commit(mesh, 1, &says("lie"));
        mesh.next();
        drawn(&mesh.next())[0].1
    };
    while !compared(&mut mesh) {
        end_alone(&mut mesh, "lie");
    }
    let failed = outcome(&end_compared(&mut mesh, ["lie", "42"]));
    assert!(matches!(failed.verdict, Verdict::Failed(Failure::Disagreed, ..)));
    assert_eq!((track(&mesh, 1).row, track(&mesh, 2).row), (0, 0));
    assert_eq!((track(&mesh, 1).wrong, track(&mesh, 2).wrong), (0, 0), "nobody can say who was wrong");
}

#[test]
fn who_is_being_compared_when_the_task_is_cancelled_has_to_agree_once_more() {
    let mut mesh = agreed(RELIED_FROM);
    while !draw(&mut mesh, "lie") {
        end_alone(&mut mesh, "lie");
    }
    let job = mesh.ledger.jobs().last().expect("a job").id;
    mesh.cancel(&key(100), job);
    mesh.next();
    assert_eq!((track(&mesh, 1).row, track(&mesh, 2).row), (RELIED_FROM - 1, RELIED_FROM));
}

#[test]
fn a_loss_before_the_answer_ends_nothing_and_the_next_worker_may_be_relied_on_too() {
    let mut mesh = agreed(RELIED_FROM);
    mesh.submit(&key(100), 1, adaptive());
    mesh.next();
    mesh.claim(&key(1), Claim { incarnation: Incarnation(9), ..slot(1) });
    mesh.next();
    assert_eq!((track(&mesh, 1).row, track(&mesh, 1).lost), (RELIED_FROM, 1));
    assert_eq!(holders(&mesh), [2], "it is relied on as well");
}

#[test]
fn a_record_is_of_one_submitter_and_of_one_program() {
    let mut mesh = agreed(RELIED_FROM);
    mesh.submit(&key(101), 1, adaptive());
    mesh.next();
    assert_eq!(holders(&mesh), [1, 2], "another submitter has seen nothing");
    answer(&mut mesh, &[(1, says("42")), (2, says("42"))]);
    let program = BlobRef { digest: crate::digest::Digest::of(b"another"), ..spec().program_blob() };
    mesh.submit(&key(100), 1, TaskSpec { program: Program::Wasm(program), ..adaptive() });
    mesh.next();
    assert_eq!(holders(&mesh), [1, 2]);
}

#[test]
fn a_row_does_not_grow_beyond_its_bound() {
    let (mut tracks, now) = (Tracks::default(), BlockTime(1));
    let of = TrackOf { submitter: key(100).public(), program: spec().program_blob().digest };
    for _ in 0..ROW_MAX + 5 {
        tracks.book(of, Some(Deed::Agreed), 0, now);
    }
    assert_eq!((tracks.row(&of, now), tracks.sum().agreed), (ROW_MAX, u32::from(ROW_MAX) + 5));
}

#[test]
fn a_ledger_that_is_restored_while_a_draw_is_due_draws_alike() {
    let mut mesh = agreed(RELIED_FROM);
    mesh.submit(&key(100), 1, adaptive());
    mesh.next();
    commit(&mut mesh, 1, &says("42"));
    mesh.next();
    let genesis = std::sync::Arc::clone(mesh.ledger.genesis());
    let mut twin = Ledger::restore(genesis, &mesh.ledger.snapshot()).expect("own snapshot");
    let block = mesh.block(1);
    let applied = mesh.ledger.apply(&block);
    assert_eq!(drawn(&applied).len(), 1);
    assert_eq!(applied, twin.apply(&block));
    assert_eq!(mesh.ledger.state_digest(), twin.state_digest());
}

#[test]
fn placement_by_trust_prefers_who_has_agreed() {
    let mut genesis = genesis();
    genesis.schedule.placement = vec![PlacementPolicy::Trusted, PlacementPolicy::LeastLoaded];
    let mut mesh = Network::new(genesis);
    for worker in 1..=3 {
        mesh.claim(&key(worker), slot(worker));
    }
    for _ in 0..2 {
        mesh.submit(&key(100), 1, redundant(3));
        mesh.next();
        answer(&mut mesh, &[(1, says("lie")), (2, says("42")), (3, says("42"))]);
    }
    mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert_eq!(holders(&mesh), [2], "the load would have chosen 1");
}
