//! One file for each kind of input, and the loop that acts on the consequences.

mod ask;
mod certificate;
mod epoch;
mod finality;
mod proposal;
mod propose;
mod rival;
mod sync;
mod tell;
mod timer;
mod vote;

use super::{
    Application, Consensus, Effect, Input, Judgement, Monotonic, Now, Step, VotingStatus,
    state::{Kind, Round},
};
use crate::{
    digest::Digest,
    types::{Statement, View},
};

impl Consensus {
    /// Handles one input and all its immediate consequences. Adds effects to `effects`, in the order in which
    /// the driver must carry them out.
    pub fn handle<A: Application>(
        &mut self,
        now: Now,
        input: Input,
        app: &mut A,
        effects: &mut Vec<Effect>,
    ) -> Judgement {
        debug_assert!(now.monotonic >= self.last, "a monotonic clock does not go back");
        self.last = self.last.max(now.monotonic);
        self.again = false;
        let mut step = Step { now, effects, votes: Vec::new() };
        if !self.started {
            self.start(&mut step);
        }
        if let Some(held) = self.hold_early(&input) {
            return held;
        }
        let judgement = match input {
            Input::Tick => Judgement::Accept,
            Input::Proposal(proposal) => {
                let digest = proposal.block.header.digest();
                let judgement = self.on_proposal(&mut step, proposal.into(), digest);
                self.advance(&mut step, app);
                self.send_votes(&mut step);
                return self.settle(judgement, &digest);
            }
            Input::Votes(votes) => self.on_votes(&mut step, votes),
            Input::Certificate(certificate) => self.on_gossiped(&mut step, certificate),
            Input::Ask { from, ask } => self.on_ask(&mut step, from, &ask),
            Input::Tell(tell) => self.on_tell(&mut step, tell),
            Input::Blocks { blocks, finalization } => self.on_blocks(&mut step, blocks, finalization),
            Input::Evidence(evidence) => self.on_evidence(&mut step, evidence),
            Input::Pending(pending) => {
                self.pending = pending;
                self.view_state.fresh = true;
                Judgement::Accept
            }
            Input::Executed(height) => self.on_executed(height),
        };
        self.advance(&mut step, app);
        self.send_votes(&mut step);
        judgement
    }

    /// Returns the verdict on a proposal, after its block has been judged if that is possible yet.
    fn settle(&self, judgement: Judgement, digest: &Digest) -> Judgement {
        let candidate = self.candidate(digest).filter(|_| judgement == Judgement::Accept);
        match candidate.map(|candidate| (candidate.header().view, candidate.judgement())) {
            Some((_, refused @ Judgement::Ignore(_))) => refused,
            Some((view, held)) if self.votes() && view >= self.view => held,
            _ => judgement,
        }
    }

    /// Acts on the consequences until there are none. In an epoch that is over, the only one is that the next
    /// begins.
    fn advance<A: Application>(&mut self, step: &mut Step<'_>, app: &mut A) {
        while self.finalize_chain(step)
            || if self.is_over() {
                self.change_epoch(step, app)
            } else {
                self.look_for_reason(step, app)
                    || self.judge(step, app)
                    || self.propose(step, app)
                    || self.give_up(step)
            }
        {}
        self.keep_asking(step);
        self.gossip_late(step);
        debug_assert!(self.view > self.tip.view);
    }

    /// Handles the first call: timers begin, and what the journal held takes effect.
    fn start(&mut self, step: &mut Step<'_>) {
        self.started = true;
        for round in self.rounds.values_mut() {
            let signers = round.certificates.values().flat_map(|certificate| certificate.signers.iter());
            let voters = round.votes.keys().map(|(_, voter)| *voter);
            round.heard = signers.chain(voters).collect();
        }
        let view = self.view;
        self.begin(step, view);
        let views: Vec<View> = self.rounds.keys().copied().collect();
        for view in views {
            self.take_up(step, view);
        }
    }

    /// Acts on a restored round. It forms a certificate from this node's votes (where they are a quorum), sends
    /// the finalize vote that a notarization asks for, and waits for finality.
    fn take_up(&mut self, step: &mut Step<'_>, view: View) {
        for kind in [Kind::Notarize, Kind::Nullify, Kind::Finalize] {
            if let Some(statement) = self.own(view, kind) {
                self.tally(step, statement);
            }
        }
        if self.own(view, Kind::Finalize).is_some() {
            self.finalize_sent.insert(view, step.now.monotonic);
        }
        if let Some(digest) = self.round(view).and_then(Round::notarized) {
            self.on_notarized_block(step.now, view);
            self.finalize(step, view, digest);
        }
    }

    /// Sends this node's votes together, once all consequences of this call are known.
    fn send_votes(&self, step: &mut Step<'_>) {
        let votes = std::mem::take(&mut step.votes);
        if !votes.is_empty() && self.rules.authorities() > 1 {
            step.effects.push(Effect::SendVotes(votes));
        }
    }

    /// When to call with [`Input::Tick`], if no other input comes before. `None`: not at all.
    #[must_use]
    pub fn next_wake(&self) -> Option<Monotonic> {
        if !self.started {
            return Some(self.last);
        }
        if self.again {
            return Some(self.last.plus_us(1));
        }
        let mut wakes = vec![self.ask_due(), self.gossip_at];
        if self.me.is_some() {
            let view_state = &self.view_state;
            wakes.push(view_state.judge_at);
            wakes.push(Some(view_state.deadline));
            if view_state.quiet {
                wakes.push(self.uncovered_due());
                let leads = Some(self.leader()) == self.me;
                wakes.push(leads.then(|| view_state.entered.plus_us(self.rules.heartbeat_us)));
            }
        }
        // Whatever was due by the last call was done then, or waits for something else.
        wakes.into_iter().flatten().filter(|wake| *wake > self.last).min()
    }

    /// Stops voting for good: this key votes, or voted, somewhere else.
    fn stop(&mut self, step: &mut Step<'_>) {
        if self.votes() {
            self.stop_voting(VotingStatus::VoteUnknown);
            step.effects.push(Effect::Persist(super::Record::Stopped));
            step.effects.push(Effect::VotingStatus(self.voting_status()));
            step.votes.clear();
        }
    }

    /// Whether this statement is about a view above the final tip's.
    fn is_open(&self, statement: &Statement) -> bool {
        statement.view() > self.tip.view
    }
}
