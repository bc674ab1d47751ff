//! `meshwork submit JOB.toml`: shows a job file, submits it, or adds it to an open job.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use clap::Args;
use meshwork_api::JobView;
use meshwork_core::types::{AfterJob, JobId, LedgerLimits, TransactionId};

use super::{Options as SubmitOptions, genesis_of, tell_if_nobody_could_run, tell_if_only_accepted, wait};
use crate::{
    client::Client,
    context::{Context, find_job},
    failure::{Done, Failure},
    job_file::{
        self, Plan,
        existing::Existing,
        model,
        send::{self, Sender},
    },
    parse::parse_pair,
};

/// Flags for job files.
#[derive(Args, Debug)]
#[command(next_help_heading = "Job files")]
#[group(id = "workflow")]
pub(super) struct Options {
    /// Value of a parameter of the job file. Repeat for each parameter
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_pair)]
    set: Vec<(String, String)>,
    /// Show the job that the file describes, and send nothing; needs neither a node nor a key
    #[arg(long)]
    dry_run: bool,
    /// Print the graph in Graphviz' language, for `dot -Tsvg`
    #[arg(long, requires = "dry_run")]
    dot: bool,
    /// Add the file's tasks to your open job, given by its id or its first digits
    #[arg(long, value_name = "JOB")]
    to: Option<String>,
    /// Close the open job, so that nothing more can be added
    #[arg(long, requires = "to")]
    close: bool,
    /// Print the JSON Schema of job files, for editors
    #[arg(long)]
    schema: bool,
}

/// Whether the command line is about a job file.
pub(super) fn is_meant(options: &SubmitOptions) -> bool {
    let Options { set, dry_run, to, schema, .. } = &options.workflow;
    let is_file = options.program.as_deref().is_some_and(job_file::is_job_file);
    is_file || *schema || *dry_run || to.is_some() || !set.is_empty()
}

/// Shows the job file, submits it, or adds it to an open job.
///
/// # Errors
/// The file is wrong, or the network does not accept it.
pub(super) async fn run(context: &Context, options: &SubmitOptions) -> Done {
    let own = &options.workflow;
    check_flags(options)?;
    if own.schema {
        return context.output.lines(model::schema().trim_end());
    }
    let path = options.program.as_deref();
    match (path, &own.to) {
        (Some(path), None) if own.dry_run => {
            let limits = context.settings.genesis()?.map_or_else(LedgerLimits::default, |genesis| genesis.ledger);
            show(context, options, &job_file::plan(path, &own.set, &limits, &Existing::default())?)
        }
        (Some(path), None) => submit(context, options, path).await,
        (path, Some(digits)) => add(context, options, path, digits).await,
        (None, None) => Ok(()),
    }
}

/// The flags that act on every job file that is submitted, and what else acts in its place if nothing is sent.
const OF_ANY: [&str; 6] = ["program", "expires", "wait", "set", "to", "close"];
const OF_DRY_RUN: [&str; 5] = ["program", "set", "to", "dry_run", "dot"];

/// Refuses flags that would do nothing: what a program alone is told by flags, a job file says itself.
fn check_flags(options: &SubmitOptions) -> Done {
    let given = &options.given;
    let Options { dry_run, schema, .. } = options.workflow;
    if schema {
        return given.only(&["schema"], "does nothing beside --schema, which only prints");
    }
    let Some(path) = options.program.as_deref() else {
        return given.only(&["expires", "wait", "to", "close"], "needs a job file");
    };
    if !job_file::is_job_file(path) {
        return Err(Failure::usage(format!(
            "{} is not a job file: its name does not end in .toml, and --set, --dry-run and --to are for job files.",
            path.display()
        )));
    }
    if dry_run {
        given.only(&[&OF_ANY[..], &OF_DRY_RUN].concat(), OF_PROGRAMS)?;
        return given.only(&OF_DRY_RUN, "does nothing beside --dry-run, which sends nothing");
    }
    given.only(&OF_ANY, OF_PROGRAMS)
}

const OF_PROGRAMS: &str = "is for a program alone; say it in the job file instead";

fn show(context: &Context, options: &SubmitOptions, plan: &Plan) -> Done {
    if options.workflow.dot {
        return context.output.lines(plan.dot().trim_end());
    }
    if context.output.is_json() { context.output.object(&plan.view()) } else { context.output.lines(&plan.to_string()) }
}

