//! How a view begins, what makes it hurry, and when it is given up.

use crate::{
    consensus::{
        Application, Consensus, Step,
        chain::Missing,
        state::{Kind, ViewState},
    },
    fault::{Fault, is_planted},
    types::{Statement, View},
};

impl Consensus {
    /// Enters a view. Its timer starts a heartbeat later, or as soon as there is a reason for a block.
    pub(super) fn begin(&mut self, step: &mut Step<'_>, view: View) {
        debug_assert!(view >= self.view);
        self.view = view;
        let now = step.now.monotonic;
        self.view_state = ViewState::new(now, self.rules.timeout_us(self.failed_views()));
        self.view_state.deadline = now.plus_us(self.rules.heartbeat_us).plus_us(self.view_state.timeout_us);
    }

    /// The views above the last finalization that were nullified here *or* by a quorum. Counting only the
    /// latter could halt the network for ever. When the real delay lies between half a timeout and a whole one,
    /// each view is notarized late, nobody may finalize it, and no timer grows.
    fn failed_views(&self) -> usize {
        let last_final = self.finalization.as_ref().map_or(self.tip.view, |newest| newest.statement.view());
        let above = self.rounds.range(last_final.max(self.tip.view).next()..);
        let failed = above.filter(|(view, round)| {
            if is_planted(Fault::TimersGrowBySome) {
                return round.nullified() && round.notarized().is_none();
            }
            round.nullified() || self.own(**view, Kind::Nullify).is_some()
        });
        if is_planted(Fault::TimersNeverGrow) { 0 } else { failed.count() }
    }

    /// Ends the quiet of a view, once there is a reason for a block. Returns whether it did.
    pub(super) fn look_for_reason<A: Application>(&mut self, step: &mut Step<'_>, app: &mut A) -> bool {
        if !self.view_state.quiet || self.me.is_none() {
            return false;
        }
        let now = step.now.monotonic;
        if !self.is_closing() && self.uncovered_due().is_none_or(|due| due > now) && !self.has_pending(app) {
            return false;
        }
        self.view_state.quiet = false;
        self.view_state.deadline = self.view_state.deadline.min(now.plus_us(self.view_state.timeout_us));
        true
    }

    /// Whether something is left to order above the block that this view would stand on. Asks the application
    /// once each time that its answer may have changed.
    fn has_pending<A: Application>(&mut self, app: &mut A) -> bool {
        if !self.pending || !self.view_state.fresh {
            return false;
        }
        let parent = self.best_parent(&mut Missing::default());
        if let Some(ancestors) = parent.and_then(|parent| self.ancestors(&parent.digest)) {
            self.view_state.fresh = false;
            return app.has_pending(&ancestors);
        }
        // While blocks are lacking, this node cannot know what is ordered already. That must not last for a
        // heartbeat.
        let hurried = self.view_state.entered.plus_us(self.view_state.timeout_us);
        self.view_state.deadline = self.view_state.deadline.min(hurried.max(self.last));
        false
    }

    /// Nullifies a view whose time is over, or whose leader is silent. Returns whether it did.
    pub(super) fn give_up(&mut self, step: &mut Step<'_>) -> bool {
        let view = self.view;
        let said = |kind| self.own(view, kind).is_some();
        if !self.votes() || said(Kind::Nullify) || said(Kind::Finalize) {
            return false;
        }
        if step.now.monotonic < self.view_state.deadline && !self.is_silent(self.rules.leader(view)) {
            return false;
        }
        self.cast(step, Statement::Nullify(view), None);
        true
    }
}
