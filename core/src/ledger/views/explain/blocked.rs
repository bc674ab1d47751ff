//! What a blocked task waits for, and which missed conditions made a task skipped.

use super::{
    NAMED_MAX,
    reasons::{AwaitedArray, AwaitedJob, AwaitedTask, Blocked, NoOutcome},
};
use crate::{
    ledger::{
        Ledger,
        index::{Awaited, Judged, judge},
        records::jobs::{Gone, Job},
    },
    types::When,
};

impl Job {
    fn waits_for(&self, index: u32) -> Awaited {
        let Some(((array, place), segment)) = self.array_index(index).zip(self.segment(index)) else {
            return Awaited::default();
        };
        let record = self.record.arrays.get(usize::from(array));
        record.map_or_else(Awaited::default, |record| self.graph().waits_for(record, &segment.spec, place))
    }

    /// Those of these arrays that have this verdict.
    fn arrays_judged(&self, arrays: &[(u16, When)], judged: Option<Judged>) -> Vec<AwaitedArray> {
        let arrays = arrays.iter().filter(|(array, when)| self.graph().judge(*array, *when) == judged);
        let view = |(array, when): &(u16, When)| {
            let [tasks, ended, failed, gone] = self.graph().ends_of(*array);
            let name = self.record.arrays.get(usize::from(*array)).map(|array| array.name.clone());
            AwaitedArray { array: *array, name: name.unwrap_or_default(), when: *when, tasks, ended, failed, gone }
        };
        arrays.map(view).collect()
    }

    /// How many of these tasks have this verdict, and the first of them.
    fn tasks_judged(&self, tasks: &[(u32, When)], judged: Option<Judged>) -> (u32, Vec<AwaitedTask>) {
        let is_judged =
            |(task, when): &&(u32, When)| self.record.ending_of(*task).map(|ending| judge(*when, ending)) == judged;
        let judged: Vec<&(u32, When)> = tasks.iter().filter(is_judged).collect();
        let named = judged.iter().take(NAMED_MAX).map(|(index, when)| AwaitedTask { index: *index, when: *when });
        (u32::try_from(judged.len()).unwrap_or(u32::MAX), named.collect())
    }
}

impl Ledger {
    pub(in crate::ledger) fn why_blocked(&self, job: &Job, index: u32) -> Blocked {
        let awaited = job.waits_for(index);
        let jobs = job.record.after.iter().map(|after| AwaitedJob {
            job: after.job,
            when: after.when,
            unfinished: self.job(after.job).map(|job| job.counts.unfinished()),
        });
        let (tasks, first_tasks) = job.tasks_judged(&awaited.tasks, None);
        Blocked {
            jobs: jobs.collect(),
            not_before: job.record.times.not_before.filter(|time| self.time() < *time),
            arrays: job.arrays_judged(&awaited.arrays, None),
            tasks,
            first_tasks,
            held: job.segment(index).is_some_and(|segment| segment.held),
        }
    }

    /// Why a task is gone. The dependencies of an ended job are not kept.
    pub(in crate::ledger) fn why_gone(&self, job: &Job, index: u32, how: Gone) -> NoOutcome {
        let awaited = if how == Gone::Skipped { job.waits_for(index) } else { Awaited::default() };
        let missed = Some(Judged::Missed);
        NoOutcome {
            how,
            arrays: job.arrays_judged(&awaited.arrays, missed),
            tasks: job.tasks_judged(&awaited.tasks, missed).1,
        }
    }
}
