//! Changes bits at random in every file of a stopped peer but its key, and starts it. The peer must come up, and answer
//! what it answered before or that it does not have it. An authority must vote on from where it was, or not at all.
//!
//! The peers are in this process, so that a panic in any of their threads is noticed. They have executed jobs with
//! inputs, outputs and checkpoints, and have snapshots, receipts, a journal, and compiled programs.
//!
//! `cargo test` plays some rounds, always the same. The long form plays a thousand, with a seed that it prints:
//!
//! ```sh
//! cargo test -p meshwork --test rot -- --ignored --nocapture
//! ```

mod damage;
mod peer;
mod truth;

use std::{
    fs, panic,
    path::{Path, PathBuf},
    sync::Mutex,
    time::{Duration, Instant},
};

use meshwork::{
    client::Client,
    keys,
    outcomes::{self, Content, Outputs},
    submission, watch,
};
use meshwork_api::Keep;
use meshwork_core::{
    identity::SecretKey,
    types::{BlobRef, Genesis, JobId, Limits, OutcomeReceipt, Output, TaskSpec, Tasks, Verdict},
};
use meshwork_node::node::NodeError;
use rand::{SeedableRng, rngs::StdRng};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use crate::{
    damage::damage,
    peer::{LONG, Peer, copy, found, store_in},
    truth::{Standing, Tally, Truth, Wrong},
};

/// Blocks between two snapshots.
const SNAPSHOT_INTERVAL: u64 = 8;
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What panicked in this process, in any thread.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::test(flavor = "multi_thread")]
async fn no_changed_bit_makes_a_peer_crash_or_lie() {
    play(2026, 36).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes"]
async fn no_changed_bit_of_a_thousand_makes_a_peer_crash_or_lie() {
    play(rand::random(), 1000).await;
}

/// A stopped peer: its files, and what it answered before.
struct Stopped {
    peer: Peer,
    home: PathBuf,
    truth: Truth,
}

async fn play(seed: u64, rounds: u64) {
    println!("seed {seed}, {rounds} rounds");
    // `RUST_LOG=error` shows what the peers found.
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::OFF.into()).from_env_lossy();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |what| {
        PANICS.lock().expect("nobody panicked with it").push(what.to_string());
        before(what);
    }));
    let root = tempfile::tempdir().expect("a directory");
    let network = Network::made(root.path()).await;
    let stopped = network.live_and_stop(root.path()).await;
    let mut sum = Sum::default();
    for round in 0..rounds {
        let mut random = StdRng::seed_from_u64(seed.wrapping_add(round));
        let of = &stopped[(round % 2) as usize];
        let home = tempfile::tempdir().expect("a directory");
        copy(&of.home, home.path());
        let damage = damage(home.path(), &store_in(home.path()), &mut random);
        let what = format!("seed {}: {} changed {damage}", seed.wrapping_add(round), of.peer.name);
        // Where nobody votes, a worker's leave would take seconds.
        let works = of.peer.keep == Keep::Archive && damage.file.starts_with("data/compiled");
        start_and_ask(of, home.path(), works, &mut sum).await.unwrap_or_else(|wrong| panic!("{what}: {wrong}"));
        let panics = PANICS.lock().expect("nobody panicked with it");
        assert!(panics.is_empty(), "{what}: {panics:?}");
    }
    println!("{sum:?}");
    assert!(sum.as_before > 0 && sum.set_aside > 0 && sum.too_busy * 10 < sum.rounds, "{sum:?}");
    if rounds >= 100 {
        let counts = [sum.begun_anew, sum.set_aside.saturating_sub(sum.begun_anew), sum.refused, sum.worked];
        assert!(counts.iter().all(|count| *count > 0), "{sum:?}");
    }
}

/// What happened in all rounds.
#[derive(Debug, Default)]
struct Sum {
    rounds: usize,
    /// Rounds in which every answer was as before.
    as_before: usize,
    /// Rounds in which the genesis was refused.
    refused: usize,
    /// Rounds in which the store was set aside.
    set_aside: usize,
    /// Rounds in which too little of it could be taken over.
    begun_anew: usize,
    /// Rounds in which an authority did not vote again.
    voteless: usize,
    /// Rounds in which a peer ran a compiled program whose file was changed.
    worked: usize,
    /// Rounds in which this machine was too busy to start a process for programs.
    too_busy: usize,
}

