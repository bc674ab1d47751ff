//! What people bring along and what they are told: odd names, bytes that are no text, pipes, other jobs' directories.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    mesh::path,
    running::{Running, command, program, run, run_program},
    workflows::Network,
};

const SOON: Duration = Duration::from_secs(60);

/// Runs a command in a shell that has the program's path in `$M`, for redirections and pipes.
fn shell(network: &Network, script: &str) -> (Option<i32>, Vec<u8>, String) {
    let arguments = network.arguments();
    let mut bash = Command::new("bash");
    let home = command(Path::new(&network.file("user")), &[]);
    for (name, value) in home.get_envs() {
        match value {
            Some(value) => bash.env(name, value),
            None => bash.env_remove(name),
        };
    }
    let quoted: Vec<String> = arguments.iter().map(|argument| format!("'{argument}'")).collect();
    let script = format!("M() {{ '{}' {} \"$@\"; }}\n{script}", crate::running::MESHWORK, quoted.join(" "));
    let ended = bash.args(["-c", &script]).stdin(Stdio::null()).output().expect("a shell");
    (ended.status.code(), ended.stdout, String::from_utf8_lossy(&ended.stderr).into_owned())
}

#[test]
fn results_are_fetched_whatever_their_names_and_bytes_are() {
    let network = Network::start();
    let names = network.file("names.wasm");
    fs::copy(program("names.wasm"), &names).expect("copied");
    let odd = ["a:b", "c\\d", "2026-01-31T18:00:00.csv", "sub/e?f", "plain"];
    let submit = [&["submit", &names, "--wait", "--"][..], &odd].concat();
    let job = network.run(&submit).good().to_owned();
    let out = network.file("results");
    network.run(&["result", &job, "--out", &out]).good();
    for name in odd {
        assert_eq!(fs::read_to_string(format!("{out}/0/out/{name}")).expect(name), name);
    }

    // What it wrote to standard output is nothing, and so is the file that takes it. People get the table besides.
    let alone = network.run(&["result", &job, "--index", "0"]);
    assert_eq!((alone.status, alone.stdout.as_str()), (Some(0), ""), "{alone:#?}");
    assert!(alone.stderr.contains("OUTCOME") && alone.stderr.contains("plain"), "{alone:#?}");

    // A directory of one job's results takes no others.
    let bytes = network.file("bytes");
    fs::write(&bytes, b"\xff\x00text\xfe\n").expect("written");
    let echo = network.file("echo.wasm");
    let other = network.run(&["submit", &echo, "--stdin", &bytes, "--wait"]).good().to_owned();
    network.run(&["result", &other, "--out", &out]).bad(2, &[&job, "another directory"]);

    // Bytes go out as they came, and a pipe is an input like any other.
    for fetch in ["result", "logs --stdout"] {
        let (status, stdout, stderr) = shell(&network, &format!("M {fetch} {other} | cat"));
        assert_eq!((status, &stdout[..]), (Some(0), &b"\xff\x00text\xfe\n"[..]), "{fetch}: {stderr}");
    }
    let script = format!("M result $(M submit '{echo}' --stdin <(printf 'through a pipe') --wait)");
    let (status, stdout, stderr) = shell(&network, &script);
    assert_eq!((status, &stdout[..]), (Some(0), &b"through a pipe"[..]), "{stderr}");
    let script = format!("printf words | M submit '{echo}' --stdin /dev/stdin --wait | xargs -I{{}} echo {{}}");
    let (status, stdout, stderr) = shell(&network, &script);
    assert_eq!((status, stdout.len()), (Some(0), 65), "{stderr}");
    network.run(&["submit", &echo, "--input", &network.file("nothing-there")]).bad(2, &["nothing-there"]);
}

#[test]
fn who_waits_hears_what_was_skipped_and_which_file_nobody_left() {
    let network = Network::start();
    let file = network.write(
        "missing.toml",
        "[defaults]\nprogram = \"wordcount.wasm\"\n[tasks.first]\ninputs = { x = { text = \"x\" } }\n\
         [tasks.second]\ninputs = { y = { from = \"first\", file = \"no-such.csv\" } }\n\
         [tasks.third]\nafter = \"second\"\n",
    );
    let job = network.run(&["submit", &file]).good().to_owned();
    let waited = network.run(&["wait", &job]);
    waited.bad(3, &["1 succeeded, 1 failed, 1 skipped of 3 tasks"]);
    assert!(waited.stdout.contains(&job[..12]), "{waited:#?}");
    network.run(&["result", &job, "--index", "2"]).bad(3, &["was skipped"]);
    network.run(&["logs", &format!("{job}/2")]).bad(3, &["was skipped"]);
    let logs = network.run(&["logs", &job]);
    assert!(logs.stderr.contains("1 skipped"), "{logs:#?}");
    assert!(logs.good().contains("takes the file \"no-such.csv\" of task 0"), "{logs:#?}");
    network.run(&["result", &job]).bad(3, &["2 of 3 tasks have an outcome: 1 skipped"]);
    network.run(&["wait", &job, &"ab".repeat(32), "--timeout", "2s"]).bad(1, &["2s"]);

    // What exceeds a bound is named before anything is signed.
    let echo = network.file("echo.wasm");
    let days = ["submit", &echo, "--retries", "1", "--retry-delay", "400days"];
    network.run(&days).bad(2, &["The retry delay is 400d, and may be at most"]);
    let (a, b) = (network.write("a", "a"), network.write("b", "b"));
    let below = ["submit", &echo, "--input", &format!("{a}=x"), "--input", &format!("{b}=x/y")];
    network.run(&below).bad(2, &["/in/x/y", "another input"]);
    network.run(&["submit", &echo, "--env", "MESHWORK_TASK_INDEX=7"]).bad(2, &["MESHWORK_"]);
    network.run(&["submit", &file, "--priority", "0"]).bad(2, &["--priority"]);
}

