//! The life of a node: opens and starts everything in order, runs until it is told to stop, and stops everything in
//! order.

mod delivery_policy;
mod journal_id;
mod obligations;
mod open;

use std::{
    fs,
    future::Future,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, OnceLock},
    thread,
    time::{Duration, Instant},
};

use delivery_policy::PromisedOutputs;
use meshwork_api::{Keep, NodeFile};
use meshwork_core::{
    consensus::VotingStatus,
    replica::{self, RecoverError, Replica},
    types::Genesis,
};
use meshwork_sandbox::{CompileBounds, ExecuteError, Executor, ExecutorConfig};
use sd_notify::NotifyState;
use thiserror::Error;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    alarms::Alarms,
    api::{self, Api},
    blobs::{self, BlobStore, Blobs, Quota},
    clock::Clock,
    config::{NodeConfig, WorkerConfig},
    disk_space::DiskSpace,
    driver::{Driver, Handle},
    mesh::{self, MeshConfig, MeshError, MeshHandle, Multiaddr},
    metrics::Metrics,
    store::{Store, StoreError},
    sync::Sync,
    worker::{BegunJournal, TaskContext, Worker},
};

/// How far strangers' tasks are below this machine's own work in priority.
const TASK_NICENESS: i32 = 10;
/// How long a node that found the disk full waits before it looks for space.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a node waits that found its store damaged, so that a disk that damages everything leaves the machine time.
const RENEWAL_PAUSE: Duration = Duration::from_millis(200);

/// Why a node did not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum NodeError {
    /// One of the node's own files or directories cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// The path.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The API cannot listen on its address.
    #[error("the API cannot listen on {address}: {source}; stop what listens there, or give another --api")]
    Api {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// The metrics cannot be served on their address.
    #[error("metrics cannot be served on {address}: {source}; stop what listens there, or give another --metrics")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// An address is not a multiaddress.
    #[error("{text:?} is not a multiaddress such as /ip4/127.0.0.1/tcp/4100: {reason}")]
    Address {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The mesh did not start.
    #[error(transparent)]
    Mesh(#[from] MeshError),
    /// There is no space left for the store.
    #[error(
        "the disk that holds {0} is full, and a peer cannot go on without storing; make room, and it goes on: nothing that \
         was final is lost"
    )]
    DiskFull(PathBuf),
    /// The store failed.
    #[error(transparent)]
    Store(StoreError),
    /// The store was found to be damaged while it was in use.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The stored data is inconsistent.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The blobs cannot be opened.
    #[error(transparent)]
    Blobs(#[from] blobs::StoreError),
    /// Programs could run, but not as confined as is required.
    #[error(
        "this machine cannot confine tasks by {0}; leave out --require-confinement to run them without, or say --no-work"
    )]
    Confinement(String),
    /// Programs cannot run here.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The replica's thread ended, which should never happen.
    #[error("the replica stopped unexpectedly; the log says why")]
    Driver,
}

fn stored_in(path: &Path) -> impl FnOnce(StoreError) -> NodeError + use<> {
    let path = path.to_owned();
    move |error| if error.is_full() { NodeError::DiskFull(path) } else { NodeError::Store(error) }
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> NodeError {
    let path = path.to_owned();
    move |source| NodeError::File { path, source }
}

/// Makes sure that what a file's folder names it is on the disk.
fn sync_folder_of(file: &Path) -> std::io::Result<()> {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => fs::File::open(folder)?.sync_all(),
        _ => fs::File::open(".")?.sync_all(),
    }
}

