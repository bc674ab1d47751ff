//! Folders as inputs: sent once for all tasks, mounted where the program looks for them, and left again.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{running::blobs, workflows::Network};

const FILES: usize = 300;

/// Writes a folder of many small files and a large one, and says how many lines they have.
fn fill(network: &Network, folder: &str) -> usize {
    for number in 0..FILES {
        network.write(&format!("{folder}/{}/.file-{number}", number % 7), &format!("file {number}\n"));
    }
    network.write(&format!("{folder}/large"), &"a line\n".repeat(20_000));
    fs::create_dir_all(network.file(&format!("{folder}/nothing/here"))).expect("created");
    FILES + 20_000
}

#[test]
fn a_folder_of_hundreds_of_files_is_mounted_for_every_task_and_sent_once() {
    let network = Network::start();
    let lines = fill(&network, "share");
    let before = blobs(&Path::new(&network.file("worker")).join("data"));
    let (mount, input) =
        (format!("/usr/share/tool={}", network.file("share")), format!("{}=own/f", network.file("share")));
    let program = network.file("walk.wasm");
    let arguments = ["submit", &program, "--count", "3", "--mount", &mount, "--input", &input, "--argv0", "my-walk"];
    let submitted = network.run(&[&arguments[..], &["--wait", "--", "/usr/share/tool", "in/own"]].concat());
    let job = submitted.good().trim().to_owned();
    let kept = blobs(&Path::new(&network.file("worker")).join("data"));
    // The program, the list, a pack and the large file, and what three tasks leave.
    assert!(kept > before && kept - before <= 12, "the worker keeps {before} and then {kept} blobs");

    let out = network.file("results");
    network.run(&["result", &job, "--out", &out]).good();
    let expected = format!(
        "my-walk\n/usr/share/tool {} files {lines} lines 1 empty\nin/own {} files {lines} lines 1 empty\n",
        FILES + 1,
        FILES + 1
    );
    for task in 0..3 {
        let results = Path::new(&out).join(task.to_string());
        assert_eq!(fs::read_to_string(results.join("stdout")).expect("written"), expected);
        assert_eq!(fs::read_to_string(results.join("out/copy/name")).expect("written"), "my-walk\n");
        assert_eq!(fs::read_dir(results.join("out/copy/empty")).expect("a folder").count(), 0);
    }
    let listed: Vec<Value> = serde_json::from_str(network.run(&["result", &job, "--json"]).good()).expect("JSON");
    assert_eq!(listed[0]["empty_folders"], serde_json::json!(["copy/empty"]));
}

#[test]
fn a_job_file_gives_folders_of_this_machine_and_folders_that_tasks_left() {
    let network = Network::start();
    let lines = fill(&network, "share");
    let file = network.write(
        "job.toml",
        "[defaults]\nprogram = \"walk.wasm\"\n\
         [tasks.first]\nargv0 = \"one\"\narguments = [\"/in/include\"]\n\
         inputs = { include = { folder = \"share\" } }\n\
         [tasks.second]\narguments = [\"/left\", \"/conf\"]\n\
         mounts = { \"/left\" = { from = \"first\" }, \"/conf/text\" = { text = \"one line\\n\" } }\n",
    );
    let shown = network.run(&["submit", &file, "--dry-run"]).good().to_owned();
    assert!(shown.contains("/in/include = all in ") && shown.contains("/left = first"), "{shown}");
    let job = network.run(&["submit", &file, "--wait"]).good().trim().to_owned();
    let said = |task: u32| network.run(&["result", &job, "--index", &task.to_string()]).good().to_owned();
    assert_eq!(said(0).trim(), format!("one\n/in/include {} files {lines} lines 1 empty", FILES + 1));
    assert_eq!(said(1).trim(), "task\n/left 1 files 1 lines 1 empty\n/conf 1 files 1 lines 0 empty");
}
