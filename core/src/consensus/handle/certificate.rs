//! What happens on a certificate, whether it arrived or was formed here.

use crate::{
    consensus::{
        Consensus, Effect, Judgement, Now, Record, Step,
        state::{Kind, Round},
    },
    fault::{Fault, is_planted},
    types::{Certificate, Statement, View},
};

impl Consensus {
    /// A certificate over gossip, where only finalizations travel.
    pub(super) fn on_gossiped(&mut self, step: &mut Step<'_>, certificate: Certificate) -> Judgement {
        let Statement::Finalize(view, _) = certificate.statement else {
            return Judgement::Reject("a certificate that does not travel by gossip");
        };
        if certificate.epoch != self.tip.epoch {
            let ended = self.handover.as_ref().filter(|_| self.finalization.is_none());
            if ended.is_some_and(|ended| ended.statement == certificate.statement) {
                self.gossip_at = None;
            }
            return Judgement::Ignore("a certificate of another epoch");
        }
        if let Some(judgement) = self.on_rival(step, &certificate) {
            return judgement;
        }
        if view <= self.gossiped || view < self.tip.view {
            return Judgement::Ignore("a finalization that is known");
        }
        // A finalization that is known here is still news to peers that gossip has yet to reach, if it is good.
        if !self.verify_certificate(&certificate) {
            return Judgement::Reject("a finalization that does not hold");
        }
        self.shown(step, &certificate);
        self.went_over_gossip(view);
        if self.is_open(&certificate.statement) {
            self.adopt(step, certificate);
        }
        Judgement::Accept
    }

    /// A certificate from an authority, or inside a proposal.
    pub(super) fn on_certificate(&mut self, step: &mut Step<'_>, certificate: Certificate) -> Judgement {
        let (view, kind) = (certificate.statement.view(), Kind::of(&certificate.statement));
        if certificate.epoch != self.tip.epoch {
            return Judgement::Ignore("a certificate of another epoch");
        }
        if let Some(judgement) = self.on_rival(step, &certificate) {
            return judgement;
        }
        if view <= self.tip.view || self.round(view).is_some_and(|round| round.certificates.contains_key(&kind)) {
            if is_planted(Fault::OldOwnVoteStops) && self.verify_certificate(&certificate) {
                self.shown(step, &certificate);
            }
            return Judgement::Ignore("a certificate that is known");
        }
        if !self.verify_certificate(&certificate) {
            return Judgement::Reject("a certificate that does not hold");
        }
        self.shown(step, &certificate);
        self.adopt(step, certificate);
        Judgement::Accept
    }

    /// Whether a quorum signed the certificate. Signatures that were checked as votes are not checked again.
    pub(super) fn verify_certificate(&self, certificate: &Certificate) -> bool {
        let round = self.round(certificate.statement.view());
        let known = |vote: &_| round.is_some_and(|round| round.knows(vote));
        certificate.verify_with(&self.rules.keys, self.rules.quorum, &self.rules.network, known)
    }

    /// Looks in a good certificate for a vote of this authority that its journal lacks.
    fn shown(&mut self, step: &mut Step<'_>, certificate: &Certificate) {
        if let Some(vote) = certificate.votes().find(|vote| Some(vote.voter) == self.me) {
            self.on_own_vote(step, &vote);
        }
    }

    /// Acts on a certificate that is good and new, exactly as on the votes in it.
    pub(super) fn adopt(&mut self, step: &mut Step<'_>, certificate: Certificate) {
        let (statement, view) = (certificate.statement, certificate.statement.view());
        debug_assert!(self.is_open(&statement));
        for voter in certificate.signers.iter().collect::<Vec<_>>() {
            self.hear(view, voter);
        }
        if self.votes() {
            step.effects.push(Effect::Persist(Record::Certified(certificate.clone())));
        }
        let newest = self.finalization.as_ref().map(|newest| newest.statement.view());
        let newest = newest.is_none_or(|newest| newest < view);
        if matches!(statement, Statement::Finalize(..)) && newest {
            self.finalization = Some(certificate.clone());
            self.finalize_sent = self.finalize_sent.split_off(&view.next());
        }
        self.round_mut(view).certificates.entry(Kind::of(&statement)).or_insert(certificate);
        match statement {
            Statement::Notarize(_, block) => {
                self.on_notarized_block(step.now, view);
                self.finalize(step, view, block);
            }
            Statement::Finalize(..) => self.on_notarized_block(step.now, view),
            Statement::Nullify(_) => {}
        }
        // The lines above may have moved this node on already.
        if view >= self.view {
            self.begin(step, view.next());
        }
    }

    /// Handles a block that is both here and notarized, whichever came first. It covers the results up to its
    /// R. If it holds transactions, its own result must be covered.
    pub(super) fn on_notarized_block(&mut self, now: Now, view: View) {
        let Some(digest) = self.round(view).and_then(Round::notarized) else { return };
        let Some(candidate) = self.candidate(&digest) else { return };
        let (header, empty) = (candidate.header(), candidate.block().transactions.is_empty());
        let (height, result_height) = (header.height, header.result_height);
        if !empty {
            self.uncovered.entry(view).or_insert((height, now.monotonic));
        }
        self.cover(result_height);
    }

    /// Spreads the newest finalization, unless it is known to have gone over gossip: at once if this node leads
    /// the next view, and otherwise Δ later if none has come by then.
    pub(super) fn spread(&mut self, step: &mut Step<'_>, view: View) {
        if view <= self.gossiped || !self.votes() {
            return;
        }
        if Some(self.rules.leader(view.next())) == self.me {
            self.gossip(step);
        } else if self.gossip_at.is_none() {
            self.gossip_at = Some(step.now.monotonic.plus_us(self.rules.delta_us));
        }
    }

    pub(super) fn gossip_late(&mut self, step: &mut Step<'_>) {
        if self.gossip_at.is_some_and(|due| due <= step.now.monotonic) {
            self.gossip(step);
        }
    }

    fn gossip(&mut self, step: &mut Step<'_>) {
        if let Some(finalization) = self.finalization.clone() {
            self.went_over_gossip(finalization.statement.view());
            step.effects.push(Effect::GossipFinalization(finalization));
        } else if let Some(handover) = self.handover.clone() {
            self.gossip_at = None;
            step.effects.push(Effect::GossipFinalization(handover));
        }
    }

    /// Notes that everyone has a finalization of this view, or soon will.
    pub(super) fn went_over_gossip(&mut self, view: View) {
        self.gossiped = self.gossiped.max(view);
        let newest = self.finalization.as_ref().map_or(View(0), |newest| newest.statement.view());
        if newest <= self.gossiped {
            self.gossip_at = None;
        }
    }
}