/// Runs a node until `shutdown` ends. A worker then gives back what it holds first. If the disk is full it stops, and
/// starts again when there is space. If the store is found to be damaged it starts again with a new one.
///
/// # Errors
/// Why the node did not start, or stopped by itself.
pub async fn run(config: NodeConfig, shutdown: impl Future<Output = ()>) -> Result<(), NodeError> {
    raise_file_limit();
    fs::create_dir_all(&config.data_dir).map_err(at(&config.data_dir))?;
    let mut shutdown = pin!(shutdown);
    let store = config.data_dir.join(open::STORE);
    let disk_space = DiskSpace::within(&config.data_dir, store, config.disk_bytes_max);
    let begun = OnceLock::new();
    let mut is_damaged = false;
    loop {
        let ended = run_once(&config, &disk_space, &begun, &mut is_damaged, shutdown.as_mut()).await;
        match ended {
            Err(why @ NodeError::DiskFull(_)) => error!("{why}"),
            Err(why @ NodeError::Damaged(_)) => {
                is_damaged = true;
                error!("{why}");
                sleep(RENEWAL_PAUSE).await;
                continue;
            }
            ended => return ended,
        }
        // The last run releases what it held meanwhile, including the lock on the store's file.
        sleep(PAUSE).await;
        tokio::select! {
            () = disk_space.until_enough() => {}
            () = &mut shutdown => return Ok(()),
        }
    }
}

/// Raises the limit on open files as far as the system allows. A peer has many connections, and a file for each blob
/// that it serves.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return;
    }
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }) {
        warn!(%error, "the limit of open files could not be raised");
    }
}

/// Runs a node until it ends for whatever reason. `is_damaged` says that the store has to be replaced, until it is.
async fn run_once(
    config: &NodeConfig,
    disk_space: &DiskSpace,
    begun: &OnceLock<BegunJournal>,
    is_damaged: &mut bool,
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let genesis = Arc::new(config.genesis.clone());
    let (store, replica) = open::open(config, &genesis, is_damaged)?;
    tell_role(&replica);
    let damage = store.damage();
    let ended = run_opened(config, (disk_space, begun), genesis, (store, replica), shutdown).await;
    // Whatever else failed, failed because of it.
    ended.map_err(|error| damage.what().map_or(error, |what| NodeError::Damaged(what.to_owned())))
}

async fn run_opened(
    config: &NodeConfig,
    (disk_space, begun): (&DiskSpace, &OnceLock<BegunJournal>),
    genesis: Arc<Genesis>,
    (store, replica): (Store, Replica),
    shutdown: impl Future<Output = ()>,
) -> Result<(), NodeError> {
    let data = &config.data_dir;
    let damage = store.damage();
    let listener = api::listen(config.api).map_err(|source| NodeError::Api { address: config.api, source })?;
    let metrics_listener = match config.metrics {
        Some(address) => Some(api::listen(address).map_err(|source| NodeError::Metrics { address, source })?),
        None => None,
    };
    let (mesh, events) = mesh::start(mesh_config(config, &genesis)?).await?;
    mesh.set_authorities(replica.consensus().authorities());
    let metrics = Metrics::new();
    let quota = Quota::of_bytes(config.disk_bytes_max);
    let blob_store =
        BlobStore::open(&config.data_dir, store.database(), quota, disk_space.clone(), Arc::clone(&metrics))?;
    let clock = Clock::start(config.clock_steps.clone());
    let replica_config = replica::Config { genesis: Arc::clone(&genesis), key: config.key.clone() };
    let alarms = Alarms::default();
    let told = (Arc::clone(&metrics), alarms.clone());
    let (driver, handle) = Driver::new(replica_config, replica, store, (mesh.clone(), events), told, clock.clone());
    let driver_ended = on_its_own_thread(driver, stored_in(data))?;
    let blobs = Blobs::start(blob_store, mesh.clone(), config.key.clone());
    blobs.hold(Arc::new(PromisedOutputs::new(handle.clone())));
    let stopping = mesh.stopping();
    let following = obligations::follow(blobs.clone(), handle.clone());
    tokio::spawn(async move { stopping.run_until_cancelled(following).await });
    let sync = Sync {
        genesis: Arc::clone(&genesis),
        mesh: mesh.clone(),
        driver: handle.clone(),
        keep: config.keep,
        metrics: Arc::clone(&metrics),
    };
    sync.start();
    let stop = CancellationToken::new();
    let free_bytes = metrics.disk_free_bytes.clone();
    let tell = move |bytes| {
        free_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    };
    let watch = tokio::spawn(disk_space.clone().watch(tell));
    let executor = config.worker.as_ref().map(|worker| executor(config, worker)).transpose()?;
    let confinement_lacks = executor.as_ref().map(lacking).unwrap_or_default();
    let parts = Parts {
        alarms,
        genesis,
        mesh,
        handle,
        blobs,
        metrics,
        clock,
        keep: config.keep,
        disk_space: disk_space.clone(),
        confinement_lacks: confinement_lacks.into(),
    };
    let node_file = write_node_file(config, &parts.mesh, &listener)?;
    let api = tokio::spawn(parts.api().serve(listener, stop.clone()));
    let metrics_api = metrics_listener.map(|listener| tokio::spawn(parts.api().serve_metrics(listener, stop.clone())));
    let worker = parts.worker(config, executor, begun, &stop);
    tell_supervisor(NotifyState::Ready);
    let ended = tokio::select! {
        () = shutdown => Ok(()),
        what = damage.found() => Err(NodeError::Damaged(what.to_owned())),
        ended = driver_ended => ended.unwrap_or(Err(NodeError::Driver)),
    };
    info!("stopping");
    // One that is to go on, when there is space or with a new store, is not on its way out.
    if ended.is_ok() {
        tell_supervisor(NotifyState::Stopping);
    }
    watch.abort();
    stop.cancel();
    if let Some(worker) = worker {
        // Whether it was cancelled or failed, it has ended.
        let _ = worker.await;
    }
    // It ends with the stop, whatever requests are still open.
    let _ = api.await;
    if let Some(metrics_api) = metrics_api {
        let _ = metrics_api.await;
    }
    parts.mesh.stop().await;
    // Another node may have taken over the directory meanwhile. The file is then not this node's to remove.
    let _ = fs::remove_file(node_file);
    ended
}

