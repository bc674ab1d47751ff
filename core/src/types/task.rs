//! Tasks: programs, inputs, resources and limits.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::When;
use crate::digest::Digest;

/// Facts about a machine, such as `arch=x86_64`. Tasks can require them and claims can offer them.
pub type Labels = BTreeMap<String, String>;

/// A blob by its digest and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct BlobRef {
    /// The BLAKE3 digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub bytes: u64,
}

impl BlobRef {
    /// The name of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self { digest: Digest::of(bytes), bytes: bytes.len() as u64 }
    }
}

/// What a task runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// A WebAssembly module with WASI preview 1 imports and a `_start` function.
    Wasm(BlobRef),
}

/// A file, or a folder of files, that a task finds under `/in` or where it is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Input {
    /// Its path. A relative one, without `..`, is below `/in`. An absolute one is a mount: see
    /// [`is_mount_sound`](super::is_mount_sound).
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

/// Where the content of an input comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// This blob, as a file.
    Blob(BlobRef),
    /// A folder: the files and empty folders of the [`Manifest`](super::Manifest) that is this blob. Its standard output
    /// is nobody's.
    Folder(BlobRef),
    /// The output of other tasks of the job. A task that takes it waits until they have ended well.
    Output(OutputOf),
}

/// The output of other tasks of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct OutputOf {
    /// The tasks whose output it is.
    pub of: Producer,
    /// The file below their `/out`. `None`: all files, in a folder.
    pub file: Option<String>,
}

/// The tasks whose output is taken. Their array must feed others, and come before the array that takes the
/// output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Producer {
    /// The task with this index in the job.
    Task(u32),
    /// The task in the same place of the array with this index in the job. Both arrays have the same number of
    /// tasks.
    Same(u16),
    /// All tasks of the array with this index. Each task's output is below a folder named by the task's place
    /// in the array.
    All(u16),
}

/// The resources that a task takes of a claim while it runs, besides one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Resources {
    /// Thousandths of a processor core.
    pub millicores: u32,
    /// Bytes of memory. A task's program can have no more than this. What it has written to its output streams
    /// and to `/out` is in memory until the task has ended, so it counts as well.
    pub memory_bytes: u64,
}

/// The limits at which a program is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Limits {
    /// Wall time of one attempt, in milliseconds.
    pub wall_ms: u64,
    /// Processor work of one attempt, in units of fuel: about one WebAssembly instruction each, the same on
    /// every machine.
    pub fuel: u64,
    /// Bytes that the program may write to standard output, standard error and `/out` together.
    pub output_bytes: u64,
}

/// What happens to a task when an attempt ends without an outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Retry {
    /// How many such ends are forgiven.
    pub retries: u32,
    /// How long the task waits after the first, in milliseconds. Each further one doubles the wait.
    pub delay_ms: u64,
    /// A share of each wait, in thousandths: up to this much is drawn and added.
    pub jitter_permille: u16,
    /// Whether the task goes to another worker next, as long as one claims that could ever hold it.
    pub elsewhere: bool,
    /// Whether the task starts over even if there is a checkpoint.
    pub restarts: bool,
}

impl Retry {
    /// The largest jitter: a wait may become twice as long.
    pub const JITTER_PERMILLE_MAX: u16 = 1000;

    /// Forgives this many ends, waits this long after each, and goes on from the last checkpoint at any worker.
    #[must_use]
    pub const fn of(retries: u32, delay_ms: u64) -> Self {
        Self { retries, delay_ms, jitter_permille: 0, elsewhere: false, restarts: false }
    }
}

/// How an attempt can end without an outcome. A task can have a rule of its own for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setback {
    /// Its worker was lost: the claim ran out, the worker restarted, or nothing was heard of the attempt in
    /// time.
    Lost,
    /// Its worker left.
    Drained,
    /// Its worker's process died while it compiled or ran the program, and said so when it was back.
    HostDied,
    /// Its program ended with a status that its task does not count as a success.
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
    /// Its program or an input could not be fetched.
    InputUnavailable,
    /// Its program is not one that can run.
    BadModule,
    /// Its program takes too much memory or time to compile.
    TooLargeToCompile,
    /// Its program spawned tasks that are not allowed.
    SpawnRefused,
}

