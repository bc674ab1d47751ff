//! The queue of ready tasks.
//!
//! Tasks that need the same and may go to the same claims form a *group*: where the first of a group fits no claim, no
//! other of it does. So finding the next task to place costs one look for each group, however many tasks wait; and a group
//! that found no place is *parked*: it need only be held against claims that changed since. A job's never leased tasks are
//! one entry.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use super::{order::Rank, placement::Place, recovery::Avoidance};
use crate::types::{Labels, TaskSpec};

/// What a task needs of a claim, besides one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs {
    /// Thousandths of a processor core.
    pub millicores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Labels, each with this value.
    pub labels: Labels,
}

impl Needs {
    /// What the tasks of this kind need.
    #[must_use]
    pub fn of(spec: &TaskSpec) -> Self {
        let resources = spec.resources;
        Self { millicores: resources.millicores, memory_bytes: resources.memory_bytes, labels: spec.labels.clone() }
    }
}

/// A job's number in the order of admission.
pub type JobNumber = u64;

/// A ready task's place in the queue; for a job's fresh tasks, that of the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadyKey {
    /// The job's rank.
    pub rank: Rank,
    /// The job.
    pub job: JobNumber,
    /// The task's index.
    pub index: u32,
}

/// What the tasks of one group have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// What they need.
    pub needs: Arc<Needs>,
    /// Where they would rather not go.
    pub avoidance: Avoidance,
}

/// A group's name while it has tasks. It orders nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(u64);

#[derive(Clone, Debug)]
struct Group {
    kind: Kind,
    tasks: BTreeSet<ReadyKey>,
    /// For each kind of place, whether no claim had one for these, and under which offers.
    parked: [Option<Offers>; 2],
}

/// Changes whenever what claims offer does: some claim began, ended, or offers other things than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offers(pub u64);

/// The queue. It is computed from the ledger's state and holds none of its own.
#[derive(Clone, Debug, Default)]
pub struct ReadyQueue {
    ids: BTreeMap<Kind, GroupId>,
    groups: BTreeMap<GroupId, Group>,
    /// The first task of each group.
    heads: BTreeSet<(ReadyKey, GroupId)>,
    next: u64,
}

impl ReadyQueue {
    /// Adds a task.
    pub fn push(&mut self, key: ReadyKey, kind: Kind) {
        let id = *self.ids.entry(kind.clone()).or_insert_with(|| {
            self.next += 1;
            GroupId(self.next)
        });
        let group = self.groups.entry(id).or_insert_with(|| Group { kind, tasks: BTreeSet::new(), parked: [None; 2] });
        let before = group.tasks.first().copied();
        group.tasks.insert(key);
        if before.is_none_or(|before| key < before) {
            before.map(|before| self.heads.remove(&(before, id)));
            self.heads.insert((key, id));
        }
    }

    /// Removes a task, if it is there.
    pub fn remove(&mut self, key: ReadyKey, kind: &Kind) {
        if let Some(id) = self.ids.get(kind).copied() {
            self.take(key, id, None);
        }
    }

    /// Removes a task from its group, and puts `successor` (a later task of its job) in its stead.
    pub fn take(&mut self, key: ReadyKey, id: GroupId, successor: Option<ReadyKey>) {
        let Some(group) = self.groups.get_mut(&id) else { return };
        let head = group.tasks.first().copied();
        group.tasks.remove(&key);
        group.tasks.extend(successor);
        let new_head = group.tasks.first().copied();
        if head != new_head {
            head.map(|head| self.heads.remove(&(head, id)));
            self.heads.extend(new_head.map(|key| (key, id)));
        }
        if new_head.is_none()
            && let Some(group) = self.groups.remove(&id)
        {
            self.ids.remove(&group.kind);
        }
    }

    /// The first task of a group that stands after this one, in order.
    #[must_use]
    pub fn head_after(&self, after: Option<(ReadyKey, GroupId)>) -> Option<(ReadyKey, GroupId)> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.heads.range((start, Bound::Unbounded)).next().copied()
    }

    /// What the tasks of a group have in common.
    #[must_use]
    pub fn kind(&self, id: GroupId) -> Option<&Kind> {
        self.groups.get(&id).map(|group| &group.kind)
    }

    /// Remembers that no claim has such a place for a group.
    pub fn park(&mut self, id: GroupId, place: Place, offers: Offers) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.parked[place as usize] = Some(offers);
        }
    }

    /// Whether no claim that has not changed since has such a place for the group. Where its tasks may go depends on what
    /// all claims offer, if there is anyone to avoid.
    #[must_use]
    pub fn is_parked(&self, id: GroupId, place: Place, offers: Offers) -> bool {
        self.groups.get(&id).is_some_and(|group| {
            group.parked[place as usize].is_some_and(|parked| group.kind.avoidance.is_empty() || parked == offers)
        })
    }
}
