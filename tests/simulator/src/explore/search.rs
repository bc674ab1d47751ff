//! A breadth-first search through all states of the network.

use std::{collections::HashSet, rc::Rc};

use super::{
    byzantine::Byzantine,
    event::{Air, Event},
    honest::Honest,
    locals::{ChainId, LocalId, Locals},
    mix::Map,
    names::Names,
    properties,
    set::Set,
    setting::{Grain, Setting},
    table::{PLACES, State, Table},
};
use meshwork_core::{
    codec,
    consensus::Input,
    digest::Digest,
    types::{Statement, View},
};

/// What happens to an authority between two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    /// An event.
    Event(Event),
    /// It crashes at rest, and restarts.
    Crash,
    /// It crashes while it handles an event, and restarts.
    CrashDuring(Event),
}

/// One authority's part of a step: the state that it reaches, and how.
#[derive(Clone, Copy)]
struct Reached {
    local: LocalId,
    crashes: u8,
    /// The index of the reached state before it.
    from: usize,
    by: Option<Happening>,
    /// It has said something new, which ends the step.
    spoke: bool,
}

/// One thing that happens to an authority.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub from: LocalId,
    pub by: Happening,
    pub to: LocalId,
}

/// The parts of one authority's step.
pub(super) struct Walk {
    pub place: usize,
    pub paces: Vec<Pace>,
}

/// The states that an authority can reach: silently, itself first, and by saying something.
struct Ways {
    silent: Vec<(LocalId, u8)>,
    spoken: Vec<(LocalId, u8)>,
}

/// The steps that an authority can take, and the chains that may become final for it on the way.
struct Turns {
    next: Vec<(LocalId, u8)>,
    chains: Vec<ChainId>,
}

/// How many of these are remembered before all are dropped.
const WAYS_MAX: usize = 3 << 20;

pub(super) struct Search {
    pub setting: Setting,
    pub names: Names,
    pub locals: Locals,
    pub table: Table,
    byzantine: Byzantine,
    pub transitions: u64,
    events: Vec<Event>,
    reached: Vec<Reached>,
    ways: Map<(State, usize), Rc<Ways>>,
    turns: Map<(State, usize), Rc<Turns>>,
    agreed: HashSet<(ChainId, ChainId)>,
    /// Where a rule was found to be broken: the state, whose step it was, which state it had reached in it, and
    /// what happened then.
    fatal: Option<(State, usize, usize, Happening)>,
}

impl Search {
    pub(super) fn new(setting: Setting) -> Result<Self, String> {
        assert!(setting.honest.len() <= PLACES, "at most {PLACES} honest authorities are explored");
        let (mut names, mut locals) = (Names::default(), Locals::new(&setting));
        let mut first = Vec::new();
        for authority in &setting.honest {
            let honest = Honest::new(&setting, &mut names, *authority);
            first.push(locals.intern(&setting, &names, honest)?);
        }
        locals.quorum = quorum(&setting, &mut names, &locals.get(first[0]).honest);
        Ok(Self {
            setting,
            names,
            locals,
            table: Table::new(State::new(first)),
            byzantine: Byzantine::default(),
            transitions: 0,
            events: Vec::new(),
            reached: Vec::new(),
            ways: Map::default(),
            turns: Map::default(),
            agreed: HashSet::new(),
            fatal: None,
        })
    }

    /// All that honest authorities have said in a state, independent of numbering.
    pub(super) fn promised(&self, state: State) -> Digest {
        let mut bytes = Vec::new();
        for place in self.places() {
            let said = self.locals.get(state.local(place)).honest.said;
            let mut promises: Vec<Statement> = said.iter().map(|statement| self.names.said(statement)).collect();
            promises.sort_unstable();
            bytes.extend(codec::encode(&promises));
        }
        Digest::of(&bytes)
    }

    /// The last action of the authority that broke a rule: from which state, how it got there, and what
    /// happened then.
    pub(super) fn last_straw(&self) -> Option<(State, Walk, Happening)> {
        self.fatal.map(|(state, place, index, by)| (state, Walk { place, paces: self.paces_to(index) }, by))
    }

    pub(super) fn places(&self) -> std::ops::Range<usize> {
        0..self.setting.honest.len()
    }

