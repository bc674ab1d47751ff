//! Real processes on loopback: the demo, restarts from disk, and a person's first steps.

use std::{
    collections::BTreeSet,
    fs,
    net::TcpListener,
    path::Path,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::running::{Running, command, local_mesh, program, run, run_program};
use meshwork::{client::Client, keys, local_mesh::LocalMesh, outcomes, submission, watch};
use meshwork_core::types::{BlobRef, JobId, Limits, Resources, Retry, SignedTransaction, TaskSpec, Tasks, Verdict};
use serde_json::Value;

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(300);

const SOON: Duration = Duration::from_secs(60);

pub(crate) fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// The command lines of processes that have a path below this one among their arguments.
fn processes_with(path: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(path.to_str().expect("a path in UTF-8"))).collect()
}

#[test]
fn the_demo_does_at_small_size_what_it_does_at_full_size() {
    let home = tempfile::tempdir().expect("a directory");
    let temporary = home.path().join("tmp");
    fs::create_dir(&temporary).expect("created");
    let image = home.path().join("image.png");
    let size = ["--workers", "2", "--size", "192x128", "--tile", "16", "--samples", "32"];
    let arguments = [&["demo", "--json", "--output", path(&image)][..], &size].concat();
    // The mesh makes its directory here, so that leftovers can be seen.
    let demo = run_program(command(home.path(), &arguments).env("TMPDIR", &temporary), LONG);
    let summary: Value = serde_json::from_str(demo.good()).expect("one object and nothing else");
    let number = |name: &str| summary[name].as_f64().unwrap_or_else(|| panic!("{name} in {summary}"));
    assert_eq!((number("tasks"), number("completed"), number("receipts_verified")), (96.0, 96.0, 96.0), "{summary}");
    assert_eq!((number("lost"), number("accepted_twice")), (0.0, 0.0), "{summary}");
    assert!(number("recovered") >= 1.0, "{summary}");
    for name in ["tasks_per_s", "latency_ms_p50", "latency_ms_p99", "finality_ms_p50", "blocks"] {
        assert!(number(name) > 0.0, "{name} in {summary}");
    }
    assert_eq!(summary["output"].as_str(), Some(path(&image)));
    let picture = png::Decoder::new(std::io::BufReader::new(fs::File::open(&image).expect("there")));
    let picture = picture.read_info().expect("an image");
    assert_eq!((picture.info().width, picture.info().height), (192, 128));
    assert_eq!(processes_with(&temporary), Vec::<String>::new());
    assert_eq!(fs::read_dir(&temporary).expect("there").count(), 0, "the mesh's directory is gone");
}

