//! Computes when each block is final at each peer: once the block, all blocks before it, and a finalization
//! have arrived there.
//!
//! A block is known to be final as soon as any authority has executed it. When it is final elsewhere follows
//! from how the block spreads, and the first finalization of it or of a descendant.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use meshwork_core::{digest::Digest, types::View};

/// A final block that some authority has executed.
pub struct Passed<T> {
    /// Its view.
    pub view: View,
    /// Its digest.
    pub digest: Digest,
    /// What to do once its finality times are known.
    pub then: T,
}

/// A block whose finality times are known.
pub struct Settled<T> {
    /// What to do.
    pub then: T,
    /// When it was proposed, in microseconds of the run, if that was seen.
    pub proposed_us: Option<u64>,
}

struct Spread {
    digest: Digest,
    comes_us: Arc<[u64]>,
}

/// Blocks and finalizations on their way.
pub struct Finality<T> {
    proposals: BTreeMap<View, Vec<Spread>>,
    finalizations: VecDeque<(View, Arc<[u64]>)>,
    passed: VecDeque<Passed<T>>,
    /// When the newest settled block is final at each peer.
    pub final_us: Vec<u64>,
}

impl<T> Finality<T> {
    /// Nothing on its way yet.
    #[must_use]
    pub fn of(peers: usize) -> Self {
        Self {
            proposals: BTreeMap::new(),
            finalizations: VecDeque::new(),
            passed: VecDeque::new(),
            final_us: vec![0; peers],
        }
    }

    /// A proposal goes out. It arrives at each peer at these times.
    pub fn proposed(&mut self, view: View, digest: Digest, comes_us: Arc<[u64]>) {
        self.proposals.entry(view).or_default().push(Spread { digest, comes_us });
    }

    /// A finalization of this view goes out, by itself or in a proposal.
    pub fn finalized(&mut self, view: View, comes_us: Arc<[u64]>) {
        self.finalizations.push_back((view, comes_us));
    }

    /// The first authority has executed a block.
    pub fn passed(&mut self, passed: Passed<T>) {
        self.passed.push_back(passed);
    }

    /// The next block with known finality times, which `final_us` then holds.
    pub fn settle(&mut self) -> Option<Settled<T>> {
        let view = self.passed.front()?.view;
        let place = self.finalizations.iter().position(|(of, _)| *of >= view)?;
        let passed = self.passed.pop_front()?;
        self.finalizations.drain(..place);
        let (of, finalization) = self.finalizations.front()?;
        self.proposals = self.proposals.split_off(&view);
        let spreads = self.proposals.get(&view);
        let block = spreads.and_then(|all| all.iter().find(|spread| spread.digest == passed.digest));
        for (peer, at) in self.final_us.iter_mut().enumerate() {
            let block_us = block.map_or(0, |spread| spread.comes_us[peer]);
            *at = (*at).max(finalization[peer]).max(block_us);
        }
        // A finalization of a descendant counts only once that block has arrived, with all blocks between.
        let later = self.proposals.range(view..=*of).filter(|(later, _)| **later > view);
        for spread in later.flat_map(|(_, all)| all) {
            for (at, comes_us) in self.final_us.iter_mut().zip(&*spread.comes_us) {
                *at = (*at).max(*comes_us);
            }
        }
        let proposed_us = block.and_then(|spread| spread.comes_us.iter().copied().min());
        Some(Settled { then: passed.then, proposed_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_final_where_it_and_all_before_it_and_a_finalization_have_come() {
        let mut finality = Finality::of(2);
        let digest = |byte: u8| Digest([byte; 32]);
        finality.proposed(View(1), digest(1), Arc::new([10, 90]));
        finality.proposed(View(2), digest(2), Arc::new([20, 30]));
        finality.passed(Passed { view: View(1), digest: digest(1), then: 1 });
        assert!(finality.settle().is_none(), "no finalization has gone out");
        finality.finalized(View(1), Arc::new([40, 50]));
        assert_eq!(finality.settle().map(|settled| settled.then), Some(1));
        assert_eq!(finality.final_us, [40, 90]);
        finality.passed(Passed { view: View(2), digest: digest(2), then: 2 });
        assert!(finality.settle().is_none(), "only the first is known to be final");
        finality.finalized(View(3), Arc::new([60, 60]));
        assert_eq!(finality.settle().map(|settled| settled.then), Some(2));
        assert_eq!(finality.final_us, [60, 90]);
        finality.passed(Passed { view: View(4), digest: digest(4), then: 4 });
        finality.proposed(View(5), digest(5), Arc::new([70, 99]));
        finality.finalized(View(5), Arc::new([80, 80]));
        assert_eq!(finality.settle().map(|settled| settled.then), Some(4));
        assert_eq!(finality.final_us, [80, 99], "the block that the finalization is of has to come too");
    }
}
