//! `meshwork up`: a peer in the foreground.

use std::{
    collections::BTreeMap,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use clap::Args;
use meshwork_core::{
    identity::PublicKey,
    types::{Genesis, Labels},
};
use meshwork_node::{
    clock::ClockStep,
    config::{NodeConfig, WorkerConfig},
    disk_space::DiskSpace,
};

use crate::{
    addresses::Address,
    context::Context,
    failure::{Done, Exit, Failure},
    interrupt::Interrupts,
    keys,
    parse::parse_pair,
    settings::{Keep, UpConfig, parse_api},
};

/// Where the API listens if nobody says: a free port, which `node.json` in the data directory names.
const API_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The most bytes of blobs that a peer keeps if nobody says.
const DISK_BYTES_MAX: u64 = 64 << 30;

/// Where a peer listens that the genesis gives no address.
const LISTEN_DEFAULT: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];

/// How to run the peer.
#[derive(Args, Debug)]
pub struct Options {
    /// Listen here. Repeat it for each. Without it: an authority on the ports that the genesis gives it, others on free ones
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Address>,
    /// Start from this peer. Repeat it for each. The genesis' authorities are tried in any case
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Address>,
    /// Do not look for peers on the local network
    #[arg(long)]
    no_mdns: bool,
    /// Run so many tasks at once. Without it: as many as there are cores, and none on an authority
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "no_work")]
    slots: Option<u32>,
    /// Let all tasks together take so many thousandths of a core. Without it: 1000 a slot
    #[arg(long, value_name = "N", conflicts_with = "no_work")]
    millicores: Option<u32>,
    /// Let all tasks together take so much memory, as in 2GiB. Without it: half of the machine's
    #[arg(long, value_name = "SIZE", conflicts_with = "no_work")]
    memory: Option<ByteSize>,
    /// Keep at most so many bytes of programs, inputs and outputs. Without it: half of what is free on the disk, and at most
    /// 64GiB
    #[arg(long, value_name = "SIZE")]
    disk: Option<ByteSize>,
    /// Offer this fact, which tasks may require. Repeat it for each; `arch` and `os` are there by themselves
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_pair, conflicts_with = "no_work")]
    labels: Vec<(String, String)>,
    /// Make a key if there is none yet
    #[arg(long)]
    make_key: bool,
    /// Take a copy of this key if there is none yet
    #[arg(long, value_name = "FILE", conflicts_with = "make_key")]
    take_key: Option<PathBuf>,
    /// Serve the figures that Prometheus collects here too, and nothing else: as in 0.0.0.0:9180. The API has them in any case
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// How much of the past to keep: every block, every receipt, or no more than it takes to take part. Without it: full
    #[arg(long, value_name = "HOW_MUCH", env = "MESHWORK_KEEP")]
    keep: Option<Keep>,
    /// Let this peer's clock be off by so much, as in +10s or -10m: for tests. With @TIME it steps that long after the start, and
    /// with commas more than once: +10m@5s,-10m@10s,0s@15s
    #[arg(
        long,
        value_name = "OFFSET[@TIME]",
        env = "MESHWORK_CLOCK_OFFSET",
        value_delimiter = ',',
        value_parser = parse_step,
        allow_hyphen_values = true
    )]
    clock_offset: Vec<ClockStep>,
    /// Do not work: follow, and vote if the genesis lists this key
    #[arg(long)]
    no_work: bool,
    /// Shut down when standard input ends: so a mesh of child processes never outlives what started it
    #[arg(long, hide = true)]
    until_stdin_closes: bool,
}

/// Runs a peer until it is told to stop, then drains it.
///
/// # Errors
/// The configuration cannot be used, or the node cannot go on.
pub async fn run(context: &Context, options: Options) -> Done {
    let until_stdin_closes = options.until_stdin_closes;
    let config = configure(context, options)?;
    let role = if config.genesis.authority_set().contains(&config.key.public()) { "authority" } else { "follower" };
    tracing::info!(
        network = %config.genesis.name,
        id = %config.genesis.network_id(),
        key = %config.key.public(),
        role,
        slots = config.worker.as_ref().map_or(0, |worker| worker.slots),
        "starting"
    );
    let shutdown = stop_requested(until_stdin_closes)?;
    meshwork_node::node::run(config, shutdown).await.map_err(|error| {
        let sentence = error.to_string();
        Failure { exit: Exit::Failed, sentence: finish_sentence(sentence) }
    })
}

fn finish_sentence(text: String) -> String {
    if text.ends_with(['.', '!', '?']) { text } else { format!("{text}.") }
}

