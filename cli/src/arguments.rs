//! The grammar of the command line.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        amend, bench, blobs, check, demo, explain, genesis, govern, health, jobs, logs, quota, recurring, result,
        selection, status, submit, timeline, up, usage, verify, wait, workers,
    },
    failure::Exit,
    settings::GlobalOptions,
};

/// Schedule work on a peer-to-peer network: submit signed tasks, run them in sandboxes on volunteers' machines, and
/// get results with proofs.
#[derive(Parser, Debug)]
#[command(name = "meshwork", version, propagate_version = true, after_help = Exit::HELP)]
pub struct Arguments {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Create a key and print its public half
    Init,
    /// Create the genesis of a network, or show the one in use
    #[command(subcommand)]
    Genesis(genesis::GenesisCommand),
    /// Show the authorities and the rules in force; propose and approve changes to them
    #[command(subcommand)]
    Govern(govern::GovernCommand),
    /// Run a peer in the foreground.
    ///
    /// The peer follows the network. It votes if its key is an authority's, and it runs tasks unless told not to.
    Up(up::Options),
    /// Submit a job: a single task, an array of tasks, or a workflow from a job file
    Submit(Box<submit::Options>),
    /// Say what a worker would say of a program, without a node: what it is, or why it cannot run
    Check(check::Options),
    /// List jobs, newest first
    Jobs(jobs::Options),
    /// Show the node and the mesh, or one job
    Status(status::Options),
    /// Check that the node answers and keeps up with the network; the exit status tells
    Health(health::Options),
    /// Wait until jobs have ended, for as long as that takes; the exit status says how
    Wait(wait::Options),
    /// Explain why a task waits, or why it was placed where it is
    Explain(explain::Options),
    /// Show when a job's tasks waited, where they ran and how they ended, as text and as a picture
    Timeline(timeline::Options),
    /// Fetch a job's results, check their proofs and content, and write them to files
    Result(result::Options),
    /// Show what tasks wrote to standard output and standard error
    Logs(logs::Options),
    /// Hold your job, or some of its tasks.
    ///
    /// No worker is given a held task. Attempts that workers already have go on.
    Hold(selection::Options),
    /// Release held tasks of your job
    Release(selection::Options),
    /// Change the priority, deadline or resources of your job, or of some of its tasks
    Amend(amend::Options),
    /// Cancel your job, or some of its tasks
    Cancel(selection::Options),
    /// List recurring jobs; pause, resume or delete your own
    #[command(subcommand)]
    Recurring(recurring::RecurringCommand),
    /// List the workers whose claims stand, with what became of what they computed
    Workers(workers::Options),
    /// List the peers that the node is connected to
    Peers,
    /// Look after the blobs that the node stores
    #[command(subcommand)]
    Blobs(blobs::BlobsCommand),
    /// Show what a key may do and how much of its quota is used
    Quota(quota::Options),
    /// Show what was submitted, used and lost, by submitter, worker, job or day
    Usage(usage::Options),
    /// Verify saved proofs offline, with only the genesis
    Verify(verify::Options),
    /// Run the demo: render an image on a mesh of local processes while some of them are killed
    Demo(demo::Options),
    /// Measure a mesh of local processes
    Bench(bench::Options),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn no_command_has_an_argument_by_the_name_of_a_global_one() {
        let top = Arguments::command();
        let global: Vec<&str> = top.get_arguments().map(|argument| argument.get_id().as_str()).collect();
        let mut commands: Vec<&clap::Command> = top.get_subcommands().collect();
        while let Some(command) = commands.pop() {
            for argument in command.get_arguments() {
                assert!(
                    !global.contains(&argument.get_id().as_str()),
                    "{} of {}",
                    argument.get_id(),
                    command.get_name()
                );
            }
            commands.extend(command.get_subcommands());
        }
    }

    #[test]
    fn what_follows_two_dashes_is_the_programs() {
        let line = ["meshwork", "submit", "p.wasm", "--each", "a", "b", "--priority", "-3", "--", "--wait", "x"];
        let arguments = Arguments::try_parse_from(line).expect("good");
        let Command::Submit(submit) = arguments.command else { panic!("not a submit") };
        assert_eq!(submit.each.len(), 2);
        assert_eq!(submit.priority, -3);
        assert!(!submit.wait);
        assert_eq!(submit.arguments, ["--wait", "x"]);
    }

    #[test]
    fn global_options_may_stand_after_the_command() {
        let line = ["meshwork", "jobs", "--json", "--api", "127.0.0.1:7420"];
        let arguments = Arguments::try_parse_from(line).expect("good");
        assert!(arguments.global.json);
        assert_eq!(arguments.global.api.as_deref(), Some("127.0.0.1:7420"));
    }

    #[test]
    fn what_is_about_recurring_needs_a_cron_expression() {
        let parse = |more: &[&str]| Arguments::try_parse_from([&["meshwork", "submit", "p.wasm"], more].concat());
        assert!(parse(&["--cron", "0 3 * * *", "--overlap", "queue", "--runs", "3"]).is_ok());
        assert!(parse(&["--overlap", "queue"]).is_err() && parse(&[]).is_ok());
        assert!(parse(&["--cron", "0 3 * *"]).is_err() && parse(&["--cron", "@daily", "--wait"]).is_err());
        assert!(parse(&["--cron", "@daily", "--overlap", "never"]).is_err());
    }

    #[test]
    fn a_change_is_one_thing_at_a_time_but_for_a_schedule() {
        let key = "5f".repeat(32);
        let add = format!("five={key}@/ip4/127.0.0.1/tcp/4170");
        let parse = |more: &[&str]| Arguments::try_parse_from([&["meshwork", "govern", "propose"], more].concat());
        assert!(parse(&["--add", &add]).is_ok() && parse(&["--remove", &key]).is_ok());
        assert!(parse(&["--add", &add, "--remove", &key]).is_err());
        assert!(parse(&["--bar-worker", &key]).is_ok() && parse(&["--limit", "key-tasks=5"]).is_ok());
        assert!(parse(&["--quota", &format!("{key}:running=2")]).is_ok());
        assert!(parse(&["--order", "fair,priority", "--slice", "5s"]).is_ok());
        assert!(parse(&["--order", "fair", "--bar-worker", &key]).is_err());
    }
}
