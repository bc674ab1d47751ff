//! A program that saves checkpoints, on a mesh of real processes one of which is killed.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, Instant},
};

use meshwork::{
    keys,
    outcomes::{self, Outputs},
    submission, watch,
};
use meshwork_core::types::{Action, Control, Limits, Submit, TaskSpec, Tasks};

use crate::running::{blobs, kill, local_mesh, program};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(300);
const STEPS: u32 = 120;

#[tokio::test(flavor = "multi_thread")]
async fn a_task_whose_worker_is_killed_goes_on_elsewhere_from_its_last_checkpoint() {
    let mut mesh = local_mesh("checkpoints", 1, 2).await;
    let client = mesh.peers()[0].client().expect("running");
    let module = client.put_bytes(fs::read(program("steps.wasm")).expect("a program")).await.expect("taken");
    let spec = TaskSpec {
        arguments: vec![STEPS.to_string(), "100".into()],
        checkpoints: true,
        limits: Limits { wall_ms: 120_000, fuel: u64::MAX, output_bytes: 1 << 20 },
        ..TaskSpec::of(module)
    };
    let action = Action::Submit(Submit::new("steps", spec, Tasks::Repeat(1)));
    let signed = submission::sign(action, submission::EXPIRY_DEFAULT, &keys::generate(), &mesh.network());
    submission::post(&client, &signed).await.expect("taken");
    let job = submission::job_of(&signed);

    let until = Instant::now() + LONG;
    let worker = loop {
        assert!(Instant::now() < until, "a checkpoint is known");
        let tasks = client.tasks(job, 0, 1, None).await.unwrap_or_default();
        let saved = tasks.first().filter(|task| task.checkpoint.is_some());
        if let Some(worker) = saved.and_then(|task| task.worker) {
            break worker;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    kill(&mut mesh, &worker);
    let ended = tokio::time::timeout(LONG, watch::until_ended(&client, job, None, |_| {})).await;
    assert_eq!(ended.expect("in time").expect("ended").counts.succeeded, 1);
    let proved = outcomes::of_job(&client, job, mesh.genesis()).await.expect("proofs that hold");
    let outcome = &proved[0].outcome;
    assert!(outcome.worker != worker && outcome.attempt.number.0 > 0, "another has done it: {outcome:?}");
    let outputs = Outputs::of(&client, outcome).await.expect("its output");
    let stdout = outputs.read(&client, &outputs.stdout).await.expect("its output");
    let steps: Vec<u32> = String::from_utf8_lossy(&stdout).lines().filter_map(|line| line.parse().ok()).collect();
    let first = *steps.first().expect("some were left");
    assert!(first > 0, "what was saved is not done again");
    assert_eq!(steps, (first..STEPS).collect::<Vec<_>>(), "and what was not is");
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_that_come_as_fast_as_they_can_fill_no_store_and_all_are_gone_after_a_cancel() {
    let mesh = local_mesh("saves", 1, 1).await;
    let client = mesh.peers()[0].client().expect("running");
    let module = client.put_bytes(fs::read(program("hostile/saves.wasm")).expect("a program")).await.expect("taken");
    let spec = TaskSpec {
        checkpoints: true,
        limits: Limits { wall_ms: 600_000, fuel: u64::MAX, output_bytes: 1 << 20 },
        ..TaskSpec::of(module)
    };
    let key = keys::generate();
    let action = Action::Submit(Submit::new("saves", spec, Tasks::Repeat(1)));
    let signed = submission::sign(action, submission::EXPIRY_DEFAULT, &key, &mesh.network());
    submission::post(&client, &signed).await.expect("taken");
    let job = submission::job_of(&signed);

    let kept = || mesh.peers().iter().map(|peer| blobs(&peer.data_dir())).max().unwrap_or(0);
    let until = Instant::now() + LONG;
    let mut saved = BTreeSet::new();
    while saved.len() < 8 {
        assert!(Instant::now() < until, "of many checkpoints only {} are known", saved.len());
        let tasks = client.tasks(job, 0, 1, None).await.unwrap_or_default();
        saved.extend(tasks.first().and_then(|task| task.checkpoint).map(|checkpoint| checkpoint.manifest));
        // The program; what the ledger knows and four deliveries on their way, each a manifest and a pack; the next one.
        assert!(kept() <= 1 + 2 * (1 + 4) + 2, "{} blobs after {} checkpoints", kept(), saved.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cancel =
        submission::sign(Action::Control(Control::cancel(job)), submission::EXPIRY_DEFAULT, &key, &mesh.network());
    submission::settle(&client, &cancel).await.expect("cancelled");
    while kept() > 1 {
        assert!(Instant::now() < until, "{} blobs are kept of a cancelled task", kept());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
