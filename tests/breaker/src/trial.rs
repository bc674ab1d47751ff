//! The story of one fault: a job runs, something breaks and is mended, the job ends, and everything that must
//! hold is checked.

use std::time::{Duration, Instant};

use meshwork::failure::Done;
use meshwork_core::types::{BlobRef, JobId};

use crate::{
    checks::{chain, outcomes},
    faults::{Fault, Meanwhile, Pace},
    load::{Amount, Load, Submitter},
    network::Network,
    report::{Found, Row},
    sight::Sight,
};

/// How long a network may take until it is whole again.
const RECOVERED_WITHIN: Duration = Duration::from_secs(120);

/// How long the job's last tasks may take: the claims of vanished workers have to run out first.
const ENDED_WITHIN: Duration = Duration::from_secs(240);

/// How long blocks that were under way at a split may still become final.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// How long the network works before the fault.
const WARM_UP: Duration = Duration::from_secs(2);

/// Everything that a trial needs.
pub(crate) struct Stage {
    /// The network.
    pub network: Network,
    /// The observer.
    pub sight: Sight,
    /// The submitter.
    pub submitter: Submitter,
    /// The program of the tasks.
    pub program: BlobRef,
    /// How long faults last.
    pub pace: Pace,
    /// How many tasks there are.
    pub amount: Amount,
    /// Heights up to this one have been compared.
    pub compared: u64,
    /// How many trials there were: each verifies the proofs of another peer.
    pub turn: usize,
}

/// What happened between the fault and its end.
#[derive(Default)]
struct Broken {
    recovered: Duration,
    standstill: Duration,
    meanwhile_tasks: u64,
    meanwhile_heights: u64,
    wrong: Vec<String>,
}

impl Stage {
    /// Plays the fault. The row says what does not hold.
    pub(crate) async fn play(&mut self, fault: &mut dyn Fault) -> Row {
        let began = Instant::now();
        let mut row = Row::new(fault.name(), fault.title());
        if let Err(failure) = self.tell(fault, &mut row).await {
            row.wrong.push(failure.sentence);
            row.notes.extend(self.network.in_words().await);
            row.notes.extend(self.submitter.what_waits().await);
            // What is still broken must not break the next trial.
            for round in 0..fault.rounds(&self.network) {
                let _ = fault.heal(&self.network, round);
            }
        }
        row.notes.extend(fault.notes());
        row.took_s = began.elapsed().as_secs();
        self.turn += 1;
        row
    }

    async fn tell(&mut self, fault: &mut dyn Fault, row: &mut Row) -> Done {
        self.network.look()?;
        let began = Instant::now();
        let load = Load::begin(&self.submitter, self.program, self.amount).await?;
        self.sight.recovered(&self.network, began, RECOVERED_WITHIN).await?;
        self.network.hold(WARM_UP).await?;
        let broken = self.break_it(fault).await?;
        row.recovered_ms = Some(broken.recovered.as_millis() as u64);
        row.standstill_ms = Some(broken.standstill.as_millis() as u64);
        row.meanwhile_tasks = broken.meanwhile_tasks;
        row.meanwhile_heights = broken.meanwhile_heights;
        row.wrong.extend(broken.wrong);
        let job = load.job();
        let ended = load.finish(ENDED_WITHIN).await?;
        row.found = Some(self.examine(job, ended.tasks).await?);
        Ok(())
    }

    async fn break_it(&self, fault: &mut dyn Fault) -> Done<Broken> {
        let mut broken = Broken::default();
        let began = Instant::now();
        for round in 0..fault.rounds(&self.network) {
            self.round(fault, round, &mut broken).await?;
        }
        broken.standstill = self.sight.standstill(began, Instant::now());
        Ok(broken)
    }

    async fn round(&self, fault: &mut dyn Fault, round: usize, broken: &mut Broken) -> Done {
        let before = (self.sight.height(), self.sight.ended());
        fault.inject(&self.network, round)?;
        let hold = fault.hold(self.pace);
        let settled = hold.min(SETTLED_AFTER);
        self.network.hold(settled).await?;
        let at_first = (self.sight.heights(), self.sight.ended());
        self.network.hold(hold - settled).await?;
        let at_last = (self.sight.heights(), self.sight.ended());
        match fault.meanwhile() {
            Meanwhile::Stands => {
                broken.meanwhile_heights += grown(&at_first.0, &at_last.0);
                broken.meanwhile_tasks += at_last.1.saturating_sub(at_first.1);
                if at_first != at_last {
                    broken.wrong.push("there was progress where there can be none".into());
                }
            }
            Meanwhile::GoesOn | Meanwhile::Anything => {
                broken.meanwhile_heights += self.sight.height().saturating_sub(before.0);
                broken.meanwhile_tasks += at_last.1.saturating_sub(before.1);
                let stood = fault.meanwhile() == Meanwhile::GoesOn && !hold.is_zero() && at_last.1 == before.1;
                if stood {
                    broken.wrong.push(format!("no task ended in {} s of round {}", hold.as_secs(), round + 1));
                }
            }
        }
        fault.heal(&self.network, round)?;
        let recovered = self.sight.recovered(&self.network, Instant::now(), RECOVERED_WITHIN).await?;
        broken.recovered = broken.recovered.max(recovered);
        Ok(())
    }

    /// Checks everything that must hold of a job that has ended.
    async fn examine(&mut self, job: JobId, tasks: u32) -> Done<Found> {
        let outcomes = outcomes::examine(&self.network, job, tasks, self.turn).await?;
        let compared = chain::compare(&self.network, self.compared).await?;
        self.compared = compared.to;
        Ok(Found::new(job, tasks, outcomes, compared))
    }
}

/// The largest growth of any peer's height.
fn grown(before: &std::collections::BTreeMap<String, u64>, after: &std::collections::BTreeMap<String, u64>) -> u64 {
    let growth = after.iter().map(|(name, height)| height.saturating_sub(before.get(name).copied().unwrap_or(*height)));
    growth.max().unwrap_or(0)
}