/// Notifies a service manager, if there is one. A node continues whether or not it is heard.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        warn!(%error, "the service manager does not hear how this node is");
    }
}

fn tell_role(replica: &Replica) {
    let height = replica.ledger().height();
    match replica.consensus().voting_status() {
        VotingStatus::Voting => info!(%height, "this peer is an authority"),
        VotingStatus::Follower => info!(%height, "this peer follows the authorities"),
        voting_status => crate::driver::explain(voting_status),
    }
}

/// Runs the replica on a thread of its own, so that no other task holds up consensus.
fn on_its_own_thread(
    driver: Driver,
    failed: impl FnOnce(StoreError) -> NodeError + Send + 'static,
) -> Result<oneshot::Receiver<Result<(), NodeError>>, NodeError> {
    let (ended, end) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(at(Path::new("a timer")))?;
    let spawned = thread::Builder::new().name("replica".into()).spawn(move || {
        let result = runtime.block_on(driver.run()).map_err(failed);
        // A node that no longer waits needs no result.
        let _ = ended.send(result);
    });
    spawned.map_err(at(Path::new("a thread")))?;
    Ok(end)
}

fn parse(text: &str) -> Result<Multiaddr, NodeError> {
    text.parse().map_err(|error| NodeError::Address { text: text.to_owned(), reason: format!("{error}") })
}

fn mesh_config(config: &NodeConfig, genesis: &Genesis) -> Result<MeshConfig, NodeError> {
    let me = config.key.public();
    let mut mesh = MeshConfig::new(config.key.clone(), genesis.network_id());
    mesh.listen = config.listen.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    mesh.peers = config.peers.iter().map(|text| parse(text)).collect::<Result<_, _>>()?;
    for authority in genesis.authorities.iter().filter(|authority| authority.key != me) {
        let Some(peer) = mesh::peer_id(&authority.key) else { continue };
        for address in &authority.addresses {
            let address = parse(address)?;
            mesh.peers.push(address.with_p2p(peer).unwrap_or_else(|as_it_is| as_it_is));
        }
    }
    mesh.authorities = genesis.authority_set().keys().filter(|key| *key != me).collect();
    mesh.mdns = config.mdns;
    mesh.gossip_bytes_max = replica::gossip_bytes_max(genesis);
    mesh.message_bytes_max = replica::message_bytes_max(genesis);
    Ok(mesh)
}

/// The address at which this machine itself reaches what listens at another, which may stand for all of its addresses.
fn from_here(address: SocketAddr) -> SocketAddr {
    let loopback: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    if address.ip().is_unspecified() { SocketAddr::new(loopback, address.port()) } else { address }
}

