//! The blocks that a liar can propose. Its votes need no list: it signs whatever anyone has said, for any peer.
//!
//! In a view that it leads, a liar has two blocks on the genesis and two on every other block. So it can
//! equivocate, extend any fork and skip any view. Both blocks carry their parent's F, which no voter needs to
//! be shown.

use std::{collections::HashMap, sync::Arc};

use meshwork_core::{
    digest::Digest,
    types::{Block, BlockTime, Epoch, Header, Height, Proposal, Role, Statement, View, Vote},
};

use super::{
    names::{BlockId, Names},
    set::Set,
    setting::{CLOCK, Setting},
};

/// The liars' blocks, once they are made.
#[derive(Default)]
pub(super) struct Byzantine {
    made: HashMap<(View, Option<BlockId>), [BlockId; 2]>,
    twins: Vec<[BlockId; 2]>,
    /// All possible blocks, by the set that honest leaders have proposed.
    known: HashMap<Set, Set>,
}

impl Byzantine {
    /// The blocks that may be delivered, once honest leaders have proposed these and voted for those in `said`.
    /// Two blocks of one view on one parent differ only in their names, so the order in which they are voted
    /// for makes no difference: the second waits until somebody has voted for the first.
    pub(super) fn blocks(&mut self, setting: &Setting, names: &mut Names, proposed: &Set, said: &Set) -> Set {
        let mut blocks = self.all(setting, names, proposed);
        for [first, second] in &self.twins {
            if !names.is_notarized(*first, said) {
                blocks.remove(*second);
            }
        }
        blocks
    }

    fn all(&mut self, setting: &Setting, names: &mut Names, proposed: &Set) -> Set {
        if let Some(known) = self.known.get(proposed) {
            return *known;
        }
        let mut blocks = *proposed;
        for view in (1..=setting.bound.views).map(View).filter(|view| setting.lies(setting.leader(*view))) {
            let below = blocks.iter().filter(|block| names.get(*block).header().view < view).map(Some);
            let parents: Vec<Option<BlockId>> = std::iter::once(None).chain(below).collect();
            for parent in parents {
                let make = || {
                    let twins = [0, 1].map(|spread| propose(setting, names, view, parent, spread));
                    // Two closing blocks differ in more than their names if only one of them names the next
                    // authorities.
                    if !names.get(twins[0]).header().role.is_closing() {
                        self.twins.push(twins);
                    }
                    twins
                };
                let twins = self.made.entry((view, parent)).or_insert_with(make);
                twins.iter().for_each(|block| blocks.insert(*block));
            }
        }
        self.known.insert(*proposed, blocks);
        blocks
    }
}

fn propose(setting: &Setting, names: &mut Names, view: View, parent: Option<BlockId>, spread: u64) -> BlockId {
    let below = parent.map(|parent| names.get(parent).header().clone());
    let after = below.as_ref().map_or(BlockTime(0), |below| BlockTime(below.time.0 + 1));
    let final_height = below.as_ref().map_or(Height(0), |below| below.final_height);
    let closes = below.clone().filter(|below| setting.bound.ends && below.role.ends_epoch());
    let header = closes.map(|below| close(setting, view, &below, spread)).unwrap_or_else(|| Header {
        epoch: Epoch(0),
        view,
        role: if setting.bound.ends { Role::Last } else { Role::Inner },
        height: below.as_ref().map_or(Height(1), |below| below.height.next()),
        parent: below.as_ref().map_or(Digest::ZERO, Header::digest),
        time: BlockTime(after.max(CLOCK).0 + spread),
        transactions: Block::transactions_digest(&[]),
        final_height,
        result_height: final_height,
        result: Digest::ZERO,
        snapshots: Vec::new(),
    });
    let leader = setting.leader(view);
    let statement = Statement::Notarize(view, header.digest());
    let vote = Vote::sign(Epoch(0), statement, leader, &setting.keys[usize::from(leader.0)], &setting.network);
    let block = Arc::new(Block { header, transactions: Vec::new() });
    names.block(&Arc::new(Proposal { block, signature: vote.signature, finalization: None }))
}

/// The header of a closing block on this one. It names nobody, or the next authorities.
fn close(setting: &Setting, view: View, below: &Header, spread: u64) -> Header {
    let names = spread > 0;
    let next = setting.next().filter(|_| names).map(|next| next.digest());
    Header {
        view,
        role: Role::Closing(next),
        parent: below.digest(),
        transactions: Block::transactions_digest(&[]),
        final_height: if names { below.height } else { below.final_height },
        result_height: if names { below.height } else { Height(0) },
        ..below.clone()
    }
}
