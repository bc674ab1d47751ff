//! What a submitter asks for as a whole: arrays of tasks, what they wait for, and when.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, JobId, TaskSpec, Tasks};

/// A job: arrays of tasks, in an order in which each waits only for what stands before it. Its tasks are numbered through from
/// 0, array by array. Its id is its transaction's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Submit {
    /// What people call it, at most [`Submit::NAME_BYTES_MAX`] bytes.
    pub name: String,
    /// Its tasks.
    pub arrays: Vec<Array>,
    /// Other jobs that it waits for, at most [`Submit::AFTER_MAX`].
    pub after: Vec<AfterJob>,
    /// When it may begin, and when it has to be over.
    pub times: Times,
    /// Until when arrays may be added to it, if they may. It does not end before.
    pub open_until: Option<BlockTime>,
    /// How many tasks its tasks may ask for, taken together.
    pub spawns_max: u32,
}

impl Submit {
    /// The most bytes of a job's name, and of an array's.
    pub const NAME_BYTES_MAX: usize = 128;
    /// The most arrays of one job.
    pub const ARRAYS_MAX: usize = 4096;
    /// The most jobs that one waits for, and the most arrays that one array does.
    pub const AFTER_MAX: usize = 64;

    /// A job without tasks so far, that waits for nothing.
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

    /// A job of one array that waits for nothing.
    #[must_use]
    pub fn new(name: impl Into<String>, spec: TaskSpec, tasks: Tasks) -> Self {
        Self { arrays: vec![Array::new(spec, tasks)], ..Self::named(name) }
    }

    /// How many tasks it has.
    #[must_use]
    pub fn count(&self) -> usize {
        self.arrays.iter().map(|array| array.tasks.count()).sum()
    }
}

/// Adds arrays to a job that is open, or closes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Extend {
    /// Which job. Only its submitter may add to it.
    pub job: JobId,
    /// What comes after what it has.
    pub arrays: Vec<Array>,
    /// Whether nothing more is to come.
    pub closes: bool,
}

/// Tasks that have one thing in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Array {
    /// What people call it within its job; may be empty.
    pub name: String,
    /// What its tasks have in common; one copy serves them all.
    pub spec: Arc<TaskSpec>,
    /// How many there are, and how they differ.
    pub tasks: Arc<Tasks>,
    /// Arrays of its job that it waits for.
    pub after: Vec<After>,
    /// Whether other tasks of its job may take what its tasks leave: that is then stored, however small.
    pub feeds: bool,
}

impl Array {
    /// Tasks that wait for nothing.
    #[must_use]
    pub fn new(spec: TaskSpec, tasks: Tasks) -> Self {
        Self { name: String::new(), spec: Arc::new(spec), tasks: Arc::new(tasks), after: Vec::new(), feeds: false }
    }
}

/// What has to become of something that is waited for. Where that can no longer be, what waits for it is skipped, and so is
/// what waits for that to end well or to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// It has ended well.
    Ok,
    /// It has ended, whether well, or badly, or never begun.
    Any,
    /// It has failed.
    Fail,
}

/// An array waits for one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct After {
    /// Which, by its place in the job.
    pub array: u16,
    /// Whether each task waits only for the one in the same place there (both have as many), and not for all of them.
    pub each: bool,
    /// What has to become of it: of an array as a whole, `Ok` is that all its tasks ended well, `Fail` that all ended and one
    /// failed.
    pub when: When,
}

/// A job waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct AfterJob {
    /// Which.
    pub job: JobId,
    /// What has to become of it: `Ok` is that none of its tasks failed or was cancelled, and not all of them were skipped.
    pub when: When,
}

/// When a job may begin, and when it has to be over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Times {
    /// Nothing of it begins before.
    pub not_before: Option<BlockTime>,
    /// When it should have ended, if that matters. It goes on afterwards.
    pub deadline: Option<BlockTime>,
    /// How long it may take from its first lease on, in milliseconds; what has not ended then is cancelled.
    pub run_ms_max: Option<u64>,
    /// How long it may be there, in milliseconds; what has not ended then is cancelled.
    pub live_ms_max: Option<u64>,
}
