//! The queue of ready tasks.
//!
//! Tasks that have the same needs and avoid the same workers are of one *kind*. If the first task of a kind
//! fits no claim, no other one does. So finding the next task to place costs one look for each kind, however
//! many tasks wait. A kind that fits no claim is *parked*: only claims that have changed since need to be
//! tried.
//!
//! Within a kind each submitter has a *lane*. The tasks of a lane keep their order whatever happens to the
//! submitter's share; the lane as a whole moves with the share. Tasks of a job that are in the same state and
//! were never leased are one entry, a *run*.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{
    order::{Rank, Sequence, Shares},
    placement::Opening,
    recovery::Avoidance,
};
use crate::{
    identity::PublicKey,
    invariant::known,
    types::{Labels, Resources, TaskSpec},
};

/// The needs of a task: what it requires of a claim, besides one slot.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize_tuple, Deserialize_tuple)]
pub struct Needs {
    /// Thousandths of a processor core.
    pub millicores: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Labels that the claim must offer, each with this value.
    pub labels: Labels,
}

impl Needs {
    /// The needs of tasks of this specification.
    #[must_use]
    pub fn of(spec: &TaskSpec) -> Self {
        Self::new(spec.resources, spec.labels.clone())
    }

    /// These resources, at a claim with these labels.
    #[must_use]
    pub const fn new(Resources { millicores, memory_bytes }: Resources, labels: Labels) -> Self {
        Self { millicores, memory_bytes, labels }
    }
}

/// A job's number in the order of admission.
pub type JobNumber = u64;

/// A ready task's place in the queue. Within an admission and rank, tasks that were leased before go before tasks that
/// never were.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReadyKey {
    /// The task's rank.
    pub rank: Rank,
    /// The place of the task's array in the order of admission.
    pub admission: u64,
    /// The job.
    pub job: JobNumber,
    /// Whether the task was never leased. All tasks of a run are fresh; the run stands for the first of them.
    pub is_fresh: bool,
    /// The task's index; for a run, the index at which its tasks began.
    pub index: u32,
}

/// What the tasks of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// Their needs.
    pub needs: Arc<Needs>,
    /// The workers that they avoid.
    pub avoidance: Avoidance,
}

/// Identifies a kind while it has tasks. Its order means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KindId(u64);

/// An entry of the queue, as the ledger adds and removes it.
#[derive(Clone, Debug)]
pub struct QueueEntry {
    /// Its submitter.
    pub submitter: PublicKey,
    /// Its kind.
    pub kind: Kind,
    /// The settled part of its rank.
    pub rank: Rank,
    /// The place of its array in the order of admission.
    pub admission: u64,
    /// The job.
    pub job: JobNumber,
    /// Whether the task was never leased. All tasks of a run are fresh; the run stands for the first of them.
    pub is_fresh: bool,
    /// The task's index; for a run, the index at which its tasks began.
    pub index: u32,
}

impl QueueEntry {
    /// Its place by the settled part of its rank.
    #[must_use]
    pub const fn key(&self) -> ReadyKey {
        ReadyKey {
            rank: self.rank,
            admission: self.admission,
            job: self.job,
            is_fresh: self.is_fresh,
            index: self.index,
        }
    }
}

/// The first entry of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// Its present place.
    pub key: ReadyKey,
    /// Its kind.
    pub kind: KindId,
}

/// One submitter's tasks of one kind, by the settled part of their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lane {
    tasks: BTreeSet<ReadyKey>,
    /// The present place of the first of them.
    shown: Option<ReadyKey>,
}

#[derive(Clone, Debug)]
struct Tasks {
    kind: Kind,
    lanes: BTreeMap<PublicKey, Lane>,
    /// The first task of each lane that is not frozen.
    firsts: BTreeMap<ReadyKey, PublicKey>,
    /// For each kind of place, the offers under which no claim had one for this kind, if it is parked.
    parked: [Option<OffersVersion>; 2],
}

/// Changes with what claims offer: whenever a claim begins, ends, or offers something else than before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffersVersion(pub u64);

/// The queue. It is computed from the ledger's state and holds no state of its own.
#[derive(Clone, Debug, Default)]
pub struct ReadyQueue {
    ids: BTreeMap<Kind, KindId>,
    kinds: BTreeMap<KindId, Tasks>,
    heads: BTreeSet<Head>,
    /// The kinds in which each submitter has a lane.
    lanes: BTreeMap<PublicKey, BTreeSet<KindId>>,
    /// Submitters whose tasks may not go now.
    frozen: BTreeSet<PublicKey>,
    next: u64,
}

