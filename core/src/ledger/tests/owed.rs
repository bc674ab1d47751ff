//! What is owed to whom, of the blobs that peers keep.

use std::collections::HashSet;

use super::mesh::*;
use crate::{
    digest::Digest,
    ledger::{NeededBlobs, Owed},
    types::*,
};

fn named(what: &[u8]) -> BlobRef {
    BlobRef { digest: Digest::of(what), bytes: 10 }
}

fn delivered(mesh: &Mesh, attempt: AttemptId, manifest: BlobRef) -> Delivery {
    let statement = DeliveryStatement { attempt, manifest, stderr: None, bytes: 50, height: mesh.ledger.height() };
    statement.sign(&key(200), &mesh.ledger.network())
}

fn checkpoint(mesh: &Mesh, attempt: AttemptId, what: &[u8]) -> Verdict {
    let manifest = named(what);
    Verdict::Checkpointed { manifest, bytes: 50, delivery: delivered(mesh, attempt, manifest) }
}

fn stored(mesh: &Mesh, attempt: AttemptId, what: &[u8]) -> Verdict {
    let manifest = named(what);
    let output = Output::Stored { manifest, stderr: None, bytes: 50, delivery: delivered(mesh, attempt, manifest) };
    Verdict::Succeeded(0, output, Usage::default(), Vec::new())
}

fn owed(mesh: &Mesh, attempt: AttemptId, what: &[u8]) -> Owed {
    mesh.ledger.owed(attempt, &Digest::of(what))
}

/// A running attempt of a job's only task, which may save checkpoints.
fn running() -> (Mesh, AttemptId) {
    let mut mesh = Mesh::new(genesis());
    mesh.claim(&key(1), offer(1, 0));
    let job = mesh.submit(&key(100), 1, TaskSpec { checkpoints: true, ..spec() });
    mesh.next();
    mesh.next();
    (mesh, AttemptId { task: TaskId { job, index: 0 }, number: AttemptNumber(0) })
}

#[test]
fn the_newest_checkpoint_is_owed_until_its_task_has_its_outcome_and_then_the_output() {
    let (mut mesh, attempt) = running();
    assert_eq!(owed(&mesh, attempt, b"one"), Owed::Undecided);
    for what in [b"one".as_slice(), b"two"] {
        mesh.report(&key(1), attempt, checkpoint(&mesh, attempt, what));
        mesh.next();
        assert_eq!(owed(&mesh, attempt, what), Owed::Checkpoint);
    }
    assert_eq!(owed(&mesh, attempt, b"one"), Owed::Undecided, "the ledger forgets which ones there were");
    mesh.report(&key(1), attempt, stored(&mesh, attempt, b"output"));
    let applied = mesh.next();
    let Owed::IfOutput { height, receipt } = owed(&mesh, attempt, b"output") else { panic!("it is done") };
    assert_eq!(height, mesh.ledger.height());
    let Receipt::Outcome(outcome) = &applied.receipts[receipt as usize] else { panic!("an outcome") };
    assert_eq!(outcome.attempt, attempt);
    let other = AttemptId { number: AttemptNumber(1), ..attempt };
    assert_eq!(owed(&mesh, other, b"output"), Owed::Nobody);
}

#[test]
fn what_a_cancelled_task_has_left_is_owed_to_nobody_nor_is_what_no_job_is_known_of() {
    let (mut mesh, attempt) = running();
    mesh.report(&key(1), attempt, checkpoint(&mesh, attempt, b"one"));
    mesh.next();
    mesh.cancel(&key(100), attempt.task.job);
    mesh.next();
    assert_eq!(owed(&mesh, attempt, b"one"), Owed::Nobody);
    let unknown = AttemptId { task: TaskId { job: JobId(Digest::ZERO), index: 0 }, ..attempt };
    assert_eq!(owed(&mesh, unknown, b"one"), Owed::Nobody);
}

/// All of these that are needed, searched a few tasks at a time.
fn needed(mesh: &Mesh, tasks_max: usize, blobs: &[&[u8]]) -> Vec<bool> {
    let found = search(mesh, tasks_max, blobs).named;
    blobs.iter().map(|blob| found.contains(&Digest::of(blob))).collect()
}

