//! `meshwork up`: runs a peer in the foreground.

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

use meshwork_sandbox::RunnerCommand;

use crate::{
    addresses::Address,
    context::Context,
    failure::{Done, Exit, Failure},
    interrupt::Interrupts,
    keys,
    parse::parse_pair,
    settings::{Keep, UpConfig, parse_api},
};

/// Where the API listens by default: a free port, which `node.json` in the data directory names.
const API_DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// The most bytes of blobs that a peer keeps by default.
const DISK_BYTES_MAX: u64 = 64 << 30;

/// The word by which this program is started anew as a process that compiles or runs programs. People have no use
/// for it.
pub const RUNNER: &str = "runner";

/// Where a peer listens if the genesis gives it no address.
const LISTEN_DEFAULT: [&str; 2] = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1"];

/// How to run the peer.
#[derive(Args, Debug)]
pub struct Options {
    /// Address to listen on. Repeat for each address. Default: the genesis' ports for an authority, free ports for
    /// others
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Address>,
    /// Peer to connect to first. Repeat for each peer. The authorities of the genesis are tried in any case
    #[arg(long = "peer", value_name = "MULTIADDR")]
    peers: Vec<Address>,
    /// Do not look for peers on the local network
    #[arg(long)]
    no_mdns: bool,
    /// Tasks to run at once. Default: the number of cores, and none on an authority
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with = "no_work")]
    slots: Option<u32>,
    /// Thousandths of a core that all tasks together may use. Default: 1000 per slot
    #[arg(long, value_name = "N", conflicts_with = "no_work")]
    millicores: Option<u32>,
    /// Memory that all tasks together may use, such as 2GiB. Compiling their programs may take a quarter of that
    /// besides, or 512MiB. Default: half of the machine's
    #[arg(long, value_name = "SIZE", conflicts_with = "no_work")]
    memory: Option<ByteSize>,
    /// Disk space for the ledger, programs, inputs and outputs. What the ledger leaves is for the others. Default: half of what is free on the disk, and at most 64GiB
    #[arg(long, value_name = "SIZE")]
    disk: Option<ByteSize>,
    /// Label to offer, which tasks may require. Repeat for each label; `arch` and `os` are always offered
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = parse_pair, conflicts_with = "no_work")]
    labels: Vec<(String, String)>,
    /// Create a key if there is none yet
    #[arg(long)]
    make_key: bool,
    /// Copy the key from FILE if there is none yet
    #[arg(long, value_name = "FILE", conflicts_with = "make_key")]
    take_key: Option<PathBuf>,
    /// File of the journal's id, which says whether the store is the one that this key voted with. Default: beside the
    /// key. If that cannot be written, name another that is not on the store's disk
    #[arg(long, value_name = "FILE")]
    journal_id: Option<PathBuf>,
    /// Also serve Prometheus metrics, and nothing else, on this address, such as 0.0.0.0:9180. The API always serves
    /// them
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// How much of the past to keep. Default: full
    #[arg(long, value_name = "HOW_MUCH", env = "MESHWORK_KEEP")]
    keep: Option<Keep>,
    /// Run with a wrong clock, for tests: +10s or -10m. With @TIME the clock steps that long after the start; commas
    /// separate several steps, as in +10m@5s,-10m@10s,0s@15s
    #[arg(
        long,
        value_name = "OFFSET[@TIME]",
        env = "MESHWORK_CLOCK_OFFSET",
        value_delimiter = ',',
        value_parser = parse_step,
        allow_hyphen_values = true
    )]
    clock_offset: Vec<ClockStep>,
    /// Run no tasks: only follow, and vote if the genesis lists this key
    #[arg(long)]
    no_work: bool,
    /// Falsify what tasks leave, for tests: what a liar does
    #[arg(long, conflicts_with = "no_work")]
    lie: bool,
    /// Refuse to run tasks if this machine lacks a means to confine them, such as landlock or namespaces. Otherwise
    /// `status` says what is lacking
    #[arg(long, conflicts_with = "no_work")]
    require_confinement: bool,
    /// Shut down when standard input ends, so that a mesh of child processes never outlives its parent
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
    let journal_id = options.journal_id.clone();
    let worker = offer(options, from_file, is_authority)?;
    std::fs::create_dir_all(&settings.data_dir).map_err(|error| Failure::file("create", &settings.data_dir, &error))?;
    let journal_id_file = journal_id.or_else(|| {
        let of_file = from_file.journal_id.as_ref();
        of_file.map(|path| settings.config_dir.join(path))
    });
    let beside_key = || {
        let mut path = key_path.clone().into_os_string();
        path.push(".journal-id");
        PathBuf::from(path)
    };
    let journal_id_file = journal_id_file.unwrap_or_else(beside_key);
    check_journal_id(&journal_id_file)?;
    Ok(NodeConfig {
        genesis,
        key,
        data_dir: settings.data_dir.clone(),
        journal_id_file,
        listen,
        peers,
        mdns,
        api,
        metrics,
        keep,
        clock_steps,
        disk_bytes_max: disk.map_or_else(|| half_of_disk(&settings.data_dir), |disk| disk.as_u64()),
        worker,
    })
}