impl ReadyQueue {
    /// Adds an entry.
    pub fn push(&mut self, entry: &QueueEntry, sequence: &Sequence, shares: &Shares) {
        let id = *self.ids.entry(entry.kind.clone()).or_insert_with(|| {
            self.next += 1;
            KindId(self.next)
        });
        let tasks = self.kinds.entry(id).or_insert_with(|| Tasks {
            kind: entry.kind.clone(),
            lanes: BTreeMap::new(),
            firsts: BTreeMap::new(),
            parked: [None; 2],
        });
        let lane = tasks.lanes.entry(entry.submitter).or_default();
        lane.tasks.insert(entry.key());
        self.lanes.entry(entry.submitter).or_default().insert(id);
        self.show(id, &entry.submitter, sequence, shares);
    }

    /// Removes an entry, if it is there.
    pub fn remove(&mut self, entry: &QueueEntry, sequence: &Sequence, shares: &Shares) {
        let Some(id) = known(self.ids.get(&entry.kind).copied()) else { return };
        let Some(tasks) = known(self.kinds.get_mut(&id)) else { return };
        let Some(lane) = known(tasks.lanes.get_mut(&entry.submitter)) else { return };
        if lane.tasks.remove(&entry.key()) {
            self.show(id, &entry.submitter, sequence, shares);
        }
    }

    /// Moves a submitter's lanes to where its share puts them now.
    pub fn share_changed(&mut self, submitter: &PublicKey, sequence: &Sequence, shares: &Shares) {
        if !sequence.is_fair() {
            return;
        }
        let kinds: Vec<KindId> = self.lanes.get(submitter).into_iter().flatten().copied().collect();
        for kind in kinds {
            self.show(kind, submitter, sequence, shares);
        }
    }

    /// Holds up all tasks of a submitter, or lets them go again.
    pub fn freeze(&mut self, submitter: PublicKey, frozen: bool, sequence: &Sequence, shares: &Shares) {
        let changed = if frozen { self.frozen.insert(submitter) } else { self.frozen.remove(&submitter) };
        if changed {
            let kinds: Vec<KindId> = self.lanes.get(&submitter).into_iter().flatten().copied().collect();
            for kind in kinds {
                self.show(kind, &submitter, sequence, shares);
            }
        }
    }

    /// Moves a lane to its present place, or drops it if it is empty.
    fn show(&mut self, id: KindId, submitter: &PublicKey, sequence: &Sequence, shares: &Shares) {
        let Some(tasks) = known(self.kinds.get_mut(&id)) else { return };
        let Some(lane) = known(tasks.lanes.get_mut(submitter)) else { return };
        let first = lane.tasks.first().filter(|_| !self.frozen.contains(submitter));
        let first = first.map(|key| ReadyKey { rank: sequence.at_turn(key.rank, submitter, shares), ..*key });
        let is_empty = lane.tasks.is_empty();
        if first != lane.shown {
            let head = tasks.firsts.first_key_value().map(|(key, _)| *key);
            if let Some(shown) = std::mem::replace(&mut lane.shown, first) {
                tasks.firsts.remove(&shown);
            }
            if let Some(first) = first {
                tasks.firsts.insert(first, *submitter);
            }
            let new_head = tasks.firsts.first_key_value().map(|(key, _)| *key);
            if head.is_none() {
                // Claims may have changed while the kind had no task to place.
                tasks.parked = [None; 2];
            }
            if head != new_head {
                head.map(|key| self.heads.remove(&Head { key, kind: id }));
                self.heads.extend(new_head.map(|key| Head { key, kind: id }));
            }
        }
        if is_empty {
            self.drop_lane(id, submitter);
        }
    }

    fn drop_lane(&mut self, id: KindId, submitter: &PublicKey) {
        if let Some(kinds) = self.lanes.get_mut(submitter) {
            kinds.remove(&id);
            if kinds.is_empty() {
                self.lanes.remove(submitter);
            }
        }
        let Some(tasks) = known(self.kinds.get_mut(&id)) else { return };
        tasks.lanes.remove(submitter);
        if tasks.lanes.is_empty()
            && let Some(tasks) = self.kinds.remove(&id)
        {
            self.ids.remove(&tasks.kind);
        }
    }

