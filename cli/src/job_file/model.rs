//! The grammar of job files: these types, from which their JSON Schema is made. `docs/job-file.md` explains each key
//! in full.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::values::{At, List, Named, Scalar, Text, TextOrTable};

/// A Meshwork job: tasks, what they wait for, and what they take from each other. `meshwork submit job.toml` submits
/// it, and `meshwork submit job.toml --dry-run` shows it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct JobFile {
    /// Name of the job. Default: the file's name.
    pub name: Option<Text>,
    /// Jobs that must succeed before anything of this one begins, by id.
    pub after: Option<List<String>>,
    /// Jobs that must end before, in whatever way.
    pub after_any: Option<List<String>>,
    /// Jobs that must fail before.
    pub after_fail: Option<List<String>>,
    /// Nothing begins before this: a time from now ("90m"), or a time in UTC ("2030-01-31T18:00:00Z").
    pub not_before: Option<Text>,
    /// Deadline for the whole job: a time from now, or a time in UTC. The job continues after it.
    pub deadline: Option<Text>,
    /// How long the job may take from its first lease. Tasks that have not ended by then are cancelled.
    pub run_limit: Option<Text>,
    /// How long the job may exist. Tasks that have not ended by then are cancelled.
    pub live_limit: Option<Text>,
    /// The most tasks that the tasks with `spawns` may spawn together.
    pub spawn_max: Option<At<u32>>,
    /// Keeps the job open until then, so that `meshwork submit --to JOB` can add to it.
    pub open: Option<Text>,
    /// Makes the job recur.
    pub recurs: Option<At<Recurs>>,
    /// Keys of every task that does not set them itself.
    pub defaults: Task,
    /// Values for ${name} in any text. `--set name=value` overrides one.
    pub parameters: Named<At<Scalar>>,
    /// The tasks and arrays of tasks, by name.
    pub tasks: Named<Task>,
}

/// When a job recurs, and what happens to occurrences that are missed or overlap.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Recurs {
    /// The occurrences, as a cron expression in UTC: minute, hour, day of the month, month, day of the week.
    pub cron: Option<Text>,
    /// What happens to occurrences that were missed because the network stood still or the job was paused: "skip"
    /// them, run the last "once", or run "all" of them, up to a bound.
    pub catch_up: Option<Text>,
    /// What happens to an occurrence while the job of an earlier one has not ended: "skip" it, "queue" it, run it
    /// "alongside", or "cancel" the earlier job.
    pub overlap: Option<Text>,
    /// No occurrence before this: a time from now ("90m"), or a time in UTC ("2030-01-31T18:00:00Z").
    pub from: Option<Text>,
    /// No occurrence after this: a time from now, or a time in UTC.
    pub until: Option<Text>,
    /// The most occurrences that run.
    pub runs: Option<At<u64>>,
}

