//! The dependencies among a job's tasks, computed from its arrays and from how their tasks ended.
//!
//! An array waits for whole arrays by its *gate*. If its tasks also wait for single tasks, the array is *single*:
//! each of its tasks has a count of the tasks that it still waits for.

use std::collections::BTreeMap;

use crate::{
    invariant::{cannot_be, known},
    ledger::records::jobs::ArrayRecord,
    types::{After, Input, Part, Producer, Source, TaskSpec, Tasks, When},
};

/// How a dependency ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Ending {
    Well,
    Failed,
    Gone,
}

/// What an ending means for a dependent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ledger) enum Judged {
    Met,
    Missed,
}

/// Judges an ending by a dependent's condition.
pub(in crate::ledger) const fn judge(when: When, ending: Ending) -> Judged {
    match (when, ending) {
        (When::Ok, Ending::Well) | (When::Any, _) | (When::Fail, Ending::Failed) => Judged::Met,
        _ => Judged::Missed,
    }
}

/// An array: its dependencies on other arrays, and theirs on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Gate {
    /// Its first task.
    first: u32,
    count: u32,
    /// How many of its tasks have ended; of these, `failed` failed and `gone` have no outcome.
    ended: u32,
    failed: u32,
    gone: u32,
    /// How many whole arrays it still waits for, those that missed its condition included.
    unmet: u32,
    /// The arrays that wait for it as a whole.
    whole: Vec<(u16, When)>,
    /// Of a single array: how many single tasks each of its tasks still waits for, those that missed the condition
    /// included.
    left: Option<Vec<u32>>,
}

/// The dependencies of a job's tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Graph {
    gates: Vec<Gate>,
    /// For each task, the tasks that wait for it as a single task.
    waiting: BTreeMap<u32, Vec<(u32, When)>>,
    edges: u64,
}

/// What the ending of some tasks means for others.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Consequences {
    /// Arrays that no longer wait for any whole array.
    pub(in crate::ledger) opened: Vec<u16>,
    /// Arrays whose condition can no longer be met.
    pub(in crate::ledger) missed: Vec<u16>,
    /// Tasks that no longer wait for any single task.
    pub(in crate::ledger) freed: Vec<u32>,
    /// Tasks whose condition can no longer be met.
    pub(in crate::ledger) lost: Vec<u32>,
}

impl Consequences {
    pub(in crate::ledger) const fn is_empty(&self) -> bool {
        self.opened.is_empty() && self.missed.is_empty() && self.freed.is_empty() && self.lost.is_empty()
    }
}

/// The tasks and arrays whose outputs the inputs take.
fn producers(inputs: &[Input]) -> impl Iterator<Item = Producer> + '_ {
    inputs.iter().filter_map(|input| match &input.source {
        Source::Output(output) => Some(output.of),
        Source::Blob(_) | Source::Folder(_) => None,
    })
}

/// The dependencies that all tasks of an array share.
#[derive(Default)]
struct Common {
    /// Whole arrays.
    whole: Vec<(u16, When)>,
    /// Arrays of which each task waits for the task at its own place.
    each: Vec<(u16, When)>,
    /// Single tasks.
    single: Vec<(u32, When)>,
}

impl Common {
    fn of(after: &[After], spec: &TaskSpec) -> Self {
        let mut common = Self::default();
        for after in after {
            if after.each { &mut common.each } else { &mut common.whole }.push((after.array, after.when));
        }
        for producer in producers(&spec.inputs) {
            match producer {
                Producer::All(array) => common.whole.push((array, When::Ok)),
                Producer::Same(array) => common.each.push((array, When::Ok)),
                Producer::Task(task) => common.single.push((task, When::Ok)),
            }
        }
        common
    }

    /// What one task waits for besides whole arrays. `first` gives an array's first task.
    fn of_task(&self, place: u32, part: Option<&Part>, first: impl Fn(u16) -> u32) -> Vec<(u32, When)> {
        let mut after = self.single.clone();
        after.extend(self.each.iter().map(|(array, when)| (first(*array) + place, *when)));
        if let Some(part) = part {
            after.extend(part.after.all());
            // No single task takes a whole array's output; the bounds forbid it.
            after.extend(producers(&part.inputs).filter_map(|producer| match producer {
                Producer::Task(task) => Some((task, When::Ok)),
                Producer::Same(array) => Some((first(array) + place, When::Ok)),
                Producer::All(_) => None,
            }));
        }
        after
    }
}

/// What one task waits for.
#[derive(Debug, Default)]
pub(in crate::ledger) struct Awaited {
    /// Whole arrays.
    pub(in crate::ledger) arrays: Vec<(u16, When)>,
    /// Single tasks.
    pub(in crate::ledger) tasks: Vec<(u32, When)>,
}

