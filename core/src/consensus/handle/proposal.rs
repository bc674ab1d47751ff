//! What happens on a proposal: whether it is well formed, whether its block may be voted for, and what it waits
//! for while that is not known.

use std::sync::Arc;

use crate::{
    consensus::{
        Application, Check, Consensus, Judgement, Step,
        rules::{PILE_MAX, PROPOSALS_AHEAD_MAX, SNAPSHOTS_MAX},
        state::{Candidate, Judged, Kind, Round},
    },
    digest::Digest,
    fault::{Fault, is_planted},
    invariant::known,
    types::{Block, Certificate, Header, Height, Proposal, Role, Statement, Vote},
};

/// What is wrong with a closing block by itself. It must order nothing. It must carry the last block's result
/// if it names the next authorities, and otherwise no result.
fn closing_flaw(block: &Block) -> Option<&'static str> {
    let Header { role, height, final_height, result_height, result, ref snapshots, .. } = block.header;
    let knows = role.next_authorities().is_some();
    let none = (Height(0), Digest::ZERO);
    [
        (!block.transactions.is_empty() || !snapshots.is_empty(), "a closing block that orders or shows something"),
        (knows != (final_height == height) || final_height > height, "a closing block with an F that is not its due"),
        (knows && result_height != height, "a closing block with another result than its epoch's"),
        (!knows && (result_height, result) != none, "a closing block with a result that nobody may know"),
    ]
    .into_iter()
    .find_map(|(wrong, why)| wrong.then_some(why))
}

impl Consensus {
    /// Takes a leader's block, by gossip or from another authority. It checks what needs no parent;
    /// [`Consensus::judge`] checks the rest.
    pub(super) fn on_proposal(&mut self, step: &mut Step<'_>, proposal: Arc<Proposal>, digest: Digest) -> Judgement {
        let header = &proposal.block.header;
        let view = header.view;
        if header.epoch != self.tip.epoch {
            return Judgement::Ignore("a proposal of another epoch");
        }
        if view <= self.tip.view {
            return Judgement::Ignore("a proposal of a view that is over");
        }
        if view.0 > self.view.0.saturating_add(PROPOSALS_AHEAD_MAX) {
            return Judgement::Ignore("a proposal too far ahead");
        }
        if self.final_view() > self.tip.view && header.height.0 > self.tip.height.0.saturating_add(PILE_MAX) {
            // Missing final blocks are fetched by range, with the blocks above them, so none is kept here.
            return Judgement::Ignore("a proposal far above what is final here, which is behind");
        }
        if let Some(known) = self.candidate(&digest) {
            let judgement = known.judgement();
            return if *known.proposal == *proposal { judgement } else { self.on_other_copy(step, proposal, digest) };
        }
        let statement = Statement::Notarize(view, digest);
        let leader = self.rules.leader(view);
        let vote = Vote { epoch: self.tip.epoch, statement, voter: leader, signature: proposal.signature };
        let checked = self.round(view).is_some_and(|round| round.knows(&vote));
        if !checked && !self.verify(&vote) {
            return Judgement::Reject("a proposal that its leader did not sign");
        }
        if Some(leader) == self.me {
            self.on_own_vote(step, &vote);
        }
        if let Some(why) = self.flaw(&proposal) {
            return Judgement::Reject(why);
        }
        if let Some(finalization) = proposal.finalization.clone()
            && let Judgement::Reject(why) = self.on_shown_finalization(step, finalization)
        {
            // A peer that knows of a newer finalization did not look at this one before passing it on.
            return Judgement::Ignore(why);
        }
        let refused =
            self.insert_candidate(Candidate::new(proposal, digest, Judged::Deferred("not its view's turn yet")));
        if Some(leader) != self.me && self.me.is_some() && !checked {
            self.record(step, vote);
        }
        if let Some(why) = refused {
            return Judgement::Ignore(why);
        }
        self.on_notarized_block(step.now, view);
        Judgement::Accept
    }

    /// Takes a second version of a known block. It can differ only in the finalization that it carries, which
    /// nobody signed. It helps where the first one came without, and is never forwarded.
    fn on_other_copy(&mut self, step: &mut Step<'_>, proposal: Arc<Proposal>, digest: Digest) -> Judgement {
        let same_vote = self.candidate(&digest).is_some_and(|known| known.proposal.signature == proposal.signature);
        let Some(finalization) = proposal.finalization.clone().filter(|_| same_vote) else {
            return Judgement::Ignore("a proposal that is known");
        };
        if self.on_shown_finalization(step, finalization) == Judgement::Accept
            && let Some(known) = self.candidate_mut(&digest)
            && known.proposal.finalization.is_none()
        {
            known.proposal = proposal;
        }
        Judgement::Ignore("a proposal that is known")
    }

