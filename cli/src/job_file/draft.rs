//! Drafts: what the tasks of one array have in common, and what a file says about the job as a whole.
//!
//! A draft combines an array's own keys with the file's defaults.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use meshwork_core::{
    ledger::bounds::{ENVIRONMENT_MAX, LABELS_MAX, TIME_MS_MAX},
    schedule::recovery::BACK_OFF_MS_MAX,
    types::{
        BlockTime, Labels, LedgerLimits, Limits, PATH_BYTES_MAX, Redundancy, Resources, Retry, Setback, Submit,
        TaskSpec, Times, When,
    },
};

use super::{
    model::{InputSource, InputTable, JobFile, Recurs, Task},
    problem::{Checked, Problem, Span},
    text::{Names, Template},
    values::{At, List, Named, Scalar, Text},
};
use crate::{
    folders::Folder,
    parse::{check_variable, named, parse_pair},
    recurrence::{CATCH_UP, CRON_HINT, OVERLAP, Recurrence, overlap_beside, parse_cron},
    time::{milliseconds, now_us, parse_moment},
};

/// Content that is on this machine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Content {
    /// A file.
    File(PathBuf),
    /// A folder, with all that is in it.
    Folder(PathBuf),
    /// A text from the job file.
    Text(String),
}

/// What the tasks of an array have in common, apart from arguments, inputs and dependencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The program's file.
    pub program: PathBuf,
    /// The name by which the program is called, if the file says.
    pub argv0: Option<String>,
    /// Environment variables.
    pub environment: BTreeMap<String, String>,
    /// Standard input.
    pub stdin: Option<Content>,
    /// Resources that a task reserves on its worker.
    pub resources: Resources,
    /// Labels that a worker must offer.
    pub labels: Labels,
    /// Labels that a worker should offer, the most important first.
    pub prefers: Vec<(String, String)>,
    /// The label over whose values tasks are spread.
    pub spread: Option<String>,
    /// The limits at which an attempt ends.
    pub limits: Limits,
    /// The statuses that mean success.
    pub success: BTreeSet<i32>,
    /// The priority; tasks with a larger one go first.
    pub priority: i16,
    /// How long an attempt is expected to run, in milliseconds.
    pub expected_ms: u64,
    /// How many failures are forgiven.
    pub retry: Retry,
    /// Rules that replace `retry`, by kind of setback.
    pub recovery: BTreeMap<Setback, Retry>,
    /// Whether the program saves checkpoints.
    pub checkpoints: bool,
    /// Whether the program may spawn tasks.
    pub spawns: bool,
    /// Whether slow attempts may get speculative attempts.
    pub speculation: bool,
    /// How many workers compute each task, and how many must agree.
    pub redundancy: Option<Redundancy>,
    /// Whether the file says that other tasks may take the outputs.
    pub feeds: bool,
}

/// What a file says about the job as a whole.
#[derive(Clone, Debug, Default)]
pub struct JobDraft {
    /// Its name.
    pub name: String,
    /// Jobs to wait for, by id or its first digits.
    pub after: Vec<(Text, When)>,
    /// When the job may begin, and when it must be over.
    pub times: Times,
    /// Until when the job stays open.
    pub open_until: Option<BlockTime>,
    /// The most tasks that its tasks may spawn.
    pub spawns_max: u32,
    /// How the job recurs, if it does.
    pub recurs: Option<Recurrence>,
}

/// The most tasks that the file's tasks may spawn.
///
/// If some tasks may spawn, the file must set a bound, and the reverse.
fn spawns_max(file: &JobFile) -> Checked<u32> {
    let asking = [&file.defaults].into_iter().chain(file.tasks.iter().map(|(_, task)| task));
    let may_ask = asking.filter_map(|task| task.spawns).any(|spawns| spawns);
    match &file.spawn_max {
        Some(most) if !may_ask => {
            Err(Problem::new(&most.at, "No task may ask for others", "write `spawns = true` in one that may"))
        }
        Some(most) => Ok(most.value),
        None if may_ask => {
            let next = "write spawn-max = 1000, or as many as there may be, before the first [table]";
            Err(Problem::new(&(0..0), "Tasks may ask for others, and nothing says for how many", next))
        }
        None => Ok(0),
    }
}