    /// What can be heard in a state.
    pub(super) fn air(&mut self, state: State) -> Air {
        let honest = |place| &self.locals.get(state.local(place)).honest;
        let said: Vec<Set> = self.places().map(|place| honest(place).said).collect();
        let proposed = self.places().fold(Set::default(), |all, place| all.or(&honest(place).proposed));
        let all = said.iter().fold(Set::default(), |all, said| all.or(said));
        let blocks = self.byzantine.blocks(&self.setting, &mut self.names, &proposed, &all);
        let mut lies = Vec::new();
        if self.setting.bound.grain == Grain::Vote {
            for view in (1..=self.setting.bound.views).map(View) {
                lies.push(self.names.statement(Statement::Nullify(view)));
            }
            for block in blocks.iter() {
                let (view, digest) = (self.names.get(block).header().view, self.names.get(block).digest);
                lies.push(self.names.statement(Statement::Notarize(view, digest)));
                lies.push(self.names.statement(Statement::Finalize(view, digest)));
            }
        }
        Air { said, all, blocks, lies }
    }

    /// Finds all states that follow a state in one step. `Err`: which rule is broken, and where.
    pub(super) fn expand(&mut self, at: usize) -> Result<(), String> {
        let state = self.table.get(at);
        let said: Vec<Set> = self.places().map(|place| self.locals.get(state.local(place)).honest.said).collect();
        properties::of_certificates(&self.setting, &self.names, self.locals.quorum, &said)?;
        let mut chains: Vec<ChainId> = Vec::new();
        for place in self.places() {
            let turns = self.turns(state, place)?;
            chains.extend(&turns.chains);
            for (local, crashes) in &turns.next {
                self.transitions += 1;
                self.table.insert(state.with(place, *local).with_crashes(*crashes), at);
            }
        }
        self.check_chains(&chains)
    }

    /// The steps of an authority depend on its own state and on what it can hear; this keeps only that.
    fn key(&self, state: State, place: usize) -> State {
        let said = |other| self.locals.get(state.local(other)).said;
        self.places().filter(|other| *other != place).fold(state, |key, other| key.with(other, said(other)))
    }

    /// The states that one authority can reach before it says something, and by saying something.
    fn ways(&mut self, state: State, place: usize) -> Result<Rc<Ways>, String> {
        let key = (self.key(state, place), place);
        if let Some(known) = self.ways.get(&key) {
            return Ok(Rc::clone(known));
        }
        let air = self.air(state);
        self.reach(&air, state, place)?;
        let those = |spoke| {
            let reached = self.reached.iter().filter(move |reached| reached.spoke == spoke);
            reached.map(|reached| (reached.local, reached.crashes)).collect()
        };
        let ways = Rc::new(Ways { silent: those(false), spoken: those(true) });
        if self.ways.len() >= WAYS_MAX {
            self.ways.clear();
        }
        self.ways.insert(key, Rc::clone(&ways));
        Ok(ways)
    }

    /// The steps that one authority can take. Leaves out a step after which the authority only knows more than
    /// after another step with the same words, because it can learn the rest then.
    fn turns(&mut self, state: State, place: usize) -> Result<Rc<Turns>, String> {
        let key = (self.key(state, place), place);
        if let Some(known) = self.turns.get(&key) {
            return Ok(Rc::clone(known));
        }
        let ways = self.ways(state, place)?;
        let all = ways.silent.iter().chain(&ways.spoken);
        let mut chains: Vec<ChainId> = all.map(|(local, _)| self.locals.get(*local).chain).collect();
        chains.sort_unstable();
        chains.dedup();
        let next = match self.setting.bound.grain {
            Grain::Promise => self.least(state, place, &ways.spoken)?,
            Grain::Certificate | Grain::Vote => ways.silent[1..].iter().chain(&ways.spoken).copied().collect(),
        };
        let turns = Rc::new(Turns { next, chains });
        if self.turns.len() >= WAYS_MAX {
            self.turns.clear();
        }
        self.turns.insert(key, Rc::clone(&turns));
        Ok(turns)
    }

    fn least(&mut self, state: State, place: usize, spoken: &[(LocalId, u8)]) -> Result<Vec<(LocalId, u8)>, String> {
        let mut more: HashSet<(LocalId, u8)> = HashSet::new();
        for (local, crashes) in spoken {
            let after = state.with(place, *local).with_crashes(*crashes);
            let ways = self.ways(after, place)?;
            more.extend(ways.silent.iter().filter(|reached| *reached != &(*local, *crashes)));
        }
        Ok(spoken.iter().filter(|reached| !more.contains(reached)).copied().collect())
    }

