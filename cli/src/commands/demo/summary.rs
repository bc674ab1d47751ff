//! The demo's summary, and whether its figures are right.

use serde::Serialize;

use crate::{
    failure::{Done, Failure},
    output::Record,
};

/// The figures that the demo prints.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    /// Tasks in the job.
    pub tasks: usize,
    /// Tasks that succeeded.
    pub completed: usize,
    /// Tasks without an outcome.
    pub lost: usize,
    /// Tasks with more than one outcome.
    pub accepted_twice: usize,
    /// Leases of the killed volunteer that came back and whose tasks others completed.
    pub recovered: usize,
    /// Outcomes whose proofs hold against the genesis.
    pub receipts_verified: usize,
    /// Tasks per second, from the submission to the last result.
    pub tasks_per_s: f64,
    /// Time from the submission until the submitter knows a task's result: median.
    pub latency_ms_p50: f64,
    /// The same: 99th percentile.
    pub latency_ms_p99: f64,
    /// Time from a block's own time until it is final, over blocks with transactions: median.
    pub finality_ms_p50: f64,
    /// Final blocks.
    pub blocks: u64,
    /// The image's file.
    pub output: String,
    /// What was found out about liars, if there were any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liars: Option<Liars>,
}

/// What was found out about liars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Liars {
    /// How many there were.
    pub liars: usize,
    /// How many of them gave an answer that a quorum refused.
    pub found: usize,
    /// Answers that a quorum refused.
    pub outvoted: usize,
    /// How many of these were honest workers'.
    pub wronged: usize,
    /// Outcomes that are a liar's answer.
    pub believed: usize,
}

/// The figures, and what they must agree with.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    /// The figures.
    pub figures: Figures,
    /// How many leases the killed volunteer held, if one was killed.
    pub held_by_killed: Option<usize>,
}

impl Record for Figures {
    fn facts(&self) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("tasks", format!("{}, {} completed", self.tasks, self.completed)),
            ("lost", self.lost.to_string()),
            ("accepted twice", self.accepted_twice.to_string()),
            ("recovered", self.recovered.to_string()),
            ("receipts verified", self.receipts_verified.to_string()),
            ("tasks/s", format!("{:.1}", self.tasks_per_s)),
            (
                "submit to result",
                format!("{:.0} ms median, {:.0} ms 99th percentile", self.latency_ms_p50, self.latency_ms_p99),
            ),
            ("blocks", self.blocks.to_string()),
            ("finality", format!("{:.1} ms median", self.finality_ms_p50)),
            ("image", self.output.clone()),
        ];
        if let Some(Liars { liars, found, outvoted, .. }) = self.liars {
            facts.insert(4, ("wrong answers", format!("{outvoted} refused; {found} of {liars} liars found out")));
        }
        facts
    }
}

impl Summary {
    /// Checks the figures.
    ///
    /// # Errors
    /// A figure is wrong; the sentence names all that are.
    pub(super) fn check(&self) -> Done {
        let Figures { tasks, completed, lost, accepted_twice, recovered, receipts_verified, .. } = self.figures;
        let mut wrong = Vec::new();
        if completed != tasks || lost != 0 {
            wrong.push(format!("{completed} of {tasks} tasks completed and {lost} were lost"));
        }
        if accepted_twice != 0 {
            wrong.push(format!("{accepted_twice} tasks were accepted twice"));
        }
        if receipts_verified != tasks {
            wrong.push(format!("{receipts_verified} of {tasks} receipts were verified"));
        }
        match self.held_by_killed {
            Some(0) => wrong.push("the killed volunteer held nothing".to_owned()),
            Some(_) if recovered == 0 => wrong.push("no lease came back".to_owned()),
            _ => {}
        }
        let figures = [
            self.figures.tasks_per_s,
            self.figures.latency_ms_p50,
            self.figures.latency_ms_p99,
            self.figures.finality_ms_p50,
        ];
        if !figures.iter().all(|figure| figure.is_finite() && *figure > 0.0) || self.figures.blocks == 0 {
            wrong.push("a figure was not measured".to_owned());
        }
        if let Some(Liars { liars, found, wronged, believed, .. }) = self.figures.liars {
            if found != liars || wronged != 0 {
                wrong.push(format!("{found} of {liars} liars were found out, and {wronged} honest answers refused"));
            }
            if believed != 0 {
                wrong.push(format!("{believed} lies were believed"));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(Failure::failed(format!("Not all is right: {}.", wrong.join("; ")))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Summary {
        let figures = Figures {
            tasks: 9,
            completed: 9,
            lost: 0,
            accepted_twice: 0,
            recovered: 1,
            receipts_verified: 9,
            tasks_per_s: 1.0,
            latency_ms_p50: 1.0,
            latency_ms_p99: 1.0,
            finality_ms_p50: 1.0,
            blocks: 3,
            output: "image.png".into(),
            liars: Some(Liars { liars: 1, found: 1, outvoted: 3, wronged: 0, believed: 0 }),
        };
        Summary { figures, held_by_killed: Some(2) }
    }

    #[test]
    fn every_figure_that_is_not_right_is_a_failure() {
        assert_eq!(good().check(), Ok(()));
        let wrong: [fn(&mut Summary); 8] = [
            |summary| summary.figures.completed = 8,
            |summary| summary.figures.lost = 1,
            |summary| summary.figures.accepted_twice = 1,
            |summary| summary.figures.recovered = 0,
            |summary| summary.figures.receipts_verified = 8,
            |summary| summary.figures.finality_ms_p50 = f64::NAN,
            |summary| summary.figures.blocks = 0,
            |summary| summary.held_by_killed = Some(0),
        ];
        for change in wrong {
            let mut summary = good();
            change(&mut summary);
            assert!(summary.check().is_err(), "{summary:?}");
        }
        let wrong: [fn(&mut Liars); 3] =
            [|liars| liars.found = 0, |liars| liars.wronged = 1, |liars| liars.believed = 1];
        for change in wrong {
            let mut summary = good();
            summary.figures.liars.as_mut().map(change);
            assert!(summary.check().is_err(), "{summary:?}");
        }
        let mut nobody_killed = good();
        nobody_killed.held_by_killed = None;
        nobody_killed.figures.recovered = 0;
        assert_eq!(nobody_killed.check(), Ok(()));
    }
}
