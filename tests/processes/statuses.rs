//! Programs that answer by their exit status, and what those leave that fail, on a real mesh of two peers.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{mesh::path, running::program, workflows::Network};

/// What `sat` writes to standard output and to the file that it leaves.
const STDOUT: &str = "s SATISFIABLE\n";
const MODEL: &[u8] = b"v 1 -2 0";

/// Submits a program and waits for it. The job's id, and the exit status of `submit`.
fn submit(network: &Network, name: &str, more: &[&str]) -> (String, Option<i32>) {
    let program = program(name);
    let ended = network.run(&[&["submit", path(&program), "--wait"], more].concat());
    assert_eq!(ended.stdout.trim().len(), 64, "{ended:#?}");
    (ended.stdout.trim().to_owned(), ended.status)
}

/// Fetches a job's only result. The model that it left, and the path of its proof.
fn fetch(network: &Network, job: &str, status: i32) -> (Vec<u8>, String) {
    let (out, proofs) = (network.file(&format!("{job}-out")), network.file(&format!("{job}-proofs")));
    let fetched = network.run(&["result", job, "--out", &out, "--proofs", &proofs]);
    assert_eq!(fetched.status, Some(status), "{fetched:#?}");
    let read = |name: &str| fs::read(Path::new(&out).join("0").join(name)).expect("written");
    assert_eq!((read("stdout"), read("stderr")), (STDOUT.into(), b"as it turns out\n".to_vec()));
    (read("out/model"), format!("{proofs}/0.proof"))
}

/// What `status`, `explain` and `logs` say of a job's only task.
fn said(network: &Network, job: &str) -> [String; 3] {
    let [status, explain] = [["status", job], ["explain", &format!("{job}/0")]].map(|command| {
        let ended = network.run(&command);
        ended.good().to_owned()
    });
    let logs = network.run(&["logs", job]);
    logs.good();
    [status, explain, logs.stderr]
}

fn verified(network: &Network, proof: &str) -> Value {
    let verified: Value = serde_json::from_str(network.run(&["verify", proof, "--json"]).good()).expect("JSON");
    verified[0].clone()
}

#[test]
fn a_status_other_than_0_fails_by_default_and_what_the_program_left_is_fetched_all_the_same() {
    let network = Network::start();
    for arguments in [&[][..], &["--", "large"]] {
        let (job, status) = submit(&network, "sat.wasm", arguments);
        assert_eq!(status, Some(3));
        let (model, proof) = fetch(&network, &job, 3);
        let large = if arguments.is_empty() { MODEL.len() } else { 100 << 10 };
        assert!(model.starts_with(MODEL) && model.len() == large, "{} bytes", model.len());
        let verified = verified(&network, &proof);
        assert_eq!((&verified["outcome"], &verified["status"]), (&"failed: exited with status 10".into(), &10.into()));
        for text in said(&network, &job) {
            assert!(text.contains("exited with status 10"), "{text}");
        }
        let alone = network.run(&["result", &job]);
        assert_eq!((alone.status, alone.stdout.as_str()), (Some(3), STDOUT), "{alone:#?}");
        let logs = network.run(&["logs", &job]);
        assert_eq!(logs.good(), format!("{STDOUT}as it turns out"));
    }
    // While it is tried again, nothing is kept; the last attempt's is.
    let (job, _) = submit(&network, "sat.wasm", &["--retries", "1", "--retry-delay", "10ms", "--", "large"]);
    assert_eq!(fetch(&network, &job, 3).0.len(), 100 << 10);
    let status: Value = serde_json::from_str(network.run(&["status", &job, "--json"]).good()).expect("JSON");
    let attempts = status["task_list"][0]["attempts"].as_array().expect("attempts").clone();
    assert_eq!(attempts.len(), 2, "{status}");
    assert!(attempts.iter().all(|attempt| attempt["ended"] == "exited with status 10"), "{status}");
}

#[test]
fn the_submitter_says_which_statuses_are_successes_and_the_proof_shows_which_it_was() {
    let network = Network::start();
    let by_flag = submit(&network, "sat.wasm", &["--success", "0,10,20"]);
    fs::copy(program("sat.wasm"), network.file("sat.wasm")).expect("copied");
    let file = network.write(
        "job.toml",
        "[tasks.solve]\nprogram = \"sat.wasm\"\narguments = [\"large\"]\nsuccess = [0, 10, 20]\n\
         [tasks.after]\nprogram = \"wordcount.wasm\"\ninputs = { all = { from = \"solve\" } }\n",
    );
    let by_file = network.run(&["submit", &file, "--wait"]);
    by_file.good();
    let none =
        network.run(&["submit", &network.write("none.toml", "[tasks.none]\nprogram = \"sat.wasm\"\nsuccess = []\n")]);
    none.bad(2, &["No status would mean success", "success = [0]"]);
    assert_eq!(by_flag.1, Some(0));
    let (model, proof) = fetch(&network, &by_flag.0, 0);
    assert_eq!(model, MODEL);
    let verified = verified(&network, &proof);
    assert_eq!((&verified["outcome"], &verified["status"]), (&"succeeded with status 10".into(), &10.into()));
    let words = ["succeeded with status 10", "10, which its task counts as a success", "succeeded with status 10"];
    for (text, words) in said(&network, &by_flag.0).iter().zip(words) {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    let listed: Value = serde_json::from_str(network.run(&["result", &by_flag.0, "--json"]).good()).expect("JSON");
    assert_eq!((&listed[0]["succeeded"], &listed[0]["status"]), (&true.into(), &10.into()));
}

#[test]
fn the_limit_that_was_reached_is_named_with_its_value_and_the_flag_that_raises_it() {
    let network = Network::start();
    let cases: [(&str, &[&str], &str); 4] = [
        ("hog.wasm", &["--memory", "2MiB", "--output-limit", "1MiB"], "ran out of memory: it may have 2 MiB (--memory"),
        ("spin.wasm", &["--fuel", "1000000"], "ran out of fuel: an attempt may spend 1000000 (--fuel"),
        ("flood.wasm", &["--output-limit", "64KiB"], "they may have 64 KiB (--output-limit"),
        ("sat.wasm", &["--timeout", "1s", "--", "a", "b", "c"], "an attempt may take 1s (--timeout"),
    ];
    for (name, flags, words) in cases {
        let (job, status) = submit(&network, name, flags);
        assert_eq!(status, Some(3), "{name}");
        for text in said(&network, &job) {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        match name {
            "flood.wasm" => assert_eq!(network.run(&["result", &job]).stdout.len(), 64 << 10, "what fits is kept"),
            "sat.wasm" => assert_eq!(fetch(&network, &job, 3).0, MODEL),
            _ => {}
        }
    }
    let (job, _) = submit(&network, "sat.wasm", &["--", "a", "b"]);
    assert_eq!(fetch(&network, &job, 3).0, MODEL, "a program that traps keeps what it had written");
}
