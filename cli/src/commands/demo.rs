//! `meshwork demo`: the whole network in one command.
//!
//! A mesh of processes on this machine renders an image in tiles. Halfway, one volunteer and one authority are
//! killed. Every receipt is verified offline, and the image is complete all the same.

mod observer;
mod scene;
mod story;
mod summary;
mod tally;

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::Args;
use meshwork_core::types::Redundancy;

use self::{scene::Scene, story::Story};
use crate::{
    context::Context,
    failure::{Done, Failure},
    interrupt::unless_interrupted,
    local_mesh::{LocalMesh, Plan},
    output::words::short,
};

/// What to show.
#[derive(Args, Debug)]
pub struct Options {
    /// Number of authorities; one is killed halfway if there are at least 4
    #[arg(long, value_name = "N", default_value_t = 4)]
    authorities: usize,
    /// Number of workers; one is killed halfway if there are at least 2
    #[arg(long, value_name = "N", default_value_t = 3)]
    workers: usize,
    /// Number of further workers, each of which falsifies what its tasks leave
    #[arg(long, value_name = "N", default_value_t = 0, requires = "replicas")]
    liars: usize,
    /// Workers that compute each tile, of whom more than half must agree
    #[arg(long, value_name = "N")]
    replicas: Option<u8>,
    /// Tasks that each worker runs at once
    #[arg(long, value_name = "N", default_value_t = 1)]
    slots: u32,
    /// Size of the image
    #[arg(long, value_name = "WIDTHxHEIGHT", default_value = "640x480")]
    size: Size,
    /// Side of a tile; each tile is one task
    #[arg(long, value_name = "PIXELS", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=1024))]
    tile: u32,
    /// Rays per pixel: more give a smoother image and take more work
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=4096))]
    samples: u32,
    /// File to write the image to
    #[arg(long, value_name = "FILE", default_value = "meshwork-demo.png")]
    output: PathBuf,
    /// Leave the mesh running at the end, and print how to talk to it
    #[arg(long)]
    keep: bool,
    /// Give up after this time
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = humantime::parse_duration)]
    timeout: Duration,
}

/// An image's width and height.
#[derive(Clone, Copy, Debug)]
struct Size {
    width: u32,
    height: u32,
}

impl FromStr for Size {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const SIDE_MAX: u32 = 16_384;
        let size = text
            .split_once('x')
            .and_then(|(width, height)| Some(Self { width: width.parse().ok()?, height: height.parse().ok()? }));
        size.filter(|size| (1..=SIDE_MAX).contains(&size.width) && (1..=SIDE_MAX).contains(&size.height))
            .ok_or_else(|| format!("write WIDTHxHEIGHT, each from 1 to {SIDE_MAX}"))
    }
}

/// Runs the demo.
///
/// # Errors
/// A step failed, or a figure of the summary is wrong.
pub async fn run(context: &Context, options: Options) -> Done {
    unless_interrupted(play(context, options)).await
}

async fn play(context: &Context, options: Options) -> Done {
    let scene = Scene::new(options.size.width, options.size.height, options.tile, options.samples)?;
    let redundancy = redundancy(&options)?;
    let mut plan = Plan::new("demo", options.authorities, options.workers, options.slots)?.with_liars(options.liars)?;
    plan.may_outlive = options.keep;
    if let Some(log) = &context.settings.options.log {
        plan.log.clone_from(log);
    }
    let lie = match options.liars {
        0 => String::new(),
        liars => format!(", and {liars} that lie"),
    };
    context.output.note(&format!(
        "Starting {} authorities and {} volunteers{lie}, each a process of its own …",
        options.authorities, options.workers
    ));
    let mut mesh = LocalMesh::start(plan).await?;
    let told = tell(context, &options, (&scene, redundancy), &mut mesh).await;
    if told.is_err() && mesh.peers().iter().any(|peer| peer.log_path().exists()) {
        mesh.keep_directory();
        context.output.note(&format!("The peers' logs and stores are kept in {}.", mesh.root().display()));
    }
    told
}

/// How many workers compute each tile. Without the one that is killed, enough honest ones must be left.
fn redundancy(options: &Options) -> Done<Option<Redundancy>> {
    let Some(replicas) = options.replicas.filter(|replicas| *replicas != 1) else {
        return match options.liars {
            0 => Ok(None),
            _ => {
                Err(Failure::usage("Nobody finds a liar out alone; have 3 or more compute each tile, by --replicas 3."))
            }
        };
    };
    let redundancy = Redundancy::of(replicas);
    let honest = usize::from(redundancy.quorum) + 1;
    if !redundancy.is_sound() || options.workers + options.liars <= usize::from(replicas) || options.workers < honest {
        return Err(Failure::usage(format!(
            "With {replicas} replicas there are at least {honest} workers that do not lie, and with the liars more than \
             {replicas}, because one is killed; the most replicas are {}.",
            Redundancy::REPLICAS_MAX
        )));
    }
    Ok(Some(redundancy))
}

async fn tell(
    context: &Context,
    options: &Options,
    (scene, redundancy): (&Scene, Option<Redundancy>),
    mesh: &mut LocalMesh,
) -> Done {
    let mut story = Story::begin(mesh, scene, redundancy, context.output).await?;
    let told = tokio::time::timeout(options.timeout, story.tell(&options.output)).await;
    let (summary, job, api) = told.map_err(|_| {
        Failure::failed(format!(
            "The demo was not done after {}; give it longer with --timeout, or less to do with --size.",
            humantime::format_duration(options.timeout)
        ))
    })??;
    context.output.record(&summary.figures)?;
    if options.keep {
        mesh.leave_running();
        explain(context, mesh, &short(&job), &api);
    }
    summary.check()
}

/// Prints how to talk to the mesh that is left running.
fn explain(context: &Context, mesh: &LocalMesh, job: &str, api: &str) {
    let home = mesh.root().join("submitter");
    let pids: Vec<String> = mesh.peers().iter().filter_map(|peer| Some(peer.pid()?.to_string())).collect();
    let talk = format!("meshwork --home {} --api {api} --genesis {}", home.display(), mesh.genesis_path().display());
    let lines = [
        String::new(),
        format!("The mesh goes on; everything of it is in {}. Talk to it:", mesh.root().display()),
        format!("  {talk} status"),
        format!("  {talk} status {job}"),
        format!("  {talk} result {job} --out tiles"),
        format!("Stop it: kill {}", pids.join(" ")),
    ];
    context.output.note(&lines.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers() {
        let size: Size = "640x480".parse().expect("good");
        assert_eq!((size.width, size.height), (640, 480));
        for text in ["", "640", "0x1", "1x0", "640x480x3", "99999x1", "-1x2"] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
