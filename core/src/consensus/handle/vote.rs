//! What happens on a vote.

use crate::{
    consensus::{
        Consensus, Effect, Evidence, Judgement, Record, Step,
        rules::TELL_VOTES_MAX,
        state::{Kind, Round},
    },
    fault::{Fault, is_planted},
    invariant::cannot_be,
    types::{AuthorityIndex, Certificate, Proposal, Signers, Statement, View, Vote},
};
use std::sync::Arc;

impl Consensus {
    pub(super) fn on_votes(&mut self, step: &mut Step<'_>, votes: Vec<Vote>) -> Judgement {
        if votes.len() > TELL_VOTES_MAX {
            return Judgement::Reject("more votes than there are to cast");
        }
        let judgements = votes.into_iter().map(|vote| self.on_vote(step, vote));
        judgements.reduce(Judgement::and).unwrap_or(Judgement::Ignore("no votes"))
    }

    pub(super) fn on_vote(&mut self, step: &mut Step<'_>, vote: Vote) -> Judgement {
        let (view, kind) = (vote.statement.view(), Kind::of(&vote.statement));
        if vote.epoch != self.tip.epoch {
            return Judgement::Ignore("a vote of another epoch");
        }
        if usize::from(vote.voter.0) >= self.rules.authorities() {
            return Judgement::Reject("a vote of nobody");
        }
        if self.me.is_none() {
            return Judgement::Ignore("a follower counts no votes");
        }
        if Some(vote.voter) == self.me {
            return self.on_own_vote(step, &vote);
        }
        let window = if is_planted(Fault::NoWindow) { u64::MAX } else { self.rules.genesis.consensus.view_window };
        if view.0 > self.view.0.saturating_add(window) {
            return Judgement::Ignore("a vote too far ahead");
        }
        if view <= self.tip.view {
            return self.on_late_vote(&vote);
        }
        if let Some(round) = self.round(view) {
            let known = round.vote(kind, vote.voter);
            if known.is_some_and(|(statement, _)| *statement == vote.statement) {
                return Judgement::Ignore("a vote that is known");
            }
            if round.conflicting(&vote).is_none() {
                if round.settled(kind) {
                    return self.on_late_vote(&vote);
                }
            } else if known.is_some() && self.evidence.contains_key(&vote.voter) {
                return Judgement::Ignore("a vote that breaks a promise, again");
            }
        }
        if !self.verify(&vote) {
            return Judgement::Reject("a vote with a bad signature");
        }
        self.record(step, vote);
        Judgement::Accept
    }

    pub(super) fn verify(&self, vote: &Vote) -> bool {
        self.rules.key(vote.voter).is_some_and(|key| vote.verify(key, &self.rules.network))
    }

    /// Takes a vote that can change nothing. It shows that its sender lives, so it is checked only where that
    /// is in doubt.
    fn on_late_vote(&mut self, vote: &Vote) -> Judgement {
        let silence = self.silence.get(usize::from(vote.voter.0)).copied().unwrap_or(0);
        if silence < self.rules.genesis.consensus.silent_views.div_ceil(2) {
            return Judgement::Ignore("a late vote");
        }
        if !self.verify(vote) {
            return Judgement::Reject("a vote with a bad signature");
        }
        self.hear(vote.statement.view(), vote.voter);
        Judgement::Accept
    }

    /// Takes a vote of this very authority that another one showed.
    pub(super) fn on_own_vote(&mut self, step: &mut Step<'_>, vote: &Vote) -> Judgement {
        let known = self.own(vote.statement.view(), Kind::of(&vote.statement)) == Some(vote.statement);
        let is_old = !self.is_open(&vote.statement) && !is_planted(Fault::OldOwnVoteStops);
        if known || is_old || !self.votes() {
            return Judgement::Ignore("a vote that is known");
        }
        if !self.verify(vote) {
            return Judgement::Reject("a vote with a bad signature");
        }
        self.stop(step);
        Judgement::Accept
    }

    /// Counts a vote whose signature is good.
    pub(super) fn record(&mut self, step: &mut Step<'_>, vote: Vote) {
        let Vote { statement, voter, signature, epoch } = vote;
        self.hear(statement.view(), voter);
        let round = self.round_mut(statement.view());
        if let Some((first, first_signature)) = round.conflicting(&vote) {
            let first = Vote { epoch, statement: first, voter, signature: first_signature };
            self.convict(step, Evidence { first, second: vote });
        }
        let round = self.round_mut(statement.view());
        round.votes.entry((Kind::of(&statement), voter)).or_insert((statement, signature));
        self.tally(step, statement);
    }

