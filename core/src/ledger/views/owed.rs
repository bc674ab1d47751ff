//! What peers that keep blobs owe to others: outputs and checkpoints, programs and inputs.

use std::collections::HashSet;

use crate::{
    digest::Digest,
    ledger::{
        EndReason, Ledger, TaskStateView, TaskView,
        records::jobs::{Job, TaskState},
    },
    schedule::ready::JobNumber,
    types::{Array, AttemptId, Height, Input, Source, TaskSpec, Tasks},
};

/// Whether an output or checkpoint that an attempt has left is owed to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owed {
    /// Its task would go on from it.
    Checkpoint,
    /// Its task has no outcome, and the ledger has not recorded it. It may have yet to come.
    Undecided,
    /// Its attempt has ended its task. It is owed if it is that output, which the receipt says:
    /// `Applied::receipts[receipt]` of this height.
    IfOutput {
        /// The height at which the outcome was accepted.
        height: Height,
        /// Which of that height's receipts it is, from 0.
        receipt: u32,
    },
    /// Its attempt gave one of the answers that were compared. It is kept for a while, so that whoever submitted the task
    /// can see what differed.
    Compared,
    /// Nobody asks for it any more: its job is forgotten, its task has another outcome or will have none, or its attempt
    /// failed and the task is tried again.
    Nobody,
}

/// Blobs that unfinished tasks need, as far as a search has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeededBlobs {
    /// Those of the blobs asked about that are a program, a file or the manifest of a folder.
    pub named: HashSet<Digest>,
    /// The manifests of all folders that tasks are given, asked about or not. The blobs of which a folder consists are
    /// needed as well, and only the manifest names them.
    pub folders: HashSet<Digest>,
}

/// Where a search through the programs and inputs of unfinished tasks has come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct NeedsSearched {
    job: JobNumber,
    array: usize,
    task: usize,
}

impl Ledger {
    /// Whether what an attempt has left, as this manifest says, is owed to anybody.
    #[must_use]
    pub fn owed(&self, attempt: AttemptId, manifest: &Digest) -> Owed {
        let Some(task) = self.task(attempt.task) else { return Owed::Nobody };
        match task.state {
            // If the answers of replicas were too different, the outcome names one of them and is none.
            TaskStateView::Done { succeeded: false, .. } if ended_as(&task, attempt, EndReason::Answered) => {
                Owed::Compared
            }
            TaskStateView::Done { attempt: number, height, receipt, .. } if number == attempt.number => {
                Owed::IfOutput { height, receipt }
            }
            TaskStateView::Done { .. } if ended_as(&task, attempt, EndReason::Answered) => Owed::Compared,
            TaskStateView::Done { .. } | TaskStateView::Gone(_) => Owed::Nobody,
            _ if task.checkpoint.is_some_and(|checkpoint| checkpoint.manifest.digest == *manifest) => Owed::Checkpoint,
            _ if ended_as(&task, attempt, EndReason::Failed) => Owed::Nobody,
            _ => Owed::Undecided,
        }
    }

    /// Adds to `needed` those of `blobs` that are the program or an input of unfinished tasks, or of recurring jobs
    /// that have not ended, and the folders that they are given. Looks at `tasks_max` tasks, arrays and jobs, at least one, and returns where to go on;
    /// `None` once it has looked at all.
    pub fn needed_blobs(
        &self,
        searched: Option<NeedsSearched>,
        tasks_max: usize,
        blobs: &HashSet<Digest>,
        needed: &mut NeededBlobs,
    ) -> Option<NeedsSearched> {
        let mut need = |need: Need| {
            if let Need::Folder(digest) = need {
                needed.folders.insert(digest);
            }
            let (Need::Blob(digest) | Need::Folder(digest)) = need;
            if blobs.contains(&digest) {
                needed.named.insert(digest);
            }
        };
        if searched.is_none() {
            // The bound on definitions bounds these.
            for recurring in self.recurring().filter(|recurring| recurring.ended.is_none()) {
                recurring.recurring.job.arrays.iter().for_each(|array| need_array(array, &mut need));
            }
        }
        let from = searched.unwrap_or_default();
        let mut left = tasks_max.max(1);
        for (number, job) in self.records.jobs().range(from.job..) {
            if left == 0 {
                return Some(NeedsSearched { job: *number, ..NeedsSearched::default() });
            }
            let (array, task) = if *number == from.job { (from.array, from.task) } else { (0, 0) };
            if let Some((array, task)) = self.need_job(job, (array, task), &mut left, &mut need) {
                return Some(NeedsSearched { job: *number, array, task });
            }
            left = left.saturating_sub(1);
        }
        None
    }

    /// What a job's unfinished tasks need, from an array's task on; where to go on, if `left` runs out.
    fn need_job(
        &self,
        job: &Job,
        (from, mut task): (usize, usize),
        left: &mut usize,
        need: &mut impl FnMut(Need),
    ) -> Option<(usize, usize)> {
        if job.counts().unfinished() == 0 {
            return None;
        }
        for (place, array) in self.arrays(job.id).iter().enumerate().skip(from) {
            if *left == 0 {
                return Some((place, task));
            }
            if array.counts.unfinished() > 0 {
                need_spec(array.spec, need);
                if let Tasks::Each(parts) = &**array.tasks {
                    for (at, part) in parts.iter().enumerate().skip(task) {
                        let Some(rest) = left.checked_sub(1) else { return Some((place, at)) };
                        *left = rest;
                        let state = u32::try_from(at).ok().and_then(|at| job.record.states.get(&(array.first + at)));
                        if !matches!(state, Some(TaskState::Done(_) | TaskState::Gone(_))) {
                            need_inputs(&part.inputs, need);
                        }
                    }
                }
            }
            task = 0;
            *left = left.saturating_sub(1);
        }
        None
    }
}

/// Whether an attempt of a task ended for this reason.
fn ended_as(task: &TaskView<'_>, attempt: AttemptId, why: EndReason) -> bool {
    task.past.iter().any(|past| past.number == attempt.number && past.why == why)
}

/// What a task needs.
#[derive(Clone, Copy, Debug)]
enum Need {
    /// A program or a file.
    Blob(Digest),
    /// A folder, by its manifest.
    Folder(Digest),
}

fn need_array(array: &Array, need: &mut impl FnMut(Need)) {
    need_spec(&array.spec, need);
    if let Tasks::Each(parts) = &*array.tasks {
        parts.iter().for_each(|part| need_inputs(&part.inputs, need));
    }
}

fn need_spec(spec: &TaskSpec, need: &mut impl FnMut(Need)) {
    need(Need::Blob(spec.program_blob().digest));
    if let Some(stdin) = &spec.stdin {
        need(Need::Blob(stdin.digest));
    }
    need_inputs(&spec.inputs, need);
}

fn need_inputs(inputs: &[Input], need: &mut impl FnMut(Need)) {
    for input in inputs {
        match &input.source {
            Source::Blob(blob) => need(Need::Blob(blob.digest)),
            Source::Folder(manifest) => need(Need::Folder(manifest.digest)),
            Source::Output(_) => {}
        }
    }
}
