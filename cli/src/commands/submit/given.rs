//! Which options a person gave, as opposed to those that have their default. An option that could not act is refused:
//! whoever gives one expects something of it.

use clap::{ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};

use super::Options;
use crate::failure::{Done, Failure};

/// The options, by their ids, that stand on the command line.
#[derive(Clone, Debug, Default)]
pub(super) struct Given(Vec<String>);

impl FromArgMatches for Given {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let is_given = |id: &&clap::Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
        Ok(Self(matches.ids().filter(is_given).map(|id| id.as_str().to_owned()).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Given {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl Given {
    /// Refuses every option that was given and is not among these ids. `why` ends the sentence that begins with it.
    ///
    /// # Errors
    /// There is one.
    pub(super) fn only(&self, acting: &[&str], why: &str) -> Done {
        let command = Options::augment_args(Command::new("submit"));
        let idle = command.get_arguments().find(|argument| {
            let id = argument.get_id().as_str();
            !acting.contains(&id) && self.0.iter().any(|given| given == id)
        });
        match idle {
            None => Ok(()),
            Some(argument) => {
                let name = argument.get_long().map_or_else(
                    || if argument.get_id() == "program" { "A file" } else { "An argument after --" }.to_owned(),
                    |long| format!("--{long}"),
                );
                Err(Failure::usage(format!("{name} {why}.")))
            }
        }
    }
}
