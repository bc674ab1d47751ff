//! Replay protection: which transactions were executed and have not expired, and their results. Nothing is executed
//! twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    fault::{Fault, is_planted},
    types::{BlockTime, TransactionId, VoidReason},
};

/// The result of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Executed {
    expires: BlockTime,
    /// Why it was void, if it was.
    void: Option<VoidReason>,
}

/// The ids of transactions that were executed or void, until they expire. A void one is remembered too, so that its
/// receipt stays true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ledger) struct Replay {
    executed: BTreeMap<TransactionId, Executed>,
    expiring: BTreeSet<(BlockTime, TransactionId)>,
}

impl Replay {
    pub(in crate::ledger) fn contains(&self, id: TransactionId) -> bool {
        self.executed.contains_key(&id) && !is_planted(Fault::ReplayForgotten)
    }

    /// The result of a transaction, as long as it is remembered.
    pub(in crate::ledger) fn result_of(&self, id: TransactionId) -> Option<Result<(), VoidReason>> {
        self.executed.get(&id).map(|executed| executed.void.map_or(Ok(()), Err))
    }

    pub(in crate::ledger) fn remember(
        &mut self,
        id: TransactionId,
        expires: BlockTime,
        result: Result<(), VoidReason>,
    ) {
        self.restore(id, Executed { expires, void: result.err() });
    }

    pub(in crate::ledger) fn restore(&mut self, id: TransactionId, executed: Executed) {
        self.expiring.insert((executed.expires, id));
        self.executed.insert(id, executed);
    }

    /// Forgets the transactions that have expired at this block time.
    pub(in crate::ledger) fn forget_before(&mut self, now: BlockTime) {
        while let Some((expires, id)) = self.expiring.first().copied()
            && expires < now
        {
            self.expiring.pop_first();
            self.executed.remove(&id);
        }
    }

    pub(in crate::ledger) const fn entries(&self) -> &BTreeMap<TransactionId, Executed> {
        &self.executed
    }
}