/// The number of dependencies on single tasks among the tasks of an array.
pub(in crate::ledger) fn edges(after: &[After], spec: &TaskSpec, tasks: &Tasks) -> u64 {
    let common = Common::of(after, spec);
    let alike = (common.each.len() + common.single.len()) as u64 * tasks.count() as u64;
    let Tasks::Each(parts) = tasks else { return alike };
    let own = |part: &Part| part.after.all().count() + producers(&part.inputs).count();
    alike + parts.iter().map(|part| own(part) as u64).sum::<u64>()
}

impl Gate {
    /// The verdict on the array for a dependent with this condition; none while it is undecided.
    fn judge(&self, when: When) -> Option<Judged> {
        let (is_over, is_good) = (self.ended >= self.count, self.failed == 0 && self.gone == 0);
        match when {
            When::Ok if !is_good => Some(Judged::Missed),
            When::Fail if is_over && self.failed == 0 => Some(Judged::Missed),
            _ if is_over => Some(Judged::Met),
            _ => None,
        }
    }
}

impl Graph {
    /// The graph of a job without arrays.
    pub(super) const fn empty() -> Self {
        Self { gates: Vec::new(), waiting: BTreeMap::new(), edges: 0 }
    }

    /// Adds an array none of whose tasks has ended, and returns what its dependencies already mean for it. Its
    /// dependencies have been checked to precede it. `ended` tells how a task ended.
    pub(super) fn add(
        &mut self,
        array: &ArrayRecord,
        spec: &TaskSpec,
        ended: impl Fn(u32) -> Option<Ending>,
    ) -> Consequences {
        let mut consequences = Consequences::default();
        let first = self.gates.last().map_or(0, |gate| gate.first + gate.count);
        let count = u32::try_from(array.tasks.count()).unwrap_or(u32::MAX);
        let own = self.arrays();
        let mut gate = Gate { first, count, ..Gate::default() };
        let common = Common::of(&array.after, spec);
        for (waited, when) in &common.whole {
            let Some(other) = known(self.gates.get_mut(usize::from(*waited))) else { continue };
            match other.judge(*when) {
                Some(Judged::Met) => {}
                // An array that missed its condition never opens.
                Some(Judged::Missed) => {
                    consequences.missed.push(own);
                    gate.unmet += 1;
                }
                None => {
                    other.whole.push((own, *when));
                    gate.unmet += 1;
                }
            }
        }
        self.edges += edges(&array.after, spec, &array.tasks);
        let has_edges = |part: &Part| !part.after.is_empty() || producers(&part.inputs).next().is_some();
        let is_single = !common.each.is_empty()
            || !common.single.is_empty()
            || matches!(&*array.tasks, Tasks::Each(parts) if parts.iter().any(has_edges));
        if is_single {
            let mut left = Vec::with_capacity(count as usize);
            for place in 0..count {
                let mut waits = 0;
                for (task, when) in common.of_task(place, array.tasks.part(place), |array| self.first(array)) {
                    match ended(task).map(|ending| judge(when, ending)) {
                        Some(Judged::Met) => {}
                        Some(Judged::Missed) => {
                            consequences.lost.push(first + place);
                            waits += 1;
                        }
                        None => {
                            waits += 1;
                            self.waiting.entry(task).or_default().push((first + place, when));
                        }
                    }
                }
                left.push(waits);
            }
            gate.left = Some(left);
        }
        self.gates.push(gate);
        consequences
    }

    /// Counts tasks of an array that ended before any dependent was added.
    pub(super) fn count_ended(&mut self, array: u16, ending: Ending, tasks: u32) {
        self.count(array, tasks, ending, &mut Consequences::default());
    }

    /// The number of dependencies on single tasks among the job's tasks.
    pub(in crate::ledger) const fn edges(&self) -> u64 {
        self.edges
    }

    fn gate(&self, array: u16) -> Option<&Gate> {
        self.gates.get(usize::from(array))
    }

    /// The number of arrays.
    pub(in crate::ledger) fn arrays(&self) -> u16 {
        u16::try_from(self.gates.len()).unwrap_or(u16::MAX)
    }

    /// An array's first task.
    pub(in crate::ledger) fn first(&self, array: u16) -> u32 {
        self.gate(array).map_or(0, |gate| gate.first)
    }

    /// An array's tasks.
    pub(in crate::ledger) fn tasks_of(&self, array: u16) -> std::ops::Range<u32> {
        self.gate(array).map_or(0..0, |gate| gate.first..gate.first + gate.count)
    }

    /// Whether an array waits for no whole array.
    pub(in crate::ledger) fn is_open(&self, array: u16) -> bool {
        self.gate(array).is_some_and(|gate| gate.unmet == 0)
    }

