//! Runs the command that a person typed.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::{
    arguments::{Arguments, Command},
    commands::{
        amend, bench, blobs, cancel, check, demo, explain, genesis, govern, health, hold, init, jobs, logs, peers,
        quota, recurring, result, status, submit, timeline, up, usage, verify, wait, workers,
    },
    context::Context,
    failure::{Done, Failure},
    output::Output,
    settings::Settings,
};

/// Runs one command.
///
/// # Errors
/// The command failed. The failure has a sentence and an exit status.
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
        Command::Check(options) => check::run(&context, options),
        Command::Jobs(options) => jobs::run(&context, options).await,
        Command::Status(options) => status::run(&context, options).await,
        Command::Health(options) => health::run(&context, options).await,
        Command::Wait(options) => wait::run(&context, options).await,
        Command::Explain(options) => explain::run(&context, options).await,
        Command::Timeline(options) => timeline::run(&context, options).await,
        Command::Result(options) => result::run(&context, options).await,
        Command::Logs(options) => logs::run(&context, options).await,
        Command::Hold(options) => hold::hold(&context, options).await,
        Command::Release(options) => hold::release(&context, options).await,
        Command::Amend(options) => amend::run(&context, options).await,
        Command::Cancel(options) => cancel::run(&context, options).await,
        Command::Recurring(command) => recurring::run(&context, command).await,
        Command::Workers(options) => workers::run(&context, options).await,
        Command::Peers => peers::run(&context).await,
        Command::Blobs(command) => blobs::run(&context, command).await,
        Command::Quota(options) => quota::run(&context, options).await,
        Command::Usage(options) => usage::run(&context, options).await,
        Command::Verify(options) => verify::run(&context, &options),
        Command::Demo(options) => demo::run(&context, options).await,
        Command::Bench(options) => bench::run(&context, options).await,
    }
}

/// Starts the log on standard error. A node logs what it does, other commands only warnings.
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
