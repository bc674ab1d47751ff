//! The state that the round keeps: the tip of what is final, and one round for each view above it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Judgement, Monotonic, evidence::conflict, rules::PROPOSALS_PER_VIEW_MAX};
use crate::{
    digest::Digest,
    identity::Signature,
    types::{
        AuthorityIndex, Block, BlockTime, Certificate, Closing, Epoch, Genesis, Header, Height, Proposal, Role,
        Statement, View, Vote,
    },
};

/// The newest final block, which the next blocks stand on, and the closing blocks above it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinalTip {
    /// The epoch that goes on from here: the newest block's own, or the next one if that epoch is over.
    pub epoch: Epoch,
    /// The newest final block's height; 0 is the genesis.
    pub height: Height,
    /// The newest final block's digest; [`Digest::ZERO`] for the genesis.
    pub digest: Digest,
    /// The newest final block's time; the genesis' own at height 0.
    pub time: BlockTime,
    /// The newest final block's F.
    pub final_height: Height,
    /// The newest final block's R.
    pub result_height: Height,
    /// The view of the epoch's newest final block or closing block, the *top*; 0 at the epoch's beginning.
    pub view: View,
    /// The role of the top. At an epoch's beginning [`Role::Inner`].
    pub role: Role,
    /// The digest of the top: the next block stands on it.
    pub top: Digest,
    /// The finalization of the top. `None` only at an epoch's beginning.
    pub finalization: Option<Certificate>,
}

impl FinalTip {
    /// The tip of a network that has no block yet.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        Self {
            epoch: Epoch(0),
            height: Height(0),
            digest: Digest::ZERO,
            time: genesis.time,
            final_height: Height(0),
            result_height: Height(0),
            view: View(0),
            role: Role::Inner,
            top: Digest::ZERO,
            finalization: None,
        }
    }

    /// The tip that a final block makes, with the block's own finalization.
    #[must_use]
    pub fn of(header: &Header, finalization: Certificate) -> Self {
        Self::block(header, Some(finalization))
    }

    fn block(header: &Header, finalization: Option<Certificate>) -> Self {
        let digest = header.digest();
        Self {
            epoch: header.epoch,
            height: header.height,
            digest,
            time: header.time,
            final_height: header.final_height,
            result_height: header.result_height,
            view: header.view,
            role: header.role,
            top: digest,
            finalization,
        }
    }

    /// The tip as it was stored: the newest block, with its own finalization if it has one, and the final
    /// closing blocks above it. If these end the epoch, the tip is the beginning of the next one.
    #[must_use]
    pub fn stored(header: &Header, finalization: Option<Certificate>, closing: Option<&Closing>) -> Self {
        let tip = Self::block(header, finalization);
        let Some(closing) = closing else { return tip };
        let Some(newest) = closing.blocks.last() else { return tip };
        let tip = tip.above(&newest.header, closing.finalization.clone());
        if closing.handover().is_some() { tip.in_next_epoch() } else { tip }
    }

    /// This tip with a block or closing block that became final above it.
    pub(super) fn above(&self, header: &Header, finalization: Certificate) -> Self {
        if !header.role.is_closing() {
            return Self::of(header, finalization);
        }
        Self {
            view: header.view,
            role: header.role,
            top: header.digest(),
            finalization: Some(finalization),
            ..self.clone()
        }
    }

    /// The beginning of the next epoch, on this one's last block.
    pub(super) fn in_next_epoch(&self) -> Self {
        Self {
            epoch: self.epoch.next(),
            view: View(0),
            role: Role::Inner,
            top: self.digest,
            finalization: None,
            ..self.clone()
        }
    }
}

/// Messages of the next epoch that came while this one was ending.
#[derive(Clone, Default)]
pub(super) struct Early {
    pub proposals: Vec<Arc<Proposal>>,
    pub votes: Vec<Vote>,
}

/// The three kinds of statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Notarize,
    Nullify,
    Finalize,
}

impl Kind {
    pub(super) const fn of(statement: &Statement) -> Self {
        match statement {
            Statement::Notarize(..) => Self::Notarize,
            Statement::Nullify(_) => Self::Nullify,
            Statement::Finalize(..) => Self::Finalize,
        }
    }
}