    fn check_chains(&mut self, chains: &[ChainId]) -> Result<(), String> {
        for (place, one) in chains.iter().enumerate() {
            for other in chains[..place].iter().filter(|other| *other != one) {
                if self.agreed.insert((*one, *other)) {
                    properties::of_chains(&self.names, self.locals.chain(*one), self.locals.chain(*other))?;
                }
            }
        }
        Ok(())
    }

    /// Finds the states that one authority can reach before it says something, and by saying something. With a
    /// finer grain than promises, finds those that a single event leads to.
    fn reach(&mut self, air: &Air, state: State, place: usize) -> Result<(), String> {
        let first = Reached { local: state.local(place), crashes: state.crashes(), from: 0, by: None, spoke: false };
        self.reached.clear();
        self.reached.push(first);
        let coarse = self.setting.bound.grain == Grain::Promise;
        let mut next = 0;
        while next < self.reached.len() && (coarse || next == 0) {
            let from = self.reached[next];
            if !from.spoke {
                let mut events = std::mem::take(&mut self.events);
                self.locals.events(&self.setting, &self.names, air, from.local, &mut events);
                for event in &events {
                    let by = Happening::Event(*event);
                    let after = self.locals.after(&self.setting, &mut self.names, from.local, *event);
                    let local = after.inspect_err(|_| self.fatal = Some((state, place, next, by)))?;
                    self.arrive(next, local, from.crashes, by);
                }
                if from.crashes < self.setting.bound.crashes {
                    self.crash(state, place, next, &events)?;
                }
                self.events = events;
            }
            next += 1;
        }
        Ok(())
    }

    fn crash(&mut self, state: State, place: usize, from: usize, events: &[Event]) -> Result<(), String> {
        let Reached { local, crashes, .. } = self.reached[from];
        for during in std::iter::once(None).chain(events.iter().copied().map(Some)) {
            let by = during.map_or(Happening::Crash, Happening::CrashDuring);
            let crashed = self.locals.crashed(&self.setting, &mut self.names, local, during);
            for local in crashed.inspect_err(|_| self.fatal = Some((state, place, from, by)))? {
                self.arrive(from, local, crashes + 1, by);
            }
        }
        Ok(())
    }

    fn arrive(&mut self, from: usize, local: LocalId, crashes: u8, by: Happening) {
        let known = self.reached.iter().any(|reached| reached.local == local && reached.crashes <= crashes);
        if !known {
            let start = self.reached[0].local;
            let spoke = self.locals.get(local).honest.said != self.locals.get(start).honest.said;
            self.reached.push(Reached { local, crashes, from, by: Some(by), spoke });
        }
    }

    /// The way from one state of the network to the next.
    pub(super) fn walk(&mut self, from: State, to: State) -> Option<Walk> {
        let place = self.places().find(|place| from.local(*place) != to.local(*place))?;
        let air = self.air(from);
        self.reach(&air, from, place).ok()?;
        let goal = |reached: &Reached| reached.local == to.local(place) && reached.crashes == to.crashes();
        let index = self.reached.iter().position(goal)?;
        Some(Walk { place, paces: self.paces_to(index) })
    }

    /// The way to the silent state in which an authority knows the most.
    pub(super) fn listen(&mut self, state: State, place: usize) -> Result<Vec<Pace>, String> {
        let air = self.air(state);
        self.reach(&air, state, place)?;
        let most = self.reached.iter().rposition(|reached| !reached.spoke);
        Ok(most.map_or(Vec::new(), |most| self.paces_to(most)))
    }

    /// The way to a reached state.
    fn paces_to(&self, mut index: usize) -> Vec<Pace> {
        let mut paces = Vec::new();
        while let Some(by) = self.reached[index].by {
            let to = self.reached[index].local;
            index = self.reached[index].from;
            paces.push(Pace { from: self.reached[index].local, by, to });
        }
        paces.reverse();
        paces
    }
}

/// How many votes make a certificate, according to the round and not to the genesis.
fn quorum(setting: &Setting, names: &mut Names, honest: &Honest) -> usize {
    let nullify = names.statement(Statement::Nullify(View(1)));
    let enough = |count: &u16| {
        let mut honest = honest.clone();
        let others = (0..setting.bound.authorities).filter(|other| *other != honest.authority);
        let votes = others.take(usize::from(*count)).map(|voter| names.vote(setting, voter, nullify)).collect();
        honest.input(setting, names, Input::Votes(votes));
        honest.round.view() > View(1)
    };
    let count = (1..setting.bound.authorities).find(enough);
    count.map_or(setting.genesis.authority_set().quorum(), usize::from)
}