impl Setback {
    /// Whether the worker was lost or left. Nothing shows that the program did anything wrong.
    #[must_use]
    pub const fn is_loss(self) -> bool {
        matches!(self, Self::Lost | Self::Drained | Self::HostDied)
    }

    /// Whether another worker might fare better. All other setbacks are what the program does, which is the
    /// same everywhere.
    #[must_use]
    pub const fn is_of_machine(self) -> bool {
        matches!(self, Self::Lost | Self::Drained | Self::HostDied | Self::TimedOut | Self::InputUnavailable)
    }
}

/// How often a task is computed, and how many workers must give the same answer before it is taken. It is for programs
/// that compute the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Redundancy {
    /// How many replicas there are at first: attempts at different workers, and at different operators where claims
    /// name them ([`Redundancy::OPERATOR`]).
    pub replicas: u8,
    /// How many of them must give the same answer: at least 2, at most `replicas`.
    pub quorum: u8,
    /// How many answers there may be in all: at least `replicas`, at most [`Redundancy::REPLICAS_MAX`]. While no answer
    /// has the quorum, one more replica is wanted.
    pub replicas_max: u8,
    /// Whether a worker that is relied on may compute a task alone. It is relied on once it has agreed with others often
    /// enough in a row, on tasks of the same submitter and program. Whether its answer is compared nevertheless is drawn
    /// once it has committed itself to it.
    pub adaptive: bool,
}

impl Redundancy {
    /// The most replicas that a task may have.
    pub const REPLICAS_MAX: u8 = 16;
    /// The label by which claims name who operates the machine. Workers with the same value count as one.
    pub const OPERATOR: &str = "operator";

    /// So many replicas, of which more than half must agree; beyond them as many again while they do not.
    #[must_use]
    pub fn of(replicas: u8) -> Self {
        let replicas_max = replicas.saturating_mul(2).min(Self::REPLICAS_MAX);
        Self { replicas, quorum: replicas / 2 + 1, replicas_max, adaptive: false }
    }

    /// Whether the numbers make sense.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        2 <= self.quorum
            && self.quorum <= self.replicas
            && self.replicas <= self.replicas_max
            && self.replicas_max <= Self::REPLICAS_MAX
    }
}

/// What the tasks of an array have in common.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct TaskSpec {
    /// The program.
    pub program: Program,
    /// The name by which the program is called, which it finds before its arguments; [`TaskSpec::ARGV0`] if `None`. Some
    /// programs do by it one thing or another.
    pub argv0: Option<String>,
    /// The program's arguments, after its name.
    pub arguments: Vec<String>,
    /// The program's environment.
    pub environment: BTreeMap<String, String>,
    /// The program's standard input; empty if `None`.
    pub stdin: Option<BlobRef>,
    /// The program's input files.
    pub inputs: Vec<Input>,
    /// The resources that each task takes of a worker.
    pub resources: Resources,
    /// Labels that a claim must offer, each with this value.
    pub labels: Labels,
    /// Labels that a claim should offer, each with this value, the most important first; at most
    /// [`TaskSpec::PREFERS_MAX`]. Each counts for more than all after it together.
    pub prefers: Vec<(String, String)>,
    /// A label over whose values the tasks are spread, if the standing claims have at most 64 different ones.
    pub spread: Option<String>,
    /// The limits of each attempt.
    pub limits: Limits,
    /// The statuses with which the program may end for its attempt to be a success: at least one, at most
    /// [`TaskSpec::SUCCESS_MAX`]. A program that returns from its start function ends with 0.
    pub success: BTreeSet<i32>,
    /// A larger number goes first, where the order policy looks at it.
    pub priority: i16,
    /// How long an attempt is expected to run, in milliseconds; 0 if unknown. What the ledger has learned about
    /// the program counts more.
    pub expected_ms: u64,
    /// What happens when the program fails. (Lost workers spend a budget of the genesis.)
    pub retry: Retry,
    /// What happens on these setbacks instead: each has a rule and a budget of its own.
    pub recovery: BTreeMap<Setback, Retry>,
    /// Whether the program saves checkpoints. An attempt can then be preempted, and goes on from the last
    /// checkpoint.
    pub checkpoints: bool,
    /// Whether the program may spawn tasks like itself, within the job's bound.
    pub spawns: bool,
    /// Whether a slow attempt may get a speculative attempt: a second one at a worker that has nothing else to
    /// do. Replicas get none.
    pub speculation: bool,
    /// How many workers compute each task, and how many must agree; `None`: one worker's word is enough. Programs that
    /// save checkpoints or spawn tasks can have none: a checkpoint would pass one replica's work on to another, and
    /// spawned tasks are no part of what is compared.
    pub redundancy: Option<Redundancy>,
}

