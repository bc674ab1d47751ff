//! Starts a network from the options: chooses the hosts and the program.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::{Args, ValueEnum};
use meshwork::failure::{Done, Failure};

use crate::{
    faults::Pace,
    hosts::{
        Hosts,
        engine::{self, Engine},
        namespaces::Namespaces,
        plan::{AUTHORITIES, Plan, SLOTS, WORKERS},
    },
    network::Network,
    report::say,
    system::works,
};

/// How long all peers may take to answer, and all workers to be known.
const THERE_WITHIN: Duration = Duration::from_secs(120);

/// How many lines of each log are kept where something did not hold.
const LOG_LINES: usize = 20_000;

/// On which hosts, with which program.
#[derive(Args, Debug)]
pub(crate) struct Begin {
    /// The kind of hosts. Without it: containers if an engine with the image answers, else namespaces
    #[arg(long, value_enum)]
    hosts: Option<Kind>,
    /// The program that runs in namespaces. Without it: `meshwork` beside this program
    #[arg(long, value_name = "FILE")]
    meshwork: Option<PathBuf>,
    /// The image that runs in containers; docker/build makes it
    #[arg(long, value_name = "TAG", default_value = "meshwork")]
    image: String,
    /// The size of the disks that are filled
    #[arg(long, value_name = "SIZE", default_value = "512MiB")]
    small_disk: bytesize::ByteSize,
    /// What the peers log
    #[arg(long, value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Settings that are not options.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long faults last.
    pub pace: Pace,
    /// How long an ended job stays on the ledger.
    pub retention: Duration,
    /// The peers that no fault may end.
    pub spared: &'static [&'static str],
}

/// Kinds of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Containers of docker/compose.yaml
    Engine,
    /// Network namespaces of this machine; takes root
    Namespaces,
}

/// What beginning led to.
pub(crate) enum Begun {
    /// A network runs.
    Network {
        /// The network.
        network: Network,
        /// What takes it down.
        guard: Guard,
    },
    /// There is nothing to run a network on.
    Nothing,
}

/// Takes the network down when it is dropped, and then removes the folder of its files.
pub(crate) struct Guard {
    network: Network,
    /// Removed when it is dropped.
    _scratch: tempfile::TempDir,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.network.take_down();
    }
}

impl Guard {
    /// Copies every peer's log to a place that stays, and says where.
    pub(crate) fn keep_logs(&self) {
        let network = &self.network;
        let kept = std::env::temp_dir().join(format!("{}-logs", prefix()));
        if std::fs::create_dir_all(&kept).is_err() {
            return;
        }
        for member in network.members() {
            let log = network.peek(|hosts| hosts.log(&member.name, LOG_LINES)).unwrap_or_default();
            let _ = std::fs::write(kept.join(format!("{}.log", member.name)), log);
        }
        say(&format!("The peers' logs are kept in {}.", kept.display()));
    }
}

/// How every name that is made begins. It has to fit an interface's name.
fn prefix() -> String {
    format!("mwb{}", std::process::id())
}

/// Starts a network, or says why there is none.
///
/// # Errors
/// The network does not start though there is something to run it on.
pub(crate) fn begin(options: &Begin, terms: Terms) -> Done<Begun> {
    let Some(kind) = possible(options) else {
        say(
            "There is no container engine with the image, and namespaces take root, `ip`, `nft` and `nsenter`: nothing was run.",
        );
        return Ok(Begun::Nothing);
    };
    let scratch = tempfile::Builder::new().prefix(&prefix()).tempdir();
    let scratch = scratch.map_err(|error| Failure::failed(format!("No folder could be made: {error}; set TMPDIR.")))?;
    // The user in the container reads its files there.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(scratch.path(), open).map_err(|error| Failure::file("open", scratch.path(), &error))?;
    let plan = Plan {
        prefix: prefix(),
        scratch: scratch.path().to_owned(),
        program: program(options)?,
        image: options.image.clone(),
        log: options.log.clone(),
        small_disk_bytes: options.small_disk.as_u64(),
        retention_ms: u64::try_from(terms.retention.as_millis()).unwrap_or(u64::MAX),
        // About as short as the rules allow, so that nobody waits a minute for the leases of workers that are
        // gone.
        claim_stands_ms: (terms.pace == Pace::Quick).then_some(15_000),
    };
    let hosts: Box<dyn Hosts> = match kind {
        Kind::Engine => Box::new(Engine::start(plan)?),
        Kind::Namespaces => Box::new(Namespaces::start(plan)?),
    };
    let network = Network::new(hosts, terms.spared)?;
    Ok(Begun::Network { guard: Guard { network: network.clone(), _scratch: scratch }, network })
}

/// The kinds of hosts that are possible here.
fn possible(options: &Begin) -> Option<Kind> {
    let engine = || engine::answers() && engine::has_image(&options.image);
    let namespaces = || {
        rustix::process::geteuid().is_root()
            && [("ip", "-V"), ("nft", "-v"), ("nsenter", "-V")].iter().all(|(program, ask)| works(program, &[ask]))
    };
    match options.hosts {
        Some(Kind::Engine) => engine().then_some(Kind::Engine),
        Some(Kind::Namespaces) => namespaces().then_some(Kind::Namespaces),
        // Small disks and cables take root with containers, too.
        None if namespaces() && engine() => Some(Kind::Engine),
        None => namespaces().then_some(Kind::Namespaces),
    }
}

fn program(options: &Begin) -> Done<PathBuf> {
    if let Some(given) = &options.meshwork {
        return std::path::absolute(given).map_err(|error| Failure::file("find", given, &error));
    }
    let itself =
        std::env::current_exe().map_err(|error| Failure::failed(format!("Cannot find this program: {error}.")))?;
    Ok(itself.with_file_name("meshwork"))
}

/// Who is in the network, in words.
#[must_use]
pub(crate) fn in_words() -> String {
    format!("{AUTHORITIES} authorities, {} workers of {SLOTS} slots, a gateway", WORKERS + 1)
}

/// Waits until every peer answers and knows all workers.
///
/// # Errors
/// Some do not in time.
pub(crate) async fn everyone_is_there(network: &Network) -> Done {
    let until = Instant::now() + THERE_WITHIN;
    let workers = WORKERS as usize + 1;
    loop {
        network.look()?;
        let mut missing = Vec::new();
        for (name, client) in network.clients() {
            match tokio::time::timeout(Duration::from_secs(2), client.status()).await {
                Ok(Ok(status)) if status.workers >= workers => {}
                Ok(Ok(status)) => missing.push(format!("{name} knows {} workers", status.workers)),
                _ => missing.push(format!("{name} does not answer")),
            }
        }
        let runs = network.members().iter().filter(|member| member.pid.is_some()).count();
        if missing.is_empty() && runs == network.members().len() {
            return Ok(());
        }
        if Instant::now() > until {
            let last = network.members().first().and_then(|member| network.peek(|hosts| hosts.log(&member.name, 5)));
            return Err(Failure::failed(format!(
                "After {} s not everyone is there: {}.\n{}",
                THERE_WITHIN.as_secs(),
                missing.join(", "),
                last.unwrap_or_default()
            )));
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
