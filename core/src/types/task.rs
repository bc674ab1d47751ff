//! What a submitter asks for: programs, inputs, resources and limits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::When;
use crate::digest::Digest;

/// Facts about a machine, such as `arch=x86_64`, that tasks can require and claims can offer.
pub type Labels = BTreeMap<String, String>;

/// A blob by its name and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct BlobRef {
    /// The BLAKE3 digest of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// A WebAssembly module with WASI preview 1 imports and a `_start` function.
    Wasm(BlobRef),
}

/// A file, or a folder of files, that a task finds under `/in`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Input {
    /// Its path below `/in`: relative, without `..`.
    pub path: String,
    /// Where its content comes from.
    pub source: Source,
}

impl Input {
    /// A file with this content.
    #[must_use]
    pub fn blob(path: impl Into<String>, blob: BlobRef) -> Self {
        Self { path: path.into(), source: Source::Blob(blob) }
    }
}

/// Where an input's content comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// It is this.
    Blob(BlobRef),
    /// Other tasks of the job leave it. Whoever takes it waits until they have ended well.
    Output(OutputOf),
}

/// What other tasks of a job leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct OutputOf {
    /// Whose.
    pub of: Giver,
    /// The file below their `/out` that is meant; without it all of them, in a folder.
    pub file: Option<String>,
}

/// Whose output is taken. The array that it is of must be one that feeds others, and stand before the one that takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Giver {
    /// The task with this index in the job.
    Task(u32),
    /// The task in the same place of the array with this place in the job, which has as many.
    Same(u16),
    /// All tasks of that array: what each leaves is below a folder named by its place there.
    All(u16),
}

/// What a task takes of a claim while it runs, besides one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Resources {
    /// Thousandths of a processor core.
    pub millicores: u32,
    /// Bytes of memory. A task's program can have no more than this, and what it has written to its output streams and to
    /// `/out`, which is in memory until the task has ended, counts as its own.
    pub memory_bytes: u64,
}

/// What ends a program that does not end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Limits {
    /// Wall time of one attempt, in milliseconds.
    pub wall_ms: u64,
    /// Processor work of one attempt, in units of fuel (about one WebAssembly instruction each), alike on every machine.
    pub fuel: u64,
    /// Bytes that it may write to standard output, standard error and `/out` together.
    pub output_bytes: u64,
}

/// What becomes of a task whose attempt ended without its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Retry {
    /// How many such ends are forgiven.
    pub retries: u32,
    /// How long the task waits after the first, in milliseconds; each further one doubles the wait.
    pub delay_ms: u64,
    /// Up to this share of a wait, in thousandths, is drawn and added to it.
    pub jitter_permille: u16,
    /// Whether the task goes to another worker next, as long as one stands that could ever hold it.
    pub elsewhere: bool,
    /// Whether it starts over, though there be a checkpoint.
    pub restarts: bool,
}

impl Retry {
    /// The largest jitter: a wait may come to be twice as long.
    pub const JITTER_PERMILLE_MAX: u16 = 1000;

    /// Forgives so many, after such a wait, and goes on from the last checkpoint, wherever there is room.
    #[must_use]
    pub const fn of(retries: u32, delay_ms: u64) -> Self {
        Self { retries, delay_ms, jitter_permille: 0, elsewhere: false, restarts: false }
    }
}

/// How an attempt can end without its task's outcome, as far as tasks can ask for a rule of their own for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setback {
    /// Its worker was lost: its claim ran out, it was started anew, or nothing was heard of the attempt in time.
    Lost,
    /// Its worker left.
    Drained,
    /// Its program ended with a status other than 0.
    Exited,
    /// Its program trapped.
    Trapped,
    /// Its program ran out of time.
    TimedOut,
    /// Its program ran out of memory.
    OutOfMemory,
    /// Its program ran out of fuel.
    OutOfFuel,
    /// Its program wrote too much.
    OutputTooLarge,
    /// Its program, or an input, was not to be had.
    InputUnavailable,
    /// Its program is none that can run.
    BadModule,
    /// Its program asked for tasks that there may not be.
    SpawnRefused,
}

impl Setback {
    /// Whether its worker was lost or left, and its program did nothing wrong.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Lost | Self::Drained)
    }

    /// Whether it may be another where another worker has the task: what is left is what the program does, which is alike anywhere.
    #[must_use]
    pub const fn is_of_machine(self) -> bool {
        matches!(self, Self::Lost | Self::Drained | Self::TimedOut | Self::InputUnavailable)
    }
}

