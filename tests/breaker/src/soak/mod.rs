//! A long run.
use meshwork::failure::Done;

/// How long.
#[derive(clap::Args, Debug)]
pub struct Options {}

/// Runs it.
pub async fn run(_: Options) -> Done {
    Ok(())
}
