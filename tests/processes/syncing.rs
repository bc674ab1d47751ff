//! Peers that are far behind: they join late, or their data is damaged.

use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use meshwork::{client::Client, keys, local_mesh::LocalMesh, outcomes, submission, watch};
use meshwork_api::{Role, StatusView};
use meshwork_core::types::{JobId, TaskSpec, Tasks};

use crate::running::{Running, command, mesh_with_snapshots, program};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(300);
/// Blocks between two snapshots: an idle mesh makes as many in four seconds.
const INTERVAL: u64 = 16;

async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let until = Instant::now() + LONG;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn until_height(client: &Client, height: u64) -> StatusView {
    until("the height", async || client.status().await.ok().filter(|status| status.height.0 >= height)).await
}

async fn submit(client: &Client, mesh: &LocalMesh, tasks: u32) -> JobId {
    let module = client.put_bytes(fs::read(program("noop.wasm")).expect("a program")).await.expect("taken");
    let (key, expiry) = (keys::generate(), submission::EXPIRY_DEFAULT);
    let spec = TaskSpec::of(module).into();
    let signed = submission::sign_job("noop", spec, Tasks::Repeat(tasks), expiry, &key, &mesh.network());
    submission::post(client, &signed).await.expect("taken");
    submission::job_of(&signed)
}

/// Every one of these peers proves all results of a job.
async fn all_prove(clients: &[Client], job: JobId, tasks: usize, mesh: &LocalMesh) {
    for client in clients {
        until("the job is known", async || client.job(job).await.ok()).await;
        let ended = tokio::time::timeout(LONG, watch::until_ended(client, job, None, |_| {})).await;
        assert_eq!(ended.expect("in time").expect("ended").counts.succeeded, tasks as u64);
        let proved = outcomes::of_job(client, job, mesh.genesis()).await.expect("proofs that hold");
        assert_eq!(proved.len(), tasks);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_begins_with_a_snapshot_that_the_authorities_vouched_for() {
    let mut mesh = mesh_with_snapshots("late", 4, 1, INTERVAL).await;
    let first = mesh.peers()[0].client().expect("running");
    submit(&first, &mesh, 8).await;
    let before = until_height(&first, 5 * INTERVAL).await;
    assert!(before.blocks_from.expect("some").0 > 1, "what two snapshots stand for is given up: {before:?}");
    let late = mesh.join().await.expect("it joins");
    let client = mesh.peers()[late].client().expect("running");
    let status = client.status().await.expect("it answers");
    assert!(status.blocks_from.expect("some").0 > 2 * INTERVAL, "it did not begin at the first block: {status:?}");
    let log = fs::read_to_string(mesh.peers()[late].log_path()).expect("a log");
    assert!(log.contains("fetching a certified snapshot") && log.contains("is taken up"), "{log}");
    let job = submit(&client, &mesh, 40).await;
    all_prove(&[client.clone(), first.clone()], job, 40, &mesh).await;
    // Both executed the same from there: compare state digests at a height that both have reached.
    let height = (client.status().await.expect("it answers").height.0 / INTERVAL + 1) * INTERVAL;
    until_height(&client, height).await;
    until_height(&first, height).await;
    let at = async |client: &Client| client.blocks(height, 1).await.expect("there").remove(0);
    let (mine, theirs) = (at(&client).await, at(&first).await);
    assert!(mine.state.is_some() && mine.root.is_some());
    assert_eq!((mine.digest, mine.root, mine.state), (theirs.digest, theirs.root, theirs.state));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_nobody_can_give_the_next_block_says_so_and_takes_no_work() {
    let mesh = mesh_with_snapshots("archive", 4, 1, INTERVAL).await;
    let first = mesh.peers()[0].client().expect("running");
    until_height(&first, 5 * INTERVAL).await;
    let (home, log) = (mesh.root().join("archive"), mesh.root().join("archive.log"));
    let key = keys::generate();
    keys::create(&home.join("key"), &key).expect("written");
    let genesis = mesh.genesis_path().to_str().expect("a name").to_owned();
    let up = |keep: &str| {
        let log = OpenOptions::new().create(true).append(true).open(&log).expect("opened");
        let near = ["--no-mdns", "--api", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"];
        let arguments = [&["up", "--genesis", &genesis, "--keep", keep], &near[..]].concat();
        Running(command(&home, &arguments).stdout(Stdio::null()).stderr(log).spawn().expect("started"))
    };
    let claims = async || {
        let workers = first.workers().await.expect("it answers");
        workers.into_iter().find(|worker| worker.key == key.public())
    };
    let archive = up("archive");
    until("it says so", async || {
        fs::read_to_string(&log).ok().filter(|log| log.contains("this archive needs every block"))
    })
    .await;
    assert!(claims().await.is_none(), "it would be given what it cannot hear of");
    drop(archive);
    // Only because of what it keeps: the same peer catches up and works if it keeps less.
    let _full = up("full");
    until("its claim", claims).await;
}

/// Writes over the second half of a file.
fn damage(file: &Path) {
    let bytes = fs::metadata(file).expect("there").len();
    let mut file = OpenOptions::new().write(true).open(file).expect("opened");
    file.seek(SeekFrom::Start(bytes / 8)).expect("there");
    file.write_all(&vec![0xa5; (bytes - bytes / 8) as usize]).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_set_aside_and_an_authority_then_follows_without_voting() {
    let mut mesh = mesh_with_snapshots("damaged", 4, 1, INTERVAL).await;
    let first = mesh.peers()[0].client().expect("running");
    let job = submit(&first, &mesh, 20).await;
    until_height(&first, 4 * INTERVAL).await;
    let (authority, worker) = (3, 4);
    for place in [authority, worker] {
        mesh.peer_mut(place).kill();
        damage(&mesh.peers()[place].data_dir().join("store.redb"));
    }
    mesh.restart_killed().await.expect("they start");
    for place in [authority, worker] {
        let peer = &mesh.peers()[place];
        let log = fs::read_to_string(peer.log_path()).expect("a log");
        assert!(log.contains("the store is set aside"), "{log}");
        assert!(peer.data_dir().join("store.damaged.redb").exists());
        let height = first.status().await.expect("it answers").height.0;
        until_height(&peer.client().expect("running"), height).await;
    }
    let role = mesh.peers()[authority].client().expect("running").status().await.expect("it answers").role;
    assert_eq!(role, Role::AuthorityWithoutJournal, "it may have promised what it has forgotten");
    assert_eq!(first.job(job).await.expect("known").counts.succeeded, 20);
    let job = submit(&first, &mesh, 20).await;
    let clients = [authority, worker].map(|place| mesh.peers()[place].client().expect("running"));
    all_prove(&clients, job, 20, &mesh).await;
}
