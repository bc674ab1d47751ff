//! Bounds on the fields of a transaction, besides those of the genesis. A value beyond one of these makes no sense,
//! or would cost every peer more than its sender.

mod unsound;

use std::collections::{BTreeMap, BTreeSet};

pub use self::unsound::{ArrayPlace, Field, Flaw, Rule, Unit, Unsound};
use self::unsound::{amount, at_most, rule};

use crate::{
    blobs, codec,
    ledger::{index::edges, records::jobs::Job},
    schedule::recovery::BACK_OFF_MS_MAX,
    types::{
        Action, After, Amendment, Answer, Array, BlobRef, BlockTime, Change, Claim, Deadline, Directive, Failure,
        Govern, Input, Labels, LedgerLimits, Output, OutputOf, PATH_BYTES_MAX, Producer, Recur, Recurring, Remains,
        Retry, Selection, SignedTransaction, Source, Spawn, Submit, TaskSpec, Tasks, Times, Verdict, VoidReason,
        folders_of, is_mount_sound, is_path_sound, is_tree_path_sound,
    },
};

/// Arguments of one task, common and own ones together.
pub const ARGUMENTS_MAX: usize = 4096;
/// Variables in a task's environment.
pub const ENVIRONMENT_MAX: usize = 1024;
/// Inputs of one task, files and folders, common and own ones together.
pub const INPUTS_MAX: usize = 256;
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

fn check_label(name: &str, value: &str) -> Result<(), Unsound> {
    rule(!name.is_empty(), Rule::LabelNotEmpty)?;
    at_most(Field::LabelName, name.len(), LABEL_BYTES_MAX)?;
    at_most(Field::LabelValue, value.len(), LABEL_BYTES_MAX)
}

fn check_labels(labels: &Labels) -> Result<(), Unsound> {
    at_most(Field::Labels, labels.len(), LABELS_MAX)?;
    labels.iter().try_for_each(|(label, value)| check_label(label, value))
}

fn check_wishes(prefers: &[(String, String)], spread: Option<&str>) -> Result<(), Unsound> {
    at_most(Field::Preferred, prefers.len(), TaskSpec::PREFERS_MAX)?;
    prefers.iter().try_for_each(|(label, value)| check_label(label, value))?;
    spread.map_or(Ok(()), |label| check_label(label, ""))
}

fn check_arguments(arguments: &[String], beside: usize) -> Result<(), Unsound> {
    at_most(Field::Arguments, arguments.len() + beside, ARGUMENTS_MAX)?;
    match arguments.iter().find(|argument| argument.contains('\0')) {
        Some(argument) => Err(Unsound::text(argument, Rule::NoByteZero)),
        None => Ok(()),
    }
}

fn check_environment(environment: &BTreeMap<String, String>) -> Result<(), Unsound> {
    at_most(Field::Variables, environment.len(), ENVIRONMENT_MAX)?;
    environment.iter().try_for_each(|(name, value)| {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(Unsound::text(name, Rule::VariableName));
        }
        if value.contains('\0') { Err(Unsound::text(value, Rule::NoByteZero)) } else { Ok(()) }
    })
}

fn check_span(field: Field, ms: Option<u64>) -> Result<(), Unsound> {
    ms.map_or(Ok(()), |ms| amount(field, ms, 1..=TIME_MS_MAX))
}

fn check_moments<const N: usize>(moments: [Option<BlockTime>; N]) -> Result<(), Unsound> {
    rule(moments.into_iter().flatten().all(|moment| moment <= TIME_MAX), Rule::BeforeYear2500)
}

/// The paths of inputs: of those below `/in`, which are relative, and of mounts, which are absolute. No path may equal
/// another or lie below it.
#[derive(Default)]
struct Paths<'a> {
    files: BTreeSet<&'a str>,
    folders: BTreeSet<&'a str>,
}

impl<'a> Paths<'a> {
    fn clashes(&self, path: &str) -> bool {
        self.files.contains(path)
            || self.folders.contains(path)
            || folders_of(path).any(|folder| self.files.contains(folder))
    }

