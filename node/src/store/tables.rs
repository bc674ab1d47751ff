//! The tables of the store, all in one place: the value that each key has.

use redb::TableDefinition;

use super::long;

/// The store's format. A store of another format is refused.
pub(super) const FORMAT: u64 = 9;

/// Facts about the store itself: see the keys below.
pub(super) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
/// [`META`]: the format, eight bytes, big-endian.
pub(super) const META_FORMAT: &str = "format";
/// [`META`]: the network's id.
pub(super) const META_NETWORK: &str = "network";
/// [`META`]: the journal's identity.
pub(super) const META_JOURNAL: &str = "journal";

/// Final blocks by height.
pub(super) const BLOCKS: long::Table = TableDefinition::new("blocks");
/// Finalizations by the height of their block. A block that became final through a descendant has none.
pub(super) const FINALIZATIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("finalizations");
/// The final closing blocks of an epoch and the finalization of the last of them, by its last height.
pub(super) const CLOSINGS: TableDefinition<u64, &[u8]> = TableDefinition::new("closings");
/// The end of the epoch before, by epoch.
pub(super) const HANDOVERS: TableDefinition<u64, &[u8]> = TableDefinition::new("handovers");
/// The root over all receipts up to each height.
pub(super) const ROOTS: TableDefinition<u64, &[u8]> = TableDefinition::new("roots");
/// The receipts of each height.
pub(super) const RECEIPTS: long::Table = TableDefinition::new("receipts");
/// The history tree's complete subtrees, by level and index.
pub(super) const HISTORY: TableDefinition<(u8, u64), &[u8]> = TableDefinition::new("history");
/// The length and the chunk digests of the newest snapshots, by height.
pub(super) const SNAPSHOTS: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshots");
/// The bytes of these snapshots.
pub(super) const SNAPSHOT_BYTES: long::Table = TableDefinition::new("snapshot_bytes");
/// The header of a snapshot that came from another peer. Its block is not stored.
pub(super) const SNAPSHOT_HEADERS: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshot_headers");
/// The state digests of snapshot heights.
pub(super) const SNAPSHOT_DIGESTS: TableDefinition<u64, &[u8]> = TableDefinition::new("snapshot_digests");
/// The journal of consensus, by epoch, view and a number that only distinguishes the records of one view.
pub(super) const JOURNAL: TableDefinition<(u64, u64, u64), &[u8]> = TableDefinition::new("journal");
/// Ended jobs by id, so that they can be found after the ledger has forgotten them.
pub(super) const ENDED_JOBS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("ended_jobs");
/// Proofs that an authority broke a promise, in the order in which they were found.
pub(super) const EVIDENCE: TableDefinition<u64, &[u8]> = TableDefinition::new("evidence");
