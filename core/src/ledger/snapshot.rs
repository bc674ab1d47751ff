//! The whole state as bytes, and back. A snapshot holds only the records, and the rest is computed again, so the two
//! cannot contradict each other. `index/restore` checks that the records are consistent among themselves.

use std::{collections::BTreeMap, sync::Arc};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};
use thiserror::Error;

use crate::{
    codec::{self, DecodeError},
    digest::Digest,
    identity::{NetworkId, PublicKey},
    ledger::{
        Counters, Day, Ledger,
        records::{
            governance::Governance,
            jobs::JobRecord,
            lease_time::LeaseTime,
            recurring::{RecurringNumber, RecurringRecord},
            replay::Executed,
            rules::Rules,
            stored::Stored,
            trust::Merits,
            unclaimed::Unclaimed,
            usage::DayBook,
            workers::WorkerRecord,
        },
    },
    merkle::Frontier,
    schedule::{estimate::Estimate, order::Share, ready::JobNumber},
    snapshot::Chunks,
    types::{BlockTime, Genesis, Height, JobId, RecurringId, TransactionId},
};

/// Why a snapshot was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RestoreError {
    /// The bytes are not a snapshot.
    #[error("not a snapshot of a ledger: {0}")]
    Decode(#[from] DecodeError),
    /// It belongs to another network.
    #[error("a snapshot of another network, {0}")]
    OtherNetwork(NetworkId),
    /// It contradicts itself or the genesis.
    #[error("a snapshot that contradicts itself: {0}")]
    Inconsistent(&'static str),
}

/// The records besides jobs, workers and executed transactions.
#[derive(Serialize_tuple, Deserialize_tuple)]
pub(super) struct Head {
    pub(super) network: NetworkId,
    pub(super) height: Height,
    pub(super) time: BlockTime,
    pub(super) lease_time: LeaseTime,
    pub(super) history: Frontier,
    pub(super) govern: Governance,
    pub(super) rules: Rules,
    pub(super) next_job: JobNumber,
    pub(super) next_lease: u64,
    pub(super) next_turn: u64,
    pub(super) counters: Counters,
    pub(super) share_round: u64,
    pub(super) shares: BTreeMap<PublicKey, Share>,
    pub(super) estimates: BTreeMap<Digest, Estimate>,
    pub(super) usage: BTreeMap<Day, DayBook>,
    pub(super) stored: Stored,
    pub(super) unclaimed: Unclaimed,
    pub(super) merits: Merits,
}

/// Recurring jobs by number, and the next number.
type RecurringSaved = (RecurringNumber, Vec<(RecurringId, RecurringRecord)>);

/// All records: jobs by number, workers by key, executed transactions by id, recurring jobs.
pub(super) type Saved =
    (Head, Vec<(JobId, JobRecord)>, Vec<(PublicKey, WorkerRecord)>, Vec<(TransactionId, Executed)>, RecurringSaved);

impl Ledger {
    fn head(&self) -> Head {
        let (records, numbers) = (&self.records, self.records.numbers());
        Head {
            network: self.network,
            height: records.height(),
            time: records.time(),
            lease_time: records.lease_time(),
            history: records.history().clone(),
            govern: records.governance().clone(),
            rules: records.rules().clone(),
            next_job: numbers.job,
            next_lease: numbers.lease,
            next_turn: numbers.turn,
            counters: *records.counters(),
            share_round: records.shares().records().0,
            shares: records.shares().records().1.clone(),
            estimates: records.estimates().records().clone(),
            usage: records.usage().records().clone(),
            stored: records.stored().clone(),
            unclaimed: records.unclaimed().clone(),
            merits: records.merits().clone(),
        }
    }

    /// The whole state, in canonical bytes: equal states give equal bytes.
    #[must_use]
    pub fn snapshot(&self) -> Vec<u8> {
        let records = &self.records;
        let jobs: Vec<(JobId, &JobRecord)> = records.jobs().values().map(|job| (job.id, &job.record)).collect();
        let workers: Vec<(&PublicKey, &WorkerRecord)> =
            records.workers().iter().map(|(key, worker)| (key, &worker.record)).collect();
        let executed: Vec<(&TransactionId, &Executed)> = records.replay().entries().iter().collect();
        let recurring: Vec<(&RecurringId, &RecurringRecord)> =
            records.recurring().all().map(|recurring| (&recurring.id, &recurring.record)).collect();
        codec::encode(&(self.head(), jobs, workers, executed, (records.recurring().next(), recurring)))
    }

    /// The contents of a snapshot, before encoding.
    pub(super) fn saved(&self) -> Saved {
        let records = &self.records;
        (
            self.head(),
            records.jobs().values().map(|job| (job.id, job.record.clone())).collect(),
            records.workers().iter().map(|(key, worker)| (*key, worker.record.clone())).collect(),
            records.replay().entries().iter().map(|(id, executed)| (*id, *executed)).collect(),
            (records.recurring().next(), records.recurring().all().map(|job| (job.id, job.record.clone())).collect()),
        )
    }

    /// The digest of the state: the digest of the snapshot's [chunks](Chunks).
    #[must_use]
    pub fn state_digest(&self) -> Digest {
        Self::snapshot_digest(&self.snapshot())
    }

    /// The digest of the state in a snapshot's bytes.
    #[must_use]
    pub fn snapshot_digest(snapshot: &[u8]) -> Digest {
        Chunks::of(snapshot).state()
    }

    /// Restores the ledger from a snapshot. Compare a stranger's snapshot with a certified digest too: a snapshot
    /// that can be restored need not be true.
    ///
    /// # Errors
    ///
    /// Why the snapshot was refused.
    pub fn restore(genesis: Arc<Genesis>, bytes: &[u8]) -> Result<Self, RestoreError> {
        let saved = codec::decode(bytes, bytes.len())?;
        let network = genesis.network_id();
        Self::of_records(genesis, network, saved)
    }
}
