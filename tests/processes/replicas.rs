//! Tasks that several volunteers compute, on a mesh of real processes: small outputs, large ones, and failures.

use std::{collections::BTreeSet, fs, time::Duration};

use meshwork::{
    client::Client,
    keys,
    local_mesh::LocalMesh,
    outcomes::{self, Outputs},
    submission, watch,
};
use meshwork_core::types::{
    BlobRef, Failure, Input, JobId, Limits, OutcomeReceipt, Output, Redundancy, Remains, Resources, TaskSpec, Tasks,
    Verdict,
};

use crate::running::{local_mesh, program};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(300);
const TASKS: u32 = 6;

async fn outcomes_of(
    mesh: &LocalMesh,
    client: &Client,
    name: &str,
    arguments: &[&str],
    inputs: Vec<Input>,
) -> Vec<OutcomeReceipt> {
    let module: BlobRef = client.put_bytes(fs::read(program(name)).expect("a program")).await.expect("taken");
    let spec = TaskSpec {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        inputs,
        resources: Resources { millicores: 1000, memory_bytes: 64 << 20 },
        limits: Limits { wall_ms: 60_000, fuel: u64::MAX, output_bytes: 1 << 20 },
        redundancy: Some(Redundancy::of(3)),
        ..TaskSpec::of(module)
    };
    let (key, expiry) = (keys::generate(), submission::EXPIRY_DEFAULT);
    let signed = submission::sign_job(name, spec.into(), Tasks::Repeat(TASKS), expiry, &key, &mesh.network());
    submission::post(client, &signed).await.expect("taken");
    let job: JobId = submission::job_of(&signed);
    let ended = tokio::time::timeout(LONG, watch::until_ended(client, job, None, |_| {})).await;
    ended.expect("in time").expect("ended");
    let proved = outcomes::of_job(client, job, mesh.genesis()).await.expect("proofs that hold");
    proved.into_iter().map(|one| one.outcome).collect()
}

/// Each outcome has three answers, all alike, of three volunteers.
fn check_agreed(outcomes: &[OutcomeReceipt]) {
    assert_eq!(outcomes.len(), TASKS as usize);
    for outcome in outcomes {
        let agreement = outcome.agreement.as_ref().expect("an agreement");
        let workers: BTreeSet<_> = agreement.answers.iter().map(|answer| answer.worker).collect();
        let answers: BTreeSet<_> = agreement.answers.iter().map(|answer| answer.answer).collect();
        assert_eq!((workers.len(), answers.len()), (3, 1), "{outcome:?}");
        assert!(agreement.supports(outcome), "{outcome:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn three_of_four_volunteers_compute_each_task_and_their_answer_is_proven() {
    let mesh = local_mesh("replicas", 1, 4).await;
    let client = mesh.peers()[0].client().expect("running");

    let small = outcomes_of(&mesh, &client, "noop.wasm", &[], Vec::new()).await;
    check_agreed(&small);
    assert!(small.iter().all(|outcome| matches!(outcome.verdict, Verdict::Succeeded(_, Output::Inline(_), ..))));

    let tile = client.put_bytes(b"image 64 64\ntile 0 0 64 64\nsamples 1\n".to_vec()).await.expect("taken");
    let large = outcomes_of(&mesh, &client, "render.wasm", &[], vec![Input::blob("tile", tile)]).await;
    check_agreed(&large);
    assert!(large.iter().all(|outcome| matches!(outcome.verdict, Verdict::Succeeded(_, Output::Stored { .. }, ..))));

    let failed = outcomes_of(&mesh, &client, "exit3.wasm", &[], Vec::new()).await;
    check_agreed(&failed);
    let exited = |outcome: &OutcomeReceipt| matches!(outcome.verdict, Verdict::Failed(Failure::Exited(3), ..));
    assert!(failed.iter().all(exited), "{failed:?}");

    // What it leaves is part of what they agree on, small and large.
    for (arguments, is_stored) in [(&[][..], false), (&["large"], true)] {
        let failed = outcomes_of(&mesh, &client, "sat.wasm", arguments, Vec::new()).await;
        check_agreed(&failed);
        for outcome in &failed {
            let Verdict::Failed(Failure::Exited(10), Remains { output: Some(output), .. }, _) = &outcome.verdict else {
                panic!("{outcome:?}");
            };
            assert_eq!(matches!(output, Output::Stored { .. }), is_stored);
            let left = Outputs::of(&client, outcome).await.expect("fetched");
            let bytes: u64 = left.files.iter().map(|(_, content)| content.bytes()).sum();
            assert_eq!(bytes, if is_stored { 100 << 10 } else { 8 });
        }
    }
}
