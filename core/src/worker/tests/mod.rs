//! The worker's rules, one by one. Each test tells a story of inputs and effects.

mod attempts;
mod claims;
mod died;
mod leaving;
mod outbox;
mod replicas;
mod words;

use super::*;
use crate::{
    digest::Digest,
    identity::SecretKey,
    ledger::{EndReason, IgnoredReason},
    types::{
        Access, AttemptNumber, Authority, BlobRef, ConsensusParameters, Delivery, Failure, Height, InlineOutput, JobId,
        Labels, LedgerLimits, Output, Remains, Resources, ScheduleParameters, TaskId, TaskSpec, Usage, Verdict,
    },
};

/// Memory that a worker offers.
const MEMORY: u64 = 1000;
/// The worker's clock when it begins.
const BEGAN: u64 = 1_000_000_000;

fn genesis() -> Genesis {
    let key = SecretKey::from_seed([2; 32]).public();
    Genesis {
        name: "test".into(),
        time: BlockTime(1),
        authorities: vec![Authority { name: "a".into(), key, addresses: Vec::new() }],
        access: Access::default(),
        consensus: ConsensusParameters::default(),
        ledger: LedgerLimits::default(),
        schedule: ScheduleParameters::default(),
    }
}

fn attempt(index: u32) -> AttemptId {
    AttemptId { task: TaskId { job: JobId(Digest::ZERO), index }, number: AttemptNumber(0) }
}

fn blob(byte: u8) -> BlobRef {
    BlobRef { digest: Digest([byte; 32]), bytes: 1 }
}

fn delivery() -> Delivery {
    let key = SecretKey::from_seed([5; 32]);
    let signature = key.sign(crate::identity::Domain::Delivery, &crate::identity::NetworkId([0; 32]), b"");
    Delivery { holder: key.public(), height: Height(1), signature }
}

fn success() -> Verdict {
    Verdict::Succeeded(0, Output::Inline(InlineOutput::default()), Usage::default(), Vec::new())
}

fn stored() -> Verdict {
    let output = Output::Stored { manifest: blob(1), stderr: None, bytes: 1, delivery: delivery() };
    Verdict::Succeeded(0, output, Usage::default(), Vec::new())
}

fn failure() -> Verdict {
    Verdict::Failed(Failure::Exited(1), Remains::default(), Usage::default())
}

fn checkpoint(byte: u8) -> Verdict {
    Verdict::Checkpointed { manifest: blob(byte), bytes: 1, delivery: delivery() }
}

fn word(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Succeeded(..) => "succeeded".into(),
        Verdict::Failed(..) => "failed".into(),
        Verdict::Returned => "returned".into(),
        Verdict::Undelivered => "undelivered".into(),
        Verdict::Preempted => "preempted".into(),
        Verdict::HostDied { alone: true } => "died alone".into(),
        Verdict::HostDied { alone: false } => "died".into(),
        Verdict::Checkpointed { manifest, .. } => format!("saved {}", manifest.digest.0[0]),
        Verdict::Committed(commitment) => format!("committed {}", commitment.0[0]),
        Verdict::Revealed(..) => "revealed".into(),
    }
}

/// An effect in a few words.
fn told(effect: &Effect) -> String {
    match effect {
        Effect::Prepare(assignment) => format!("prepare {}", assignment.attempt.task.index),
        Effect::Run(assignment) => format!("run {}", assignment.attempt.task.index),
        Effect::Stop(attempt) => format!("stop {}", attempt.task.index),
        Effect::Deliver { attempt, .. } => format!("deliver {}", attempt.task.index),
        Effect::Reveal(attempt) => format!("reveal {}", attempt.task.index),
        Effect::Forget(attempt) => format!("forget {}", attempt.task.index),
        Effect::LookUp { .. } => "look up".into(),
        Effect::HandIn { action: Action::Report(report), .. } => {
            let items = report.items.iter().map(|item| format!("{} {}", item.attempt.task.index, word(&item.verdict)));
            format!("report {}", items.collect::<Vec<_>>().join(", "))
        }
        Effect::HandIn { action: Action::Claim(claim), .. } => format!("claim {} and {}", claim.slots, claim.waiting),
        Effect::HandIn { action: Action::Drain(_), .. } => "drain".into(),
        Effect::HandIn { .. } => "something else".into(),
        Effect::Left { is_known: true } => "left".into(),
        Effect::Left { is_known: false } => "left unheard".into(),
    }
}

/// A worker with two slots and its driver, which signs everything at once and does nothing else.
struct Story {
    worker: Worker,
    now: Now,
    /// What the worker has handed in, oldest first.
    handed_in: Vec<(Ticket, Action)>,
    last: Option<(u64, Incarnation)>,
    lacks_blocks: bool,
    load: u16,
    has_disk_space: bool,
}

impl Story {
    /// A worker that has not claimed yet.
    fn begun() -> Self {
        Self::after_a_death(Vec::new())
    }

    /// The same, after a process that died of this.
    fn after_a_death(died_of: Vec<Died>) -> Self {
        let config = Config {
            key: SecretKey::from_seed([1; 32]).public(),
            slots: 2,
            resources: Resources { millicores: 2000, memory_bytes: MEMORY },
            labels: Labels::new(),
            died_of,
        };
        let genesis = genesis();
        let now = Now { monotonic: Monotonic(7_000_000), clock: BlockTime(BEGAN) };
        Self {
            worker: Worker::new(config, &genesis, now),
            now,
            handed_in: Vec::new(),
            last: None,
            lacks_blocks: false,
            load: 0,
            has_disk_space: true,
        }
    }

