//! Job files on a real mesh of two peers: the examples of the documentation, a graph with a failure, and an
//! open job.

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    mesh::{api_of, path},
    running::{Ended, Running, command, program, run},
};

const LONG: Duration = Duration::from_secs(300);

/// A peer that votes, one that works, and a submitter. (An output that others take is delivered once a second
/// peer holds it.)
pub(crate) struct Network {
    directory: tempfile::TempDir,
    api: String,
    peers: [Running; 2],
}

/// Starts a peer of the network in a directory.
fn up(directory: &Path, name: &str, more: &[&str]) -> Running {
    let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("opened");
    let genesis = directory.join("genesis.toml");
    let up = [&["up", "--genesis", path(&genesis), "--no-mdns"], more].concat();
    Running(command(&directory.join(name), &up).stdout(Stdio::null()).stderr(log).spawn().expect("started"))
}

impl Network {
    pub(crate) fn start() -> Self {
        Self::start_with(|genesis| genesis)
    }

    /// A network whose genesis is changed before any peer has read it.
    fn start_with(change: impl FnOnce(String) -> String) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let home = |name: &str| directory.path().join(name);
        let (peer, worker, user) = (home("peer"), home("worker"), home("user"));
        let genesis = directory.path().join("genesis.toml");
        let key = run(&peer, &["init"], LONG).good().to_owned();
        run(&worker, &["init"], LONG).good();
        run(&user, &["init"], LONG).good();
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let authority = format!("only={key}@/ip4/127.0.0.1/tcp/{port}");
        run(&peer, &["genesis", "new", "flows", "--authority", &authority, "--out", path(&genesis)], LONG).good();
        let founded = fs::read_to_string(&genesis).expect("read");
        fs::write(&genesis, change(founded)).expect("written");
        let up = |name: &str, more: &[&str]| up(directory.path(), name, more);
        let peers = [up("peer", &["--no-work"]), up("worker", &["--slots", "2", "--memory", "512MiB"])];
        let api = api_of(&peer, directory.path());
        for name in ["noop", "echo", "wordcount", "render", "exit3", "tree", "tiny", "walk"] {
            let name = format!("{name}.wasm");
            fs::copy(program(&name), directory.path().join(&name)).expect("copied");
        }
        Self { directory, api, peers }
    }

    /// Kills the peer that votes and whose API is asked, and starts it anew. Its API has another port then.
    pub(crate) fn start_peer_anew(&mut self) {
        let _ = self.peers[0].0.kill();
        let _ = self.peers[0].0.wait();
        self.peers[0] = up(self.directory.path(), "peer", &["--no-work"]);
    }

    /// Runs a command as the submitter.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        self.run_as("user", arguments)
    }

    /// What a command line begins with that is about this network.
    pub(crate) fn arguments(&self) -> [String; 4] {
        ["--api".into(), self.api.clone(), "--genesis".into(), self.file("genesis.toml")]
    }

    /// Runs a command with the key of `peer`, which votes, of `worker`, or of `user`.
    pub(crate) fn run_as(&self, home: &str, arguments: &[&str]) -> Ended {
        let genesis = self.directory.path().join("genesis.toml");
        let all = [&["--api", &self.api, "--genesis", path(&genesis)], arguments].concat();
        run(&self.directory.path().join(home), &all, LONG)
    }

    /// That key's public half.
    pub(crate) fn key_of(&self, home: &str) -> String {
        let shown: Value = serde_json::from_str(self.run_as(home, &["quota", "--json"]).good()).expect("JSON");
        shown["key"].as_str().expect("a key").to_owned()
    }

    pub(crate) fn file(&self, name: &str) -> String {
        path(&self.directory.path().join(name)).to_owned()
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let file = self.file(name);
        fs::create_dir_all(Path::new(&file).parent().expect("a directory")).expect("created");
        fs::write(&file, text).expect("written");
        file
    }

    /// How many tasks of each array ended in which way.
    fn arrays(&self, job: &str) -> BTreeMap<String, Value> {
        let status: Value = serde_json::from_str(self.run(&["status", job, "--json"]).good()).expect("JSON");
        let arrays = status["arrays"].as_array().expect("arrays").iter();
        arrays.map(|array| (array["name"].as_str().expect("a name").to_owned(), array["counts"].clone())).collect()
    }
}

