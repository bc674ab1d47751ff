//! What strangers and bad workers try, and that it costs nobody else.

use super::mesh::*;
use crate::{digest::Digest, identity::SecretKey, types::*};

#[test]
fn one_who_returns_everything_keeps_no_task_from_an_honest_worker() {
    let mut mesh = Mesh::new(genesis());
    let (honest, liar) = (key(1), key(2));
    mesh.claim(&honest, offer(1, 0));
    let job = mesh.submit(&key(100), 1, spec());
    mesh.next();
    assert_eq!(mesh.holder(job, 0), Some(honest.public()));
    // The honest one is restarted once; it is back at once.
    mesh.claim(&honest, Claim { incarnation: Incarnation(2), ..offer(1, 0) });
    mesh.claim(&liar, offer(1, 0));
    mesh.next();
    let mut number = 1;
    let mut honest_turns = 0;
    for _ in 0..500 {
        match mesh.holder(job, 0) {
            Some(holder) if holder == liar.public() => {
                mesh.report(&liar, attempt(job, 0, number), Verdict::Returned);
                number += 1;
            }
            Some(_) => honest_turns += 1,
            None => {}
        }
        mesh.claim(&honest, Claim { incarnation: Incarnation(2), ..offer(1, 0) });
        mesh.claim(&liar, offer(1, 0));
        mesh.pass(1000);
    }
    assert!(honest_turns > 0, "{number} attempts, none by the honest worker, which stood idle all the time");
}

#[test]
fn workers_are_bounded() {
    let mut genesis = genesis();
    genesis.ledger.workers_max = 4;
    let mut mesh = Mesh::new(genesis);
    for seed in 0..250u8 {
        let key = SecretKey::from_seed([seed; 32]);
        mesh.drain(&key);
        mesh.claim(&key, offer(1, 0));
        mesh.next();
        mesh.drain(&key);
        mesh.next();
    }
    let known = mesh.ledger.records.workers().len();
    assert_eq!(known, 16, "{known} workers are remembered where 4 may stand");
}

#[test]
fn what_ended_jobs_take_is_bounded() {
    let mut mesh = Mesh::new(genesis());
    let big = TaskSpec { arguments: vec!["x".repeat(700 << 10)], ..spec() };
    for _ in 0..100 {
        let job = mesh.submit(&key(100), 1, big.clone());
        mesh.next();
        mesh.cancel(&key(100), job);
        mesh.pass(300);
    }
    let bytes = mesh.ledger.snapshot().len();
    assert!(bytes < 1 << 20, "{bytes} bytes after 30 seconds of one key's ended jobs");
}

#[test]
fn a_report_of_nothing_is_void_and_so_is_one_of_somebody_who_never_claimed() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    let item = ReportItem { attempt: attempt(JobId(Digest::ZERO), 0, 0), verdict: success() };
    let nothing = mesh.sign(&key(1), Action::Report(Report { items: Vec::new() }));
    let nobody = mesh.sign(&key(77), Action::Report(Report { items: vec![item] }));
    let applied = mesh.next();
    assert_eq!(result_of(&applied, nothing), Err(VoidReason::Malformed));
    assert_eq!(result_of(&applied, nobody), Err(VoidReason::UnknownWorker));
}

#[test]
fn waiting_places_do_not_hoard() {
    let mut mesh = Mesh::new(genesis());
    let (hoarder, honest) = (key(1), key(2));
    // The hoarder submits a task of a day itself and takes it.
    mesh.claim(&hoarder, offer(1, 4000));
    mesh.submit(&hoarder, 1, TaskSpec { limits: Limits { wall_ms: 24 * 3_600_000, ..spec().limits }, ..spec() });
    mesh.next();
    let job = mesh.submit(&key(100), 1000, spec());
    mesh.claim(&honest, offer(4, 0));
    mesh.next();
    for index in 0..4 {
        mesh.report(&honest, attempt(job, index, 0), success());
    }
    mesh.next();
    for _ in 0..3600 {
        mesh.claim(&hoarder, offer(1, 4000));
        mesh.claim(&honest, offer(4, 0));
        mesh.pass(1000);
    }
    let counts = mesh.ledger.job(job).expect("a job").counts;
    assert!(mesh.running(&honest) > 0, "an hour later the honest one is idle beside {} that wait", counts.waiting);
}
