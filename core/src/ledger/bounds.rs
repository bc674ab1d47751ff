//! What the fields of a transaction may be, besides what the genesis bounds: what exceeds one of these makes no sense, or
//! would cost every peer more than its sender.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    blobs, codec,
    schedule::recovery::BACK_OFF_MS_MAX,
    types::{Claim, Failure, Input, Labels, LedgerLimits, Output, Submit, TaskSpec, Tasks, Verdict, VoidReason},
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
/// Different needs (resources and labels) among the unfinished jobs of one submitter. Matching looks once at each of them.
pub const KEY_NEEDS_MAX: usize = 64;
/// Different needs among all unfinished jobs.
pub const NEEDS_MAX: usize = 4096;
/// What a stored output may have beyond the task's output limit, in bytes: its manifest.
pub const MANIFEST_BYTES_MAX: u64 = blobs::MANIFEST_BYTES_MAX as u64;

/// Whether a path names a file below a folder and nothing above it: relative, without empty, `.` or `..` parts.
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

/// The paths of input files, none of which may be another's or lie below another.
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

/// A job's own fields; what is owed already is looked at elsewhere.
pub(super) fn check_submit(limits: &LedgerLimits, submit: &Submit) -> Result<(), VoidReason> {
    let TaskSpec { arguments, environment, inputs, labels, prefers, spread, limits: wanted, retry, .. } = &*submit.spec;
    let count = submit.tasks.count();
    if count == 0 || count > limits.job_tasks_max as usize {
        return Err(VoidReason::TooManyTasks);
    }
    sound(submit.name.len() <= Submit::NAME_BYTES_MAX)?;
    sound((1..=limits.wall_ms_max).contains(&wanted.wall_ms))?;
    sound(retry.retries <= limits.retries_max && retry.delay_ms <= BACK_OFF_MS_MAX)?;
    sound(are_labels_sound(labels) && is_environment_sound(environment))?;
    sound(are_wishes_sound(prefers, spread.as_deref()))?;
    sound(arguments.len() <= ARGUMENTS_MAX && are_arguments_sound(arguments))?;
    let mut common = Paths::default();
    sound(inputs.len() <= INPUTS_MAX && common.add_all(inputs, None))?;
    let Tasks::Each(parts) = &*submit.tasks else { return Ok(()) };
    for part in parts {
        sound(part.arguments.len() + arguments.len() <= ARGUMENTS_MAX && are_arguments_sound(&part.arguments))?;
        sound(part.inputs.len() + inputs.len() <= INPUTS_MAX)?;
        sound(Paths::default().add_all(&part.inputs, Some(&common)))?;
    }
    Ok(())
}

pub(super) fn check_claim(limits: &LedgerLimits, claim: &Claim) -> Result<(), VoidReason> {
    sound(claim.slots.checked_add(claim.waiting).is_some_and(|attempts| attempts <= limits.claim_attempts_max))?;
    sound(claim.load <= Claim::LOAD_MAX && are_labels_sound(&claim.labels) && claim.holds.len() <= Claim::HOLDS_MAX)
}

/// Whether a worker may say this of an attempt whose task promised at most `output_bytes`.
pub(super) fn is_verdict_sound(limits: &LedgerLimits, output_bytes: u64, verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Returned => true,
        Verdict::Succeeded(Output::Inline(output), _) => {
            let mut paths = BTreeSet::new();
            codec::encode(output).len() <= limits.inline_bytes_max
                && output.files.iter().all(|(path, _)| is_path_sound(path) && paths.insert(path))
        }
        Verdict::Succeeded(Output::Stored { manifest, bytes, .. }, _) => {
            manifest.bytes <= MANIFEST_BYTES_MAX.min(*bytes)
                && *bytes <= output_bytes.saturating_add(MANIFEST_BYTES_MAX)
        }
        Verdict::Failed(failure, stderr, _) => {
            stderr.len() <= limits.inline_bytes_max
                && match failure {
                    Failure::Trapped(text) | Failure::BadModule(text) => text.len() <= Failure::TEXT_BYTES_MAX,
                    Failure::Lost => false,
                    _ => true,
                }
        }
    }
}
