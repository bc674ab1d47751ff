//! What is said of tasks in random stories, against a plain look at everything.

use std::collections::BTreeSet;

use super::random::{Witness, could_hold, has_capacity, may_be_placed};
use crate::{
    ledger::{
        Ledger, Stage, TaskStateView, WorkerView,
        explain::reasons::{Explanation, Hindrance, LeaseStage, Leased, Need, Ready, SpeculationNow, Why},
        timeline::What,
    },
    types::*,
};

/// A task that waits for these, and for these in vain, says so: of each the array that is waited for as a whole, else
/// the task.
pub(super) fn check_waits(
    ledger: &Ledger,
    id: TaskId,
    open: BTreeSet<(Option<u16>, u32, When)>,
    missed: BTreeSet<(Option<u16>, u32, When)>,
) {
    let (arrays, tasks) = match ledger.explain(id).expect("a task").why {
        Why::Blocked(blocked) => {
            assert_eq!(blocked.tasks as usize, blocked.first_tasks.len());
            (blocked.arrays, blocked.first_tasks)
        }
        Why::Gone(gone) if ledger.job(id.job).is_some_and(|job| job.ended.is_none()) => (gone.arrays, gone.tasks),
        Why::Gone(gone) => return assert!(gone.arrays.is_empty() && gone.tasks.is_empty()),
        _ => return assert!(open.is_empty()),
    };
    let expected = if ledger.task(id).expect("a task").state == TaskStateView::Blocked { open } else { missed };
    let arrays = arrays.iter().map(|array| (Some(array.array), 0, array.when));
    let tasks = tasks.iter().map(|task| (None, task.index, task.when));
    assert_eq!(arrays.chain(tasks).collect::<BTreeSet<_>>(), expected, "{id}");
}

/// What is said of some tasks at this height.
pub(super) fn check(ledger: &Ledger, witness: &Witness) {
    let all: Vec<TaskId> =
        ledger.jobs().flat_map(|job| (0..job.count).map(move |index| TaskId { job: job.id, index })).collect();
    let ready = |task: &&TaskId| ledger.task(**task).expect("a task").state == TaskStateView::Ready;
    let ready: Vec<TaskId> = all.iter().filter(ready).copied().collect();
    let drawn = ledger.height().0 as usize * 31;
    for from in [&all, &ready] {
        let Some(task) = drawn.checked_rem(from.len()).map(|at| from[at]) else { continue };
        let explanation = ledger.explain(task).expect("a task");
        match (ledger.task(task).expect("a task").state, &explanation.why) {
            (TaskStateView::Ready, Why::Ready(said)) => check_ready(ledger, witness, task, said, &ready),
            (TaskStateView::Leased { .. }, Why::Leased(said)) => check_leased(ledger, task, said),
            (TaskStateView::Done { succeeded, attempt, .. }, Why::Done(done)) => {
                assert_eq!((done.succeeded, done.attempt), (succeeded, attempt.0));
                assert_eq!(done.worker, witness.given.get(&AttemptId { task, number: attempt }).copied());
            }
            (TaskStateView::BackingOff { until }, Why::BackingOff(said)) => {
                assert!(said.until == until && until > ledger.time() && said.after.is_some());
            }
            (TaskStateView::Gone(how), Why::Gone(said)) => assert_eq!(said.how, how),
            (TaskStateView::Held, Why::Held) | (TaskStateView::Blocked, Why::Blocked(_)) => {}
            (state, _) => panic!("{state:?} is explained by {explanation:?}"),
        }
        check_timeline(ledger, witness, task, &explanation);
    }
}

fn could_ever(ledger: &Ledger, task: TaskId) -> Vec<WorkerView<'_>> {
    let asked = ledger.task(task).expect("a task");
    ledger.workers().filter(|worker| could_hold(worker, &asked)).collect()
}

