//! How blocks connect above the final tip: parents, ancestors, and what is missing between.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    Consensus, Monotonic,
    rules::NAMED_MAX,
    state::{Candidate, Judged, Kind, Round},
};
use crate::{
    digest::Digest,
    types::{Block, BlockTime, Height, Role, View},
};

/// What a block is checked against in its parent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parent {
    pub digest: Digest,
    pub view: View,
    pub height: Height,
    pub time: BlockTime,
    pub final_height: Height,
    pub result_height: Height,
    pub role: Role,
}

/// What must exist but is not here.
#[derive(Default)]
pub(super) struct Missing {
    pub blocks: BTreeSet<Digest>,
    /// Views whose notarization or nullification is needed.
    pub views: BTreeSet<View>,
    /// The height of the final tip, if something final above it is missing.
    pub above: Option<Height>,
}

impl Missing {
    fn block(&mut self, digest: Digest) {
        if self.blocks.len() < NAMED_MAX {
            self.blocks.insert(digest);
        }
    }

    /// Names a view. Returns whether there is space for another.
    fn view(&mut self, view: View) -> bool {
        if self.views.len() < NAMED_MAX {
            self.views.insert(view);
        }
        self.views.len() < NAMED_MAX
    }
}

/// Since when each thing has been missing.
#[derive(Clone, Default)]
pub(super) struct MissingSince {
    pub blocks: BTreeMap<Digest, Monotonic>,
    pub views: BTreeMap<View, Monotonic>,
    /// The height of the final tip above which something final is missing, and since when. It does not name the
    /// block: the newest missing block changes with every finalization, so where these come fast no single
    /// block would be missing for long.
    pub above: Option<(Height, Monotonic)>,
}

impl MissingSince {
    /// Forgets what is no longer missing and starts counting for what newly is.
    pub(super) fn update(&mut self, missing: &Missing, now: Monotonic) {
        self.blocks.retain(|digest, _| missing.blocks.contains(digest));
        self.views.retain(|view, _| missing.views.contains(view));
        self.above = missing.above.map(|tip| match self.above {
            Some((same, since)) if same == tip => (tip, since),
            _ => (tip, now),
        });
        for digest in &missing.blocks {
            self.blocks.entry(*digest).or_insert(now);
        }
        for view in &missing.views {
            self.views.entry(*view).or_insert(now);
        }
    }

    /// When the thing that has been missing longest was first missed.
    pub(super) fn oldest(&self) -> Option<Monotonic> {
        let above = self.above.iter().map(|(_, since)| since);
        self.blocks.values().chain(self.views.values()).chain(above).min().copied()
    }
}

impl Consensus {
    pub(super) fn round(&self, view: View) -> Option<&Round> {
        self.rounds.get(&view)
    }

    pub(super) fn round_mut(&mut self, view: View) -> &mut Round {
        self.rounds.entry(view).or_default()
    }

    /// The block with this digest, if it is here and not below the final tip.
    pub(super) fn candidate(&self, digest: &Digest) -> Option<&Candidate> {
        let round = self.round(*self.index.get(digest)?)?;
        round.candidates.iter().find(|candidate| candidate.digest == *digest)
    }

    pub(super) fn candidate_mut(&mut self, digest: &Digest) -> Option<&mut Candidate> {
        let round = self.rounds.get_mut(self.index.get(digest)?)?;
        round.candidates.iter_mut().find(|candidate| candidate.digest == *digest)
    }

