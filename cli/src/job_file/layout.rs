//! Lays out a job's arrays as the ledger has them: which array is where, and what its tasks wait for and take, by
//! number.
//!
//! A node of the file becomes one array, with two exceptions. If the job would have too many arrays, single tasks
//! that differ only in arguments, inputs and dependencies become one array. If an array is too large for one
//! transaction, it is cut into several arrays of the same name.

use std::sync::Arc;

use meshwork_core::{
    ledger::bounds::JOB_EDGES_MAX,
    types::{After, LedgerLimits, OutputOf, Producer, Submit, When},
};

use super::{
    draft::Draft,
    existing::Existing,
    expand::{Expanded, Input, Node, Own, Supply},
    graph,
    planned::{PlannedArray, PlannedInput, PlannedPart, PlannedSource, PlannedTasks},
    problem::{Checked, Problem},
    reference::{Ref, Which},
};

/// Where a reference's target is laid out.
#[derive(Clone, Debug, Default)]
struct Spot {
    first: u32,
    count: u32,
    /// The arrays that it consists of: each one's index, first task and number of tasks. Empty for a task that shares
    /// an array with others.
    pieces: Vec<(u16, u32, u32)>,
    /// Whether its outputs are taken as a folder per task.
    is_array: bool,
    /// Whether its outputs may be taken. An array that the job already has must have been submitted with `feeds`.
    gives: bool,
}

/// Lays out the nodes as arrays.
///
/// # Errors
/// The nodes wait in a circle, one waits for more than it may, or there are too many arrays.
pub fn lay_out(expanded: &Expanded, existing: &Existing, limits: &LedgerLimits) -> Checked<Vec<PlannedArray>> {
    let order = graph::order(expanded)?;
    let arrays_left = Submit::ARRAYS_MAX.saturating_sub(existing.arrays());
    let mut laying = Laying::new(expanded, existing, limits);
    for unit in graph::units(expanded, &order, arrays_left) {
        laying.add(&unit)?;
    }
    if let Some(array) = laying.arrays.get(arrays_left) {
        let what =
            format!("The job comes to more than {} arrays, of which `{}` is one too many", arrays_left, array.name);
        let next = "write tasks that are alike as one with `each`, or submit several jobs";
        let node = expanded.nodes.iter().find(|node| node.name.value == array.name);
        return Err(Problem::new(&node.map_or(0..0, |node| node.name.at.clone()), what, next));
    }
    Ok(laying.finish())
}

struct Laying<'a> {
    expanded: &'a Expanded,
    /// How many of the targets the job already has.
    before: usize,
    arrays_before: usize,
    spots: Vec<Spot>,
    arrays: Vec<PlannedArray>,
    next_task: u32,
    edges: u64,
    /// The targets whose outputs are taken.
    taken: std::collections::BTreeSet<usize>,
    array_bytes_max: usize,
}

/// An array that is being built: what its tasks share, and what each has of its own.
struct Forming {
    name: String,
    members: Vec<String>,
    draft: Arc<Draft>,
    /// The number of tasks, if they do not differ.
    count: u32,
    arguments: Vec<String>,
    after: Vec<After>,
    inputs: Vec<PlannedInput>,
    parts: Vec<PlannedPart>,
}

impl Forming {
    fn new(name: String, draft: &Draft, count: u32) -> Self {
        let draft = Arc::new(draft.clone());
        let (members, arguments, after) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, members, draft, count, arguments, after, inputs: Vec::new(), parts: Vec::new() }
    }

    /// Where to cut the array so that no piece exceeds `bytes_max`: the number of parts in each piece.
    fn cuts(&self, bytes_max: usize) -> Vec<usize> {
        let common = self.arguments.iter().map(|argument| argument.len() + 5).sum::<usize>()
            + self.inputs.iter().map(PlannedInput::bytes).sum::<usize>()
            + format!("{:?}", self.draft).len();
        let most = bytes_max.saturating_sub(common).max(1);
        let (mut cuts, mut bytes) = (vec![0], 0);
        for part in &self.parts {
            let more = part.bytes();
            if bytes + more > most && bytes > 0 {
                cuts.push(0);
                bytes = 0;
            }
            bytes += more;
            if let Some(last) = cuts.last_mut() {
                *last += 1;
            }
        }
        cuts
    }
}

