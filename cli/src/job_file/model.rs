//! What can stand in a job file. These types are the file's grammar, and its JSON Schema is made of them; what each key
//! means in full is in `docs/job-file.md`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::values::{At, List, Named, Scalar, Text, TextOrTable};

/// A job of Meshwork as a file: tasks, what they wait for, and what they take from each other. `meshwork submit job.toml`
/// submits it, `meshwork submit job.toml --dry-run` shows what it comes to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct JobFile {
    /// What to call the job; the file's name if nothing is said.
    pub name: Option<Text>,
    /// Jobs that have to end well before anything of this one begins, by their ids.
    pub after: Option<List<String>>,
    /// Jobs that have to end in whatever way.
    pub after_any: Option<List<String>>,
    /// Jobs that have to fail.
    pub after_fail: Option<List<String>>,
    /// Nothing begins before: so long from now ("90m"), or a moment in UTC ("2030-01-31T18:00:00Z").
    pub not_before: Option<Text>,
    /// When all should be done, likewise. The job goes on afterwards.
    pub deadline: Option<Text>,
    /// How long the job may take from its first lease on; what has not ended then is cancelled.
    pub run_limit: Option<Text>,
    /// How long the job may be there; what has not ended then is cancelled.
    pub live_limit: Option<Text>,
    /// How many tasks its tasks may ask for, taken together: those that say `spawns`.
    pub spawn_max: Option<At<u32>>,
    /// Leaves the job open until then, so that `meshwork submit --to JOB` can add to it.
    pub open: Option<Text>,
    /// Runs the job again and again, rather than once.
    pub recurs: Option<At<Recurs>>,
    /// What each task has that does not say otherwise.
    pub defaults: Task,
    /// Values for ${name} in any text. `--set name=value` overrides one.
    pub parameters: Named<At<Scalar>>,
    /// The tasks and arrays of tasks, by their names.
    pub tasks: Named<Task>,
}

/// When a job runs again and again, and what becomes of moments that cannot be kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Recurs {
    /// Its moments, as a cron expression in UTC: minute, hour, day of the month, month, day of the week.
    pub cron: Option<Text>,
    /// What becomes of moments that were missed, since the network stood still or the job was paused: "skip" them, run the
    /// last "once", or run "all" of them, up to a bound.
    pub catch_up: Option<Text>,
    /// What becomes of a moment while an earlier run has not ended: "skip" it, "queue" it, run it "alongside", or "cancel" the
    /// earlier run.
    pub overlap: Option<Text>,
    /// No run before: so long from now ("90m"), or a moment in UTC ("2030-01-31T18:00:00Z").
    pub from: Option<Text>,
    /// No run after, likewise.
    pub until: Option<Text>,
    /// How often it runs at most.
    pub runs: Option<At<u64>>,
}

/// A task, or with `each` an array of tasks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Task {
    /// The program: a WebAssembly module built for wasm32-wasip1.
    pub program: Option<Text>,
    /// One task for each of these.
    pub each: Option<At<Each>>,
    /// The program's arguments.
    pub arguments: Option<List<String>>,
    /// Variables of its environment.
    pub environment: Named<At<Scalar>>,
    /// What it reads from standard input.
    pub stdin: Option<At<InputSource>>,
    /// What it finds below /in, by path: a local file, a text, or what other tasks leave.
    pub inputs: Named<At<InputSource>>,
    /// Tasks that have to end well before.
    pub after: Option<List<Reference>>,
    /// Tasks that have to end before, in whatever way.
    pub after_any: Option<List<Reference>>,
    /// Tasks that have to fail before; where they do not, this one is skipped.
    pub after_fail: Option<List<Reference>>,
    /// How much memory it may have, such as "64MiB".
    pub memory: Option<Text>,
    /// How many thousandths of a core it takes of its worker.
    pub millicores: Option<At<u32>>,
    /// How long one attempt may take, such as "2m".
    pub timeout: Option<Text>,
    /// How much work it may do, in units of about one WebAssembly instruction.
    pub fuel: Option<At<u64>>,
    /// How much it may write, to /out and its output streams together, such as "16MiB".
    pub output_limit: Option<Text>,
    /// How many failures of its program are forgiven.
    pub retries: Option<At<u32>>,
    /// How long it waits after its first failure; each further failure doubles it.
    pub retry_delay: Option<Text>,
    /// What becomes of it by what set it back, in place of `retries`: `lost`, `drained`, `exited`, `trapped`, `timed-out`,
    /// `out-of-memory`, `out-of-fuel`, `output-too-large`, `input-unavailable`, `bad-module`, `spawn-refused`.
    pub recovery: Named<At<Recovery>>,
    /// Whether its program saves checkpoints, by moving files below /checkpoint, and goes on from the last one.
    pub checkpoints: Option<bool>,
    /// Whether its program may ask for more tasks like itself, in /out/spawn.jsonl.
    pub spawns: Option<bool>,
    /// Whether a copy of an attempt that takes far longer than most may run at another worker that has nothing else to do, unless
    /// it is false.
    pub copies: Option<bool>,
    /// Facts that a worker must offer.
    pub requires: Named<At<Scalar>>,
    /// Facts that a worker should offer, as "key=value", the most important first; at most four.
    pub prefers: Option<List<String>>,
    /// A label over whose values its tasks are to be spread.
    pub spread: Option<Text>,
    /// Larger goes first.
    pub priority: Option<At<i16>>,
    /// How long an attempt is expected to take, for networks that look at it.
    pub expected: Option<Text>,
    /// Keeps what it leaves for tasks that are added later with `meshwork submit --to JOB`.
    pub feeds: Option<bool>,
}

