//! Tasks and their attempts. A task has a state of its own only once it differs from the rest of its array.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{Commitment, FreshState, Replica, Replicas};
use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    ledger::{event::EndReason, records::lease_time::LeaseTime},
    schedule::recovery::Avoidance,
    types::{AttemptNumber, BlobRef, BlockTime, FailureKind, Height, Incarnation, Resources, Setback},
};

/// How many ended attempts of an unfinished task are remembered. A success of a forgotten attempt comes too late.
pub const ATTEMPTS_KEPT: usize = 32;

/// The state of a task that differs from the rest of its array.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::ledger) enum TaskState {
    Live(Box<Live>),
    Done(Box<Done>),
    Gone(Gone),
}

/// Why a task will have no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gone {
    /// Its submitter cancelled it.
    Cancelled,
    /// A dependency's condition can no longer be met.
    Skipped,
    /// Its job's time ran out.
    Expired,
    /// Its submitter was barred from submitting.
    Barred,
    /// Too many workers died while they ran tasks of its program in its job.
    EndedHosts,
    /// For too long, no claim that stood could ever hold it.
    Unclaimed,
}

/// A task that may be leased, or is leased, and has no outcome.
#[derive(Clone, Debug, Default, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Live {
    /// How many attempts there have been, live ones included.
    pub(in crate::ledger) attempts: u32,
    /// What became of the ended attempts, if there are any. (Boxed, because there are many tasks and most are leased
    /// once.)
    history: Option<Box<AttemptHistory>>,
    /// The last checkpoint that the program saved.
    pub(in crate::ledger) checkpoint: Option<Box<Checkpoint>>,
    pub(in crate::ledger) phase: Phase,
    /// Its replicas, if it has any.
    replicas: Option<Box<Replicas>>,
}

/// What became of a task's ended attempts.
#[derive(Clone, Debug, Default, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct AttemptHistory {
    /// How many attempts ended by the program's failure.
    pub(in crate::ledger) failures: u32,
    /// How many attempts were lost or drained after they had taken resources.
    pub(in crate::ledger) losses: u32,
    /// How many attempts their workers returned.
    pub(in crate::ledger) returns: u32,
    /// How often each setback with a rule of its own happened.
    pub(in crate::ledger) setbacks: BTreeMap<Setback, u32>,
    /// The ended attempts in the order in which they ended, at most [`ATTEMPTS_KEPT`].
    pub(in crate::ledger) past: Vec<PastAttempt>,
}

/// The history of a task none of whose attempts has ended.
static NOTHING: AttemptHistory =
    AttemptHistory { failures: 0, losses: 0, returns: 0, setbacks: BTreeMap::new(), past: Vec::new() };

/// A checkpoint that a program saved, to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Checkpoint {
    /// The manifest of its files.
    pub manifest: BlobRef,
    /// The attempt that saved it.
    pub attempt: AttemptNumber,
    /// The time of the block that recorded it.
    pub time: BlockTime,
}

/// Where a live task is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::ledger) enum Phase {
    #[default]
    Ready,
    /// Its submitter holds it.
    Held,
    BackingOff(BlockTime),
    Leased(Lease),
    /// No other replica is wanted now. (While one is, the phase says where the task stands, and the others live.)
    Replicated,
}

/// A lease: a live attempt of a task.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Lease {
    /// Its place in the order of leases.
    pub(in crate::ledger) number: u64,
    /// Which attempt of the task.
    pub(in crate::ledger) attempt: AttemptNumber,
    pub(in crate::ledger) worker: PublicKey,
    pub(in crate::ledger) incarnation: Incarnation,
    pub(in crate::ledger) leased: BlockTime,
    /// When its wait for resources times out.
    pub(in crate::ledger) waits_until: LeaseTime,
    /// Its resources, if it has any.
    pub(in crate::ledger) allocation: Option<Allocation>,
    /// What it has charged to its submitter's share.
    pub(in crate::ledger) cost: u64,
    /// How many slices that charge covers, if it is charged by slices.
    pub(in crate::ledger) slices: u32,
    /// The request that it be preempted, if there is one.
    pub(in crate::ledger) preemption: Option<Box<Preemption>>,
    /// The speculative attempt at another worker, if this one is slow. Both have resources. The speculative attempt
    /// has no speculative one itself.
    pub(in crate::ledger) speculative: Option<Box<Lease>>,
    /// What it has besides, if it is a replica.
    pub(in crate::ledger) replica: Option<Box<Replica>>,
}

