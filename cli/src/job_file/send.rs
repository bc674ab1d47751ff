//! Submits a laid out job file: content first, then the job, in as many transactions as it takes.
//!
//! A job that is too large for one transaction is submitted open, added to, and closed by its last addition. If one
//! of these is refused, the job is cancelled, because half of it is not what was asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use meshwork_core::{
    codec,
    identity::{NetworkId, SecretKey},
    types::{
        Action, AfterJob, Array, BlobRef, BlockTime, Control, Extend, Input, JobId, LedgerLimits, Part, Program, Recur,
        Recurring, RecurringId, SignedTransaction, Source, Submit, TaskSpec, Tasks, TransactionId,
    },
};

use super::{
    Plan,
    draft::{Content, Draft, JobDraft},
    planned::{PlannedArray, PlannedInput, PlannedSource, PlannedTasks},
};
use crate::{
    client::Client,
    failure::{Done, Failure},
    folders::Folder,
    interrupt::unless_interrupted,
    output::progress,
    submission,
    time::{milliseconds, now_us},
};

/// How long a job of several transactions stays open, unless the file says.
const OPEN_WHILE_SENT: Duration = Duration::from_secs(3600);

/// How often the node is asked whether a transaction has been executed.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// Bytes of a transaction besides its arrays and what the job itself says.
const BESIDES_BYTES: usize = 1024;

/// Sends jobs to a node, signed with one key.
pub struct Sender<'a> {
    /// The node.
    pub client: &'a Client,
    /// The submitter's key.
    pub key: &'a SecretKey,
    /// The network to sign for.
    pub network: NetworkId,
    /// The network's bounds.
    pub limits: &'a LedgerLimits,
    /// How long a transaction may wait to be ordered.
    pub expires: Duration,
}

/// A job that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The job's id.
    pub job: JobId,
    /// Its last transaction.
    pub transaction: TransactionId,
    /// When that expires, in microseconds since the Unix epoch.
    pub expires_us: u64,
}

impl Sent {
    fn of(job: JobId, transaction: &SignedTransaction) -> Self {
        Self { job, transaction: transaction.id(), expires_us: transaction.transaction().expires.0 }
    }
}

/// All content on this machine that a job needs.
pub fn contents(plan: &Plan) -> BTreeSet<Content> {
    let mut needed = BTreeSet::new();
    for array in &plan.arrays {
        needed.insert(Content::File(array.draft.program.clone()));
        needed.extend(array.draft.stdin.clone());
        let parts = match &array.tasks {
            PlannedTasks::Each(parts) => &parts[..],
            PlannedTasks::Repeat(_) => &[],
        };
        for input in array.inputs.iter().chain(parts.iter().flat_map(|part| &part.inputs)) {
            if let PlannedSource::Content(content) = &input.source {
                needed.insert(content.clone());
            }
        }
    }
    needed
}