    /// Whether an array's tasks wait for single tasks.
    pub(in crate::ledger) fn is_single(&self, array: u16) -> bool {
        self.gate(array).is_some_and(|gate| gate.left.is_some())
    }

    /// The tasks of a single array that wait for no single task.
    pub(in crate::ledger) fn free_of(&self, array: u16) -> Vec<u32> {
        let Some(Gate { first, left: Some(left), .. }) = self.gate(array) else { return Vec::new() };
        (*first..).zip(left).filter(|(_, left)| **left == 0).map(|(task, _)| task).collect()
    }

    /// How many single tasks a task still waits for.
    pub(in crate::ledger) fn left(&self, array: u16, place: u32) -> u32 {
        let left = self.gate(array).and_then(|gate| gate.left.as_ref()?.get(place as usize));
        left.copied().unwrap_or(0)
    }

    /// All dependencies of a task, met or not, each once.
    pub(in crate::ledger) fn waits_for(&self, array: &ArrayRecord, spec: &TaskSpec, place: u32) -> Awaited {
        let mut common = Common::of(&array.after, spec);
        let mut tasks = common.of_task(place, array.tasks.part(place), |array| self.first(array));
        tasks.sort_unstable();
        tasks.dedup();
        common.whole.sort_unstable();
        common.whole.dedup();
        Awaited { arrays: common.whole, tasks }
    }

    /// The verdict on an array for a dependent with this condition; none while it is undecided.
    pub(in crate::ledger) fn judge(&self, array: u16, when: When) -> Option<Judged> {
        self.gate(array)?.judge(when)
    }

    /// The number of an array's tasks, and how many of these ended, failed and were gone.
    pub(in crate::ledger) fn ends_of(&self, array: u16) -> [u32; 4] {
        self.gate(array).map_or([0; 4], |gate| [gate.count, gate.ended, gate.failed, gate.gone])
    }

    /// Records that a task has ended.
    pub(super) fn end(&mut self, array: u16, task: u32, ending: Ending, consequences: &mut Consequences) {
        self.end_single(task, ending, consequences);
        self.count(array, 1, ending, consequences);
    }

    /// Records that these tasks of an array are gone.
    pub(super) fn vanish(
        &mut self,
        array: u16,
        tasks: impl ExactSizeIterator<Item = u32>,
        consequences: &mut Consequences,
    ) {
        let count = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
        if self.waiting.range(self.tasks_of(array)).next().is_some() {
            for task in tasks {
                self.end_single(task, Ending::Gone, consequences);
            }
        }
        self.count(array, count, Ending::Gone, consequences);
    }

    fn end_single(&mut self, task: u32, ending: Ending, consequences: &mut Consequences) {
        for (other, when) in self.waiting.remove(&task).unwrap_or_default() {
            match judge(when, ending) {
                Judged::Met if self.lower(other) => consequences.freed.push(other),
                Judged::Met => {}
                Judged::Missed => consequences.lost.push(other),
            }
        }
    }

    /// Lowers a task's count of dependencies; true if it has none left.
    fn lower(&mut self, task: u32) -> bool {
        let at = self.gates.partition_point(|gate| gate.first <= task).saturating_sub(1);
        let Some(Gate { first, left: Some(left), .. }) = self.gates.get_mut(at) else {
            cannot_be("a task waits whose array does not");
            return false;
        };
        let Some(left) = known(left.get_mut((task - *first) as usize)) else { return false };
        *left = left.saturating_sub(1);
        *left == 0
    }

    fn count(&mut self, array: u16, tasks: u32, ending: Ending, consequences: &mut Consequences) {
        if tasks == 0 {
            return;
        }
        let Some(gate) = known(self.gates.get_mut(usize::from(array))) else { return };
        gate.ended += tasks;
        match ending {
            Ending::Well => {}
            Ending::Failed => gate.failed += tasks,
            Ending::Gone => gate.gone += tasks,
        }
        let (mut met, mut missed) = (Vec::new(), Vec::new());
        let gate_now = Gate { whole: Vec::new(), left: None, ..*gate };
        gate.whole.retain(|(other, when)| match gate_now.judge(*when) {
            Some(Judged::Met) => {
                met.push(*other);
                false
            }
            Some(Judged::Missed) => {
                missed.push(*other);
                false
            }
            None => true,
        });
        for other in met {
            consequences.opened.extend(self.meet(other).then_some(other));
        }
        consequences.missed.extend(missed);
    }

    /// Lowers an array's count of whole arrays that it waits for; true if it has none left.
    fn meet(&mut self, array: u16) -> bool {
        let Some(gate) = known(self.gates.get_mut(usize::from(array))) else { return false };
        gate.unmet -= 1;
        gate.unmet == 0
    }
}