    fn add_all(&mut self, inputs: &'a [Input], beside: Option<&Self>) -> Result<(), Unsound> {
        inputs.iter().try_for_each(|input| {
            let path = input.path.as_str();
            at_most(Field::PathBytes, path.len(), PATH_BYTES_MAX)?;
            let is_mount = path.starts_with('/');
            if !(if is_mount { is_mount_sound(path) } else { is_path_sound(path) }) {
                return Err(Unsound::text(path, if is_mount { Rule::MountPath } else { Rule::RelativePath }));
            }
            if self.clashes(path) || beside.is_some_and(|paths| paths.clashes(path)) {
                return Err(Unsound::clash(path));
            }
            self.files.insert(path);
            self.folders.extend(folders_of(path));
            Ok(())
        })
    }
}

/// What in a transaction makes every ledger with these limits find it [`VoidReason::Malformed`], or full of too many
/// tasks for one job, whatever else it holds; `None` if nothing does.
#[must_use]
pub fn explain(limits: &LedgerLimits, transaction: &SignedTransaction) -> Option<Unsound> {
    let bytes = transaction.envelope().payload.len();
    let fits = at_most(Field::Transaction, bytes, limits.transaction_bytes_max);
    fits.and_then(|()| check_action(limits, &transaction.transaction().action)).err()
}

/// Checks an action before it is signed. What depends on the ledger's state is not checked.
///
/// # Errors
/// The first field that exceeds a bound or makes no sense.
pub fn check_action(limits: &LedgerLimits, action: &Action) -> Result<(), Unsound> {
    let arrays = |arrays: &[Array]| {
        let tasks = arrays.iter().map(|array| array.tasks.count()).sum();
        at_most(Field::Tasks, tasks, limits.job_tasks_max as usize)?;
        at_most(Field::Arrays, arrays.len(), Submit::ARRAYS_MAX)?;
        arrays.iter().try_for_each(|array| check_array(limits, array))
    };
    match action {
        Action::Submit(submit) => check_job(submit).and_then(|()| arrays(&submit.arrays)),
        Action::Extend(extend) => arrays(&extend.arrays),
        Action::Recur(Recur::Submit(recurring)) => {
            check_recurrence(recurring)?;
            check_job(&recurring.job).and_then(|()| arrays(&recurring.job.arrays))
        }
        Action::Recur(_) | Action::Drain(_) => Ok(()),
        Action::Control(control) => {
            check_selection(&control.which)?;
            match &control.directive {
                Directive::Amend(amendment) => check_amendment(amendment),
                _ => Ok(()),
            }
        }
        Action::Claim(claim) => check_claim(limits, claim),
        Action::Report(report) => {
            amount(Field::Verdicts, report.items.len() as u64, 1..=limits.report_items_max as u64)
        }
        Action::Govern(govern) => check_govern(govern),
    }
}

/// Checks a job's own fields. Quotas are checked elsewhere.
pub(super) fn check_submit(limits: &LedgerLimits, submit: &Submit) -> Result<(), VoidReason> {
    check_job(submit)?;
    if submit.arrays.is_empty() && submit.open_until.is_none() {
        return Err(VoidReason::TooManyTasks);
    }
    check_arrays(limits, &mut Before::default(), &submit.arrays)
}

/// Checks what a job says besides its arrays.
fn check_job(submit: &Submit) -> Result<(), Unsound> {
    at_most(Field::JobName, submit.name.len(), Submit::NAME_BYTES_MAX)?;
    at_most(Field::Jobs, submit.after.len(), Submit::AFTER_MAX)?;
    let Times { not_before, deadline, run_ms_max, live_ms_max } = submit.times;
    check_span(Field::RunLimit, run_ms_max)?;
    check_span(Field::LiveLimit, live_ms_max)?;
    check_moments([not_before, deadline, submit.open_until])
}

/// Checks a recurring job's own fields.
pub(super) fn check_recurring(limits: &LedgerLimits, recurring: &Recurring) -> Result<(), VoidReason> {
    check_recurrence(recurring)?;
    check_submit(limits, &recurring.job)
}