#[test]
fn waiting_goes_on_while_the_node_is_started_anew_elsewhere() {
    let mut network = Network::start();
    let text = "not-before = \"6s\"\n[tasks.only]\nprogram = \"noop.wasm\"\n";
    let file = network.write("later.toml", text);
    let job = network.run(&["submit", &file]).good().to_owned();
    // It finds the node by what that has written into its own home.
    let home = network.file("peer");
    let wait = |arguments: &[&str]| {
        let mut waiting = command(Path::new(&home), &[arguments, &["--log", "meshwork=debug"]].concat());
        let mut waiting = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        let mut said = BufReader::new(waiting.stderr.take().expect("a pipe"));
        let mut line = String::new();
        while !line.contains("on the ledger") {
            line.clear();
            assert_ne!(said.read_line(&mut line).expect("text"), 0, "it has ended");
        }
        (waiting, said)
    };
    let waiting = [wait(&["wait", &job]), wait(&["wait", "--json", &job[..16]])];
    network.start_peer_anew();
    for (waiting, mut said) in waiting {
        let mut stderr = String::new();
        said.read_to_string(&mut stderr).expect("text");
        let ended = waiting.wait_with_output().expect("it ends");
        let stdout = String::from_utf8_lossy(&ended.stdout);
        assert!(ended.status.success() && stdout.contains(&job[..12]), "{stdout} {stderr}");
        assert!(stderr.contains("does not answer"), "{stderr}");
    }
}

#[test]
fn a_peer_that_cannot_be_reached_is_shown_with_the_reason_and_one_address_that_stands_is_enough() {
    let home = tempfile::tempdir().expect("a directory");
    let key = run(home.path(), &["init"], SOON).good().to_owned();
    let genesis = home.path().join("genesis.toml");
    let port = || TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    let authority = format!("one={key}@/ip4/127.0.0.1/tcp/{}", port());
    run(home.path(), &["genesis", "new", "test", "--authority", &authority, "--out", path(&genesis)], SOON).good();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (closed, both) = (port(), port());
    let lines = [
        format!("/ip4/0.0.0.0/tcp/{both}"),
        format!("/ip6/::/tcp/{both}"),
        format!("/ip4/127.0.0.1/tcp/{}", taken.local_addr().expect("an address").port()),
        format!("/ip4/127.0.0.1/tcp/{closed}"),
        "/dns4/no-such-host.invalid/tcp/4100".to_owned(),
    ];
    let up = ["up", "--no-mdns", "--no-work", "--listen", &lines[0], "--listen", &lines[1], "--listen", &lines[2]];
    let up = [&up[..], &["--peer", &lines[3], "--peer", &lines[4]]].concat();
    let log = home.path().join("log");
    let to_log = fs::File::create(&log).expect("a log");
    let _peer = Running(command(home.path(), &up).stdout(Stdio::null()).stderr(to_log).spawn().expect("started"));
    let until = std::time::Instant::now() + SOON;
    let peers = loop {
        let shown = run(home.path(), &["peers", "--json"], SOON);
        let peers: Vec<Value> = serde_json::from_str(&shown.stdout).unwrap_or_default();
        let log = fs::read_to_string(&log).expect("a log");
        if peers.len() == 2 && log.contains("cannot be reached") {
            break peers;
        }
        assert!(std::time::Instant::now() < until, "{shown:#?} {log}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let problem = |address: &str| {
        let peer = peers.iter().find(|peer| peer["addresses"][0] == address).expect("dialled");
        peer["problem"].as_str().expect("a problem").to_owned()
    };
    assert!(problem(&lines[3]).contains("refused"), "{peers:#?}");
    assert!(problem(&lines[4]).contains("no-such-host.invalid"), "{peers:#?}");
    let log = fs::read_to_string(&log).expect("a log");
    assert!(log.contains("goes on with its other addresses") && log.contains(&lines[2]), "{log}");
    // The machine may have no IPv6, but nothing else has that port.
    assert!(!log.contains(&format!("cannot listen on {}: Address already in use", lines[1])), "{log}");
    let table = run_program(&mut command(home.path(), &["peers"]), SOON);
    assert!(table.good().contains("refused"), "{table:#?}");
}
