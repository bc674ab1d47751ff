//! The actions of the submitter and the worker in the network in miniature. They give its ledger jobs, tasks
//! and workers in every state.

use std::collections::BTreeSet;

use meshwork_core::{
    codec::ByteString,
    digest::Digest,
    identity::{NetworkId, PublicKey, SecretKey},
    ledger::{Ledger, Stage},
    types::{
        Action, After, AfterJob, Amendment, Array, AttemptId, BlobRef, CatchUp, Claim, Control, Cron,
        DeliveryStatement, Directive, Drain, Edges, Extend, Failure, Filter, Incarnation, InlineOutput, Input, Labels,
        Limits, MemoryUse, Output, OutputOf, OutputUse, Overlap, Part, Producer, Recur, Recurring, Remains, Report,
        ReportItem, Resources, Retry, Selection, Setback, Source, Spawn, Submit, TaskLimit, TaskSpec, Tasks, Times,
        Usage, Verdict, When,
    },
};

/// Steps between two reports.
const REPORT_STEPS: u64 = 24;

/// An action of someone.
pub(crate) struct Work {
    pub(crate) signer: SecretKey,
    pub(crate) action: Action,
}

/// The actions after a step, given this ledger.
pub(crate) fn work(step: u64, ledger: &Ledger, id: &NetworkId, reported: &mut BTreeSet<AttemptId>) -> Vec<Work> {
    let (worker, other) = (SecretKey::from_seed([100; 32]), SecretKey::from_seed([101; 32]));
    let submitter = SecretKey::from_seed([200; 32]);
    let by = |signer: &SecretKey, action| Work { signer: signer.clone(), action };
    let mut done = match step {
        3 => vec![by(&worker, Action::Claim(claim(1, 4, 2))), by(&other, Action::Claim(claim(1, 1, 0)))],
        10 => vec![by(&submitter, submit("squares", spec(), Tasks::Repeat(16)))],
        20 => vec![by(&submitter, submit("words", whole_spec(), Tasks::Each(vec![part(0), Part::default(), part(1)])))],
        30 => vec![by(&submitter, submit("too large", huge_spec(), Tasks::Repeat(2)))],
        35 => vec![by(&submitter, submit("", spec(), Tasks::Repeat(3)))],
        36 => vec![by(&submitter, Action::Submit(graph(ledger)))],
        40 => vec![by(&submitter, submit("small", spec(), Tasks::Repeat(1)))],
        45 => vec![by(&submitter, Action::Recur(Recur::Submit(Box::new(recurring(ledger)))))],
        46 => vec![by(&submitter, Action::Recur(Recur::Submit(Box::new(often()))))],
        200 => vec![by(&worker, Action::Claim(claim(2, 3, 4)))],
        240 => vec![by(&other, Action::Drain(Drain { sequence: 2 }))],
        _ => Vec::new(),
    };
    if step == 39 {
        let job = ledger.jobs().find(|job| job.name == "graph").map(|job| job.id);
        let array = Array { after: vec![After { array: 0, each: true, when: When::Fail }], ..repeat(4) };
        done.extend(job.map(|job| by(&submitter, Action::Extend(Extend { job, arrays: vec![array], closes: true }))));
    }
    if step == 50 || step == 260 {
        let name = if step == 50 { "" } else { "too large" };
        let job = ledger.jobs().find(|job| job.name == name).map(|job| Action::Control(Control::cancel(job.id)));
        done.extend(job.map(|action| by(&submitter, action)));
    }
    if (60..64).contains(&step) {
        let which = Selection { ranges: vec![(2, 4), (9, 14)], ..Selection::all() };
        let late = Selection { ranges: vec![(12, 15)], only: [Filter::Held, Filter::Ready].into() };
        let amendment = Amendment { priority: Some(3), millicores: Some(700), ..Amendment::default() };
        let (which, directive) = match step {
            60 => (which, Directive::Hold),
            61 => (late, Directive::Cancel),
            62 => (Selection { ranges: vec![(0, 2)], ..which }, Directive::Amend(amendment)),
            _ => (Selection { ranges: vec![(3, 3)], ..which }, Directive::Release),
        };
        let job = ledger.jobs().find(|job| job.name == "squares").map(|job| job.id);
        done.extend(job.map(|job| by(&submitter, Action::Control(Control { job, which, directive }))));
    }
    if step > 20 && step.is_multiple_of(REPORT_STEPS) {
        let report = report(step / REPORT_STEPS, ledger, id, &worker.public(), reported);
        done.extend(report.map(|report| by(&worker, Action::Report(report))));
    }
    done
}

