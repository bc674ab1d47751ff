//! All states that one honest authority can reach. The real round takes each step once.
//!
//! Authorities share only what they say. So a state of the network is one state for each of them, and the
//! effect of an event on one authority depends on that one alone. The round handles each event once in each of
//! an authority's states, in however many states of the network that pair appears.

use std::{
    collections::{HashMap, hash_map::Entry},
    panic::{AssertUnwindSafe, catch_unwind},
};

use meshwork_core::{
    consensus::Effect,
    digest::Digest,
    types::{Statement, View},
};

use super::{
    event::{Air, Event},
    honest::Honest,
    mix::Map,
    names::{BlockId, Names, bits},
    properties,
    set::Set,
    setting::{Grain, Setting},
    table::State,
};

/// A state of one honest authority.
pub(super) type LocalId = u32;
/// A final chain.
pub(super) type ChainId = u32;

/// One state of one honest authority, and what the search needs to know of it.
pub(super) struct Local {
    pub honest: Honest,
    pub view: View,
    /// The certificates that it has, which it need not hear any more.
    certified: Set,
    /// The blocks that it has.
    blocks: Set,
    pub chain: ChainId,
    /// The number of the set of all that it has ever said.
    pub said: u32,
}

/// All known states of honest authorities, and where events lead.
pub(super) struct Locals {
    all: Vec<Local>,
    by_identity: HashMap<Digest, LocalId>,
    after: Map<(LocalId, Event), LocalId>,
    crashed: Map<(LocalId, Option<Event>), Vec<LocalId>>,
    chains: Vec<Vec<BlockId>>,
    by_chain: HashMap<Vec<BlockId>, ChainId>,
    by_said: HashMap<Set, u32>,
    /// How many votes make a certificate, according to the round itself.
    pub quorum: usize,
    /// How many inputs the round has handled.
    pub inputs: u64,
}

impl Locals {
    pub(super) fn new(setting: &Setting) -> Self {
        Self {
            all: Vec::new(),
            by_identity: HashMap::new(),
            after: Map::default(),
            crashed: Map::default(),
            chains: Vec::new(),
            by_chain: HashMap::new(),
            by_said: HashMap::new(),
            quorum: setting.genesis.authority_set().quorum(),
            inputs: 0,
        }
    }

