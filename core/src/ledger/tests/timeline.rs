//! When tasks waited and ran, and whose outcome was taken.

use super::mesh::*;
use crate::{
    ledger::{
        EndReason,
        timeline::{Span, TaskEnd, What},
    },
    types::*,
};

#[test]
fn a_timeline_tells_of_every_attempt_and_whose_outcome_was_taken() {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 1));
    let job = mesh.submit(&key(100), 2, spec());
    mesh.next();
    let submitted = mesh.now;
    mesh.pass(100);
    mesh.report(&key(1), attempt(job, 0, 0), success());
    mesh.pass(100);
    let started = mesh.now;
    mesh.claim(&key(2), offer(1, 0));
    mesh.claim(&key(1), Claim { incarnation: Incarnation(2), ..offer(1, 1) });
    mesh.pass(100);
    let lost = mesh.now;
    // The worker that was thought lost has its outcome all the same.
    mesh.report(&key(1), attempt(job, 1, 0), success());
    mesh.pass(100);
    let timeline = mesh.ledger.timeline(job, 0, 10).expect("a job");
    assert_eq!((timeline.submitted, timeline.began, timeline.ended), (submitted, Some(submitted), Some(mesh.now)));
    let [first, second] = &timeline.tasks[..] else { panic!("two tasks") };
    assert!(
        matches!(first.spans[..], [Span { what: What::Running(own), .. }] if own.accepted && own.worker == key(1).public())
    );
    assert_eq!(second.ended, Some(TaskEnd::Succeeded));
    let [waited, ran, again] = &second.spans[..] else { panic!("three spans: {second:?}") };
    assert_eq!((waited.from, waited.to, ran.to, again.to), (submitted, Some(started), Some(lost), Some(mesh.now)));
    assert!(matches!(waited.what, What::Waiting(own) if own.ended.is_none()));
    assert!(matches!(ran.what, What::Running(own) if own.ended == Some(EndReason::NewIncarnation) && own.accepted));
    assert!(matches!(again.what, What::Running(own) if own.ended == Some(EndReason::Superseded) && !own.accepted));
    let part = mesh.ledger.timeline(job, 1, 1).expect("a job");
    assert_eq!((part.count, part.tasks.len(), part.tasks[0].index), (2, 1, 1));
    assert!(mesh.ledger.timeline(job, 2, 1).expect("a job").tasks.is_empty());
}