fn report(
    turn: u64,
    ledger: &Ledger,
    id: &NetworkId,
    worker: &PublicKey,
    reported: &mut BTreeSet<AttemptId>,
) -> Option<Report> {
    let mut items = Vec::new();
    for lease in ledger.leases_of(worker) {
        if lease.stage == Stage::Running && items.len() < 2 && reported.insert(lease.attempt) {
            let verdict = verdict(turn + items.len() as u64, lease.attempt, id);
            items.push(ReportItem { attempt: lease.attempt, verdict });
        }
    }
    (!items.is_empty()).then_some(Report { items })
}

fn verdict(turn: u64, attempt: AttemptId, id: &NetworkId) -> Verdict {
    let usage = Usage { wall_us: 1_000 * turn, cpu_us: 900 * turn, fuel: 70_000, memory_bytes: 1 << 16 };
    let failed = |failure| Verdict::Failed(failure, Remains::tail(b"it said so".as_slice()), usage);
    let left = |failure, output| Verdict::Failed(failure, Remains::whole(output), usage);
    let stored = |stderr| {
        let manifest = BlobRef { digest: Digest::of(b"manifest"), bytes: 300 };
        let height = meshwork_core::types::Height(1);
        let statement = DeliveryStatement { attempt, manifest, stderr, bytes: 900, height };
        let delivery = statement.sign(&SecretKey::from_seed([2; 32]), id);
        Output::Stored { manifest, stderr, bytes: 900, delivery }
    };
    match turn % 11 {
        0 => left(Failure::Exited(-3), stored(None)),
        1 => left(Failure::Trapped("unreachable".into()), Output::Inline(inline())),
        2 if attempt.task.index % 3 == 1 => Verdict::HostDied { alone: attempt.task.index.is_multiple_of(2) },
        2 => Verdict::Returned,
        3 if attempt.task.index.is_multiple_of(2) => {
            failed(Failure::OutputMissing { task: attempt.task.index / 2, file: "a/b.csv".into() })
        }
        3 => failed(Failure::InputUnavailable(Digest::of(b"input"))),
        4 if attempt.task.index.is_multiple_of(2) => failed(Failure::BadInput("its paths do not rise".into())),
        4 => failed(Failure::BadModule("no _start".into())),
        5 => {
            let limits =
                [TaskLimit::Memory(1 << 20, MemoryUse::Temporary), TaskLimit::Time(60_000), TaskLimit::Fuel(1_000_000)];
            failed(Failure::Exceeded(limits[attempt.task.index as usize % 3]))
        }
        6 if attempt.task.index.is_multiple_of(2) => failed(Failure::TooLargeToCompile("more than 1 MiB".into())),
        6 => failed(Failure::Exceeded(TaskLimit::Output(1000, OutputUse::Streams))),
        7 | 8 => {
            let stderr = (turn % 11 == 7).then(|| BlobRef::of(b"warning"));
            Verdict::Succeeded(10, stored(stderr), usage, spawns(attempt.task.index))
        }
        _ => Verdict::Succeeded(0, Output::Inline(inline()), usage, spawns(attempt.task.index)),
    }
}

/// The tasks that a task spawns: for some two plain ones, for one a task that takes its output. That is refused
/// if its array feeds none.
fn spawns(index: u32) -> Vec<Spawn> {
    let plain = || Spawn { arguments: vec!["3".into()], ..Spawn::default() };
    match index {
        2 | 5 => vec![plain(), plain()],
        7 => vec![Spawn { inputs: vec![("part".into(), "a/b".into())], ..plain() }],
        _ => Vec::new(),
    }
}

/// A small output with a file.
pub(crate) fn inline() -> InlineOutput {
    let bytes = |text: &str| ByteString::from(text.as_bytes());
    let files = vec![("a/b".into(), bytes("c"))];
    InlineOutput { stdout: bytes("49\n"), stderr: bytes("ok"), files, empty_folders: vec!["d".into()] }
}

fn claim(sequence: u64, slots: u32, waiting: u32) -> Claim {
    Claim {
        sequence,
        incarnation: Incarnation(7),
        slots,
        resources: Resources { millicores: 8_000, memory_bytes: 1 << 32 },
        waiting,
        load: 250,
        labels: labels(),
        blobs: [Digest::of(b"common")].into(),
        stands_ms: 60_000,
    }
}

fn labels() -> Labels {
    [("arch", "x86_64"), ("os", "linux")].map(|(label, value)| (label.to_owned(), value.to_owned())).into()
}

fn submit(name: &str, spec: TaskSpec, tasks: Tasks) -> Action {
    Action::Submit(Submit { spawns_max: 8, ..Submit::new(name, spec, tasks) })
}