    /// A worker whose claim stands.
    fn standing() -> Self {
        let mut story = Self::begun();
        assert_eq!(story.tick(), ["look up", "claim 2 and 2"]);
        story.executes_last();
        story
    }

    /// Tells the worker an input, and returns its effects in words.
    fn tell(&mut self, input: Input) -> Vec<String> {
        let mut inputs = vec![input];
        let mut all = Vec::new();
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.worker.handle(self.now, input, &mut effects);
            for effect in effects {
                all.push(told(&effect));
                match effect {
                    Effect::HandIn { ticket, action, .. } => {
                        inputs.push(Input::Signed { ticket, id: id(ticket) });
                        self.handed_in.push((ticket, action));
                    }
                    Effect::LookUp { .. } => inputs.push(Input::LookedUp(LookedUp {
                        lacks_blocks: self.lacks_blocks,
                        network_time: NetworkTime::begun(BlockTime::default()),
                        last: self.last,
                        blobs: None,
                    })),
                    _ => {}
                }
            }
        }
        all
    }

    fn pass(&mut self, ms: u64) {
        self.now.monotonic = self.now.monotonic.plus_us(1000 * ms);
        self.now.clock = self.now.clock.plus_ms(ms);
    }

    fn tick(&mut self) -> Vec<String> {
        self.tell(Input::Tick { load: self.load, has_disk_space: self.has_disk_space })
    }

    /// Lets this much time pass.
    fn after(&mut self, ms: u64) -> Vec<String> {
        self.pass(ms);
        self.tick()
    }

    fn assignment(&self, index: u32, memory_bytes: u64) -> Assignment {
        Assignment {
            attempt: attempt(index),
            incarnation: self.worker.incarnation,
            spec: Arc::new(TaskSpec::of(blob(0))),
            resources: Resources { millicores: 1000, memory_bytes },
            part: None,
            array_index: index,
            produced: Vec::new(),
            checkpoint: None,
            feeds: false,
            alone: false,
        }
    }

    /// A block gives the worker attempts so small that any two fit.
    fn gives(&mut self, indices: &[u32]) -> Vec<String> {
        let assignment = indices.iter().map(|index| self.assignment(*index, 1)).collect();
        self.tell(Input::Executed(News { assignments: assignment, ..News::default() }))
    }

    /// These attempts are prepared.
    fn prepared(&mut self, indices: &[u32]) -> Vec<String> {
        let prepared = indices.iter().map(|index| Progress::Prepared(attempt(*index), Ok(())));
        self.tell(Input::Progress(prepared.collect()))
    }

    /// A worker that runs these attempts.
    fn running(indices: &[u32]) -> Self {
        let mut story = Self::standing();
        story.gives(indices);
        story.prepared(indices);
        story
    }

    fn ran(&mut self, index: u32, ms: u64) -> Vec<String> {
        self.tell(Input::Progress(vec![Progress::Ran(attempt(index), std::time::Duration::from_millis(ms))]))
    }

    fn saved(&mut self, index: u32, byte: u8) -> Vec<String> {
        self.tell(Input::Progress(vec![Progress::Saved(attempt(index), checkpoint(byte))]))
    }

    fn ended(&mut self, index: u32, verdict: Verdict) -> Vec<String> {
        self.tell(Input::Progress(vec![Progress::Ended(attempt(index), verdict)]))
    }

    /// A run ends, and its verdict is there at once.
    fn done(&mut self, index: u32, verdict: Verdict) -> Vec<String> {
        let ran = Progress::Ran(attempt(index), std::time::Duration::from_secs(1));
        self.tell(Input::Progress(vec![ran, Progress::Ended(attempt(index), verdict)]))
    }

    fn happens(&mut self, happened: Vec<Happened>) -> Vec<String> {
        self.tell(Input::Executed(News { happened, ..News::default() }))
    }

    fn ends(&mut self, index: u32, why: EndReason) -> Vec<String> {
        self.happens(vec![Happened::Ended { attempt: attempt(index), why }])
    }

    /// A transaction is executed with these events. It is the one that the worker handed in `before` others.
    fn executes(&mut self, before: usize, happened: Vec<Happened>) -> Vec<String> {
        let (ticket, _) = self.handed_in[self.handed_in.len() - 1 - before];
        self.tell(Input::Executed(News { happened, receipts: vec![(id(ticket), true)], assignments: Vec::new() }))
    }

    fn executes_last(&mut self) -> Vec<String> {
        self.executes(0, Vec::new())
    }

    /// The last transaction handed in is void.
    fn voids_last(&mut self) -> Vec<String> {
        let (ticket, _) = self.handed_in[self.handed_in.len() - 1];
        let receipts = vec![(id(ticket), false)];
        self.tell(Input::Executed(News { receipts, ..News::default() }))
    }

    fn refuses_last(&mut self) -> Vec<String> {
        let (ticket, _) = self.handed_in[self.handed_in.len() - 1];
        self.tell(Input::Refused(ticket))
    }

    /// The last claim.
    fn claim(&self) -> &crate::types::Claim {
        let claims = self.handed_in.iter().rev().find_map(|(_, action)| match action {
            Action::Claim(claim) => Some(claim),
            _ => None,
        });
        claims.expect("it has claimed")
    }
}

fn id(ticket: Ticket) -> TransactionId {
    TransactionId(Digest::of(&ticket.0.to_be_bytes()))
}

fn ignored(index: u32, why: IgnoredReason) -> Vec<Happened> {
    vec![Happened::Ignored { attempt: attempt(index), why }]
}

fn nothing() -> [String; 0] {
    []
}
