//! What the command line answers to bad input, and what it does without a node.

use std::{fs, net::TcpListener, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use crate::running::{Ended, program, run};

const SOON: Duration = Duration::from_secs(20);

fn init(home: &Path) -> String {
    run(home, &["init"], SOON).good().to_owned()
}

/// A home with a key and the genesis of a network whose only authority has that key.
fn home_of_an_authority() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a directory");
    let key = init(home.path());
    let genesis = home.path().join("genesis.toml");
    let authority = format!("one={key}@/ip4/127.0.0.1/tcp/0");
    run(home.path(), &["genesis", "new", "test", "--authority", &authority, "--out", path(&genesis)], SOON).good();
    home
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn up(home: &Path, more: &[&str]) -> Ended {
    run(home, &[&["up", "--no-mdns", "--no-work"], more].concat(), SOON)
}

#[test]
fn a_key_is_made_once_and_its_public_half_is_all_of_standard_output() {
    let home = tempfile::tempdir().expect("a directory");
    let key = init(home.path());
    assert_eq!(key.len(), 64);
    let mode = fs::metadata(home.path().join("key")).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    run(home.path(), &["init"], SOON).bad(2, &["already"]);
}

#[test]
fn a_key_that_others_may_read_is_refused_with_advice() {
    let home = home_of_an_authority();
    fs::set_permissions(home.path().join("key"), fs::Permissions::from_mode(0o644)).expect("changed");
    up(home.path(), &[]).bad(2, &["mode 644", "chmod 600"]);
}

#[test]
fn a_missing_key_or_genesis_is_named_with_the_next_step() {
    let home = tempfile::tempdir().expect("a directory");
    up(home.path(), &[]).bad(2, &["genesis.toml", "--genesis"]);
    let other = home_of_an_authority();
    let genesis = other.path().join("genesis.toml");
    up(home.path(), &["--genesis", path(&genesis)]).bad(2, &["meshwork init"]);
}

#[test]
fn a_genesis_with_an_unknown_field_is_refused_at_its_line() {
    let home = home_of_an_authority();
    let file = home.path().join("genesis.toml");
    let text = fs::read_to_string(&file).expect("read").replace("delta_ms", "delta_msec");
    let line = text.lines().position(|line| line.contains("delta_msec")).expect("it is there") + 1;
    fs::write(&file, text).expect("written");
    up(home.path(), &[]).bad(2, &["delta_msec", &format!("line {line}")]);
}

#[test]
fn a_genesis_with_two_authorities_of_one_key_is_refused_at_its_line() {
    let home = home_of_an_authority();
    let file = home.path().join("genesis.toml");
    let text = fs::read_to_string(&file).expect("read");
    let authority = &text[text.find("[[authorities]]").expect("one")..];
    fs::write(&file, format!("{text}\n{authority}")).expect("written");
    up(home.path(), &[]).bad(2, &["line ", "same key"]);
    let key = run(home.path(), &["init", "--key", path(&home.path().join("other"))], SOON).good().to_owned();
    let twice = [format!("a={key}"), format!("b={key}")];
    let arguments = ["genesis", "new", "x", "--authority", &twice[0], "--authority", &twice[1]];
    run(home.path(), &arguments, SOON).bad(2, &["same key"]);
}

#[test]
fn a_genesis_is_not_written_over() {
    let home = home_of_an_authority();
    let key = fs::read_to_string(home.path().join("genesis.toml")).expect("read");
    let authority = format!("one={}", "ab".repeat(32));
    let out = home.path().join("genesis.toml");
    let again = run(home.path(), &["genesis", "new", "x", "--authority", &authority, "--out", path(&out)], SOON);
    assert_ne!(again.status, Some(0));
    assert_eq!(fs::read_to_string(out).expect("read"), key);
}

#[test]
fn a_port_in_use_is_a_sentence() {
    let home = home_of_an_authority();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    up(home.path(), &["--api", &address.to_string()]).bad(1, &[&address.port().to_string(), "in use"]);
    let listen = format!("/ip4/127.0.0.1/tcp/{}", address.port());
    up(home.path(), &["--listen", &listen]).bad(1, &[&address.port().to_string(), "in use"]);
}

#[test]
fn a_key_on_a_read_only_mount_is_used_once_its_journals_id_has_another_place() {
    let home = home_of_an_authority();
    let keys = home.path().join("keys");
    fs::create_dir(&keys).expect("created");
    fs::rename(home.path().join("key"), keys.join("key")).expect("moved");
    // Whoever may write anywhere, as root may, is not stopped by permissions, but by what is no directory.
    let nowhere = home.path().join("genesis.toml").join("id");
    let key = keys.join("key");
    let line = |id: &Path| ["--key".to_owned(), path(&key).to_owned(), "--journal-id".to_owned(), path(id).to_owned()];
    let (bad, good) = (line(&nowhere), line(&home.path().join("id")));
    let with = |line: &[String; 4]| {
        up(home.path(), &[&line.each_ref().map(String::as_str)[..], &["--until-stdin-closes"]].concat())
    };
    with(&bad).bad(2, &["journal's id", "--journal-id"]);
    with(&good).good();
    assert!(home.path().join("id").exists() && !keys.join("key.journal-id").exists());
}

#[test]
fn an_authoritys_address_does_not_end_in_another_peers_id() {
    let home = tempfile::tempdir().expect("a directory");
    let key = init(home.path());
    let astray = format!("one={key}@/ip4/127.0.0.1/tcp/4/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN");
    run(home.path(), &["genesis", "new", "x", "--authority", &astray], SOON).bad(2, &["another peer's id", "tcp/4"]);
}

#[test]
fn what_is_no_module_is_heard_before_any_node_is_asked() {
    let home = tempfile::tempdir().expect("a directory");
    init(home.path());
    let file = home.path().join("program.wasm");
    fs::write(&file, "#!/bin/sh\necho no\n").expect("written");
    run(home.path(), &["submit", path(&file)], SOON).bad(2, &["program.wasm", "not a WebAssembly module"]);
    run(home.path(), &["submit", path(&home.path().join("nothing"))], SOON).bad(2, &["nothing", "check the path"]);
}

#[test]
fn without_a_node_commands_say_how_to_get_one() {
    let home = tempfile::tempdir().expect("a directory");
    init(home.path());
    for command in [&["status"][..], &["jobs"], &["workers"], &["peers"], &["usage"], &["jobs", "--json"]] {
        run(home.path(), command, SOON).bad(4, &["meshwork up"]);
        let elsewhere = [command, &["--api", "127.0.0.1:9"]].concat();
        run(home.path(), &elsewhere, SOON).bad(4, &["127.0.0.1:9", "meshwork up"]);
    }
    let noop = program("noop.wasm");
    run(home.path(), &["submit", path(&noop)], SOON).bad(4, &["meshwork up"]);
}

#[test]
fn a_job_file_is_shown_without_a_node_or_a_key() {
    let home = tempfile::tempdir().expect("a directory");
    let demo = program("demo.toml");
    let shown = run(home.path(), &["submit", path(&demo), "--dry-run"], SOON);
    assert!(shown.good().contains("tiles: 300 tasks of"), "{shown:#?}");
    let shown = run(home.path(), &["submit", path(&demo), "--dry-run", "--json", "--set", "samples=1"], SOON);
    let graph: serde_json::Value = serde_json::from_str(shown.good()).expect("JSON");
    assert_eq!(graph["arrays"][0]["list"].as_array().map(Vec::len), Some(300));
    assert!(graph["arrays"][0]["list"][0]["inputs"][0]["from"].as_str().expect("a text").contains("samples 1"));
    let dot = run(home.path(), &["submit", path(&demo), "--dry-run", "--dot"], SOON);
    assert!(dot.good().starts_with("digraph \"demo image\" {"), "{dot:#?}");
    let schema: serde_json::Value =
        serde_json::from_str(run(home.path(), &["submit", "--schema"], SOON).good()).expect("JSON");
    assert_eq!(schema["title"], "Meshwork job file");
}

#[test]
fn what_is_wrong_with_a_job_file_is_shown_at_its_place() {
    let home = tempfile::tempdir().expect("a directory");
    let file = home.path().join("job.toml");
    let noop = program("noop.wasm");
    let text = format!("[defaults]\nprogram = {noop:?}\n\n[tasks.tiles]\n[tasks.join]\nafter = [\"tile\"]\n");
    fs::write(&file, text).expect("written");
    let shown = run(home.path(), &["submit", path(&file), "--dry-run"], SOON);
    shown.bad(2, &["job.toml:6:10: No task is named `tile`; did you mean `tiles`", "after = [\"tile\"]", "^^^^^^"]);
}

#[test]
fn what_proves_nothing_is_said_to() {
    let home = home_of_an_authority();
    let file = home.path().join("x.proof");
    fs::write(&file, "no proof at all").expect("written");
    let verified = run(home.path(), &["verify", path(&file), "--json"], SOON);
    verified.bad(5, &["1 of 1 proofs do not hold"]);
    assert!(verified.stdout.contains("\"holds\": false"), "{verified:#?}");
}

#[test]
fn wrong_arguments_are_a_usage_error() {
    let home = tempfile::tempdir().expect("a directory");
    run(home.path(), &["submit"], SOON).bad(2, &["PROGRAM"]);
    run(home.path(), &["submit", "x.wasm", "--dry-run"], SOON).bad(2, &["x.wasm", ".toml"]);
    run(home.path(), &["submit", "x.toml", "--count", "3"], SOON).bad(2, &["--count"]);
    run(home.path(), &["usage", "--from", "yesterday"], SOON).bad(2, &["YYYY-MM-DD"]);
    run(home.path(), &["usage", "--csv", "--json"], SOON).bad(2, &["not both"]);
    run(home.path(), &["submit", "--close"], SOON).bad(2, &["--to"]);
    run(home.path(), &["up", "--listen", "127.0.0.1:4"], SOON).bad(2, &["/ip4/"]);
    run(home.path(), &["status", "--api", "https://example.com"], SOON).bad(2, &["127.0.0.1:7420"]);
    fs::write(home.path().join("config.toml"), "unknown = 1\n").expect("written");
    run(home.path(), &["status"], SOON).bad(2, &["config.toml", "unknown"]);
}

#[test]
fn what_a_worker_would_say_of_a_program_is_said_without_a_node() {
    let home = tempfile::tempdir().expect("a directory");
    let said = run(home.path(), &["check", path(&program("wordcount.wasm"))], SOON);
    for part in ["a worker would run it", "fd_read", "the first WebAssembly", "the same on every machine"] {
        assert!(said.good().contains(part), "{part}: {}", said.good());
    }
    let said = run(home.path(), &["check", "--json", path(&program("noop.wasm"))], SOON);
    let said: serde_json::Value = serde_json::from_str(said.good()).expect("JSON");
    assert_eq!((&said["imports"], said["memory_bytes_max"].as_u64()), (&serde_json::json!([]), None));
    let other = home.path().join("program.wasm");
    fs::write(&other, b"\x7fELF\x02\x01").expect("written");
    run(home.path(), &["check", path(&other)], SOON).bad(2, &["native program", "wasm32-wasip1"]);
}
