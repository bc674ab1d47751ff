//! Faults of a peer's machine: no file descriptors left, no space on the disk, a wrong clock.

use std::{
    fs,
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use meshwork::{client::Client, keys, local_mesh::LocalMesh, submission, watch};
use meshwork_core::types::{TaskSpec, Tasks};

use crate::{
    mesh::{api_of, path},
    running::{MESHWORK, Running, command, local_mesh, program, run},
};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(120);

fn until(what: &str, mut look: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !look() {
        assert!(Instant::now() < until, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A network of one peer, which votes and works, with its home, its genesis and the shell commands before its
/// own.
struct Alone {
    directory: tempfile::TempDir,
    home: PathBuf,
    _up: Running,
    api: String,
}

impl Alone {
    /// `before` is put before the program and its arguments in a shell, such as `ulimit -n 64; exec`.
    fn start(before: &str, home: Option<PathBuf>, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let home = home.unwrap_or_else(|| directory.path().join("peer"));
        let genesis = directory.path().join("genesis.toml");
        let key = run(&home, &["init"], LONG).good().to_owned();
        run(&directory.path().join("user"), &["init"], LONG).good();
        let authority = format!("only={key}@/ip4/127.0.0.1/tcp/0");
        run(&home, &["genesis", "new", "alone", "--authority", &authority, "--out", path(&genesis)], LONG).good();
        let log = fs::File::create(directory.path().join("log")).expect("created");
        let mut up = command(&home, &[]);
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{before} \"$0\" \"$@\"")).arg(MESHWORK);
        shell.args(["up", "--genesis", path(&genesis), "--no-mdns", "--slots", "1", "--memory", "256MiB"]);
        for (name, value) in up.get_envs().chain(environment.iter().map(|(n, v)| (n.as_ref(), Some(v.as_ref())))) {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        up.stdin(std::process::Stdio::null());
        let up = Running(shell.stdin(std::process::Stdio::null()).stderr(log).spawn().expect("started"));
        let api = api_of(&home, directory.path());
        Self { directory, home, _up: up, api }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).expect("a log")
    }

    fn user(&self, arguments: &[&str]) -> crate::running::Ended {
        let genesis = self.directory.path().join("genesis.toml");
        let all = [&["--api", &self.api, "--genesis", path(&genesis)], arguments].concat();
        run(&self.directory.path().join("user"), &all, LONG)
    }

    fn submits(&self) -> crate::running::Ended {
        self.user(&["submit", path(&program("noop.wasm")), "--count", "3", "--wait"])
    }
}

#[test]
fn a_peer_without_file_descriptors_goes_on_when_there_are_some_again() {
    let peer = Alone::start("ulimit -n 80; exec", None, &[]);
    peer.submits().good();
    let address: std::net::SocketAddr = peer.api.parse().expect("an address");
    let connections: Vec<TcpStream> =
        (0..120).filter_map(|_| TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()).collect();
    assert!(connections.len() > 60, "there are too few to use up what it has: {}", connections.len());
    // The peer executes blocks meanwhile, because that takes no new descriptor.
    std::thread::sleep(Duration::from_secs(2));
    drop(connections);
    until("it answers again", || peer.user(&["health", "--stuck-after", "10s"]).status == Some(0));
    peer.submits().good();
}

/// A job of 20 tasks succeeds.
async fn works(mesh: &LocalMesh, what: &str) {
    let client: Client = mesh.peers()[0].client().expect("running");
    let module = client.put_bytes(fs::read(program("noop.wasm")).expect("a program")).await.expect("taken");
    let (key, spec) = (keys::generate(), TaskSpec::of(module).into());
    let expiry = submission::EXPIRY_DEFAULT;
    let signed = submission::sign_job("noop", spec, Tasks::Repeat(20), expiry, &key, &mesh.network());
    submission::post(&client, &signed).await.expect("taken");
    let job = submission::job_of(&signed);
    let until = Instant::now() + LONG;
    while client.job(job).await.is_err() {
        assert!(Instant::now() < until, "{what}: the job is not known");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = watch::until_ended(&client, job, None, |_| {});
    let ended = tokio::time::timeout(LONG, ended).await.expect("in time").expect("ended");
    assert_eq!(ended.counts.succeeded, 20, "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_clock_is_wrong_or_steps_works_like_any_other_and_says_so() {
    let mut mesh: LocalMesh = local_mesh("stepped", 1, 1).await;
    mesh.peer_mut(1).kill();
    let steps = "-10m,+1h@6s,-1h@12s,0s@18s";
    mesh.restart_killed_with(&[("MESHWORK_CLOCK_OFFSET", steps)]).await.expect("it starts");
    let client: Client = mesh.peers()[1].client().expect("running");
    let mut seen = std::collections::BTreeSet::new();
    let until = Instant::now() + LONG;
    while seen.len() < 4 {
        assert!(Instant::now() < until, "not every step was seen: {seen:?}");
        works(&mesh, "whatever its clock says").await;
        // In minutes, because the message is exact to the second.
        let off_ms = client.status().await.expect("it answers").clock_off_ms;
        seen.insert(off_ms.map_or(0, |ms| (ms + 30_000 * ms.signum()) / 60_000));
    }
    assert_eq!(seen, [-60, -10, 0, 60].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_whose_clock_is_wrong_holds_nobody_up() {
    let mut mesh: LocalMesh = local_mesh("skewed", 4, 1).await;
    for offset in ["+10s", "-10m", "+10m@2s,-10m@4s"] {
        mesh.peer_mut(3).kill();
        mesh.restart_killed_with(&[("MESHWORK_CLOCK_OFFSET", offset)]).await.expect("it starts");
        works(&mesh, offset).await;
        let client: Client = mesh.peers()[0].client().expect("running");
        // The peer follows, whatever its clock says.
        let height = client.status().await.expect("it answers").height;
        let skewed = mesh.peers()[3].client().expect("running");
        let until = Instant::now() + LONG;
        while skewed.status().await.expect("it lives").height < height {
            assert!(Instant::now() < until, "{offset}: it is left behind");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        // The last clock ends up behind, like the second, and steps there while the network works.
        let is_behind = async || skewed.status().await.expect("it lives").clock_off_ms.is_some_and(|ms| ms < -500_000);
        while offset != "+10s" && !is_behind().await {
            works(&mesh, offset).await;
            assert!(Instant::now() < until, "{offset}: it does not see that its clock is wrong");
        }
    }
}

/// A file system of this many bytes in memory, unmounted at the end. Nothing where mounting is not allowed.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(at).expect("created");
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs", path(at)]).output();
        mounted.is_ok_and(|mount| mount.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", path(&self.0)]).status();
    }
}

#[test]
fn a_full_disk_stops_a_peer_from_taking_more_and_it_goes_on_when_there_is_room() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("small");
    let Some(disk) = Small::mount(&home, 96 << 20) else {
        eprintln!("No file system can be mounted here: nothing was tried.");
        return;
    };
    let peer = Alone::start("exec", Some(disk.0.clone()), &[]);
    peer.submits().good();
    let ballast = home.join("ballast");
    let free = || rustix::fs::statvfs(&home).map_or(0, |disk| disk.f_bavail * disk.f_frsize);
    let fill = |leave: u64| fs::write(&ballast, vec![0u8; free().saturating_sub(leave) as usize]).is_ok();
    // Nearly full: the peer says so, and takes neither tasks nor blobs.
    assert!(fill(4 << 20));
    until("it says so", || peer.user(&["status"]).stdout.contains("nearly full"));
    until("it offers nothing", || peer.user(&["workers", "--json"]).stdout.contains("\"slots\": 0"));
    let refused = peer.user(&["submit", path(&program("wordcount.wasm")), "--each", path(&program("README.md"))]);
    assert!(refused.status != Some(0) && refused.stderr.contains("Make room"), "{refused:?}");
    // Full: the peer stops, and says so.
    fs::remove_file(&ballast).expect("removed");
    let mut more = 0;
    until("it stops", || {
        // Other programs write until nothing is left; the peer's own file grows in steps.
        more += 1;
        let _ = fs::write(home.join(format!("ballast-{more}")), vec![0u8; free() as usize]);
        peer.log().contains("is full, and a peer cannot go on")
    });
    for file in fs::read_dir(&home).expect("there").flatten() {
        if file.file_name().to_string_lossy().starts_with("ballast") {
            fs::remove_file(file.path()).expect("removed");
        }
    }
    until("there is space", || peer.log().contains("there is space on the disk again"));
    let api = api_of(&peer.home, peer.directory.path());
    let peer = Alone { api, ..peer };
    until("it works again", || peer.submits().status == Some(0));
}

#[test]
fn a_peer_without_room_for_what_a_task_may_leave_does_not_run_it_and_says_so() {
    let directory = tempfile::tempdir().expect("a directory");
    let home = directory.path().join("peer");
    fs::create_dir(&home).expect("created");
    fs::write(home.join("config.toml"), "[up]\ndisk = \"64MiB\"\n").expect("written");
    let peer = Alone::start("exec", Some(home), &[]);
    peer.submits().good();
    let noop = program("noop.wasm");
    // What somebody has just uploaded stays for a while.
    let input = directory.path().join("input");
    fs::write(&input, vec![7; 30 << 20]).expect("written");
    peer.user(&["submit", path(&noop), "--input", path(&input), "--wait"]).good();
    let large = ["submit", path(&noop), "--memory", "64MiB", "--output-limit", "48MiB"];
    let job = peer.user(&large).good().to_owned();
    until("it says so", || peer.user(&["status"]).stdout.contains("takes no more tasks"));
    until("it offers nothing", || peer.user(&["workers", "--json"]).stdout.contains("\"slots\": 0"));
    assert!(peer.log().contains("no room for what tasks may leave") && peer.log().contains("(--disk)"));
    assert!(peer.user(&["timeline", &job]).good().contains("given back before it began"), "its program never ran");
    // It may have room for others, and it has.
    peer.submits().good();
}

#[test]
fn a_stored_blob_with_a_flipped_bit_is_found_when_the_blobs_are_verified() {
    let peer = Alone::start("exec", None, &[]);
    peer.submits().good();
    assert!(peer.user(&["blobs", "verify"]).good().starts_with("all "));
    let folders = fs::read_dir(peer.home.join("data/blobs")).expect("there").flatten();
    let of_blobs = folders.filter(|folder| folder.file_name().len() == 2);
    let blob = of_blobs.flat_map(|folder| fs::read_dir(folder.path()).expect("there").flatten()).next();
    let blob = blob.expect("the program").path();
    let mut content = fs::read(&blob).expect("read");
    content[0] ^= 1;
    fs::write(&blob, content).expect("written");
    let found = peer.user(&["blobs", "verify"]);
    found.bad(1, &["1 is damaged", "set aside"]);
    let digest = blob.file_name().expect("its digest").to_string_lossy().into_owned();
    assert_eq!(found.stdout.trim(), digest);
    assert!(peer.home.join("data/blobs/damaged").join(&digest).exists() && !blob.exists());
    peer.user(&["blobs", "verify"]).good();
}