/// A task, or an array of tasks if it has `each`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Task {
    /// The program: a WebAssembly module built for wasm32-wasip1.
    pub program: Option<Text>,
    /// Makes one task for each of these.
    pub each: Option<At<Each>>,
    /// The name by which the program is called: its argument 0. Default: "task".
    pub argv0: Option<Text>,
    /// The program's arguments.
    pub arguments: Option<List<String>>,
    /// Environment variables.
    pub environment: Named<At<Scalar>>,
    /// What the program reads from standard input.
    pub stdin: Option<At<InputSource>>,
    /// Inputs below /in, by path: a local file or folder, a text, or the output of other tasks.
    pub inputs: Named<At<InputSource>>,
    /// Inputs elsewhere, by absolute path, such as "/share". The task's own folders cannot be replaced: /in, /out, /tmp
    /// and /checkpoint.
    pub mounts: Named<At<InputSource>>,
    /// Tasks that must succeed before this one.
    pub after: Option<List<Reference>>,
    /// Tasks that must end before this one, in whatever way.
    pub after_any: Option<List<Reference>>,
    /// Tasks that must fail before this one. If they do not, it is skipped.
    pub after_fail: Option<List<Reference>>,
    /// Memory that the task may use, such as "64MiB".
    pub memory: Option<Text>,
    /// Thousandths of a core that the task reserves on its worker.
    pub millicores: Option<At<u32>>,
    /// Time that one attempt may take, such as "2m".
    pub timeout: Option<Text>,
    /// Work that the task may do, in units of about one WebAssembly instruction.
    pub fuel: Option<At<u64>>,
    /// Bytes that the task may write, to /out and its output streams together, such as "16MiB".
    pub output_limit: Option<Text>,
    /// Statuses with which the program may end for the task to succeed, such as [0, 10, 20]. Default: 0.
    pub success: Option<At<Vec<i32>>>,
    /// Failures of the program that are forgiven.
    pub retries: Option<At<u32>>,
    /// Wait after the first failure; each further failure doubles it.
    pub retry_delay: Option<Text>,
    /// Rules that replace `retries` for one kind of setback: `lost`, `drained`, `host-died`, `exited`, `trapped`,
    /// `timed-out`, `out-of-memory`, `out-of-fuel`, `output-too-large`, `input-unavailable`, `bad-module`,
    /// `too-large-to-compile`, `spawn-refused`.
    pub recovery: Named<At<Recovery>>,
    /// Whether the program saves checkpoints, by moving files below /checkpoint, and continues from the last one.
    pub checkpoints: Option<bool>,
    /// Whether the program may spawn more tasks like itself, through /out/spawn.jsonl.
    pub spawns: Option<bool>,
    /// Whether an attempt that takes far longer than most may get a speculative attempt at an idle worker. Default:
    /// true.
    pub speculation: Option<bool>,
    /// Workers that compute each task, of whom a quorum must give the same answer; for programs that compute the same
    /// everywhere.
    pub replicas: Option<At<u8>>,
    /// How many of them must give the same answer, at least 2. Default: more than half of `replicas`.
    pub quorum: Option<At<u8>>,
    /// How many answers there may be in all while no answer has the quorum, at most 16. Default: twice `replicas`.
    pub replicas_max: Option<At<u8>>,
    /// Whether a worker that has agreed with others ten times in a row, on your tasks of this program, computes a task
    /// alone, but for some that are drawn. Default: false.
    pub adaptive: Option<At<bool>>,
    /// Labels that a worker must offer.
    pub requires: Named<At<Scalar>>,
    /// Labels that a worker should offer, as "key=value", the most important first; at most four.
    pub prefers: Option<List<String>>,
    /// A label over whose values the tasks are spread.
    pub spread: Option<Text>,
    /// Priority; tasks with a larger one go first.
    pub priority: Option<At<i16>>,
    /// Time that an attempt is expected to take, for networks whose policies look at it.
    pub expected: Option<Text>,
    /// Keeps the outputs for tasks that are added later with `meshwork submit --to JOB`.
    pub feeds: Option<bool>,
}

/// What happens to a task after one kind of setback, with a budget of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Recovery {
    /// Setbacks of this kind that are forgiven.
    pub retries: Option<At<u32>>,
    /// Wait after the first such setback; each further one doubles it.
    pub delay: Option<Text>,
    /// Up to this share of the wait is added to it at random.
    pub jitter_percent: Option<At<u16>>,
    /// Whether the task goes to another worker next, as long as another could hold it.
    pub elsewhere: Option<bool>,
    /// Whether the task starts over, even if it has a checkpoint.
    pub restart: Option<bool>,
}

/// What an array has one task for: exactly one of `range`, `files`, `csv`, `jsonl` and `matrix`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Each {
    /// Numbers, such as "0..300" or "0..=100 by 5". Provides ${index}.
    pub range: Option<Text>,
    /// Files by patterns, such as "tiles/*.txt", in the order of their paths. Provides ${file}, ${name} and ${stem}.
    pub files: Option<List<String>>,
    /// The rows of a CSV table whose first line names the columns. Provides each column by its name.
    pub csv: Option<Text>,
    /// The lines of a file, each a JSON object. Provides each key by its name.
    pub jsonl: Option<Text>,
    /// All combinations of values; the last name varies fastest. Provides each name.
    pub matrix: Option<At<Named<Vec<At<Scalar>>>>>,
    /// Combinations to leave out: all in which these names have these values.
    pub exclude: Vec<At<Named<At<Scalar>>>>,
    /// Combinations to add, each with a value for every name.
    pub include: Vec<At<Named<At<Scalar>>>>,
}

/// Tasks of the same job: `name` is a task, or all tasks of an array; `name[3]` is the task in that place, and
/// `name[0, 4..8]` are several. The table `{ each-of = "name" }` means the task in the same place of an array with as
/// many tasks.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The text as written.
    pub text: String,
    /// Whether it was an `each-of`.
    pub each: bool,
}

/// A reference, as a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EachOf {
    /// The array whose task in the same place is meant.
    pub each_of: String,
}

