//! The grammar of the command line.

use clap::{Parser, Subcommand};

use crate::{
    commands::{
        amend, bench, demo, explain, genesis, govern, health, jobs, logs, quota, recurring, result, selection, status,
        submit, timeline, up, usage, verify,
    },
    failure::Exit,
    settings::GlobalOptions,
};

/// Schedule work on a peer-to-peer mesh: submit signed tasks, run them sandboxed on volunteers' machines, get results
/// with proofs.
#[derive(Parser, Debug)]
#[command(name = "meshwork", version, propagate_version = true, after_help = Exit::HELP)]
pub struct Arguments {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalOptions,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make a key for this peer or person, and print its public half
    Init,
    /// Found a network
    #[command(subcommand)]
    Genesis(genesis::GenesisCommand),
    /// Show who the authorities are and the rules in force, and, as one of them, propose and approve changes
    #[command(subcommand)]
    Govern(govern::GovernCommand),
    /// Run a peer in the foreground: follow the network, vote if this key is an authority's, and work
    Up(up::Options),
    /// Submit a job: one task or an array of them
    Submit(Box<submit::Options>),
    /// List jobs, newest first
    Jobs(jobs::Options),
    /// Show the node and the mesh, or one job
    Status(status::Options),
    /// Say whether the node answers and goes on with the network; the exit status tells
    Health(health::Options),
    /// Say why a task waits, or why it went where it did
    Explain(explain::Options),
    /// Show when a job's tasks waited, where they ran and how that ended; as a picture, too
    Timeline(timeline::Options),
    /// Fetch a job's results, check their proofs and their content, and write them to files
    Result(result::Options),
    /// Show what tasks wrote to standard output and standard error
    Logs(logs::Options),
    /// Keep a job of one's own, or tasks of it, from being leased. What a worker runs goes on
    Hold(selection::Options),
    /// Let go what is held
    Release(selection::Options),
    /// Ask something else for a job of one's own, or tasks of it: priority, deadline, resources
    Amend(amend::Options),
    /// Stop a job of one's own, or tasks of it
    Cancel(selection::Options),
    /// List jobs that run again and again, and pause, resume or end those of one's own
    #[command(subcommand)]
    Recurring(recurring::RecurringCommand),
    /// List the workers whose claims stand
    Workers,
    /// List the peers that the node is connected to
    Peers,
    /// Show what a key may do, and how much of its limits is taken
    Quota(quota::Options),
    /// Show what keys and jobs submitted, used and had lost, by submitter, worker, job or day
    Usage(usage::Options),
    /// Check saved proofs offline, with nothing but the genesis
    Verify(verify::Options),
    /// Show all of it: a mesh of processes on this machine renders an image while some of them are killed
    Demo(demo::Options),
    /// Measure a mesh of processes on this machine
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
