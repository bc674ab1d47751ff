//! What exactly exceeds a bound or makes no sense: the field, its value and the bound. A receipt says only
//! [`VoidReason::Malformed`]; whoever has the transaction finds the rest by [`explain`](super::explain).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::{Array, VoidReason};

/// A field of a transaction that exceeds a bound, or makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsound {
    /// The array of the job that it is in, if it is in one.
    pub array: Option<ArrayPlace>,
    /// What is wrong with it.
    pub flaw: Flaw,
}

/// An array of a job, and a task in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArrayPlace {
    /// The beginning of its name; may be empty.
    pub name: String,
    /// The task's place in the array, if it is a task's own.
    pub task: Option<u32>,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Flaw {
    /// A number is out of range.
    Amount {
        /// The field.
        field: Field,
        /// Its value, in its [unit](Field::unit).
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// A text has a form that it may not have.
    Text {
        /// The beginning of the text.
        text: String,
        /// The rule that it breaks.
        rule: Rule,
    },
    /// A file would be at the same path as another, or below it.
    Clash {
        /// The beginning of the path.
        path: String,
    },
    /// Fields that do not go together, or lack one.
    Rule(Rule),
}

/// A field that is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "their words are below, each with its unit")]
pub enum Field {
    Transaction,
    JobName,
    ArrayName,
    Jobs,
    Arrays,
    RunLimit,
    LiveLimit,
    DeadlineSpan,
    Runs,
    Tasks,
    Timeout,
    Success,
    Retries,
    RetryDelay,
    RetryJitter,
    Labels,
    LabelName,
    LabelValue,
    Preferred,
    Argv0,
    Arguments,
    Variables,
    Inputs,
    PathBytes,
    Ranges,
    ClaimedAttempts,
    Load,
    ClaimedBlobs,
    Verdicts,
}

/// What a field's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Milliseconds.
    Milliseconds,
    /// Thousandths.
    Permille,
}

/// A rule that is not about an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "their words are below")]
pub enum Rule {
    NoByteZero,
    VariableName,
    RelativePath,
    MountPath,
    LabelNotEmpty,
    BeforeYear2500,
    RecursByItself,
    CronNotEmpty,
    RangesInOrder,
    SomethingAmended,
    AuthorityBrief,
    PoliciesUsable,
    ReplicasInOrder,
}

/// The most characters of a stranger's text that are repeated.
const EXCERPT_CHARS_MAX: usize = 60;

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS_MAX).collect()
}

impl Unsound {
    pub(super) const fn new(flaw: Flaw) -> Self {
        Self { array: None, flaw }
    }

    pub(super) fn text(text: &str, rule: Rule) -> Self {
        Self::new(Flaw::Text { text: excerpt(text), rule })
    }

    pub(super) fn clash(path: &str) -> Self {
        Self::new(Flaw::Clash { path: excerpt(path) })
    }

    /// The same, of a task of an array or of all its tasks.
    pub(super) fn within(self, array: &Array, task: Option<u32>) -> Self {
        Self { array: Some(ArrayPlace { name: excerpt(&array.name), task }), ..self }
    }
}

/// Checks that an amount is within its bounds.
pub(super) fn amount(field: Field, value: u64, bounds: std::ops::RangeInclusive<u64>) -> Result<(), Unsound> {
    if bounds.contains(&value) {
        return Ok(());
    }
    let (least, most) = bounds.into_inner();
    Err(Unsound::new(Flaw::Amount { field, value, least, most }))
}

/// Checks that there are at most so many.
pub(super) fn at_most(field: Field, value: usize, most: usize) -> Result<(), Unsound> {
    amount(field, value as u64, 0..=most as u64)
}

pub(super) fn rule(holds: bool, rule: Rule) -> Result<(), Unsound> {
    if holds { Ok(()) } else { Err(Unsound::new(Flaw::Rule(rule))) }
}

impl From<Unsound> for VoidReason {
    fn from(_: Unsound) -> Self {
        Self::Malformed
    }
}