    /// The first entry of the next kind after this one, in order.
    #[must_use]
    pub fn head_after(&self, after: Option<Head>) -> Option<Head> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.heads.range((start, Bound::Unbounded)).next().copied()
    }

    /// The entries that go before this place as shares are now: those of each lane in order, with their
    /// submitters. Kinds for which `passes` is false are left out, and so are submitters that are frozen,
    /// except `own`.
    pub fn before<'a>(
        &'a self,
        place: ReadyKey,
        own: PublicKey,
        sequence: &'a Sequence,
        shares: &'a Shares,
        mut passes: impl FnMut(&Kind) -> bool + 'a,
    ) -> impl Iterator<Item = (PublicKey, impl Iterator<Item = ReadyKey> + 'a)> + 'a {
        let lanes = self.kinds.values().filter(move |tasks| passes(&tasks.kind)).flat_map(|tasks| &tasks.lanes);
        let lanes = lanes.filter(move |(submitter, _)| **submitter == own || !self.frozen.contains(submitter));
        lanes.map(move |(submitter, lane)| {
            let now = move |key: &ReadyKey| ReadyKey { rank: sequence.at_turn(key.rank, submitter, shares), ..*key };
            (*submitter, lane.tasks.iter().map(now).take_while(move |key| *key < place))
        })
    }

    /// Whether both queues hold the same entries in the same order. How kinds are numbered, and which are parked, does
    /// not count.
    #[must_use]
    pub fn holds_as(&self, other: &Self) -> bool {
        let kinds = |queue: &Self| queue.ids.iter().map(|(kind, id)| (kind.clone(), *id)).collect::<Vec<_>>();
        let (own, others) = (kinds(self), kinds(other));
        let heads = |queue: &Self| {
            let named = |head: &Head| (head.key, queue.kinds.get(&head.kind).map(|tasks| tasks.kind.clone()));
            queue.heads.iter().map(named).collect::<Vec<_>>()
        };
        let lanes = |queue: &Self| {
            let named = |id: &KindId| queue.kinds.get(id).map(|tasks| tasks.kind.clone());
            let of_key = |(key, ids): (&PublicKey, &BTreeSet<KindId>)| {
                (*key, ids.iter().map(named).collect::<BTreeSet<Option<Kind>>>())
            };
            queue.lanes.iter().map(of_key).collect::<Vec<_>>()
        };
        let alike = |((kind, id), (other_kind, other_id)): (&(Kind, KindId), &(Kind, KindId))| {
            kind == other_kind
                && self.kinds.get(id).zip(other.kinds.get(other_id)).is_some_and(|(tasks, others)| {
                    tasks.kind == *kind && tasks.lanes == others.lanes && tasks.firsts == others.firsts
                })
        };
        own.len() == others.len()
            && self.kinds.len() == own.len()
            && own.iter().zip(&others).all(alike)
            && heads(self) == heads(other)
            && lanes(self) == lanes(other)
            && self.frozen == other.frozen
    }

    /// The different needs of the tasks in the queue.
    pub fn needs(&self) -> impl Iterator<Item = &Needs> {
        let mut last = None;
        self.ids.keys().map(|kind| &*kind.needs).filter(move |needs| last.replace(*needs) != Some(*needs))
    }

    /// The kind with this id.
    #[must_use]
    pub fn kind(&self, id: KindId) -> Option<&Kind> {
        self.kinds.get(&id).map(|tasks| &tasks.kind)
    }

    /// Notes that no claim has such a place for a kind.
    pub fn park(&mut self, id: KindId, opening: Opening, offers: OffersVersion) {
        if let Some(tasks) = self.kinds.get_mut(&id) {
            tasks.parked[opening as usize] = Some(offers);
        }
    }

    /// Whether no claim that is unchanged since has such a place for the kind. If the kind avoids workers, any
    /// change of the offers counts, because where its tasks may go depends on what all claims offer.
    #[must_use]
    pub fn is_parked(&self, id: KindId, opening: Opening, offers: OffersVersion) -> bool {
        self.kinds.get(&id).is_some_and(|tasks| {
            tasks.parked[opening as usize].is_some_and(|parked| tasks.kind.avoidance.is_empty() || parked == offers)
        })
    }
}