fn check_ready(ledger: &Ledger, witness: &Witness, task: TaskId, said: &Ready, ready: &[TaskId]) {
    let asked = ledger.task(task).expect("a task");
    let capable = could_ever(ledger, task);
    let is_frozen = !may_be_placed(ledger, task);
    assert_eq!(said.hindrance == Hindrance::Quota, is_frozen);
    let has_no_claim = capable.is_empty() && !is_frozen;
    assert_eq!(said.hindrance == Hindrance::NoClaim, has_no_claim, "no claim could ever hold it iff none does");
    assert_ne!(said.hindrance, Hindrance::Nothing, "what could be placed is");
    let (usable, avoided): (Vec<&WorkerView<'_>>, Vec<&WorkerView<'_>>) =
        capable.iter().partition(|worker| witness.permits(ledger, task, &worker.key));
    let is_open = |worker: &&WorkerView<'_>| {
        worker.waiting == 0 && has_capacity(ledger, worker, &asked, 0, 0) || worker.waiting < worker.claim.waiting
    };
    let avoided_open = avoided.iter().filter(|worker| is_open(worker)).count();
    let open = usable.iter().filter(|worker| is_open(worker)).count();
    assert!(open == 0 || is_frozen, "what could be placed is");
    let full = usable.len() - open;
    let counts = [ledger.workers().count(), capable.len(), avoided.len(), avoided_open, full, open];
    let claims = said.claims;
    let said_counts = [claims.standing, claims.capable, claims.avoided, claims.avoided_open, claims.full, claims.open];
    assert_eq!(said_counts.map(|count| count as usize), counts);
    for requirement in &said.requirements {
        let meets = |worker: &WorkerView<'_>| match &requirement.need {
            Need::Slot => worker.claim.slots > 0,
            Need::Millicores { needed, .. } => worker.claim.resources.millicores >= *needed,
            Need::Memory { needed, .. } => worker.claim.resources.memory_bytes >= *needed,
            Need::Label { label, value, .. } => worker.claim.labels.get(label) == Some(value),
        };
        assert_eq!(requirement.claims as usize, ledger.workers().filter(meets).count(), "{requirement:?}");
    }
    let keys: BTreeSet<_> = usable.iter().map(|worker| worker.key).collect();
    let leases = keys
        .iter()
        .flat_map(|key| ledger.leases_of(key))
        .filter(|lease| !matches!(lease.stage, Stage::Committed { .. }))
        .map(|lease| lease.attempt);
    let ends = leases.map(|AttemptId { task: id, number }| {
        let job = ledger.records.job(ledger.index.number_of(&id.job).expect("a job")).expect("a job");
        job.live(id.index).and_then(|live| live.lease_of(number)).expect("a lease").ends()
    });
    let first = ends.min().map(|due| due.as_block_time(ledger.lease_time(), ledger.time()));
    assert_eq!(said.frees, first);
    let submitter = |id: TaskId| ledger.job(id.job).map(|job| job.submitter);
    let is_own = |other| submitter(other) == submitter(task);
    let goes_before = |other: &&TaskId| {
        let could = |key: &&_| {
            could_ever(ledger, **other).iter().any(|worker| worker.key == **key)
                && witness.permits(ledger, **other, key)
        };
        place(ledger, **other) < place(ledger, task)
            && (is_own(**other) || may_be_placed(ledger, **other))
            && keys.iter().any(|key| could(&key))
    };
    let ahead: Vec<&TaskId> = ready.iter().filter(goes_before).collect();
    let jobs: BTreeSet<JobId> = ahead.iter().map(|task| task.job).collect();
    assert_eq!((said.ahead.tasks, said.ahead.jobs as usize), (ahead.len() as u64, jobs.len()));
    assert_eq!(said.ahead.by.iter().map(|count| count.tasks).sum::<u64>(), said.ahead.tasks);
    assert!(said.ahead.all && said.ahead.first.iter().all(|first| jobs.contains(&first.job)));
    assert_eq!(said.share.is_some(), ledger.rules().schedule().order.contains(&OrderPolicy::Fair));
}

/// Where a ready task stands, as shares are now.
fn place(ledger: &Ledger, id: TaskId) -> ([u64; ScheduleParameters::ORDER_MAX], u64, bool, u32) {
    let number = ledger.index.number_of(&id.job).expect("a job");
    let job = ledger.records.job(number).expect("a job");
    let rank = job.index.summary(job.segment_at(id.index).expect("a task")).expect("a segment").rank();
    let rank = ledger.sequence.at_turn(rank, &job.record.submitter, ledger.records.shares());
    let task = ledger.task(id).expect("a task");
    (rank.0, task.admission, task.attempts == 0, id.index)
}