/// How far a proposal has been judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// Not judged, or not to the end: why.
    Deferred(&'static str),
    /// Good.
    Valid,
    /// No honest leader makes this block: why.
    Invalid(&'static str),
}

/// A block that its leader signed.
#[derive(Clone)]
pub(super) struct Candidate {
    pub proposal: Arc<Proposal>,
    pub digest: Digest,
    pub judged: Judged,
    /// The height that was executed when the application last said "later".
    pub later_at: Option<Height>,
}

impl Candidate {
    pub(super) const fn new(proposal: Arc<Proposal>, digest: Digest, judged: Judged) -> Self {
        Self { proposal, digest, judged, later_at: None }
    }

    pub(super) fn header(&self) -> &Header {
        &self.proposal.block.header
    }

    pub(super) fn block(&self) -> &Arc<Block> {
        &self.proposal.block
    }

    /// A bad block is its leader's fault alone: a peer that passed it on may have lacked what shows that it is
    /// bad.
    pub(super) const fn judgement(&self) -> Judgement {
        match self.judged {
            Judged::Deferred(why) => Judgement::Deferred(why),
            Judged::Valid => Judgement::Accept,
            Judged::Invalid(why) => Judgement::Ignore(why),
        }
    }
}

/// Everything known of one view.
#[derive(Clone, Default)]
pub(super) struct Round {
    /// Checked votes, including this node's own: one per kind and authority.
    pub votes: BTreeMap<(Kind, AuthorityIndex), (Statement, Signature)>,
    /// The certificates, at most one per kind.
    pub certificates: BTreeMap<Kind, Certificate>,
    /// Leaders' blocks, in the order of arrival.
    pub candidates: Vec<Candidate>,
    /// The authorities that have signed anything about this view.
    pub heard: BTreeSet<AuthorityIndex>,
    /// Whether a quorum was heard, and the authorities that were not heard have been counted as silent for it.
    pub counted: bool,
}

impl Round {
    /// The block that a quorum notarized. A finalization shows it as well.
    pub(super) fn notarized(&self) -> Option<Digest> {
        let certificate = self.certificates.get(&Kind::Notarize).or_else(|| self.certificates.get(&Kind::Finalize))?;
        certificate.statement.block()
    }

    pub(super) fn nullified(&self) -> bool {
        self.certificates.contains_key(&Kind::Nullify)
    }

    /// Whether a vote of this kind can change nothing any more.
    pub(super) fn settled(&self, kind: Kind) -> bool {
        self.certificates.contains_key(&kind) || self.certificates.contains_key(&Kind::Finalize)
    }

    pub(super) fn vote(&self, kind: Kind, voter: AuthorityIndex) -> Option<&(Statement, Signature)> {
        self.votes.get(&(kind, voter))
    }

    /// Whether exactly this vote was checked before.
    pub(super) fn knows(&self, vote: &Vote) -> bool {
        let known = self.vote(Kind::of(&vote.statement), vote.voter);
        known.is_some_and(|(statement, signature)| *statement == vote.statement && *signature == vote.signature)
    }

    /// A vote of the same authority that an honest one would not have signed besides `vote`.
    pub(super) fn conflicting(&self, vote: &Vote) -> Option<(Statement, Signature)> {
        [Kind::Notarize, Kind::Nullify, Kind::Finalize]
            .into_iter()
            .filter_map(|kind| self.vote(kind, vote.voter))
            .find(|(statement, _)| conflict(statement, &vote.statement))
            .copied()
    }

    /// Adds a leader's block, if there is space. A `wanted` block takes the place of one that is neither
    /// notarized nor voted for by `me`; the digest of that one is returned.
    pub(super) fn insert(
        &mut self,
        candidate: Candidate,
        me: Option<AuthorityIndex>,
        wanted: bool,
    ) -> Result<Option<Digest>, &'static str> {
        let full = self.candidates.len();
        let mut removed = None;
        if full >= PROPOSALS_PER_VIEW_MAX {
            let own = me.and_then(|me| self.vote(Kind::Notarize, me)).and_then(|(statement, _)| statement.block());
            let kept = [self.notarized(), own];
            let place = self.candidates.iter().position(|other| !kept.contains(&Some(other.digest)));
            match place {
                Some(place) if wanted => removed = Some(self.candidates.remove(place).digest),
                _ if wanted && full <= PROPOSALS_PER_VIEW_MAX => {}
                _ => return Err("the leader has proposed too much in this view"),
            }
        }
        self.candidates.push(candidate);
        Ok(removed)
    }
}

/// How the present view goes: its timers, and what was tried in it.
#[derive(Clone)]
pub(super) struct ViewState {
    pub entered: Monotonic,
    /// The view's own timeout, grown by the views that failed before.
    pub timeout_us: u64,
    /// When this node gives the view up.
    pub deadline: Monotonic,
    /// Whether no reason for a block has come up in this view.
    pub quiet: bool,
    /// Whether the application may answer differently from when it was last asked for a reason.
    pub fresh: bool,
    /// When the clock will reach the time of a proposal that is held because its time lies ahead.
    pub judge_at: Option<Monotonic>,
    /// The parent, and the height that was executed, when the application last had nothing to build with.
    pub build_later: Option<(Digest, Height)>,
}

impl ViewState {
    /// A view that begins. It is quiet until this node finds a reason for a block.
    pub(super) const fn new(now: Monotonic, timeout_us: u64) -> Self {
        Self { entered: now, timeout_us, deadline: now, quiet: true, fresh: true, judge_at: None, build_later: None }
    }
}
