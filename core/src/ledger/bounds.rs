//! Bounds on the fields of a transaction, besides those of the genesis. A value beyond one of these makes no sense,
//! or would cost every peer more than its sender.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    blobs,
    codec::{self, ByteString},
    ledger::{index::edges, records::jobs::Job},
    schedule::recovery::BACK_OFF_MS_MAX,
    types::{
        After, Amendment, Answer, Array, BlobRef, BlockTime, Claim, Deadline, Failure, Input, Labels, LedgerLimits,
        Output, OutputOf, Producer, Recurring, Retry, Selection, Source, Spawn, Submit, TaskSpec, Tasks, Times,
        Verdict, VoidReason,
    },
};

/// Arguments of one task, common and own ones together.
pub const ARGUMENTS_MAX: usize = 4096;
/// Variables in a task's environment.
pub const ENVIRONMENT_MAX: usize = 1024;
/// Input files of one task, common and own ones together.
pub const INPUTS_MAX: usize = 256;
/// Bytes of a path below `/in` or `/out`.
pub const PATH_BYTES_MAX: usize = 1024;
/// Labels of a claim or a task.
pub const LABELS_MAX: usize = 64;
/// Bytes of a label's name, and of its value.
pub const LABEL_BYTES_MAX: usize = 128;
/// Different needs (resources and labels) among one submitter's unfinished jobs. Matching looks at each of them once.
pub const KEY_NEEDS_MAX: usize = 64;
/// Different needs among all unfinished jobs.
pub const NEEDS_MAX: usize = 4096;
/// The most dependencies on single tasks among the tasks of one job, in all.
pub const JOB_EDGES_MAX: u64 = 1 << 20;
/// The longest time that a job may ask for, in milliseconds: ten years.
pub const TIME_MS_MAX: u64 = 10 * 366 * 86_400_000;
/// The latest time that any field may name: the year 2500.
pub const TIME_MAX: BlockTime = BlockTime(16_725_225_600_000_000);
/// The most missed occurrences of a recurring job that are caught up on: the latest ones.
pub const CATCH_UP_MAX: u64 = 100;
/// The most jobs of one recurring job that have not ended.
pub const LIVE_OCCURRENCES_MAX: usize = 64;
/// The most occurrences of one recurring job that one block handles. The next block handles the rest.
pub const OCCURRENCES_MAX: usize = 16;
/// The most occurrences of all recurring jobs that one block handles.
pub const BLOCK_OCCURRENCES_MAX: usize = 256;
/// How far a stored output may exceed the task's output limit, in bytes: its manifest.
pub const MANIFEST_BYTES_MAX: u64 = blobs::MANIFEST_BYTES_MAX as u64;

/// Whether a path names a file below a folder: relative, without empty, `.` or `..` parts.
#[must_use]
pub fn is_path_sound(path: &str) -> bool {
    path.len() <= PATH_BYTES_MAX && !path.contains('\0') && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn sound(holds: bool) -> Result<(), VoidReason> {
    if holds { Ok(()) } else { Err(VoidReason::Malformed) }
}

fn are_labels_sound(labels: &Labels) -> bool {
    let fits = |text: &str| text.len() <= LABEL_BYTES_MAX;
    labels.len() <= LABELS_MAX && labels.iter().all(|(label, value)| !label.is_empty() && fits(label) && fits(value))
}

fn are_wishes_sound(prefers: &[(String, String)], spread: Option<&str>) -> bool {
    let fits = |text: &str| text.len() <= LABEL_BYTES_MAX;
    prefers.len() <= TaskSpec::PREFERS_MAX
        && prefers.iter().all(|(label, value)| !label.is_empty() && fits(label) && fits(value))
        && spread.is_none_or(|label| !label.is_empty() && fits(label))
}

fn are_arguments_sound(arguments: &[String]) -> bool {
    arguments.iter().all(|argument| !argument.contains('\0'))
}

fn is_environment_sound(environment: &BTreeMap<String, String>) -> bool {
    let name_fits = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    environment.len() <= ENVIRONMENT_MAX
        && environment.iter().all(|(name, value)| name_fits(name) && !value.contains('\0'))
}

/// The paths of input files. No path may equal another or lie below it.
#[derive(Default)]
struct Paths<'a> {
    files: BTreeSet<&'a str>,
    folders: BTreeSet<&'a str>,
}

fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

impl<'a> Paths<'a> {
    fn clashes(&self, path: &str) -> bool {
        self.files.contains(path)
            || self.folders.contains(path)
            || folders_of(path).any(|folder| self.files.contains(folder))
    }

    fn add_all(&mut self, inputs: &'a [Input], beside: Option<&Self>) -> bool {
        inputs.iter().all(|input| {
            let path = input.path.as_str();
            let good = is_path_sound(path) && !self.clashes(path) && !beside.is_some_and(|paths| paths.clashes(path));
            if good {
                self.files.insert(path);
                self.folders.extend(folders_of(path));
            }
            good
        })
    }
}

/// Checks a job's own fields. Quotas are checked elsewhere.
pub(super) fn check_submit(limits: &LedgerLimits, submit: &Submit) -> Result<(), VoidReason> {
    sound(submit.name.len() <= Submit::NAME_BYTES_MAX && submit.after.len() <= Submit::AFTER_MAX)?;
    let Times { not_before, deadline, run_ms_max, live_ms_max } = submit.times;
    let spans = [run_ms_max, live_ms_max].into_iter().flatten();
    sound(spans.into_iter().all(|ms| (1..=TIME_MS_MAX).contains(&ms)))?;
    let moments = [not_before, deadline, submit.open_until].into_iter().flatten();
    sound(moments.into_iter().all(|moment| moment <= TIME_MAX))?;
    if submit.arrays.is_empty() && submit.open_until.is_none() {
        return Err(VoidReason::TooManyTasks);
    }
    check_arrays(limits, &mut Before::default(), &submit.arrays)
}

/// Checks a recurring job's own fields.
pub(super) fn check_recurring(limits: &LedgerLimits, recurring: &Recurring) -> Result<(), VoidReason> {
    let Recurring { job, cron, from, until, runs_max, deadline_ms, .. } = recurring;
    sound(job.after.is_empty() && job.open_until.is_none())?;
    sound(job.times.not_before.is_none() && job.times.deadline.is_none())?;
    sound(cron.is_sound() && runs_max.is_none_or(|runs| runs > 0))?;
    sound(deadline_ms.is_none_or(|ms| (1..=TIME_MS_MAX).contains(&ms)))?;
    sound([from, until].into_iter().flatten().all(|moment| *moment <= TIME_MAX))?;
    check_submit(limits, job)
}

/// Checks the arrays that are added to a job.
pub(super) fn check_extend(limits: &LedgerLimits, job: &Job, arrays: &[Array]) -> Result<(), VoidReason> {
    let mut before = Before { edges: job.graph().edges(), ..Before::default() };
    for array in &job.record.arrays {
        before.add(array.tasks.count(), array.feeds);
    }
    check_arrays(limits, &mut before, arrays)
}

/// What precedes an array in its job.
#[derive(Default)]
struct Before {
    /// Each array's first task, its number of tasks, and whether other tasks may take its outputs.
    arrays: Vec<(usize, usize, bool)>,
    tasks: usize,
    edges: u64,
}

impl Before {
    fn add(&mut self, tasks: usize, feeds: bool) {
        self.arrays.push((self.tasks, tasks, feeds));
        self.tasks += tasks;
    }