#[test]
fn an_interrupted_demo_leaves_nothing_running() {
    let home = tempfile::tempdir().expect("a directory");
    let mut demo = command(home.path(), &["demo", "--authorities", "1", "--workers", "1", "--json"]);
    demo.env("TMPDIR", home.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut demo = Running(demo.spawn().expect("started"));
    let until = Instant::now() + SOON;
    while processes_with(home.path()).len() < 2 {
        assert!(Instant::now() < until, "its peers are there");
        std::thread::sleep(Duration::from_millis(20));
    }
    terminate(&demo);
    let status = demo.0.wait().expect("ended");
    assert_eq!(status.code(), Some(130));
    assert_eq!(processes_with(home.path()), Vec::<String>::new());
}

fn terminate(running: &Running) {
    let pid = rustix::process::Pid::from_raw(running.0.id().cast_signed()).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("sent");
}

/// A job of slow tiles, on the client's node.
async fn submit_tiles(client: &Client, mesh: &LocalMesh, tasks: u32) -> (JobId, SignedTransaction) {
    let module = fs::read(program("render.wasm")).expect("a program");
    let program = client.put_bytes(module).await.expect("taken");
    let tile = b"image 640 480\ntile 300 200 32 32\nsamples 16\n".to_vec();
    let tile: BlobRef = client.put_bytes(tile).await.expect("taken");
    let spec = TaskSpec {
        inputs: vec![meshwork_core::types::Input::blob("tile", tile)],
        resources: Resources { millicores: 1000, memory_bytes: 64 << 20 },
        limits: Limits { wall_ms: 60_000, fuel: u64::MAX, output_bytes: 1 << 20 },
        retry: Retry::default(),
        ..TaskSpec::of(program)
    };
    let (key, expiry) = (keys::generate(), submission::EXPIRY_DEFAULT);
    let transaction =
        submission::sign_job("tiles", Arc::new(spec), Tasks::Repeat(tasks), expiry, &key, &mesh.network());
    submission::post(client, &transaction).await.expect("taken");
    (submission::job_of(&transaction), transaction)
}

#[tokio::test(flavor = "multi_thread")]
async fn restarting_every_node_in_the_middle_of_work_loses_nothing() {
    const TASKS: u32 = 60;
    let mut mesh = local_mesh("restart", 4, 2).await;
    let client = mesh.peers()[0].client().expect("running");
    let (job, _) = submit_tiles(&client, &mesh, TASKS).await;
    let until = Instant::now() + LONG;
    let ended_before = loop {
        let ended = client.job(job).await.map_or(0, |view| watch::ended(&view.counts));
        if ended >= u64::from(TASKS / 4) {
            break ended;
        }
        assert!(Instant::now() < until, "a quarter is done");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(ended_before < u64::from(TASKS), "the middle of work was missed: give it more to do");
    for index in 0..mesh.peers().len() {
        mesh.peer_mut(index).kill();
    }
    mesh.restart_killed().await.expect("from disk");
    for index in [0, 3] {
        let client = mesh.peers()[index].client().expect("running");
        let ended = tokio::time::timeout(LONG, watch::until_ended(&client, job, None, |_| {})).await;
        let view = ended.expect("in time").expect("ended");
        assert_eq!(view.counts.succeeded, u64::from(TASKS), "{view:?}");
        let proved = outcomes::of_job(&client, job, mesh.genesis()).await.expect("proofs that hold");
        let indices: BTreeSet<u32> = proved.iter().map(|one| one.outcome.attempt.task.index).collect();
        assert_eq!(indices, (0..TASKS).collect());
        assert!(proved.iter().all(|one| matches!(one.outcome.verdict, Verdict::Succeeded(..))));
    }
}

#[test]
fn by_hand_from_a_new_network_to_a_verified_result() {
    let directory = tempfile::tempdir().expect("a directory");
    let (peer, user) = (directory.path().join("peer"), directory.path().join("user"));
    let genesis = directory.path().join("genesis.toml");
    let key = run(&peer, &["init"], SOON).good().to_owned();
    run(&user, &["init"], SOON).good();
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let authority = format!("only={key}@/ip4/127.0.0.1/tcp/{port}");
    let new = ["genesis", "new", "by-hand", "--authority", &authority, "--out", path(&genesis)];
    run(&peer, &new, SOON).good();
    let log = fs::File::create(directory.path().join("log")).expect("created");
    let up = ["up", "--genesis", path(&genesis), "--no-mdns", "--slots", "1", "--memory", "512MiB"];
    let up = command(&peer, &up).stdout(Stdio::null()).stderr(log).spawn().expect("started");
    let mut up = Running(up);
    let api = api_of(&peer, directory.path());
    let user_runs = |arguments: &[&str]| {
        let all = [&["--api", &api, "--genesis", path(&genesis)], arguments].concat();
        run(&user, &all, LONG)
    };

    let texts = ["one two three\n", "four five\n"];
    let files: Vec<_> = ["a.txt", "b.txt"].iter().map(|name| directory.path().join(name)).collect();
    for (file, text) in files.iter().zip(texts) {
        fs::write(file, text).expect("written");
    }
    let wordcount = program("wordcount.wasm");
    let submitted = user_runs(&["submit", path(&wordcount), "--each", path(&files[0]), path(&files[1]), "--wait"]);
    let job = submitted.good().to_owned();
    assert_eq!(job.len(), 64, "only the job's id goes to standard output: {submitted:#?}");

    let status: Value = serde_json::from_str(user_runs(&["status", &job[..12], "--json"]).good()).expect("JSON");
    assert_eq!((status["counts"]["succeeded"].as_u64(), status["tasks"].as_u64()), (Some(2), Some(2)), "{status}");
    assert_eq!(status["task_list"].as_array().map(Vec::len), Some(2), "{status}");
    let mesh: Value = serde_json::from_str(user_runs(&["status", "--json"]).good()).expect("JSON");
    assert_eq!(mesh["network_name"], "by-hand");

    let (out, proofs) = (directory.path().join("out"), directory.path().join("proofs"));
    user_runs(&["result", &job, "--out", path(&out), "--proofs", path(&proofs)]).good();
    let counts = fs::read_to_string(out.join("1/out/counts")).expect("a result");
    assert!(counts.contains("2"), "{counts}");

    let proof = proofs.join("1.proof");
    let verified = run(&user, &["verify", path(&proof), "--genesis", path(&genesis)], SOON);
    assert!(verified.good().contains("succeeded"), "{verified:#?}");
    let mut bytes = fs::read(&proof).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&proof, bytes).expect("written");
    run(&user, &["verify", path(&proof), "--genesis", path(&genesis)], SOON).bad(5, &["do not hold"]);

    let said = user_runs(&["submit", path(&program("echo.wasm")), "--wait", "--", "hello", "there"]);
    let said = user_runs(&["result", said.good()]);
    assert_eq!(said.good(), "hello\nthere");
    let failing = user_runs(&["submit", path(&program("exit3.wasm")), "--wait"]);
    failing.bad(3, &["1 failed"]);
    let logs = user_runs(&["logs", failing.stdout.trim()]);
    assert!(logs.stderr.contains("exited with status 3"), "{logs:#?}");
    // Nobody else is there to hold what this one leaves, and it fails all the same.
    let large = user_runs(&["submit", path(&program("sat.wasm")), "--wait", "--", "large"]);
    large.bad(3, &["1 failed"]);
    let logs = user_runs(&["logs", large.stdout.trim()]);
    assert_eq!((logs.good(), logs.stderr.contains("exited with status 10")), ("as it turns out", true), "{logs:#?}");

    let endless = user_runs(&["submit", path(&program("sleep.wasm")), "--timeout", "1h"]).good().to_owned();
    user_runs(&["cancel", &endless]).good();
    let cancelled: Value = serde_json::from_str(user_runs(&["status", &endless, "--json"]).good()).expect("JSON");
    assert_eq!(cancelled["counts"]["cancelled"].as_u64(), Some(1), "{cancelled}");
    for listing in ["jobs", "workers", "peers"] {
        let listed: Value = serde_json::from_str(user_runs(&[listing, "--json"]).good()).expect("JSON");
        assert!(listed.is_array(), "{listing}: {listed}");
        user_runs(&[listing]).good();
    }

    terminate(&up);
    assert!(ends_well(&mut up), "{}", fs::read_to_string(directory.path().join("log")).expect("a log"));
}

/// Waits until a peer says where its API is, and that it is healthy.
pub(crate) fn api_of(home: &Path, directory: &Path) -> String {
    let until = Instant::now() + SOON;
    loop {
        if let Ok(text) = fs::read_to_string(home.join("data/node.json")) {
            let node: Value = serde_json::from_str(&text).expect("JSON");
            let api = node["api"].as_str().expect("an address").to_owned();
            let home = directory.join("user");
            if run(&home, &["status", "--api", &api], SOON).status == Some(0) {
                return api;
            }
        }
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(Instant::now() < until, "the peer does not start: {}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn ends_well(running: &mut Running) -> bool {
    let until = Instant::now() + SOON;
    while Instant::now() < until {
        if let Some(status) = running.0.try_wait().expect("a child") {
            return status.success();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}