/// What drafts are read with.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// The directory that paths are relative to.
    pub directory: &'a Path,
    /// The network's bounds.
    pub limits: &'a LedgerLimits,
    /// The values of names.
    pub names: Names<'a>,
}

/// A task's own value, or the default.
pub fn either<'a, T>(own: &'a Option<T>, default: &'a Option<T>) -> Option<&'a T> {
    own.as_ref().or(default.as_ref())
}

/// A task's own entries, and the default entries that it does not override.
pub fn merged<'a, T>(own: &'a Named<T>, default: &'a Named<T>) -> Vec<(&'a Text, &'a T)> {
    let is_own = |name: &Text| own.0.iter().any(|(other, _)| other == name);
    default.iter().filter(|(name, _)| !is_own(name)).chain(own.iter()).collect()
}

impl Reading<'_> {
    /// A text that is the same for all tasks.
    ///
    /// # Errors
    /// The text differs between tasks, or contains an unknown name.
    pub fn constant(&self, text: &Text) -> Checked<String> {
        Template::new(text, self.names)?.constant()
    }

    fn scalar(&self, scalar: &At<Scalar>) -> Checked<String> {
        self.constant(&Text { value: scalar.value.text.clone(), at: scalar.at.clone() })
    }

    /// A time in milliseconds.
    ///
    /// # Errors
    /// The text is not a time, or is out of range.
    pub fn duration_ms(&self, text: Option<&Text>, default: u64, range: std::ops::RangeInclusive<u64>) -> Checked<u64> {
        let Some(text) = text else { return Ok(default) };
        let value = self.constant(text)?;
        let duration = humantime::parse_duration(&value).map_err(|error| {
            Problem::new(&text.at, format!("{value:?} is not a time: {error}"), "write 90s, 5m or 1h 30m")
        })?;
        let ms = milliseconds(duration);
        if range.contains(&ms) {
            return Ok(ms);
        }
        let in_words = |ms: &u64| humantime::format_duration(Duration::from_millis(*ms)).to_string();
        let next = format!("it is from {} to {} here", in_words(range.start()), in_words(range.end()));
        Err(Problem::new(&text.at, format!("{value:?} is not a time that this may be"), next))
    }

    fn bytes(&self, text: Option<&Text>, default: u64) -> Checked<u64> {
        let Some(text) = text else { return Ok(default) };
        let value = self.constant(text)?;
        let size = value.parse::<ByteSize>();
        let size = size.map_err(|error| format!("{value:?} is not a size: {error}"));
        Ok(size.map_err(|what| Problem::new(&text.at, what, "write 64MiB or 1GiB"))?.as_u64())
    }

    /// A local file.
    ///
    /// # Errors
    /// The file does not exist, or is not a regular file.
    pub fn file(&self, path: &str, at: &Span) -> Checked<PathBuf> {
        let full = self.directory.join(path);
        let next = "paths are relative to the job file; check this one";
        match std::fs::metadata(&full) {
            Ok(found) if found.is_file() => Ok(full),
            Ok(_) => Err(Problem::new(at, format!("{} is not a file", full.display()), "name a file")),
            Err(error) => Err(Problem::new(at, format!("Could not read {}: {error}", full.display()), next)),
        }
    }

    /// A local folder.
    ///
    /// # Errors
    /// Something in it cannot be given to a task.
    pub fn folder(&self, path: &str, at: &Span) -> Checked<PathBuf> {
        let full = self.directory.join(path);
        let next = "paths are relative to the job file; give a folder of files";
        Folder::scan(&full).map_err(|error| Problem::new(at, error.to_string(), next))?;
        Ok(full)
    }

    /// The draft of an array.
    ///
    /// # Errors
    /// A value is invalid, or exceeds what the network allows.
    pub fn draft(&self, name: &Text, task: &Task, default: &Task) -> Checked<Draft> {
        let of =
            TaskSpec::of(meshwork_core::types::BlobRef { digest: meshwork_core::digest::Digest([0; 32]), bytes: 0 });
        let program = either(&task.program, &default.program).ok_or_else(|| {
            let next = "write program = \"….wasm\" here or in [defaults]";
            Problem::new(&name.at, format!("`{}` has no program", name.value), next)
        })?;
        let memory_bytes = self.bytes(either(&task.memory, &default.memory), of.resources.memory_bytes)?;
        let output = either(&task.output_limit, &default.output_limit);
        let output_bytes = self.bytes(output, of.limits.output_bytes.min(memory_bytes))?;
        if let Some(text) = output.filter(|_| output_bytes > memory_bytes) {
            let next = "what a task writes is held in its memory until it ends: lower this, or raise `memory`";
            return Err(Problem::new(&text.at, "This is more than the task's memory", next));
        }
        let retries = either(&task.retries, &default.retries);
        if let Some(retries) = retries.filter(|retries| retries.value > self.limits.retries_max) {
            let next = format!("it is at most {} on this network", self.limits.retries_max);
            return Err(Problem::new(&retries.at, "So many failures are not forgiven", next));
        }
        let delay = either(&task.retry_delay, &default.retry_delay);
        let wall_ms = self.limits.wall_ms_max;
        let value = |one: Option<&At<u32>>, other: u32| one.map_or(other, |value| value.value);
        Ok(Draft {
            program: self.file(&self.constant(program)?, &program.at)?,
            argv0: either(&task.argv0, &default.argv0).map(|name| self.argv0(name)).transpose()?,
            environment: self.environment(&merged(&task.environment, &default.environment))?,
            stdin: either(&task.stdin, &default.stdin).map(|stdin| self.stdin(stdin)).transpose()?,
            resources: Resources {
                millicores: value(either(&task.millicores, &default.millicores), of.resources.millicores),
                memory_bytes,
            },
            labels: self.labels(&merged(&task.requires, &default.requires))?,
            prefers: self.prefers(either(&task.prefers, &default.prefers))?,
            spread: either(&task.spread, &default.spread).map(|label| self.constant(label)).transpose()?,
            limits: Limits {
                wall_ms: self.duration_ms(
                    either(&task.timeout, &default.timeout),
                    of.limits.wall_ms.min(wall_ms),
                    1..=wall_ms,
                )?,
                fuel: either(&task.fuel, &default.fuel).map_or(of.limits.fuel, |fuel| fuel.value),
                output_bytes,
            },
            success: Self::success(either(&task.success, &default.success))?,
            priority: either(&task.priority, &default.priority).map_or(0, |priority| priority.value),
            expected_ms: self.duration_ms(either(&task.expected, &default.expected), 0, 0..=TIME_MS_MAX)?,
            retry: Retry::of(value(retries, 0), self.duration_ms(delay, 1000, 0..=BACK_OFF_MS_MAX)?),
            recovery: self.recovery(&task.recovery, &default.recovery)?,
            checkpoints: task.checkpoints.or(default.checkpoints).unwrap_or(false),
            spawns: task.spawns.or(default.spawns).unwrap_or(false),
            speculation: task.speculation.or(default.speculation).unwrap_or(true),
            redundancy: Self::redundancy(task, default)?,
            feeds: task.feeds.or(default.feeds).unwrap_or(false),
        })
    }

    fn argv0(&self, name: &Text) -> Checked<String> {
        let filled = self.constant(name)?;
        if filled.len() > PATH_BYTES_MAX || filled.contains('\0') {
            let next = format!("it has at most {PATH_BYTES_MAX} bytes, and none of them is 0");
            return Err(Problem::new(&name.at, "This cannot be a program's name", next));
        }
        Ok(filled)
    }

    /// The statuses that mean success.
    fn success(statuses: Option<&At<Vec<i32>>>) -> Checked<BTreeSet<i32>> {
        let Some(At { value, at }) = statuses else { return Ok(BTreeSet::from([0])) };
        let success: BTreeSet<i32> = value.iter().copied().collect();
        match success.len() {
            0 => Err(Problem::new(at, "No status would mean success", "write success = [0], or others")),
            1..=TaskSpec::SUCCESS_MAX => Ok(success),
            _ => {
                let next = format!("there are at most {}", TaskSpec::SUCCESS_MAX);
                Err(Problem::new(at, "These are too many statuses", next))
            }
        }
    }

    /// How many workers compute each task. One is as good as none, so that a task can set a default aside.
    fn redundancy(task: &Task, default: &Task) -> Checked<Option<Redundancy>> {
        let lone = || {
            let numbers = task.quorum.as_ref().or(task.replicas_max.as_ref()).map(|number| &number.at);
            numbers.or(task.adaptive.as_ref().map(|adaptive| &adaptive.at))
        };
        let Some(replicas) = either(&task.replicas, &default.replicas) else {
            return match lone() {
                None => Ok(None),
                Some(at) => Err(Problem::new(at, "Nothing says how many workers compute this", "add replicas = 3")),
            };
        };
        if replicas.value == 1 {
            return match lone() {
                None => Ok(None),
                Some(at) => Err(Problem::new(at, "One worker computes this, and agrees with itself", "leave it out")),
            };
        }
        let usual = Redundancy::of(replicas.value);
        let value = |one: Option<&At<u8>>, other: u8| one.map_or(other, |value| value.value);
        let quorum = value(either(&task.quorum, &default.quorum), usual.quorum);
        let replicas_max = value(either(&task.replicas_max, &default.replicas_max), usual.replicas_max);
        let adaptive = either(&task.adaptive, &default.adaptive).is_some_and(|adaptive| adaptive.value);
        let redundancy = Redundancy { quorum, replicas_max, adaptive, ..usual };
        if !redundancy.is_sound() {
            let what = format!(
                "A quorum of {quorum} of {replicas} replicas, at most {replicas_max}, cannot be",
                replicas = replicas.value
            );
            let next = format!(
                "the quorum is at least 2, `replicas` at least as many, `replicas-max` again, and at most {}",
                Redundancy::REPLICAS_MAX
            );
            return Err(Problem::new(&replicas.at, what, next));
        }
        let set = |one: Option<bool>, other: Option<bool>| one.or(other).unwrap_or(false);
        if set(task.checkpoints, default.checkpoints) || set(task.spawns, default.spawns) {
            let next = "leave out `replicas`, or `checkpoints` and `spawns`";
            return Err(Problem::new(
                &replicas.at,
                "What several workers compute has no checkpoints and spawns nothing",
                next,
            ));
        }
        Ok(Some(redundancy))
    }

    fn environment(&self, entries: &[(&Text, &At<Scalar>)]) -> Checked<BTreeMap<String, String>> {
        let mut environment = BTreeMap::new();
        for (name, value) in entries {
            let filled = self.scalar(value)?;
            if name.value.is_empty() || name.value.contains(['=', '\0']) || filled.contains('\0') {
                let next = "a name is not empty and has no `=`";
                return Err(Problem::new(&name.at, format!("{:?} cannot be a variable", name.value), next));
            }
            check_variable(&name.value)
                .map_err(|next| Problem::new(&name.at, format!("{:?} cannot be set here", name.value), next))?;
            environment.insert(name.value.clone(), filled);
            if environment.len() > ENVIRONMENT_MAX {
                let next = format!("a task has at most {ENVIRONMENT_MAX}; give an input instead");
                return Err(Problem::new(&name.at, "These are too many variables", next));
            }
        }
        Ok(environment)
    }

    fn labels(&self, entries: &[(&Text, &At<Scalar>)]) -> Checked<Labels> {
        let mut labels = Labels::new();
        for (name, value) in entries {
            let filled = self.scalar(value)?;
            labels.insert(name.value.clone(), filled);
            if labels.len() > LABELS_MAX {
                let next = format!("a task requires at most {LABELS_MAX}");
                return Err(Problem::new(&name.at, "These are too many labels", next));
            }
        }
        Ok(labels)
    }

    fn prefers(&self, prefers: Option<&List<String>>) -> Checked<Vec<(String, String)>> {
        let mut pairs = Vec::new();
        for text in prefers.into_iter().flat_map(|list| &list.0) {
            let filled = self.constant(text)?;
            let pair = parse_pair(&filled);
            pairs.push(pair.map_err(|_| Problem::new(&text.at, format!("{filled:?} is no label"), "write key=value"))?);
            if pairs.len() > TaskSpec::PREFERS_MAX {
                let next = format!("it is at most {}", TaskSpec::PREFERS_MAX);
                return Err(Problem::new(&text.at, "A task prefers fewer labels", next));
            }
        }
        Ok(pairs)
    }

    fn stdin(&self, stdin: &At<InputSource>) -> Checked<Content> {
        match &stdin.value {
            InputSource::File(path) => {
                let path = self.constant(&Text { value: path.clone(), at: stdin.at.clone() })?;
                Ok(Content::File(self.file(&path, &stdin.at)?))
            }
            InputSource::Table(table) => match &table.text {
                Some(text) if *table == (InputTable { text: table.text.clone(), ..InputTable::default() }) => {
                    Ok(Content::Text(self.constant(text)?))
                }
                _ => {
                    let next = "take what another task leaves by `inputs`";
                    Err(Problem::new(&stdin.at, "Standard input is a file or a text", next))
                }
            },
        }
    }

    /// The draft of the job. `called` is its name if the file gives none.
    ///
    /// # Errors
    /// A value is invalid.
    pub fn job(&self, file: &JobFile, called: &str) -> Checked<JobDraft> {
        let name = match &file.name {
            Some(name) => self.constant(name)?,
            None => called.to_owned(),
        };
        if let Some(at) = file.name.as_ref().filter(|_| name.len() > Submit::NAME_BYTES_MAX) {
            let next = format!("it has at most {} bytes", Submit::NAME_BYTES_MAX);
            return Err(Problem::new(&at.at, "This name is too long", next));
        }
        let mut after = Vec::new();
        for (ids, when) in [(&file.after, When::Ok), (&file.after_any, When::Any), (&file.after_fail, When::Fail)] {
            for id in ids.iter().flat_map(|list| &list.0) {
                after.push((self.job_id(id)?, when));
            }
        }
        if let Some((id, _)) = after.get(Submit::AFTER_MAX) {
            let next = format!("it is at most {}", Submit::AFTER_MAX);
            return Err(Problem::new(&id.at, "A job waits for fewer others", next));
        }
        if let Some(recurs) = &file.recurs {
            return self.recurring_job(name, file, recurs);
        }
        let times = Times {
            not_before: self.moment(file.not_before.as_ref())?,
            deadline: self.moment(file.deadline.as_ref())?,
            run_ms_max: self.span(file.run_limit.as_ref())?,
            live_ms_max: self.span(file.live_limit.as_ref())?,
        };
        if let Some(text) = file.deadline.as_ref().filter(|_| times.deadline.is_some_and(|time| time.0 <= now_us())) {
            return Err(Problem::new(&text.at, "This deadline has passed already", "write one that is still to come"));
        }
        let open_until = self.moment(file.open.as_ref())?;
        Ok(JobDraft { name, after, times, open_until, spawns_max: spawns_max(file)?, recurs: None })
    }

    fn span(&self, text: Option<&Text>) -> Checked<Option<u64>> {
        text.map(|text| self.duration_ms(Some(text), 0, 1..=TIME_MS_MAX)).transpose()
    }

    /// The draft of a recurring job. Its times count from each occurrence.
    fn recurring_job(&self, name: String, file: &JobFile, recurs: &At<Recurs>) -> Checked<JobDraft> {
        let lists = [&file.after, &file.after_any, &file.after_fail].into_iter().flatten();
        let texts = [&file.not_before, &file.open].into_iter().flatten();
        if let Some(text) = lists.flat_map(|list| &list.0).chain(texts).next() {
            let next = "take it out; `from` in [recurs] says when the first run may be";
            return Err(Problem::new(&text.at, "A job that recurs cannot have this", next));
        }
        let Recurs { cron, catch_up, overlap, from, until, runs } = &recurs.value;
        let cron = cron
            .as_ref()
            .ok_or_else(|| Problem::new(&recurs.at, "This says not when", "write cron = \"0 3 * * *\""))?;
        let expression = self.constant(cron)?;
        let wrong = |why| Problem::new(&cron.at, format!("{expression:?} is no such expression: {why}"), CRON_HINT);
        if let Some(runs) = runs.as_ref().filter(|runs| runs.value == 0) {
            return Err(Problem::new(&runs.at, "A job that recurs runs at least once", "write a larger number"));
        }
        let missed = self.policy(catch_up.as_ref(), &CATCH_UP)?.unwrap_or_default();
        let beside = overlap_beside(missed, self.policy(overlap.as_ref(), &OVERLAP)?).map_err(|next| {
            let at = overlap.as_ref().map_or(&recurs.at, |overlap| &overlap.at);
            Problem::new(at, "`catch-up` and `overlap` cannot both be meant", next)
        })?;
        let recurrence = Recurrence {
            cron: parse_cron(&expression).map_err(wrong)?,
            catch_up: missed,
            overlap: beside,
            from: self.moment(from.as_ref())?,
            until: self.moment(until.as_ref())?,
            runs_max: runs.as_ref().map(|runs| runs.value),
            deadline_ms: self.span(file.deadline.as_ref())?,
        };
        if recurrence.occurrences().is_empty() {
            let at = until.as_ref().map_or(&cron.at, |until| &until.at);
            return Err(Problem::new(at, "No occurrence is left", "look at `cron`, `from` and `until`"));
        }
        let (run_ms_max, live_ms_max) = (self.span(file.run_limit.as_ref())?, self.span(file.live_limit.as_ref())?);
        let times = Times { run_ms_max, live_ms_max, ..Times::default() };
        Ok(JobDraft {
            name,
            after: Vec::new(),
            times,
            open_until: None,
            spawns_max: spawns_max(file)?,
            recurs: Some(recurrence),
        })
    }

    fn policy<T: Copy>(&self, text: Option<&Text>, words: &[(&str, T)]) -> Checked<Option<T>> {
        let Some(text) = text else { return Ok(None) };
        let value = self.constant(text)?;
        named(&value, words).map(Some).map_err(|next| Problem::new(&text.at, format!("{value:?} is no policy"), next))
    }

    fn job_id(&self, id: &Text) -> Checked<Text> {
        const DIGITS: std::ops::RangeInclusive<usize> = 4..=64;
        let value = self.constant(id)?;
        if DIGITS.contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Text { value, at: id.at.clone() });
        }
        let next = "write its id or the first digits of it; tasks of this file are waited for in [tasks.NAME]";
        Err(Problem::new(&id.at, format!("{value:?} is not a job"), next))
    }

    fn moment(&self, text: Option<&Text>) -> Checked<Option<BlockTime>> {
        let Some(text) = text else { return Ok(None) };
        let value = self.constant(text)?;
        let moment = parse_moment(&value);
        moment.map(Some).map_err(|next| Problem::new(&text.at, format!("{value:?} is not a moment"), next))
    }
}