impl TaskSpec {
    /// The most labels that a task prefers.
    pub const PREFERS_MAX: usize = 4;
    /// The name by which a program is called that is given none.
    pub const ARGV0: &str = "task";
    /// The most statuses that mean success.
    pub const SUCCESS_MAX: usize = 256;

    /// A program without arguments and inputs, on one core with 128 MiB for at most five minutes. Only status 0 means
    /// success.
    #[must_use]
    pub fn of(program: BlobRef) -> Self {
        Self {
            program: Program::Wasm(program),
            argv0: None,
            arguments: Vec::new(),
            environment: BTreeMap::new(),
            stdin: None,
            inputs: Vec::new(),
            resources: Resources { millicores: 1000, memory_bytes: 128 << 20 },
            labels: Labels::new(),
            prefers: Vec::new(),
            spread: None,
            limits: Limits { wall_ms: 300_000, fuel: u64::MAX, output_bytes: 16 << 20 },
            success: BTreeSet::from([0]),
            priority: 0,
            expected_ms: 0,
            retry: Retry::of(0, 0),
            recovery: BTreeMap::new(),
            checkpoints: false,
            spawns: false,
            speculation: true,
            redundancy: None,
        }
    }

    /// The blob of the program.
    #[must_use]
    pub const fn program_blob(&self) -> BlobRef {
        let Program::Wasm(blob) = &self.program;
        *blob
    }

    /// What is kept of the specification once no task runs: nothing that could be long.
    #[must_use]
    pub fn outline(&self) -> Self {
        let Self { resources, limits, priority, expected_ms, retry, .. } = *self;
        Self { resources, limits, priority, expected_ms, retry, ..Self::of(self.program_blob()) }
    }
}

/// What one task of an array has besides what its array's tasks have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Part {
    /// Arguments after the common ones.
    pub arguments: Vec<String>,
    /// Inputs besides the common ones.
    pub inputs: Vec<Input>,
    /// The tasks that it depends on.
    pub after: Edges,
}

/// The tasks of a job that one task depends on, by their indices in the job, each below its own, and by the end
/// that they must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Edges {
    /// They must end well.
    pub ok: Vec<u32>,
    /// They must end.
    pub any: Vec<u32>,
    /// They must fail.
    pub fail: Vec<u32>,
}

impl Edges {
    /// All dependencies, each with the end that it must have.
    pub fn all(&self) -> impl Iterator<Item = (u32, When)> + '_ {
        let ok = self.ok.iter().map(|task| (*task, When::Ok));
        let any = self.any.iter().map(|task| (*task, When::Any));
        ok.chain(any).chain(self.fail.iter().map(|task| (*task, When::Fail)))
    }

    /// Whether there are no dependencies.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ok.is_empty() && self.any.is_empty() && self.fail.is_empty()
    }
}

/// The number of an array's tasks, and how they differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tasks {
    /// This many tasks, which differ only in their place. Each finds its place in the variable
    /// `MESHWORK_TASK_INDEX`.
    Repeat(u32),
    /// One task for each part.
    Each(Vec<Part>),
}

impl Tasks {
    /// The number of tasks.
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