async fn submit(context: &Context, options: &SubmitOptions, path: &Path) -> Done {
    // Mistakes in the file are reported before any node is asked.
    let limits = context.settings.genesis()?.map_or_else(LedgerLimits::default, |genesis| genesis.ledger);
    let mut plan = job_file::plan(path, &options.workflow.set, &limits, &Existing::default())?;
    if options.wait && plan.job.recurs.is_some() {
        return Err(Failure::usage("A job that recurs has no end to --wait for; see `meshwork recurring show`."));
    }
    let key = context.settings.key()?;
    let client = context.settings.client()?;
    let genesis = genesis_of(context, &client).await?;
    if genesis.ledger != limits {
        plan = job_file::plan(path, &options.workflow.set, &genesis.ledger, &Existing::default())?;
    }
    let mut after = Vec::new();
    for (digits, when) in &plan.job.after {
        after.push(AfterJob { job: find_job(&client, &digits.value).await?, when: *when });
    }
    let arrays = send::upload(&client, &plan).await?;
    tell_if_nobody_could_run(context, &client, arrays.iter().map(|array| &*array.spec)).await?;
    let (network, limits) = (genesis.network_id(), &genesis.ledger);
    let sender = Sender { client: &client, key: &key, network, limits, expires: options.expires };
    if let Some(recurring) = send::recurring(&plan, arrays.clone()) {
        let id = sender.submit_recurring(recurring).await?;
        context.output.value("recurring", &id.to_string())?;
        return tell_if_only_accepted(context, &client, TransactionId(id.0), key.public()).await;
    }
    let sent = sender.submit(&plan, after, arrays).await?;
    context.output.value("job", &sent.job.to_string())?;
    if options.wait {
        return wait(context, &client, sent.job, plan.count() as usize, sent.expires_us).await;
    }
    tell_if_only_accepted(context, &client, sent.transaction, key.public()).await
}

async fn add(context: &Context, options: &SubmitOptions, path: Option<&Path>, digits: &str) -> Done {
    let Options { close, dry_run, set, .. } = &options.workflow;
    let client = context.settings.client()?;
    let genesis = genesis_of(context, &client).await?;
    let job = find_job(&client, digits).await?;
    let (existing, has) = existing(&client, job).await?;
    let plan = path.map(|path| job_file::plan(path, set, &genesis.ledger, &existing)).transpose()?;
    if *dry_run {
        return plan.map_or(Ok(()), |plan| show(context, options, &plan));
    }
    let key = context.settings.key()?;
    let view = client.job(job).await?;
    if view.submitter != key.public() {
        return Err(Failure::usage(format!(
            "Job {job} was submitted by {}, and only that key can add to it; name its file with --key.",
            view.submitter
        )));
    }
    let arrays = match &plan {
        Some(plan) => send::upload(&client, plan).await?,
        None => Vec::new(),
    };
    tell_if_nobody_could_run(context, &client, arrays.iter().map(|array| &*array.spec)).await?;
    let (network, limits) = (genesis.network_id(), &genesis.ledger);
    let sender = Sender { client: &client, key: &key, network, limits, expires: options.expires };
    let sent = sender.add(job, has, arrays, *close).await?;
    if *close {
        sender.wait_until_closed(sent).await?;
    }
    context.output.value("job", &job.to_string())?;
    let added = plan.map_or(0, |plan| plan.count());
    if options.wait {
        return wait(context, &client, job, (has + added) as usize, sent.expires_us).await;
    }
    tell_if_only_accepted(context, &client, sent.transaction, key.public()).await
}

/// How long a job that was just submitted may take to reach the ledger.
const ADMITTED_WITHIN: Duration = Duration::from_secs(10);

/// How often the job is asked for.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// A job that may have been submitted just before.
async fn once_admitted(client: &Client, job: JobId) -> Done<JobView> {
    let until = Instant::now() + ADMITTED_WITHIN;
    loop {
        match client.job(job).await {
            Err(error) if error.is_absent() && Instant::now() < until => tokio::time::sleep(ASK_INTERVAL).await,
            answer => return Ok(answer?),
        }
    }
}

