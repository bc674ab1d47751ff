//! Job files: workflows in TOML.
//!
//! A file goes through these stages:
//!
//! * [`parse`] reads the text as the types of [`model`].
//! * [`expand`] replaces names and makes the tasks of arrays.
//! * [`graph`] finds an order in which every task comes after those that it waits for.
//! * [`layout`] turns the tasks into the arrays that the ledger knows ([`planned`]).
//! * [`show`] prints the arrays for people.
//! * [`send`] signs and submits them.
//!
//! A mistake is a [`problem::Problem`] with its place in the file. `docs/job-file.md` says what everything in a file
//! means.

pub mod draft;
pub mod existing;
pub mod expand;
pub mod graph;
pub mod layout;
pub mod model;
pub mod parse;
pub mod planned;
pub mod problem;
pub mod recovery;
mod reference;
pub mod rows;
pub mod send;
pub mod show;
pub mod text;
pub mod values;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, path::Path};

use meshwork_core::types::LedgerLimits;

use self::{
    draft::JobDraft,
    existing::Existing,
    expand::Around,
    model::JobFile,
    planned::PlannedArray,
    problem::{Checked, Problem, SourceFile},
};
use crate::{
    failure::{Done, Failure},
    programs,
};

/// The most bytes of a job file.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// A job file, laid out and ready to submit.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The job as a whole.
    pub job: JobDraft,
    /// Its arrays, in the ledger's order.
    pub arrays: Vec<PlannedArray>,
    /// What the job that they are added to already has.
    pub existing: Existing,
}

impl Plan {
    /// The number of tasks to submit.
    pub fn count(&self) -> u32 {
        self.arrays.iter().map(|array| array.tasks.count()).sum()
    }
}

/// Whether a path names a job file rather than a program.
pub fn is_job_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Reads a job file and lays out its job. No node is asked.
///
/// # Errors
/// Something in the file is wrong; the sentence names the line and the column.
pub fn plan(path: &Path, set: &[(String, String)], limits: &LedgerLimits, existing: &Existing) -> Done<Plan> {
    let io = |error: std::io::Error| Failure::given_file(path, &error);
    if std::fs::metadata(path).map_err(io)?.len() > FILE_BYTES_MAX {
        let sentence = format!("{} has more than {FILE_BYTES_MAX} bytes; give rows in a CSV file.", path.display());
        return Err(Failure::usage(sentence));
    }
    let source = SourceFile::new(path, std::fs::read_to_string(path).map_err(io)?);
    let called = path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let around = Around { directory, limits, set, called: &called, existing };
    let file = parse::parse(&source.text).map_err(|problem| problem.into_failure(&source))?;
    check_set(&file, set, path)?;
    let plan = plan_of(&file, around).map_err(|problem| problem.into_failure(&source))?;
    let programs: BTreeSet<&Path> = plan.arrays.iter().map(|array| array.draft.program.as_path()).collect();
    for program in programs {
        programs::read(program)?;
    }
    Ok(plan)
}

/// Checks that the values given on the command line are for parameters of the file.
fn check_set(file: &JobFile, set: &[(String, String)], path: &Path) -> Done {
    let names: Vec<&str> = file.parameters.iter().map(|(name, _)| name.value.as_str()).collect();
    match set.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        Some((name, _)) => Err(Failure::usage(format!(
            "--set gives `{name}`, and {} has no such parameter; {}.",
            path.display(),
            problem::suggestion(name, names)
        ))),
        None => Ok(()),
    }
}

fn plan_of(file: &JobFile, around: Around<'_>) -> Checked<Plan> {
    check_whole(file, around.existing)?;
    let expanded = expand::expand(file, around)?;
    let arrays = layout::lay_out(&expanded, around.existing, around.limits)?;
    Ok(Plan { job: expanded.job, arrays, existing: around.existing.clone() })
}

/// Checks that the file has every key that a job, or an addition to one, needs, and no key that it cannot have.
fn check_whole(file: &JobFile, existing: &Existing) -> Checked {
    if !existing.is_there {
        return match file.tasks.0.is_empty() && file.open.is_none() {
            true => Err(Problem::new(&(0..0), "This file has no tasks", "write one as [tasks.NAME]")),
            false => Ok(()),
        };
    }
    let times = [&file.not_before, &file.deadline, &file.run_limit, &file.live_limit, &file.open];
    let jobs = [&file.after, &file.after_any, &file.after_fail];
    let jobs = jobs.into_iter().flatten().flat_map(|list| list.0.first()).map(|id| &id.at);
    let recurs = file.recurs.iter().map(|recurs| &recurs.at);
    let spawns = file.spawn_max.iter().map(|most| &most.at);
    match times.into_iter().flatten().map(|text| &text.at).chain(jobs).chain(recurs).chain(spawns).next() {
        Some(at) => {
            let next = "take it out of what is added with --to";
            Err(Problem::new(at, "This was settled when the job was submitted", next))
        }
        None => Ok(()),
    }
}
