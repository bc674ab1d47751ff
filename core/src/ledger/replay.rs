//! What was executed and has not expired: nothing is executed twice.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    fault::{Fault, is_planted},
    types::{BlockTime, TransactionId},
};

/// The ids of transactions that were executed or found void, until they expire. A void one is remembered too, so that what
/// its receipt says stays true.
#[derive(Clone, Debug, Default)]
pub(super) struct Replay {
    executed: BTreeMap<TransactionId, BlockTime>,
    expiring: BTreeSet<(BlockTime, TransactionId)>,
}

impl Replay {
    pub(super) fn contains(&self, id: TransactionId) -> bool {
        self.executed.contains_key(&id) && !is_planted(Fault::ReplayForgotten)
    }

    pub(super) fn remember(&mut self, id: TransactionId, expires: BlockTime) {
        self.executed.insert(id, expires);
        self.expiring.insert((expires, id));
    }

    /// Forgets what could not be executed any more at this block time.
    pub(super) fn forget_before(&mut self, now: BlockTime) {
        while let Some((expires, id)) = self.expiring.first().copied()
            && expires < now
        {
            self.expiring.pop_first();
            self.executed.remove(&id);
        }
    }

    pub(super) const fn entries(&self) -> &BTreeMap<TransactionId, BlockTime> {
        &self.executed
    }
}