/// What the tasks of an array have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct TaskSpec {
    /// The program.
    pub program: Program,
    /// Its arguments, after the program's name.
    pub arguments: Vec<String>,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// What it reads from standard input; nothing if there is none.
    pub stdin: Option<BlobRef>,
    /// Its input files.
    pub inputs: Vec<Input>,
    /// What it takes of a worker.
    pub resources: Resources,
    /// Labels that a claim must offer, each with this value.
    pub labels: Labels,
    /// Labels that a claim should offer, each with this value, the most important first; at most
    /// [`TaskSpec::PREFERS_MAX`]. One that is met counts for more than all after it.
    pub prefers: Vec<(String, String)>,
    /// A label over whose values the tasks are to be spread, where the claims that stand have at most 64 different ones.
    pub spread: Option<String>,
    /// What it may use.
    pub limits: Limits,
    /// Larger goes first, where the order policy looks at it.
    pub priority: i16,
    /// How long an attempt is expected to run, in milliseconds; 0 if nobody knows. What was learned of the program counts more.
    pub expected_ms: u64,
    /// What becomes of it when its program fails. (That workers are lost spends a budget of the genesis.)
    pub retry: Retry,
    /// What becomes of it otherwise: each of these setbacks has a rule, and a budget, of its own.
    pub recovery: BTreeMap<Setback, Retry>,
    /// Whether its program saves checkpoints: it may then be asked to make room for others, and goes on from the last one.
    pub checkpoints: bool,
    /// Whether its program may ask for more tasks like itself, within the job's bound.
    pub spawns: bool,
    /// Whether a copy of an attempt that takes far longer than most may run at another worker that has nothing else to do.
    pub copies: bool,
}

impl TaskSpec {
    /// The most labels that a claim should offer.
    pub const PREFERS_MAX: usize = 4;

    /// A program without arguments and inputs, on one core with 128 MiB for at most five minutes.
    #[must_use]
    pub const fn of(program: BlobRef) -> Self {
        Self {
            program: Program::Wasm(program),
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            stdin: None,
            inputs: Vec::new(),
            resources: Resources { millicores: 1000, memory_bytes: 128 << 20 },
            labels: Labels::new(),
            prefers: Vec::new(),
            spread: None,
            limits: Limits { wall_ms: 300_000, fuel: u64::MAX, output_bytes: 16 << 20 },
            priority: 0,
            expected_ms: 0,
            retry: Retry::of(0, 0),
            recovery: BTreeMap::new(),
            checkpoints: false,
            spawns: false,
            copies: true,
        }
    }

    /// The program's blob.
    #[must_use]
    pub const fn program_blob(&self) -> BlobRef {
        let Program::Wasm(blob) = &self.program;
        *blob
    }

    /// What is left to be known once nobody runs it any more: nothing that could be long.
    #[must_use]
    pub fn outline(&self) -> Self {
        let Self { resources, limits, priority, expected_ms, retry, .. } = *self;
        Self { resources, limits, priority, expected_ms, retry, ..Self::of(self.program_blob()) }
    }
}

/// What one task of an array has of its own, added to what the array's tasks have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Part {
    /// Arguments after the common ones.
    pub arguments: Vec<String>,
    /// Inputs besides the common ones.
    pub inputs: Vec<Input>,
    /// Tasks that it waits for.
    pub after: Edges,
}

/// Tasks of a job that one waits for, by their indices in the job, each below its own; by what has to become of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Edges {
    /// They have ended well.
    pub ok: Vec<u32>,
    /// They have ended.
    pub any: Vec<u32>,
    /// They have failed.
    pub fail: Vec<u32>,
}

impl Edges {
    /// All of them, each with what has to become of it.
    pub fn all(&self) -> impl Iterator<Item = (u32, When)> + '_ {
        let ok = self.ok.iter().map(|task| (*task, When::Ok));
        let any = self.any.iter().map(|task| (*task, When::Any));
        ok.chain(any).chain(self.fail.iter().map(|task| (*task, When::Fail)))
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ok.is_empty() && self.any.is_empty() && self.fail.is_empty()
    }
}

/// How many tasks an array has, and how they differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tasks {
    /// So many tasks that differ only in their place, which each finds in the variable `MESHWORK_TASK_INDEX`.
    Repeat(u32),
    /// One task for each part.
    Each(Vec<Part>),
}

impl Tasks {
    /// How many tasks there are.
    #[must_use]
    pub fn count(&self) -> usize {
        match self {
            Self::Repeat(count) => *count as usize,
            Self::Each(parts) => parts.len(),
        }
    }

    /// What the task in this place has of its own, if anything.
    #[must_use]
    pub fn part(&self, index: u32) -> Option<&Part> {
        match self {
            Self::Repeat(_) => None,
            Self::Each(parts) => parts.get(index as usize),
        }
    }
}
