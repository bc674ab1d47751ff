//! `meshwork submit`: submits a job made from a program, files and flags, or from a job file.

mod given;
mod inputs;
mod recurrence;
mod workflow;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;
use clap::Args;
use meshwork_api::WorkerView;
use meshwork_core::{
    identity::PublicKey,
    types::{
        Action, BlobRef, BlockTime, Genesis, Input, JobId, Limits, Part, Recur, Redundancy, Resources, Retry, Source,
        Submit, TaskSpec, Tasks, Times, TransactionId,
    },
};

use self::inputs::{GivenInput, below_in, check_names, file_name};
use crate::{
    client::Client,
    context::Context,
    failure::{Done, Failure},
    output::progress,
    parse::{parse_pair, parse_variable},
    programs, submission,
    time::{milliseconds, now_us, parse_moment},
    watch,
};

/// What to run, with what inputs, and how.
#[derive(Args, Debug)]
#[command(after_help = "With --each, a task finds its file at /in/NAME, where NAME is the file's own name or that of \
--each-as, and gets that path as its last argument. With --count, a task finds its number in MESHWORK_TASK_INDEX. \
Standard output gets the job's id and nothing else.")]
pub struct Options {
    /// Which of the flags were given. It comes first, since each of the others takes its own away.
    #[command(flatten)]
    given: given::Given,
    /// A WebAssembly module built for wasm32-wasip1, or a job file, whose name ends in .toml
    #[arg(value_name = "PROGRAM|JOB.toml", required_unless_present_any = ["schema", "close"])]
    program: Option<PathBuf>,
    /// Make one task for each of these files
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "count")]
    pub each: Vec<PathBuf>,
    /// Path below /in at which each task finds its own file. Default: the file's own name
    #[arg(long, value_name = "NAME", requires = "each")]
    each_as: Option<String>,
    /// Make this many tasks that differ only in their number
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// File, or folder with all that is in it, that every task finds at /in/NAME (default: its own name). Repeat for each
    #[arg(long = "input", value_name = "PATH[=NAME]")]
    inputs: Vec<String>,
    /// File or folder that every task finds at another absolute path, such as /share=data. Repeat for each
    #[arg(long = "mount", value_name = "PLACE=PATH")]
    mounts: Vec<String>,
    /// Name by which the program is called: its argument 0
    #[arg(long, value_name = "NAME", default_value = TaskSpec::ARGV0)]
    argv0: String,
    /// File that every task reads from standard input
    #[arg(long, value_name = "FILE")]
    stdin: Option<PathBuf>,
    /// Environment variable of the tasks, whose name does not begin with MESHWORK_. Repeat for each variable
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = parse_variable)]
    environment: Vec<(String, String)>,
    /// Name of the job. Default: the program's name
    #[arg(long)]
    name: Option<String>,
    /// Priority; tasks with a larger one go first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub priority: i16,
    /// Time that one attempt of a task may take
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Memory that a task may use
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    memory: ByteSize,
    /// Thousandths of a core that a task reserves on its worker
    #[arg(long, value_name = "N", default_value_t = 1000)]
    millicores: u32,
    /// Work that a task may do, in units of about one WebAssembly instruction. Default: only time bounds it
    #[arg(long, value_name = "N")]
    fuel: Option<u64>,
    /// Bytes that a task may write, to /out and its output streams together
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    output_limit: ByteSize,
    /// Statuses with which the program may end for a task to succeed, such as 0,10,20
    #[arg(long, value_name = "STATUS", value_delimiter = ',', default_value = "0", allow_negative_numbers = true)]
    success: Vec<i32>,
    /// Failures of a task's program that are forgiven
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u32,
    /// Wait after a task's first failure; each further failure doubles it
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = humantime::parse_duration)]
    retry_delay: Duration,
    /// The program saves checkpoints by renaming files into /checkpoint, and continues from the last one
    #[arg(long)]
    checkpoints: bool,
    /// Tasks that the program may spawn through /out/spawn.jsonl, all together
    #[arg(long, value_name = "N")]
    spawn_max: Option<u32>,
    /// Never start a speculative attempt: a second one, at an idle worker, of an attempt that takes far longer than
    /// most
    #[arg(long)]
    no_speculation: bool,
    /// Workers that compute each task, of whom a quorum must give the same answer. For programs that compute the same
    /// everywhere
    #[arg(long, value_name = "N", conflicts_with_all = ["checkpoints", "spawn_max"])]
    replicas: Option<u8>,
    /// How many of them must give the same answer, at least 2. Default: more than half of the replicas
    #[arg(long, value_name = "N", requires = "replicas")]
    quorum: Option<u8>,
    /// How many answers there may be in all while no answer has the quorum. Default: twice the replicas
    #[arg(long, value_name = "N", requires = "replicas")]
    replicas_max: Option<u8>,
    /// Let a worker that has agreed with others ten times in a row on your tasks of this program compute a task alone,
    /// but for some that are drawn
    #[arg(long, requires = "replicas")]
    adaptive: bool,
    /// Label that a worker must offer. Repeat for each label
    #[arg(long = "require", value_name = "KEY=VALUE", value_parser = parse_pair)]
    labels: Vec<(String, String)>,
    /// Label that a worker should offer, the most important first; at most four
    #[arg(long = "prefer", value_name = "KEY=VALUE", value_parser = parse_pair)]
    prefers: Vec<(String, String)>,
    /// Label over whose values the tasks are spread
    #[arg(long, value_name = "KEY")]
    spread: Option<String>,
    /// Time that an attempt is expected to take, for networks whose policies look at it
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    expected: Option<Duration>,
    /// Deadline for the whole job: a time from now such as 90m, or a time in UTC such as 2030-01-31T18:00:00Z
    #[arg(long, value_name = "TIME", value_parser = parse_moment, conflicts_with = "cron")]
    deadline: Option<BlockTime>,
    /// Give up if the job is not on the ledger after this time
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = humantime::parse_duration)]
    expires: Duration,
    /// Wait until all tasks have ended; the exit status is 3 if one did not succeed
    #[arg(long, conflicts_with = "cron")]
    pub wait: bool,
    /// Flags for recurring jobs.
    #[command(flatten)]
    recurrence: recurrence::Options,
    /// Flags for job files. They come last because their heading in the help covers everything after it.
    #[command(flatten)]
    workflow: workflow::Options,
    /// Arguments of the program, after --
    #[arg(last = true, value_name = "ARGUMENT")]
    pub arguments: Vec<String>,
}