async fn start_and_ask(of: &Stopped, home: &Path, works: bool, sum: &mut Sum) -> Result<(), Wrong> {
    sum.rounds += 1;
    let Ok(running) = of.peer.start(home, Vec::new(), works) else {
        sum.refused += 1;
        return Ok(());
    };
    let asked = until_answered(of, &running).await;
    if works && let Some(client) = running.client().await {
        sum.worked += 1;
        still_works(&client, &of.truth).await;
    }
    let ended = running.stop().await;
    if matches!(ended, Err(NodeError::Execute(_))) {
        // That says something about this machine, and nothing about the files.
        sum.too_busy += 1;
        return Ok(());
    }
    let Some((tally, standing)) = asked? else {
        // It refused to run with this genesis, and says so.
        let Err(error) = ended else { return Err(Wrong::Lie("it stopped by itself and said nothing".into())) };
        let sentence = error.to_string();
        sum.refused += 1;
        let is_known = sentence.contains("belongs to network");
        return if is_known { Ok(()) } else { Err(Wrong::Lie(format!("it refused to start: {sentence}"))) };
    };
    if let Err(error) = ended {
        return Err(Wrong::Lie(format!("it ended with an error: {error}")));
    }
    sum.as_before += usize::from(tally.absent == 0);
    sum.set_aside += usize::from(home.join("data/store.damaged.redb").exists());
    sum.begun_anew += usize::from(standing == Standing::Behind);
    sum.voteless += usize::from(of.peer.keep == Keep::Archive && standing != Standing::Votes);
    Ok(())
}

/// Asks a peer until it answers, because it starts anew where it finds its store damaged. What it has of what it had,
/// and how it stands; `None` if it has ended.
async fn until_answered(of: &Stopped, running: &peer::Running) -> Result<Option<(Tally, Standing)>, Wrong> {
    let until = Instant::now() + LONG;
    loop {
        let Some(client) = running.client().await else { return Ok(None) };
        match ask(of, &client).await {
            Err(Wrong::Unanswered(why)) if Instant::now() > until => return Err(Wrong::Unanswered(why)),
            Err(Wrong::Unanswered(_)) => tokio::time::sleep(LOOK_EVERY).await,
            asked => return asked.map(Some),
        }
    }
}

/// It runs the programs that it ran before.
async fn still_works(client: &Client, truth: &Truth) {
    for module in truth.ready_programs() {
        let job = submit(client, truth.genesis(), "again", TaskSpec::of(*module), 1).await;
        let ended = tokio::time::timeout(LONG, watch::until_ended(client, job, None, |_| {})).await;
        let job = ended.expect("in time").expect("ended");
        assert_eq!((job.counts.succeeded, job.counts.failed), (1, 0), "{module:?}");
    }
}

async fn ask(of: &Stopped, client: &Client) -> Result<(Tally, Standing), Wrong> {
    let tally = of.truth.compare(client).await?;
    let standing = of.truth.standing(client).await?;
    Ok((tally, standing))
}

/// An authority, which is an archive, and a worker. Both work, and each holds what the other delivers.
struct Network {
    genesis: Genesis,
    authority: Peer,
    worker: Peer,
}

impl Network {
    async fn made(root: &Path) -> Self {
        let peer = |name, keep| Peer { name, key: keys::generate(), keep };
        let authority = peer("authority", Keep::Archive);
        let worker = peer("worker", Keep::Full);
        let now_us = meshwork::time::now_us();
        let text = format!(
            "name = \"rot\"\ntime_us = {now_us}\n\
             [consensus]\ndelta_ms = 100\nheartbeat_ms = 100\nclock_bound_ms = 100\n\
             snapshot_interval = {SNAPSHOT_INTERVAL}\nsnapshot_lag = 2\n\
             [[authorities]]\nname = \"only\"\nkey = \"{}\"\n",
            authority.key.public()
        );
        let genesis = Genesis::from_toml(&text).expect("a genesis");
        for peer in [&authority, &worker] {
            found(&root.join(peer.name), &genesis);
        }
        Self { genesis, authority, worker }
    }