    fn takes(&self, count: usize, input: &Input, is_part: bool) -> bool {
        let Source::Output(OutputOf { of, file }) = &input.source else { return true };
        let file_is_sound = file.as_ref().is_none_or(|file| is_path_sound(file));
        let array = |array: u16| self.arrays.get(usize::from(array)).filter(|(_, _, feeds)| *feeds);
        file_is_sound
            && match of {
                Producer::Task(task) => {
                    let at = self.arrays.partition_point(|(first, _, _)| *first <= *task as usize);
                    (*task as usize) < self.tasks && at > 0 && self.arrays[at - 1].2
                }
                Producer::Same(other) => array(*other).is_some_and(|(_, tasks, _)| *tasks == count),
                Producer::All(other) => array(*other).is_some() && !is_part,
            }
    }

    fn waits(&self, count: usize, after: &After) -> bool {
        self.arrays.get(usize::from(after.array)).is_some_and(|(_, tasks, _)| !after.each || *tasks == count)
    }
}

fn check_arrays(limits: &LedgerLimits, before: &mut Before, arrays: &[Array]) -> Result<(), VoidReason> {
    for array in arrays {
        let count = array.tasks.count();
        if count == 0
            || before.tasks + count > limits.job_tasks_max as usize
            || before.arrays.len() >= Submit::ARRAYS_MAX
        {
            return Err(VoidReason::TooManyTasks);
        }
        check_array(limits, array)?;
        if let Some(redundancy) = &array.spec.redundancy {
            sound(redundancy.is_sound())?;
            if array.spec.checkpoints || array.spec.spawns {
                return Err(VoidReason::RedundancyExcludes);
            }
        }
        before.edges = before.edges.saturating_add(edges(&array.after, &array.spec, &array.tasks));
        if before.edges > JOB_EDGES_MAX {
            return Err(VoidReason::TooManyEdges);
        }
        let is_same = |input: &Input| matches!(input.source, Source::Output(OutputOf { of: Producer::Same(_), .. }));
        if array.spec.spawns && array.spec.inputs.iter().any(is_same) {
            // The other array has no task at the same place.
            return Err(VoidReason::BadDependency);
        }
        let stands_before = array.after.iter().all(|after| before.waits(count, after))
            && array.spec.inputs.iter().all(|input| before.takes(count, input, false))
            && match &*array.tasks {
                Tasks::Repeat(_) => true,
                Tasks::Each(parts) => (0u32..).zip(parts).all(|(place, part)| {
                    let own = before.tasks + place as usize;
                    part.inputs.iter().all(|input| before.takes(count, input, true))
                        && part.after.all().all(|(task, _)| (task as usize) < own)
                }),
            };
        if !stands_before {
            return Err(VoidReason::BadDependency);
        }
        before.add(count, array.feeds);
    }
    Ok(())
}

/// Checks an array by itself.
fn check_array(limits: &LedgerLimits, array: &Array) -> Result<(), VoidReason> {
    let TaskSpec { arguments, environment, inputs, labels, prefers, spread, limits: wanted, retry, recovery, .. } =
        &*array.spec;
    sound(array.name.len() <= Submit::NAME_BYTES_MAX && array.after.len() <= Submit::AFTER_MAX)?;
    sound((1..=limits.wall_ms_max).contains(&wanted.wall_ms))?;
    let is_rule_sound = |rule: &Retry| {
        rule.retries <= limits.retries_max
            && rule.delay_ms <= BACK_OFF_MS_MAX
            && rule.jitter_permille <= Retry::JITTER_PERMILLE_MAX
    };
    sound(is_rule_sound(retry) && recovery.values().all(is_rule_sound))?;
    sound(are_labels_sound(labels) && is_environment_sound(environment))?;
    sound(are_wishes_sound(prefers, spread.as_deref()))?;
    sound(arguments.len() <= ARGUMENTS_MAX && are_arguments_sound(arguments))?;
    let mut common = Paths::default();
    sound(inputs.len() <= INPUTS_MAX && common.add_all(inputs, None))?;
    let Tasks::Each(parts) = &*array.tasks else { return Ok(()) };
    for part in parts {
        sound(part.arguments.len() + arguments.len() <= ARGUMENTS_MAX && are_arguments_sound(&part.arguments))?;
        sound(part.inputs.len() + inputs.len() <= INPUTS_MAX)?;
        sound(Paths::default().add_all(&part.inputs, Some(&common)))?;
    }
    Ok(())
}

