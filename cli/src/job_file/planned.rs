//! Arrays as the ledger has them, but that content stands on this machine still.

use std::sync::Arc;

use meshwork_core::types::{After, Edges, OutputOf, When};

use super::draft::{Content, Draft};

/// An array, but for the content of files.
#[derive(Clone, Debug)]
pub struct PlannedArray {
    /// Its name.
    pub name: String,
    /// The names of the tasks that it is made of, if it is of several single ones.
    pub members: Vec<String>,
    /// Its first task in the job.
    pub first: u32,
    /// What its tasks have in common.
    pub draft: Arc<Draft>,
    /// Their common arguments.
    pub arguments: Vec<String>,
    /// Their common inputs.
    pub inputs: Vec<PlannedInput>,
    /// How many there are, and how they differ.
    pub tasks: PlannedTasks,
    /// The arrays that they wait for.
    pub after: Vec<After>,
    /// Whether others may take what they leave.
    pub feeds: bool,
}

/// How many tasks an array has, and how they differ.
#[derive(Clone, Debug)]
pub enum PlannedTasks {
    /// So many that differ only in their place.
    Repeat(u32),
    /// One for each of these.
    Each(Vec<PlannedPart>),
}

/// What one task has of its own.
#[derive(Clone, Debug, Default)]
pub struct PlannedPart {
    /// Arguments after the common ones.
    pub arguments: Vec<String>,
    /// Inputs besides the common ones.
    pub inputs: Vec<PlannedInput>,
    /// Tasks that it waits for.
    pub after: Edges,
}

/// An input.
#[derive(Clone, Debug)]
pub struct PlannedInput {
    /// Its path below `/in`.
    pub path: String,
    /// Where its content comes from.
    pub source: PlannedSource,
}

/// Where an input's content comes from.
#[derive(Clone, Debug)]
pub enum PlannedSource {
    /// It stands on this machine.
    Content(Content),
    /// Other tasks leave it.
    Output(OutputOf),
}

impl PlannedTasks {
    /// How many there are.
    pub fn count(&self) -> u32 {
        match self {
            Self::Repeat(count) => *count,
            Self::Each(parts) => parts.len() as u32,
        }
    }
}

impl PlannedPart {
    /// How many bytes it takes in a transaction, at most.
    pub fn bytes(&self) -> usize {
        const PART: usize = 24;
        const EDGE: usize = 5;
        let arguments = self.arguments.iter().map(|argument| argument.len() + 5);
        let Edges { ok, any, fail } = &self.after;
        PART + arguments.chain(self.inputs.iter().map(PlannedInput::bytes)).sum::<usize>()
            + EDGE * (ok.len() + any.len() + fail.len())
    }

    /// Forgets what is said twice.
    pub fn settle(&mut self) {
        for tasks in [&mut self.after.ok, &mut self.after.any, &mut self.after.fail] {
            tasks.sort_unstable();
            tasks.dedup();
        }
    }

    /// Has it wait for a task.
    pub fn wait(&mut self, task: u32, when: When) {
        match when {
            When::Ok => self.after.ok.push(task),
            When::Any => self.after.any.push(task),
            When::Fail => self.after.fail.push(task),
        }
    }
}

impl PlannedInput {
    /// How many bytes it takes in a transaction, at most.
    pub fn bytes(&self) -> usize {
        const SOURCE: usize = 80;
        let file = match &self.source {
            PlannedSource::Output(OutputOf { file: Some(file), .. }) => file.len(),
            _ => 0,
        };
        self.path.len() + file + SOURCE
    }
}