    /// Keeps a leader's block, if its view has space for it. Returns why not, otherwise.
    pub(super) fn insert_candidate(&mut self, candidate: Candidate) -> Option<&'static str> {
        let (view, digest) = (candidate.header().view, candidate.digest);
        let (me, named) = (self.me, self.missing_since.blocks.contains_key(&digest));
        let round = self.round_mut(view);
        let wanted = named || round.notarized() == Some(digest);
        match round.insert(candidate, me, wanted) {
            Ok(removed) => {
                if let Some(removed) = removed {
                    self.index.remove(&removed);
                }
                self.index.insert(digest, view);
                None
            }
            Err(why) => Some(why),
        }
    }

    pub(super) fn tip_parent(&self) -> Parent {
        let tip = &self.tip;
        Parent {
            digest: tip.top,
            view: tip.view,
            height: tip.height,
            time: tip.time,
            final_height: tip.final_height,
            result_height: tip.result_height,
            role: tip.role,
        }
    }

    /// The block with this digest as a parent, if it is here.
    pub(super) fn parent(&self, digest: &Digest) -> Option<Parent> {
        if *digest == self.tip.top {
            return Some(self.tip_parent());
        }
        let header = self.candidate(digest)?.header();
        Some(Parent {
            digest: *digest,
            view: header.view,
            height: header.height,
            time: header.time,
            final_height: header.final_height,
            result_height: header.result_height,
            role: header.role,
        })
    }

    /// The blocks from this one down to the final tip, newest first. `Err` holds the first that is missing, or
    /// `None` where the chain does not pass through the tip.
    pub(super) fn above_tip(&self, digest: &Digest) -> Result<Vec<&Candidate>, Option<Digest>> {
        let mut chain: Vec<&Candidate> = Vec::new();
        let mut next = *digest;
        while next != self.tip.top {
            let candidate = self.candidate(&next).ok_or(Some(next))?;
            let header = candidate.header();
            // Only a liar's block does not descend in views; a chain of such blocks might never end.
            let descends = chain.last().is_none_or(|above| {
                let above = above.header();
                above.view > header.view && above.stands_at(header.height)
            });
            if header.view <= self.tip.view || header.height < self.tip.height || !descends {
                return Err(None);
            }
            next = header.parent;
            chain.push(candidate);
        }
        Ok(chain)
    }

    /// The blocks above the last executed one up to this one, oldest first; `None` if one is missing.
    pub(super) fn ancestors(&self, digest: &Digest) -> Option<Vec<Arc<Block>>> {
        let unfinal = self.above_tip(digest).ok()?;
        let unexecuted = self.unexecuted.values();
        Some(unexecuted.chain(unfinal.iter().rev().map(|candidate| candidate.block())).cloned().collect())
    }

    /// The newest notarized block that the present view may stand on: all views between the two are nullified.
    /// `None` where something is lacking, which `missing` then names.
    pub(super) fn best_parent(&self, missing: &mut Missing) -> Option<Parent> {
        let mut lacking = false;
        let mut view = self.view;
        loop {
            view = View(view.0.saturating_sub(1));
            if view <= self.tip.view {
                return (!lacking).then(|| self.tip_parent());
            }
            let round = self.round(view);
            if let Some(digest) = round.and_then(Round::notarized) {
                match self.above_tip(&digest) {
                    Ok(_) if !lacking => return self.parent(&digest),
                    Err(Some(absent)) => missing.block(absent),
                    Ok(_) | Err(None) => {}
                }
                // If this view is nullified as well, it can be passed over should its block never come.
                if lacking || !round.is_some_and(Round::nullified) {
                    return None;
                }
            } else if !round.is_some_and(Round::nullified) {
                lacking = true;
                if !missing.view(view) {
                    return None;
                }
            }
        }
    }

    /// Whether all views between these two are nullified. Names in `missing` those that are not.
    pub(super) fn nullified_between(&self, lower: View, upper: View, missing: &mut Missing) -> bool {
        let mut all = true;
        for view in (lower.next().0..upper.0).map(View) {
            if !self.round(view).is_some_and(Round::nullified) {
                all = false;
                if !missing.view(view) {
                    break;
                }
            }
        }
        all
    }

    /// Everything that what is here refers to, and that is not here itself.
    pub(super) fn missing(&self) -> Missing {
        let mut missing = Missing::default();
        if let Some(finalization) = &self.finalization
            && finalization.statement.view() > self.tip.view
            && let Some(digest) = finalization.statement.block()
            && let Err(Some(absent)) = self.above_tip(&digest)
        {
            missing.block(absent);
            missing.above = Some(self.tip.height);
        }
        if self.me.is_none() {
            return missing;
        }
        self.best_parent(&mut missing);
        let voted = self.own(self.view, Kind::Notarize).is_some();
        if let Some(round) = self.round(self.view).filter(|_| !voted) {
            for candidate in &round.candidates {
                if matches!(candidate.judged, Judged::Deferred(_)) {
                    self.missing_behind(candidate, &mut missing);
                }
            }
        }
        missing
    }

    /// Names what a held proposal waits for.
    fn missing_behind(&self, candidate: &Candidate, missing: &mut Missing) {
        let header = candidate.header();
        match self.above_tip(&header.parent) {
            Err(Some(absent)) => missing.block(absent),
            Err(None) => return,
            Ok(_) => {}
        }
        let Some(parent) = self.parent(&header.parent) else { return };
        if parent.view > self.tip.view && self.round(parent.view).and_then(Round::notarized) != Some(parent.digest) {
            missing.view(parent.view);
        }
        self.nullified_between(parent.view, header.view, missing);
    }
}
