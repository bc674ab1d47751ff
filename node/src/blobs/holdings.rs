//! Which outputs and checkpoints the stored blobs belong to, and which of them may be given up.
//!
//! What an attempt leaves comes here as *deliveries*: a checkpoint now and then, and at last an output. The ledger says
//! what each is to it. This module knows in which order they came, and which blobs they share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use meshwork_core::{
    digest::Digest,
    types::{AttemptId, AttemptNumber, JobId, TaskId},
};

/// The most deliveries of one attempt that are kept although the ledger has not recorded them. A worker reports only
/// the newest, has at most two reports on their way, and delivers the next one meanwhile.
pub(super) const UNDECIDED_MAX: usize = 4;

/// What a delivery is to the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is its task's output, or the checkpoint from which its task would go on.
    Accepted,
    /// Its task has no outcome, and the ledger has not recorded it.
    Undecided,
    /// It is owed to nobody.
    Unowed,
}

/// One output or checkpoint: who left it, and its manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryId {
    /// The attempt that left it.
    pub attempt: AttemptId,
    /// The digest of its manifest.
    pub manifest: Digest,
}

/// Whose deliveries are looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// One attempt's.
    Attempt(AttemptId),
    /// Those of all attempts of one task.
    Task(TaskId),
    /// Those of all tasks of one job.
    Job(JobId),
    /// All.
    All,
}

/// A delivery that is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// A later one has a larger number.
    pub(super) order: u64,
    /// Its manifest, and the distinct blobs that this names.
    pub(super) blobs: Arc<[Digest]>,
}

/// The deliveries that are here.
#[derive(Default)]
pub(super) struct Holdings {
    of_attempts: BTreeMap<AttemptId, BTreeMap<Digest, Delivery>>,
    /// In how many deliveries each blob is.
    shares: HashMap<Digest, u32>,
    next_order: u64,
}

impl Holdings {
    pub(super) fn restored(deliveries: impl IntoIterator<Item = (DeliveryId, Delivery)>) -> Self {
        let mut holdings = Self::default();
        for (id, delivery) in deliveries {
            holdings.insert(id, delivery);
        }
        holdings
    }

    /// Records a delivery, as the newest of its attempt.
    pub(super) fn add(&mut self, id: DeliveryId, blobs: Arc<[Digest]>) -> Delivery {
        self.remove(id);
        let delivery = Delivery { order: self.next_order, blobs };
        self.insert(id, delivery.clone());
        delivery
    }

    fn insert(&mut self, id: DeliveryId, delivery: Delivery) {
        self.next_order = self.next_order.max(delivery.order.saturating_add(1));
        for blob in &*delivery.blobs {
            *self.shares.entry(*blob).or_default() += 1;
        }
        self.of_attempts.entry(id.attempt).or_default().insert(id.manifest, delivery);
    }

    /// Forgets a delivery. The blobs that are in no other one.
    pub(super) fn remove(&mut self, id: DeliveryId) -> Vec<Digest> {
        let Some(of_attempt) = self.of_attempts.get_mut(&id.attempt) else { return Vec::new() };
        let Some(delivery) = of_attempt.remove(&id.manifest) else { return Vec::new() };
        if of_attempt.is_empty() {
            self.of_attempts.remove(&id.attempt);
        }
        let mut unshared = Vec::new();
        for blob in &*delivery.blobs {
            if let Some(shares) = self.shares.get_mut(blob) {
                *shares -= 1;
                if *shares == 0 {
                    self.shares.remove(blob);
                    unshared.push(*blob);
                }
            }
        }
        unshared
    }

    /// Whether this delivery is here already.
    pub(super) fn has_delivery(&self, id: DeliveryId) -> bool {
        self.of_attempts.get(&id.attempt).is_some_and(|of_attempt| of_attempt.contains_key(&id.manifest))
    }

    /// Whether a blob is in a delivery.
    pub(super) fn has(&self, blob: &Digest) -> bool {
        self.shares.contains_key(blob)
    }

    /// How many deliveries of an attempt are here.
    pub(super) fn count_of(&self, attempt: &AttemptId) -> usize {
        self.of_attempts.get(attempt).map_or(0, BTreeMap::len)
    }

    /// The deliveries of these attempts, each attempt's from the oldest to the newest.
    pub(super) fn of(&self, whose: Whose) -> Vec<DeliveryId> {
        let (first, last) = match whose {
            Whose::Attempt(attempt) => (attempt, attempt),
            Whose::Task(task) => (first_of(task), last_of(task)),
            Whose::Job(job) => (first_of(TaskId { job, index: 0 }), last_of(TaskId { job, index: u32::MAX })),
            Whose::All => return self.of_attempts.iter().flat_map(in_order).collect(),
        };
        self.of_attempts.range(first..=last).flat_map(in_order).collect()
    }
}

