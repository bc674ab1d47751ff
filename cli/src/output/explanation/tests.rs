//! The sentences, and that an explanation survives JSON unchanged.

use meshwork_core::{
    digest::Digest,
    identity::PublicKey,
    ledger::{
        EndReason,
        explain::reasons::{AheadBy, Attempt, Claims, Explanation, JobAhead},
    },
    types::{Failure, FailureKind, Height, JobId, MemoryUse, Setback, TaskLimit},
};

use super::*;

fn said(why: Why) -> String {
    let now = BlockTime(1_000_000);
    let explanation = Explanation {
        job: JobId(Digest::ZERO),
        index: 3,
        height: Height(7),
        time: now,
        attempts: 0,
        replicas: None,
        could_join: None,
        why,
    };
    let lines: Vec<String> = explanation.facts().iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let json = serde_json::to_string(&explanation).expect("JSON");
    assert_eq!(serde_json::from_str::<Explanation>(&json).expect("the same"), explanation, "{json}");
    lines.join("\n")
}

#[test]
fn a_label_that_nobody_has_is_named_with_how_many_claims_have_it() {
    let claims = Claims { standing: 3, ..Claims::default() };
    let label = Need::Label { label: "gpu".into(), value: "h100".into(), others: 2 };
    let memory = Need::Memory { needed: 1 << 40, offered: 1 << 30 };
    let said = said(Why::Ready(Box::new(Ready {
        hindrance: Hindrance::NoClaim,
        leased: 0,
        leased_max: 10,
        claims,
        requirements: vec![
            Requirement { need: Need::Slot, claims: 3 },
            Requirement { need: memory, claims: 0 },
            Requirement { need: label, claims: 0 },
        ],
        frees: None,
        ends: Some(BlockTime(3_600_000_000)),
        avoids: Vec::new(),
        ahead: Ahead::default(),
        share: None,
    })));
    for line in [
        "state: ready: no claim that stands could ever hold it",
        "needs: a slot: 3 of 3 claims",
        "needs: 1.0 TiB of memory: 0 of 3 claims; the most that any offers is 1.0 GiB",
        "needs: label gpu=h100: 0 of 3 claims; 2 with another value of gpu",
        "needs: all of it together: 0 of 3 claims",
        "ends: in 59m 59s without an outcome, unless such a claim comes",
    ] {
        assert!(said.lines().any(|said| said == line), "{line:?} is not in\n{said}");
    }
}

#[test]
fn who_is_ahead_is_said_with_what_puts_them_there() {
    let first = |tasks, by| JobAhead { job: JobId(Digest::ZERO), submitter: PublicKey([1; 32]), tasks, by };
    let fair = Precedence::Policy(OrderPolicy::Fair);
    let said = said(Why::Ready(Box::new(Ready {
        hindrance: Hindrance::Full,
        leased: 0,
        leased_max: 10,
        claims: Claims { standing: 1, capable: 1, full: 1, ..Claims::default() },
        requirements: Vec::new(),
        frees: Some(BlockTime(3_000_000)),
        ends: None,
        avoids: Vec::new(),
        ahead: Ahead {
            tasks: 42,
            all: false,
            by: vec![AheadBy { by: fair, tasks: 42 }],
            submitters: 1,
            jobs: 12,
            first: vec![first(41, fair), first(1, Precedence::Admission)],
        },
        share: Some(ShareNow { turn: 4, round: 2, spent: true, left_ms: -1500, slice_ends: None, preemption: None }),
    })));
    for words in [
        "at least 42 tasks, of 12 jobs and 1 submitter",
        ": since its submitter has had less",
        "1 task of job",
        "and 10 more jobs",
        "one comes free in 2s at the latest",
        "overdrawn by 1s 500ms",
    ] {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
}

#[test]
fn what_is_waited_for_is_named_and_counted() {
    let array = AwaitedArray { array: 1, name: "map".into(), when: When::Ok, tasks: 9, ended: 3, failed: 0, gone: 0 };
    let why = Blocked {
        arrays: vec![array],
        tasks: 5,
        first_tasks: vec![AwaitedTask { index: 8, when: When::Fail }],
        not_before: Some(BlockTime(61_000_000)),
        ..Blocked::default()
    };
    let said_of = said(Why::Blocked(why));
    for words in ["array map to end well: 3 of 9 tasks ended", "task 8 to fail", "4 more tasks", "in 1m"] {
        assert!(said_of.contains(words), "{words:?} is not in\n{said_of}");
    }
    let (worker, ended) = (PublicKey([1; 32]), BlockTime(0));
    let failure = Some(FailureKind::Exceeded(TaskLimit::Memory(64 << 20, MemoryUse::Temporary)));
    let after = Attempt { number: 2, worker, ended, why: EndReason::Failed, failure };
    let until = BlockTime(1_500_000);
    let setbacks = [(Setback::Exited, 3)].into();
    let backing_off = BackingOff { until, after: Some(after), failures: 3, losses: 0, returns: 1, setbacks };
    let said_of = said(Why::BackingOff(backing_off));
    assert!(
        said_of.contains("ready again in 500ms")
            && said_of.contains("failures: 3, losses: 0, returns: 1")
            && said_of.contains("a status that is no success: 3")
            && said_of.contains("it may have 64 MiB, which its files under /tmp take part of (--memory raises that)"),
        "{said_of}"
    );
}

#[test]
fn how_a_task_failed_and_by_which_status_it_succeeded_is_said() {
    let done = |succeeded, status, failure| {
        said(Why::Done(Done {
            succeeded,
            attempt: 0,
            worker: None,
            status,
            failure,
            height: Height(3),
            receipt: 0,
            ended: None,
        }))
    };
    let failed = done(false, None, Some(Failure::Exceeded(TaskLimit::Time(2000))));
    assert!(failed.contains("why: ran out of time: an attempt may take 2s (--timeout raises that)"), "{failed}");
    let answered = done(true, Some(10), None);
    assert!(answered.contains("status: 10, which its task counts as a success"), "{answered}");
    assert!(!done(true, Some(0), None).contains("status"));
}