/// Submits a job and prints its id.
///
/// # Errors
/// A file cannot be used, the node refuses the job, or, with `--wait`, a task does not succeed.
pub async fn run(context: &Context, options: Options) -> Done {
    if workflow::is_meant(&options) {
        return workflow::run(context, &options).await;
    }
    let Some(program) = options.program.clone() else { return Ok(()) };
    let recurrence = options.recurrence.recurrence()?;
    let key = context.settings.key()?;
    let module = programs::read(&program)?;
    let client = context.settings.client()?;
    let genesis = genesis_of(context, &client).await?;
    let network = genesis.network_id();
    check_bounds(&options, &genesis)?;
    let name = job_name(&options, &program);
    let given = inputs::given(&options.inputs, &options.mounts)?;
    let spec = common(&client, &options, module, given).await?;
    tell_if_nobody_could_run(context, &client, [&spec]).await?;
    let tasks = tasks(&client, &options, &spec.inputs).await?;
    let count = tasks.count();
    let times = Times { deadline: options.deadline, ..Times::default() };
    let spawns_max = options.spawn_max.unwrap_or(0);
    let submit = Submit { times, spawns_max, ..Submit::new(name, spec, tasks) };
    let action = match recurrence {
        Some(recurrence) => Action::Recur(Recur::Submit(Box::new(recurrence.of(submit)))),
        None => Action::Submit(submit),
    };
    submission::check(&action, &genesis.ledger)?;
    let recurs = matches!(action, Action::Recur(_));
    let transaction = submission::sign(action, options.expires, &key, &network);
    submission::post(&client, &transaction).await?;
    if recurs {
        context.output.value("recurring", &transaction.id().to_string())?;
        return tell_if_only_accepted(context, &client, transaction.id(), key.public()).await;
    }
    let job = submission::job_of(&transaction);
    context.output.value("job", &job.to_string())?;
    if options.wait {
        return wait(context, &client, job, count, transaction.transaction().expires.0).await;
    }
    tell_if_only_accepted(context, &client, transaction.id(), key.public()).await
}