#[test]
fn a_job_file_maps_reduces_and_goes_on_after_a_failure() {
    let network = Network::start();
    network.write("texts/a.txt", "one two\n");
    network.write("texts/b.txt", "three\nfour five\n");
    let file = network.write(
        "job.toml",
        "[defaults]\nprogram = \"wordcount.wasm\"\n\
         [tasks.map]\neach = { files = \"texts/*.txt\" }\ninputs = { text = \"${file}\" }\n\
         [tasks.reduce]\ninputs = { all = { from = \"map\", file = \"counts\" } }\n\
         [tasks.bad]\nprogram = \"exit3.wasm\"\nafter = \"map\"\n\
         [tasks.skipped]\ninputs = { x = { from = \"bad\" } }\n\
         [tasks.mend]\nprogram = \"echo.wasm\"\nafter-fail = \"bad\"\narguments = \"mended\"\n\
         [tasks.last]\nprogram = \"noop.wasm\"\nafter-any = [\"skipped\", \"mend\"]\n",
    );
    let submitted = network.run(&["submit", &file, "--wait"]);
    submitted.bad(3, &["1 failed"]);
    let job = submitted.stdout.trim();
    let arrays = network.arrays(job);
    let ended = |name: &str, how: &str| arrays[name][how].as_u64();
    assert_eq!((ended("map", "succeeded"), ended("reduce", "succeeded")), (Some(2), Some(1)), "{arrays:?}");
    assert_eq!((ended("bad", "failed"), ended("skipped", "skipped")), (Some(1), Some(1)), "{arrays:?}");
    assert_eq!((ended("mend", "succeeded"), ended("last", "succeeded")), (Some(1), Some(1)), "{arrays:?}");
    let shown = network.run(&["status", job]);
    assert!(shown.good().contains("reduce") && shown.good().contains("1 skipped"), "{shown:#?}");
    let out = network.file("out");
    network.run(&["result", job, "--index", "2", "--out", &out]).good();
    let counts = fs::read_to_string(Path::new(&out).join("2/out/counts")).expect("a result");
    assert!(counts.contains("all/0/counts") && counts.contains("all/1/counts"), "{counts}");
}

/// The files that the page on job files shows, by their names.
fn shown() -> Vec<(String, String)> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/job-file.md");
    let page = fs::read_to_string(page).expect("read");
    let blocks = page.split("\n```").skip(1).step_by(2);
    let named = blocks.filter_map(|block| {
        let (information, content) = block.split_once('\n')?;
        let (_, name) = information.split_once(' ')?;
        Some((name.to_owned(), format!("{content}\n")))
    });
    named.collect()
}

