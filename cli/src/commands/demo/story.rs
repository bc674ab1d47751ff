//! The demo, step by step: submit, watch, kill peers halfway, watch again, verify, put the image together.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_core::{
    identity::{PublicKey, SecretKey},
    types::{
        Answer, BlobRef, Input, JobId, Limits, Part, Redundancy, Resources, Retry, SignedTransaction, TaskSpec, Tasks,
        Verdict,
    },
};

use super::{
    observer::Observer,
    scene::{self, Scene},
    summary::{Figures, Liars, Summary},
    tally::Lease,
};
use crate::{
    client::Client,
    failure::{Done, Failure},
    figures::{percentile, rounded},
    keys,
    local_mesh::LocalMesh,
    outcomes::{self, Outputs, Proved},
    output::{Output, progress::Board, words::short},
    programs, submission, watch,
};

/// How often the board is drawn.
const TICK: Duration = Duration::from_millis(40);

/// How often the demo looks for the right time to kill, once half of the tasks are done.
const AIM_TICK: Duration = Duration::from_millis(5);

/// After how many ticks the job is asked for, in case an event was lost.
const ASK_TICKS: u32 = 25;

/// A lease is fresh during this fraction (one over it) of the usual time of a lease.
const FRESH: u32 = 4;

/// One run of the demo.
pub(super) struct Story<'a> {
    mesh: &'a mut LocalMesh,
    scene: &'a Scene,
    output: Output,
    transaction: SignedTransaction,
    /// Two peers that are not killed, or the only one.
    observers: Vec<Observer>,
    /// Workers that may be killed, by their index in the mesh.
    candidates: Vec<usize>,
    struck: Option<Struck>,
}

/// The peers that were killed halfway.
struct Struck {
    worker: Option<usize>,
    held: Vec<Lease>,
    /// Whether the return of the leases was reported.
    told: bool,
}

impl<'a> Story<'a> {
    /// Creates a submitter, uploads the program and the tiles, signs the job, and starts two observers.
    ///
    /// # Errors
    /// A peer does not answer, or refuses.
    pub(super) async fn begin(
        mesh: &'a mut LocalMesh,
        scene: &'a Scene,
        redundancy: Option<Redundancy>,
        output: Output,
    ) -> Done<Self> {
        let key = keys::generate();
        keys::create(&mesh.root().join("submitter/key"), &key)?;
        let survivors = survivors(mesh);
        let client = mesh.peers()[survivors[0]].client()?;
        let transaction = prepare(&client, (scene, redundancy), &key, mesh).await?;
        let job = submission::job_of(&transaction);
        let mut observers = Vec::new();
        for index in &survivors {
            observers.push(Observer::start(mesh.peers()[*index].client()?, job, scene.count()).await?);
        }
        let is_candidate =
            |index: &usize| mesh.peers()[*index].works() && !mesh.lies(*index) && !survivors.contains(index);
        let candidates = (0..mesh.peers().len()).filter(is_candidate).collect();
        Ok(Self { mesh, scene, output, transaction, observers, candidates, struck: None })
    }

    /// Runs the job to its end. Returns the summary, the job, and the API address of a living peer.
    ///
    /// # Errors
    /// A step failed.
    pub(super) async fn tell(&mut self, image: &Path) -> Done<(Summary, JobId, String)> {
        let job = submission::job_of(&self.transaction);
        let began = Instant::now();
        for observer in &self.observers {
            observer.tally().submit(began);
        }
        submission::post(&self.observers[0].client, &self.transaction).await?;
        self.output.note(&format!(
            "Submitted job {}: {} tiles, one task each. Halfway, peers will be killed.",
            short(&job),
            self.scene.count()
        ));
        self.watch().await?;
        self.output.note("All tiles are rendered; verifying every receipt offline, and putting the image together …");
        let proved = self.prove(job).await?;
        let completed = proved.iter().filter(|one| matches!(one.outcome.verdict, Verdict::Succeeded(..))).count();
        if completed == self.scene.count() {
            self.assemble(&proved, image).await?;
        }
        let summary = self.summary(&proved, completed, image);
        Ok((summary, job, self.observers[0].client.base().to_owned()))
    }