impl Field {
    /// What its value counts.
    #[must_use]
    pub const fn unit(self) -> Unit {
        match self {
            Self::Transaction
            | Self::JobName
            | Self::ArrayName
            | Self::LabelName
            | Self::LabelValue
            | Self::Argv0
            | Self::PathBytes => Unit::Bytes,
            Self::RunLimit | Self::LiveLimit | Self::DeadlineSpan | Self::Timeout | Self::RetryDelay => {
                Unit::Milliseconds
            }
            Self::RetryJitter => Unit::Permille,
            _ => Unit::Count,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Transaction => "the size of the transaction",
            Self::JobName => "the length of the job's name",
            Self::ArrayName => "the length of an array's name",
            Self::Jobs => "the number of jobs or arrays that are waited for",
            Self::Arrays => "the number of arrays",
            Self::RunLimit => "the run limit",
            Self::LiveLimit => "the live limit",
            Self::DeadlineSpan => "the deadline",
            Self::Runs => "the number of runs",
            Self::Tasks => "the number of tasks",
            Self::Timeout => "the timeout",
            Self::Success => "the number of statuses that mean success",
            Self::Retries => "the number of retries",
            Self::RetryDelay => "the retry delay",
            Self::RetryJitter => "the jitter of the retry delay",
            Self::Labels => "the number of labels",
            Self::LabelName => "the length of a label's name",
            Self::LabelValue => "the length of a label's value",
            Self::Preferred => "the number of preferred labels",
            Self::Argv0 => "the length of the program's name",
            Self::Arguments => "the number of arguments",
            Self::Variables => "the number of environment variables",
            Self::Inputs => "the number of inputs",
            Self::PathBytes => "the length of an input's path",
            Self::Ranges => "the number of ranges of tasks",
            Self::ClaimedAttempts => "the number of attempts in a claim",
            Self::Load => "the load score",
            Self::ClaimedBlobs => "the number of blobs in a claim",
            Self::Verdicts => "the number of verdicts in a report",
        }
    }
}

impl Rule {
    const fn words(self) -> &'static str {
        match self {
            Self::NoByteZero => "has a byte 0",
            Self::VariableName => "cannot be a variable's name, which is not empty and has no `=` and no byte 0",
            Self::RelativePath => "is not a path below /in: write a relative one without empty, `.` and `..` parts",
            Self::MountPath => {
                "is not a path to mount at: write an absolute one without empty, `.` and `..` parts, outside of /in, /out, \
                 /tmp and /checkpoint"
            }
            Self::LabelNotEmpty => "a label has an empty name",
            Self::BeforeYear2500 => "a time lies beyond the year 2500",
            Self::RecursByItself => {
                "a job that recurs waits for no other jobs, is not open, and has no times of its own"
            }
            Self::CronNotEmpty => "a field of the cron expression is empty",
            Self::RangesInOrder => "ranges of tasks are not in order, or overlap",
            Self::SomethingAmended => "nothing is amended",
            Self::AuthorityBrief => "an authority's name or addresses are too long, or its key cannot be used",
            Self::PoliciesUsable => "these policies cannot be used together",
            Self::ReplicasInOrder => {
                "a quorum is at least 2 and at most as many as there are replicas, of which there are at most 16"
            }
        }
    }
}

/// A value in its unit, as people write it.
struct Amount(Unit, u64);

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(unit, value) = *self;
        match unit {
            Unit::Count => write!(f, "{value}"),
            Unit::Bytes => write!(f, "{value} bytes"),
            Unit::Permille => write!(f, "{value}‰"),
            Unit::Milliseconds => {
                let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
                let mut rest = value;
                let mut parts = Vec::new();
                for (ms, name) in units {
                    if rest >= ms {
                        parts.push(format!("{}{name}", rest / ms));
                        rest %= ms;
                    }
                }
                f.write_str(if parts.is_empty() { "0ms" } else { "" })?;
                f.write_str(&parts.join(" "))
            }
        }
    }
}

impl fmt::Display for Unsound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ArrayPlace { name, task }) = &self.array {
            match (name.as_str(), task) {
                ("", None) => {}
                ("", Some(task)) => write!(f, "task {task}: ")?,
                (name, None) => write!(f, "`{name}`: ")?,
                (name, Some(task)) => write!(f, "`{name}[{task}]`: ")?,
            }
        }
        match &self.flaw {
            Flaw::Amount { field, value, least, most } => {
                let [value, least_text, most_text] = [*value, *least, *most].map(|value| Amount(field.unit(), value));
                write!(f, "{} is {value}, and may be ", field.words())?;
                match (*least, *most) {
                    (0, _) => write!(f, "at most {most_text}"),
                    (_, u64::MAX) => write!(f, "at least {least_text}"),
                    _ => write!(f, "{least_text} to {most_text}"),
                }
            }
            Flaw::Text { text, rule } => write!(f, "{text:?} {}", rule.words()),
            Flaw::Clash { path } => write!(f, "the input {path:?} would be at the same path as another, or below it"),
            Flaw::Rule(rule) => f.write_str(rule.words()),
        }
    }
}

