//! A program whose hosts die, on a mesh of real processes that are killed while they run it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use meshwork::{client::Client, keys, local_mesh::LocalMesh, outcomes, submission, watch};
use meshwork_api::TaskState;
use meshwork_core::types::{Failure, JobId, TaskSpec, Tasks, Verdict};

use crate::{
    mesh::path,
    running::{kill, local_mesh, program, run},
};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(120);
const VOLUNTEERS: usize = 4;
const TASKS: u32 = 8;

async fn submit(mesh: &LocalMesh, client: &Client, name: &str, tasks: u32) -> JobId {
    let module = client.put_bytes(fs::read(program(name)).expect("a program")).await.expect("taken");
    let spec = TaskSpec { speculation: false, ..TaskSpec::of(module) }.into();
    let (key, expiry) = (keys::generate(), submission::EXPIRY_DEFAULT);
    let signed = submission::sign_job(name, spec, Tasks::Repeat(tasks), expiry, &key, &mesh.network());
    submission::post(client, &signed).await.expect("taken");
    submission::job_of(&signed)
}

/// Whether a volunteer's journal says that it compiles or runs something. Its records, of 81 bytes each, say what of an
/// attempt, which the next 40 bytes name: 1 that it began, 2 that it ended.
fn has_begun(data_dir: &Path) -> bool {
    let records = fs::read(data_dir.join("begun")).unwrap_or_default();
    let mut goes_on = BTreeSet::new();
    for record in records.chunks_exact(81) {
        match record[0] {
            1 => drop(goes_on.insert(&record[1..41])),
            2 => drop(goes_on.remove(&record[1..41])),
            _ => {}
        }
    }
    !goes_on.is_empty()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volunteer_that_is_stopped_in_order_has_begun_nothing() {
    let mesh = local_mesh("stopped", 1, 1).await;
    let client = mesh.peers()[0].client().expect("running");
    submit(&mesh, &client, "sleep.wasm", 1).await;
    let volunteer = &mesh.peers()[1];
    let until = Instant::now() + LONG;
    let becomes = async |begun: bool| {
        while has_begun(&volunteer.data_dir()) != begun {
            assert!(Instant::now() < until, "not in time: begun {begun}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    becomes(true).await;
    let pid = volunteer.pid().and_then(|pid| rustix::process::Pid::from_raw(pid.cast_signed())).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
    becomes(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_which_three_volunteers_die_is_run_no_more_and_others_are() {
    let mut mesh = local_mesh("deadly", 1, VOLUNTEERS).await;
    let client = mesh.peers()[0].client().expect("running");
    let job = submit(&mesh, &client, "sleep.wasm", TASKS).await;
    let until = Instant::now() + LONG;
    let mut victims = Vec::new();
    // The first time, power may have failed for all of them. The program then runs alone, and they die of it again.
    for _ in 0..2 {
        victims = loop {
            assert!(Instant::now() < until, "volunteers run it");
            let tasks = client.tasks(job, 0, TASKS, None).await.unwrap_or_default();
            let runs = tasks.iter().filter(|task| task.state == TaskState::Running).filter_map(|task| task.worker);
            let runs: Vec<_> = runs.filter(|worker| victims.is_empty() || victims.contains(worker)).collect();
            let begun = mesh.peers().iter().filter(|peer| runs.contains(&peer.key()) && has_begun(&peer.data_dir()));
            let begun: Vec<_> = begun.map(|peer| peer.key()).take(VOLUNTEERS - 1).collect();
            if begun.len() == VOLUNTEERS - 1 {
                break begun;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        victims.iter().for_each(|victim| kill(&mut mesh, victim));
        mesh.restart_killed().await.expect("started");
    }
    let ended = tokio::time::timeout(LONG, watch::until_ended(&client, job, None, |_| {})).await;
    let counts = ended.expect("in time").expect("ended").counts;
    assert_eq!((counts.failed, counts.cancelled), (1, u64::from(TASKS) - 1));
    let proved = outcomes::of_job(&client, job, mesh.genesis()).await.expect("proofs that hold");
    let [failed] = &proved[..] else { panic!("one outcome: {}", proved.len()) };
    assert!(matches!(failed.outcome.verdict, Verdict::Failed(Failure::EndedHosts, ..)), "{:?}", failed.outcome);
    assert!(victims.contains(&failed.outcome.worker));

    let honest = submit(&mesh, &client, "noop.wasm", 20).await;
    let ended = tokio::time::timeout(LONG, watch::until_ended(&client, honest, None, |_| {})).await;
    assert_eq!(ended.expect("in time").expect("ended").counts.succeeded, 20);
    let left = (failed.outcome.attempt.task.index + 1) % TASKS;
    let (api, genesis) = (client.base().trim_start_matches("http://"), path(mesh.genesis_path()));
    let explained = |index: u32| {
        let task = format!("{job}/{index}");
        run(mesh.root(), &["--api", api, "--genesis", genesis, "explain", &task], LONG)
    };
    let said = explained(left);
    assert!(said.good().contains("too many workers died while they ran its program"), "{said:#?}");
    while mesh.peers().iter().any(|peer| has_begun(&peer.data_dir())) {
        assert!(Instant::now() < until, "what has ended is in no journal");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
