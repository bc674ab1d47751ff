//! The totals of many runs, as one object or a few lines.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;

use crate::{Outcome, Violation};

/// The totals of many runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// How many networks were run.
    pub seeds: u64,
    /// How many of them violated a rule.
    pub violations: u64,
    /// Hours of virtual time.
    pub simulated_hours: f64,
    /// Hours of virtual time, times the authorities that ran in them.
    pub authority_hours: f64,
    /// Final blocks.
    pub blocks: u64,
    /// Tasks admitted.
    pub tasks: u64,
    /// Outcomes accepted.
    pub outcomes: u64,
    /// Speculative attempts given.
    pub speculative: u64,
    /// Faults injected, by kind.
    pub faults: BTreeMap<String, u64>,
    /// How long it all took, in seconds.
    pub real_s: f64,
    /// The seeds that violated a rule, each with the violation.
    pub failures: Vec<Failure>,
}

/// A seed that violated a rule.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The violation.
    pub violation: Violation,
}

impl Summary {
    /// Adds one run.
    pub fn add(&mut self, seed: u64, authorities: usize, outcome: &Outcome) {
        let hours = outcome.simulated_us as f64 / 3.6e9;
        self.seeds += 1;
        self.simulated_hours += hours;
        self.authority_hours += hours * authorities as f64;
        self.blocks += outcome.blocks;
        self.tasks += outcome.tasks;
        self.outcomes += outcome.outcomes;
        self.speculative += outcome.speculative;
        for (kind, count) in &outcome.faults {
            *self.faults.entry((*kind).to_owned()).or_default() += count;
        }
        if let Some(violation) = &outcome.violation {
            self.violations += 1;
            self.failures.push(Failure { seed, violation: violation.clone() });
        }
    }

    /// Adds the totals of another thread.
    pub fn join(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.violations += other.violations;
        self.simulated_hours += other.simulated_hours;
        self.authority_hours += other.authority_hours;
        self.blocks += other.blocks;
        self.tasks += other.tasks;
        self.outcomes += other.outcomes;
        self.speculative += other.speculative;
        for (kind, count) in other.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        self.failures.extend(other.failures);
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        write!(
            f,
            "{} networks, {:.1} hours of theirs in {:.0} s ({:.0} authority-hours), {} blocks, {} tasks, {} outcomes, {} speculative attempts; {}; {} violations",
            self.seeds,
            self.simulated_hours,
            self.real_s,
            self.authority_hours,
            self.blocks,
            self.tasks,
            self.outcomes,
            self.speculative,
            faults.join(", "),
            self.violations
        )
    }
}
