//! The results of an exploration.

use std::{fmt, time::Instant};

use serde::Serialize;

use super::{Bound, search::Search};

/// A broken rule.
#[derive(Clone, Debug, Serialize)]
pub struct Violation {
    /// What is wrong.
    pub what: String,
    /// What happened before, in as few promises as possible.
    pub story: Vec<String>,
}

/// The results.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// How many authorities there are.
    pub authorities: u16,
    /// Which of them lie.
    pub byzantine: Vec<u16>,
    /// The explored views.
    pub views: u64,
    /// How often honest authorities may crash.
    pub crashes: u8,
    /// Different states of the network.
    pub states: usize,
    /// Steps between them.
    pub transitions: u64,
    /// The most steps from the beginning so far.
    pub depth: u32,
    /// Different states of single authorities, including those that last only within a step.
    pub locals: usize,
    /// How often the real round handled an input or was restarted.
    pub inputs: u64,
    /// Whether every state within the bound was seen.
    pub exhausted: bool,
    /// From how many states the network was shown to go on.
    pub went_on: usize,
    /// The first broken rule.
    pub violation: Option<Violation>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    pub(super) fn new(bound: &Bound) -> Self {
        Self {
            authorities: bound.authorities,
            byzantine: bound.byzantine.clone(),
            views: bound.views,
            crashes: bound.crashes,
            states: 1,
            transitions: 0,
            depth: 0,
            locals: 0,
            inputs: 0,
            exhausted: false,
            went_on: 0,
            violation: None,
            seconds: 0.0,
        }
    }

    pub(super) fn count(&mut self, search: &Search, began: Instant) {
        self.states = search.table.len();
        self.transitions = search.transitions;
        self.locals = search.locals.len();
        self.inputs = search.locals.inputs;
        self.seconds = began.elapsed().as_secs_f64();
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = match (&self.violation, self.exhausted) {
            (Some(_), _) => "a rule is broken",
            (None, true) => "exhausted",
            (None, false) => "not exhausted",
        };
        write!(
            f,
            "{} authorities, {:?} of them lying, {} views, {} crashes: {} states, {} transitions, depth {}, {} states of \
             single authorities, {} inputs, goes on from {}, {:.1} s: {end}",
            self.authorities,
            self.byzantine,
            self.views,
            self.crashes,
            self.states,
            self.transitions,
            self.depth,
            self.locals,
            self.inputs,
            self.went_on,
            self.seconds,
        )?;
        if let Some(violation) = &self.violation {
            write!(f, "\n{}", violation.what)?;
            for (number, line) in violation.story.iter().enumerate() {
                write!(f, "\n{:>4}. {line}", number + 1)?;
            }
        }
        Ok(())
    }
}
