//! Names and numbers. Each has its own type, so that nobody can confuse two of them in a signature.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use crate::{codec::HexError, digest::Digest};

macro_rules! number {
    ($(#[$meta:meta])* $name:ident($inner:ty)) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// The number after this one; the largest stays itself.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A block's place on the ledger. The genesis state is height 0; the first block is height 1.
    Height(u64)
}
number! {
    /// A numbered attempt of the authorities to agree on a block, led by one of them. The first view of an epoch is 1.
    View(u64)
}
number! {
    /// A span of heights under one set of authorities. The genesis' authorities are epoch 0.
    Epoch(u64)
}
number! {
    /// An authority of an epoch, by its place in the list.
    AuthorityIndex(u16)
}
number! {
    /// One life of a worker's process: new at every start, and larger than the one before.
    Incarnation(u64)
}
number! {
    /// The number of an attempt of a task, from 0.
    AttemptNumber(u32)
}

impl Height {
    /// The height before this one; 0 stays 0.
    #[must_use]
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

/// Microseconds since the Unix epoch as the ledger counts them: the time of a block, or a deadline against it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlockTime(pub u64);

impl BlockTime {
    /// This time and `ms` milliseconds more, at most the end of time.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(1000)))
    }

    /// How many microseconds this time is after `earlier`; 0 if it is not later.
    #[must_use]
    pub const fn micros_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

macro_rules! digest_id {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Digest);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = HexError;
            fn from_str(text: &str) -> Result<Self, HexError> {
                text.parse().map(Self)
            }
        }
    };
}

digest_id! {
    /// A transaction: the digest of its signer and payload. The signature is left out, because one payload may
    /// have several.
    TransactionId
}
digest_id! {
    /// A job: the id of the transaction that submitted it. For an occurrence of a recurring job, a digest of
    /// the recurring job's id and the occurrence's time.
    JobId
}
digest_id! {
    /// A recurring job: the id of the transaction that submitted it.
    RecurringId
}

/// A task: its index in its job. Written `job/index`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize_tuple, Deserialize_tuple)]
pub struct TaskId {
    /// The job that it belongs to.
    pub job: JobId,
    /// Its index in the job, from 0.
    pub index: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.job, self.index)
    }
}

/// A text that is no task's name.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("a task is written JOB/INDEX, such as 5f…c2/17")]
pub struct TaskIdError;

impl FromStr for TaskId {
    type Err = TaskIdError;
    fn from_str(text: &str) -> Result<Self, TaskIdError> {
        let (job, index) = text.split_once('/').ok_or(TaskIdError)?;
        Ok(Self { job: job.parse().map_err(|_| TaskIdError)?, index: index.parse().map_err(|_| TaskIdError)? })
    }
}

/// One attempt of one task. A lease is for one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize_tuple, Deserialize_tuple)]
pub struct AttemptId {
    /// The task.
    pub task: TaskId,
    /// The number of the attempt.
    pub number: AttemptNumber,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.task, self.number)
    }
}
