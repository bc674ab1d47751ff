//! A program whose hosts die, on a mesh of real processes that are killed while they run it.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    time::{Duration, Instant},
};

use meshwork::{client::Client, keys, local_mesh::LocalMesh, outcomes, submission, watch};
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
    // All but one die of it as soon as they have begun it, again and again: at first power may have failed for all of
    // them, and what was begun before the program ran alone says nothing either.
    let spared = mesh.peers().last().expect("a volunteer").key();
    let mut kills = 0;
    let counts = loop {
        assert!(Instant::now() < until, "after {kills} deaths it still runs");
        let view = client.job(job).await.ok();
        if let Some(view) = view.filter(|view| view.ended_us.is_some()) {
            break view.counts;
        }
        let victims = mesh.peers().iter().filter(|peer| peer.key() != spared && has_begun(&peer.data_dir()));
        let victims: Vec<_> = victims.map(|peer| peer.key()).collect();
        if victims.is_empty() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        }
        kills += victims.len();
        victims.iter().for_each(|victim| kill(&mut mesh, victim));
        mesh.restart_killed().await.expect("started");
    };
    assert!((6..=5 * VOLUNTEERS).contains(&kills), "three, and three alone: {kills}");
    assert!(counts.failed >= 1 && counts.failed + counts.cancelled == u64::from(TASKS), "{counts:?}");
    let proved = outcomes::of_job(&client, job, mesh.genesis()).await.expect("proofs that hold");
    assert_eq!(proved.len() as u64, counts.failed);
    for failed in &proved {
        assert!(matches!(failed.outcome.verdict, Verdict::Failed(Failure::EndedHosts, ..)), "{:?}", failed.outcome);
        assert_ne!(failed.outcome.worker, spared);
    }

    let honest = submit(&mesh, &client, "noop.wasm", 20).await;
    let ended = tokio::time::timeout(LONG, watch::until_ended(&client, honest, None, |_| {})).await;
    assert_eq!(ended.expect("in time").expect("ended").counts.succeeded, 20);
    let failed: Vec<u32> = proved.iter().map(|failed| failed.outcome.attempt.task.index).collect();
    let left = (0..TASKS).find(|index| !failed.contains(index)).expect("not each of them had to fail");
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