/// A request that an attempt be preempted.
#[derive(Clone, Copy, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Preemption {
    /// The submitter that waits for it.
    pub(in crate::ledger) by: PublicKey,
    /// When the request lapses, so that the submitter may have another attempt preempted.
    pub(in crate::ledger) until: LeaseTime,
}

/// The worker's resources that an attempt has, and for how long.
#[derive(Clone, Copy, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Allocation {
    pub(in crate::ledger) since: LeaseTime,
    pub(in crate::ledger) started: BlockTime,
    /// The amount, even if the task's terms have changed since.
    pub(in crate::ledger) resources: Resources,
    /// When it times out.
    pub(in crate::ledger) ends: LeaseTime,
    pub(in crate::ledger) speculation: Speculation,
}

/// Whether an attempt is to get a speculative attempt beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::ledger) enum Speculation {
    /// At this time it is compared with the estimate for its program.
    Watched(LeaseTime),
    /// It takes far longer than most. A speculative attempt goes to the first claim with nothing else to do.
    Slow,
    /// It gets none: it has or had one, it is one, or its submitter wants none.
    Settled,
}

impl Lease {
    /// When it runs out, in its present stage. A replica that has committed itself runs out only once it is asked for its
    /// answer.
    pub(in crate::ledger) fn ends(&self) -> LeaseTime {
        if let Some(commitment) = self.commitment() {
            return commitment.reveal_until.unwrap_or(LeaseTime::NEVER);
        }
        self.allocation.map_or(self.waits_until, |allocation| allocation.ends)
    }

    /// The resources that it holds.
    pub(in crate::ledger) fn holds(&self) -> Option<Resources> {
        self.allocation.filter(|_| self.commitment().is_none()).map(|allocation| allocation.resources)
    }

    /// Whether it waits for resources.
    pub(in crate::ledger) fn waits(&self) -> bool {
        self.allocation.is_none() && self.commitment().is_none()
    }

    /// The worker's commitment to its answer.
    pub(in crate::ledger) fn commitment(&self) -> Option<&Commitment> {
        self.replica.as_ref()?.commitment.as_ref()
    }

    /// When it next changes by time alone.
    pub(in crate::ledger) fn due(&self) -> LeaseTime {
        match self.allocation.filter(|_| self.commitment().is_none()) {
            Some(Allocation { speculation: Speculation::Watched(look), ends, .. }) => look.min(ends),
            _ => self.ends(),
        }
    }

    pub(in crate::ledger) fn is_slow(&self) -> bool {
        self.allocation.is_some_and(|allocation| allocation.speculation == Speculation::Slow)
    }

    pub(in crate::ledger) const fn set_speculation(&mut self, speculation: Speculation) {
        if let Some(allocation) = &mut self.allocation {
            allocation.speculation = speculation;
        }
    }

    /// How long it has had resources, in milliseconds of lease time.
    pub(in crate::ledger) fn ran_ms(&self, now: LeaseTime) -> u64 {
        let now = self.commitment().map_or(now, |commitment| commitment.at);
        self.allocation.map_or(0, |allocation| now.0.saturating_sub(allocation.since.0) / 1000)
    }
}

/// An attempt that ended without an outcome of its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct PastAttempt {
    /// Which attempt.
    pub number: AttemptNumber,
    /// Who held it.
    pub worker: PublicKey,
    /// When it was leased.
    pub leased: BlockTime,
    /// When it took resources, if it did.
    pub started: Option<BlockTime>,
    /// When it ended.
    pub ended: BlockTime,
    /// How it ended.
    pub why: EndReason,
    /// How its program failed, if that ended it.
    pub failure: Option<FailureKind>,
    /// Whether the task avoids that worker since.
    pub avoided: bool,
    /// Whether that worker was on trial.
    pub on_trial: bool,
}

