//! Floods the API of a real peer with thousands of connections of every bad kind. Meanwhile the peer must say that it
//! is healthy, and take little memory; afterwards it must have closed every file again.
//!
//! `cargo test` runs a short form. The long form has ten thousand connections of each kind and prints what it
//! measured:
//!
//! ```sh
//! cargo test --release -p meshwork --test flood -- --ignored --nocapture
//! ```

mod attack;
mod measure;

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use meshwork::local_mesh::{LocalMesh, Plan};
use tokio::time::sleep;

use crate::{
    attack::{Attack, Flood},
    measure::{Latencies, Prober, Process},
};

/// How much memory the peer may take beyond what it takes at rest, in bytes.
const MEMORY_BYTES_MAX: u64 = 64 << 20;
/// How late health may answer.
const HEALTH_WITHIN: Duration = Duration::from_millis(100);
/// How long it may take until everything is given back.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(60);
/// How many files more than at rest may be open for other reasons, such as connections of the mesh.
const FILES_MORE: usize = 16;

/// How large a flood of each kind is.
struct Size {
    connections: usize,
    lasts: Duration,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_hundreds_keeps_nobody_from_an_answer() {
    let latencies = flood(&Size { connections: 600, lasts: Duration::from_secs(3) }).await;
    assert!(latencies.iter().all(|of_kind| of_kind.answered > 0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes and twelve thousand open files"]
async fn a_flood_of_ten_thousand_of_each_kind_keeps_health_within_100_ms() {
    for latencies in flood(&Size { connections: 10_000, lasts: Duration::from_secs(20) }).await {
        assert!(latencies.p99 <= HEALTH_WITHIN, "{latencies:?}");
    }
}

/// Floods a peer with each kind in turn, checks it, and returns how fast health was answered during each.
async fn flood(size: &Size) -> Vec<Latencies> {
    measure::raise_file_limit(size.connections + 1000);
    let plan = Plan::new("flooded", 1, 1, 1).expect("a plan");
    let plan = Plan { executable: env!("CARGO_BIN_EXE_meshwork").into(), ..plan };
    let mesh = LocalMesh::start(plan).await.expect("started");
    let peer = &mesh.peers()[0];
    let client = peer.client().expect("running");
    let address: SocketAddr = client.base().trim_start_matches("http://").parse().expect("an address");
    let process = Process(peer.pid().expect("running"));
    // The first of everything is made.
    client.status().await.expect("answered");
    sleep(Duration::from_secs(1)).await;
    let rest = process.usage();
    println!("{:>12}: {rest}", "at rest");
    let mut all = Vec::new();
    for attack in Attack::ALL {
        let flood = Flood::start(attack, address, size.connections);
        let prober = Prober::start(address);
        let most = process.most_for(size.lasts).await;
        let latencies = prober.stop();
        let (open, opened) = flood.stop().await;
        let since = Instant::now();
        let after = loop {
            let usage = process.usage();
            if usage.files <= rest.files + FILES_MORE {
                break usage;
            }
            assert!(since.elapsed() < GIVEN_BACK_WITHIN, "{attack:?}: {usage} after the flood, {rest} before");
            sleep(Duration::from_millis(100)).await;
        };
        println!("{attack:>12?}: {opened} connections, {open} at the end; {latencies}; most {most}; after {after}");
        assert_eq!(latencies.failed, Vec::<String>::new(), "{attack:?}");
        assert!(most.memory_bytes <= rest.memory_bytes + MEMORY_BYTES_MAX, "{attack:?}: {most} of {rest}");
        let status = client.status().await.unwrap_or_else(|error| panic!("after {attack:?}: {error}"));
        assert!(status.executed_ms_ago.is_some_and(|ms| ms < 10_000), "{attack:?}: {status:?}");
        all.push(latencies);
    }
    let metrics = client.metrics().await.expect("answered");
    for line in metrics.lines().filter(|line| line.contains("API: ")) {
        println!("{line}");
    }
    all
}
