//! A mesh of separate processes on this machine, for the demo, the benchmark and tests.
//!
//! Each peer has its own key, store and ports, all below one directory. However the mesh is dropped (an error, a
//! panic, an interruption), its processes are killed. If the process that started it is killed, the peers see their
//! standard input end, and stop.

mod peer;

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    time::Duration,
};

use meshwork_core::{
    identity::{NetworkId, SecretKey},
    types::{Access, Authority, BlockTime, ConsensusParameters, Genesis, LedgerLimits, ScheduleParameters},
};
use tokio::time::Instant;

pub use self::peer::Peer;
use crate::{
    failure::{Done, Failure},
    keys,
    time::now_us,
};

/// How long a peer may take to start.
const START_WITHIN: Duration = Duration::from_secs(60);

/// How long it may take until all peers see all workers.
const MEET_WITHIN: Duration = Duration::from_secs(60);

/// Memory that a worker offers per slot, in bytes.
const SLOT_MEMORY_BYTES: u64 = 256 << 20;

/// The most peers of a mesh.
const PEERS_MAX: usize = 64;

/// The layout of a mesh.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The program to run with `up`.
    pub executable: PathBuf,
    /// The network's name.
    pub name: String,
    /// The number of authorities.
    pub authorities: usize,
    /// The number of workers.
    pub workers: usize,
    /// The number of further workers, which lie.
    pub liars: usize,
    /// Tasks that each worker runs at once.
    pub slots: u32,
    /// Blocks between two snapshots of the ledger.
    pub snapshot_interval: u64,
    /// The log filter of the peers.
    pub log: String,
    /// Whether the peers may live on without the process that started them.
    pub may_outlive: bool,
}

impl Plan {
    /// A plan with this executable, after a check that the numbers make a mesh.
    ///
    /// # Errors
    /// There are no authorities, no workers or no slots, or far too many.
    pub fn new(name: &str, authorities: usize, workers: usize, slots: u32) -> Done<Self> {
        if authorities == 0 || workers == 0 || slots == 0 || authorities + workers > PEERS_MAX {
            return Err(Failure::usage(format!(
                "A mesh here has at least one authority, one worker and one slot, and at most {PEERS_MAX} peers."
            )));
        }
        let executable = std::env::current_exe().map_err(|error| {
            Failure::failed(format!("This program cannot find itself: {error}; run it by its full path."))
        })?;
        Ok(Self {
            executable,
            name: name.to_owned(),
            authorities,
            workers,
            liars: 0,
            slots,
            snapshot_interval: ConsensusParameters::default().snapshot_interval,
            log: "info".to_owned(),
            may_outlive: false,
        })
    }

    /// The plan with so many further workers, which falsify what their tasks leave.
    ///
    /// # Errors
    /// There are far too many.
    pub fn with_liars(self, liars: usize) -> Done<Self> {
        if self.authorities + self.workers + liars > PEERS_MAX {
            return Err(Failure::usage(format!("A mesh here has at most {PEERS_MAX} peers, the liars among them.")));
        }
        Ok(Self { liars, ..self })
    }
}

/// A mesh of processes on this machine.
pub struct LocalMesh {
    plan: Plan,
    /// The directory. It is removed at the end unless it is to be kept.
    directory: Option<tempfile::TempDir>,
    root: PathBuf,
    genesis: Genesis,
    genesis_path: PathBuf,
    peers: Vec<Peer>,
    leave_running: bool,
}

impl LocalMesh {
    /// Starts a mesh. Waits until every peer answers and every worker's claim stands.
    ///
    /// # Errors
    /// A peer does not start, or the workers are not seen in time.
    pub async fn start(plan: Plan) -> Done<Self> {
        let directory = tempfile::Builder::new().prefix("meshwork-").tempdir().map_err(|error| {
            Failure::failed(format!("No directory for the mesh could be made: {error}; see to the disk or set TMPDIR."))
        })?;
        let root = directory.path().to_owned();
        let authority_keys: Vec<SecretKey> = (0..plan.authorities).map(|_| keys::generate()).collect();
        let genesis = found(&plan.name, &authority_keys, plan.snapshot_interval)?;
        let genesis_path = root.join("genesis.toml");
        fs::write(&genesis_path, genesis.to_toml()).map_err(|error| Failure::file("write", &genesis_path, &error))?;
        let mut mesh = Self {
            plan,
            directory: Some(directory),
            root,
            genesis,
            genesis_path,
            peers: Vec::new(),
            leave_running: false,
        };
        for (index, key) in authority_keys.iter().enumerate() {
            mesh.add(format!("authority-{}", index + 1), key, false)?;
        }
        for index in 0..mesh.plan.workers {
            mesh.add(format!("worker-{}", index + 1), &keys::generate(), true)?;
        }
        for index in 0..mesh.plan.liars {
            mesh.add(format!("liar-{}", index + 1), &keys::generate(), true)?;
        }
        for peer in &mut mesh.peers {
            peer.ready(START_WITHIN).await?;
        }
        mesh.meet().await?;
        Ok(mesh)
    }

