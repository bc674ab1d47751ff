//! A crowd of strangers at one peer's mesh port, from many addresses and with ever new identities: connections that are
//! never opened fully, connections that are only held, and garbage. Meanwhile two honest peers go on, a new one gets
//! in, and afterwards every file is closed again.
//!
//! `cargo test` runs a short form with low bounds. The long form has a thousand strangers and the usual bounds, and
//! prints what it measured:
//!
//! ```sh
//! cargo test --release -p meshwork-node --test crowd -- --ignored --nocapture
//! ```

mod stranger;

use std::{
    fs,
    time::{Duration, Instant},
};

use meshwork_core::identity::{NetworkId, SecretKey};
use meshwork_node::mesh::{Acceptance, MeshConfig, MeshEvent, MeshEvents, MeshHandle, Multiaddr, Topic, start};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::stranger::Kind;

const NETWORK: NetworkId = NetworkId([7; 32]);
/// How long anything may take: far more than it does, so that a loaded machine fails no test.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many files more than before may be open for other reasons.
const FILES_MORE: usize = 4;

/// How large a crowd is, and what it meets.
struct Crowd {
    of_each_kind: usize,
    /// From how many addresses; 0 means from that of the honest peers.
    addresses: u8,
    connections_max: u32,
    address_connections_max: u32,
    visit: Duration,
    lasts: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_strangers_keep_no_honest_peer_out_even_from_its_own_address() {
    for (of_each_kind, addresses) in [(20, 5), (10, 0)] {
        meet(&Crowd {
            of_each_kind,
            addresses,
            connections_max: 16,
            address_connections_max: 8,
            visit: Duration::from_secs(2),
            lasts: Duration::from_secs(3),
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute and thousands of open files"]
async fn a_thousand_strangers_keep_no_honest_peer_out() {
    let usual = MeshConfig::new(SecretKey::from_seed([0; 32]), NETWORK);
    meet(&Crowd {
        of_each_kind: 334,
        addresses: 10,
        connections_max: usual.connections_max,
        address_connections_max: usual.address_connections_max,
        visit: usual.visit,
        lasts: Duration::from_secs(40),
    })
    .await;
}

async fn meet(crowd: &Crowd) {
    raise_file_limit(crowd.of_each_kind * 12 + 1000);
    let mut settings = config(1, None);
    settings.connections_max = crowd.connections_max;
    settings.address_connections_max = crowd.address_connections_max;
    settings.visit = crowd.visit;
    let hub = Honest::start(settings).await;
    let friend = Honest::start(config(2, Some(&hub))).await;
    // Gossip flows both ways, which opens the first of everything.
    friend.hears_more(3).await;
    hub.hears_more(3).await;
    let rest = Usage::now();
    println!("    at rest: {rest:?}");

    let mut strangers = JoinSet::new();
    let target = hub.address();
    for number in 0..crowd.of_each_kind {
        for kind in Kind::ALL {
            let address = match crowd.addresses {
                0 => [127, 0, 0, 1],
                addresses => [127, 0, 1, 1 + (number % usize::from(addresses)) as u8],
            };
            strangers.spawn(stranger::run(kind, number, address.into(), target.clone()));
        }
    }
    let begun = Instant::now();
    wait_until("the crowd has filled all places", || {
        let metrics = hub.handle.metrics();
        metrics.connections_refused_full + metrics.connections_displaced + metrics.connections_refused_address > 0
    })
    .await;
    let coming = Instant::now();
    let new = Honest::start(config(3, Some(&hub))).await;
    // It is connected, hears what the others gossip, and is heard.
    new.hears_more(3).await;
    println!("  a new one: hears gossip after {:?}", coming.elapsed());
    while begun.elapsed() < crowd.lasts {
        friend.hears_more(1).await;
        hub.hears_more(1).await;
        new.hears_more(1).await;
    }
    println!("    crowded: {:?}", Usage::now());
    println!("{:#?}", hub.handle.metrics());
    assert!(hub.handle.is_connected(&friend.handle.key()), "it is of use and keeps its place");

    strangers.shutdown().await;
    new.handle.stop().await;
    drop(new);
    let files = rest.files + FILES_MORE;
    wait_until("every file is closed", || Usage::now().files <= files).await;
    println!("      after: {:?}", Usage::now());
}

/// What this process uses.
#[derive(Debug)]
#[expect(dead_code, reason = "memory is only printed")]
struct Usage {
    memory_mib: u64,
    files: usize,
}

impl Usage {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
        let kib: u64 = resident.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0);
        Self { memory_mib: kib >> 10, files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) }
    }
}

/// Allows this process so many open files.
fn raise_file_limit(files: usize) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("raised");
    let allowed = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    assert!(allowed >= files, "this takes {files} open files and {allowed} are allowed; raise the limit (ulimit -Hn)");
}

async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let waiting = async {
        while !holds() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(PATIENCE, waiting).await.is_ok(), "it takes too long until {what}");
}

fn config(seed: u8, join: Option<&Honest>) -> MeshConfig {
    let mut config = MeshConfig::new(SecretKey::from_seed([seed; 32]), NETWORK);
    config.listen = vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")];
    config.peers = join.iter().map(|peer| peer.address()).collect();
    config
}

/// A peer that gossips now and then, and accepts what others gossip.
struct Honest {
    handle: MeshHandle,
    /// How many messages it has heard.
    heard: watch::Receiver<u64>,
    _tasks: JoinSet<()>,
}

impl Honest {
    async fn start(config: MeshConfig) -> Self {
        let (handle, events) = start(config).await.expect("started");
        let (hears, heard) = watch::channel(0);
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(handle.clone(), events, hears));
        tasks.spawn(speak(handle.clone()));
        Self { handle, heard, _tasks: tasks }
    }

    fn address(&self) -> Multiaddr {
        self.handle.listen_addresses()[0].clone()
    }

    /// Waits until it has heard so many messages more.
    async fn hears_more(&self, messages: u64) {
        let until = *self.heard.borrow() + messages;
        wait_until("gossip is heard", || *self.heard.borrow() >= until).await;
    }
}

async fn listen(handle: MeshHandle, mut events: MeshEvents, hears: watch::Sender<u64>) {
    while let Some(event) = events.recv().await {
        if let MeshEvent::Gossip { id, .. } = event {
            handle.judge(id, Acceptance::Accept);
            hears.send_modify(|heard| *heard += 1);
        }
    }
}

async fn speak(handle: MeshHandle) {
    for number in 0u64.. {
        handle.publish(Topic::Transactions, [handle.key().as_bytes(), &number.to_le_bytes()[..]].concat());
        sleep(Duration::from_millis(100)).await;
    }
}
