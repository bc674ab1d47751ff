//! The table of all known states of the network, in the order in which they were found, each once and
//! compactly.

/// A state of the network: a number for each honest authority, and the number of crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct State(u64);

/// The most honest authorities in a state.
pub(super) const PLACES: usize = 3;
const BITS: u32 = 20;

impl State {
    /// The most different states of single authorities.
    pub(super) const LOCALS_MAX: usize = 1 << BITS;

    pub(super) fn new(locals: impl IntoIterator<Item = u32>) -> Self {
        locals.into_iter().zip(0..).fold(Self(0), |state, (local, place)| state.with(place, local))
    }

    pub(super) fn local(self, place: usize) -> u32 {
        debug_assert!(place < PLACES);
        (self.0 >> (BITS as usize * place)) as u32 & (Self::LOCALS_MAX as u32 - 1)
    }

    pub(super) fn with(self, place: usize, local: u32) -> Self {
        let shift = BITS as usize * place;
        let mask = (Self::LOCALS_MAX as u64 - 1) << shift;
        Self(self.0 & !mask | u64::from(local) << shift)
    }

    pub(super) fn crashes(self) -> u8 {
        (self.0 >> (BITS as usize * PLACES)) as u8
    }

    pub(super) fn with_crashes(self, crashes: u8) -> Self {
        let shift = BITS as usize * PLACES;
        Self(self.0 & !(u64::MAX << shift) | u64::from(crashes) << shift)
    }
}

/// All known states, and the state from which each was found.
pub(super) struct Table {
    states: Vec<State>,
    parents: Vec<u32>,
    /// Open addressing: places in `states`, from 1; 0 is free.
    slots: Vec<u32>,
}

impl Table {
    pub(super) fn new(first: State) -> Self {
        let mut table = Self { states: Vec::new(), parents: Vec::new(), slots: vec![0; 1 << 10] };
        table.insert(first, 0);
        table
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn get(&self, place: usize) -> State {
        self.states[place]
    }

    /// Adds a state that was found from another. Returns whether it is new.
    pub(super) fn insert(&mut self, state: State, parent: usize) -> bool {
        if self.states.len() * 4 >= self.slots.len() * 3 {
            self.grow();
        }
        let slot = self.slot(state);
        if self.slots[slot] != 0 {
            return false;
        }
        self.states.push(state);
        self.parents.push(parent as u32);
        self.slots[slot] = self.states.len() as u32;
        true
    }

    fn slot(&self, state: State) -> usize {
        let mask = self.slots.len() - 1;
        let mut mixed = state.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^= mixed >> 32;
        mixed = mixed.wrapping_mul(0xd6e8_feb8_6659_fd93);
        let mut slot = (mixed ^ mixed >> 29) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return slot,
                known if self.states[known as usize - 1] == state => return slot,
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        for place in 0..self.states.len() {
            let slot = self.slot(self.states[place]);
            self.slots[slot] = place as u32 + 1;
        }
    }

    /// The states that lead from the first to this one, both included.
    pub(super) fn path(&self, place: usize) -> Vec<State> {
        let mut path = vec![self.states[place]];
        let mut place = place;
        while place != 0 {
            place = self.parents[place] as usize;
            path.push(self.states[place]);
        }
        path.reverse();
        path
    }
}
