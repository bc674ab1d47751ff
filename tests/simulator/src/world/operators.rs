//! The operators of authorities: they propose and approve changes, each through its own peer, until these are
//! settled.

use std::sync::Arc;

use meshwork_core::{
    codec,
    types::{
        Action, AuthoritySet, Change, Govern, KeyLimit, Limit, Permission, ScheduleParameters, TransactionId,
        VoidReason,
    },
};
use rand::RngExt;

use super::{Event, World};
use crate::scenario::{Rule, Scenario, Work};

/// How soon an operator looks again whether a change is settled, in microseconds.
const AGAIN_US: u64 = 1_500_000;

/// A change to settle.
enum Wanted {
    /// Peers to add and to remove as authorities.
    Authorities { add: Vec<usize>, remove: Vec<usize> },
    /// A rule to put in force.
    Rule(Change),
}

impl World<'_> {
    fn wanted(&self, index: usize) -> Option<Wanted> {
        match &self.scenario.work[index].1 {
            Work::Govern { add, remove } => Some(Wanted::Authorities { add: add.clone(), remove: remove.clone() }),
            Work::Rule(rule) => Some(Wanted::Rule(self.change_of(rule))),
            _ => None,
        }
    }

    fn change_of(&self, rule: &Rule) -> Change {
        let key = |peer: usize| self.peers[peer].public;
        match rule {
            Rule::Schedule { order, placement } => {
                let founded = self.genesis.schedule.clone();
                let (order, placement) = (order.clone(), placement.clone());
                Change::SetSchedule(Box::new(ScheduleParameters { order, placement, ..founded }))
            }
            Rule::Running(most) => Change::SetLimit(Limit::Key(KeyLimit::Running), *most),
            Rule::Quota(peer, most) => {
                Change::SetQuota(key(*peer), most.map(|most| (KeyLimit::Running, most)).into_iter().collect())
            }
            Rule::Bar(peer) => Change::Bar(Permission::Work, key(*peer)),
            Rule::Permit(peer) => Change::Permit(Permission::Work, key(*peer)),
            Rule::BarSubmitter(peer) => Change::Bar(Permission::Submit, key(*peer)),
            Rule::PermitSubmitter(peer) => Change::Permit(Permission::Submit, key(*peer)),
        }
    }

    /// The changes that are still to be approved. Additions come before removals, because fewer authorities
    /// tolerate fewer liars.
    fn changes_left(&self, wanted: &Wanted) -> Vec<Change> {
        let Wanted::Authorities { add, remove } = wanted else {
            let Wanted::Rule(change) = wanted else { return Vec::new() };
            let is_so = self.checks.ledger().check_change(change) == Err(VoidReason::NothingToChange);
            return (!is_so).then(|| change.clone()).into_iter().collect();
        };
        let next = self.checks.ledger().next_authorities();
        let add = add.iter().filter(|peer| !next.contains(&self.peers[**peer].public));
        let remove = remove.iter().filter(|peer| next.contains(&self.peers[**peer].public));
        let add: Vec<Change> = add.map(|peer| Change::AddAuthority(Scenario::authority(*peer))).collect();
        if add.is_empty() {
            return remove.map(|peer| Change::RemoveAuthority(self.peers[*peer].public)).collect();
        }
        add
    }

    /// Whether every change to settle is in force.
    pub(super) fn is_governed(&self) -> bool {
        self.governing.is_empty() && !self.checks.ledger().change_waits()
    }

    /// The operators look at the changes to settle, and look again later if some are left. One comes after the
    /// other: faulty authorities leave before honest ones do.
    pub(super) fn govern(&mut self, index: usize) {
        let Some(wanted) = self.wanted(index) else { return };
        if self.governing.first() != Some(&index) {
            self.post(self.now + AGAIN_US, Event::Govern(index));
            return;
        }
        let left = self.changes_left(&wanted);
        if left.is_empty() {
            self.governing.remove(&index);
            return;
        }
        self.post(self.now + AGAIN_US, Event::Govern(index));
        let present = Arc::clone(self.checks.ledger().authorities());
        let operators = self.operators(&present);
        for change in left {
            let open = self.checks.ledger().proposals().find(|open| *open.change == change);
            match open.map(|open| (open.id, open.approvals.clone())) {
                Some((id, approvals)) => {
                    for operator in &operators {
                        if !approvals.contains(&self.peers[*operator].public) {
                            self.approve(*operator, id);
                        }
                    }
                }
                None if !operators.is_empty() => {
                    let operator = operators[self.random.random_range(0..operators.len())];
                    let signed = self.sign(operator, Action::Govern(Govern::Propose(change)));
                    self.submit(operator, signed);
                }
                None => {}
            }
        }
    }

    fn approve(&mut self, operator: usize, id: TransactionId) {
        let signed = self.sign(operator, Action::Govern(Govern::Approve(id)));
        self.submit(operator, signed);
    }

    /// The honest among these authorities.
    fn operators(&self, present: &AuthoritySet) -> Vec<usize> {
        let all = present.keys().filter_map(|key| self.by_key.get(&key)?.first().copied());
        all.filter(|peer| !self.peers[*peer].is_liar()).collect()
    }

    /// A liar's operator proposes what nobody wants, and approves proposals that do not exist.
    pub(super) fn mutiny(&mut self, peer: usize) {
        let nobody = TransactionId(meshwork_core::digest::Digest::of(&codec::encode(&self.now)));
        for stranger in 900..910 {
            let change = Change::AddAuthority(Scenario::authority(stranger));
            let signed = self.sign(peer, Action::Govern(Govern::Propose(change)));
            self.submit(peer, signed);
        }
        for other in 0..self.scenario.authorities {
            let change = Change::RemoveAuthority(self.peers[other].public);
            let signed = self.sign(peer, Action::Govern(Govern::Propose(change)));
            self.submit(peer, signed);
        }
        let own = Change::SetQuota(self.peers[peer].public, [(KeyLimit::Running, 0)].into());
        for change in [own, Change::Bar(Permission::Work, self.peers[0].public)] {
            let signed = self.sign(peer, Action::Govern(Govern::Propose(change)));
            self.submit(peer, signed);
        }
        self.approve(peer, nobody);
    }
}