    /// Shows progress until every task has an outcome, and kills peers halfway.
    async fn watch(&mut self) -> Done {
        let count = self.scene.count();
        let workers: Vec<usize> =
            (0..self.mesh.peers().len()).filter(|index| self.mesh.peers()[*index].works()).collect();
        let board = Board::new(count as u64, workers.len() + 1);
        let job = submission::job_of(&self.transaction);
        for tick in 0_u32.. {
            let counts = self.observers[0].tally().counts();
            self.draw(&board, &workers);
            if counts.ended >= count {
                break;
            }
            if tick % ASK_TICKS == ASK_TICKS - 1
                && self.observers[0].client.job(job).await.is_ok_and(|view| view.ended_us.is_some())
            {
                break;
            }
            let is_time = self.struck.is_none() && 2 * counts.ended >= count;
            if is_time {
                // Well past halfway, any lease is better than none.
                self.strike(&board, 4 * counts.ended >= 3 * count);
            }
            self.tell_of_return(&board);
            tokio::time::sleep(if is_time { AIM_TICK } else { TICK }).await;
        }
        self.tell_of_return(&board);
        Ok(())
    }

    fn draw(&self, board: &Board, workers: &[usize]) {
        let tally = self.observers[0].tally();
        let counts = tally.counts();
        board.tasks(
            counts.ended as u64,
            format!("{} ready, {} leased, {} done", counts.ready, counts.leased, counts.ended),
        );
        let finality =
            percentile(&tally.finality_ms, 50.0).map_or(String::new(), |ms| format!(", final in {ms:.1} ms (median)"));
        board.line(0, format!("height {}{finality}", tally.height));
        for (line, index) in workers.iter().enumerate() {
            let peer = &self.mesh.peers()[*index];
            let held = tally.held_by(peer.key());
            let running: Vec<String> =
                held.iter().filter(|lease| lease.running).map(|lease| format!("tile {}", lease.index)).collect();
            let does = match (peer.lives(), running.is_empty()) {
                (false, _) => format!("killed; {} of its leases are still out", held.len()),
                (true, true) => format!("idle, {} waiting", held.len()),
                (true, false) => format!("runs {}, {} waiting", running.join(", "), held.len() - running.len()),
            };
            board.line(line + 1, format!("{}: {does}, {} done", peer.name(), tally.ended_by(peer.key())));
        }
    }

    /// Kills the volunteer that got the newest lease, and an authority if a quorum remains.
    ///
    /// The lease must be so fresh that its outcome cannot be on its way yet.
    fn strike(&mut self, board: &Board, any: bool) {
        let mesh = &mut *self.mesh;
        let tally = self.observers[0].tally();
        let now = Instant::now();
        let holds = |index: &usize| tally.held_by(mesh.peers()[*index].key());
        let age = |index: &usize| tally.freshest(mesh.peers()[*index].key(), now);
        let fresh = tally.usual().unwrap_or_default() / FRESH;
        let busy = self.candidates.iter().filter(|index| age(index).is_some_and(|age| any || age <= fresh));
        let worker = busy.min_by_key(|index| age(index)).copied();
        if worker.is_none() && !self.candidates.is_empty() {
            // No lease is fresh. Try again at the next tick.
            return;
        }
        let held = worker.map(|index| holds(&index)).unwrap_or_default();
        if let Some(index) = worker {
            mesh.peer_mut(index).kill();
        }
        drop(tally);
        let authority = doomed_authority(mesh);
        if let Some(index) = authority {
            mesh.peer_mut(index).kill();
        }
        let name = |index: usize| mesh.peers()[index].name().to_owned();
        match (worker, authority) {
            (Some(worker), Some(authority)) => board.note(&format!(
                "Halfway: killed {} (SIGKILL), which held {} leases, and {}.",
                name(worker),
                held.len(),
                name(authority)
            )),
            (Some(worker), None) => board.note(&format!(
                "Halfway: killed {} (SIGKILL), which held {} leases. (Fewer than 4 authorities can spare none.)",
                name(worker),
                held.len()
            )),
            (None, Some(authority)) => board.note(&format!("Halfway: killed {} (SIGKILL).", name(authority))),
            (None, None) => board.note("Halfway: so small a mesh can spare nobody, so nobody is killed."),
        }
        let told = held.is_empty();
        self.struck = Some(Struck { worker, held, told });
    }

