//! Execution that replicas of one thread share, for simulations. A block on the same ledger has the same result
//! for every replica, so the first one computes it and the others take it over.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    sync::Arc,
};

use super::Snapshot;
use crate::{
    digest::Digest,
    ledger::{Applied, Ledger},
    types::Block,
};

/// How many executions are kept. Each may hold a ledger of its own.
const KEPT: usize = 6;

struct Execution {
    before: Digest,
    block: Digest,
    ledger: Arc<Ledger>,
    applied: Applied,
    snapshot: Option<Snapshot>,
}

thread_local! {
    static SHARES: Cell<bool> = const { Cell::new(false) };
    static EXECUTIONS: RefCell<VecDeque<Execution>> = const { RefCell::new(VecDeque::new()) };
}

/// Sets whether the replicas of this thread share executions from now on. Replicas of two networks must not
/// share a thread.
pub fn share_execution(shares: bool) {
    SHARES.set(shares);
    EXECUTIONS.take();
}

/// The result of a block on the ledger whose newest block is `before`: taken over, or computed with `execute`.
pub(super) fn execute(
    ledger: &mut Arc<Ledger>,
    before: Digest,
    (digest, block): (Digest, &Block),
    execute: impl FnOnce(&mut Ledger, &Block) -> (Applied, Option<Snapshot>),
) -> (Applied, Option<Snapshot>) {
    if !SHARES.get() {
        return execute(Arc::make_mut(ledger), block);
    }
    let known = EXECUTIONS.with_borrow(|executions| {
        let known = executions.iter().find(|known| known.before == before && known.block == digest)?;
        Some((Arc::clone(&known.ledger), known.applied.clone(), known.snapshot.clone()))
    });
    if let Some((after, applied, snapshot)) = known {
        *ledger = after;
        return (applied, snapshot);
    }
    let (applied, snapshot) = execute(Arc::make_mut(ledger), block);
    EXECUTIONS.with_borrow_mut(|executions| {
        executions.truncate(KEPT - 1);
        executions.push_front(Execution {
            before,
            block: digest,
            ledger: Arc::clone(ledger),
            applied: applied.clone(),
            snapshot: snapshot.clone(),
        });
    });
    (applied, snapshot)
}
