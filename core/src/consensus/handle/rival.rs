//! What happens on a finalization that conflicts with what is final here. It can be no more than told: which of two
//! histories holds is for people to say.

use std::sync::Arc;

use crate::{
    consensus::{Consensus, Effect, Fork, Judgement, Step},
    types::{Block, Certificate, Header, Statement},
};

const RIVAL: Judgement = Judgement::Ignore("a finalization that conflicts with what is final here");

impl Consensus {
    /// Looks at a finalization of the tip's own view. `None` if it is of the same block, or of another view.
    pub(super) fn on_rival(&mut self, step: &mut Step<'_>, there: &Certificate) -> Option<Judgement> {
        let Statement::Finalize(view, block) = there.statement else { return None };
        if view != self.tip.view || block == self.tip.top {
            return None;
        }
        let here = self.tip.finalization.clone().filter(|here| here.epoch == there.epoch)?;
        // One proof is enough, and checking others would cost signatures for nothing.
        if self.forked {
            return Some(RIVAL);
        }
        if !self.verify_certificate(there) {
            return Some(Judgement::Reject("a finalization that does not hold"));
        }
        self.forked(step, Fork { here, there: there.clone(), headers: Vec::new() });
        Some(RIVAL)
    }

    /// Looks for a block among these, which are the newest of a certified chain, that stands in the place after the tip
    /// and not on it. `None` if there is none.
    pub(super) fn on_rival_chain(
        &mut self,
        step: &mut Step<'_>,
        blocks: &[Arc<Block>],
        there: &Certificate,
    ) -> Option<Judgement> {
        let here = self.tip.finalization.clone().filter(|here| here.epoch == there.epoch)?;
        let stands_beside =
            |block: &Arc<Block>| block.header.stands_at(self.tip.height) && block.header.parent != self.tip.top;
        // Above a closing block, others stand at the height of the last block too.
        let first = blocks.iter().position(stands_beside).filter(|_| !self.tip.role.ends_epoch())?;
        let headers: Vec<Header> = blocks[first..].iter().map(|block| block.header.clone()).collect();
        let hang_together = headers.windows(2).all(|pair| {
            pair[1].parent == pair[0].digest() && pair[1].stands_at(pair[0].height) && pair[1].epoch == pair[0].epoch
        });
        let last = headers.last().map(Header::digest);
        if !hang_together || last != there.statement.block() || !self.verify_certificate(there) {
            return None;
        }
        self.forked(step, Fork { here, there: there.clone(), headers });
        Some(RIVAL)
    }

    fn forked(&mut self, step: &mut Step<'_>, fork: Fork) {
        if fork.there.signers.iter().any(|signer| Some(signer) == self.me) {
            // This authority has signed for the history here, or would have. So its key is in use in two places.
            self.stop(step);
        }
        if !std::mem::replace(&mut self.forked, true) {
            if fork.headers.is_empty() {
                // Whoever is in the same view of the other history sees the fork by this one's finalization, above all an
                // authority that has forgotten what it signed.
                step.effects.push(Effect::GossipFinalization(fork.here.clone()));
            }
            step.effects.push(Effect::Fork(Box::new(fork)));
        }
    }
}
