//! `meshwork amend`: changes the priority, deadline or resources of tasks.

use bytesize::ByteSize;
use clap::Args;
use meshwork_core::types::{Amendment, Deadline, Directive};

use super::selection;
use crate::{
    context::Context,
    failure::{Done, Failure},
    time::parse_moment,
};

/// Which tasks to change, and how.
#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    which: selection::Options,
    /// New priority; tasks with a larger one go first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i16>,
    /// New deadline: a time from now such as 90m, a time in UTC such as 2030-01-31T18:00:00Z, or never
    #[arg(long, value_name = "TIME", value_parser = parse_deadline)]
    deadline: Option<Deadline>,
    /// Memory that a task may use
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Thousandths of a core that a task reserves on its worker
    #[arg(long, value_name = "N")]
    millicores: Option<u32>,
}

fn parse_deadline(text: &str) -> Result<Deadline, String> {
    if text == "never" { Ok(Deadline::Never) } else { parse_moment(text).map(Deadline::At) }
}

/// Changes tasks.
///
/// # Errors
/// The job belongs to another key, none of the selected tasks is unfinished, or no change was given.
pub async fn run(context: &Context, options: Options) -> Done {
    let amendment = Amendment {
        priority: options.priority,
        deadline: options.deadline,
        millicores: options.millicores,
        memory_bytes: options.memory.map(|memory| memory.as_u64()),
    };
    if amendment == Amendment::default() {
        return Err(Failure::usage("Say what is to change: --priority, --deadline, --memory or --millicores."));
    }
    let directive = Directive::Amend(amendment);
    let controlled = selection::control(context, &options.which, directive, "amend").await?;
    selection::show(context, &controlled)
}