/// The view of a recurring job, once the ledger has it.
fn recurring(network: &Network, id: &str) -> Value {
    let until = Instant::now() + LONG;
    loop {
        let shown = network.run(&["recurring", "show", id, "--json"]);
        if shown.status == Some(0) {
            return serde_json::from_str(shown.good()).expect("JSON");
        }
        assert!(Instant::now() < until, "{shown:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Submits a job file that recurs, and pauses, resumes and deletes its job.
fn recurs(network: &Network, file: &str) {
    network.run(&["submit", file, "--wait"]).bad(2, &["no end"]);
    let id = network.run(&["submit", file]).good().to_owned();
    let shown = recurring(network, &id);
    assert_eq!((shown["state"].as_str(), shown["cron"].as_str()), (Some("active"), Some("30 3 * * 1-5")));
    assert_eq!(shown["upcoming_us"].as_array().map(Vec::len), Some(5), "{shown}");
    let digits = &id[..12];
    network.run(&["recurring", "pause", digits]).good();
    let listed = network.run(&["recurring", "list", "--mine"]);
    assert!(listed.good().contains(digits) && listed.good().contains("paused"), "{listed:#?}");
    assert!(network.run(&["recurring", "resume", digits]).good().contains("active"));
    assert!(network.run(&["recurring", "delete", digits]).good().contains("deleted"));
    network.run(&["recurring", "pause", digits]).bad(2, &["has ended"]);
    let noop = network.file("noop.wasm");
    let id = network.run(&["submit", &noop, "--cron", "@yearly", "--catch-up", "all", "--runs", "2"]).good().to_owned();
    let shown = recurring(network, &id);
    assert_eq!((shown["catch_up"].as_str(), shown["runs_max"].as_u64()), (Some("all"), Some(2)), "{shown}");
}

#[test]
fn a_tree_of_tasks_grows_from_what_their_outcomes_ask_for() {
    let network = Network::start();
    let file = network.write(
        "tree.toml",
        "spawn-max = 6\n[tasks.tree]\nprogram = \"tree.wasm\"\narguments = \"2\"\nspawns = true\nfeeds = true\n",
    );
    let job = network.run(&["submit", &file, "--wait"]).good().to_owned();
    let out = network.file("out");
    network.run(&["result", &job, "--out", &out]).good();
    let said = |task: u32| fs::read_to_string(Path::new(&out).join(format!("{task}/stdout"))).expect("what it said");
    let mut all: Vec<String> = (0..7).map(said).collect();
    all.sort();
    let grown = ["0 below 1\n"; 4].into_iter().chain(["1 below 2\n"; 2]).chain(["2 below 0\n"]);
    assert_eq!(all, grown.collect::<Vec<_>>());
    assert!(!Path::new(&out).join("0/out/spawn.jsonl").exists(), "what was asked is no result");
    let tree = network.file("tree.wasm");
    network.run(&["submit", &tree, "--spawn-max", "1", "--wait", "--", "1"]).bad(3, &["1 failed"]);
}

#[test]
fn every_documented_example_runs_as_it_stands() {
    let network = Network::start();
    let shown = shown();
    for (name, text) in &shown {
        network.write(name, text);
    }
    let mut ran = 0;
    for (name, _) in shown.iter().filter(|(name, _)| name.ends_with(".toml")) {
        let file = network.file(name);
        match name.as_str() {
            "failure.toml" => network.run(&["submit", &file, "--wait"]).bad(3, &["1 failed"]),
            "more.toml" => continue,
            "nightly.toml" => recurs(&network, &file),
            "open.toml" => {
                let job = network.run(&["submit", &file]).good().to_owned();
                network.run(&["submit", "--to", &job, &network.file("more.toml")]).good();
                network.run(&["submit", "--to", &job, "--close", "--wait"]).good();
                let arrays = network.arrays(&job);
                assert_eq!(arrays["second"]["succeeded"].as_u64(), Some(1), "{arrays:?}");
                let late = network.run(&["submit", "--to", &job, &network.file("more.toml")]);
                late.bad(2, &["is closed"]);
            }
            _ => {
                network.run(&["submit", &file, "--wait"]).good();
            }
        }
        ran += 1;
    }
    assert!(ran >= 8, "{ran} examples");
    let demo = program("demo.toml");
    network.run(&["submit", path(&demo), "--set", "samples=1", "--wait"]).good();
}

/// A job whose definition takes about two megabytes.
fn large_job(network: &Network) -> String {
    let long = "x".repeat(1000);
    let rows: String = (0..2_000).map(|index| format!("{long}{index}\n")).collect();
    network.write("rows.csv", &format!("text\n{rows}"));
    network.write(
        "job.toml",
        "[defaults]\nprogram = \"noop.wasm\"\n[tasks.n]\neach = { csv = \"rows.csv\" }\narguments = \"${text}\"\n\
         [tasks.last]\nafter = \"n\"\n",
    )
}

#[test]
fn a_job_of_many_transactions_is_submitted_open_and_closed() {
    let network = Network::start();
    let file = large_job(&network);
    let job = network.run(&["submit", &file, "--wait"]).good().to_owned();
    let status: Value = serde_json::from_str(network.run(&["status", &job, "--json"]).good()).expect("JSON");
    assert_eq!(status["counts"]["succeeded"].as_u64(), Some(2_001), "{}", status["counts"]);
    assert!(status["arrays"].as_array().expect("arrays").len() > 3 && status["open_until_us"].is_null());
}

#[test]
fn a_job_of_which_a_part_is_refused_is_cancelled() {
    let network = Network::start_with(|genesis| {
        let (before, after) = genesis.split_once("key_definition_bytes_max = ").expect("it is there");
        let (_, after) = after.split_once('\n').expect("a line");
        format!("{before}key_definition_bytes_max = 1000000\n{after}")
    });
    let file = large_job(&network);
    let submitted = network.run(&["submit", &file]);
    submitted.bad(1, &["Part 2 of ", "bytes", "was cancelled"]);
    assert_eq!(submitted.stdout, "", "no job stands");
    let until = std::time::Instant::now() + LONG;
    loop {
        let jobs: Value = serde_json::from_str(network.run(&["jobs", "--json"]).good()).expect("JSON");
        assert_eq!(jobs.as_array().map(Vec::len), Some(1), "{jobs}");
        if !jobs[0]["ended_us"].is_null() {
            break;
        }
        assert!(std::time::Instant::now() < until, "{jobs}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
