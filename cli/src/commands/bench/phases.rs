//! The measurements, one after the other on one mesh.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use meshwork_core::{
    identity::{NetworkId, SecretKey},
    types::{Limits, Resources, Retry, TaskSpec, Tasks},
};
use tokio::task::JoinSet;

use super::{Options, conditions::Conditions, ends::Ends, report::Report};
use crate::{
    client::Client,
    failure::{Done, Failure},
    figures::{counter, percentile, rounded},
    keys,
    local_mesh::{LocalMesh, Peer},
    output::Output,
    programs, submission,
};

/// The metric of bytes that a peer sent to others.
const SENT_BYTES: &str = "meshwork_mesh_wire_bytes_out";

/// Tasks that each slot runs before the measurements, so that every worker has compiled the module.
const WARM_UP_TASKS: u32 = 8;

/// One run of the benchmark.
pub(super) struct Bench<'a> {
    mesh: &'a LocalMesh,
    options: Options,
    output: Output,
}

/// A submitter.
struct Submitter {
    client: Client,
    ends: Ends,
    key: SecretKey,
    network: NetworkId,
    spec: Arc<TaskSpec>,
}

/// What was used so far.
#[derive(Clone, Copy)]
struct Used {
    disk_bytes: u64,
    wire_bytes: Option<f64>,
}

impl<'a> Bench<'a> {
    /// A run on this mesh.
    pub(super) fn new(mesh: &'a LocalMesh, options: Options, output: Output) -> Self {
        Self { mesh, options, output }
    }

    /// Runs all measurements.
    ///
    /// # Errors
    /// The mesh or a job fails.
    pub(super) async fn run(self) -> Done<Report> {
        let submitter = Arc::new(self.submitter().await?);
        let count = self.options.tasks;
        let slots = u32::try_from(self.options.workers).unwrap_or(u32::MAX).saturating_mul(self.options.slots);
        submitter.submit(Tasks::Repeat(slots.saturating_mul(WARM_UP_TASKS))).await?;
        self.output.note(&format!("{count} tasks in one array …"));
        let before = self.used().await?;
        let array_ms = submitter.submit(Tasks::Repeat(count)).await?;
        let between = self.used().await?;
        self.output.note(&format!("{} jobs one after the other …", self.options.submits));
        let mut latencies = Vec::new();
        let seen_before = submitter.ends.blocks().0.len();
        for _ in 0..self.options.submits {
            latencies.push(submitter.submit(Tasks::Repeat(1)).await?);
        }
        let unloaded: Vec<f64> = submitter.ends.blocks().0.split_off(seen_before);
        self.output.note(&format!("{count} jobs, {} under way at once …", self.options.in_flight));
        let before_single = self.used().await?;
        let single_ms = submit_many(&submitter, count, self.options.in_flight).await?;
        let after = self.used().await?;
        let (finality_ms, blocks) = submitter.ends.blocks();
        let figure = |values: &[f64], percent| percentile(values, percent).map(rounded);
        let (disk, wire) = self.per_task(before, between);
        let (disk_single, wire_single) = self.per_task(before_single, after);
        Ok(Report {
            noop_array_per_s: per_second(count, array_ms),
            noop_single_per_s: per_second(count, single_ms),
            latency_ms_p50: figure(&latencies, 50.0).unwrap_or_default(),
            latency_ms_p99: figure(&latencies, 99.0).unwrap_or_default(),
            finality_ms_p50: figure(&unloaded, 50.0),
            finality_ms_p99: figure(&unloaded, 99.0),
            finality_loaded_ms_p50: figure(&finality_ms, 50.0),
            finality_loaded_ms_p99: figure(&finality_ms, 99.0),
            disk_bytes_per_task: disk,
            disk_bytes_per_single_task: disk_single,
            wire_bytes_per_task: wire,
            wire_bytes_per_single_task: wire_single,
            memory_bytes_max: self.mesh.peers().iter().filter_map(Peer::memory_bytes_max).max(),
            blocks,
            conditions: Conditions::here(&self.options, self.mesh.genesis()),
        })
    }

    async fn submitter(&self) -> Done<Submitter> {
        let peer = self.mesh.peers().first().ok_or_else(|| Failure::failed("There is no peer."))?;
        let client = peer.client()?;
        let program = client.put_bytes(programs::NOOP.to_vec()).await?;
        let spec = Arc::new(TaskSpec {
            resources: Resources { millicores: 1000, memory_bytes: 1 << 20 },
            limits: Limits { wall_ms: 60_000, fuel: u64::MAX, output_bytes: 64 << 10 },
            retry: Retry::default(),
            ..TaskSpec::of(program)
        });
        let ends = Ends::listen(client.clone()).await?;
        Ok(Submitter { client, ends, key: keys::generate(), network: self.mesh.network(), spec })
    }

    async fn used(&self) -> Done<Used> {
        let mut disk_bytes = 0;
        let mut wire_bytes = Some(0.0);
        for peer in self.mesh.peers() {
            disk_bytes += peer.disk_bytes();
            let metrics = peer.client()?.metrics().await?;
            let sent = counter(&metrics, SENT_BYTES);
            wire_bytes = wire_bytes.zip(sent).map(|(sum, sent)| sum + sent);
        }
        Ok(Used { disk_bytes, wire_bytes })
    }

    /// Bytes on each peer's disk, and bytes that all peers sent, per task.
    fn per_task(&self, before: Used, after: Used) -> (f64, Option<f64>) {
        let tasks = f64::from(self.options.tasks);
        let peers = self.mesh.peers().len() as f64;
        let disk = after.disk_bytes.saturating_sub(before.disk_bytes) as f64 / peers / tasks;
        let wire = after.wire_bytes.zip(before.wire_bytes).map(|(after, before)| rounded((after - before) / tasks));
        (rounded(disk), wire)
    }
}

impl Submitter {
    /// Submits a job and waits for its end. Returns how long that took, in milliseconds.
    async fn submit(&self, tasks: Tasks) -> Done<f64> {
        let began = Instant::now();
        let spec = self.spec.clone();
        let expiry = submission::EXPIRY_DEFAULT;
        let transaction = submission::sign_job("no-op", spec, tasks, expiry, &self.key, &self.network);
        let waiting = self.ends.expect(submission::job_of(&transaction));
        submission::post(&self.client, &transaction).await?;
        let end = waiting.end().await?;
        Ok((end.at - began).as_secs_f64() * 1000.0)
    }
}

/// Submits `count` jobs of one task each, at most `in_flight` at once. Returns how long that took, in milliseconds.
async fn submit_many(submitter: &Arc<Submitter>, count: u32, in_flight: u32) -> Done<f64> {
    let began = Instant::now();
    let next = Arc::new(AtomicU32::new(0));
    let mut lanes: JoinSet<Done> = JoinSet::new();
    for _ in 0..in_flight.min(count) {
        let (submitter, next) = (submitter.clone(), next.clone());
        lanes.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < count {
                submitter.submit(Tasks::Repeat(1)).await?;
            }
            Ok(())
        });
    }
    while let Some(lane) = lanes.join_next().await {
        lane.map_err(|error| Failure::failed(format!("A submitter of the bench broke: {error}.")))??;
    }
    Ok(began.elapsed().as_secs_f64() * 1000.0)
}

fn per_second(count: u32, took_ms: f64) -> f64 {
    rounded(f64::from(count) / (took_ms / 1000.0))
}