/// Says so if a transaction is no further than the node's pool.
///
/// # Errors
/// The ledger finds it void.
async fn tell_if_only_accepted(context: &Context, client: &Client, id: TransactionId, key: PublicKey) -> Done {
    if !submission::is_on_ledger(client, id, key).await? {
        context.output.note(
            "It is accepted by the node, not yet on the ledger; `meshwork wait` waits for a job, and `meshwork status` \
             says how the network is.",
        );
    }
    Ok(())
}

/// The network's genesis, which must be the node's.
async fn genesis_of(context: &Context, client: &Client) -> Done<Genesis> {
    // The wrong network would refuse the signature. It is better to say so before sending anything.
    let (genesis, _) = context.settings.genesis_or_ask(client).await?;
    let network = genesis.network_id();
    let status = client.status().await?;
    if status.network != network {
        return Err(Failure::usage(format!(
            "The node at {} is of network {} ({}), but the genesis here is of network {} ({network}); name another node \
             with --api or another genesis with --genesis.",
            client.base(),
            status.network_name,
            status.network,
            genesis.name
        )));
    }
    Ok(genesis)
}

/// Names the flag that exceeds a bound of the genesis. The ledger would not say which it is.
fn check_bounds(options: &Options, genesis: &Genesis) -> Done {
    let limits = &genesis.ledger;
    let time = |ms: u64| humantime::format_duration(Duration::from_millis(ms));
    let tasks = options.count.map_or(options.each.len(), |count| count as usize);
    let rules = [
        (
            (1..=limits.wall_ms_max).contains(&milliseconds(options.timeout)),
            format!("--timeout is from 1ms to {} on this network", time(limits.wall_ms_max)),
        ),
        (options.retries <= limits.retries_max, format!("--retries is at most {} on this network", limits.retries_max)),
        (
            milliseconds(options.expires) <= limits.transaction_life_ms_max,
            format!("--expires is at most {} on this network", time(limits.transaction_life_ms_max)),
        ),
        (
            options.prefers.len() <= TaskSpec::PREFERS_MAX,
            format!("--prefer is given at most {} times", TaskSpec::PREFERS_MAX),
        ),
        (
            options.deadline.is_none_or(|deadline| deadline.0 > now_us()),
            "--deadline is a moment that is still to come".to_owned(),
        ),
        (
            tasks <= limits.job_tasks_max as usize,
            format!("a job has at most {} tasks on this network; submit several", limits.job_tasks_max),
        ),
        (
            options.output_limit <= options.memory,
            "--output-limit is at most --memory: what a task writes is held there until it ends".to_owned(),
        ),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(Failure::usage(format!("{}{}.", rule[..1].to_uppercase(), &rule[1..]))),
        None => Ok(()),
    }
}

/// Warns if no worker could run the job. It then waits, which may or may not be intended.
async fn tell_if_nobody_could_run<'a>(
    context: &Context,
    client: &Client,
    specs: impl IntoIterator<Item = &'a TaskSpec>,
) -> Done {
    let workers = client.workers().await?;
    let could = |worker: &WorkerView, spec: &TaskSpec| {
        worker.millicores >= spec.resources.millicores
            && worker.memory_bytes >= spec.resources.memory_bytes
            && spec.labels.iter().all(|(label, value)| worker.labels.get(label) == Some(value))
    };
    if !specs.into_iter().all(|spec| workers.iter().any(|worker| could(worker, spec))) {
        context.output.note(if workers.is_empty() {
            "Nobody works on this network now; the job waits until somebody does."
        } else {
            "No worker offers what some of the tasks ask for now (cores, memory, labels); the job waits until one does. \
             `meshwork workers` lists what they offer, and `meshwork explain` says what a task lacks."
        });
    }
    Ok(())
}

async fn wait(context: &Context, client: &Client, job: JobId, count: usize, expires_us: u64) -> Done {
    let bar = progress::tasks(count as u64);
    let seen = |view: &meshwork_api::JobView| {
        bar.set_position(watch::ended(&view.counts));
        bar.set_message(format!("{} running, {} failed", view.counts.running, view.counts.failed));
    };
    let again = |silence| bar.suspend(|| context.find_again(silence));
    let ended = watch::until_ended_at_last(client, job, Some(expires_us), again, seen).await;
    bar.finish_and_clear();
    watch::all_succeeded(&ended?)
}