    fn tell_of_return(&mut self, board: &Board) {
        let Some(struck) = &mut self.struck else { return };
        let tally = self.observers[0].tally();
        if !struck.told && struck.held.iter().all(|lease| tally.is_over(lease)) {
            struck.told = true;
            board.note(&format!(
                "The leases of the killed volunteer came back ({}); others go on with them.",
                struck.held.len()
            ));
        }
    }

    /// The proved outcomes of each observed peer. Returns those of the first.
    async fn prove(&self, job: JobId) -> Done<Vec<Proved>> {
        let expires_us = self.transaction.transaction().expires.0;
        let mut first: Option<Vec<Proved>> = None;
        for observer in &self.observers {
            watch::until_ended(&observer.client, job, Some(expires_us), |_| {}).await?;
            let proved = outcomes::of_job(&observer.client, job, self.mesh.genesis()).await?;
            match &first {
                None => first = Some(proved),
                Some(first) if places(first) == places(&proved) => {}
                Some(_) => {
                    return Err(Failure::proof(
                        "Two peers prove different outcomes of the same job; their stores are kept to be looked at.",
                    ));
                }
            }
        }
        first.ok_or_else(|| Failure::failed("Nobody lived to tell."))
    }

    async fn assemble(&self, proved: &[Proved], image: &Path) -> Done {
        let client = &self.observers[0].client;
        let mut tiles = Vec::with_capacity(proved.len());
        for one in proved {
            let outputs = Outputs::of(client, &one.outcome).await?;
            let tile = outputs.files.iter().find(|(path, _)| path == scene::OUTPUT).ok_or_else(|| {
                Failure::failed(format!("Task {} left no {}.", one.outcome.attempt.task, scene::OUTPUT))
            })?;
            tiles.push(outputs.read(client, &tile.1).await?);
        }
        self.scene.write(&tiles, image)
    }

    fn summary(&self, proved: &[Proved], completed: usize, image: &Path) -> Summary {
        let tasks = self.scene.count();
        let tally = self.observers[0].tally();
        let latencies: Vec<f64> = tally.latencies().map(|latency| latency.as_secs_f64() * 1000.0).collect();
        let last_ms = latencies.iter().copied().fold(f64::NAN, f64::max);
        let finality = percentile(&tally.finality_ms, 50.0);
        let blocks = tally.height;
        drop(tally);
        if self.observers.iter().all(|observer| observer.tally().missed > 0) {
            self.output.note(
                "Events were missed on every stream, so that no task was accepted twice rests on two peers' proofs alone.",
            );
        }
        let image = std::path::absolute(image).unwrap_or_else(|_| image.to_owned());
        let figures = Figures {
            tasks,
            completed,
            lost: tasks - proved.len().min(tasks),
            accepted_twice: self.accepted_twice(),
            recovered: self.recovered(proved),
            receipts_verified: proved.len(),
            tasks_per_s: rounded(tasks as f64 / (last_ms / 1000.0)),
            latency_ms_p50: rounded(percentile(&latencies, 50.0).unwrap_or(f64::NAN)),
            latency_ms_p99: rounded(percentile(&latencies, 99.0).unwrap_or(f64::NAN)),
            finality_ms_p50: rounded(finality.unwrap_or(f64::NAN)),
            blocks,
            output: image.display().to_string(),
            liars: self.liars(proved),
        };
        let held_by_killed = match &self.struck {
            Some(struck) => struck.worker.map(|_| struck.held.len()),
            // No worker could be killed although one should have been.
            None => (!self.candidates.is_empty()).then_some(0),
        };
        Summary { figures, held_by_killed }
    }

