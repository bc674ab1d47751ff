//! Mixed load: jobs of all kinds, one after the other, as long as not too many are unfinished.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use meshwork::{
    failure::{Done, Failure},
    submission,
};
use meshwork_core::types::{Action, Array, BlobRef, Input, JobId, Part, Retry, Setback, Submit, TaskSpec, Tasks};
use rand::{Rng, RngExt, SeedableRng};
use rand_pcg::Pcg64Mcg;
use tokio::task::JoinHandle;

use crate::load::{NAP, Submitter, small_task};

const NOOP: &[u8] = include_bytes!("../../../programs/noop.wasm");
const WORDCOUNT: &[u8] = include_bytes!("../../../programs/wordcount.wasm");
const RENDER: &[u8] = include_bytes!("../../../programs/render.wasm");
const STEPS: &[u8] = include_bytes!("../../../programs/steps.wasm");
const TREE: &[u8] = include_bytes!("../../../programs/tree.wasm");

/// How many jobs are unfinished at most.
const UNDER_WAY_MAX: usize = 4;

/// How long to wait before trying to submit another job.
const LOOK: Duration = Duration::from_millis(500);

/// How long a job may take, whatever fault is played.
const JOB_WITHIN: Duration = Duration::from_secs(600);

/// The depth of a tree of tasks that spawn tasks: 2 ^ (depth + 1) - 1 tasks.
const TREE_DEPTH: u32 = 4;

/// A job that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct EndedJob {
    /// Its id.
    pub id: JobId,
    /// The number of its tasks at its end.
    pub tasks: u32,
}

/// The load.
pub(super) struct Mix {
    submitter: Submitter,
    enough: Arc<AtomicBool>,
    ended: Arc<Mutex<Vec<EndedJob>>>,
    lanes: Vec<JoinHandle<Done>>,
}

/// The digests of the jobs' programs on the network.
#[derive(Clone, Copy)]
struct Programs {
    nap: BlobRef,
    noop: BlobRef,
    wordcount: BlobRef,
    render: BlobRef,
    steps: BlobRef,
    tree: BlobRef,
}