    fn add(&mut self, name: String, key: &SecretKey, works: bool) -> Done {
        let home = self.root.join(&name);
        keys::create(&home.join("key"), key)?;
        let mut peer = Peer::new(name, key.public(), home, works, self.plan.may_outlive);
        let mut arguments = self.arguments(works);
        if self.lies(self.peers.len()) {
            arguments.push("--lie".to_owned());
        }
        peer.start(&self.plan.executable, &arguments, &[])?;
        self.peers.push(peer);
        Ok(())
    }

    fn arguments(&self, works: bool) -> Vec<String> {
        let mut arguments: Vec<String> = ["up", "--no-mdns", "--api", "127.0.0.1:0"].map(str::to_owned).to_vec();
        arguments.extend(["--genesis".to_owned(), self.genesis_path.display().to_string()]);
        arguments.extend(["--log".to_owned(), self.plan.log.clone()]);
        if works {
            let memory = SLOT_MEMORY_BYTES * u64::from(self.plan.slots);
            arguments.extend(["--listen".to_owned(), "/ip4/127.0.0.1/tcp/0".to_owned()]);
            arguments.extend(["--slots".to_owned(), self.plan.slots.to_string()]);
            arguments.extend(["--memory".to_owned(), format!("{memory}B")]);
        } else {
            arguments.push("--no-work".to_owned());
        }
        arguments
    }

    /// Starts one more worker, waits until all peers see it, and returns its index among the peers.
    ///
    /// # Errors
    /// The worker does not start, or is not seen in time.
    pub async fn join(&mut self) -> Done<usize> {
        let place = self.peers.len();
        self.add(format!("worker-{}", place + 1 - self.plan.authorities), &keys::generate(), true)?;
        self.peers[place].ready(START_WITHIN).await?;
        self.meet().await?;
        Ok(place)
    }

    /// Restarts the killed peers from their data on disk. Waits until all answer and the workers' claims stand.
    ///
    /// # Errors
    /// A peer does not start, or the workers are not seen in time.
    pub async fn restart_killed(&mut self) -> Done {
        self.restart_killed_with(&[]).await
    }

    /// Restarts the killed peers with additional environment variables.
    ///
    /// # Errors
    /// As [`LocalMesh::restart_killed`].
    pub async fn restart_killed_with(&mut self, environment: &[(&str, &str)]) -> Done {
        let arguments = [self.arguments(false), self.arguments(true)];
        let killed = |peer: &&mut Peer| !peer.lives();
        for peer in self.peers.iter_mut().filter(killed) {
            peer.start(&self.plan.executable, &arguments[usize::from(peer.works())], environment)?;
        }
        for peer in &mut self.peers {
            peer.ready(START_WITHIN).await?;
        }
        self.meet().await
    }