/// Uploads a job's content and makes its arrays.
///
/// # Errors
/// A file cannot be read, or the node refuses it.
pub async fn upload(client: &Client, plan: &Plan) -> Done<Vec<Array>> {
    let needed = contents(plan);
    let bar = progress::tasks(needed.len() as u64);
    bar.set_message("files sent");
    let mut blobs = BTreeMap::new();
    for content in needed {
        let blob = match &content {
            Content::File(path) => client.put_file(path).await?,
            Content::Folder(path) => Folder::scan(path)?.send(client).await?,
            Content::Text(text) => client.put_bytes(text.clone().into_bytes()).await?,
        };
        blobs.insert(content, blob);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(arrays(plan, &blobs))
}

/// The recurring job that a plan describes, if it recurs.
pub fn recurring(plan: &Plan, arrays: Vec<Array>) -> Option<Recurring> {
    let JobDraft { times, spawns_max, .. } = plan.job;
    let submit = Submit { arrays, times, spawns_max, ..Submit::named(&plan.job.name) };
    plan.job.recurs.as_ref().map(|recurrence| recurrence.of(submit))
}

/// A plan's arrays as the ledger has them, with the blobs of their content.
pub fn arrays(plan: &Plan, blobs: &BTreeMap<Content, BlobRef>) -> Vec<Array> {
    plan.arrays.iter().map(|array| array_of(array, blobs)).collect()
}

fn array_of(array: &PlannedArray, blobs: &BTreeMap<Content, BlobRef>) -> Array {
    // Everything that the plan names has been uploaded.
    let blob = |content: &Content| blobs[content];
    let input = |input: &PlannedInput| Input {
        path: input.path.clone(),
        source: match &input.source {
            PlannedSource::Content(content @ Content::Folder(_)) => Source::Folder(blob(content)),
            PlannedSource::Content(content) => Source::Blob(blob(content)),
            PlannedSource::Output(output) => Source::Output(output.clone()),
        },
    };
    let Draft { program, environment, stdin, resources, labels, prefers, spread, limits, .. } = &*array.draft;
    let spec = TaskSpec {
        program: Program::Wasm(blob(&Content::File(program.clone()))),
        argv0: array.draft.argv0.clone(),
        arguments: array.arguments.clone(),
        environment: environment.clone(),
        stdin: stdin.as_ref().map(blob),
        inputs: array.inputs.iter().map(input).collect(),
        resources: *resources,
        labels: labels.clone(),
        prefers: prefers.clone(),
        spread: spread.clone(),
        limits: *limits,
        success: array.draft.success.clone(),
        priority: array.draft.priority,
        expected_ms: array.draft.expected_ms,
        retry: array.draft.retry,
        recovery: array.draft.recovery.clone(),
        checkpoints: array.draft.checkpoints,
        spawns: array.draft.spawns,
        speculation: array.draft.speculation,
        redundancy: array.draft.redundancy,
    };
    let tasks = match &array.tasks {
        PlannedTasks::Repeat(count) => Tasks::Repeat(*count),
        PlannedTasks::Each(parts) => {
            let part = |part: &super::planned::PlannedPart| Part {
                arguments: part.arguments.clone(),
                inputs: part.inputs.iter().map(input).collect(),
                after: part.after.clone(),
            };
            Tasks::Each(parts.iter().map(part).collect())
        }
    };
    Array {
        name: array
            .name
            .chars()
            .scan(0, |bytes, c| {
                *bytes += c.len_utf8();
                (*bytes <= Submit::NAME_BYTES_MAX).then_some(c)
            })
            .collect(),
        spec: Arc::new(spec),
        tasks: Arc::new(tasks),
        after: array.after.clone(),
        feeds: array.feeds,
    }
}

/// Splits arrays, in their order, into as few batches as fit into transactions.
fn batches(arrays: Vec<Array>, bytes_max: usize) -> Done<Vec<Vec<Array>>> {
    let most = bytes_max.saturating_sub(BESIDES_BYTES + Submit::AFTER_MAX * 64);
    let mut batches: Vec<Vec<Array>> = Vec::new();
    let mut bytes = usize::MAX;
    for array in arrays {
        let more = codec::encode(&array).len();
        if more > most {
            return Err(Failure::usage(format!(
                "`{}` takes {more} bytes, and a transaction of this network holds {most}; put long arguments and texts into files.",
                array.name
            )));
        }
        bytes = bytes.saturating_add(more);
        match batches.last_mut() {
            Some(batch) if bytes <= most => batch.push(array),
            _ => {
                batches.push(vec![array]);
                bytes = more;
            }
        }
    }
    Ok(batches)
}

impl Sender<'_> {
    /// Submits a new job.
    ///
    /// # Errors
    /// The network refuses the job or a part of it. What was begun is then cancelled.
    pub async fn submit(&self, plan: &Plan, after: Vec<AfterJob>, arrays: Vec<Array>) -> Done<Sent> {
        let mut batches = batches(arrays, self.limits.transaction_bytes_max)?.into_iter();
        let first = batches.next().unwrap_or_default();
        let mut tasks = first.iter().map(|array| array.tasks.count()).sum();
        let more = batches.len();
        let own = plan.job.open_until;
        let while_sent = || BlockTime(now_us()).plus_ms(milliseconds(OPEN_WHILE_SENT));
        let open_until = if more > 0 { own.or_else(|| Some(while_sent())) } else { own };
        let JobDraft { name, times, spawns_max, .. } = &plan.job;
        let (name, times, spawns_max) = (name.clone(), *times, *spawns_max);
        let submit = Submit { name, arrays: first, after, times, open_until, spawns_max };
        let transaction = self.post(Action::Submit(submit)).await?;
        let job = submission::job_of(&transaction);
        let mut sent = Sent::of(job, &transaction);
        if more == 0 {
            return Ok(sent);
        }
        let bar = progress::tasks(u64::from(plan.count()));
        bar.set_message("tasks submitted");
        for (number, batch) in (2..).zip(batches) {
            let added = async {
                self.wait_for(sent, tasks).await?;
                bar.set_position(tasks as u64);
                tasks += batch.iter().map(|array| array.tasks.count()).sum::<usize>();
                self.extend(job, batch, number == more + 1 && own.is_none()).await
            };
            sent = match unless_interrupted(added).await {
                Ok(sent) => sent,
                Err(failure) => return Err(self.give_up(job, number, more + 1, &failure).await),
            };
        }
        let there = unless_interrupted(self.wait_for(sent, tasks)).await;
        bar.finish_and_clear();
        match there {
            Ok(()) => Ok(sent),
            Err(failure) => Err(self.give_up(job, more + 1, more + 1, &failure).await),
        }
    }

    /// Submits a recurring job.
    ///
    /// # Errors
    /// The job does not fit into one transaction, or the network refuses it.
    pub async fn submit_recurring(&self, recurring: Recurring) -> Done<RecurringId> {
        let recur = Action::Recur(Recur::Submit(Box::new(recurring)));
        let transaction = submission::sign(recur, self.expires, self.key, &self.network);
        let (bytes, most) = (transaction.envelope().payload.len(), self.limits.transaction_bytes_max);
        if bytes > most {
            return Err(Failure::usage(format!(
                "A job that recurs has to fit one transaction, which holds {most} bytes on this network, and this one takes {bytes}; have a smaller job recur."
            )));
        }
        submission::check(&transaction.transaction().action, self.limits)?;
        submission::post(self.client, &transaction).await?;
        Ok(RecurringId(transaction.id().0))
    }

    /// Adds to an open job that already has `has` tasks.
    ///
    /// # Errors
    /// The network refuses the addition or a part of it.
    pub async fn add(&self, job: JobId, has: u32, arrays: Vec<Array>, closes: bool) -> Done<Sent> {
        let batches = batches(arrays, self.limits.transaction_bytes_max)?;
        let parts = batches.len().max(1);
        let mut tasks = has as usize;
        let mut sent = None;
        for (number, batch) in (1..).zip(batches) {
            let count: usize = batch.iter().map(|array| array.tasks.count()).sum();
            let added = async {
                let sent = self.extend(job, batch, closes && number == parts).await?;
                self.wait_for(sent, tasks + count).await.map(|()| sent)
            };
            let added = added.await.map_err(|failure| {
                let sentence =
                    format!("{} (That was part {number} of {parts}; those before it were added.)", failure.sentence);
                Failure { sentence, ..failure }
            })?;
            sent = Some(added);
            tasks += count;
        }
        match sent {
            Some(sent) => Ok(sent),
            None => self.extend(job, Vec::new(), closes).await,
        }
    }

    /// Checks, signs and posts an action.
    async fn post(&self, action: Action) -> Done<SignedTransaction> {
        submission::check(&action, self.limits)?;
        let transaction = submission::sign(action, self.expires, self.key, &self.network);
        submission::post(self.client, &transaction).await?;
        Ok(transaction)
    }

    async fn extend(&self, job: JobId, arrays: Vec<Array>, closes: bool) -> Done<Sent> {
        let transaction = self.post(Action::Extend(Extend { job, arrays, closes })).await?;
        Ok(Sent::of(job, &transaction))
    }

    /// Waits until a job has this many tasks. A void transaction shows only by never being executed.
    async fn wait_for(&self, sent: Sent, tasks: usize) -> Done {
        loop {
            match self.client.job(sent.job).await {
                Ok(view) if view.tasks as usize >= tasks => return Ok(()),
                Ok(view) if view.ended_us.is_some() => {
                    return Err(Failure::job(format!("Job {} ended before all of it was there.", sent.job)));
                }
                Ok(_) => {}
                Err(error) if error.is_absent() => {}
                Err(error) => return Err(error.into()),
            }
            submission::unless_expired(sent.expires_us)?;
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }

    /// Cancels a job after a part of it was refused, and says so.
    async fn give_up(&self, job: JobId, number: usize, parts: usize, failure: &Failure) -> Failure {
        let cancel = submission::sign(Action::Control(Control::cancel(job)), self.expires, self.key, &self.network);
        let cancelled = match submission::post(self.client, &cancel).await {
            Ok(()) => format!("the job was cancelled ({job})"),
            Err(_) => format!("the job could not be cancelled either; `meshwork cancel {job}` does it"),
        };
        let why = failure.sentence.trim_end_matches('.');
        Failure {
            exit: failure.exit,
            sentence: format!("Part {number} of {parts} of the job failed: {why}; {cancelled}."),
        }
    }

    /// Waits until a job is closed.
    ///
    /// # Errors
    /// It is not closed before the last transaction expires.
    pub async fn wait_until_closed(&self, sent: Sent) -> Done {
        let until = Instant::now() + self.expires;
        while Instant::now() < until {
            if self.client.job(sent.job).await?.open_until_us.is_none() {
                return Ok(());
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
        Err(Failure::failed(format!("Job {} was not closed in time; see `meshwork status`, and try again.", sent.job)))
    }
}
