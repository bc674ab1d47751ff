//! What happens when a block is final, and what has an idle network make blocks until every result is covered.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    consensus::{Consensus, Effect, Monotonic, Step},
    fault::{Fault, is_planted},
    invariant::known,
    types::{Block, Certificate, Closing, Height, View},
};

impl Consensus {
    /// Hands out the blocks up to the newest finalization, once all are here. Returns whether it did.
    pub(super) fn finalize_chain(&mut self, step: &mut Step<'_>) -> bool {
        let Some(finalization) = self.finalization.as_ref().filter(|newest| self.is_open(&newest.statement)) else {
            return false;
        };
        let Some(digest) = known(finalization.statement.block()) else { return false };
        let Ok(chain) = self.above_tip(&digest) else { return false };
        let blocks: Vec<Arc<Block>> = chain.into_iter().rev().map(|candidate| Arc::clone(candidate.block())).collect();
        let finalization = finalization.clone();
        self.move_tip(step, blocks, finalization);
        true
    }

    /// Makes these blocks final. They stand on the tip and end in the block that `finalization` is of.
    pub(super) fn move_tip(&mut self, step: &mut Step<'_>, blocks: Vec<Arc<Block>>, finalization: Certificate) {
        if blocks.is_empty() {
            return;
        }
        debug_assert!(blocks.windows(2).all(|pair| pair[1].header.stands_at(pair[0].header.height)));
        debug_assert!(blocks.first().is_some_and(|first| first.header.stands_at(self.tip.height)));
        let (blocks, closing): (Vec<_>, Vec<_>) =
            blocks.iter().cloned().partition(|block| !block.header.role.is_closing());
        let passed = self.tip.clone();
        for block in blocks.last().into_iter().chain(closing.last()) {
            self.tip = self.tip.above(&block.header, finalization.clone());
        }
        let view = self.tip.view;
        debug_assert_eq!(finalization.statement.block(), Some(self.tip.top));
        debug_assert!(passed.view < view);
        let on_chain: BTreeSet<View> = blocks.iter().map(|block| block.header.view).collect();
        self.uncovered.retain(|of, (height, _)| *of > view || *height <= passed.height || on_chain.contains(of));
        for block in &blocks {
            let header = &block.header;
            self.unexecuted.insert(header.height, Arc::clone(block));
            if !block.transactions.is_empty() {
                self.uncovered.entry(header.view).or_insert((header.height, step.now.monotonic));
            }
        }
        // A closing block carries no result, or one that covers all blocks below it.
        self.cover(if self.is_over() { self.tip.height } else { self.tip.result_height });
        self.drop_rounds_below(view);
        // Votes must not wait until the blocks are stored and executed.
        self.send_votes(step);
        if !blocks.is_empty() {
            step.effects.push(Effect::Finalized { blocks, finalization: finalization.clone() });
        }
        if !closing.is_empty() {
            self.closing.extend(closing);
            let closing = Closing { blocks: self.closing.clone(), finalization };
            step.effects.push(Effect::Closed { last: self.tip.height, closing });
        }
        if self.me.is_some() {
            let below = View(view.0 + if is_planted(Fault::PrunedTooFar) { 1000 } else { 0 });
            step.effects.push(Effect::Prune { epoch: self.tip.epoch, below });
        }
    }

    /// Drops the rounds below the tip's. The tip's own stays, because it makes late copies of the tip's
    /// finalization cheaper to check.
    fn drop_rounds_below(&mut self, view: View) {
        self.rounds = self.rounds.split_off(&view);
        if let Some(round) = self.rounds.get_mut(&view) {
            round.candidates.clear();
        }
        self.index.retain(|_, of| *of > view);
        self.finalize_sent = self.finalize_sent.split_off(&view.next());
    }

    /// Notes that a certificate covers the results up to this height.
    pub(super) fn cover(&mut self, result_height: Height) {
        self.covered = self.covered.max(result_height);
        let (covered, tip) = (self.covered, self.tip.view);
        self.uncovered.retain(|view, (height, _)| *view > tip || *height > covered);
    }

    /// When the oldest result that no certificate covers becomes a reason for a block. That is Δ after its
    /// block was notarized, so that no leader spends its turn on an empty block while work is about to arrive.
    pub(super) fn uncovered_due(&self) -> Option<Monotonic> {
        let oldest = self.uncovered.values().map(|(_, since)| *since).min()?;
        Some(oldest.plus_us(self.rules.delta_us))
    }
}