    /// Has work done, and stops.
    async fn live_and_stop(self, root: &Path) -> [Stopped; 2] {
        let Self { genesis, authority, worker } = self;
        let homes = [&authority, &worker].map(|peer| root.join(peer.name));
        let first = authority.start(&homes[0], Vec::new(), true).expect("its genesis is good");
        let at = first.up().await.expect("it is up").listen;
        let other = worker.start(&homes[1], at, true).expect("its genesis is good");
        let client = first.client().await.expect("it is up");
        let (jobs, blobs) = work(&client, &genesis).await;
        let height = client.status().await.expect("it answers").height;
        let clients = [client, other.client().await.expect("it is up")];
        let until = Instant::now() + LONG;
        for client in &clients {
            while client.status().await.expect("it answers").height.0 < height.0 + 3 * SNAPSHOT_INTERVAL {
                assert!(Instant::now() < until, "there are blocks");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
        let mut truths = Vec::new();
        for client in &clients {
            // It fetches here what it lacks, and has it from now on.
            truths.push(Truth::of(client, &genesis, &jobs, &blobs).await);
        }
        drop(clients);
        for running in [other, first] {
            running.stop().await.expect("it stops in order");
        }
        for home in &homes {
            // As a peer leaves it that was killed.
            fs::write(home.join("data/node.json"), r#"{"pid":1,"api":"127.0.0.1:1","listen":[]}"#).expect("written");
        }
        let [one, two] = homes;
        let [truth_one, truth_two]: [Truth; 2] = truths.try_into().ok().expect("two");
        [
            Stopped { peer: authority, home: one, truth: truth_one },
            Stopped { peer: worker, home: two, truth: truth_two },
        ]
    }
}

/// Jobs of every kind, done. Their blobs.
async fn work(client: &Client, genesis: &Genesis) -> (Vec<JobId>, Vec<BlobRef>) {
    let programs = ["noop", "echo", "steps"].map(program);
    let mut blobs = Vec::new();
    for module in programs {
        blobs.push(client.put_bytes(module).await.expect("taken"));
    }
    let long: Vec<u8> = (0..20_000u32).flat_map(|number| number.to_string().into_bytes()).collect();
    let input = client.put_bytes(long).await.expect("taken");
    let limits = Limits { wall_ms: 60_000, fuel: u64::MAX, output_bytes: 1 << 20 };
    let saves =
        TaskSpec { arguments: vec!["4".into(), "20".into()], checkpoints: true, limits, ..TaskSpec::of(blobs[2]) };
    let copies = TaskSpec { stdin: Some(input), limits, ..TaskSpec::of(blobs[1]) };
    blobs.push(input);
    let mut jobs = Vec::new();
    for (name, spec, count) in [("noop", TaskSpec::of(blobs[0]), 6), ("steps", saves, 2), ("echo", copies, 2)] {
        jobs.push(submit(client, genesis, name, spec, count).await);
    }
    for job in &jobs {
        let ended = tokio::time::timeout(LONG, watch::until_ended(client, *job, None, |_| {})).await;
        let ended = ended.unwrap_or_else(|_| panic!("{job} is done in time"));
        ended.expect("ended");
        for proved in outcomes::of_job(client, *job, genesis).await.expect("proofs that hold") {
            blobs.extend(stored(client, &proved.outcome).await);
        }
    }
    (jobs, blobs)
}

/// Submits a job with a key of its own.
async fn submit(client: &Client, genesis: &Genesis, name: &str, spec: TaskSpec, count: u32) -> JobId {
    let key: SecretKey = keys::generate();
    let (network, expiry) = (genesis.network_id(), submission::EXPIRY_DEFAULT);
    let signed = submission::sign_job(name, spec.into(), Tasks::Repeat(count), expiry, &key, &network);
    submission::post(client, &signed).await.expect("taken");
    submission::job_of(&signed)
}

/// The blobs of a task's output, if it is stored.
async fn stored(client: &Client, outcome: &OutcomeReceipt) -> Vec<BlobRef> {
    let Verdict::Succeeded(_, Output::Stored { manifest, .. }, ..) = &outcome.verdict else { return Vec::new() };
    let outputs = Outputs::of(client, outcome).await.expect("its output");
    let contents = [outputs.stdout, outputs.stderr].into_iter().chain(outputs.files.into_iter().map(|(_, file)| file));
    let blobs = contents.filter_map(|content| match content {
        Content::Stored(piece) => Some(piece.blob),
        Content::Inline(_) => None,
    });
    blobs.chain([*manifest]).collect()
}

fn program(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs").join(name).with_extension("wasm");
    fs::read(path).expect("a program")
}