/// Writes the file that tells commands on this machine where the node is. The file appears whole or not at all.
fn write_node_file(config: &NodeConfig, mesh: &MeshHandle, listener: &TcpListener) -> Result<PathBuf, NodeError> {
    let path = config.data_dir.join(NodeFile::NAME);
    let file = NodeFile {
        pid: std::process::id(),
        api: from_here(listener.local_addr().map_err(at(&path))?),
        listen: mesh.listen_addresses().iter().map(ToString::to_string).collect(),
    };
    let text = serde_json::to_vec_pretty(&file).map_err(|error| at(&path)(error.into()))?;
    let new = path.with_extension("json.new");
    fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(at(&path))?;
    info!(api = %file.api, listen = ?file.listen, "this node is up");
    Ok(path)
}

/// The parts that the node's services share.
struct Parts {
    alarms: Alarms,
    genesis: Arc<Genesis>,
    mesh: MeshHandle,
    handle: Handle,
    blobs: Blobs,
    metrics: Arc<Metrics>,
    clock: Clock,
    keep: Keep,
    disk_space: DiskSpace,
    confinement_lacks: Arc<[String]>,
}

/// What runs programs.
fn executor(config: &NodeConfig, worker: &WorkerConfig) -> Result<Executor, NodeError> {
    let cache_dir = fs::canonicalize(&config.data_dir).map_err(at(&config.data_dir))?.join("compiled");
    let executor = Executor::new(&ExecutorConfig {
        runner: worker.runner.clone(),
        cache_dir,
        cache_key: blake3::derive_key("meshwork 2026 the checksums of compiled programs", &config.key.to_seed()),
        slots: worker.slots,
        niceness: TASK_NICENESS,
        compile: CompileBounds::on_machine(worker.memory_bytes),
    })?;
    let lacking = lacking(&executor).join(", ");
    if lacking.is_empty() {
        return Ok(executor);
    }
    if worker.require_confinement {
        return Err(NodeError::Confinement(lacking));
    }
    warn!(lacking, "this machine confines tasks by less than it could");
    Ok(executor)
}

/// By what means tasks cannot be confined here, in words.
fn lacking(executor: &Executor) -> Vec<String> {
    executor.confinement().lacking().iter().map(ToString::to_string).collect()
}

impl Parts {
    fn api(&self) -> Api {
        Api {
            genesis: Arc::clone(&self.genesis),
            genesis_text: self.genesis.to_toml().into(),
            driver: self.handle.clone(),
            mesh: self.mesh.clone(),
            blobs: self.blobs.clone(),
            metrics: Arc::clone(&self.metrics),
            clock: self.clock.clone(),
            keep: self.keep,
            disk_space: self.disk_space.clone(),
            alarms: self.alarms.clone(),
            confinement_lacks: Arc::clone(&self.confinement_lacks),
            started: Instant::now(),
            limits: api::Limits::default(),
        }
    }

    fn worker(
        &self,
        config: &NodeConfig,
        executor: Option<Executor>,
        begun: &OnceLock<BegunJournal>,
        stop: &CancellationToken,
    ) -> Option<JoinHandle<()>> {
        let (worker, executor) = (config.worker.as_ref()?, executor?);
        let begun = BegunJournal::of_process(begun, &config.data_dir);
        let context = TaskContext::new(
            Arc::clone(&self.genesis),
            config.key.public(),
            self.blobs.clone(),
            (executor, begun),
            self.mesh.clone(),
            self.handle.clone(),
            Arc::clone(&self.metrics),
        );
        let context = context.lying(worker.lies);
        let (worker, heard) = Worker::new(
            config.key.clone(),
            &self.genesis,
            worker.clone(),
            self.handle.clone(),
            self.clock.clone(),
            (self.disk_space.clone(), self.alarms.clone()),
            Arc::new(context),
        );
        let stop = stop.clone();
        Some(tokio::spawn(async move {
            if let Err(stopped) = worker.run(heard, stop).await {
                warn!("the worker has ended: {stopped}");
            }
        }))
    }
}
