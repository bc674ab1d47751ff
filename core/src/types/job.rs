//! Jobs: arrays of tasks, their dependencies, and their times.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, JobId, TaskSpec, Tasks};

/// A job: arrays of tasks. Each array depends only on arrays before it. Tasks are numbered through from 0,
/// array by array. The job's id is its transaction's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Submit {
    /// The name that people give it, at most [`Submit::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Its tasks, array by array.
    pub arrays: Vec<Array>,
    /// The other jobs that it depends on, at most [`Submit::AFTER_MAX`].
    pub after: Vec<AfterJob>,
    /// When it may begin, and when it must be over.
    pub times: Times,
    /// Until when arrays may be added to it, if they may. The job does not end before.
    pub open_until: Option<BlockTime>,
    /// How many tasks its tasks may spawn, taken together.
    pub spawns_max: u32,
}

impl Submit {
    /// The most bytes of a job's name, and of an array's.
    pub const NAME_BYTES_MAX: usize = 128;
    /// The most arrays of one job.
    pub const ARRAYS_MAX: usize = 4096;
    /// The most jobs that one job depends on, and the most arrays that one array depends on.
    pub const AFTER_MAX: usize = 64;

    /// A job without tasks so far and without dependencies.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arrays: Vec::new(),
            after: Vec::new(),
            times: Times::default(),
            open_until: None,
            spawns_max: 0,
        }
    }

    /// A job of one array, without dependencies.
    #[must_use]
    pub fn new(name: impl Into<String>, spec: TaskSpec, tasks: Tasks) -> Self {
        Self { arrays: vec![Array::new(spec, tasks)], ..Self::named(name) }
    }

    /// The number of its tasks.
    #[must_use]
    pub fn count(&self) -> usize {
        self.arrays.iter().map(|array| array.tasks.count()).sum()
    }
}

/// Adds arrays to an open job, or closes the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Extend {
    /// The job. Only its submitter may extend it.
    pub job: JobId,
    /// The arrays to add after those that it has.
    pub arrays: Vec<Array>,
    /// Whether the job is closed: no more arrays can follow.
    pub closes: bool,
}

/// Tasks that share a specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Array {
    /// The name that people give it within its job; may be empty.
    pub name: String,
    /// What its tasks have in common, stored once for all of them.
    pub spec: Arc<TaskSpec>,
    /// The number of tasks, and how they differ.
    pub tasks: Arc<Tasks>,
    /// The arrays of its job that it depends on.
    pub after: Vec<After>,
    /// Whether other tasks of its job may take its tasks' outputs. Each output is then stored, however small.
    pub feeds: bool,
}

impl Array {
    /// Tasks without dependencies.
    #[must_use]
    pub fn new(spec: TaskSpec, tasks: Tasks) -> Self {
        Self { name: String::new(), spec: Arc::new(spec), tasks: Arc::new(tasks), after: Vec::new(), feeds: false }
    }
}

/// The end that a dependency must have. A task is skipped once a dependency can no longer have that end. So are
/// tasks that depend on the skipped one ending well or failing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// It ended well.
    Ok,
    /// It ended: well, badly, or without having begun.
    Any,
    /// It failed.
    Fail,
}

/// The dependency of an array on an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct After {
    /// The earlier array, by its place in the job.
    pub array: u16,
    /// Whether each task depends only on the task in the same place there, and not on all of them. Both arrays
    /// then have the same number of tasks.
    pub each: bool,
    /// The end that it must have. For an array as a whole, `Ok` means that all its tasks ended well, and `Fail`
    /// that all ended and at least one failed.
    pub when: When,
}

/// The dependency of a job on another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct AfterJob {
    /// The other job.
    pub job: JobId,
    /// The end that it must have. `Ok` means that none of its tasks failed or was cancelled, and that not all
    /// were skipped.
    pub when: When,
}

/// When a job may begin, and when it must be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Times {
    /// No task begins before this.
    pub not_before: Option<BlockTime>,
    /// When the job should have ended, if it has a deadline. It goes on afterwards.
    pub deadline: Option<BlockTime>,
    /// How long the job may take from its first lease on, in milliseconds. Tasks that have not ended by then
    /// are cancelled.
    pub run_ms_max: Option<u64>,
    /// How long the job may exist, in milliseconds. Tasks that have not ended by then are cancelled.
    pub live_ms_max: Option<u64>,
}
