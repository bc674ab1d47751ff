//! Spawn: a task that ends well asks for more tasks like itself.
//!
//! They are an array of their own, the last of the job, and wait for nothing but what they take of whoever asked. What
//! waits for the asking task's array does not wait for them; a job that waits for this one does. Where there may not be
//! so many, the attempt has failed: to take its outcome without what it asked for would leave work undone that nobody
//! knows of.

use std::sync::Arc;

use crate::{
    codec,
    fault::{Fault, is_planted},
    invariant::known,
    ledger::{Applied, Ledger, LedgerEvent, bounds, index::Outstanding, records::jobs::TaskRef},
    types::{Array, Edges, Input, OutputOf, Part, Producer, Source, Spawn, Tasks, VoidReason},
};

/// What an array costs besides what its tasks say, in bytes of definition.
const ARRAY_BYTES: u64 = 256;

/// What is asked for, as far as it may be.
pub(in crate::ledger) struct SpawnedArray {
    array: Array,
    definition_bytes: u64,
}

impl Ledger {
    /// The array that a task asks for, if it asks for anything.
    pub(in crate::ledger) fn check_spawn(
        &self,
        task: TaskRef,
        spawns: &[Spawn],
    ) -> Result<Option<SpawnedArray>, VoidReason> {
        if spawns.is_empty() {
            return Ok(None);
        }
        let job = self.records.job(task.job).ok_or(VoidReason::UnknownJob)?;
        let (spec, (array, _)) = job.spec(task.index).zip(job.array_index(task.index)).ok_or(VoidReason::UnknownJob)?;
        let spawner = job.record.arrays.get(usize::from(array)).ok_or(VoidReason::UnknownJob)?;
        let more = u32::try_from(spawns.len()).unwrap_or(u32::MAX);
        let spawned = job.record.spawned.checked_add(more);
        if !spec.spawns
            || spawned.is_none_or(|spawned| spawned > job.record.spawns_max) && !is_planted(Fault::SpawnsUnbounded)
        {
            return Err(VoidReason::TooManyTasks);
        }
        let part = |spawn: &Spawn| Part {
            arguments: spawn.arguments.clone(),
            inputs: spawn.inputs.iter().map(|(path, file)| left_by(task.index, path, file)).collect(),
            after: Edges::default(),
        };
        let array = Array {
            name: spawner.name.clone(),
            spec: Arc::clone(spec),
            tasks: Arc::new(Tasks::Each(spawns.iter().map(part).collect())),
            after: Vec::new(),
            feeds: spawner.feeds,
        };
        bounds::check_extend(&self.genesis.ledger, job, std::slice::from_ref(&array))?;
        let definition_bytes = ARRAY_BYTES + codec::encode(&array.tasks).len() as u64;
        self.check_quotas(&job.record.submitter, std::slice::from_ref(&array), definition_bytes)?;
        Ok(Some(SpawnedArray { array, definition_bytes }))
    }

    /// Adds it to the job of the task that asked, which is about to have its outcome.
    pub(in crate::ledger) fn spawn(&mut self, task: TaskRef, spawn: SpawnedArray, applied: &mut Applied) {
        let SpawnedArray { array, definition_bytes } = spawn;
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let more = u32::try_from(array.tasks.count()).unwrap_or(u32::MAX);
        job.record.spawned = job.record.spawned.saturating_add(more);
        job.record.definition_bytes = job.record.definition_bytes.saturating_add(definition_bytes);
        let (id, submitter) = (job.id, job.record.submitter);
        self.add_outstanding(submitter, Outstanding::definition(definition_bytes));
        let tasks = self.add_arrays(task.job, &[array]);
        applied.events.push(LedgerEvent::JobExtended { job: id, tasks });
        self.open_job(task.job);
    }
}

/// A file that a task has left, as another's input.
fn left_by(task: u32, path: &str, file: &str) -> Input {
    let source = Source::Output(OutputOf { of: Producer::Task(task), file: Some(file.to_owned()) });
    Input { path: path.to_owned(), source }
}
