//! What happens on blocks that were fetched by range, and when the application has executed blocks.

use std::sync::Arc;

use crate::{
    consensus::{Consensus, Effect, Judgement, Step},
    digest::Digest,
    types::{Block, Certificate, Height, Statement},
};

impl Consensus {
    /// Takes certified blocks that continue the final chain.
    pub(super) fn on_blocks(
        &mut self,
        step: &mut Step<'_>,
        mut blocks: Vec<Arc<Block>>,
        finalization: Certificate,
    ) -> Judgement {
        let Statement::Finalize(view, digest) = finalization.statement else {
            return Judgement::Reject("blocks with something else for a finalization");
        };
        let Some(last) = blocks.last() else { return Judgement::Reject("no blocks") };
        if finalization.epoch != self.tip.epoch {
            return Judgement::Ignore("blocks of another epoch");
        }
        if last.header.view <= self.tip.view {
            return Judgement::Ignore("blocks that are known");
        }
        if let Some(judgement) = self.on_rival_chain(step, &blocks, &finalization) {
            return judgement;
        }
        let known = self.tip.view;
        blocks.retain(|block| block.header.view > known);
        if blocks.first().is_some_and(|first| first.header.height > self.tip.height.next()) {
            return Judgement::Ignore("blocks with a gap below them");
        }
        let Some(last) = blocks.last() else { return Judgement::Ignore("blocks that are known") };
        if last.header.view != view || !self.links(&blocks, &digest) {
            return Judgement::Reject("blocks that do not hang together");
        }
        if !self.verify_certificate(&finalization) {
            return Judgement::Reject("a finalization that does not hold");
        }
        self.on_certificate(step, finalization.clone());
        // The tip has moved already if the blocks that were here completed the chain.
        if self.is_open(&finalization.statement) {
            self.move_tip(step, blocks, finalization);
        }
        if let Some(newest) = self.finalization.clone().filter(|newest| self.is_open(&newest.statement))
            && newest.statement.block().is_some_and(|block| self.above_tip(&block).is_err())
        {
            step.effects.push(Effect::Behind { from: self.tip.height.next(), finalization: newest });
        }
        Judgement::Accept
    }

    /// Whether each block stands on the one before it, the first on the tip, and the last has this digest.
    fn links(&self, blocks: &[Arc<Block>], last: &Digest) -> bool {
        let mut parent = self.tip.top;
        let mut height = self.tip.height;
        for block in blocks {
            let header = &block.header;
            let linked = header.epoch == self.tip.epoch && header.parent == parent && header.stands_at(height);
            if !linked || !block.is_whole() {
                return false;
            }
            parent = header.digest();
            height = header.height;
        }
        parent == *last
    }

    pub(super) fn on_executed(&mut self, height: Height) -> Judgement {
        debug_assert!(height <= self.tip.height, "only what is final is executed");
        self.executed = self.executed.max(height);
        self.unexecuted = self.unexecuted.split_off(&height.next());
        self.view_state.fresh = true;
        Judgement::Accept
    }
}
