//! What a submitter does to tasks that it has submitted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, JobId, Resources, TaskSpec};

/// A submitter has something done to tasks of a job of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Control {
    /// Which job. Only its submitter may do anything to it.
    pub job: JobId,
    /// Which of its tasks. What has ended is left as it is.
    pub which: Selection,
    /// What is done to them.
    pub directive: Directive,
}

impl Control {
    /// Stops a whole job.
    #[must_use]
    pub const fn cancel(job: JobId) -> Self {
        Self { job, which: Selection::all(), directive: Directive::Cancel }
    }
}

/// Tasks of one job: those that lie in one of the ranges and stand as one of the filters says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Selection {
    /// The first and the last index of each range, in order and apart, at most [`Selection::RANGES_MAX`]; all tasks without any.
    pub ranges: Vec<(u32, u32)>,
    /// How they stand; however they do without any.
    pub only: BTreeSet<Filter>,
}

impl Selection {
    /// The most ranges that one names.
    pub const RANGES_MAX: usize = 64;

    /// All tasks of the job: what is done to them is done to the job, and to what is added to it later.
    #[must_use]
    pub const fn all() -> Self {
        Self { ranges: Vec::new(), only: BTreeSet::new() }
    }

    /// Whether it is the whole job.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.ranges.is_empty() && self.only.is_empty()
    }
}

/// How a task stands that has no outcome yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// It waits for other tasks or jobs, or for its time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits to be placed.
    Ready,
    /// It waits out the time after a failure.
    BackingOff,
    /// A worker has it, in a waiting place.
    Waiting,
    /// A worker runs it.
    Running,
}

/// What is done to tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directive {
    /// They are not leased until they are let go again. What a worker has goes on there.
    Hold,
    /// They are let go again.
    Release,
    /// They change what is asked for them. A running attempt keeps what it was given; one in a waiting place is taken back if
    /// its resources change.
    Amend(Amendment),
    /// They end without an outcome.
    Cancel,
}

/// What is asked for tasks from now on; what is not named stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Amendment {
    /// Larger goes first, where the order policy looks at it.
    pub priority: Option<i16>,
    /// When they should have ended.
    pub deadline: Option<Deadline>,
    /// Thousandths of a processor core.
    pub millicores: Option<u32>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

impl Amendment {
    /// Whether it changes what a claim has to have.
    #[must_use]
    pub const fn is_of_resources(&self) -> bool {
        self.millicores.is_some() || self.memory_bytes.is_some()
    }
}

/// When something should have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deadline {
    /// Whenever it does.
    Never,
    /// By this block time. It goes on afterwards.
    At(BlockTime),
}

/// What is asked for a task besides what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Terms {
    /// Larger goes first, where the order policy looks at it.
    pub priority: i16,
    /// When it should have ended, if that matters.
    pub deadline: Option<BlockTime>,
    /// What it takes of a worker.
    pub resources: Resources,
}

impl Terms {
    /// As it was submitted.
    #[must_use]
    pub const fn of(spec: &TaskSpec, deadline: Option<BlockTime>) -> Self {
        Self { priority: spec.priority, deadline, resources: spec.resources }
    }

    /// With this change.
    #[must_use]
    pub fn amended(self, by: &Amendment) -> Self {
        let Resources { millicores, memory_bytes } = self.resources;
        Self {
            priority: by.priority.unwrap_or(self.priority),
            deadline: match by.deadline {
                Some(Deadline::At(time)) => Some(time),
                Some(Deadline::Never) => None,
                None => self.deadline,
            },
            resources: Resources {
                millicores: by.millicores.unwrap_or(millicores),
                memory_bytes: by.memory_bytes.unwrap_or(memory_bytes),
            },
        }
    }
}
