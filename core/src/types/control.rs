//! How a submitter controls tasks that it has submitted.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{BlockTime, JobId, Resources, TaskSpec};

/// A submitter's directive to tasks of its own job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Control {
    /// The job. Only its submitter may control it.
    pub job: JobId,
    /// The tasks. Those that have ended stay as they are.
    pub which: Selection,
    /// What to do to them.
    pub directive: Directive,
}

impl Control {
    /// Cancels a whole job.
    #[must_use]
    pub const fn cancel(job: JobId) -> Self {
        Self { job, which: Selection::all(), directive: Directive::Cancel }
    }
}

/// Tasks of one job: those that lie in one of the ranges and whose state is one of the filters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Selection {
    /// The first and the last index of each range, in order and apart, at most [`Selection::RANGES_MAX`].
    /// Empty: all tasks.
    pub ranges: Vec<(u32, u32)>,
    /// The states of the tasks. Empty: any state.
    pub only: BTreeSet<Filter>,
}

impl Selection {
    /// The most ranges in one selection.
    pub const RANGES_MAX: usize = 64;

    /// All tasks of the job. A directive to them also applies to the job, and to tasks that are added to it
    /// later.
    #[must_use]
    pub const fn all() -> Self {
        Self { ranges: Vec::new(), only: BTreeSet::new() }
    }

    /// Whether this selects the whole job.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.ranges.is_empty() && self.only.is_empty()
    }
}

/// The state of a task that has no outcome yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filter {
    /// It waits for other tasks or jobs, or for its time.
    Blocked,
    /// Its submitter holds it.
    Held,
    /// It waits to be placed.
    Ready,
    /// It waits out the delay after a failure.
    BackingOff,
    /// A worker has it in a waiting place.
    Waiting,
    /// A worker runs it.
    Running,
}

/// What to do to tasks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Directive {
    /// Tasks are not leased until they are released. Attempts at workers go on.
    Hold,
    /// Tasks may be leased again.
    Release,
    /// Tasks get other terms. A running attempt keeps what it was given. An attempt in a waiting place is taken
    /// back if its resources change.
    Amend(Amendment),
    /// Tasks end without an outcome.
    Cancel,
}

/// The terms that tasks have from now on; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Amendment {
    /// A larger number goes first, where the order policy looks at it.
    pub priority: Option<i16>,
    /// The deadline.
    pub deadline: Option<Deadline>,
    /// Thousandths of a processor core.
    pub millicores: Option<u32>,
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
}

impl Amendment {
    /// Whether this changes the resources that a claim must have.
    #[must_use]
    pub const fn is_of_resources(&self) -> bool {
        self.millicores.is_some() || self.memory_bytes.is_some()
    }
}

/// When a task should have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deadline {
    /// It has no deadline.
    Never,
    /// By this block time. The task goes on afterwards.
    At(BlockTime),
}

/// The terms of a task: what a submitter may change about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Terms {
    /// A larger number goes first, where the order policy looks at it.
    pub priority: i16,
    /// When it should have ended, if it has a deadline.
    pub deadline: Option<BlockTime>,
    /// The resources that it takes of a worker.
    pub resources: Resources,
}

impl Terms {
    /// The terms as they were submitted.
    #[must_use]
    pub const fn of(spec: &TaskSpec, deadline: Option<BlockTime>) -> Self {
        Self { priority: spec.priority, deadline, resources: spec.resources }
    }

    /// These terms with this change.
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