impl PastAttempt {
    /// Whether it counts towards the bound on losses. What workers on trial lose says nothing of the task.
    pub(in crate::ledger) fn is_counted_loss(&self) -> bool {
        let has_begun =
            self.started.is_some() || matches!(self.why, EndReason::HostDied { .. }) || self.why.breaks_commitment();
        has_begun && self.why.is_loss() && !self.on_trial
            || is_planted(Fault::ReturnsCount) && matches!(self.why, EndReason::Returned)
    }
}

/// A task's outcome: which receipt holds it, not the outcome itself.
#[derive(Clone, Debug, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Done {
    pub(in crate::ledger) attempt: AttemptNumber,
    pub(in crate::ledger) succeeded: bool,
    pub(in crate::ledger) height: Height,
    pub(in crate::ledger) receipt: u32,
    /// Its output, if other tasks may take it.
    pub(in crate::ledger) manifest: Option<Box<BlobRef>>,
    /// The attempts in the order in which they ended; at most [`ATTEMPTS_KEPT`].
    pub(in crate::ledger) past: Box<[PastAttempt]>,
}

/// The number of tasks in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TaskCounts {
    /// Waiting for other tasks or jobs, or for their time.
    pub blocked: u64,
    /// Held by their submitter.
    pub held: u64,
    /// Ready to be placed.
    pub ready: u64,
    /// Waiting until a back-off after a setback is over.
    pub backing_off: u64,
    /// Leased, with resources.
    pub running: u64,
    /// Leased, in a waiting place.
    pub waiting: u64,
    /// Ended with a success.
    pub succeeded: u64,
    /// Ended with a failure.
    pub failed: u64,
    /// Cancelled before they had an outcome: by their submitter, because their job's time ran out, or because their
    /// program ended its hosts.
    pub cancelled: u64,
    /// Without an outcome, because a dependency's condition can no longer be met.
    pub skipped: u64,
}

impl TaskCounts {
    /// The number of tasks without an outcome.
    #[must_use]
    pub const fn unfinished(&self) -> u64 {
        self.blocked + self.held + self.ready + self.backing_off + self.running + self.waiting
    }

    /// The number of all tasks.
    #[must_use]
    pub const fn all(&self) -> u64 {
        self.unfinished() + self.succeeded + self.failed + self.cancelled + self.skipped
    }

    pub(in crate::ledger) fn of_fresh(&mut self, state: FreshState) -> &mut u64 {
        match state {
            FreshState::Ready => &mut self.ready,
            FreshState::Blocked => &mut self.blocked,
            FreshState::Held => &mut self.held,
            FreshState::Gone(gone) => self.of_gone(gone),
        }
    }

    pub(in crate::ledger) fn of_gone(&mut self, gone: Gone) -> &mut u64 {
        match gone {
            Gone::Cancelled | Gone::Expired | Gone::Barred | Gone::EndedHosts | Gone::Unclaimed => &mut self.cancelled,
            Gone::Skipped => &mut self.skipped,
        }
    }

    pub(in crate::ledger) fn of_state(&mut self, state: &TaskState) -> &mut u64 {
        match state {
            TaskState::Done(done) if done.succeeded => &mut self.succeeded,
            TaskState::Done(_) => &mut self.failed,
            TaskState::Gone(gone) => self.of_gone(*gone),
            TaskState::Live(live) => match &live.phase {
                Phase::Ready => &mut self.ready,
                Phase::Held => &mut self.held,
                Phase::BackingOff(_) => &mut self.backing_off,
                Phase::Leased(_) | Phase::Replicated
                    if live.lease().is_some_and(|lease| lease.allocation.is_some()) =>
                {
                    &mut self.running
                }
                Phase::Leased(_) | Phase::Replicated => &mut self.waiting,
            },
        }
    }
}

impl Live {
    /// A task in this phase that was never leased.
    pub(in crate::ledger) fn at(phase: Phase) -> Self {
        Self { phase, ..Self::default() }
    }

    /// Remembers an ended attempt. Beyond the bound it forgets the least important first: attempts that say nothing
    /// about a worker, then returns, then losses.
    pub(in crate::ledger) fn remember(&mut self, attempt: PastAttempt) {
        let past = &mut self.history_mut().past;
        if past.len() >= ATTEMPTS_KEPT {
            let position = |matters: fn(&PastAttempt) -> bool| past.iter().position(|past| !matters(past));
            let least = position(|past| past.avoided).or_else(|| position(PastAttempt::is_counted_loss));
            past.remove(least.unwrap_or(0));
        }
        past.push(attempt);
    }