    fn on_shown_finalization(&mut self, step: &mut Step<'_>, finalization: Certificate) -> Judgement {
        let Statement::Finalize(view, _) = finalization.statement else {
            return Judgement::Reject("a proposal that shows something else for a finalization");
        };
        let judgement = self.on_certificate(step, finalization);
        if !matches!(judgement, Judgement::Reject(_)) {
            // Nobody signed which finalization a proposal carries, so it counts only as far as this node knows
            // it to hold.
            self.went_over_gossip(view.min(self.final_view()));
        }
        judgement
    }

    /// What is wrong with a proposal by itself, whatever its parent.
    fn flaw(&self, proposal: &Proposal) -> Option<&'static str> {
        let block = &proposal.block;
        let Header { role, height, final_height, result_height, ref snapshots, .. } = block.header;
        let round = &self.rules.genesis.consensus;
        let is_odd = |certificate: &Certificate| {
            certificate.epoch != self.tip.epoch || !certificate.has_shape(self.rules.authorities(), self.rules.quorum)
        };
        if role.is_closing()
            && let Some(why) = closing_flaw(block)
        {
            return Some(why);
        }
        let piled = height.0.saturating_sub(final_height.0) > PILE_MAX;
        [
            (final_height >= height && !role.is_closing(), "a block that calls itself final"),
            (role == Role::Last && !self.rules.is_gate(height), "a last block at no gate"),
            (result_height > final_height, "a block with a result above what is final"),
            (block.transactions.len() > round.block_transactions_max, "a block of too many transactions"),
            (block.transaction_bytes() > round.block_bytes_max, "a block of too many bytes"),
            (piled && !block.transactions.is_empty(), "a block with transactions too far above what is final"),
            (snapshots.len() > SNAPSHOTS_MAX, "a block of too many snapshot digests"),
            (proposal.finalization.as_ref().is_some_and(is_odd), "a proposal with what can be no finalization"),
            (!block.is_whole(), "a block whose header names other transactions"),
        ]
        .into_iter()
        .find_map(|(wrong, why)| wrong.then_some(why))
    }

    /// Votes for the first valid proposal of the present view. Returns whether it did.
    pub(super) fn judge<A: Application>(&mut self, step: &mut Step<'_>, app: &mut A) -> bool {
        let view = self.view;
        let may = self.own(view, Kind::Notarize).is_none() || is_planted(Fault::SecondVote);
        if !self.votes() || !may {
            return false;
        }
        let candidates = self.round(view).map_or(&[][..], |round| &round.candidates);
        let held = candidates.iter().filter(|candidate| matches!(candidate.judged, Judged::Deferred(_)));
        let held: Vec<Digest> = held.map(|candidate| candidate.digest).collect();
        for digest in held {
            let Some(candidate) = known(self.candidate(&digest)) else { continue };
            let proposal = Arc::clone(&candidate.proposal);
            let judged = self.judge_block(step, &proposal, &digest, app);
            if let Some(candidate) = self.candidate_mut(&digest) {
                candidate.judged = judged;
            }
            if judged == Judged::Valid {
                self.cast(step, Statement::Notarize(view, digest), Some(proposal));
                return true;
            }
        }
        false
    }

    fn judge_block<A: Application>(
        &mut self,
        step: &Step<'_>,
        proposal: &Proposal,
        digest: &Digest,
        app: &mut A,
    ) -> Judged {
        if let Some(judged) = self.judge_links(step, &proposal.block.header) {
            return judged;
        }
        let executed = self.executed;
        if self.candidate(digest).is_some_and(|candidate| candidate.later_at == Some(executed)) {
            return Judged::Deferred("its result is not executed here yet");
        }
        let Some(ancestors) = self.ancestors(&proposal.block.header.parent) else {
            return Judged::Deferred("an ancestor is missing");
        };
        if let Some(judged) = self.judge_role(&proposal.block.header, app) {
            return judged;
        }
        // The voter's tip is at least the proposal's F, so the voter counts no block that the leader did not.
        let unfinal = self.unfinal_bytes(&ancestors);
        if unfinal > 0 && unfinal.saturating_add(proposal.block.transaction_bytes()) > self.rules.run_bytes_max() {
            return Judged::Invalid("a block on more that is not final than could be fetched together");
        }
        match app.check(&proposal.block, &ancestors) {
            Check::Valid => Judged::Valid,
            Check::Invalid(why) => Judged::Invalid(why),
            Check::Later => {
                if let Some(candidate) = self.candidate_mut(digest) {
                    candidate.later_at = Some(executed);
                }
                Judged::Deferred("its result is not executed here yet")
            }
        }
    }

    /// Judges the role of a block whose links are good: a closing block, and a block at a gate that is its
    /// epoch's last or not. Both depend on what is executed here.
    fn judge_role<A: Application>(&self, header: &Header, app: &mut A) -> Option<Judged> {
        let unknown = Judged::Deferred("its result is not executed here yet");
        match header.role {
            Role::Closing(None) => Some(Judged::Valid),
            Role::Closing(Some(_)) if self.executed < header.height => Some(unknown),
            Role::Closing(Some(next)) => {
                let Some(close) = app.close(header.height) else { return Some(unknown) };
                let same = close.result == header.result && close.next.digest() == next;
                Some(if same || is_planted(Fault::NextOnTrust) {
                    Judged::Valid
                } else {
                    Judged::Invalid("its epoch came to something else by this node's execution")
                })
            }
            Role::Inner | Role::Last if self.rules.is_gate(header.height) => {
                if self.executed < header.result_height {
                    return Some(unknown);
                }
                let ends = app.has_change(self.tip.epoch, header.result_height);
                let wrong = (header.role == Role::Last) != ends && !is_planted(Fault::LastOnTrust);
                wrong.then_some(Judged::Invalid("at a gate, and not what the result there makes it"))
            }
            Role::Inner | Role::Last => None,
        }
    }

    /// The bytes of those of these blocks that are not final here.
    pub(super) fn unfinal_bytes(&self, ancestors: &[Arc<Block>]) -> usize {
        let unfinal = ancestors.iter().filter(|block| block.header.height > self.tip.height);
        unfinal.map(|block| block.transaction_bytes()).sum()
    }

    /// What is wrong with a header given its parent; `None` if nothing is.
    fn judge_links(&mut self, step: &Step<'_>, header: &Header) -> Option<Judged> {
        if !header.role.is_closing() && header.height <= self.tip.height {
            return Some(Judged::Invalid("a block below what is final"));
        }
        let Some(parent) = self.parent(&header.parent) else {
            return Some(Judged::Deferred("its parent is missing"));
        };
        let later = parent.time.0.saturating_add(1);
        let (closing, next) = (header.role.is_closing(), header.role.next_authorities());
        let wrong = [
            (parent.view >= header.view, "a block in a view before its parent's"),
            (parent.role.ends_epoch() && !closing, "a block above its epoch's last"),
            (closing && !parent.role.ends_epoch(), "a closing block on one that is not its epoch's last"),
            (!header.stands_at(parent.height), "a block at a height that is not its parent's and one"),
            (!closing && header.time.0 < later, "a block that is not later than its parent"),
            (closing && header.time != parent.time, "a closing block of another time than its epoch's last"),
            (header.final_height < parent.final_height, "a block that knows less to be final than its parent"),
            (
                closing && next.is_none() && header.final_height != parent.final_height,
                "a closing block that names nobody and knows more to be final than its parent",
            ),
            (
                !closing && header.result_height != parent.final_height,
                "a block with the result of another height than its parent's F",
            ),
        ];
        if let Some((_, why)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
            return Some(Judged::Invalid(why));
        }
        let certified =
            parent.view == self.tip.view || self.round(parent.view).and_then(Round::notarized) == Some(parent.digest);
        if !certified {
            return Some(Judged::Deferred("its parent is not notarized here"));
        }
        let passed = &mut crate::consensus::chain::Missing::default();
        if !self.nullified_between(parent.view, header.view, passed) && !is_planted(Fault::ViewsSkipped) {
            return Some(Judged::Deferred("a view between its parent and it is open here"));
        }
        // The chain passes through the tip, so what is final up to the tip are the block's own ancestors.
        if header.final_height > self.tip.height && !is_planted(Fault::FinalOnTrust) {
            return Some(Judged::Deferred("its F is not final here"));
        }
        if closing {
            return None;
        }
        let ahead_us = header.time.0.saturating_sub(step.now.clock.0.saturating_add(self.rules.clock_bound_us));
        if ahead_us > 0 && header.time.0 != later && !is_planted(Fault::TimeOnTrust) {
            self.view_state.judge_at = Some(step.now.monotonic.plus_us(ahead_us));
            return Some(Judged::Deferred("its time has not come"));
        }
        None
    }
}
