//! A peer in this process, on files that can be copied.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use meshwork::{client::Client, commands::up::RUNNER};
use meshwork_api::{Keep, NodeFile};
use meshwork_core::{identity::SecretKey, types::Genesis};
use meshwork_node::{
    config::{NodeConfig, WorkerConfig},
    node::{self, NodeError},
};
use meshwork_sandbox::RunnerCommand;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::damage::files_below;

/// How long the slowest machine may take for anything here.
pub(crate) const LONG: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The name of the network's genesis in a peer's home.
const GENESIS: &str = "genesis.toml";

/// A peer: what it is, wherever its files are.
#[derive(Clone)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) key: SecretKey,
    pub(crate) keep: Keep,
}

/// The store of a peer with this home.
pub(crate) fn store_in(home: &Path) -> PathBuf {
    home.join("data/store.redb")
}

impl Peer {
    /// Starts it on the files of a home, to work or only to follow.
    ///
    /// # Errors
    /// The sentence with which its genesis is refused.
    pub(crate) fn start(&self, home: &Path, peers: Vec<String>, works: bool) -> Result<Running, String> {
        let text = fs::read(home.join(GENESIS)).expect("a genesis");
        let text = String::from_utf8(text).map_err(|error| error.to_string())?;
        let genesis = Genesis::from_toml(&text).map_err(|error| error.to_string())?;
        let runner =
            RunnerCommand { program: env!("CARGO_BIN_EXE_meshwork").into(), arguments: vec![RUNNER.to_owned()] };
        let worker = WorkerConfig {
            slots: 2,
            millicores: 2000,
            memory_bytes: 512 << 20,
            labels: Default::default(),
            require_confinement: false,
            lies: false,
            runner,
        };
        let config = NodeConfig {
            genesis,
            key: self.key.clone(),
            data_dir: home.join("data"),
            journal_id_file: home.join("key.journal-id"),
            listen: vec!["/ip4/127.0.0.1/tcp/0".into()],
            peers,
            mdns: false,
            api: "127.0.0.1:0".parse().expect("an address"),
            metrics: None,
            keep: self.keep,
            clock_steps: Vec::new(),
            disk_bytes_max: 1 << 30,
            worker: works.then_some(worker),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let node_file = config.data_dir.join(NodeFile::NAME);
        let node = tokio::spawn(node::run(config, async {
            let _ = stopped.await;
        }));
        Ok(Running { stop, node, node_file })
    }
}

/// Writes a genesis into a home.
pub(crate) fn found(home: &Path, genesis: &Genesis) {
    fs::create_dir_all(home.join("data")).expect("made");
    fs::write(home.join(GENESIS), genesis.to_toml()).expect("written");
}

/// Copies a home.
pub(crate) fn copy(home: &Path, to: &Path) {
    for file in files_below(home) {
        let copy = to.join(file.strip_prefix(home).expect("below it"));
        fs::create_dir_all(copy.parent().expect("a directory")).expect("made");
        fs::copy(file, copy).expect("copied");
    }
}

/// A peer that runs.
pub(crate) struct Running {
    stop: oneshot::Sender<()>,
    node: JoinHandle<Result<(), NodeError>>,
    node_file: PathBuf,
}

impl Running {
    /// What it says of itself once it is up; `None` if it has ended.
    pub(crate) async fn up(&self) -> Option<NodeFile> {
        let until = Instant::now() + LONG;
        while !self.node.is_finished() {
            let text = fs::read(&self.node_file).unwrap_or_default();
            if let Some(file) =
                serde_json::from_slice::<NodeFile>(&text).ok().filter(|file| file.pid == std::process::id())
            {
                return Some(file);
            }
            assert!(Instant::now() < until, "it does not come up");
            tokio::time::sleep(LOOK_EVERY).await;
        }
        None
    }

    /// A client of it; `None` if it has ended.
    pub(crate) async fn client(&self) -> Option<Client> {
        Some(Client::new(&self.up().await?.api.to_string()).expect("an address"))
    }

    /// Stops it, in order.
    pub(crate) async fn stop(self) -> Result<(), NodeError> {
        // It may have ended by itself.
        let _ = self.stop.send(());
        tokio::time::timeout(LONG, self.node).await.expect("it stops in time").expect("it does not panic")
    }
}