impl Mix {
    /// Uploads the programs, and submits job after job.
    ///
    /// # Errors
    /// No peer takes a program.
    pub(super) async fn begin(submitter: Submitter, seed: u64) -> Done<Self> {
        let programs = Programs {
            nap: submitter.upload(NAP).await?,
            noop: submitter.upload(NOOP).await?,
            wordcount: submitter.upload(WORDCOUNT).await?,
            render: submitter.upload(RENDER).await?,
            steps: submitter.upload(STEPS).await?,
            tree: submitter.upload(TREE).await?,
        };
        let (enough, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let lane = |number: usize| {
            let random = Pcg64Mcg::seed_from_u64(seed.wrapping_add(1 + number as u64));
            tokio::spawn(submit_on(submitter.clone(), programs, random, Arc::clone(&enough), Arc::clone(&ended)))
        };
        let lanes = (0..UNDER_WAY_MAX).map(lane).collect();
        Ok(Self { submitter, enough, ended, lanes })
    }

    /// Checks that all parts of the load still run.
    ///
    /// # Errors
    /// A part has ended before it was told to.
    pub(super) fn check(&self) -> Done {
        if self.lanes.iter().any(JoinHandle::is_finished) {
            return Err(Failure::failed(
                "A part of the load has ended before its time; what it complains about follows at the end.",
            ));
        }
        Ok(())
    }

    /// Which jobs have not ended, and why they wait.
    pub(super) async fn what_waits(&self) -> Vec<String> {
        self.submitter.what_waits().await
    }

    /// Submits no more jobs, and waits until every job has ended.
    ///
    /// # Errors
    /// A job does not end in time.
    pub(super) async fn finish(&mut self, within: Duration) -> Done<Vec<EndedJob>> {
        self.enough.store(true, Ordering::Relaxed);
        for lane in &mut self.lanes {
            let ended = tokio::time::timeout(within, lane).await;
            let ended = ended
                .map_err(|_| Failure::failed(format!("Jobs have not ended {} s after the load.", within.as_secs())))?;
            ended.map_err(|error| Failure::failed(format!("The load broke: {error}.")))??;
        }
        Ok(self.ended.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

impl Drop for Mix {
    fn drop(&mut self) {
        self.lanes.iter().for_each(JoinHandle::abort);
    }
}

async fn submit_on(
    submitter: Submitter,
    programs: Programs,
    mut random: Pcg64Mcg,
    enough: Arc<AtomicBool>,
    ended: Arc<Mutex<Vec<EndedJob>>>,
) -> Done {
    while !enough.load(Ordering::Relaxed) {
        let submit = draw(&submitter, &programs, &mut random).await?;
        let signed = submitter.wish(Action::Submit(submit)).await?;
        let id = submission::job_of(&signed);
        let view = submitter.ended(id, JOB_WITHIN).await?;
        ended.lock().unwrap_or_else(PoisonError::into_inner).push(EndedJob { id, tasks: view.tasks });
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// A job of a random kind.
async fn draw(submitter: &Submitter, programs: &Programs, random: &mut Pcg64Mcg) -> Done<Submit> {
    Ok(match random.random_range(0..6) {
        0 => Submit::new("naps", patient(programs.nap), Tasks::Repeat(random.random_range(20..300))),
        1 => Submit::new("no-ops", patient(programs.noop), Tasks::Repeat(random.random_range(50..1000))),
        2 => words(submitter, programs, random).await?,
        3 => tiles(submitter, programs, random).await?,
        4 => {
            let spec =
                TaskSpec { arguments: vec!["8".into(), "250".into()], checkpoints: true, ..patient(programs.steps) };
            Submit::new("steps", spec, Tasks::Repeat(random.random_range(4..16)))
        }
        _ => {
            let spec = TaskSpec { arguments: vec![TREE_DEPTH.to_string()], spawns: true, ..patient(programs.tree) };
            let spawns_max = (2 << TREE_DEPTH) - 2;
            let mut root = Array::new(spec, Tasks::Repeat(1));
            root.feeds = true;
            Submit { arrays: vec![root], spawns_max, ..Submit::named("tree") }
        }
    })
}

/// Texts to be counted.
async fn words(submitter: &Submitter, programs: &Programs, random: &mut Pcg64Mcg) -> Done<Submit> {
    let mut parts = Vec::new();
    for _ in 0..random.random_range(4..12) {
        let text: String = (0..2000).map(|_| if random.random_ratio(1, 6) { ' ' } else { 'x' }).collect();
        let blob = submitter.upload(format!("{:x}{text}", random.next_u64()).as_bytes()).await?;
        parts.push(Part { inputs: vec![Input::blob("text", blob)], ..Part::default() });
    }
    Ok(Submit::new("words", patient(programs.wordcount), Tasks::Each(parts)))
}

/// Tiles of a picture, whose output is too large for the ledger.
async fn tiles(submitter: &Submitter, programs: &Programs, random: &mut Pcg64Mcg) -> Done<Submit> {
    let scene: u32 = random.random_range(1..1000);
    let mut parts = Vec::new();
    for column in 0..random.random_range(2..6) {
        let tile = format!("image 192 32\ntile {} 0 32 32\nsamples 1\nscene {scene}\n", column * 32);
        let blob = submitter.upload(tile.as_bytes()).await?;
        parts.push(Part { inputs: vec![Input::blob("tile", blob)], ..Part::default() });
    }
    Ok(Submit::new("tiles", patient(programs.render), Tasks::Each(parts)))
}

/// A task that waits for its program and inputs while the only peer that has them is away.
fn patient(program: BlobRef) -> TaskSpec {
    TaskSpec { recovery: [(Setback::InputUnavailable, Retry::of(20, 1000))].into(), ..small_task(program) }
}
