//! Two processes of one key, as on a cloned machine.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    mesh::{api_of, path},
    running::{Running, command, local_mesh, program, run},
};

/// How long the slowest machine may take for anything here.
const LONG: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_volunteer_whose_key_works_elsewhere_says_so_and_works_again_when_that_one_is_gone() {
    let mesh = local_mesh("twins", 1, 1).await;
    let first = mesh.peers()[1].home();
    let directory = tempfile::tempdir().expect("a directory");
    let twin = directory.path().join("twin");
    fs::create_dir(&twin).expect("created");
    fs::copy(first.join("key"), twin.join("key")).expect("cloned");
    let log = fs::File::create(directory.path().join("log")).expect("created");
    let genesis = path(mesh.genesis_path()).to_owned();
    let up = ["up", "--genesis", &genesis, "--no-mdns", "--api", "127.0.0.1:0", "--slots", "1", "--memory", "256MiB"];
    let mut up = command(&twin, &up);
    up.args(["--listen", "/ip4/127.0.0.1/tcp/0"]).stdout(Stdio::null()).stderr(log);
    let second = Running(up.spawn().expect("started"));
    api_of(&twin, directory.path());
    let until = |what: &str, look: &mut dyn FnMut() -> bool| {
        let until = Instant::now() + LONG;
        while !look() {
            assert!(Instant::now() < until, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let health = || run(first, &["health"], LONG);
    until("it says so", &mut || health().status != Some(0));
    health().bad(1, &["needs its operator", "this node's own key"]);
    assert!(run(first, &["status"], LONG).good().contains("began later"));
    assert!(fs::read_to_string(first.join("log")).expect("a log").contains("this one takes no tasks"));
    drop(second);
    until("it takes up again", &mut || health().status == Some(0));
    let genesis = ["--genesis", &genesis];
    let noop = program("noop.wasm");
    let submit = ["submit", path(&noop), "--count", "3", "--wait"];
    run(first, &[&submit[..], &genesis].concat(), LONG).good();
}
