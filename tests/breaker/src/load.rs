//! A job that goes on: an open job, to which tasks are added as fast as they end. A patient submitter with a
//! key of its own sends it to whichever peer answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use meshwork::{
    client::{Client, ClientError},
    failure::{Done, Failure},
    keys, submission,
};
use meshwork_api::{JobView, TaskState};
use meshwork_core::{
    identity::{NetworkId, SecretKey},
    types::{
        Action, Array, BlobRef, BlockTime, Extend, JobId, Limits, Resources, Retry, SignedTransaction, Submit, TaskId,
        TaskSpec, Tasks,
    },
};
use tokio::task::JoinHandle;

use crate::network::Network;

/// The program of the tasks: it sleeps for a fifth of a second. Its source is beside it.
pub(crate) const NAP: &[u8] = include_bytes!("../../programs/nap.wasm");

/// How often the job is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// How long one peer may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// How long to look for a transaction at one peer before giving it to the next.
const EXECUTED_WITHIN: Duration = Duration::from_secs(4);

/// How long a transaction may take when it is given to all peers: longer than any fault lasts.
const SETTLED_WITHIN: Duration = Duration::from_secs(280);

/// How many tasks there are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Amount {
    /// The number to begin with.
    pub first: u32,
    /// Tasks are added when fewer than this many are left.
    pub more: u32,
}

/// A submitter, and the peers that it submits to.
#[derive(Clone)]
pub(crate) struct Submitter {
    network: Network,
    key: Arc<SecretKey>,
    id: NetworkId,
}

impl Submitter {
    /// A submitter with a new key.
    #[must_use]
    pub(crate) fn new(network: Network) -> Self {
        let id = network.genesis().network_id();
        Self { network, key: Arc::new(keys::generate()), id }
    }

    /// Uploads content to the first peer that takes it.
    ///
    /// # Errors
    /// No peer takes it.
    pub(crate) async fn upload(&self, content: &[u8]) -> Done<BlobRef> {
        let mut why = "nobody runs".to_owned();
        for (name, client) in self.network.clients() {
            match tokio::time::timeout(ANSWER_WITHIN, client.put_bytes(content.to_vec())).await {
                Ok(Ok(blob)) => return Ok(blob),
                Ok(Err(error)) => why = format!("{name}: {error}"),
                Err(_) => why = format!("{name} does not answer"),
            }
        }
        Err(Failure::failed(format!("No peer takes a blob ({why}).")))
    }

