//! A speculative attempt beside a slow one, on a mesh of real processes one of which is killed.

use std::{
    fs,
    time::{Duration, Instant},
};

use meshwork::{keys, outcomes, submission, watch};
use meshwork_core::types::{Action, Submit, TaskSpec, Tasks};

use crate::running::{kill, local_mesh, program};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(300);

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_attempt_has_a_speculative_attempt_at_an_idle_worker_which_does_it_when_the_first_is_killed() {
    let mut mesh = local_mesh("speculation", 1, 2).await;
    let client = mesh.peers()[0].client().expect("running");
    let module = client.put_bytes(fs::read(program("steps.wasm")).expect("a program")).await.expect("taken");
    let key = keys::generate();
    // This many steps of a tenth of a second each. Short attempts tell the ledger how long the program takes: it
    // needs three that it saw begin.
    let mut job = None;
    for (steps, tasks) in [(1, 10), (150, 1)] {
        let arguments = vec![steps.to_string(), "100".into()];
        let spec = TaskSpec { arguments, checkpoints: true, ..TaskSpec::of(module) };
        let action = Action::Submit(Submit::new("steps", spec, Tasks::Repeat(tasks)));
        let signed = submission::sign(action, submission::EXPIRY_DEFAULT, &key, &mesh.network());
        submission::post(&client, &signed).await.expect("taken");
        job = Some(submission::job_of(&signed));
        if tasks > 1 {
            let ended = watch::until_ended(&client, submission::job_of(&signed), None, |_| {});
            let ended = tokio::time::timeout(LONG, ended).await.expect("in time").expect("ended");
            assert_eq!(ended.counts.succeeded, u64::from(tasks));
        }
    }
    let job = job.expect("submitted");

    let until = Instant::now() + LONG;
    let attempts = loop {
        assert!(Instant::now() < until, "there is a speculative attempt");
        let tasks = client.tasks(job, 0, 1, None).await.unwrap_or_default();
        if let Some(task) = tasks.into_iter().next().filter(|task| task.attempts.len() == 2) {
            break task.attempts;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(attempts.iter().all(|attempt| attempt.ended.is_none()), "both live: {attempts:?}");
    let [first, copy] = [attempts[0].worker, attempts[1].worker];
    assert_ne!(first, copy);
    kill(&mut mesh, &first);
    let ended = tokio::time::timeout(LONG, watch::until_ended(&client, job, None, |_| {})).await;
    assert_eq!(ended.expect("in time").expect("ended").counts.succeeded, 1);
    let proved = outcomes::of_job(&client, job, mesh.genesis()).await.expect("proofs that hold");
    let outcome = &proved[0].outcome;
    assert_eq!(
        (outcome.worker, outcome.attempt.number.0),
        (copy, 1),
        "the speculative attempt did it, and nobody began again"
    );
}