    /// Waits until all living peers see the claims of all living workers.
    ///
    /// # Errors
    /// They do not in time.
    pub async fn meet(&self) -> Done {
        let wanted: BTreeSet<_> =
            self.peers.iter().filter(|peer| peer.works() && peer.lives()).map(Peer::key).collect();
        let until = Instant::now() + MEET_WITHIN;
        for peer in self.peers.iter().filter(|peer| peer.lives()) {
            loop {
                let seen = peer.client()?.workers().await.unwrap_or_default();
                let seen: BTreeSet<_> = seen.into_iter().map(|worker| worker.key).collect();
                if wanted.is_subset(&seen) {
                    break;
                }
                if Instant::now() > until {
                    return Err(Failure::failed(format!(
                        "After {} seconds {} sees {} of {} workers; the peers' logs are in {}.",
                        MEET_WITHIN.as_secs(),
                        peer.name(),
                        wanted.intersection(&seen).count(),
                        wanted.len(),
                        self.root.display()
                    )));
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Whether a peer lies, by its index.
    pub fn lies(&self, index: usize) -> bool {
        let honest = self.plan.authorities + self.plan.workers;
        (honest..honest + self.plan.liars).contains(&index)
    }

    /// The peers: authorities first, then workers, then those that lie.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// One of the peers, to be killed.
    pub fn peer_mut(&mut self, index: usize) -> &mut Peer {
        &mut self.peers[index]
    }

    /// The network's genesis.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The path of the genesis file.
    pub fn genesis_path(&self) -> &Path {
        &self.genesis_path
    }

    /// The network's id.
    pub fn network(&self) -> NetworkId {
        self.genesis.network_id()
    }

    /// The mesh's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps the directory, with stores and logs, after the end.
    pub fn keep_directory(&mut self) {
        if let Some(directory) = self.directory.take() {
            let _ = directory.keep();
        }
    }

    /// Leaves the processes running and the directory in place.
    pub fn leave_running(&mut self) {
        self.leave_running = true;
        self.keep_directory();
    }
}

impl Drop for LocalMesh {
    fn drop(&mut self) {
        if self.leave_running {
            return;
        }
        // All are killed before any is waited for, so that none has time to notice that others are gone.
        for peer in &mut self.peers {
            peer.send_kill();
        }
        for peer in &mut self.peers {
            peer.kill();
        }
    }
}

/// A genesis for peers on one machine: short times, and leases that end as soon as the rules allow.
fn found(name: &str, keys: &[SecretKey], snapshot_interval: u64) -> Done<Genesis> {
    let ports = free_ports(keys.len())?;
    let authority = |(index, (key, port)): (usize, (&SecretKey, u16))| Authority {
        name: format!("authority-{}", index + 1),
        key: key.public(),
        addresses: vec![format!("/ip4/127.0.0.1/tcp/{port}")],
    };
    let consensus = ConsensusParameters {
        delta_ms: 100,
        heartbeat_ms: 250,
        clock_bound_ms: 100,
        timer_ms_max: 5_000,
        snapshot_interval,
        ..ConsensusParameters::default()
    };
    let mut genesis = Genesis {
        name: name.to_owned(),
        time: BlockTime(now_us()),
        authorities: keys.iter().zip(ports).enumerate().map(authority).collect(),
        access: Access::default(),
        consensus,
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters::default(),
    };
    let stall_ms = genesis.consensus.stall_threshold_ms(genesis.authority_set().faulty_max());
    genesis.ledger.claim_stands_ms_max = 3 * stall_ms;
    genesis.ledger.allowance_ms = (2 * stall_ms).max(20_000);
    genesis.check().map_err(|error| Failure::usage(format!("These numbers make no network: {error}.")))?;
    Ok(genesis)
}

/// Ports on which nobody listens. They are below the range that systems use for outgoing connections, so that none is
/// taken before the peers start.
fn free_ports(count: usize) -> Done<Vec<u16>> {
    const TRIES: usize = 10_000;
    let mut held = Vec::new();
    let mut ports = Vec::new();
    for _ in 0..TRIES {
        if ports.len() == count {
            break;
        }
        let port = rand::random_range(20_000..32_000);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push(listener);
            ports.push(port);
        }
    }
    if ports.len() == count {
        return Ok(ports);
    }
    Err(Failure::failed(format!("No {count} free ports were found on 127.0.0.1; close what listens there.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mesh_of_any_size_has_a_genesis_that_holds() {
        for count in [1, 2, 4, 7, 13] {
            let keys: Vec<SecretKey> = (0..count).map(|_| keys::generate()).collect();
            let genesis = found("here", &keys, 16).expect("good");
            assert_eq!(Genesis::from_toml(&genesis.to_toml()).expect("good").network_id(), genesis.network_id());
            let addresses: BTreeSet<_> = genesis.authorities.iter().flat_map(|one| one.addresses.clone()).collect();
            assert_eq!(addresses.len(), count);
        }
    }

    #[test]
    fn meshes_that_cannot_be_are_refused() {
        for (authorities, workers, slots) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (60, 60, 1)] {
            assert!(Plan::new("x", authorities, workers, slots).is_err());
        }
    }
}