    pub(super) fn get(&self, local: LocalId) -> &Local {
        &self.all[local as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn chain(&self, chain: ChainId) -> &[BlockId] {
        &self.chains[chain as usize]
    }

    /// The number of this state. A new state is checked.
    pub(super) fn intern(&mut self, setting: &Setting, names: &Names, honest: Honest) -> Result<LocalId, String> {
        let place = match self.by_identity.entry(honest.identity(setting)) {
            Entry::Occupied(known) => return Ok(*known.get()),
            Entry::Vacant(place) => place,
        };
        properties::of_one(setting, names, &honest)?;
        let finals = honest.finals(setting, names);
        let fresh = self.chains.len() as ChainId;
        let chain = *self.by_chain.entry(finals.clone()).or_insert(fresh);
        if chain == fresh {
            self.chains.push(finals);
        }
        let tip = honest.round.tip().view;
        let mut certified = Set::default();
        let known: Vec<Statement> = honest.round.certificates().map(|certificate| certificate.statement).collect();
        for statement in names.statements() {
            let said = names.said(statement);
            if said.view() <= tip || known.contains(&said) {
                certified.insert(statement);
            }
        }
        let mut blocks = Set::default();
        for block in names.blocks() {
            let named = names.get(block);
            if named.header().view <= tip || honest.round.has_block(&named.digest) {
                blocks.insert(block);
            }
        }
        let fresh = self.by_said.len() as u32;
        let said = *self.by_said.entry(honest.said).or_insert(fresh);
        let local = self.all.len() as LocalId;
        assert!(self.all.len() < State::LOCALS_MAX, "more states of single authorities than can be told apart");
        self.all.push(Local { view: honest.round.view(), honest, certified, blocks, chain, said });
        place.insert(local);
        Ok(local)
    }

    /// The events that may happen to it now.
    pub(super) fn events(&self, setting: &Setting, names: &Names, air: &Air, local: LocalId, events: &mut Vec<Event>) {
        let Local { honest, view, certified, blocks, .. } = self.get(local);
        events.clear();
        for statement in air.all.without(certified).iter() {
            let voters = air.voters(setting, statement);
            if setting.bound.grain == Grain::Vote {
                let others = bits(voters & !setting.liars).filter(|voter| *voter != honest.authority);
                events.extend(others.map(|voter| Event::Vote { statement, voter }));
            } else if voters.count_ones() as usize >= self.quorum {
                events.push(Event::Hear { statement, voters });
            }
        }
        for statement in air.lies.iter().filter(|statement| !certified.contains(**statement)) {
            let liars = bits(setting.liars);
            events.extend(liars.map(|voter| Event::Vote { statement: *statement, voter }));
        }
        // A block of another view could only wait. It may as well be delivered once its view has come, or once
        // this authority knows a quorum behind it.
        let matters = |block: &BlockId| {
            names.get(*block).header().view == *view
                || names.is_notarized(*block, certified)
                || names.is_finalized(*block, certified)
                || setting.bound.grain == Grain::Vote
        };
        let wanted = air.blocks.without(blocks).iter().filter(matters);
        let shown = |block| names.get(block).shows.map_or(0, |shown| air.voters(setting, shown));
        events.extend(wanted.map(|block| Event::Block { block, voters: shown(block) }));
        if *view <= setting.views() {
            events.push(Event::TimeOut);
        }
    }

    /// Where an event leads. An event that makes no difference, or none that could not be made later, leads to
    /// the same state.
    pub(super) fn after(
        &mut self,
        setting: &Setting,
        names: &mut Names,
        local: LocalId,
        event: Event,
    ) -> Result<LocalId, String> {
        if let Some(known) = self.after.get(&(local, event)) {
            return Ok(*known);
        }
        let mut next = local;
        for input in event.inputs(setting, names, &self.get(local).honest) {
            let before = &self.all[local as usize].honest;
            let mut honest = before.clone();
            self.inputs += 1;
            let effects = guarded(|| event.happen(setting, &mut honest, input))?;
            guarded(|| honest.carry_out(setting, names, &effects))?;
            if setting.bound.grain == Grain::Vote || honest.differs(setting, before) {
                next = self.intern(setting, names, honest)?;
                break;
            }
            properties::of_one(setting, names, &honest)?;
        }
        self.after.insert((local, event), next);
        Ok(next)
    }

    /// Where a crash leads: at rest, or during an event, after each stored record.
    pub(super) fn crashed(
        &mut self,
        setting: &Setting,
        names: &mut Names,
        local: LocalId,
        during: Option<Event>,
    ) -> Result<Vec<LocalId>, String> {
        if let Some(known) = self.crashed.get(&(local, during)) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        let Some(event) = during else {
            let mut honest = self.get(local).honest.clone();
            self.inputs += 1;
            guarded(|| honest.crash(setting, names))?;
            let next = self.intern(setting, names, honest)?;
            self.crashed.insert((local, None), vec![next]);
            return Ok(vec![next]);
        };
        for input in event.inputs(setting, names, &self.get(local).honest) {
            let before = self.get(local).honest.clone();
            let effects = guarded(|| event.happen(setting, &mut before.clone(), input))?;
            for cut in 1..=effects.len() {
                if matches!(
                    effects[cut - 1],
                    Effect::Persist(_) | Effect::Finalized { .. } | Effect::Closed { .. } | Effect::Prune { .. }
                ) {
                    let mut honest = before.clone();
                    self.inputs += 1;
                    guarded(|| honest.store(setting, names, &effects[..cut]))?;
                    guarded(|| honest.crash(setting, names))?;
                    found.push(self.intern(setting, names, honest)?);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        self.crashed.insert((local, during), found.clone());
        Ok(found)
    }
}

/// A failed assertion of core counts as a broken rule.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        format!("an assertion failed: {}", text.unwrap_or_default())
    })
}