    pub(in crate::ledger) fn history(&self) -> &AttemptHistory {
        self.history.as_deref().unwrap_or(&NOTHING)
    }

    pub(in crate::ledger) fn history_mut(&mut self) -> &mut AttemptHistory {
        self.history.get_or_insert_default()
    }

    /// The workers that the task avoids.
    pub(in crate::ledger) fn avoidance(&self) -> Avoidance {
        let avoided = self.history().past.iter().filter(|past| past.avoided);
        let avoidance = Avoidance::of(avoided.map(|past| past.worker));
        match &self.replicas {
            Some(replicas) => avoidance.and_never(replicas.parties()),
            None => avoidance,
        }
    }

    /// Whether it waits to be placed.
    pub(in crate::ledger) const fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    pub(in crate::ledger) fn replicas(&self) -> Option<&Replicas> {
        self.replicas.as_deref()
    }

    pub(in crate::ledger) fn replicas_mut(&mut self) -> Option<&mut Replicas> {
        self.replicas.as_deref_mut()
    }

    /// Its replicas, which are these if there were none yet.
    pub(in crate::ledger) fn replicas_or(&mut self, none: impl FnOnce() -> Replicas) -> &mut Replicas {
        self.replicas.get_or_insert_with(|| Box::new(none()))
    }

    /// Whether it is to be drawn in the next block whether its answers are compared.
    pub(in crate::ledger) fn awaits_draw(&self) -> bool {
        self.replicas().is_some_and(Replicas::await_draw)
    }

    /// The lease of the oldest live attempt.
    pub(in crate::ledger) fn lease(&self) -> Option<&Lease> {
        match (&self.phase, &self.replicas) {
            (Phase::Leased(lease), _) => Some(lease),
            (_, Some(replicas)) => replicas.leases.first(),
            _ => None,
        }
    }

    pub(in crate::ledger) const fn lease_mut(&mut self) -> Option<&mut Lease> {
        match &mut self.phase {
            Phase::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    /// The leases of all live attempts, oldest first.
    pub(in crate::ledger) fn leases(&self) -> impl Iterator<Item = &Lease> {
        let only = if let Phase::Leased(lease) = &self.phase { Some(lease) } else { None };
        let speculative = only.and_then(|lease| lease.speculative.as_deref());
        only.into_iter().chain(speculative).chain(self.replicas.iter().flat_map(|replicas| &replicas.leases))
    }

    /// The lease of a live attempt, to change it.
    pub(in crate::ledger) fn lease_of_mut(&mut self, attempt: AttemptNumber) -> Option<&mut Lease> {
        match (&mut self.phase, &mut self.replicas) {
            (Phase::Leased(lease), _) if lease.attempt == attempt => Some(lease),
            (_, Some(replicas)) => replicas.leases.iter_mut().find(|lease| lease.attempt == attempt),
            _ => None,
        }
    }

    /// The lease of an attempt, if it lives.
    pub(in crate::ledger) fn lease_of(&self, attempt: AttemptNumber) -> Option<&Lease> {
        self.leases().find(|lease| lease.attempt == attempt)
    }

    /// Takes out an attempt's lease. If it had a speculative one, that one takes its place.
    pub(in crate::ledger) fn end_lease(&mut self, attempt: AttemptNumber) -> Option<Lease> {
        if let Some(replicas) = &mut self.replicas {
            let at = replicas.leases.iter().position(|lease| lease.attempt == attempt)?;
            return Some(replicas.leases.remove(at));
        }
        let Phase::Leased(lease) = &mut self.phase else { return None };
        if lease.attempt != attempt {
            return lease
                .speculative
                .take_if(|speculative| speculative.attempt == attempt)
                .map(|speculative| *speculative);
        }
        let next = lease.speculative.take().map_or(Phase::Ready, |speculative| Phase::Leased(*speculative));
        match std::mem::replace(&mut self.phase, next) {
            Phase::Leased(lease) => Some(lease),
            _ => None,
        }
    }
}
