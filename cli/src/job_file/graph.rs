//! The graph of dependencies.
//!
//! [`order`] finds an order in which every node comes after those that it waits for. [`units`] decides which single
//! tasks become one array if the job would have too many arrays.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap},
};

use meshwork_core::types::When;

use super::{
    draft::Draft,
    expand::{Expanded, Node, Supply},
    problem::{Checked, Problem, Span},
    reference::{Ref, Which},
};

/// The references of a node. Each comes with the row that makes it (`None` if all rows do), and whether it takes an
/// output.
fn references(node: &Node) -> impl Iterator<Item = (Option<usize>, &Ref, bool)> {
    let own = node.parts.iter().flatten().enumerate().map(|(row, own)| (Some(row), own));
    let all = std::iter::once((None, &node.common)).chain(own);
    all.flat_map(|(row, own)| {
        let waits = own.after.iter().map(move |(reference, _)| (row, reference, false));
        let takes = own.inputs.iter().filter_map(move |input| match &input.supply {
            Supply::Output(reference, _) => Some((row, reference, true)),
            Supply::Content(_) => None,
        });
        waits.chain(takes)
    })
}

/// An order in which each node comes after those that it waits for. Where there is a choice, the file's order
/// decides.
///
/// # Errors
/// Nodes wait for each other in a circle, which the problem names.
pub fn order(expanded: &Expanded) -> Checked<Vec<usize>> {
    let nodes = &expanded.nodes;
    let before = expanded.targets.len() - nodes.len();
    let mut waits_for: Vec<BTreeSet<usize>> = Vec::with_capacity(nodes.len());
    for (index, node) in nodes.iter().enumerate() {
        let mut others = BTreeSet::new();
        for (row, reference, takes) in references(node) {
            let Some(other) = reference.target.checked_sub(before) else { continue };
            if other == index {
                check_itself(node, row, reference, takes)?;
            } else {
                others.insert(other);
            }
        }
        waits_for.push(others);
    }
    let mut waited_by: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
    let mut left: Vec<usize> = waits_for.iter().map(BTreeSet::len).collect();
    for (index, others) in waits_for.iter().enumerate() {
        for other in others {
            waited_by[*other].push(index);
        }
    }
    let mut free: BinaryHeap<Reverse<usize>> =
        left.iter().enumerate().filter(|(_, left)| **left == 0).map(|(index, _)| Reverse(index)).collect();
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(Reverse(index)) = free.pop() {
        order.push(index);
        for other in &waited_by[index] {
            left[*other] -= 1;
            if left[*other] == 0 {
                free.push(Reverse(*other));
            }
        }
    }
    if order.len() == nodes.len() { Ok(order) } else { Err(circle(expanded, &waits_for, &left)) }
}

/// Checks a reference of an array to itself. A task may wait for tasks before it in the same array, and nothing else.
fn check_itself(node: &Node, row: Option<usize>, reference: &Ref, takes: bool) -> Checked {
    let name = &node.name.value;
    if takes {
        let next = "let one array take from another";
        return Err(Problem::new(&reference.at, format!("Tasks of `{name}` would take from each other"), next));
    }
    match &reference.which {
        Which::Places(places) if row.is_some_and(|row| places.iter().all(|place| (*place as usize) < row)) => Ok(()),
        Which::Places(_) => {
            let what = format!("A task of `{name}` would wait for itself, or for one after it");
            let next = "within an array, tasks wait only for those in places before their own";
            Err(Problem::new(&reference.at, what, next))
        }
        _ => Err(Problem::new(&reference.at, format!("This goes in a circle: {name} -> {name}"), BREAK)),
    }
}

const BREAK: &str = "take one of these out; an arrow points to whom a task waits for";