fn configure(context: &Context, options: Options) -> Done<NodeConfig> {
    let settings = &context.settings;
    let genesis = settings.genesis()?.ok_or_else(|| {
        Failure::usage(format!(
            "A peer needs its network's genesis: name it with --genesis FILE, or put it at {}.",
            settings.config_dir.join("genesis.toml").display()
        ))
    })?;
    let key_path = settings.key_path();
    if !key_path.exists() {
        if options.make_key {
            keys::create(&key_path, &keys::generate())?;
        } else if let Some(from) = &options.take_key {
            keys::create(&key_path, &keys::read(from)?)?;
        }
    }
    let key = settings.key()?;
    let from_file = &settings.file.up;
    let listen = listen_addresses(&options.listen, from_file, &genesis, &key.public())?;
    let mut peers: Vec<String> = options.peers.iter().map(Address::to_string).collect();
    peers.extend(checked(&from_file.peers)?);
    let api = settings.api().map(parse_api).transpose()?.unwrap_or(API_DEFAULT);
    if !api.ip().is_loopback() {
        tracing::warn!(%api, "the API listens beyond this machine: whoever reaches it can use it");
    }
    let mdns = !options.no_mdns && from_file.mdns.unwrap_or(true);
    let is_authority = genesis.authority_set().contains(&key.public());
    let disk = options.disk.or(from_file.disk);
    let keep = options.keep.or(from_file.keep).map_or_else(meshwork_api::Keep::default, Into::into);
    let metrics = options.metrics.or(from_file.metrics);
    let clock_steps = options.clock_offset.clone();
    for ClockStep { after, offset_ms } in &clock_steps {
        tracing::warn!(after_ms = after.as_millis(), offset_ms, "this peer's clock is set wrong on purpose");
    }
    let worker = offer(options, from_file, is_authority)?;
    std::fs::create_dir_all(&settings.data_dir).map_err(|error| Failure::file("create", &settings.data_dir, &error))?;
    let mut journal_id_file = key_path.into_os_string();
    journal_id_file.push(".journal-id");
    Ok(NodeConfig {
        genesis,
        key,
        data_dir: settings.data_dir.clone(),
        journal_id_file: journal_id_file.into(),
        listen,
        peers,
        mdns,
        api,
        metrics,
        keep,
        clock_steps,
        blobs_bytes_max: disk.map_or_else(|| half_of_disk(&settings.data_dir), |disk| disk.as_u64()),
        worker,
    })
}

fn listen_addresses(given: &[Address], file: &UpConfig, genesis: &Genesis, key: &PublicKey) -> Done<Vec<String>> {
    if !given.is_empty() {
        return Ok(given.iter().map(Address::to_string).collect());
    }
    if !file.listen.is_empty() {
        return checked(&file.listen);
    }
    let own = genesis.authorities.iter().find(|authority| authority.key == *key);
    let mut listen = Vec::new();
    for text in own.map(|authority| authority.addresses.as_slice()).unwrap_or_default() {
        let address: Address = text.parse().map_err(|error| Failure::usage(format!("The genesis says {error}.")))?;
        let address = address.to_listen();
        if !listen.contains(&address) {
            listen.push(address);
        }
    }
    Ok(if listen.is_empty() { LISTEN_DEFAULT.map(str::to_owned).to_vec() } else { listen })
}

/// Addresses of the configuration file, each found to be one.
fn checked(texts: &[String]) -> Done<Vec<String>> {
    let check = |text: &String| match text.parse::<Address>() {
        Ok(address) => Ok(address.to_string()),
        Err(error) => Err(Failure::usage(format!("In the configuration, {error}."))),
    };
    texts.iter().map(check).collect()
}

/// A span of time with a sign, and how long after the start the clock is off by it: at once if that is not said.
fn parse_step(text: &str) -> Result<ClockStep, String> {
    let parse = |span: &str| humantime::parse_duration(span).map_err(|error| error.to_string());
    let (offset, after) = text.split_once('@').unwrap_or((text, "0s"));
    let (span, sign) =
        offset.strip_prefix('-').map_or((offset.strip_prefix('+').unwrap_or(offset), 1), |span| (span, -1));
    let ms = i64::try_from(parse(span)?.as_millis()).map_err(|_| "it is too long".to_owned())?;
    Ok(ClockStep { after: parse(after)?, offset_ms: sign * ms })
}

