//! Spawn: a program spawns more tasks like its own, with a successful outcome.
//!
//! The spawned tasks form a new array, the last of the job. It waits for nothing but the inputs that it takes from
//! its spawner. Arrays that wait for the spawner's array do not wait for it; a job that waits for this job does. If
//! the spawn exceeds a bound, the attempt fails: an outcome without its spawned tasks would leave work undone without
//! anyone knowing.

use std::sync::Arc;

use crate::{
    codec,
    fault::{Fault, is_planted},
    invariant::known,
    ledger::{Applied, Ledger, LedgerEvent, bounds, records::jobs::TaskRef},
    types::{Array, Edges, Input, OutputOf, Part, Producer, Source, Spawn, Tasks, VoidReason},
};

/// What a spawned array costs besides its tasks, in bytes of definition.
const ARRAY_BYTES: u64 = 256;

/// A spawned array that keeps the bounds.
pub(in crate::ledger) struct SpawnedArray {
    array: Array,
    definition_bytes: u64,
}

impl Ledger {
    /// The array that a task spawns, if it spawns any.
    ///
    /// # Errors
    ///
    /// Why the tasks may not be spawned.
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

    /// Adds a spawned array to the job of its spawner, which is about to get its outcome.
    pub(in crate::ledger) fn spawn(&mut self, task: TaskRef, spawn: SpawnedArray, applied: &mut Applied) {
        let SpawnedArray { array, definition_bytes } = spawn;
        let Some(job) = known(self.records.job_mut(task.job)) else { return };
        let more = u32::try_from(array.tasks.count()).unwrap_or(u32::MAX);
        job.record.spawned = job.record.spawned.saturating_add(more);
        job.record.definition_bytes = job.record.definition_bytes.saturating_add(definition_bytes);
        let (id, submitter) = (job.id, job.record.submitter);
        self.charge_definition(submitter, definition_bytes);
        let admission = self.records.admit();
        let tasks = self.add_arrays(task.job, &[array], admission);
        applied.events.push(LedgerEvent::JobExtended { job: id, tasks });
        self.open_job(task.job);
    }
}

/// An input that takes a file from a task's output.
fn left_by(task: u32, path: &str, file: &str) -> Input {
    let source = Source::Output(OutputOf { of: Producer::Task(task), file: Some(file.to_owned()) });
    Input { path: path.to_owned(), source }
}