impl TextOrTable for Reference {
    type Table = EachOf;
    const NAME: &'static str = "Reference";
    const EXPECTED: &'static str = "a task's name, or { each-of = \"NAME\" }";
    fn from_text(text: String) -> Self {
        Self { text, each: false }
    }
    fn from_table(table: EachOf) -> Self {
        Self { text: table.each_of, each: true }
    }
}

/// Where an input's content comes from: the path of a local file, or a table.
#[derive(Clone, Debug)]
pub enum InputSource {
    /// A local file, by its path.
    File(String),
    /// Something else.
    Table(InputTable),
}

/// Where an input's content comes from: exactly one of `folder`, `from`, `each-of` and `text`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct InputTable {
    /// A local folder, by its path, with all that is in it.
    pub folder: Option<Text>,
    /// The output of other tasks: the files of a single task (`name`, or `name[3]`), or a folder per task of an
    /// array.
    pub from: Option<Text>,
    /// The output of the task in the same place of this array.
    pub each_of: Option<Text>,
    /// Only this file below their /out.
    pub file: Option<Text>,
    /// This text.
    pub text: Option<Text>,
}

impl TextOrTable for InputSource {
    type Table = InputTable;
    const NAME: &'static str = "InputSource";
    const EXPECTED: &'static str =
        "a file's path, { folder = \"PATH\" }, { from = \"TASK\" }, { each-of = \"TASK\" } or { text = \"…\" }";
    fn from_text(text: String) -> Self {
        Self::File(text)
    }
    fn from_table(table: InputTable) -> Self {
        Self::Table(table)
    }
}

macro_rules! text_or_table {
    ($($of:ty),*) => { $(
        impl<'de> Deserialize<'de> for $of {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::read(deserializer)
            }
        }
        impl JsonSchema for $of {
            fn schema_name() -> Cow<'static, str> {
                Self::NAME.into()
            }
            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                Self::schema(generator)
            }
        }
    )* };
}

text_or_table!(Reference, InputSource);

impl JobFile {
    /// Gives every number in the file, whose text this is, the digits that it is written with.
    pub fn spell(&mut self, source: &str) {
        let tasks = self.tasks.0.iter_mut().map(|(_, task)| task);
        let of_tasks = [&mut self.defaults].into_iter().chain(tasks).flat_map(Task::scalars);
        let parameters = self.parameters.0.iter_mut().map(|(_, value)| value);
        parameters.chain(of_tasks).for_each(|scalar| scalar.spell(source));
    }
}

impl Task {
    fn scalars(&mut self) -> impl Iterator<Item = &mut At<Scalar>> {
        let tables = [&mut self.environment, &mut self.requires].into_iter().flat_map(|table| &mut table.0);
        let of_each = self.each.iter_mut().flat_map(|each| {
            let Each { matrix, exclude, include, .. } = &mut each.value;
            let axes = matrix.iter_mut().flat_map(|matrix| &mut matrix.value.0).flat_map(|(_, values)| values);
            let combinations = exclude.iter_mut().chain(include).flat_map(|combination| &mut combination.value.0);
            axes.chain(combinations.map(|(_, value)| value))
        });
        tables.map(|(_, value)| value).chain(of_each)
    }
}

/// The JSON Schema of job files, as text.
pub fn schema() -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<JobFile>();
    schema.insert("title".into(), "Meshwork job file".into());
    let schema = without_null(schema.to_value());
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}

/// Removes from a schema that a key may be null: TOML has no null.
fn without_null(schema: Value) -> Value {
    let is_null = |value: &Value| value == "null" || *value == serde_json::json!({ "type": "null" });
    match schema {
        Value::Object(rules) => {
            let mut rules: serde_json::Map<String, Value> = rules
                .into_iter()
                .filter(|(key, _)| key != "default")
                .map(|(key, rule)| (key, without_null(rule)))
                .collect();
            if let Some(Value::Array(kinds)) = rules.get("type")
                && let [kind] = &kinds[..]
            {
                let kind = kind.clone();
                rules.insert("type".into(), kind);
            }
            if let Some(Value::Array(choices)) = rules.get("anyOf")
                && let [Value::Object(only)] = &choices[..]
            {
                let only = only.clone();
                rules.remove("anyOf");
                rules.extend(only);
            }
            Value::Object(rules)
        }
        Value::Array(values) => {
            Value::Array(values.into_iter().filter(|value| !is_null(value)).map(without_null).collect())
        }
        other => other,
    }
}
