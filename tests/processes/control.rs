//! A submitter holds, releases, amends and cancels tasks on a real mesh, by array, index and state.

use serde_json::Value;

use crate::workflows::Network;

#[test]
fn a_deadline_that_cannot_be_met_is_told_at_once() {
    let network = Network::start();
    let noop = network.file("noop.wasm");
    let submit = |deadline: &str| {
        network.run(&["submit", &noop, "--count", "10", "--expected", "1m", "--deadline", deadline, "--wait"])
    };
    network.run(&["submit", &noop, "--wait"]).good();
    let late = submit("2m");
    late.good();
    assert!(late.stderr.contains("cannot be met") && late.stderr.contains("nothing else runs"), "{late:#?}");
    let early = submit("1h");
    early.good();
    assert!(!early.stderr.contains("cannot be met"), "{early:#?}");
}

#[test]
fn tasks_are_held_let_go_amended_and_cancelled() {
    let network = Network::start();
    network.write(
        "job.toml",
        "[defaults]\nprogram = \"noop.wasm\"\nrequires = { site = \"nowhere\" }\n\
         [tasks.one]\neach = { range = \"0..4\" }\n[tasks.two]\neach = { range = \"0..4\" }\n",
    );
    let job = network.run(&["submit", &network.file("job.toml")]).good().to_owned();
    let counts = |text: &str| -> Value { serde_json::from_str::<Value>(text).expect("JSON")["counts"].clone() };
    let control = |arguments: &[&str]| {
        let all = [&arguments[..1], &[job.as_str(), "--json"], &arguments[1..]].concat();
        counts(network.run(&all).good())
    };
    let held = control(&["hold", "--array", "two"]);
    assert_eq!((&held["held"], &held["ready"]), (&4.into(), &4.into()));
    let held = control(&["release", "--array", "two", "--tasks", "0,2-3"]);
    assert_eq!((&held["held"], &held["ready"]), (&1.into(), &7.into()));
    let amended = control(&["amend", "--tasks", "0-3", "--priority", "5", "--memory", "64MiB", "--deadline", "1h"]);
    assert_eq!(amended["ready"], 7);
    let cancelled = control(&["cancel", "--only", "ready"]);
    assert_eq!((&cancelled["cancelled"], &cancelled["held"]), (&7.into(), &1.into()));
    let refused = network.run(&["hold", &job, "--only", "running"]);
    assert!(refused.status == Some(1) && refused.stderr.contains("none of the tasks"), "{refused:#?}");
    let refused = network.run(&["hold", &job, "--array", "three"]);
    assert!(refused.status == Some(2) && refused.stderr.contains("no array"), "{refused:#?}");
    assert_eq!(control(&["cancel"])["cancelled"], 8);
}
