//! A network in miniature: a ledger, keys, and short ways to say what happens in a block.

use std::sync::Arc;

use crate::{
    digest::Digest,
    identity::{PublicKey, SecretKey},
    ledger::{Applied, EndReason, IgnoredReason, Ledger, LedgerEvent, Stage, TaskStateView},
    types::*,
};

/// When the tests' networks were founded.
pub(crate) const FOUNDED: BlockTime = BlockTime(1_000_000_000);

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_seed([seed; 32])
}

/// One authority; a stall threshold of 2 seconds.
pub(crate) fn genesis() -> Genesis {
    Genesis {
        name: "test".into(),
        time: FOUNDED,
        authorities: vec![Authority { name: "a".into(), key: key(200).public(), addresses: Vec::new() }],
        access: Access::default(),
        consensus: ConsensusParameters::default(),
        // Every key of the tests is unproven, and no worker on trial, unless a test is about that.
        ledger: LedgerLimits { unproven_permille: 1000, trial_wait_ms: 0, ..LedgerLimits::default() },
        schedule: ScheduleParameters {
            order: vec![OrderPolicy::Fifo],
            placement: vec![PlacementPolicy::LeastLoaded],
            ..ScheduleParameters::default()
        },
    }
}

pub(crate) fn spec() -> TaskSpec {
    TaskSpec {
        resources: Resources { millicores: 1000, memory_bytes: 100 },
        limits: Limits { wall_ms: 10_000, fuel: 1 << 40, output_bytes: 1000 },
        retry: Retry::default(),
        ..TaskSpec::of(BlobRef { digest: Digest::of(b"program"), bytes: 10 })
    }
}

pub(crate) fn array(name: &str, count: u32, spec: TaskSpec) -> Action {
    Action::Submit(Submit::new(name, spec, Tasks::Repeat(count)))
}

/// A claim with so many slots, resources for as many of [`spec`]'s tasks, and so many waiting places.
pub(crate) fn offer(slots: u32, waiting: u32) -> Claim {
    Claim {
        sequence: 0,
        incarnation: Incarnation(1),
        slots,
        resources: Resources { millicores: slots * 1000, memory_bytes: u64::from(slots) * 100 },
        waiting,
        load: 0,
        stands_ms: 60_000,
        ..Claim::default()
    }
}

pub(crate) fn success() -> Verdict {
    let output = InlineOutput { stdout: b"done".as_slice().into(), ..InlineOutput::default() };
    Verdict::Succeeded(0, Output::Inline(output), Usage::default(), Vec::new())
}

pub(crate) fn failure() -> Verdict {
    Verdict::Failed(Failure::Exited(1), Remains::default(), Usage::default())
}

/// A ledger with the block that is being written.
pub(crate) struct Mesh {
    pub ledger: Ledger,
    pub now: BlockTime,
    /// The epoch of the next block.
    pub epoch: Epoch,
    pending: Vec<Arc<SignedTransaction>>,
    nonce: u64,
    sequence: u64,
}

impl Mesh {
    pub(crate) fn new(genesis: Genesis) -> Self {
        Self::of(Ledger::new(Arc::new(genesis)))
    }

    pub(crate) fn of(ledger: Ledger) -> Self {
        Self { now: ledger.time(), epoch: ledger.epoch(), ledger, pending: Vec::new(), nonce: 0, sequence: 0 }
    }

    /// Signs something for the next block, and adds it.
    pub(crate) fn sign(&mut self, by: &SecretKey, action: Action) -> TransactionId {
        let life_ms = self.ledger.genesis().ledger.transaction_life_ms_max;
        let expires = self.now.plus_ms(life_ms.min(60_000));
        self.sign_until(by, action, expires)
    }

    pub(crate) fn sign_until(&mut self, by: &SecretKey, action: Action, expires: BlockTime) -> TransactionId {
        self.nonce += 1;
        let transaction = Transaction { nonce: self.nonce, expires, action };
        let signed = SignedTransaction::sign(transaction, by, &self.ledger.network());
        self.add(Arc::new(signed))
    }

    pub(crate) fn add(&mut self, signed: Arc<SignedTransaction>) -> TransactionId {
        let id = signed.id();
        self.pending.push(signed);
        id
    }

    pub(crate) fn submit(&mut self, by: &SecretKey, count: u32, spec: TaskSpec) -> JobId {
        JobId(self.sign(by, array("job", count, spec)).0)
    }

    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(crate) fn claim(&mut self, by: &SecretKey, claim: Claim) -> TransactionId {
        let sequence = self.next_sequence();
        self.sign(by, Action::Claim(Claim { sequence, ..claim }))
    }

    pub(crate) fn drain(&mut self, by: &SecretKey) -> TransactionId {
        let sequence = self.next_sequence();
        self.sign(by, Action::Drain(Drain { sequence }))
    }

