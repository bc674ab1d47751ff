//! The mesh that the programs meet, and the honest work beside them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork::{
    client::Client,
    failure::{Done, Failure},
    keys,
    local_mesh::{LocalMesh, Plan},
    outcomes, programs, submission,
};
use meshwork_core::{
    identity::SecretKey,
    types::{Action, BlobRef, Control, JobId, Limits, Resources, Retry, TaskId, TaskSpec, Tasks, Verdict},
};

use crate::programs::Hostile;

/// The longest that a program may take to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Honest tasks that are submitted at a time.
const HONEST_TASKS: u32 = 200;
/// How many times honest work is measured alone.
const ALONE_TIMES: usize = 5;

/// The limits of a badly behaved program. They are low, so that modest programs reach them.
pub(crate) fn limits() -> Limits {
    Limits { wall_ms: 3000, fuel: 200_000_000, output_bytes: 1 << 20 }
}

/// The mesh.
pub(crate) struct Mesh {
    mesh: LocalMesh,
    client: Client,
    key: SecretKey,
    noop: BlobRef,
}

impl Mesh {
    /// Starts it and runs a few honest tasks.
    ///
    /// # Errors
    /// It does not start.
    pub(crate) async fn start() -> Done<Self> {
        let here = std::env::current_exe().map_err(|error| Failure::failed(format!("Where am I? {error}.")))?;
        let plan = Plan { executable: here.with_file_name("meshwork"), ..Plan::new("hostile", 1, 1, 2)? };
        let mesh = LocalMesh::start(plan).await?;
        let client = mesh.peers()[0].client()?;
        let noop = client.put_bytes(programs::NOOP.to_vec()).await?;
        let mesh = Self { mesh, client, key: keys::generate(), noop };
        mesh.honest_rate().await?;
        Ok(mesh)
    }

    /// The process id of the volunteer.
    ///
    /// # Errors
    /// It does not live.
    pub(crate) fn volunteer(&self) -> Done<u32> {
        self.mesh.peers()[1].pid().ok_or_else(|| Failure::failed("The volunteer is gone."))
    }

    /// Whether the volunteer is the process that it was at first, and alive.
    pub(crate) fn is_whole(&self) -> bool {
        self.volunteer().is_ok_and(|pid| std::path::Path::new(&format!("/proc/{pid}/exe")).exists())
    }

    /// Submits a badly behaved program as a job of one task.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) async fn submit(&self, program: &Hostile) -> Done<JobId> {
        let blob = self.client.put_file(&program.path()).await?;
        let spec = TaskSpec {
            arguments: program.arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            limits: limits(),
            resources: Resources { millicores: 1000, memory_bytes: 16 << 20 },
            retry: Retry { retries: 0, ..Retry::default() },
            checkpoints: program.file.ends_with("saves"),
            spawns: program.file.ends_with("spawns"),
            ..TaskSpec::of(blob)
        };
        self.begin(spec, 1).await
    }

    async fn begin(&self, spec: TaskSpec, tasks: u32) -> Done<JobId> {
        let expiry = submission::EXPIRY_DEFAULT;
        let tasks = Tasks::Repeat(tasks);
        let signed = submission::sign_job("hostile", Arc::new(spec), tasks, expiry, &self.key, &self.mesh.network());
        submission::settle(&self.client, &signed).await?;
        Ok(submission::job_of(&signed))
    }

    /// How a job of one task ended, if it has.
    ///
    /// # Errors
    /// The mesh does not answer, or the outcome's proof does not hold.
    pub(crate) async fn ended(&self, job: JobId) -> Done<Option<String>> {
        if self.client.job(job).await?.ended_us.is_none() {
            return Ok(None);
        }
        let task = TaskId { job, index: 0 };
        let proved = outcomes::of_task(&self.client, task, self.mesh.genesis()).await?;
        Ok(Some(match proved.outcome.verdict {
            Verdict::Failed(failure, ..) => failure.to_string(),
            Verdict::Succeeded(..) => "ran to its end".to_owned(),
            other => format!("{other:?}"),
        }))
    }

    /// Cancels a job.
    ///
    /// # Errors
    /// It is refused.
    pub(crate) async fn cancel(&self, job: JobId) -> Done {
        let action = Action::Control(Control::cancel(job));
        let signed = submission::sign(action, submission::EXPIRY_DEFAULT, &self.key, &self.mesh.network());
        submission::settle(&self.client, &signed).await
    }

    /// Honest tasks a second, of an array that is submitted now.
    ///
    /// # Errors
    /// One of them fails, or they take far too long.
    pub(crate) async fn honest_rate(&self) -> Done<f64> {
        let spec = TaskSpec {
            limits: Limits { wall_ms: 60_000, fuel: u64::MAX, output_bytes: 64 << 10 },
            resources: Resources { millicores: 1000, memory_bytes: 1 << 20 },
            ..TaskSpec::of(self.noop)
        };
        let began = Instant::now();
        let job = self.begin(spec, HONEST_TASKS).await?;
        loop {
            let view = self.client.job(job).await?;
            if view.ended_us.is_some() {
                if view.counts.succeeded != u64::from(HONEST_TASKS) {
                    return Err(Failure::failed("An honest task did not succeed."));
                }
                return Ok(f64::from(HONEST_TASKS) / began.elapsed().as_secs_f64());
            }
            if began.elapsed() > PATIENCE {
                return Err(Failure::failed("Honest tasks were not done in a minute."));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The median rate of honest tasks with nothing beside them.
    ///
    /// # Errors
    /// As [`Mesh::honest_rate`].
    pub(crate) async fn alone(&self) -> Done<f64> {
        let mut rates = Vec::new();
        for _ in 0..ALONE_TIMES {
            rates.push(self.honest_rate().await?);
        }
        Ok(median(&mut rates))
    }
}

/// The median of some rates; 0 of none.
pub(crate) fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or_default()
}