/// What the peer offers to tasks. An authority offers nothing unless it is told how many slots: its vote comes first.
fn offer(options: Options, file: &UpConfig, is_authority: bool) -> Done<Option<WorkerConfig>> {
    let slots = options.slots.or(file.slots);
    let works = !options.no_work && (options.slots.is_some() || file.work.unwrap_or(!is_authority || slots.is_some()));
    if !works {
        return Ok(None);
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX));
    let slots = slots.unwrap_or(cores);
    if slots == 0 {
        return Err(Failure::usage("A worker has at least one slot; say --no-work for a peer that does not work."));
    }
    let millicores = options.millicores.or(file.millicores).unwrap_or_else(|| slots.saturating_mul(1000));
    let memory_bytes = options.memory.or(file.memory).map_or_else(half_of_memory, |memory| memory.as_u64());
    let mut labels: Labels = BTreeMap::from([
        ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
        ("os".to_owned(), std::env::consts::OS.to_owned()),
    ]);
    labels.extend(file.labels.clone());
    labels.extend(options.labels);
    Ok(Some(WorkerConfig { slots, millicores, memory_bytes, labels }))
}

/// Half of the memory that the machine has and this process may use, or little where the system does not say how much that is.
fn half_of_memory() -> u64 {
    const UNKNOWN: u64 = 1 << 30;
    let memory = sysinfo::MemoryRefreshKind::nothing().with_ram();
    let system = sysinfo::System::new_with_specifics(sysinfo::RefreshKind::nothing().with_memory(memory));
    let may_use = |system: &sysinfo::System| system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.map_or(UNKNOWN, |system| system.total_memory().min(may_use(&system)) / 2)
}

/// Half of what is free where the store is, at most [`DISK_BYTES_MAX`].
fn half_of_disk(data_dir: &Path) -> u64 {
    (DiskSpace::of(data_dir).free_bytes() / 2).min(DISK_BYTES_MAX)
}

/// Ends when the person or the system asks the process to stop. A second request does not wait for the drain.
fn stop_requested(until_stdin_closes: bool) -> Done<impl Future<Output = ()> + Send + 'static> {
    let mut interrupts = Interrupts::listen()?;
    Ok(async move {
        tokio::select! {
            () = interrupts.next() => {}
            () = stdin_closed(), if until_stdin_closes => {}
        }
        tracing::info!("stopping: what this worker holds goes back first; interrupt again to leave at once");
        tokio::spawn(async move {
            interrupts.next().await;
            std::process::exit(130);
        });
    })
}

/// Ends when standard input does. It is read on a thread of its own, since a read of it cannot be given up.
async fn stdin_closed() {
    let (closed, end) = tokio::sync::oneshot::channel::<()>();
    std::thread::spawn(move || {
        let ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop((ended, closed));
    });
    // The sender is dropped, never used.
    let _ = end.await;
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn offered(line: &[&str], file: &UpConfig, is_authority: bool) -> Option<WorkerConfig> {
        let line = Line::try_parse_from(std::iter::once("up").chain(line.iter().copied())).expect("good");
        offer(line.options, file, is_authority).expect("good")
    }

    #[test]
    fn authorities_work_only_if_they_are_told_to() {
        let file = UpConfig::default();
        assert!(offered(&[], &file, true).is_none());
        assert!(offered(&["--no-work"], &file, false).is_none());
        assert_eq!(offered(&["--slots", "3"], &file, true).expect("works").slots, 3);
        let worker = offered(&["--slots", "3", "--memory", "2GiB", "--label", "rack=7"], &file, false).expect("works");
        assert_eq!((worker.millicores, worker.memory_bytes), (3000, 2 << 30));
        assert_eq!(worker.labels.get("rack").map(String::as_str), Some("7"));
        assert_eq!(worker.labels.get("arch").map(String::as_str), Some(std::env::consts::ARCH));
    }

    #[test]
    fn the_file_speaks_where_flags_are_silent() {
        let file = UpConfig { slots: Some(2), millicores: Some(500), ..UpConfig::default() };
        let worker = offered(&[], &file, true).expect("works");
        assert_eq!((worker.slots, worker.millicores), (2, 500));
        assert_eq!(offered(&["--slots", "5"], &file, true).expect("works").slots, 5);
        let idle = UpConfig { work: Some(false), ..UpConfig::default() };
        assert!(offered(&[], &idle, false).is_none());
    }

    #[test]
    fn an_authority_listens_where_the_genesis_says() {
        let key = crate::keys::generate().public();
        let text = format!(
            "name = 'n'\ntime_us = 1\n[[authorities]]\nname = 'a'\nkey = '{key}'\naddresses = ['/ip4/192.0.2.1/tcp/5']\n"
        );
        let genesis = Genesis::from_toml(&text).expect("good");
        let file = UpConfig::default();
        assert_eq!(listen_addresses(&[], &file, &genesis, &key).expect("good"), ["/ip4/0.0.0.0/tcp/5"]);
        let other = crate::keys::generate().public();
        assert_eq!(listen_addresses(&[], &file, &genesis, &other).expect("good"), LISTEN_DEFAULT);
    }
}