    pub(crate) fn report(&mut self, by: &SecretKey, attempt: AttemptId, verdict: Verdict) -> TransactionId {
        self.sign(by, Action::Report(Report { items: vec![ReportItem { attempt, verdict }] }))
    }

    pub(crate) fn cancel(&mut self, by: &SecretKey, job: JobId) -> TransactionId {
        self.control(by, Control::cancel(job))
    }

    pub(crate) fn control(&mut self, by: &SecretKey, control: Control) -> TransactionId {
        self.sign(by, Action::Control(control))
    }

    /// The block of all that was signed since the last one, so much later.
    pub(crate) fn block(&mut self, later_ms: u64) -> Block {
        self.now = self.now.plus_ms(later_ms);
        let transactions = std::mem::take(&mut self.pending);
        let header = Header {
            epoch: self.epoch,
            view: View(1),
            role: Role::Inner,
            height: self.ledger.height().next(),
            parent: Digest::ZERO,
            time: self.now,
            transactions: Block::transactions_digest(&transactions),
            final_height: Height(0),
            result_height: Height(0),
            result: Digest::ZERO,
            snapshots: Vec::new(),
        };
        Block { header, transactions }
    }

    /// Applies that block.
    pub(crate) fn pass(&mut self, later_ms: u64) -> Applied {
        let block = self.block(later_ms);
        self.ledger.apply(&block)
    }

    /// The same, one millisecond later.
    pub(crate) fn next(&mut self) -> Applied {
        self.pass(1)
    }

    /// Lets so much time pass in blocks that are never a stall apart. What happened.
    pub(crate) fn idle(&mut self, ms: u64) -> Applied {
        let mut all = Applied::default();
        let mut rest_ms = ms;
        while rest_ms > 0 {
            let step_ms = rest_ms.min(1000);
            let applied = self.pass(step_ms);
            all.receipts.extend(applied.receipts);
            all.events.extend(applied.events);
            rest_ms -= step_ms;
        }
        all
    }

    /// What a worker holds: index and attempt of each task, and whether it runs.
    pub(crate) fn held(&self, by: &SecretKey) -> Vec<(u32, u32, bool)> {
        let leases = self.ledger.leases_of(&by.public()).into_iter();
        leases.map(|lease| (lease.attempt.task.index, lease.attempt.number.0, lease.stage == Stage::Running)).collect()
    }

    pub(crate) fn running(&self, by: &SecretKey) -> u32 {
        self.ledger.worker(&by.public()).map_or(0, |worker| worker.running)
    }

    pub(crate) fn waiting(&self, by: &SecretKey) -> u32 {
        self.ledger.worker(&by.public()).map_or(0, |worker| worker.waiting)
    }

    pub(crate) fn state(&self, job: JobId, index: u32) -> TaskStateView {
        self.ledger.task(TaskId { job, index }).expect("a task").state
    }

    /// Who holds a task now.
    pub(crate) fn holder(&self, job: JobId, index: u32) -> Option<PublicKey> {
        match self.state(job, index) {
            TaskStateView::Leased { worker, .. } => Some(worker),
            _ => None,
        }
    }
}

pub(crate) fn attempt(job: JobId, index: u32, number: u32) -> AttemptId {
    AttemptId { task: TaskId { job, index }, number: AttemptNumber(number) }
}

/// What became of a transaction in this block.
pub(crate) fn result_of(applied: &Applied, id: TransactionId) -> Result<(), VoidReason> {
    let results = applied.receipts.iter().filter_map(|receipt| match receipt {
        Receipt::Transaction(receipt) if receipt.id == id => Some(receipt.result),
        _ => None,
    });
    let results: Vec<_> = results.collect();
    assert_eq!(results.len(), 1, "one receipt for each transaction");
    results[0]
}

pub(crate) fn outcomes(applied: &Applied) -> Vec<&OutcomeReceipt> {
    let outcomes = applied.receipts.iter().filter_map(|receipt| match receipt {
        Receipt::Outcome(outcome) => Some(outcome),
        Receipt::Transaction(_) => None,
    });
    outcomes.collect()
}

/// How attempts ended in this block: index, attempt and reason.
pub(crate) fn ends(applied: &Applied) -> Vec<(u32, u32, EndReason)> {
    let end = |event: &LedgerEvent| match event {
        LedgerEvent::Ended { attempt, why, .. } => Some((attempt.task.index, attempt.number.0, *why)),
        _ => None,
    };
    applied.events.iter().filter_map(end).collect()
}

pub(crate) fn ignored(applied: &Applied) -> Vec<IgnoredReason> {
    let why = |event: &LedgerEvent| match event {
        LedgerEvent::ReportIgnored { why, .. } => Some(*why),
        _ => None,
    };
    applied.events.iter().filter_map(why).collect()
}