impl std::error::Error for Unsound {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::check_action;
    use crate::types::{Action, Array, Input, LedgerLimits, Part, Program, Submit, TaskSpec, Tasks};

    fn said(change: impl FnOnce(&mut Array)) -> String {
        let blob = crate::types::BlobRef { digest: crate::digest::Digest([0; 32]), bytes: 1 };
        let spec = TaskSpec { program: Program::Wasm(blob), ..TaskSpec::of(blob) };
        let mut array = Array {
            name: "tiles".into(),
            spec: Arc::new(spec),
            tasks: Arc::new(Tasks::Repeat(1)),
            after: Vec::new(),
            feeds: false,
        };
        change(&mut array);
        let action = Action::Submit(Submit { arrays: vec![array], ..Submit::named("job") });
        check_action(&LedgerLimits::default(), &action).map_or_else(|unsound| unsound.to_string(), |()| String::new())
    }

    fn input(path: &str) -> Input {
        Input::blob(path.to_owned(), crate::types::BlobRef { digest: crate::digest::Digest([1; 32]), bytes: 1 })
    }

    #[test]
    fn a_field_that_exceeds_a_bound_is_named_with_its_value_and_the_bound() {
        assert_eq!(said(|_| {}), "");
        let spec = |change: fn(&mut TaskSpec)| said(|array| change(Arc::make_mut(&mut array.spec)));
        let many = spec(|spec| spec.arguments = vec![String::new(); 4097]);
        assert_eq!(many, "`tiles`: the number of arguments is 4097, and may be at most 4096");
        let long = spec(|spec| spec.retry.delay_ms = 400 * 86_400_000 + 1500);
        assert!(long.starts_with("`tiles`: the retry delay is 400d 1s 500ms, and may be at most "), "{long}");
        let below = spec(|spec| spec.inputs = vec![input("a"), input("a/b")]);
        assert_eq!(below, "`tiles`: the input \"a/b\" would be at the same path as another, or below it");
        let shadows = spec(|spec| spec.inputs = vec![input("/tmp/a")]);
        assert!(shadows.starts_with("`tiles`: \"/tmp/a\" is not a path to mount at"), "{shadows}");
        let twice = spec(|spec| spec.inputs = vec![input("/usr/share"), input("/usr/share/x")]);
        assert_eq!(twice, "`tiles`: the input \"/usr/share/x\" would be at the same path as another, or below it");
        assert_eq!(spec(|spec| spec.inputs = vec![input("share"), input("/share"), input("/usr/lib")]), "");
        let called = spec(|spec| spec.argv0 = Some("x".repeat(1025)));
        assert_eq!(called, "`tiles`: the length of the program's name is 1025 bytes, and may be at most 1024 bytes");
        assert!(spec(|spec| spec.argv0 = Some("\0".into())).contains("has a byte 0"));
        let none = spec(|spec| spec.limits.wall_ms = 0);
        assert!(none.contains("the timeout is 0ms, and may be 1ms to "), "{none}");
        let astray = spec(|spec| spec.inputs = vec![input("../a")]);
        assert!(astray.contains("\"../a\" is not a path below /in"), "{astray}");
        assert!(spec(|spec| spec.environment = [("A=B".into(), String::new())].into()).contains("variable's name"));
        assert!(spec(|spec| spec.labels = [("x".repeat(129), String::new())].into()).contains("129 bytes"));
        let parts = vec![Part::default(), Part { arguments: vec!["\0".into()], ..Part::default() }];
        assert!(said(|array| array.tasks = Arc::new(Tasks::Each(parts))).starts_with("`tiles[1]`: \"\\0\""));
        assert!(said(|array| array.tasks = Arc::new(Tasks::Repeat(200_000))).contains("200000, and may be at most"));
    }

    #[test]
    fn a_strangers_text_is_repeated_only_in_part() {
        let path = format!("{}/../x", "ä".repeat(400));
        let said = said(|array| Arc::make_mut(&mut array.spec).inputs = vec![input(&path)]);
        assert!(said.len() < 400, "{said}");
    }
}