/// Checks that the journal's id can be written, unless it is there already.
fn check_journal_id(path: &Path) -> Done {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if path.exists() {
        return Ok(());
    }
    // The directory itself says less: a mount may be read-only where its permissions are not.
    tempfile::NamedTempFile::new_in(folder).map(drop).map_err(|error| {
        Failure::usage(format!(
            "The journal's id belongs beside the key, and {} cannot be written: {error}. Say where else it is to be \
             with --journal-id FILE, a place that lasts and is not on the store's disk.",
            folder.display()
        ))
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

/// Checks the addresses of the configuration file.
fn checked(texts: &[String]) -> Done<Vec<String>> {
    let check = |text: &String| match text.parse::<Address>() {
        Ok(address) => Ok(address.to_string()),
        Err(error) => Err(Failure::usage(format!("In the configuration, {error}."))),
    };
    texts.iter().map(check).collect()
}

/// Parses a clock step: a signed time, and optionally how long after the start it applies. The default is at once.
fn parse_step(text: &str) -> Result<ClockStep, String> {
    let parse = |span: &str| humantime::parse_duration(span).map_err(|error| error.to_string());
    let (offset, after) = text.split_once('@').unwrap_or((text, "0s"));
    let (span, sign) =
        offset.strip_prefix('-').map_or((offset.strip_prefix('+').unwrap_or(offset), 1), |span| (span, -1));
    let ms = i64::try_from(parse(span)?.as_millis()).map_err(|_| "it is too long".to_owned())?;
    Ok(ClockStep { after: parse(after)?, offset_ms: sign * ms })
}

/// What the peer offers to tasks. An authority offers nothing unless told how many slots, because its vote comes
/// first.
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
    let require_confinement = options.require_confinement || file.require_confinement.unwrap_or(false);
    let mut labels: Labels = BTreeMap::from([
        ("arch".to_owned(), std::env::consts::ARCH.to_owned()),
        ("os".to_owned(), std::env::consts::OS.to_owned()),
    ]);
    labels.extend(file.labels.clone());
    labels.extend(options.labels);
    let (lies, runner) = (options.lie, runner()?);
    Ok(Some(WorkerConfig { slots, millicores, memory_bytes, labels, require_confinement, lies, runner }))
}

/// How this program is started anew as a process that compiles or runs programs.
fn runner() -> Done<RunnerCommand> {
    // On Linux, the name of this very file, even if another was installed in its place meanwhile.
    let program = if cfg!(target_os = "linux") { Ok("/proc/self/exe".into()) } else { std::env::current_exe() };
    let program =
        program.map_err(|error| Failure::failed(format!("This program cannot find its own file: {error}.")))?;
    Ok(RunnerCommand { program, arguments: vec![RUNNER.to_owned()] })
}

/// Half of the memory that this process may use, or little if the system does not say how much that is.
fn half_of_memory() -> u64 {
    const UNKNOWN: u64 = 1 << 30;
    let memory = sysinfo::MemoryRefreshKind::nothing().with_ram();
    let system = sysinfo::System::new_with_specifics(sysinfo::RefreshKind::nothing().with_memory(memory));
    let may_use = |system: &sysinfo::System| system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory);
    system.map_or(UNKNOWN, |system| system.total_memory().min(may_use(&system)) / 2)
}

/// Half of what is free on the store's disk, at most [`DISK_BYTES_MAX`].
fn half_of_disk(data_dir: &Path) -> u64 {
    (DiskSpace::of(data_dir).free_bytes() / 2).min(DISK_BYTES_MAX)
}

/// Completes when the user or the system asks the process to stop. A second request does not wait for the drain.
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

/// Completes when standard input ends. A thread of its own reads it, because a blocking read cannot be cancelled.
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