/// Finds a circle: follows the remaining nodes along their dependencies until one repeats.
fn circle(expanded: &Expanded, waits_for: &[BTreeSet<usize>], left: &[usize]) -> Problem {
    let next_of = |index: usize| waits_for[index].iter().copied().find(|other| left[*other] > 0);
    let mut path: Vec<usize> = Vec::new();
    let mut at = left.iter().position(|left| *left > 0);
    while let Some(index) = at {
        if let Some(from) = path.iter().position(|other| *other == index) {
            path.drain(..from);
            break;
        }
        path.push(index);
        at = next_of(index);
    }
    // Starts at the node that is first in the file, so that the same circle always gives the same message.
    let first = path.iter().enumerate().min_by_key(|(_, index)| **index).map_or(0, |(place, _)| place);
    path.rotate_left(first);
    let name = |index: &usize| expanded.nodes[*index].name.value.as_str();
    let names: Vec<&str> = path.iter().chain(path.first()).map(name).collect();
    let what = format!("This goes in a circle: {}", names.join(" -> "));
    Problem::new(&place_of(expanded, &path), what, BREAK)
}

/// The place in the file where the first node of a circle says that it waits for the second.
fn place_of(expanded: &Expanded, path: &[usize]) -> Span {
    let before = expanded.targets.len() - expanded.nodes.len();
    let Some(first) = path.first() else { return 0..0 };
    let second = path.get(1).unwrap_or(first) + before;
    let node = &expanded.nodes[*first];
    let said = references(node).find(|(_, reference, _)| reference.target == second);
    said.map_or(node.name.at.clone(), |(_, reference, _)| reference.at.clone())
}

/// Groups nodes into arrays: a node by itself, or several single tasks. Each group comes after those that it waits
/// for.
pub fn units(expanded: &Expanded, order: &[usize], arrays_max: usize) -> Vec<Vec<usize>> {
    if order.len() <= arrays_max {
        return order.iter().map(|node| vec![*node]).collect();
    }
    let nodes = &expanded.nodes;
    let before = expanded.targets.len() - nodes.len();
    let mut kinds: HashMap<String, usize> = HashMap::new();
    let mut kind_of = vec![0; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        // A node that cannot be grouped gets a kind of its own.
        let key = if can_be_with_others(expanded, node) { key(&node.draft) } else { index.to_string() };
        let next = kinds.len();
        kind_of[index] = *kinds.entry(key).or_insert(next);
    }
    // Tasks of one kind at one depth become one array. Depth grows by one when a task waits for another kind, or
    // takes any output. It does not grow when a task waits for its own kind, because that task may come before it in
    // the same array.
    let mut depth = vec![0_usize; nodes.len()];
    let mut members: std::collections::BTreeMap<(usize, usize), Vec<usize>> = std::collections::BTreeMap::new();
    for index in order {
        for (_, reference, takes) in references(&nodes[*index]) {
            let Some(other) = reference.target.checked_sub(before) else { continue };
            let deeper = usize::from(takes || kind_of[other] != kind_of[*index]);
            depth[*index] = depth[*index].max(depth[other] + deeper);
        }
        members.entry((depth[*index], kind_of[*index])).or_default().push(*index);
    }
    members.into_values().collect()
}

fn key(draft: &Draft) -> String {
    format!("{draft:?}")
}

/// Whether a node is a single task whose dependencies can all be expressed per task.
fn can_be_with_others(expanded: &Expanded, node: &Node) -> bool {
    let before = expanded.targets.len() - expanded.nodes.len();
    let is_array = |target: usize| match target.checked_sub(before) {
        Some(other) => expanded.nodes[other].is_array,
        None => expanded.targets.count(target) > 1,
    };
    let waits_well = |(reference, when): &(Ref, When)| {
        *when != When::Fail || reference.which != Which::Whole || !is_array(reference.target)
    };
    let takes_well = |supply: &Supply| match supply {
        Supply::Output(reference, _) => reference.which != Which::Whole || !is_array(reference.target),
        Supply::Content(_) => true,
    };
    !node.is_array
        && node.parts.is_none()
        && node.common.after.iter().all(waits_well)
        && node.common.inputs.iter().all(|input| takes_well(&input.supply))
}