fn repeat(count: u32) -> Array {
    Array::new(spec(), Tasks::Repeat(count))
}

/// A dependency of each kind.
fn graph(ledger: &Ledger) -> Submit {
    let output = |path: &str, of, file: Option<&str>| Input {
        path: path.into(),
        source: Source::Output(OutputOf { of, file: file.map(Into::into) }),
    };
    let taker = TaskSpec { inputs: vec![output("all", Producer::All(0), Some("a/b"))], ..spec() };
    let edges = Edges { ok: vec![0], any: vec![1, 2], fail: vec![3] };
    let single = Part { after: edges, inputs: vec![output("one", Producer::Task(1), None)], ..Part::default() };
    let times = Times {
        not_before: Some(ledger.time().plus_ms(1)),
        deadline: Some(ledger.time().plus_ms(60_000)),
        run_ms_max: Some(600_000),
        live_ms_max: Some(900_000),
    };
    Submit {
        arrays: vec![
            Array { name: "first".into(), feeds: true, ..repeat(4) },
            Array::new(taker, Tasks::Repeat(2)),
            Array::new(spec(), Tasks::Each(vec![Part::default(), single])),
            Array { after: vec![After { array: 0, each: false, when: When::Any }], ..repeat(1) },
        ],
        after: ledger.jobs().next().map(|job| AfterJob { job: job.id, when: When::Any }).into_iter().collect(),
        times,
        open_until: Some(ledger.time().plus_ms(300_000)),
        ..Submit::new("graph", spec(), Tasks::Repeat(1))
    }
}

/// A recurring job with a value in every field.
fn recurring(ledger: &Ledger) -> Recurring {
    Recurring {
        cron: Cron {
            minutes: 1 << 59 | 1,
            hours: 1 << 3,
            days: 1 << 31 | 1,
            months: 1 << 12,
            weekdays: 0b11,
            both: false,
        },
        catch_up: CatchUp::All,
        overlap: Overlap::Queue,
        from: Some(ledger.time().plus_ms(1)),
        until: Some(ledger.time().plus_ms(400 * 86_400_000)),
        runs_max: Some(5),
        deadline_ms: Some(60_000),
        ..often()
    }
}

/// A job that recurs each minute, also while an input is tried.
fn often() -> Recurring {
    let job = Submit::new("often", spec(), Tasks::Repeat(1));
    Recurring {
        job,
        cron: Cron::ALWAYS,
        catch_up: CatchUp::Once,
        overlap: Overlap::Skip,
        from: None,
        until: None,
        runs_max: None,
        deadline_ms: None,
    }
}

fn spec() -> TaskSpec {
    TaskSpec {
        resources: Resources { millicores: 1_000, memory_bytes: 1 << 20 },
        limits: Limits { wall_ms: 10_000, fuel: 1 << 40, output_bytes: 4_096 },
        success: [0, 10].into(),
        retry: Retry::of(1, 5_000),
        spawns: true,
        ..TaskSpec::of(blob(b"program"))
    }
}

/// With a value in every field.
fn whole_spec() -> TaskSpec {
    TaskSpec {
        argv0: Some("count".into()),
        arguments: vec!["--count".into(), "ä".into()],
        environment: [("LANG".to_owned(), "C".to_owned())].into(),
        stdin: Some(blob(b"stdin")),
        inputs: vec![
            Input::blob("texts/common", blob(b"common")),
            Input { path: "/usr/share".into(), source: Source::Folder(blob(b"manifest")) },
        ],
        labels: [("os".to_owned(), "linux".to_owned())].into(),
        recovery: [(Setback::Lost, Retry { jitter_permille: 100, elsewhere: true, ..Retry::of(2, 50) })].into(),
        success: [-1, 0, 10].into(),
        checkpoints: true,
        prefers: vec![("arch".to_owned(), "x86_64".to_owned())],
        spread: Some("region".to_owned()),
        priority: -5,
        expected_ms: 2_000,
        ..spec()
    }
}

/// More than any claim has.
fn huge_spec() -> TaskSpec {
    TaskSpec { resources: Resources { millicores: u32::MAX, memory_bytes: u64::MAX }, priority: 300, ..spec() }
}

fn part(index: u32) -> Part {
    let input = Input::blob(format!("texts/{index}"), blob(b"own"));
    Part { arguments: vec![index.to_string()], inputs: vec![input], ..Part::default() }
}

fn blob(content: &[u8]) -> BlobRef {
    BlobRef { digest: Digest::of(content), bytes: content.len() as u64 }
}
