//! `meshwork amend`: ask something else for tasks of one's own.

use bytesize::ByteSize;
use clap::Args;
use meshwork_core::types::{Amendment, Deadline, Directive};

use super::selection;
use crate::{
    context::Context,
    failure::{Done, Failure},
    time::parse_moment,
};

/// Which tasks, and what is asked for them from now on.
#[derive(Args, Debug)]
pub struct Options {
    #[command(flatten)]
    which: selection::Options,
    /// Larger goes first
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i16>,
    /// When they should be done: so long from now, a moment in UTC such as 2030-01-31T18:00:00Z, or never
    #[arg(long, value_name = "TIME", value_parser = parse_deadline)]
    deadline: Option<Deadline>,
    /// How much memory a task may have
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// How many thousandths of a core a task takes of its worker
    #[arg(long, value_name = "N")]
    millicores: Option<u32>,
}

fn parse_deadline(text: &str) -> Result<Deadline, String> {
    if text == "never" { Ok(Deadline::Never) } else { parse_moment(text).map(Deadline::At) }
}

/// Changes what is asked for tasks.
///
/// # Errors
/// The job is not one's own, none of the named tasks is unfinished, or nothing is to change.
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