impl<'a> Laying<'a> {
    fn new(expanded: &'a Expanded, existing: &Existing, limits: &LedgerLimits) -> Self {
        const BESIDES: usize = 8192;
        let before = existing.arrays.len();
        let mut spots = vec![Spot::default(); expanded.targets.len()];
        for (spot, array) in spots.iter_mut().zip(&existing.arrays) {
            let (first, count, pieces) = (array.first, array.count, array.pieces.clone());
            *spot = Spot { first, count, pieces, is_array: count > 1, gives: array.feeds };
        }
        Self {
            expanded,
            before,
            arrays_before: existing.arrays(),
            spots,
            arrays: Vec::new(),
            next_task: existing.count(),
            edges: 0,
            taken: std::collections::BTreeSet::new(),
            array_bytes_max: limits.transaction_bytes_max.saturating_sub(BESIDES),
        }
    }

    /// Adds a unit as one array, or as several if one would be too large.
    fn add(&mut self, unit: &[usize]) -> Checked {
        let nodes: Vec<&Node> = unit.iter().map(|index| &self.expanded.nodes[*index]).collect();
        let [node] = nodes[..] else { return self.add_together(unit, &nodes) };
        let first = self.next_task;
        let own = self.before + unit[0];
        self.spots[own] = Spot { first, count: node.count, pieces: Vec::new(), is_array: node.is_array, gives: true };
        let edges = self.edges;
        let mut forming = self.form(node, false)?;
        if forming.cuts(self.array_bytes_max).len() > 1 {
            // In pieces, "the task in the same place" must be named for each task.
            self.edges = edges;
            forming = self.form(node, true)?;
        }
        self.spots[own].pieces = self.push(forming);
        Ok(())
    }

    fn add_together(&mut self, unit: &[usize], nodes: &[&Node]) -> Checked {
        let first = self.next_task;
        for (place, index) in (0..).zip(unit) {
            self.spots[self.before + index] =
                Spot { first: first + place, count: 1, pieces: Vec::new(), is_array: false, gives: true };
        }
        let name = format!("{} and {} more", nodes[0].name.value, nodes.len() - 1);
        let mut forming = Forming::new(name, &nodes[0].draft, nodes[0].count);
        forming.members = nodes.iter().map(|node| node.name.value.clone()).collect();
        for node in nodes {
            let mut part = PlannedPart { arguments: node.common.arguments.clone(), ..PlannedPart::default() };
            self.own(node, &node.common, 0, &mut part)?;
            forming.parts.push(part);
        }
        self.push(forming);
        Ok(())
    }

    /// What a node's tasks wait for and take. If the array is cut into pieces, "the same place" is resolved for each
    /// task.
    fn form(&mut self, node: &Node, in_pieces: bool) -> Checked<Forming> {
        let mut forming = Forming::new(node.name.value.clone(), &node.draft, node.count);
        forming.arguments.clone_from(&node.common.arguments);
        let mut of_each = PlannedPart::default();
        // Common dependencies and inputs that must be repeated for each task.
        let mut spread = Own::default();
        for (reference, when) in &node.common.after {
            self.check_same(node, reference)?;
            if !self.wait_as_array(reference, *when, in_pieces, &mut forming.after)? {
                spread.after.push((reference.clone(), *when));
            }
        }
        for input in &node.common.inputs {
            if let Some(planned) = self.take_as_array(node, input, in_pieces)? {
                if let PlannedSource::Output(OutputOf { of: Producer::Same(_) | Producer::Task(_), .. }) =
                    planned.source
                {
                    self.count_edges(node, u64::from(node.count))?;
                }
                forming.inputs.push(planned);
            } else {
                spread.inputs.push(input.clone());
            }
        }
        self.count_edges(node, forming.after.iter().filter(|after| after.each).count() as u64 * u64::from(node.count))?;
        self.spare_arrays(node, &mut forming.after, &mut of_each)?;
        let has_own = node.parts.is_some() || !spread.after.is_empty() || !spread.inputs.is_empty();
        if !has_own && of_each.after.is_empty() {
            return Ok(forming);
        }
        for row in 0..node.count {
            let mut part = of_each.clone();
            self.count_edges(node, part.after.all().count() as u64)?;
            self.own(node, &spread, row, &mut part)?;
            if let Some(own) = node.parts.as_ref().and_then(|parts| parts.get(row as usize)) {
                part.arguments.clone_from(&own.arguments);
                self.own(node, own, row, &mut part)?;
            }
            forming.parts.push(part);
        }
        Ok(forming)
    }

