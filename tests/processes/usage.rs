//! The accounts of a small job, in every form in which they are shown.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{mesh::path, running::program, workflows::Network};

const FIGURES: [&str; 16] = [
    "tasks_submitted",
    "attempts_leased",
    "attempts_succeeded",
    "attempts_answered",
    "attempts_failed",
    "attempts_lost",
    "attempts_returned",
    "attempts_preempted",
    "attempts_cancelled",
    "late_successes",
    "cpu_us",
    "slot_ms",
    "reserved_core_us",
    "reserved_mib_ms",
    "lost_core_us",
    "output_bytes",
];

fn figures(row: &Value) -> BTreeMap<&'static str, u64> {
    let figure = |name: &str| row[name].as_u64().unwrap_or_else(|| panic!("{name} in {row}"));
    FIGURES.iter().map(|name| (*name, figure(name))).collect()
}

fn report(network: &Network, more: &[&str]) -> Value {
    let shown = network.run(&[&["usage", "--json"], more].concat());
    serde_json::from_str(shown.good()).expect("JSON")
}

#[test]
fn what_a_job_used_is_the_same_by_whatever_it_is_added_up() {
    let network = Network::start();
    let (a, b) = (network.write("a.txt", "one two\n"), network.write("b.txt", "three\n"));
    let (wordcount, spin) = (program("wordcount.wasm"), program("spin.wasm"));
    network.run(&["submit", path(&wordcount), "--each", &a, &b, "--wait", "--name", "words, counted"]).good();
    network.run(&["submit", path(&spin), "--timeout", "500ms", "--wait"]).bad(3, &["1 failed"]);

    let by_submitter = report(&network, &[]);
    let all = figures(&by_submitter["total"]);
    assert_eq!((all["tasks_submitted"], all["attempts_succeeded"], all["attempts_failed"]), (3, 2, 1), "{all:?}");
    assert!(all["attempts_leased"] >= 3 && all["output_bytes"] > 0 && all["slot_ms"] >= 400, "{all:?}");
    assert!(all["cpu_us"] > 0 && all["cpu_us"] <= all["reserved_core_us"], "{all:?}");
    assert!(all["lost_core_us"] > 0 && all["lost_core_us"] <= all["reserved_core_us"], "{all:?}");
    assert!(all["reserved_mib_ms"] >= 128 * all["slot_ms"] - 128, "each task has 128 MiB: {all:?}");
    let rows = by_submitter["rows"].as_array().expect("rows");
    assert_eq!((rows.len(), figures(&rows[0])), (1, all.clone()), "{by_submitter}");

    let mut of_workers = figures(&report(&network, &["--by", "worker"])["total"]);
    assert_eq!(of_workers.insert("tasks_submitted", 3), Some(0));
    assert_eq!(of_workers, all);

    let by_job = report(&network, &["--by", "job", "--mine"]);
    let names: Vec<&str> =
        by_job["rows"].as_array().expect("rows").iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!((names, figures(&by_job["total"])), (vec!["words, counted", "spin"], all.clone()), "{by_job}");

    let by_day = report(&network, &["--by", "day"]);
    assert_eq!(figures(&by_day["total"]), all);
    let day = by_day["rows"][0]["day"].as_str().expect("a date").to_owned();
    assert!(day.len() == 10 && day.starts_with("20"), "{day}");
    let of_day = report(&network, &["--by", "submitter", "--from", &day]);
    assert_eq!(figures(&of_day["total"]), all);
    let before = report(&network, &["--by", "day", "--to", "2020-01-01"]);
    assert_eq!(before["rows"].as_array().map(Vec::len), Some(0), "{before}");

    let key = rows[0]["key"].as_str().expect("a key");
    assert_eq!(figures(&report(&network, &["--of", &key[..12]])["total"]), all);
    network.run(&["usage", "--of", "0000"]).bad(2, &["No key"]);

    let shown = network.run(&["usage", "--by", "job", "--csv"]);
    let mut csv = csv::Reader::from_reader(shown.stdout.as_bytes());
    let columns: Vec<String> = csv.headers().expect("columns").iter().map(str::to_owned).collect();
    assert_eq!(columns[..4], ["day", "key", "job", "name"]);
    assert_eq!(columns[4..], FIGURES);
    let records: Vec<csv::StringRecord> = csv.records().map(|record| record.expect("a row")).collect();
    assert_eq!((records.len(), &records[0][0], &records[0][3]), (2, day.as_str(), "words, counted"), "{shown:#?}");
    for (place, name) in (4..).zip(FIGURES) {
        let sum: u64 = records.iter().map(|record| record[place].parse::<u64>().expect("a figure")).sum();
        assert_eq!(sum, all[name], "{name} in {shown:#?}");
    }

    let table = network.run(&["usage", "--by", "worker"]);
    assert!(table.good().trim_start().starts_with("WORKER"), "{table:#?}");
    assert!(table.good().lines().last().expect("a line").trim_start().starts_with("total of 1"), "{table:#?}");
}
