//! Ask: when something is overdue, an authority says what it has and asks for what it lacks.

use crate::{
    consensus::{
        Ask, Consensus, Effect, Message, Monotonic, Step, Tell,
        rules::TELL_VOTES_MAX,
        state::{Kind, Round},
    },
    types::{AuthorityIndex, Certificate, View, Vote},
};

impl Consensus {
    /// When to ask next: Δ after the view's timer has run out, after a finalize vote whose block has not become
    /// final, or after something named was first missed; and at least Δ after the last ask.
    pub(super) fn ask_due(&self) -> Option<Monotonic> {
        let authority = self.me.is_some();
        let stuck = authority.then_some(self.view_state.deadline);
        let unfinal = self.finalize_sent.values().next().copied();
        let first = [stuck, unfinal, self.missing_since.oldest()].into_iter().flatten().min()?;
        let due = first.max(self.asked.unwrap_or_default());
        Some(due.plus_us(self.rules.delta_us))
    }

    /// Records what is missing, and asks when it is time.
    pub(super) fn keep_asking(&mut self, step: &mut Step<'_>) {
        let now = step.now.monotonic;
        self.missing_since.update(&self.missing(), now);
        if self.ask_due().is_none_or(|due| due > now) {
            return;
        }
        self.asked = Some(now);
        if let Some(finalization) = self.finalization.clone().filter(|newest| self.is_open(&newest.statement)) {
            step.effects.push(Effect::Behind { from: self.tip.height.next(), finalization });
        }
        if self.me.is_some() {
            self.ask(step);
        }
    }

    /// Sends every other authority this node's votes and the certificates that led here, and asks for more.
    /// Large things are asked of f + 1 authorities at a time, in turn: at least one of them is honest.
    fn ask(&mut self, step: &mut Step<'_>) {
        let tell = Message::Tell(self.news());
        let others: Vec<AuthorityIndex> = self.rules.indices().filter(|other| Some(*other) != self.me).collect();
        let asked_for_blocks = (self.rules.faulty_max + 1).min(others.len());
        let lacks_proposal = self.round(self.view).is_none_or(|round| round.candidates.is_empty());
        for (place, to) in others.iter().enumerate() {
            let turn = (place + others.len() - self.ask_turn % others.len()) % others.len();
            let large = turn < asked_for_blocks;
            let ask = Ask {
                epoch: self.tip.epoch,
                view: self.view,
                final_view: self.final_view(),
                final_height: self.tip.height,
                proposal: large && lacks_proposal,
                views: self.missing_since.views.keys().copied().collect(),
                blocks: if large { self.missing_since.blocks.keys().copied().collect() } else { Vec::new() },
            };
            step.effects.push(Effect::Send { to: *to, message: tell.clone() });
            step.effects.push(Effect::Send { to: *to, message: Message::Ask(ask) });
        }
        if !others.is_empty() {
            self.ask_turn = (self.ask_turn + asked_for_blocks) % others.len();
        }
    }

    /// The view of the newest finalization known.
    pub(super) fn final_view(&self) -> View {
        self.finalization.as_ref().map_or(View(0), |newest| newest.statement.view())
    }

    /// What an authority tells without being asked.
    fn news(&self) -> Tell {
        let last = self.round(View(self.view.0.saturating_sub(1)));
        let led_here = last.into_iter().flat_map(|round| round.certificates.values());
        let certificates: Vec<Certificate> = self.finalization.iter().chain(led_here).cloned().collect();
        Tell { certificates: distinct(certificates), proposals: Vec::new(), votes: self.own_votes(self.final_view()) }
    }

    /// This node's newest votes above a view, oldest first.
    pub(super) fn own_votes(&self, above: View) -> Vec<Vote> {
        let Some(me) = self.me else { return Vec::new() };
        let of = |round: &Round, kind| round.vote(kind, me).copied();
        let rounds = self.rounds.range(above.next()..).rev();
        let votes = rounds.flat_map(|(_, round)| {
            [Kind::Finalize, Kind::Nullify, Kind::Notarize].into_iter().filter_map(move |kind| of(round, kind))
        });
        let votes = votes.take(TELL_VOTES_MAX);
        let mut votes: Vec<Vote> = votes
            .map(|(statement, signature)| Vote { epoch: self.tip.epoch, statement, voter: me, signature })
            .collect();
        votes.reverse();
        votes
    }
}

/// The same certificates without repeats.
pub(super) fn distinct(certificates: Vec<Certificate>) -> Vec<Certificate> {
    let mut seen = Vec::new();
    certificates
        .into_iter()
        .filter(|certificate| {
            let new = !seen.contains(&certificate.statement);
            seen.push(certificate.statement);
            new
        })
        .collect()
}
