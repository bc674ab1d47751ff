//! Tell: the answer to an ask, and what happens when it comes.

use std::sync::Arc;

use super::ask::distinct;
use crate::{
    consensus::{
        Ask, Consensus, Effect, Judgement, Message, Step, Tell,
        rules::{NAMED_MAX, TELL_BYTES, TELL_CERTIFICATES_MAX, TELL_PROPOSALS_MAX, TELL_VOTES_MAX},
        state::Kind,
    },
    digest::Digest,
    types::{AuthorityIndex, Certificate, Height, Proposal, View},
};

/// About how many bytes a proposal takes on the wire, rather too many than too few.
fn wire_bytes(proposal: &Proposal) -> usize {
    let signatures = proposal.finalization.as_ref().map_or(0, |shown| shown.signatures.len());
    let header = 512 + 64 * proposal.block.header.snapshots.len();
    proposal.block.transaction_bytes() + header + 80 * signatures
}

impl Consensus {
    /// Answers an authority, at most once per half a Δ: an authority asks once per Δ, and asks on the way may
    /// bunch up.
    pub(super) fn on_ask(&mut self, step: &mut Step<'_>, from: AuthorityIndex, ask: &Ask) -> Judgement {
        if ask.epoch != self.tip.epoch {
            return Judgement::Ignore("an ask of another epoch");
        }
        if self.me.is_none() || Some(from) == self.me || usize::from(from.0) >= self.rules.authorities() {
            return Judgement::Ignore("an ask for nobody here");
        }
        if ask.blocks.len() > NAMED_MAX || ask.views.len() > NAMED_MAX {
            return Judgement::Reject("an ask for too much");
        }
        let now = step.now.monotonic;
        let again_at = self.answered.get(&from).map(|last| last.plus_us(self.rules.delta_us / 2));
        if again_at.is_some_and(|again| again > now) {
            return Judgement::Ignore("an ask too soon");
        }
        let tell = Tell {
            certificates: self.certificates_for(ask),
            proposals: self.proposals_for(ask),
            votes: self.own_votes(ask.final_view),
        };
        if tell == Tell::default() {
            return Judgement::Accept;
        }
        self.answered.insert(from, now);
        step.effects.push(Effect::Send { to: from, message: Message::Tell(tell) });
        Judgement::Accept
    }

    /// The newest finalization; the certificate that leads the asker to this node's view; and the certificates
    /// of the views that it names, of the blocks that it names, and of the views from its own on.
    fn certificates_for(&self, ask: &Ask) -> Vec<Certificate> {
        let newest = self.finalization.iter().filter(|newest| newest.statement.view() > ask.final_view);
        let mut certificates: Vec<Certificate> = newest.cloned().collect();
        let last = View(self.view.0.saturating_sub(1));
        let above_final = ask.view.max(self.tip.view.next());
        let ahead = above_final <= last;
        let of_blocks = ask.blocks.iter().filter_map(|block| self.index.get(block).copied());
        let run = self.rounds.range(above_final..=last.max(above_final)).map(|(view, _)| *view).filter(|_| ahead);
        let views =
            std::iter::once(last).filter(|_| ahead).chain(ask.views.iter().copied()).chain(of_blocks).chain(run);
        for round in views.take(3 * NAMED_MAX).filter_map(|view| self.round(view)) {
            certificates.extend(round.certificates.values().cloned());
        }
        let mut certificates = distinct(certificates);
        certificates.truncate(TELL_CERTIFICATES_MAX);
        certificates
    }

    /// The blocks that the asker names, with their ancestors above its final height, and the block of its view.
    fn proposals_for(&self, ask: &Ask) -> Vec<Arc<Proposal>> {
        let mut proposals: Vec<Arc<Proposal>> = Vec::new();
        let mut bytes = 0;
        let mut take = |proposal: &Arc<Proposal>| {
            let known = proposals.iter().any(|taken| Arc::ptr_eq(taken, proposal));
            if proposals.len() < TELL_PROPOSALS_MAX && bytes <= TELL_BYTES && !known {
                bytes += wire_bytes(proposal);
                proposals.push(Arc::clone(proposal));
            }
        };
        if let Some(round) = self.round(ask.view).filter(|_| ask.proposal && ask.view > self.tip.view) {
            let voted = self.own(ask.view, Kind::Notarize).and_then(|statement| statement.block());
            let best = round.notarized().or(voted);
            let chosen = round.candidates.iter().find(|candidate| Some(candidate.digest) == best);
            chosen.or(round.candidates.first()).into_iter().for_each(|candidate| take(&candidate.proposal));
        }
        for block in &ask.blocks {
            self.lineage(block, ask.final_height).iter().for_each(&mut take);
        }
        proposals.sort_by_key(|proposal| proposal.block.header.view);
        proposals
    }

    /// A block and its ancestors above a height, as far as they are here and fit, newest first.
    fn lineage(&self, block: &Digest, above: Height) -> Vec<Arc<Proposal>> {
        let mut lineage = Vec::new();
        let mut next = *block;
        while let Some(candidate) = self.candidate(&next).filter(|candidate| {
            let header = candidate.header();
            header.height > above || header.role.is_closing() && header.height == above
        }) {
            if lineage.len() >= TELL_PROPOSALS_MAX {
                break;
            }
            lineage.push(Arc::clone(&candidate.proposal));
            next = candidate.header().parent;
        }
        lineage
    }

    /// Takes what another authority tells: certificates before the proposals that stand on them, and both
    /// before votes.
    pub(super) fn on_tell(&mut self, step: &mut Step<'_>, tell: Tell) -> Judgement {
        let Tell { certificates, proposals, votes } = tell;
        let too_much = certificates.len() > TELL_CERTIFICATES_MAX
            || proposals.len() > TELL_PROPOSALS_MAX
            || votes.len() > TELL_VOTES_MAX;
        if too_much {
            return Judgement::Reject("a tell of too much");
        }
        let mut judgement = Judgement::Ignore("nothing new");
        for certificate in certificates {
            judgement = judgement.and(self.on_certificate(step, certificate));
        }
        for proposal in proposals {
            let digest = proposal.block.header.digest();
            judgement = judgement.and(self.on_proposal(step, proposal, digest));
        }
        for vote in votes {
            judgement = judgement.and(self.on_vote(step, vote));
        }
        judgement
    }
}