fn search(mesh: &Mesh, tasks_max: usize, blobs: &[&[u8]]) -> NeededBlobs {
    let wanted: HashSet<Digest> = blobs.iter().map(|blob| Digest::of(blob)).collect();
    let (mut found, mut searched) = (NeededBlobs::default(), None);
    loop {
        searched = mesh.ledger.needed_blobs(searched, tasks_max, &wanted, &mut found);
        if searched.is_none() {
            return found;
        }
    }
}

#[test]
fn a_folder_that_a_task_is_given_is_needed_whether_it_was_asked_about_or_not() {
    let mut mesh = Mesh::new(genesis());
    let folder = |what: &[u8]| Input { path: "/share".into(), source: Source::Folder(named(what)) };
    let parts = Tasks::Each(vec![Part { inputs: vec![folder(b"own")], ..Part::default() }]);
    let common = TaskSpec { inputs: vec![Input { path: "in".into(), ..folder(b"common") }], ..spec() };
    let job = JobId(mesh.sign(&key(100), Action::Submit(Submit::new("folders", common, parts))).0);
    mesh.next();
    let all = [b"own".as_slice(), b"common"].map(Digest::of);
    assert_eq!(needed(&mesh, 1, &[b"own", b"other"]), [true, false]);
    assert_eq!(search(&mesh, 1, &[b"own"]).folders, HashSet::from(all));
    mesh.cancel(&key(100), job);
    mesh.next();
    assert_eq!(search(&mesh, 1, &[b"own"]), NeededBlobs::default());
}

#[test]
fn programs_and_inputs_are_needed_while_a_task_that_takes_them_is_unfinished() {
    let mut mesh = Mesh::new(genesis());
    let input = |what: &[u8]| Input { path: "file".into(), source: Source::Blob(named(what)) };
    let part = |what| Part { inputs: vec![input(what)], ..Part::default() };
    let parts = Tasks::Each(vec![part(b"first"), part(b"second"), part(b"third")]);
    let with_stdin = TaskSpec { stdin: Some(named(b"stdin")), ..spec() };
    let job = JobId(mesh.sign(&key(100), Action::Submit(Submit::new("parts", with_stdin, parts))).0);
    mesh.claim(&key(1), offer(1, 0));
    mesh.next();
    mesh.next();
    let all: [&[u8]; 6] = [b"program", b"stdin", b"first", b"second", b"third", b"other"];
    for tasks_max in [1, 2, 100] {
        assert_eq!(needed(&mesh, tasks_max, &all), [true, true, true, true, true, false], "{tasks_max} at a time");
    }
    let first = AttemptId { task: TaskId { job, index: 0 }, number: AttemptNumber(0) };
    mesh.report(&key(1), first, success());
    mesh.next();
    assert_eq!(needed(&mesh, 2, &all), [true, true, false, true, true, false]);
    mesh.cancel(&key(100), job);
    mesh.next();
    assert_eq!(needed(&mesh, 2, &all), [false; 6]);
}

#[test]
fn what_a_recurring_job_will_need_is_needed_until_it_has_ended() {
    let mut mesh = Mesh::new(genesis());
    let recurring = Recurring {
        job: Submit::new("again", spec(), Tasks::Repeat(1)),
        cron: Cron::ALWAYS,
        catch_up: CatchUp::Skip,
        overlap: Overlap::Skip,
        from: Some(mesh.now.plus_ms(3_600_000)),
        until: None,
        runs_max: None,
        deadline_ms: None,
    };
    let id = RecurringId(mesh.sign(&key(100), Action::Recur(Recur::Submit(Box::new(recurring)))).0);
    mesh.next();
    assert_eq!(needed(&mesh, 1, &[b"program"]), [true]);
    mesh.sign(&key(100), Action::Recur(Recur::Delete(id)));
    mesh.next();
    assert_eq!(needed(&mesh, 1, &[b"program"]), [false]);
}
