//! Tests whether the network can go on from a state. Replays the run with real authorities from the beginning.
//! Then every message arrives, clocks run evenly, and the liars keep silent.
//!
//! The replay also checks the search: at every point the authorities must be in the states that the search
//! expects.

use std::{collections::BTreeMap, sync::Arc};

use meshwork_core::consensus::{Effect, Input, Message};

use super::{
    honest::Honest,
    names::Names,
    properties,
    search::{Happening, Pace, Search},
    setting::{Bound, Setting},
    table::State,
};

/// How long a message takes, in microseconds.
const DELAY_US: u64 = 10_000;
/// How long the network may take to finalize a block everywhere, in microseconds.
const PATIENCE_US: u64 = 120_000_000;

impl Search {
    /// Replays these states with new authorities. Returns the honest authorities in the last one.
    pub(super) fn again(&mut self, path: &[State]) -> Result<Vec<Honest>, String> {
        let authorities = self.setting.honest.clone();
        let mut honest: Vec<Honest> =
            authorities.iter().map(|authority| Honest::new(&self.setting, &mut self.names, *authority)).collect();
        for pair in path.windows(2) {
            let walk = self.walk(pair[0], pair[1]).ok_or("a step cannot be found again")?;
            for pace in &walk.paces {
                let next = self.pace(&honest[walk.place], pace);
                honest[walk.place] = next.ok_or("an authority is not what the search took it for")?;
            }
        }
        for one in &honest {
            properties::of_one(&self.setting, &self.names, one)?;
            properties::of_evidence(&self.setting, one)?;
        }
        Ok(honest)
    }

    fn pace(&mut self, honest: &Honest, pace: &Pace) -> Option<Honest> {
        let Self { setting, names, locals, .. } = self;
        let goal = locals.get(pace.to).honest.identity(setting);
        let (Happening::Event(event) | Happening::CrashDuring(event)) = pace.by else {
            let mut next = honest.clone();
            next.crash(setting, names);
            return (next.identity(setting) == goal).then_some(next);
        };
        for input in event.inputs(setting, names, honest) {
            let mut next = honest.clone();
            let effects = event.happen(setting, &mut next, input);
            if pace.by == Happening::Event(event) {
                next.carry_out(setting, names, &effects);
                if next.identity(setting) == goal {
                    return Some(next);
                }
            }
            for cut in 1..=effects.len() {
                let mut next = honest.clone();
                next.store(setting, names, &effects[..cut]);
                next.crash(setting, names);
                if matches!(pace.by, Happening::CrashDuring(_)) && next.identity(setting) == goal {
                    return Some(next);
                }
            }
        }
        None
    }

    /// Checks that a new block becomes final for all once nothing more goes wrong: from this state, and from
    /// those in which one authority has first heard everything there is to hear.
    pub(super) fn goes_on(&mut self, path: &[State]) -> Result<(), String> {
        let honest = self.again(path)?;
        for place in self.places() {
            let mut honest = honest.clone();
            if let Some(state) = path.last() {
                for pace in &self.listen(*state, place)? {
                    let next = self.pace(&honest[place], pace);
                    honest[place] = next.ok_or("an authority is not what the search took it for")?;
                }
            }
            properties::of_evidence(&self.setting, &honest[place])?;
            Network::new(&self.setting, honest).finalizes()?;
        }
        Network::new(&self.setting, honest).finalizes()
    }
}

/// A packet on its way.
#[derive(Clone)]
enum Packet {
    Input(Box<Input>),
    Wake,
}

/// Honest authorities on a network without faults.
struct Network {
    setting: Setting,
    /// What is said here is not explored.
    names: Names,
    nodes: Vec<Honest>,
    /// Each node's clock when the network became whole.
    began_us: Vec<u64>,
    now_us: u64,
    sent: u64,
    queue: BTreeMap<(u64, u64), (usize, Packet)>,
}