    /// Expresses a dependency for the array as a whole. Returns whether that is possible.
    fn wait_as_array(&self, of: &Ref, when: When, in_pieces: bool, after: &mut Vec<After>) -> Checked<bool> {
        let spot = &self.spots[of.target];
        match (&of.which, &spot.pieces[..]) {
            (Which::Whole, [_, _, ..]) if when == When::Fail => Err(self.too_large(of, "wait for a failure of")),
            (Which::Whole, pieces) if !pieces.is_empty() => {
                after.extend(pieces.iter().map(|(array, ..)| After { array: *array, each: false, when }));
                Ok(true)
            }
            (Which::Same, [(array, ..)]) if !in_pieces => {
                after.push(After { array: *array, each: true, when });
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// The input as all tasks of an array share it, if that is possible.
    fn take_as_array(&mut self, node: &Node, input: &Input, in_pieces: bool) -> Checked<Option<PlannedInput>> {
        let planned = |source| Ok(Some(PlannedInput { path: input.path.clone(), source }));
        let (of, file) = match &input.supply {
            Supply::Content(content) => return planned(PlannedSource::Content(content.clone())),
            Supply::Output(of, file) => (of, file.clone()),
        };
        self.check_same(node, of)?;
        self.take(of)?;
        let spot = &self.spots[of.target];
        let producer = match (&of.which, &spot.pieces[..]) {
            (Which::Whole, pieces) if spot.is_array => match pieces {
                [(array, ..)] => Producer::All(*array),
                _ => return Err(self.too_large(of, "take all that is left by")),
            },
            (Which::Same, [(array, ..)]) if !in_pieces => Producer::Same(*array),
            (Which::Same, _) => return Ok(None),
            (Which::Whole, _) => Producer::Task(spot.first),
            (Which::Places(places), _) => Producer::Task(spot.first + places.first().copied().unwrap_or(0)),
        };
        planned(PlannedSource::Output(OutputOf { of: producer, file }))
    }

    /// Adds one task's own dependencies and inputs.
    fn own(&mut self, node: &Node, own: &Own, row: u32, part: &mut PlannedPart) -> Checked {
        for (of, when) in &own.after {
            self.check_same(node, of)?;
            let spot = &self.spots[of.target];
            let (first, count) = (spot.first, spot.count);
            if *when == When::Fail && of.which == Which::Whole && count > 1 {
                let next = "wait for it with all tasks alike, or name its tasks by their places";
                return Err(Problem::new(&of.at, "That an array fails can be waited for only as a whole", next));
            }
            match &of.which {
                Which::Whole => (first..first + count).for_each(|task| part.wait(task, *when)),
                Which::Same => part.wait(first + row, *when),
                Which::Places(places) => places.iter().for_each(|place| part.wait(first + place, *when)),
            }
            let edges = match &of.which {
                Which::Whole => count as usize,
                Which::Same => 1,
                Which::Places(places) => places.len(),
            };
            self.count_edges(node, edges as u64)?;
        }
        for input in &own.inputs {
            let source = match &input.supply {
                Supply::Content(content) => PlannedSource::Content(content.clone()),
                Supply::Output(of, file) => {
                    self.check_same(node, of)?;
                    self.take(of)?;
                    self.count_edges(node, 1)?;
                    let spot = &self.spots[of.target];
                    let task = match &of.which {
                        Which::Whole if spot.is_array => {
                            let next = "take one of them, as in `name[${index}]`, or let all tasks take alike";
                            let what = "What all of an array leave can be taken only by all tasks alike";
                            return Err(Problem::new(&of.at, what, next));
                        }
                        Which::Whole => spot.first,
                        Which::Same => spot.first + row,
                        Which::Places(places) => spot.first + places.first().copied().unwrap_or(0),
                    };
                    PlannedSource::Output(OutputOf { of: Producer::Task(task), file: file.clone() })
                }
            };
            part.inputs.push(PlannedInput { path: input.path.clone(), source });
        }
        Ok(())
    }

    /// Keeps the array within the bound on arrays that it may wait for. Beyond it, each task waits for the single
    /// tasks itself.
    fn spare_arrays(&self, node: &Node, after: &mut Vec<After>, of_each: &mut PlannedPart) -> Checked {
        if after.len() <= Submit::AFTER_MAX {
            return Ok(());
        }
        let single = |array: u16| {
            let spot = self.spots.iter().find(|spot| spot.pieces.iter().any(|(other, ..)| *other == array))?;
            (spot.count == 1).then_some(spot.first)
        };
        after.retain(|after| match single(after.array) {
            Some(task) => {
                of_each.wait(task, after.when);
                false
            }
            None => true,
        });
        if after.len() > Submit::AFTER_MAX {
            let what = format!("`{}` waits for {} arrays", node.name.value, after.len());
            let next = format!("it may for {}; let a task between wait for some of them", Submit::AFTER_MAX);
            return Err(Problem::new(&node.name.at, what, next));
        }
        Ok(())
    }

    fn check_same(&self, node: &Node, of: &Ref) -> Checked {
        let count = self.spots[of.target].count;
        if of.which != Which::Same || count == node.count {
            return Ok(());
        }
        let other = self.expanded.targets.name(of.target);
        let what = format!("`{}` has {} tasks and `{other}` {count}", node.name.value, node.count);
        Err(Problem::new(&of.at, what, "the same place is only in an array of as many"))
    }

    fn take(&mut self, of: &Ref) -> Checked {
        self.taken.insert(of.target);
        if self.spots[of.target].gives {
            return Ok(());
        }
        let what = format!("`{}` was submitted without keeping what it leaves", self.expanded.targets.name(of.target));
        Err(Problem::new(&of.at, what, "submit what is to be taken from later with `feeds = true`"))
    }

    fn count_edges(&mut self, node: &Node, more: u64) -> Checked {
        self.edges += more;
        if self.edges <= JOB_EDGES_MAX {
            return Ok(());
        }
        let what =
            format!("With `{}` the job's tasks wait for more than {JOB_EDGES_MAX} single tasks", node.name.value);
        Err(Problem::new(&node.name.at, what, "wait for arrays as a whole where that will do"))
    }

    fn too_large(&self, of: &Ref, doing: &str) -> Problem {
        let name = self.expanded.targets.name(of.target);
        let what =
            format!("`{name}` is too large for one transaction and is cut into several arrays; nobody can {doing} it");
        let next = "let its tasks differ by less (${index} is in MESHWORK_TASK_INDEX), or name them by their places";
        Problem::new(&of.at, what, next)
    }

    /// Adds the array, cut into pieces if it is too large. Returns each piece's index, first task and number of
    /// tasks.
    fn push(&mut self, mut forming: Forming) -> Vec<(u16, u32, u32)> {
        forming.parts.iter_mut().for_each(PlannedPart::settle);
        let cuts = forming.cuts(self.array_bytes_max);
        let (mut parts, mut members) = (forming.parts.into_iter(), forming.members.into_iter());
        let mut pieces = Vec::new();
        for cut in cuts {
            let tasks = match cut {
                0 => PlannedTasks::Repeat(forming.count),
                _ => PlannedTasks::Each(parts.by_ref().take(cut).collect()),
            };
            let count = tasks.count();
            let place = u16::try_from(self.arrays_before + self.arrays.len()).unwrap_or(u16::MAX);
            pieces.push((place, self.next_task, count));
            self.arrays.push(PlannedArray {
                name: forming.name.clone(),
                members: members.by_ref().take(cut).collect(),
                first: self.next_task,
                draft: Arc::clone(&forming.draft),
                arguments: forming.arguments.clone(),
                inputs: forming.inputs.clone(),
                tasks,
                after: forming.after.clone(),
                feeds: forming.draft.feeds,
            });
            self.next_task += count;
        }
        pieces
    }

    /// The arrays. Each one whose outputs are taken is marked as feeding others.
    fn finish(mut self) -> Vec<PlannedArray> {
        let firsts: Vec<u32> = self.arrays.iter().map(|array| array.first).collect();
        for target in &self.taken {
            let Spot { first, count, .. } = self.spots[*target];
            let from = firsts.partition_point(|other| *other <= first).saturating_sub(1);
            let to = firsts.partition_point(|other| *other < first + count);
            if *target >= self.before {
                self.arrays[from..to].iter_mut().for_each(|array| array.feeds = true);
            }
        }
        self.arrays
    }
}
