//! The answers of `explain` and `timeline` about a waiting task and a finished job, on a real mesh of two
//! peers.

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{mesh::path, running::program, workflows::Network};

const LONG: Duration = Duration::from_secs(300);

/// The explanation of a task, once the task is in this state.
fn explained(network: &Network, task: &str, state: &str) -> Value {
    let until = Instant::now() + LONG;
    loop {
        let said = network.run(&["explain", task, "--json"]);
        let explanation: Option<Value> = serde_json::from_str(&said.stdout).ok();
        if let Some(explanation) = explanation.filter(|explanation| explanation["why"]["state"] == state) {
            return explanation;
        }
        assert!(Instant::now() < until, "it does not become {state}: {said:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_task_that_nobody_can_hold_says_what_nobody_has() {
    let network = Network::start();
    let noop = program("noop.wasm");
    // A task that has run shows that the worker's claim stands.
    let done = network.run(&["submit", path(&noop), "--wait"]).good().to_owned();
    let job = network.run(&["submit", path(&noop), "--count", "3", "--require", "gpu=h100"]).good().to_owned();
    let task = format!("{}/2", &job[..12]);
    let explanation = explained(&network, &task, "ready");
    let why = &explanation["why"];
    assert_eq!((&explanation["job"], explanation["index"].as_u64()), (&Value::String(job.clone()), Some(2)));
    assert_eq!((why["hindrance"].as_str(), why["claims"]["standing"].as_u64()), (Some("no-claim"), Some(1)), "{why}");
    let needs = why["requirements"].as_array().expect("what it needs");
    let label = needs.iter().find(|one| one["need"]["kind"] == "label").expect("the label");
    assert_eq!((label["need"]["value"].as_str(), label["claims"].as_u64()), (Some("h100"), Some(0)));
    assert!(needs.iter().filter(|one| one["need"]["kind"] != "label").all(|one| one["claims"] == 1), "{why}");
    let said = network.run(&["explain", &task]);
    for words in ["no claim that stands could ever hold it", "label gpu=h100: 0 of 1 claim", "a slot: 1 of 1 claim"] {
        assert!(said.good().contains(words), "{words:?} is not in {said:#?}");
    }
    let why = &explained(&network, &format!("{done}/0"), "done")["why"];
    assert!(why["succeeded"] == true && why["worker"].as_str().is_some_and(|key| key.len() == 64), "{why}");
    network.run(&["cancel", &job]).good();
    assert_eq!(explained(&network, &task, "gone")["why"]["how"], "cancelled");
    network.run(&["explain", &job]).bad(2, &["is not a task", "JOB/0"]);
    network.run(&["explain", &format!("{job}/3")]).bad(1, &["has no task 3"]);
    network.run(&["timeline", &"0".repeat(64)]).bad(1, &["no job"]);
}

#[test]
fn the_timeline_of_a_finished_job_is_told_and_drawn() {
    const TASKS: usize = 5;
    let network = Network::start();
    let noop = program("noop.wasm");
    let submit = ["submit", path(&noop), "--count", "5", "--name", "a <\"job\"> & more", "--wait"];
    let job = network.run(&submit).good().to_owned();
    let timeline: Value = serde_json::from_str(network.run(&["timeline", &job, "--json"]).good()).expect("JSON");
    assert!(timeline["ended_us"].as_u64() >= timeline["submitted_us"].as_u64(), "{timeline}");
    for task in timeline["tasks"].as_array().expect("tasks") {
        let last = task["spans"].as_array().and_then(|spans| spans.last()).expect("it ran");
        assert_eq!((task["ended"].as_str(), last["what"]["ended"].as_str()), (Some("succeeded"), Some("succeeded")));
    }
    let some = network.run(&["timeline", &job, "--tasks", "2", "--from", "1"]);
    assert!(some.good().lines().filter(|line| line.contains("succeeded")).count() == 2, "{some:#?}");
    assert!(some.stderr.contains("(3 more tasks"), "{some:#?}");
    for (by, rows) in [("task", TASKS), ("worker", 1)] {
        let file = network.file("timeline.svg");
        network.run(&["timeline", &job[..12], "--svg", &file, "--by", by]).good();
        let picture = fs::read_to_string(&file).expect("a picture");
        let document = roxmltree::Document::parse(&picture).expect("XML");
        let of_class = |class| document.descendants().filter(move |node| node.attribute("class") == Some(class));
        assert_eq!(of_class("row").count(), rows, "{picture}");
        let bars = of_class("row").flat_map(|row| row.children()).filter(|node| node.has_tag_name("rect"));
        assert!(bars.count() >= TASKS, "{picture}");
        let name =
            document.descendants().filter_map(|node| node.text()).any(|text| text.contains("a <\"job\"> & more"));
        assert!(name && of_class("legend").count() == 1, "{picture}");
    }
}
