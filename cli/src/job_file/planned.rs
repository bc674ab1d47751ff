//! Arrays as the ledger has them, except that content is still on this machine.

use std::sync::Arc;

use meshwork_core::types::{After, Edges, OutputOf, When};

use super::draft::{Content, Draft};

/// An array whose content is not yet uploaded.
#[derive(Clone, Debug)]
pub struct PlannedArray {
    /// Its name.
    pub name: String,
    /// The names of its tasks, if several single tasks make it up.
    pub members: Vec<String>,
    /// The index of its first task in the job.
    pub first: u32,
    /// What its tasks have in common.
    pub draft: Arc<Draft>,
    /// The common arguments.
    pub arguments: Vec<String>,
    /// The common inputs.
    pub inputs: Vec<PlannedInput>,
    /// The number of tasks, and how they differ.
    pub tasks: PlannedTasks,
    /// The arrays that the tasks wait for.
    pub after: Vec<After>,
    /// Whether other tasks may take the outputs.
    pub feeds: bool,
}

/// How many tasks an array has, and how they differ.
#[derive(Clone, Debug)]
pub enum PlannedTasks {
    /// Tasks that differ only in their place.
    Repeat(u32),
    /// One task for each part.
    Each(Vec<PlannedPart>),
}

/// What a task has of its own.
#[derive(Clone, Debug, Default)]
pub struct PlannedPart {
    /// Arguments after the common ones.
    pub arguments: Vec<String>,
    /// Inputs, besides the common ones.
    pub inputs: Vec<PlannedInput>,
    /// Tasks that it waits for.
    pub after: Edges,
}

/// An input.
#[derive(Clone, Debug)]
pub struct PlannedInput {
    /// Its path: below `/in` if it is relative, else where it is mounted.
    pub path: String,
    /// Where its content comes from.
    pub source: PlannedSource,
}

/// Where an input's content comes from.
#[derive(Clone, Debug)]
pub enum PlannedSource {
    /// Content on this machine.
    Content(Content),
    /// The output of other tasks.
    Output(OutputOf),
}

impl PlannedTasks {
    /// The number of tasks.
    pub fn count(&self) -> u32 {
        match self {
            Self::Repeat(count) => *count,
            Self::Each(parts) => parts.len() as u32,
        }
    }
}

impl PlannedPart {
    /// An upper bound on its bytes in a transaction.
    pub fn bytes(&self) -> usize {
        const PART: usize = 24;
        const EDGE: usize = 5;
        let arguments = self.arguments.iter().map(|argument| argument.len() + 5);
        let Edges { ok, any, fail } = &self.after;
        PART + arguments.chain(self.inputs.iter().map(PlannedInput::bytes)).sum::<usize>()
            + EDGE * (ok.len() + any.len() + fail.len())
    }

    /// Removes duplicate dependencies.
    pub fn settle(&mut self) {
        for tasks in [&mut self.after.ok, &mut self.after.any, &mut self.after.fail] {
            tasks.sort_unstable();
            tasks.dedup();
        }
    }

    /// Makes the task wait for another.
    pub fn wait(&mut self, task: u32, when: When) {
        match when {
            When::Ok => self.after.ok.push(task),
            When::Any => self.after.any.push(task),
            When::Fail => self.after.fail.push(task),
        }
    }
}

impl PlannedInput {
    /// An upper bound on its bytes in a transaction.
    pub fn bytes(&self) -> usize {
        const SOURCE: usize = 80;
        let file = match &self.source {
            PlannedSource::Output(OutputOf { file: Some(file), .. }) => file.len(),
            _ => 0,
        };
        self.path.len() + file + SOURCE
    }
}