/// What becomes of a task that was set back in one way, with a budget of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Recovery {
    /// How often that is forgiven.
    pub retries: Option<At<u32>>,
    /// How long it waits after the first time; each further one doubles it.
    pub delay: Option<Text>,
    /// Up to so much of a wait is drawn and added to it.
    pub jitter_percent: Option<At<u16>>,
    /// Whether it goes to another worker next, as long as one could hold it.
    pub elsewhere: Option<bool>,
    /// Whether it starts over, though there be a checkpoint.
    pub restart: Option<bool>,
}

/// What an array has one task for each of: exactly one of `range`, `files`, `csv`, `jsonl` and `matrix`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Each {
    /// Numbers, such as "0..300" or "0..=100 by 5": gives ${index}.
    pub range: Option<Text>,
    /// Files by patterns, such as "tiles/*.txt", in the order of their paths: gives ${file}, ${name} and ${stem}.
    pub files: Option<List<String>>,
    /// The rows of a table whose first line names the columns: gives each column by its name.
    pub csv: Option<Text>,
    /// The lines of a file, each a JSON object: gives each key by its name.
    pub jsonl: Option<Text>,
    /// All combinations of values; the last name varies fastest: gives each name.
    pub matrix: Option<At<Named<Vec<Scalar>>>>,
    /// Combinations to leave out: all in which these names have these values.
    pub exclude: Vec<At<Named<At<Scalar>>>>,
    /// Combinations to add, each with a value for every name.
    pub include: Vec<At<Named<At<Scalar>>>>,
}

/// Tasks of the same job: `name` is a task, or all tasks of an array; `name[3]` is the task in that place, `name[0, 4..8]`
/// several. As a table `{ each-of = "name" }` it is the task in the same place of an array of as many.
#[derive(Clone, Debug)]
pub struct Reference {
    /// What was written.
    pub text: String,
    /// Whether it was `each-of`.
    pub each: bool,
}

/// A reference as a table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EachOf {
    /// The array in which the task in the same place is meant.
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

/// Where an input's content comes from: exactly one of `from`, `each-of` and `text`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct InputTable {
    /// What other tasks leave: of a single task (`name`, or `name[3]`) its files, of an array a folder for each place.
    pub from: Option<Text>,
    /// What the task in the same place of this array leaves.
    pub each_of: Option<Text>,
    /// Only this file below their /out.
    pub file: Option<Text>,
    /// This text.
    pub text: Option<Text>,
}

impl TextOrTable for InputSource {
    type Table = InputTable;
    const NAME: &'static str = "InputSource";
    const EXPECTED: &'static str = "a file's path, { from = \"TASK\" }, { each-of = \"TASK\" } or { text = \"…\" }";
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

/// The JSON Schema of job files, as text.
pub fn schema() -> String {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<JobFile>();
    schema.insert("title".into(), "Meshwork job file".into());
    let schema = without_null(schema.to_value());
    let text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    format!("{text}\n")
}

/// A schema without what only says that a key may be absent, or null: TOML has no null.
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
