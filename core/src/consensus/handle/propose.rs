//! What the leader of a view does.

use std::sync::Arc;

use crate::{
    consensus::{
        Application, BuildRequest, Consensus, Content, Effect, Step,
        chain::{Missing, Parent},
        rules::PILE_MAX,
        state::{Candidate, Judged, Kind},
    },
    digest::Digest,
    invariant::cannot_be,
    types::{Block, BlockTime, Header, Height, Proposal, Role, Statement, Vote},
};

impl Consensus {
    /// Proposes a block for the present view, if it is this authority's turn and there is a reason, or a
    /// heartbeat has passed without one. Returns whether it did.
    ///
    /// It proposes at most once an instant. Where one authority is a quorum by itself, each block would
    /// otherwise lead to the next without end, and the replica could not say in between that nothing is left to
    /// order.
    pub(super) fn propose<A: Application>(&mut self, step: &mut Step<'_>, app: &mut A) -> bool {
        let view = self.view;
        if !self.votes() || Some(self.leader()) != self.me || self.own(view, Kind::Notarize).is_some() {
            return false;
        }
        let now = step.now;
        if self.view_state.quiet && now.monotonic < self.view_state.entered.plus_us(self.rules.heartbeat_us) {
            return false;
        }
        let Some(parent) = self.best_parent(&mut Missing::default()) else { return false };
        // The parent knew of a newer final block than this node does, and came without showing it. Asking gets
        // it.
        if self.tip.height < parent.final_height {
            return false;
        }
        if self.view_state.build_later == Some((parent.digest, self.executed)) {
            return false;
        }
        if self.proposed == Some(now.monotonic) {
            self.again = true;
            return false;
        }
        let block = match parent.role.ends_epoch() {
            true => self.build_closing(&parent, app),
            false => self.build(&parent, now.clock, app),
        };
        let Some(block) = block else {
            self.view_state.build_later = Some((parent.digest, self.executed));
            return false;
        };
        self.proposed = Some(now.monotonic);
        self.publish(step, &parent, block);
        true
    }

    fn build<A: Application>(&self, parent: &Parent, clock: BlockTime, app: &mut A) -> Option<Block> {
        let ancestors = self.ancestors(&parent.digest)?;
        let round = &self.rules.genesis.consensus;
        let (height, final_height) = (parent.height.next(), self.tip.height);
        let piled = height.0.saturating_sub(final_height.0) > PILE_MAX;
        let bytes_left = self.rules.run_bytes_max().saturating_sub(self.unfinal_bytes(&ancestors));
        let time = clock.max(BlockTime(parent.time.0.saturating_add(1)));
        let request = BuildRequest {
            view: self.view,
            height,
            parent: parent.digest,
            time,
            result_height: parent.final_height,
            parent_result_height: parent.result_height,
            ancestors: &ancestors,
            transactions_max: if piled { 0 } else { round.block_transactions_max },
            bytes_max: if piled { 0 } else { round.block_bytes_max.min(bytes_left) },
        };
        let Content { transactions, result, snapshots } = app.build(&request)?;
        let ends = self.rules.is_gate(height) && app.has_change(self.tip.epoch, parent.final_height);
        let role = if ends { Role::Last } else { Role::Inner };
        let header = Header {
            epoch: self.tip.epoch,
            view: self.view,
            role,
            height,
            parent: parent.digest,
            time,
            transactions: Block::transactions_digest(&transactions),
            final_height,
            result_height: parent.final_height,
            result,
            snapshots,
        };
        let block = Block { header, transactions };
        debug_assert!(block.transactions.len() <= request.transactions_max);
        debug_assert!(block.transaction_bytes() <= request.bytes_max);
        Some(block)
    }

    /// Builds a block above the epoch's last. It names the next authorities if the last block is final and
    /// executed here.
    fn build_closing<A: Application>(&self, parent: &Parent, app: &mut A) -> Option<Block> {
        let height = parent.height;
        let is_executed = self.tip.height == height && self.executed >= height;
        let close = if is_executed { app.close(height) } else { None };
        if close.is_none() && parent.role.next_authorities().is_some() {
            return None;
        }
        let (result_height, result) = close.as_ref().map_or((Height(0), Digest::ZERO), |close| (height, close.result));
        let header = Header {
            epoch: self.tip.epoch,
            view: self.view,
            role: Role::Closing(close.as_ref().map(|close| close.next.digest())),
            height,
            parent: parent.digest,
            time: parent.time,
            transactions: Block::transactions_digest(&[]),
            final_height: if close.is_some() { height } else { parent.final_height },
            result_height,
            result,
            snapshots: Vec::new(),
        };
        Some(Block { header, transactions: Vec::new() })
    }

    fn publish(&mut self, step: &mut Step<'_>, parent: &Parent, block: Block) {
        let (Some(me), Some(key)) = (self.me, &self.key) else {
            return cannot_be("only an authority leads a view");
        };
        let digest = block.header.digest();
        let statement = Statement::Notarize(self.view, digest);
        let signature = Vote::sign(self.tip.epoch, statement, me, key, &self.rules.network).signature;
        let shown = block.header.final_height > parent.final_height;
        let finalization = self.tip.finalization.clone().filter(|_| shown);
        let proposal = Arc::new(Proposal { block: Arc::new(block), signature, finalization });
        if self.insert_candidate(Candidate::new(Arc::clone(&proposal), digest, Judged::Valid)).is_some() {
            debug_assert!(false, "a leader's view has room for its own block");
            return;
        }
        // The vote must be durable before the proposal, which holds it, goes out. All other effects come after
        // that.
        let place = step.effects.len() + 1;
        self.cast(step, statement, Some(Arc::clone(&proposal)));
        step.effects.insert(place, Effect::GossipProposal(proposal));
        if let Some(finalization) = &self.tip.finalization
            && shown
        {
            let view = finalization.statement.view();
            self.went_over_gossip(view);
        }
    }
}
