//! Runs the README's section "By hand" as it is written, with ports that are free here.

use std::{
    fs,
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::running::{MESHWORK, Running, run_program};

const LONG: Duration = Duration::from_secs(300);

/// The shell blocks of one section.
fn blocks<'a>(readme: &'a str, heading: &str) -> Vec<&'a str> {
    let from = readme.find(heading).expect("the heading is there") + heading.len();
    let section = readme[from..].split("\n## ").next().expect("a section");
    let fenced = section.split("```sh\n").skip(1);
    fenced.map(|rest| rest.split("```").next().expect("a block ends")).collect()
}

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port().to_string()
}

fn shell(directory: &Path, script: &str) -> Command {
    let mut shell = Command::new("sh");
    let programs = Path::new(MESHWORK).parent().expect("a directory").display().to_string();
    let path = std::env::var("PATH").unwrap_or_default();
    shell.env_clear().env("HOME", directory).env("PATH", format!("{programs}:{path}"));
    shell.args(["-euc", script]).current_dir(directory).stdin(Stdio::null());
    shell
}

#[test]
fn the_path_by_hand_works_as_it_is_written() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace");
    let readme = fs::read_to_string(root.join("README.md")).expect("read");
    let readme = readme.replace("4100", &free_port()).replace("7420", &free_port());
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["README.md", "ARCHITECTURE.md", "tests"] {
        symlink(root.join(name), directory.path().join(name)).expect("linked");
    }
    let mut blocks = blocks(&readme, "## By hand").into_iter();
    let build = blocks.next().expect("how to build");
    assert!(build.starts_with("cargo build --release\n"), "the program is built already: {build}");
    let found = blocks.next().expect("how to make a network");
    run_program(&mut shell(directory.path(), found), LONG).good();
    let mut peers = Vec::new();
    let mut used = None;
    for block in blocks {
        if block.trim_end().ends_with(" up") {
            let log = fs::File::create(directory.path().join(format!("{}.log", peers.len()))).expect("created");
            // The shell becomes the peer, so that the peer itself is stopped in the end.
            let mut peer = shell(directory.path(), &format!("exec {block}"));
            let peer = peer.stdout(Stdio::null()).stderr(log).process_group(0).spawn().expect("started");
            peers.push(Running(peer));
        } else {
            wait_for_workers(directory.path(), block);
            used = Some(run_program(&mut shell(directory.path(), block), LONG));
        }
    }
    assert_eq!(peers.len(), 2, "two peers are started");
    let used = used.expect("a job is submitted");
    let said = used.good();
    assert!(said.contains("try-it") && said.contains("succeeded"), "{used:#?}");
    assert!(directory.path().join("results/1/out/counts").exists());
    assert!(directory.path().join("proofs/1.proof").exists());
    assert!(said.contains("succeeded at height") && said.contains(" running at "), "{used:#?}");
    assert!(directory.path().join("timeline.svg").exists());
}

/// People type more slowly than peers start.
fn wait_for_workers(directory: &Path, block: &str) {
    let exports = block.lines().next().expect("where the peer is");
    let until = Instant::now() + LONG;
    loop {
        let seen = run_program(&mut shell(directory, &format!("{exports}\nmeshwork workers --json")), LONG);
        if seen.status == Some(0) && seen.stdout.contains("slots") {
            return;
        }
        assert!(Instant::now() < until, "the volunteer is not seen: {seen:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