impl Network {
    fn new(setting: &Setting, nodes: Vec<Honest>) -> Self {
        let setting = Setting::new(&Bound { views: 0, ..setting.bound.clone() });
        let began_us = nodes.iter().map(|node| node.now_us).collect();
        Self { setting, names: Names::default(), nodes, began_us, now_us: 0, sent: 0, queue: BTreeMap::new() }
    }

    fn finalizes(mut self) -> Result<(), String> {
        let highest = self.nodes.iter().map(|node| node.disk.chain.len()).max().unwrap_or(0);
        (0..self.nodes.len()).for_each(|node| self.set_alarm(node));
        while let Some(((at_us, _), (node, packet))) = self.queue.pop_first() {
            if self.nodes.iter().all(|node| node.disk.chain.len() > highest) {
                return Ok(());
            }
            if at_us > PATIENCE_US {
                break;
            }
            self.now_us = at_us;
            self.arrive(node, packet);
        }
        let views: Vec<_> = self.nodes.iter().map(|node| node.round.view().0).collect();
        let heights: Vec<_> = self.nodes.iter().map(|node| node.disk.chain.len()).collect();
        Err(format!("the network is well and does not go on: views {views:?}, heights {heights:?}"))
    }

    fn post(&mut self, node: usize, after_us: u64, packet: Packet) {
        self.sent += 1;
        self.queue.insert((self.now_us + after_us, self.sent), (node, packet));
    }

    fn arrive(&mut self, node: usize, packet: Packet) {
        let now_us = self.began_us[node] + self.now_us;
        let honest = &mut self.nodes[node];
        let input = match packet {
            Packet::Input(input) => *input,
            Packet::Wake if honest.round.next_wake().is_some_and(|wake| wake.0 <= now_us) => Input::Tick,
            Packet::Wake => return,
        };
        honest.now_us = honest.now_us.max(now_us);
        let effects = honest.handle(input);
        let late = honest.carry_out(&self.setting, &mut self.names, &effects);
        for effect in effects.into_iter().chain(late) {
            self.send(node, effect);
        }
        self.set_alarm(node);
    }

    fn set_alarm(&mut self, node: usize) {
        if let Some(wake) = self.nodes[node].round.next_wake() {
            let after_us = wake.0.saturating_sub(self.began_us[node] + self.now_us).max(1);
            self.post(node, after_us, Packet::Wake);
        }
    }

    fn send(&mut self, from: usize, effect: Effect) {
        match effect {
            Effect::SendVotes(votes) => self.broadcast(from, &Input::Votes(votes)),
            Effect::GossipProposal(proposal) => self.broadcast(from, &Input::Proposal((*proposal).clone())),
            Effect::GossipFinalization(finalization) => self.broadcast(from, &Input::Certificate(finalization)),
            Effect::Send { to, message } => {
                let Some(to) = self.nodes.iter().position(|node| node.authority == to.0) else { return };
                let Some(me) = self.nodes[from].round.me() else { return };
                let input = match message {
                    Message::Ask(ask) => Input::Ask { from: me, ask },
                    Message::Tell(tell) => Input::Tell(tell),
                };
                self.post(to, DELAY_US, Packet::Input(input.into()));
            }
            Effect::Behind { from: height, .. } => {
                let fetched = self.nodes.iter().find_map(|other| {
                    let blocks = other.disk.chain.get(height.0 as usize - 1..).filter(|blocks| !blocks.is_empty())?;
                    Some((blocks.iter().map(Arc::clone).collect(), other.disk.finalization.clone()?))
                });
                if let Some((blocks, finalization)) = fetched {
                    self.post(from, DELAY_US, Packet::Input(Input::Blocks { blocks, finalization }.into()));
                }
            }
            Effect::Persist(_)
            | Effect::Prune { .. }
            | Effect::Finalized { .. }
            | Effect::Evidence(_)
            | Effect::Fork(_)
            | Effect::VotingStatus(_) => {}
            Effect::Closed { .. } | Effect::Epoch { .. } => unreachable!("no view here reaches a gate"),
        }
    }

    fn broadcast(&mut self, from: usize, input: &Input) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            self.post(to, DELAY_US, Packet::Input(input.clone().into()));
        }
    }
}
