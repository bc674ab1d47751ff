//! The report of a benchmark.

use serde::Serialize;

use super::conditions::Conditions;
use crate::output::{Record, words::bytes};

/// The figures. One is absent if this machine or the node does not provide it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    /// No-op tasks per second in one array, from its submission until the submitter knows that the last task has
    /// ended.
    pub noop_array_per_s: f64,
    /// No-op tasks per second, each its own signed job.
    pub noop_single_per_s: f64,
    /// Time from a submission to its result, one after the other: median.
    pub latency_ms_p50: f64,
    /// The same: 99th percentile.
    pub latency_ms_p99: f64,
    /// Time from a block's own time until it is final, while jobs come one after the other: median.
    pub finality_ms_p50: Option<f64>,
    /// The same: 99th percentile.
    pub finality_ms_p99: Option<f64>,
    /// The same over the whole run, most of which is under full load: median.
    pub finality_loaded_ms_p50: Option<f64>,
    /// The same: 99th percentile.
    pub finality_loaded_ms_p99: Option<f64>,
    /// Growth of a peer's data per task of the array.
    pub disk_bytes_per_task: f64,
    /// Growth of a peer's data per single job.
    pub disk_bytes_per_single_task: f64,
    /// Bytes that all peers sent per task of the array.
    pub wire_bytes_per_task: Option<f64>,
    /// Bytes that all peers sent per single job.
    pub wire_bytes_per_single_task: Option<f64>,
    /// Peak memory of the largest process.
    pub memory_bytes_max: Option<u64>,
    /// Final blocks at the end of the run.
    pub blocks: u64,
    /// The conditions of the run.
    pub conditions: Conditions,
}

impl Record for Report {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let ms = |value: Option<f64>| value.map_or("not measured".into(), |value| format!("{value:.2} ms"));
        let size = |value: Option<f64>| value.map_or("not measured".into(), |value| format!("{value:.0} bytes"));
        vec![
            ("no-op tasks, one array", format!("{:.0} /s", self.noop_array_per_s)),
            ("no-op tasks, one by one", format!("{:.0} /s", self.noop_single_per_s)),
            ("submit to result, median", format!("{:.2} ms", self.latency_ms_p50)),
            ("submit to result, 99th percentile", format!("{:.2} ms", self.latency_ms_p99)),
            ("finality, median", ms(self.finality_ms_p50)),
            ("finality, 99th percentile", ms(self.finality_ms_p99)),
            ("finality at full load, median", ms(self.finality_loaded_ms_p50)),
            ("finality at full load, 99th percentile", ms(self.finality_loaded_ms_p99)),
            ("disk for each task and peer, array", size(Some(self.disk_bytes_per_task))),
            ("disk for each task and peer, single", size(Some(self.disk_bytes_per_single_task))),
            ("wire for each task, array", size(self.wire_bytes_per_task)),
            ("wire for each task, single", size(self.wire_bytes_per_single_task)),
            ("largest process", self.memory_bytes_max.map_or("not measured".into(), bytes)),
            ("blocks", self.blocks.to_string()),
            ("conditions", self.conditions.in_a_line()),
        ]
    }
}