/// Checks what a recurring job says besides the job.
fn check_recurrence(recurring: &Recurring) -> Result<(), Unsound> {
    let Recurring { job, cron, from, until, runs_max, deadline_ms, .. } = recurring;
    let has_own_times = job.times.not_before.is_some() || job.times.deadline.is_some();
    rule(job.after.is_empty() && job.open_until.is_none() && !has_own_times, Rule::RecursByItself)?;
    rule(cron.is_sound(), Rule::CronNotEmpty)?;
    runs_max.map_or(Ok(()), |runs| amount(Field::Runs, runs, 1..=u64::MAX))?;
    check_span(Field::DeadlineSpan, *deadline_ms)?;
    check_moments([*from, *until])
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
        if array.spec.redundancy.is_some() && (array.spec.checkpoints || array.spec.spawns) {
            return Err(VoidReason::RedundancyExcludes);
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
fn check_array(limits: &LedgerLimits, array: &Array) -> Result<(), Unsound> {
    let of_all = |unsound: Unsound| unsound.within(array, None);
    check_spec(limits, array).map_err(of_all)?;
    let TaskSpec { arguments, inputs, .. } = &*array.spec;
    let mut common = Paths::default();
    common.add_all(inputs, None).map_err(of_all)?;
    let Tasks::Each(parts) = &*array.tasks else { return Ok(()) };
    (0u32..).zip(parts).try_for_each(|(place, part)| {
        let own = || {
            check_arguments(&part.arguments, arguments.len())?;
            at_most(Field::Inputs, part.inputs.len() + inputs.len(), INPUTS_MAX)?;
            Paths::default().add_all(&part.inputs, Some(&common))
        };
        own().map_err(|unsound| unsound.within(array, Some(place)))
    })
}

/// Checks what the tasks of an array have in common, but for the paths of their inputs.
fn check_spec(limits: &LedgerLimits, array: &Array) -> Result<(), Unsound> {
    let TaskSpec {
        argv0,
        arguments,
        environment,
        inputs,
        labels,
        prefers,
        spread,
        limits: wanted,
        success,
        retry,
        recovery,
        redundancy,
        ..
    } = &*array.spec;
    at_most(Field::ArrayName, array.name.len(), Submit::NAME_BYTES_MAX)?;
    rule(redundancy.is_none_or(|redundancy| redundancy.is_sound()), Rule::ReplicasInOrder)?;
    at_most(Field::Jobs, array.after.len(), Submit::AFTER_MAX)?;
    amount(Field::Timeout, wanted.wall_ms, 1..=limits.wall_ms_max)?;
    amount(Field::Success, success.len() as u64, 1..=TaskSpec::SUCCESS_MAX as u64)?;
    for forgiven in [retry].into_iter().chain(recovery.values()) {
        amount(Field::Retries, forgiven.retries.into(), 0..=limits.retries_max.into())?;
        amount(Field::RetryDelay, forgiven.delay_ms, 0..=BACK_OFF_MS_MAX)?;
        amount(Field::RetryJitter, forgiven.jitter_permille.into(), 0..=Retry::JITTER_PERMILLE_MAX.into())?;
    }
    check_labels(labels)?;
    check_environment(environment)?;
    check_wishes(prefers, spread.as_deref())?;
    if let Some(name) = argv0 {
        at_most(Field::Argv0, name.len(), PATH_BYTES_MAX)?;
        check_arguments(std::slice::from_ref(name), 0)?;
    }
    check_arguments(arguments, 0)?;
    at_most(Field::Inputs, inputs.len(), INPUTS_MAX)
}

/// Checks a submitter's selection of tasks.
pub(super) fn check_selection(which: &Selection) -> Result<(), Unsound> {
    let ranges = &which.ranges;
    at_most(Field::Ranges, ranges.len(), Selection::RANGES_MAX)?;
    let are_ordered = ranges.is_sorted_by(|(_, last), (first, _)| last < first);
    rule(are_ordered && ranges.iter().all(|(first, last)| first <= last), Rule::RangesInOrder)
}

/// Checks a submitter's amended terms. Whether their times are still to come is checked elsewhere.
pub(super) fn check_amendment(amendment: &Amendment) -> Result<(), Unsound> {
    rule(*amendment != Amendment::default(), Rule::SomethingAmended)?;
    rule(!matches!(amendment.deadline, Some(Deadline::At(time)) if time > TIME_MAX), Rule::BeforeYear2500)
}

pub(super) fn check_claim(limits: &LedgerLimits, claim: &Claim) -> Result<(), Unsound> {
    let attempts = u64::from(claim.slots) + u64::from(claim.waiting);
    amount(Field::ClaimedAttempts, attempts, 0..=limits.claim_attempts_max.into())?;
    amount(Field::Load, claim.load.into(), 0..=Claim::LOAD_MAX.into())?;
    check_labels(&claim.labels)?;
    at_most(Field::ClaimedBlobs, claim.blobs.len(), Claim::BLOBS_MAX)
}

/// Checks what a proposal says, as far as that needs no ledger.
fn check_govern(govern: &Govern) -> Result<(), Unsound> {
    match govern {
        Govern::Propose(Change::AddAuthority(authority)) => rule(authority.is_brief(), Rule::AuthorityBrief),
        Govern::Propose(Change::SetSchedule(schedule)) => rule(schedule.check().is_ok(), Rule::PoliciesUsable),
        Govern::Propose(_) | Govern::Approve(_) => Ok(()),
    }
}

fn is_stored_soundly(output_bytes: u64, manifest: &BlobRef, stderr: Option<&BlobRef>, bytes: u64) -> bool {
    manifest.bytes <= MANIFEST_BYTES_MAX
        && manifest.bytes.checked_add(stderr.map_or(0, |stderr| stderr.bytes)).is_some_and(|least| least <= bytes)
        && bytes <= output_bytes.saturating_add(MANIFEST_BYTES_MAX)
}

fn are_spawns_few(spawns: &[Spawn]) -> bool {
    spawns.is_empty() || spawns.len() <= Spawn::SPAWNS_MAX && codec::encode(spawns).len() <= Spawn::BYTES_MAX
}

/// Whether a worker may give this verdict on an attempt of a task with this specification.
pub(super) fn is_verdict_sound(limits: &LedgerLimits, spec: &TaskSpec, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Returned
        | Verdict::Undelivered
        | Verdict::Preempted
        | Verdict::HostDied { .. }
        | Verdict::Committed(_) => true,
        Verdict::Succeeded(status, output, _, spawns) => {
            is_success_sound(limits, spec, *status, output) && are_spawns_few(spawns)
        }
        Verdict::Checkpointed { manifest, bytes, .. } => {
            is_stored_soundly(spec.limits.output_bytes, manifest, None, *bytes)
        }
        Verdict::Failed(failure, remains, _) => is_failure_sound(limits, spec, failure, remains),
        Verdict::Revealed(Answer::Succeeded(status, output, _), _) => is_success_sound(limits, spec, *status, output),
        Verdict::Revealed(Answer::Failed(failure, remains, _), _) => {
            !failure.setback().is_of_machine() && is_failure_sound(limits, spec, failure, remains)
        }
    }
}

fn is_success_sound(limits: &LedgerLimits, spec: &TaskSpec, status: i32, output: &Output) -> bool {
    spec.success.contains(&status) && is_output_sound(limits, spec.limits.output_bytes, output)
}

fn is_output_sound(limits: &LedgerLimits, output_bytes: u64, output: &Output) -> bool {
    match output {
        Output::Inline(output) => {
            let mut paths = BTreeSet::new();
            codec::encode(output).len() <= limits.inline_bytes_max
                && (output.files.iter().map(|(path, _)| path).chain(&output.empty_folders))
                    .all(|path| is_tree_path_sound(path) && paths.insert(path.as_str()))
                && !paths.iter().any(|path| folders_of(path).any(|folder| paths.contains(folder)))
        }
        Output::Stored { manifest, stderr, bytes, .. } => {
            is_stored_soundly(output_bytes, manifest, stderr.as_ref(), *bytes)
        }
    }
}

fn is_failure_sound(limits: &LedgerLimits, spec: &TaskSpec, failure: &Failure, remains: &Remains) -> bool {
    let are_remains_sound = remains.stderr_tail.len() <= limits.inline_bytes_max
        && match &remains.output {
            None => true,
            Some(output) => {
                failure.leaves_output()
                    && is_output_sound(limits, spec.limits.output_bytes, output)
                    && (matches!(output, Output::Stored { .. }) || remains.stderr_tail.is_empty())
            }
        };
    are_remains_sound
        && match failure {
            Failure::Exited(status) => !spec.success.contains(status),
            Failure::Trapped(text)
            | Failure::BadModule(text)
            | Failure::TooLargeToCompile(text)
            | Failure::BadInput(text) => text.len() <= Failure::TEXT_BYTES_MAX,
            Failure::OutputMissing { file, .. } => is_path_sound(file),
            Failure::Lost | Failure::EndedHosts | Failure::Disagreed => false,
            Failure::Exceeded(_) | Failure::SpawnRefused | Failure::InputUnavailable(_) => true,
        }
}