    /// Takes proof that another authority found.
    pub(super) fn on_evidence(&mut self, step: &mut Step<'_>, evidence: Evidence) -> Judgement {
        if evidence.first.epoch != self.tip.epoch {
            return Judgement::Ignore("evidence of another epoch");
        }
        if self.evidence.contains_key(&evidence.culprit()) {
            return Judgement::Ignore("evidence against one who is convicted");
        }
        if !evidence.verify(&self.rules.set, &self.rules.network) {
            return Judgement::Reject("evidence that proves nothing");
        }
        if Some(evidence.culprit()) == self.me {
            // An honest authority's key that signs twice is in use in two places.
            self.stop(step);
        }
        self.convict(step, evidence);
        Judgement::Accept
    }

    fn convict(&mut self, step: &mut Step<'_>, evidence: Evidence) {
        if let std::collections::btree_map::Entry::Vacant(place) = self.evidence.entry(evidence.culprit()) {
            place.insert(evidence.clone());
            step.effects.push(Effect::Evidence(evidence));
        }
    }

    /// Forms the certificate of a statement, if there is a quorum for it and none is known.
    pub(super) fn tally(&mut self, step: &mut Step<'_>, statement: Statement) {
        let (kind, quorum) = (Kind::of(&statement), self.rules.quorum);
        let Some(round) = self.round(statement.view()).filter(|round| !round.certificates.contains_key(&kind)) else {
            return;
        };
        let range = (kind, AuthorityIndex(0))..=(kind, AuthorityIndex(u16::MAX));
        let agreeing = round.votes.range(range).filter(|(_, (said, _))| *said == statement);
        let (voters, signatures): (Vec<_>, Vec<_>) =
            agreeing.take(quorum).map(|((_, voter), (_, signature))| (*voter, *signature)).unzip();
        if voters.len() == quorum {
            let certificate =
                Certificate { epoch: self.tip.epoch, statement, signers: Signers::of(voters), signatures };
            self.adopt(step, certificate);
            if kind == Kind::Finalize {
                self.spread(step, statement.view());
            }
        }
    }

    /// Notes a sign of life. Once a quorum has been heard in a view, every other authority has been silent in
    /// one view more.
    pub(super) fn hear(&mut self, view: View, voter: AuthorityIndex) {
        if let Some(silence) = self.silence.get_mut(usize::from(voter.0)) {
            *silence = 0;
        }
        if view <= self.tip.view {
            return;
        }
        let quorum = self.rules.quorum;
        let Round { heard, counted, .. } = self.rounds.entry(view).or_default();
        heard.insert(voter);
        if !*counted && heard.len() >= quorum {
            *counted = true;
            for (index, silence) in self.silence.iter_mut().enumerate() {
                if !heard.contains(&AuthorityIndex(index as u16)) {
                    *silence = silence.saturating_add(1);
                }
            }
        }
    }

    pub(in crate::consensus) fn is_silent(&self, authority: AuthorityIndex) -> bool {
        let silence = self.silence.get(usize::from(authority.0)).copied().unwrap_or(0);
        Some(authority) != self.me && silence >= self.rules.genesis.consensus.silent_views
    }

    /// Signs a statement, makes it durable, sends it and counts it. A notarize vote for this node's own
    /// `proposal` travels in the proposal. The caller makes sure that the vote breaks no promise.
    pub(super) fn cast(&mut self, step: &mut Step<'_>, statement: Statement, proposal: Option<Arc<Proposal>>) {
        let (Some(me), Some(key)) = (self.me, &self.key) else {
            return cannot_be("only an authority votes");
        };
        debug_assert!(
            self.votes() && self.own(statement.view(), Kind::of(&statement)).is_none() || is_planted(Fault::SecondVote)
        );
        let vote = Vote::sign(self.tip.epoch, statement, me, key, &self.rules.network);
        let own_proposal = proposal.as_ref().is_some_and(|proposal| proposal.signature == vote.signature);
        step.effects.push(Effect::Persist(match proposal {
            Some(proposal) => Record::Notarized(vote.clone(), proposal),
            None => Record::Voted(vote.clone()),
        }));
        if !own_proposal {
            step.votes.push(vote.clone());
        }
        self.record(step, vote);
    }

    /// Finalizes a block of a view that this node did not give up.
    pub(super) fn finalize(&mut self, step: &mut Step<'_>, view: View, block: crate::digest::Digest) {
        let said = |kind| self.own(view, kind).is_some();
        let may = !said(Kind::Nullify) || is_planted(Fault::FinalizeAfterNullify);
        if self.votes() && view > self.tip.view && may && !said(Kind::Finalize) {
            self.finalize_sent.insert(view, step.now.monotonic);
            self.cast(step, Statement::Finalize(view, block), None);
        }
    }
}