fn job_name(options: &Options, program: &Path) -> String {
    const BYTES_MAX: usize = meshwork_core::types::Submit::NAME_BYTES_MAX;
    let of_program = || program.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut name = options.name.clone().unwrap_or_else(of_program);
    while name.len() > BYTES_MAX {
        name.pop();
    }
    name
}

/// How many workers are to agree, if several compute each task.
fn redundancy(options: &Options) -> Done<Option<Redundancy>> {
    let Some(replicas) = options.replicas else { return Ok(None) };
    if replicas == 1 && options.quorum.is_none() && options.replicas_max.is_none() && !options.adaptive {
        return Ok(None);
    }
    let usual = Redundancy::of(replicas);
    let quorum = options.quorum.unwrap_or(usual.quorum);
    let replicas_max = options.replicas_max.unwrap_or(usual.replicas_max);
    let redundancy = Redundancy { quorum, replicas_max, adaptive: options.adaptive, ..usual };
    if redundancy.is_sound() {
        return Ok(Some(redundancy));
    }
    Err(Failure::usage(format!(
        "The quorum is at least 2, the replicas at least as many, and --replicas-max at least as many again, at most {}; \
         here they are {quorum}, {replicas} and {}.",
        Redundancy::REPLICAS_MAX,
        redundancy.replicas_max
    )))
}

async fn common(client: &Client, options: &Options, module: Vec<u8>, given: Vec<GivenInput<'_>>) -> Done<TaskSpec> {
    let program = client.put_bytes(module).await?;
    let stdin = match &options.stdin {
        Some(path) => Some(client.put_file(path).await?),
        None => None,
    };
    let mut inputs = Vec::new();
    for GivenInput { place, path, folder } in given {
        let source = match folder {
            Some(folder) => Source::Folder(folder.send(client).await?),
            None => Source::Blob(client.put_file(path).await?),
        };
        inputs.push(Input { path: place, source });
    }
    Ok(TaskSpec {
        prefers: options.prefers.clone(),
        spread: options.spread.clone(),
        expected_ms: options.expected.map_or(0, milliseconds),
        argv0: (options.argv0 != TaskSpec::ARGV0).then(|| options.argv0.clone()),
        arguments: options.arguments.clone(),
        environment: options.environment.iter().cloned().collect(),
        stdin,
        inputs,
        resources: Resources { millicores: options.millicores, memory_bytes: options.memory.as_u64() },
        labels: options.labels.iter().cloned().collect(),
        limits: Limits {
            wall_ms: milliseconds(options.timeout),
            fuel: options.fuel.unwrap_or(u64::MAX),
            output_bytes: options.output_limit.as_u64(),
        },
        success: options.success.iter().copied().collect(),
        priority: options.priority,
        retry: Retry::of(options.retries, milliseconds(options.retry_delay)),
        checkpoints: options.checkpoints,
        spawns: options.spawn_max.is_some(),
        speculation: !options.no_speculation,
        redundancy: redundancy(options)?,
        ..TaskSpec::of(program)
    })
}

/// The tasks, beside whose own inputs are the common ones.
async fn tasks(client: &Client, options: &Options, common: &[Input]) -> Done<Tasks> {
    if options.each.is_empty() {
        return Ok(Tasks::Repeat(options.count.unwrap_or(1)));
    }
    let bar = progress::tasks(options.each.len() as u64);
    bar.set_message("files sent");
    // Equal content is uploaded once, however many files have it.
    let mut sent: BTreeMap<&Path, BlobRef> = BTreeMap::new();
    let mut parts = Vec::with_capacity(options.each.len());
    for path in &options.each {
        let name = match &options.each_as {
            Some(name) => below_in(name)?,
            None => file_name(path)?,
        };
        check_names(common.iter().map(|input| input.path.as_str()).chain([name.as_str()]))?;
        let blob = match sent.get(path.as_path()) {
            Some(blob) => *blob,
            None => client.put_file(path).await?,
        };
        sent.insert(path, blob);
        bar.inc(1);
        parts.push(Part {
            arguments: vec![format!("/in/{name}")],
            inputs: vec![Input::blob(name, blob)],
            ..Part::default()
        });
    }
    bar.finish_and_clear();
    Ok(Tasks::Each(parts))
}