    /// Gets an action executed, by asking one peer after another. Returns the transaction.
    ///
    /// # Errors
    /// The transaction is void, or no peer executes it.
    pub(crate) async fn wish(&self, action: Action) -> Done<SignedTransaction> {
        let signed = submission::sign(action, submission::EXPIRY_DEFAULT, &self.key, &self.id);
        let began = Instant::now();
        let mut last = "nobody runs".to_owned();
        while began.elapsed() < SETTLED_WITHIN {
            for (name, client) in self.network.clients() {
                match self.try_at(&client, &signed).await? {
                    None => return Ok(signed),
                    Some(why) => last = format!("{name}: {why}"),
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(Failure::failed(format!(
            "Within {} s nobody executed a transaction that everyone was given ({last}).",
            SETTLED_WITHIN.as_secs()
        )))
    }

    /// Gives a transaction to one peer, and waits a little until the peer has executed it. Otherwise returns
    /// why it has not.
    async fn try_at(&self, client: &Client, signed: &SignedTransaction) -> Done<Option<String>> {
        match tokio::time::timeout(ANSWER_WITHIN, client.admit(std::slice::from_ref(signed))).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Ok(Some(error.to_string())),
            Err(_) => return Ok(Some("it does not answer".into())),
        }
        let until = Instant::now() + EXECUTED_WITHIN;
        while Instant::now() < until {
            match tokio::time::timeout(ANSWER_WITHIN, client.transaction(signed.id())).await {
                Ok(Ok(view)) => {
                    let Some(why) = view.void else { return Ok(None) };
                    return Err(Failure::failed(format!("The ledger did not take the load's transaction: {why}.")));
                }
                Ok(Err(ClientError::Refused { .. })) => tokio::time::sleep(ANSWER_WITHIN / 60).await,
                Ok(Err(error)) => return Ok(Some(error.to_string())),
                Err(_) => return Ok(Some("it does not answer".into())),
            }
        }
        Ok(Some("it has not executed it".into()))
    }

    /// A job as seen by the peer that has it furthest ahead, among those that answer.
    pub(crate) async fn job(&self, job: JobId) -> Option<JobView> {
        for (_, client) in self.network.clients() {
            if let Ok(Ok(view)) = tokio::time::timeout(ANSWER_WITHIN, client.job(job)).await {
                return Some(view);
            }
        }
        None
    }

    /// Which jobs have not ended, according to the first peer that answers: one task of each, its state and
    /// why.
    pub(crate) async fn what_waits(&self) -> Vec<String> {
        let mut said = Vec::new();
        let Some((name, client)) = self.network.clients().into_iter().next() else { return said };
        let jobs = client.jobs().await.unwrap_or_default();
        for job in jobs.into_iter().filter(|job| job.ended_us.is_none()) {
            said.push(format!("{name}: {} {} has {:?}", job.name, job.id, job.counts));
            let outstanding = [TaskState::Ready, TaskState::BackingOff, TaskState::Waiting, TaskState::Running];
            for state in outstanding {
                let found = client.tasks(job.id, 0, 1, Some(state)).await.unwrap_or_default();
                let Some(task) = found.into_iter().next() else { continue };
                let why = client.explanation(TaskId { job: job.id, index: task.index }).await;
                let why = why.map_or_else(|error| error.to_string(), |why| format!("{:?}", why.why));
                said.push(format!("  {} is {state:?}: {}", task.index, why));
            }
        }
        said
    }

    /// Waits until a job has ended on some peer. Returns the number of its tasks.
    ///
    /// # Errors
    /// The job does not end in time; the sentence says how far it came.
    pub(crate) async fn ended(&self, job: JobId, within: Duration) -> Done<JobView> {
        let until = Instant::now() + within;
        loop {
            self.network.look()?;
            let view = self.job(job).await;
            match view {
                Some(view) if view.ended_us.is_some() => return Ok(view),
                view if Instant::now() > until => {
                    let stands = view.map_or_else(|| "nobody knows it".to_owned(), |view| format!("{:?}", view.counts));
                    return Err(Failure::failed(format!(
                        "Job {job} has not ended {} s after its last task was submitted: {stands}.",
                        within.as_secs()
                    )));
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// A short task of this program. No failure is forgiven.
#[must_use]
pub(crate) fn small_task(program: BlobRef) -> TaskSpec {
    TaskSpec {
        resources: Resources { millicores: 1000, memory_bytes: 16 << 20 },
        limits: Limits { wall_ms: 60_000, fuel: u64::MAX, output_bytes: 1 << 20 },
        retry: Retry::of(0, 0),
        speculation: false,
        ..TaskSpec::of(program)
    }
}

/// A job that goes on until it is told to end.
pub(crate) struct Load {
    submitter: Submitter,
    job: JobId,
    enough: Arc<AtomicBool>,
    feeder: JoinHandle<Done>,
}

impl Load {
    /// Submits the job, and keeps adding to it.
    ///
    /// # Errors
    /// No peer takes it.
    pub(crate) async fn begin(submitter: &Submitter, program: BlobRef, amount: Amount) -> Done<Self> {
        const OPEN_FOR_MS: u64 = 3_600_000;
        let submit = Submit {
            open_until: Some(BlockTime(meshwork::time::now_us()).plus_ms(OPEN_FOR_MS)),
            ..Submit::new("load", small_task(program), Tasks::Repeat(amount.first))
        };
        let signed = submitter.wish(Action::Submit(submit)).await?;
        let job = submission::job_of(&signed);
        let enough = Arc::new(AtomicBool::new(false));
        let feeder = tokio::spawn(feed(submitter.clone(), job, program, amount, enough.clone()));
        Ok(Self { submitter: submitter.clone(), job, enough, feeder })
    }

    /// The job's id.
    #[must_use]
    pub(crate) const fn job(&self) -> JobId {
        self.job
    }

    /// Adds nothing more, and waits until all tasks have ended.
    ///
    /// # Errors
    /// They do not in time, or something could not be added.
    pub(crate) async fn finish(mut self, within: Duration) -> Done<JobView> {
        self.enough.store(true, Ordering::Relaxed);
        let fed = (&mut self.feeder).await;
        fed.map_err(|error| Failure::failed(format!("The load broke: {error}.")))??;
        self.submitter.ended(self.job, within).await
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.feeder.abort();
    }
}

/// Adds tasks while few are left, and closes the job in the end.
async fn feed(submitter: Submitter, job: JobId, program: BlobRef, amount: Amount, enough: Arc<AtomicBool>) -> Done {
    let array = || Array::new(small_task(program), Tasks::Repeat(amount.more));
    while !enough.load(Ordering::Relaxed) {
        let left = submitter.job(job).await.map(|view| {
            let counts = view.counts;
            counts.ready + counts.running + counts.waiting + counts.blocked
        });
        if left.is_some_and(|left| left < u64::from(amount.more)) {
            submitter.wish(Action::Extend(Extend { job, arrays: vec![array()], closes: false })).await?;
        }
        tokio::time::sleep(LOOK).await;
    }
    submitter.wish(Action::Extend(Extend { job, arrays: Vec::new(), closes: true })).await.map(|_| ())
}
