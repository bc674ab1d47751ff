//! Authorities change the network's rules by command on a real mesh: who works and submits, the quotas, the
//! policies, and the authorities themselves.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::workflows::Network;

const LONG: Duration = Duration::from_secs(120);

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// The only authority proposes, which also approves.
fn change(network: &Network, flags: &[&str]) -> Value {
    json(network.run_as("peer", &[&["govern", "propose", "--json"], flags].concat()).good())
}

fn show(network: &Network) -> Value {
    json(network.run(&["govern", "show", "--json"]).good())
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let until = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn rules_change_at_once_and_what_is_refused_says_how_much_is_taken() {
    let network = Network::start();
    let (user, worker) = (network.key_of("user"), network.key_of("worker"));
    let changed = change(&network, &["--quota", &format!("{user}:tasks=3,running=1")]);
    assert_eq!(changed["rules"]["quotas"][&user]["running"], 1, "{changed}");
    change(&network, &["--bar-worker", &worker]);
    wait_until("the worker's claim has ended", || network.run(&["workers", "--json"]).good() == "[]");
    let noop = network.file("noop.wasm");
    let job = network.run(&["submit", &noop, "--count", "2"]).good().to_owned();
    wait_until("the job is admitted", || network.run(&["quota"]).stdout.contains("2"));
    let refused = network.run(&["submit", &noop, "--count", "2"]);
    assert!(refused.status == Some(1) && refused.stderr.contains("2 unfinished tasks of 3"), "{refused:#?}");
    let quota = json(network.run(&["quota", "--json"]).good());
    assert_eq!((&quota["key"], &quota["limits"][0]["used"]), (&user.clone().into(), &2.into()), "{quota}");
    assert_eq!(json(network.run(&["quota", &worker, "--json"]).good())["may_work"], false);
    change(&network, &["--permit-worker", &worker]);
    wait_until("the job has ended", || network.run(&["status", &job]).good().contains("2 succeeded"));

    change(&network, &["--bar-submitter", &user]);
    let barred = network.run(&["submit", &noop]);
    assert!(barred.status == Some(1) && barred.stderr.contains("not permitted"), "{barred:#?}");
    let again = network.run_as("peer", &["govern", "propose", "--bar-submitter", &user]);
    assert!(again.status == Some(1) && again.stderr.contains("so already"), "{again:#?}");
    change(&network, &["--permit-submitter", &user]);
    change(&network, &["--limit", "key-tasks=5"]);
    change(&network, &["--order", "fair,priority", "--slice", "5s", "--weight", &format!("{user}=3")]);
    let rules = show(&network)["rules"].clone();
    assert_eq!((&rules["key_limits"]["tasks"], &rules["schedule"]["slice_ms"]), (&5.into(), &5000.into()), "{rules}");
    let told = network.run(&["govern", "show"]);
    assert!(told.good().contains("order fair,priority") && told.good().contains("5 unfinished tasks"), "{told:#?}");
    let stranger = network.run(&["govern", "propose", "--limit", "tasks=1"]);
    assert!(stranger.status == Some(1) && stranger.stderr.contains("authorities"), "{stranger:#?}");
    network.run(&["submit", &noop, "--wait"]).good();
}

#[test]
fn an_authority_is_added_and_approves_that_it_is_removed() {
    let network = Network::start();
    let worker = network.key_of("worker");
    let names = || {
        let shown = show(&network);
        let names = shown["authorities"].as_array().expect("authorities").iter();
        names.map(|authority| authority["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    let changed = change(&network, &["--add", &format!("second={worker}")]);
    assert!(changed["next"].is_array(), "{changed}");
    wait_until("the next epoch has begun", || names() == ["only", "second"]);
    let proposed = network.run_as("peer", &["govern", "propose", "--remove", &worker]);
    let id = proposed.good().to_owned();
    assert!(proposed.stderr.contains("govern approve"), "{proposed:#?}");
    let listed = network.run(&["govern", "show"]);
    assert!(listed.good().contains("1 of 2"), "{listed:#?}");
    network.run_as("worker", &["govern", "approve", &id[..8]]).good();
    wait_until("it is gone", || names() == ["only"]);
    network.run(&["submit", &network.file("noop.wasm"), "--wait"]).good();
}
