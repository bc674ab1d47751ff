//! One file for each command.

pub mod amend;
pub mod bench;
pub mod cancel;
pub mod demo;
pub mod explain;
pub mod genesis;
pub mod govern;
pub mod health;
pub mod hold;
pub mod init;
pub mod jobs;
pub mod logs;
pub mod peers;
pub mod quota;
pub mod recurring;
pub mod result;
pub mod status;
pub mod submit;
pub mod timeline;
pub mod up;
pub mod usage;
pub mod verify;
pub mod workers;

use std::io::IsTerminal;

use meshwork_core::types::JobId;
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::{Arguments, Command},
    client::Client,
    failure::{Done, Failure},
    output::Output,
    settings::Settings,
};

/// What every command works with.
pub struct Context {
    /// Where things are.
    pub settings: Settings,
    /// Where and how to show things.
    pub output: Output,
}

/// Runs one command.
///
/// # Errors
/// What went wrong, as a sentence and an exit status.
pub async fn run(arguments: Arguments) -> Done {
    let Arguments { global, command } = arguments;
    let output = Output::new(global.json);
    let settings = Settings::load(global)?;
    start_log(&settings, matches!(command, Command::Up(_)))?;
    let context = Context { settings, output };
    match command {
        Command::Init => init::run(&context),
        Command::Genesis(command) => genesis::run(&context, command).await,
        Command::Govern(command) => govern::run(&context, command).await,
        Command::Up(options) => up::run(&context, options).await,
        Command::Submit(options) => submit::run(&context, *options).await,
        Command::Jobs(options) => jobs::run(&context, options).await,
        Command::Status(options) => status::run(&context, options).await,
        Command::Health(options) => health::run(&context, options).await,
        Command::Explain(options) => explain::run(&context, options).await,
        Command::Timeline(options) => timeline::run(&context, options).await,
        Command::Result(options) => result::run(&context, options).await,
        Command::Logs(options) => logs::run(&context, options).await,
        Command::Hold(options) => hold::hold(&context, options).await,
        Command::Release(options) => hold::release(&context, options).await,
        Command::Amend(options) => amend::run(&context, options).await,
        Command::Cancel(options) => cancel::run(&context, options).await,
        Command::Recurring(command) => recurring::run(&context, command).await,
        Command::Workers => workers::run(&context).await,
        Command::Peers => peers::run(&context).await,
        Command::Quota(options) => quota::run(&context, options).await,
        Command::Usage(options) => usage::run(&context, options).await,
        Command::Verify(options) => verify::run(&context, &options),
        Command::Demo(options) => demo::run(&context, options).await,
        Command::Bench(options) => bench::run(&context, options).await,
    }
}

/// Logs to standard error: what a node does, or of other commands only what is worth a warning.
fn start_log(settings: &Settings, is_node: bool) -> Done {
    let filter = settings.log().unwrap_or_else(|| if is_node { "info" } else { "warn" }.to_owned());
    let filter = EnvFilter::try_new(&filter).map_err(|error| {
        Failure::usage(format!("{filter:?} is not a log filter: {error}; write info or warn,meshwork_node=debug."))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let log = log.with_ansi(std::io::stderr().is_terminal());
    if settings.options.log_json {
        log.json().init()
    } else {
        log.init()
    }
    Ok(())
}

/// The job whose id starts with these digits.
///
/// # Errors
/// No job's does, or more than one.
pub async fn find_job(client: &Client, digits: &str) -> Done<JobId> {
    const DIGITS_MIN: usize = 4;
    if let Ok(job) = digits.parse() {
        return Ok(job);
    }
    if digits.len() < DIGITS_MIN || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage(format!(
            "{digits:?} is not a job: write its id, or at least the first {DIGITS_MIN} digits of it; `meshwork jobs` lists them."
        )));
    }
    let digits = digits.to_ascii_lowercase();
    let jobs = client.jobs().await?;
    let found: Vec<JobId> = jobs.iter().map(|job| job.id).filter(|id| id.to_string().starts_with(&digits)).collect();
    match found[..] {
        [job] => Ok(job),
        [] => Err(Failure::usage(format!("No job's id starts with {digits}; `meshwork jobs` lists them."))),
        _ => Err(Failure::usage(format!("{} jobs' ids start with {digits}; write more digits.", found.len()))),
    }
}