fn first_of(task: TaskId) -> AttemptId {
    AttemptId { task, number: AttemptNumber(0) }
}

fn last_of(task: TaskId) -> AttemptId {
    AttemptId { task, number: AttemptNumber(u32::MAX) }
}

fn in_order((attempt, deliveries): (&AttemptId, &BTreeMap<Digest, Delivery>)) -> Vec<DeliveryId> {
    let mut deliveries: Vec<(u64, Digest)> =
        deliveries.iter().map(|(manifest, delivery)| (delivery.order, *manifest)).collect();
    deliveries.sort_unstable();
    deliveries.into_iter().map(|(_, manifest)| DeliveryId { attempt: *attempt, manifest }).collect()
}

/// Those of some attempts' deliveries that may be given up. They come with their standing, each attempt's together,
/// from the oldest to the newest.
///
/// Given up are those that are owed to nobody, those that came before one that the ledger has recorded, and of those
/// that it has not recorded all but the newest [`UNDECIDED_MAX`].
pub(super) fn given_up(deliveries: &[(DeliveryId, Standing)]) -> Vec<DeliveryId> {
    let mut given_up = Vec::new();
    for of_attempt in deliveries.chunk_by(|(one, _), (other, _)| one.attempt == other.attempt) {
        let mut is_superseded = false;
        let mut undecided = 0;
        for (id, standing) in of_attempt.iter().rev() {
            let goes = match standing {
                Standing::Accepted => {
                    is_superseded = true;
                    false
                }
                Standing::Undecided => {
                    undecided += 1;
                    is_superseded || undecided > UNDECIDED_MAX
                }
                Standing::Unowed => true,
            };
            if goes {
                given_up.push(*id);
            }
        }
    }
    given_up
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(attempt: u32, what: u8) -> DeliveryId {
        let task = TaskId { job: JobId(Digest::ZERO), index: 0 };
        DeliveryId { attempt: AttemptId { task, number: AttemptNumber(attempt) }, manifest: Digest::of(&[what]) }
    }

    #[test]
    fn what_a_newer_one_has_replaced_on_the_ledger_is_given_up_and_what_is_on_its_way_is_kept() {
        use Standing::{Accepted, Undecided, Unowed};
        let deliveries = [(0, Undecided), (1, Accepted), (2, Undecided), (3, Unowed)];
        let deliveries = deliveries.map(|(what, standing)| (id(0, what), standing));
        assert_eq!(given_up(&deliveries), [id(0, 3), id(0, 0)]);
        // Another attempt's are judged by themselves.
        let two = [(id(0, 0), Undecided), (id(1, 1), Accepted)];
        assert_eq!(given_up(&two), []);
    }

    #[test]
    fn who_never_reports_what_it_delivers_has_only_the_newest_kept() {
        let many: Vec<_> = (0..7).map(|what| (id(0, what), Standing::Undecided)).collect();
        assert_eq!(given_up(&many), [2, 1, 0].map(|what| id(0, what)));
    }

    #[test]
    fn a_blob_goes_with_the_last_delivery_that_it_is_in() {
        let [one, two, shared] = [1, 2, 3].map(|what: u8| Digest::of(&[what]));
        let mut holdings = Holdings::default();
        holdings.add(id(0, 1), Arc::new([one, shared]));
        holdings.add(id(1, 2), Arc::new([two, shared]));
        // The same once more changes only the order.
        holdings.add(id(1, 2), Arc::new([two, shared]));
        assert_eq!(holdings.remove(id(0, 1)), [one]);
        assert!(holdings.has(&shared) && !holdings.has(&one));
        assert_eq!(holdings.remove(id(1, 2)), [two, shared]);
        assert_eq!(holdings.remove(id(1, 2)), []);
        assert!(holdings.of(Whose::All).is_empty());
    }

    #[test]
    fn deliveries_are_found_by_attempt_task_and_job_oldest_first() {
        let mut holdings = Holdings::default();
        for (attempt, what) in [(0, 5), (0, 1), (1, 2)] {
            holdings.add(id(attempt, what), Arc::new([]));
        }
        let task = id(0, 0).attempt.task;
        let all = [id(0, 5), id(0, 1), id(1, 2)];
        for whose in [Whose::Task(task), Whose::Job(task.job), Whose::All] {
            assert_eq!(holdings.of(whose), all, "{whose:?}");
        }
        assert_eq!(holdings.of(Whose::Attempt(id(1, 0).attempt)), all[2..]);
        assert!(holdings.of(Whose::Task(TaskId { index: 1, ..task })).is_empty());
    }
}