fn check_leased(ledger: &Ledger, task: TaskId, said: &Leased) {
    let TaskStateView::Leased { attempt, worker, ends, .. } = ledger.task(task).expect("a task").state else {
        panic!("{task} is not leased");
    };
    assert_eq!((said.attempt, said.worker), (attempt.0, worker));
    assert_eq!(said.capable as usize, could_ever(ledger, task).len());
    let ends = ends.map(|ends| ends.as_block_time(ledger.lease_time(), ledger.time()));
    match said.stage {
        LeaseStage::Running { ends: said, .. } => assert_eq!(ends, Some(said)),
        LeaseStage::Waiting { ends: said } => assert!(ends.is_none() && said > ledger.time()),
        LeaseStage::Committed { reveal_until } => assert!(reveal_until.is_none_or(|until| until > ledger.time())),
    }
    if let SpeculationNow::Speculated { attempt, worker: other, .. } = said.speculation {
        assert!(attempt > said.attempt && other != worker, "a speculative attempt is a later attempt elsewhere");
    }
    if let Some(spread) = &said.spread {
        let label = ledger.worker(&worker).expect("it stands").claim.labels.get(&spread.label).cloned();
        assert_eq!(spread.value, label);
        let own = spread.leases.iter().find(|at| Some(&at.value) == spread.value.as_ref());
        assert!(own.is_none_or(|own| own.leases > 0), "its own lease is counted");
    }
}

/// Spans follow each other from the job's admission, those of attempts at the workers that were given them.
fn check_timeline(ledger: &Ledger, witness: &Witness, task: TaskId, explanation: &Explanation) {
    let timeline = ledger.timeline(task.job, task.index, 1).expect("a job");
    let own = &timeline.tasks[0];
    assert_eq!((own.index, timeline.tasks.len()), (task.index, 1));
    let mut at = timeline.submitted;
    let are_replicas = ledger.task(task).is_some_and(|task| task.spec.redundancy.is_some());
    for (place, span) in own.spans.iter().enumerate() {
        let beside =
            own.speculative.iter().any(|speculative| speculative.from < at && speculative.to == Some(span.from));
        assert!(span.from == at || beside || are_replicas, "{own:?}");
        assert!(span.to.is_some() || place + 1 == own.spans.len(), "only the last goes on");
        at = span.to.unwrap_or(ledger.time());
        assert!(span.from <= at && at <= ledger.time());
        if let Some(attempt) = span.what.attempt() {
            let id = AttemptId { task, number: AttemptNumber(attempt.attempt) };
            assert_eq!(witness.given.get(&id), Some(&attempt.worker));
        }
    }
    for span in &own.speculative {
        let attempt = span.what.attempt().expect("an attempt");
        let id = AttemptId { task, number: AttemptNumber(attempt.attempt) };
        assert_eq!(witness.given.get(&id), Some(&attempt.worker));
        assert!(span.from < span.to.unwrap_or(BlockTime(u64::MAX)), "{own:?}");
    }
    let mut last = own.spans.last().map(|span| (span.what, span.to.is_none()));
    if let Some(speculative) = own.speculative.last().filter(|speculative| speculative.to.is_none()) {
        last = Some((speculative.what, true));
    }
    // While a task waits for one more replica, others run.
    if explanation.replicas.is_some_and(|replicas| replicas.held + replicas.committed > 0) {
        let mut all = own.spans.iter().chain(&own.speculative);
        return assert!(all.any(|span| span.to.is_none()), "{own:?}");
    }
    match (&explanation.why, last) {
        (Why::Ready(_), Some((What::Queued, true)))
        | (Why::Held, Some((What::Held, true)))
        | (Why::Blocked(_), Some((What::Blocked, true)))
        | (Why::BackingOff(_), Some((What::BackingOff, true)))
        | (Why::Leased(_), Some((What::Waiting(_) | What::Running(_), true))) => assert!(own.ended.is_none()),
        (Why::Done(done), Some((_, false))) => {
            let accepted = own
                .spans
                .iter()
                .chain(&own.speculative)
                .filter_map(|span| span.what.attempt())
                .find(|own| own.accepted);
            assert_eq!(accepted.map(|own| own.attempt), Some(done.attempt));
        }
        (Why::Gone(_), None) => assert!(own.ended.is_some()),
        _ => panic!("{explanation:?} does not agree with {own:?}"),
    }
}