/// The arrays of an open job, and its number of tasks.
async fn existing(client: &Client, job: JobId) -> Done<(Existing, u32)> {
    let view = once_admitted(client, job).await?;
    if view.open_until_us.is_none() {
        return Err(Failure::usage(format!(
            "Job {job} is closed, and nothing can be added to it; submit another that waits for it (`after` in the job file)."
        )));
    }
    let mut existing = Existing::job();
    for array in client.arrays(job).await? {
        existing.add(&array.name, array.tasks, array.feeds);
    }
    let has = existing.count();
    Ok((existing, has))
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, FromArgMatches};

    use super::*;
    use crate::failure::Exit;

    /// Values of which each flag takes one.
    const VALUES: [&str; 7] = ["1", "1m", "a=b", "@daily", "once", "skip", "1MiB"];

    fn parse(line: &[&str]) -> Result<SubmitOptions, clap::Error> {
        let command = SubmitOptions::augment_args(Command::new("submit"));
        SubmitOptions::from_arg_matches(&command.try_get_matches_from([&["submit"], line].concat())?)
    }

    /// A command line with this file, this flag and all others that the flag needs.
    fn with(file: &[&str], argument: &Arg, more: &[&str]) -> Option<SubmitOptions> {
        let flag = match argument.get_long() {
            Some(long) => format!("--{long}"),
            None => "--".to_owned(),
        };
        let takes = argument.get_action().takes_values();
        let values = if takes { VALUES.map(Some).to_vec() } else { vec![None] };
        let needs: [&[&str]; 6] =
            [&[], &["--cron", "@daily"], &["--each", "x"], &["--to", "ab12"], &["--dry-run"], &["--replicas", "3"]];
        let lines = values.iter().flat_map(|value| needs.iter().map(move |needed| (value, needed)));
        let line = |(value, needed): (&Option<&'static str>, &&[&'static str])| {
            let own: Vec<&str> = [flag.as_str()].into_iter().chain(*value).collect();
            let own = if *needed == own { &[][..] } else { &own };
            let (first, last) = if flag == "--" { (&[][..], own) } else { (own, &[][..]) };
            parse(&[file, first, needed, more, last].concat()).ok()
        };
        lines.into_iter().find_map(line)
    }

    fn flags() -> Vec<Arg> {
        let command = SubmitOptions::augment_args(Command::new("submit"));
        command.get_arguments().filter(|argument| argument.get_id() != "program").cloned().collect()
    }

    #[test]
    fn every_flag_acts_on_a_job_file_or_is_refused_even_with_its_default_value() {
        for argument in flags() {
            let id = argument.get_id().as_str();
            let options = with(&["job.toml"], &argument, &[]).unwrap_or_else(|| panic!("no command line has {id}"));
            assert!(options.given.only(&["program"], "").is_err(), "{id} was not seen");
            let acts = [&OF_ANY[..], &OF_DRY_RUN, &["schema"]].concat().contains(&id);
            // It is one of the needed ones that is named if several are given.
            let refused = check_flags(&options).is_err();
            assert_eq!(refused, !acts || id == "schema", "{id}");
        }
        for line in [["--priority", "0"], ["--timeout", "5m"], ["--retries", "0"], ["--millicores", "1000"]] {
            let options = parse(&[&["job.toml"][..], &line].concat()).expect("good");
            let failure = check_flags(&options).expect_err("idle");
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.sentence.starts_with(line[0]), "{failure}");
        }
    }

    #[test]
    fn flags_that_nothing_would_come_of_are_refused() {
        let check = |line: &[&str]| check_flags(&parse(line).expect("a command line"));
        for line in [
            &["job.toml", "--dry-run", "--wait"][..],
            &["job.toml", "--dry-run", "--expires", "5m"],
            &["--schema", "--dry-run"],
            &["--to", "ab12", "--close", "--set", "a=b"],
            &["--to", "ab12", "--close", "--dry-run"],
        ] {
            assert!(check(line).is_err(), "{line:?}");
        }
        for line in [
            &["job.toml", "--wait", "--expires", "1m", "--set", "a=b"][..],
            &["job.toml", "--dry-run", "--dot", "--to", "ab12"],
            &["--to", "ab12", "--close", "--wait"],
            &["--schema"],
        ] {
            assert_eq!(check(line), Ok(()), "{line:?}");
        }
    }
}