    /// What was found out about the liars, if there are any.
    fn liars(&self, proved: &[Proved]) -> Option<Liars> {
        let lie = |key: &PublicKey| {
            self.mesh.peers().iter().enumerate().any(|(index, peer)| peer.key() == *key && self.mesh.lies(index))
        };
        let liars = (0..self.mesh.peers().len()).filter(|index| self.mesh.lies(*index)).count();
        let mut found = Liars { liars, found: 0, outvoted: 0, wronged: 0, believed: 0 };
        let mut outvoted: BTreeSet<PublicKey> = BTreeSet::new();
        for outcome in proved.iter().map(|one| &one.outcome) {
            found.believed += usize::from(lie(&outcome.worker));
            let Some(agreement) = &outcome.agreement else { continue };
            let accepted = Answer::of(outcome.verdict.clone()).map(|answer| answer.digest()).ok();
            for one in agreement.answers.iter().filter(|one| Some(one.answer) != accepted) {
                found.outvoted += 1;
                found.wronged += usize::from(!lie(&one.worker));
                outvoted.insert(one.worker);
            }
        }
        found.found = outvoted.iter().filter(|key| lie(key)).count();
        (liars > 0).then_some(found)
    }

    /// The number of tasks with a second outcome, as seen by any peer that missed no event.
    fn accepted_twice(&self) -> usize {
        let mut twice = BTreeSet::new();
        for observer in &self.observers {
            let tally = observer.tally();
            if tally.missed == 0 {
                twice.extend(tally.ended_twice());
            }
        }
        twice.len()
    }

    /// The number of the killed volunteer's leases whose tasks were done in another attempt.
    fn recovered(&self, proved: &[Proved]) -> usize {
        let Some(struck) = &self.struck else { return 0 };
        let done_otherwise = |lease: &&Lease| {
            proved.iter().any(|one| {
                let attempt = one.outcome.attempt;
                attempt.task.index == lease.index && attempt.number.0 != lease.attempt
            })
        };
        struck.held.iter().filter(done_otherwise).count()
    }
}

fn places(proved: &[Proved]) -> Vec<(u32, u64, u32)> {
    proved.iter().map(|one| (one.outcome.attempt.task.index, one.proof.height.0, one.proof.index)).collect()
}

/// The authority to kill: the last one, if the others are a quorum without it.
fn doomed_authority(mesh: &LocalMesh) -> Option<usize> {
    (mesh.genesis().authority_set().faulty_max() >= 1).then(|| mesh.genesis().authorities.len() - 1)
}

/// Two peers that are never killed: authorities, or the first worker if there is only one authority.
fn survivors(mesh: &LocalMesh) -> Vec<usize> {
    let doomed = doomed_authority(mesh);
    (0..mesh.peers().len()).filter(|index| Some(*index) != doomed).take(2).collect()
}

async fn prepare(
    client: &Client,
    (scene, redundancy): (&Scene, Option<Redundancy>),
    key: &SecretKey,
    mesh: &LocalMesh,
) -> Done<SignedTransaction> {
    let program = client.put_bytes(programs::RENDER.to_vec()).await?;
    let mut parts = Vec::with_capacity(scene.count());
    for input in scene.inputs() {
        let blob = client.put_bytes(input.into_bytes()).await?;
        parts.push(Part { inputs: vec![Input::blob(scene::INPUT, blob)], ..Part::default() });
    }
    let spec = Arc::new(TaskSpec { redundancy, ..spec(program) });
    let tasks = Tasks::Each(parts);
    Ok(submission::sign_job("demo image", spec, tasks, submission::EXPIRY_DEFAULT, key, &mesh.network()))
}

fn spec(program: BlobRef) -> TaskSpec {
    TaskSpec {
        resources: Resources { millicores: 1000, memory_bytes: 64 << 20 },
        limits: Limits { wall_ms: 120_000, fuel: u64::MAX, output_bytes: 8 << 20 },
        retry: Retry::of(2, 100),
        ..TaskSpec::of(program)
    }
}
