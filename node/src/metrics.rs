//! The node's metrics, in Prometheus' text format at `/metrics`.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use meshwork_api::Progress;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::mesh::MeshMetrics;

/// The label for the reason of a refusal.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Reason {
    /// The reason in words.
    pub reason: String,
}

/// A snapshot of the mesh's own counters.
#[derive(Debug)]
struct MeshCounters(MeshMetrics);

impl Collector for MeshCounters {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for (name, help, value) in self.0.iter() {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        Ok(())
    }
}

/// How many finality times the median and the percentile are taken from.
const FINALITY_SAMPLES: usize = 1024;

/// All metrics of this node.
#[derive(Debug)]
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Messages and transactions that were refused, by reason.
    pub refused: Family<Reason, Counter>,
    /// Final blocks executed.
    pub blocks: Counter,
    /// Transactions executed in them.
    pub transactions: Counter,
    /// Time from a block's own time until it is final here, in seconds.
    pub finality_seconds: Histogram,
    /// The newest final height.
    pub height: Gauge,
    /// The view of consensus.
    pub view: Gauge,
    /// Transactions that wait to be ordered.
    pub pool: Gauge,
    /// Peers connected.
    pub peers: Gauge,
    /// Tasks that ran here.
    pub tasks_run: Counter,
    /// Proofs that an authority broke a promise.
    pub evidence: Counter,
    /// Stored blobs that were damaged.
    pub blobs_damaged: Counter,
    /// Stored blobs that made room for others.
    pub blobs_evicted: Counter,
    recent_finality_us: Mutex<VecDeque<u64>>,
    last_block: Mutex<Option<Instant>>,
    /// Free bytes on the disk that holds the store.
    pub disk_free_bytes: Gauge,
    sync_chunks: Gauge,
    sync_chunks_fetched: Gauge,
    sync: Mutex<Option<Progress>>,
}

impl Metrics {
    /// Metrics that are all zero.
    #[must_use]
    pub fn new() -> Arc<Self> {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("meshwork")),
            refused: Family::default(),
            blocks: Counter::default(),
            transactions: Counter::default(),
            finality_seconds: Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0]),
            height: Gauge::default(),
            view: Gauge::default(),
            pool: Gauge::default(),
            peers: Gauge::default(),
            tasks_run: Counter::default(),
            evidence: Counter::default(),
            blobs_damaged: Counter::default(),
            blobs_evicted: Counter::default(),
            recent_finality_us: Mutex::default(),
            last_block: Mutex::default(),
            disk_free_bytes: Gauge::default(),
            sync_chunks: Gauge::default(),
            sync_chunks_fetched: Gauge::default(),
            sync: Mutex::default(),
        };
        {
            let mut registry = metrics.registry.lock().unwrap_or_else(PoisonError::into_inner);
            let r = &mut *registry;
            r.register("refused", "Messages and transactions refused", metrics.refused.clone());
            r.register("blocks", "Final blocks executed", metrics.blocks.clone());
            r.register("transactions", "Transactions executed", metrics.transactions.clone());
            r.register("finality_seconds", "From a block's time to its finality", metrics.finality_seconds.clone());
            r.register("height", "The newest final height", metrics.height.clone());
            r.register("view", "The round's view", metrics.view.clone());
            r.register("pool_transactions", "Transactions waiting to be ordered", metrics.pool.clone());
            r.register("peers", "Peers connected", metrics.peers.clone());
            r.register("tasks_run", "Tasks run here", metrics.tasks_run.clone());
            let free = metrics.disk_free_bytes.clone();
            r.register("disk_free_bytes", "Bytes free on the disk that holds the store", free);
            r.register("sync_chunks", "Chunks of the snapshot that is being fetched", metrics.sync_chunks.clone());
            let fetched = metrics.sync_chunks_fetched.clone();
            r.register("sync_chunks_fetched", "Chunks of it that have come", fetched);
            r.register("evidence", "Proofs of broken promises", metrics.evidence.clone());
            r.register("blobs_damaged", "Stored blobs that were damaged", metrics.blobs_damaged.clone());
            let evicted = metrics.blobs_evicted.clone();
            r.register("blobs_evicted", "Stored blobs that made room for others", evicted);
        }
        Arc::new(metrics)
    }

    /// Counts a refusal.
    pub fn refuse(&self, reason: impl Into<String>) {
        self.refused.get_or_create(&Reason { reason: reason.into() }).inc();
    }

    /// Counts an executed block with this many transactions.
    pub fn executed(&self, transactions: usize) {
        self.blocks.inc();
        self.transactions.inc_by(transactions as u64);
        *self.last_block.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The time since the last executed block; `None` if this process has executed none.
    #[must_use]
    pub fn since_last_block(&self) -> Option<Duration> {
        self.last_block.lock().unwrap_or_else(PoisonError::into_inner).map(|at| at.elapsed())
    }

    /// Sets the progress of fetching a snapshot; `None` if none is being fetched.
    pub fn sync(&self, progress: Option<Progress>) {
        self.sync_chunks.set(progress.map_or(0, |progress| progress.chunks.into()));
        self.sync_chunks_fetched.set(progress.map_or(0, |progress| progress.fetched.into()));
        *self.sync.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// The progress of fetching a snapshot; `None` if none is being fetched.
    #[must_use]
    pub fn syncing(&self) -> Option<Progress> {
        *self.sync.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records how long a block with transactions took to become final, in microseconds.
    pub fn finality(&self, micros: u64) {
        self.finality_seconds.observe(micros as f64 / 1e6);
        let mut recent = self.recent_finality_us.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() == FINALITY_SAMPLES {
            recent.pop_front();
        }
        recent.push_back(micros);
    }

    /// The finality times of the last blocks with transactions, in milliseconds: median and 99th percentile.
    #[must_use]
    pub fn finality_ms(&self) -> Option<(f64, f64)> {
        let recent = self.recent_finality_us.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sorted: Vec<u64> = recent.iter().copied().collect();
        sorted.sort_unstable();
        let at = |per_mille: usize| sorted.get((sorted.len().max(1) - 1) * per_mille / 1000).map(|us| *us as f64 / 1e3);
        Some((at(500)?, at(990)?))
    }

    /// The text for Prometheus, including the mesh's own counters.
    #[must_use]
    pub fn text(&self, mesh: &MeshMetrics, peers: usize) -> String {
        self.peers.set(i64::try_from(peers).unwrap_or(i64::MAX));
        let mut of_the_mesh = Registry::with_prefix("meshwork_mesh");
        of_the_mesh.register_collector(Box::new(MeshCounters(*mesh)));
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a String does not fail.
        let _ = text::encode_registry(&mut out, &registry);
        let _ = text::encode_registry(&mut out, &of_the_mesh);
        let _ = text::encode_eof(&mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_seen() {
        let metrics = Metrics::new();
        assert_eq!(metrics.finality_ms(), None);
        for ms in 1..=101 {
            metrics.finality(ms * 1000);
        }
        assert_eq!(metrics.finality_ms(), Some((51.0, 100.0)));
    }

    #[test]
    fn what_is_counted_is_shown_by_its_name() {
        let metrics = Metrics::new();
        metrics.refuse("too large");
        let mesh = MeshMetrics { wire_bytes_out: 7, ..MeshMetrics::default() };
        let text = metrics.text(&mesh, 3);
        assert!(text.contains("meshwork_refused_total{reason=\"too large\"} 1"), "{text}");
        assert!(text.contains("meshwork_mesh_wire_bytes_out_total 7"), "{text}");
    }
}
