//! The conditions under which figures were measured. Figures say little without them.

use meshwork_core::types::Genesis;
use serde::Serialize;

use super::Options;

/// The conditions.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Conditions {
    version: &'static str,
    build: &'static str,
    cpu: String,
    cores: usize,
    memory_bytes: u64,
    system: String,
    network: &'static str,
    authorities: usize,
    workers: usize,
    slots_per_worker: u32,
    tasks: u32,
    in_flight: u32,
    submits: u32,
    delta_ms: u64,
    heartbeat_ms: u64,
    definitions: &'static str,
}

impl Conditions {
    /// The conditions of this machine and these options.
    pub(super) fn here(options: &Options, genesis: &Genesis) -> Self {
        let system = sysinfo::System::new_with_specifics(
            sysinfo::RefreshKind::nothing()
                .with_cpu(sysinfo::CpuRefreshKind::nothing())
                .with_memory(sysinfo::MemoryRefreshKind::nothing().with_ram()),
        );
        let (cpu, memory_bytes) = system.map_or((String::new(), 0), |system| {
            let cpu = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
            (cpu.unwrap_or_default(), system.total_memory())
        });
        Self {
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            cpu,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes,
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            network: "loopback TCP; every peer a process with its own store, synced",
            authorities: options.authorities,
            workers: options.workers,
            slots_per_worker: options.slots,
            tasks: options.tasks,
            in_flight: options.in_flight,
            submits: options.submits,
            delta_ms: genesis.consensus.delta_ms,
            heartbeat_ms: genesis.consensus.heartbeat_ms,
            definitions: "disk: growth of a peer's data directory, mean over all peers; wire: what all peers together \
                          sent each other; both over the array, and over the single jobs where the name says so. \
                          finality: from a block's own time to its being final at the submitter's peer, over blocks \
                          with transactions, while jobs come one after the other; loaded: over the whole run. latency: from the submit being posted to the end of the job being heard. \
                          memory: the largest process at its largest",
        }
    }

    /// One line for people.
    pub(super) fn in_a_line(&self) -> String {
        format!(
            "{} build, {} authorities, {} workers of {} slots, {} tasks; {} cores of {}",
            self.build, self.authorities, self.workers, self.slots_per_worker, self.tasks, self.cores, self.cpu
        )
    }
}
