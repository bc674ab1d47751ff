//! Tasks that leave very many small files: their outputs take few blobs, and every file comes back.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::Value;

use crate::{running::blobs, workflows::Network};

const FILES: usize = 1000;
const BYTES: usize = 170;

/// The content of the file with this number, as `tests/programs/tiny.c` says.
fn content(number: usize) -> Vec<u8> {
    let mut content = vec![b'.'; BYTES];
    content[..6].copy_from_slice(format!("{number:05}\n").as_bytes());
    content
}

#[test]
fn a_thousand_tiny_files_take_a_handful_of_blobs_come_back_whole_and_are_read_by_the_next_task() {
    let network = Network::start();
    let file = network.write(
        "job.toml",
        &format!(
            "[tasks.tiny]\nprogram = \"tiny.wasm\"\narguments = [\"{FILES}\", \"{BYTES}\"]\n\
             [tasks.count]\nprogram = \"wordcount.wasm\"\ninputs = {{ all = {{ from = \"tiny\" }} }}\n"
        ),
    );
    let before = ["peer", "worker"].map(|home| blobs(&Path::new(&network.file(home)).join("data")));
    let submitted = network.run(&["submit", &file, "--wait"]);
    let job = submitted.good().trim().to_owned();
    let kept = ["peer", "worker"].map(|home| blobs(&Path::new(&network.file(home)).join("data")));
    for (home, (kept, before)) in ["peer", "worker"].iter().zip(kept.into_iter().zip(before)) {
        // Two programs, and of each output a manifest, a pack and perhaps standard error; not a thousand.
        assert!(kept > before && kept - before <= 12, "{home} keeps {before} and then {kept} blobs");
    }

    let out = network.file("results");
    network.run(&["result", &job, "--out", &out]).good();
    let results = Path::new(&out);
    assert_eq!(fs::read(results.join("0/stdout")).expect("written"), format!("{FILES}\n").into_bytes());
    assert_eq!(fs::read_dir(results.join("0/out")).expect("written").count(), FILES);
    for number in 0..FILES {
        let path = results.join(format!("0/out/{number:05}"));
        assert!(fs::read(&path).expect("written") == content(number), "{}", path.display());
    }
    let counts = fs::read_to_string(results.join("1/out/counts")).expect("written");
    let total = format!("{FILES} {} {} total", 2 * FILES, FILES * BYTES);
    assert_eq!((counts.lines().count(), counts.lines().last()), (FILES + 1, Some(total.as_str())));

    let listed: Vec<Value> = serde_json::from_str(network.run(&["result", &job, "--json"]).good()).expect("JSON");
    let sizes: BTreeMap<&str, u64> = listed[0]["files"]
        .as_array()
        .expect("files")
        .iter()
        .map(|file| (file["path"].as_str().expect("a path"), file["bytes"].as_u64().expect("a size")))
        .collect();
    assert!(sizes.len() == FILES && sizes.values().all(|bytes| *bytes == BYTES as u64));
}