/// Checks a submitter's selection of tasks.
pub(super) fn check_selection(which: &Selection) -> Result<(), VoidReason> {
    let ranges = &which.ranges;
    sound(ranges.len() <= Selection::RANGES_MAX && ranges.iter().all(|(first, last)| first <= last))?;
    sound(ranges.is_sorted_by(|(_, last), (first, _)| last < first))
}

/// Checks a submitter's amended terms. Whether their times are still to come is checked elsewhere.
pub(super) fn check_amendment(amendment: &Amendment) -> Result<(), VoidReason> {
    sound(*amendment != Amendment::default())?;
    sound(!matches!(amendment.deadline, Some(Deadline::At(time)) if time > TIME_MAX))
}

pub(super) fn check_claim(limits: &LedgerLimits, claim: &Claim) -> Result<(), VoidReason> {
    sound(claim.slots.checked_add(claim.waiting).is_some_and(|attempts| attempts <= limits.claim_attempts_max))?;
    sound(claim.load <= Claim::LOAD_MAX && are_labels_sound(&claim.labels) && claim.blobs.len() <= Claim::BLOBS_MAX)
}

fn is_stored_soundly(output_bytes: u64, manifest: &BlobRef, stderr: Option<&BlobRef>, bytes: u64) -> bool {
    manifest.bytes <= MANIFEST_BYTES_MAX
        && manifest.bytes.checked_add(stderr.map_or(0, |stderr| stderr.bytes)).is_some_and(|least| least <= bytes)
        && bytes <= output_bytes.saturating_add(MANIFEST_BYTES_MAX)
}

fn are_spawns_few(spawns: &[Spawn]) -> bool {
    spawns.is_empty() || spawns.len() <= Spawn::SPAWNS_MAX && codec::encode(spawns).len() <= Spawn::BYTES_MAX
}

/// Whether a worker may give this verdict on an attempt whose task may leave at most `output_bytes`.
pub(super) fn is_verdict_sound(limits: &LedgerLimits, output_bytes: u64, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Returned | Verdict::Preempted | Verdict::HostDied { .. } | Verdict::Committed(_) => true,
        Verdict::Succeeded(output, _, spawns) => {
            is_output_sound(limits, output_bytes, output) && are_spawns_few(spawns)
        }
        Verdict::Checkpointed { manifest, bytes, .. } => is_stored_soundly(output_bytes, manifest, None, *bytes),
        Verdict::Failed(failure, stderr, _) => is_failure_sound(limits, failure, stderr),
        Verdict::Revealed(Answer::Succeeded(output, _), _) => is_output_sound(limits, output_bytes, output),
        Verdict::Revealed(Answer::Failed(failure, stderr, _), _) => {
            !failure.setback().is_of_machine() && is_failure_sound(limits, failure, stderr)
        }
    }
}

fn is_output_sound(limits: &LedgerLimits, output_bytes: u64, output: &Output) -> bool {
    match output {
        Output::Inline(output) => {
            let mut paths = BTreeSet::new();
            codec::encode(output).len() <= limits.inline_bytes_max
                && output.files.iter().all(|(path, _)| is_path_sound(path) && paths.insert(path))
        }
        Output::Stored { manifest, stderr, bytes, .. } => {
            is_stored_soundly(output_bytes, manifest, stderr.as_ref(), *bytes)
        }
    }
}

fn is_failure_sound(limits: &LedgerLimits, failure: &Failure, stderr: &ByteString) -> bool {
    stderr.len() <= limits.inline_bytes_max
        && match failure {
            Failure::Trapped(text) | Failure::BadModule(text) | Failure::TooLargeToCompile(text) => {
                text.len() <= Failure::TEXT_BYTES_MAX
            }
            Failure::Lost | Failure::EndedHosts | Failure::Disagreed => false,
            _ => true,
        }
}
