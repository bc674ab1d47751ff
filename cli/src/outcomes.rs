//! Accepted outcomes: fetches and checks their proofs, and fetches programs' outputs and checks them against the
//! proofs.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{self, File},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
    time::{Duration, Instant},
};

use meshwork_api::TaskState;
use meshwork_core::{
    blobs::decode_manifest,
    codec::ByteString,
    digest::Digest,
    identity::PublicKey,
    proof::Proof,
    types::{BlobRef, Genesis, InlineOutput, JobId, OutcomeReceipt, Output, Piece, Receipt, TaskId, Verdict},
};
use tokio::sync::Mutex;

use crate::{
    client::Client,
    failure::{Done, Failure},
    file_names::{self, Place},
    output::words::short,
};

/// An outcome with its proof.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The proof.
    pub proof: Proof,
    /// What it proves.
    pub outcome: OutcomeReceipt,
}

/// Checks a proof and takes the outcome of `job` out of it.
///
/// # Errors
/// The proof does not hold, or is about something else.
pub fn check(proof: Proof, job: JobId, genesis: &Genesis) -> Done<Proved> {
    proof.verify(genesis).map_err(|error| {
        Failure::proof(format!("A proof that the node gave for job {job} does not hold: {error}; ask another node."))
    })?;
    match proof.receipt.clone() {
        Receipt::Outcome(outcome) if outcome.attempt.task.job == job => Ok(Proved { proof, outcome }),
        _ => Err(Failure::proof(format!(
            "The node gave a proof of something else than an outcome of job {job}; ask another node."
        ))),
    }
}

/// How long to wait for a proof once there is an outcome. A receipt can be proved a few blocks after its own.
const PROVED_WITHIN: Duration = Duration::from_secs(30);

/// How often to look for the proof.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// The proved outcome of one task.
///
/// # Errors
/// The task has no outcome yet, or the proof does not hold.
pub async fn of_task(client: &Client, task: TaskId, genesis: &Genesis) -> Done<Proved> {
    let until = Instant::now() + PROVED_WITHIN;
    let proof = loop {
        match client.proof(task).await? {
            Some(proof) => break proof,
            None => {
                let state = client.task(task).await?.state;
                if !has_outcome(state) || Instant::now() >= until {
                    return Err(without_outcome(task, state));
                }
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        }
    };
    let proved = check(proof, task.job, genesis)?;
    if proved.outcome.attempt.task != task {
        return Err(Failure::proof(format!("The node gave the proof of another task than {task}; ask another node.")));
    }
    Ok(proved)
}

/// Why a task has nothing to prove.
fn without_outcome(task: TaskId, state: TaskState) -> Failure {
    let digits = short(&task.job);
    let why = match state {
        TaskState::Blocked | TaskState::Held | TaskState::Ready | TaskState::BackingOff => "has not run yet",
        TaskState::Waiting | TaskState::Running => "has not ended yet",
        TaskState::Succeeded | TaskState::Failed => "has ended, but no peer has given the proof of it yet",
        TaskState::Cancelled => "was cancelled",
        TaskState::Skipped => "was skipped, because what it waited for can no longer happen",
        TaskState::Expired => "was cancelled, because its job's time ran out",
        TaskState::Barred => "was cancelled, because its submitter was barred",
        TaskState::EndedHosts => "was cancelled, because too many workers died of its program",
        TaskState::Unclaimed => "was cancelled, because for too long no worker could hold it",
    };
    let next = match state {
        TaskState::Blocked | TaskState::Held | TaskState::Ready | TaskState::BackingOff => {
            format!("`meshwork explain {digits}/{}` says why it waits", task.index)
        }
        _ => format!("`meshwork status {digits}` shows how its job goes"),
    };
    Failure::job(format!("Task {task} {why}, so it has no result; {next}."))
}

const fn has_outcome(state: TaskState) -> bool {
    matches!(state, TaskState::Succeeded | TaskState::Failed)
}

/// The proved outcomes of a job, by index: all of them if the job has ended, otherwise those that exist so far.
///
/// # Errors
/// The node does not answer, or a proof does not hold.
pub async fn of_job(client: &Client, job: JobId, genesis: &Genesis) -> Done<Vec<Proved>> {
    let until = Instant::now() + PROVED_WITHIN;
    loop {
        let view = client.job(job).await?;
        let outcomes = so_far(client, job, genesis).await?;
        let wanted = view.counts.succeeded + view.counts.failed;
        if view.ended_us.is_none() || outcomes.len() as u64 >= wanted || Instant::now() >= until {
            return Ok(outcomes);
        }
        tokio::time::sleep(ASK_INTERVAL).await;
    }
}

async fn so_far(client: &Client, job: JobId, genesis: &Genesis) -> Done<Vec<Proved>> {
    let mut outcomes: Vec<Proved> = Vec::new();
    let mut from = 0;
    loop {
        let page = client.proofs(job, from).await?;
        let Some(last) = page.last() else { return Ok(outcomes) };
        let Receipt::Outcome(OutcomeReceipt { attempt, .. }) = &last.receipt else {
            return Err(Failure::proof(format!(
                "The node gave a proof of no outcome for job {job}; ask another node."
            )));
        };
        let next = attempt.task.index.saturating_add(1);
        for proof in page {
            let proved = check(proof, job, genesis)?;
            // Indices must rise, so that no task counts twice and the pages come to an end.
            let index = proved.outcome.attempt.task.index;
            let after = outcomes.last().is_none_or(|last| last.outcome.attempt.task.index < index);
            if !after || index < from {
                return Err(Failure::proof(format!(
                    "The node gave the proof of {job}/{index} twice; ask another node."
                )));
            }
            outcomes.push(proved);
        }
        from = next;
    }
}

/// Content that a program wrote.
#[derive(Clone, Debug)]
pub enum Content {
    /// It is in the receipt.
    Inline(ByteString),
    /// It is a blob, or lies in one.
    Stored(Piece),
}

impl Content {
    /// Its length.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Stored(piece) => piece.content.bytes,
        }
    }
}

/// What a program left.
#[derive(Debug)]
pub struct Outputs {
    /// What it wrote to standard output.
    pub stdout: Content,
    /// Standard error; only its end if nothing more is kept of a failed program.
    pub stderr: Content,
    /// The files under `/out`, by path.
    pub files: Vec<(String, Content)>,
    /// The folders under `/out` that have nothing in them.
    pub empty_folders: Vec<String>,
    holders: Vec<PublicKey>,
    /// The packs that were fetched, each as a file without a name.
    packs: Mutex<HashMap<Digest, File>>,
}

impl Outputs {
    /// What the program of a proved outcome left, whether it succeeded or failed.
    ///
    /// # Errors
    /// The manifest of the output cannot be fetched.
    pub async fn of(client: &Client, outcome: &OutcomeReceipt) -> Done<Self> {
        let inline = |bytes: &ByteString| Content::Inline(bytes.clone());
        // Of a failure, the end of standard error may be on the ledger, wherever the rest is.
        let tail = match &outcome.verdict {
            Verdict::Failed(_, remains, _) => remains.stderr_tail.clone(),
            _ => ByteString::default(),
        };
        let (holders, packs) = (Vec::new(), Mutex::default());
        match outcome.verdict.output() {
            None => Ok(Self {
                stdout: Content::Inline(ByteString::default()),
                stderr: Content::Inline(tail),
                files: Vec::new(),
                empty_folders: Vec::new(),
                holders,
                packs,
            }),
            Some(Output::Inline(InlineOutput { stdout, stderr, files, empty_folders })) => Ok(Self {
                stdout: inline(stdout),
                stderr: inline(stderr),
                files: files.iter().map(|(path, bytes)| (path.clone(), inline(bytes))).collect(),
                empty_folders: empty_folders.clone(),
                holders,
                packs,
            }),
            Some(Output::Stored { manifest, stderr, delivery, .. }) => {
                let holders = vec![delivery.holder, outcome.worker];
                let mut encoded = Vec::new();
                client.get_blob(manifest, &holders, &mut encoded).await?;
                let manifest = decode_manifest(&encoded).map_err(|error| {
                    Failure::proof(format!("The worker of {} left no list of its output: {error}.", outcome.attempt))
                })?;
                let pieces = manifest.pieces();
                let stored = |blob: BlobRef| {
                    let own = Piece { content: blob, blob, offset: 0 };
                    Content::Stored(pieces.get(&blob.digest).copied().unwrap_or(own))
                };
                let files = manifest.files().iter().map(|file| (file.path.clone(), stored(file.content))).collect();
                let whole = |blob| Content::Stored(Piece { content: blob, blob, offset: 0 });
                let stderr = stderr.map_or(Content::Inline(tail), whole);
                let empty_folders = manifest.empty_folders().to_vec();
                Ok(Self { stdout: stored(manifest.stdout()), stderr, files, empty_folders, holders, packs })
            }
        }
    }

    /// Reads one content into memory.
    ///
    /// # Errors
    /// No peer has it.
    pub async fn read(&self, client: &Client, content: &Content) -> Done<Vec<u8>> {
        let mut bytes = Vec::new();
        self.copy(client, content, &mut bytes).await?;
        Ok(bytes)
    }

    async fn copy(&self, client: &Client, content: &Content, sink: &mut (impl Write + Send)) -> Done {
        let cannot_write = |error| Failure::failed(format!("Could not write a result: {error}."));
        match content {
            Content::Inline(bytes) => sink.write_all(bytes).map_err(cannot_write),
            // No peer needs to be asked for nothing.
            Content::Stored(piece) if piece.content.bytes == 0 => Ok(()),
            Content::Stored(piece) if piece.is_whole() => Ok(client.get_blob(&piece.blob, &self.holders, sink).await?),
            Content::Stored(piece) => sink.write_all(&self.unpack(client, piece).await?).map_err(cannot_write),
        }
    }

    /// Reads a small content out of its pack. Each pack is fetched once.
    async fn unpack(&self, client: &Client, piece: &Piece) -> Done<Vec<u8>> {
        let io = |error: std::io::Error| Failure::failed(format!("Could not keep a part of a result: {error}."));
        let mut packs = self.packs.lock().await;
        let pack = match packs.entry(piece.blob.digest) {
            Entry::Occupied(fetched) => fetched.into_mut(),
            Entry::Vacant(absent) => {
                let mut file = tempfile::tempfile().map_err(io)?;
                client.get_blob(&piece.blob, &self.holders, &mut file).await?;
                absent.insert(file)
            }
        };
        let mut content = vec![0; usize::try_from(piece.content.bytes).unwrap_or(usize::MAX)];
        pack.seek(SeekFrom::Start(piece.offset)).and_then(|_| pack.read_exact(&mut content)).map_err(io)?;
        if piece.holds(&content) {
            return Ok(content);
        }
        Err(Failure::proof(format!("The worker left other bytes than {}, which its list names.", piece.content.digest)))
    }

    /// Writes everything below `directory`: `stdout`, `stderr`, and the files and folders under `out`. A file appears under its
    /// name only once it is complete. Returns the files that this platform has no such name for, each with the name
    /// that it has instead.
    ///
    /// # Errors
    /// Content cannot be fetched or written. A file whose name leads out of the directory is left out, and said once
    /// all others are written.
    pub async fn write(&self, client: &Client, directory: &Path) -> Done<Vec<(String, Place)>> {
        self.write_one(client, &self.stdout, &directory.join("stdout")).await?;
        self.write_one(client, &self.stderr, &directory.join("stderr")).await?;
        let (mut escaped, mut astray) = (Vec::new(), Vec::new());
        for (path, content) in &self.files {
            let Some(place) = file_names::place(path) else {
                astray.push(path);
                continue;
            };
            self.write_one(client, content, &directory.join("out").join(&place.path)).await?;
            if place.is_escaped {
                escaped.push((path.clone(), place));
            }
        }
        for path in &self.empty_folders {
            let Some(place) = file_names::place(path) else {
                astray.push(path);
                continue;
            };
            let folder = directory.join("out").join(&place.path);
            fs::create_dir_all(&folder).map_err(|error| Failure::file("create", &folder, &error))?;
            if place.is_escaped {
                escaped.push((path.clone(), place));
            }
        }
        match astray[..] {
            [] => Ok(escaped),
            [path, ..] => Err(Failure::proof(format!(
                "A result has a file named {path:?}, which leads elsewhere; it was not written."
            ))),
        }
    }

    async fn write_one(&self, client: &Client, content: &Content, path: &Path) -> Done {
        let io = |error: std::io::Error| Failure::file("write", path, &error);
        let parent = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).map_err(io)?;
        let mut file = tempfile::NamedTempFile::new_in(parent).map_err(io)?;
        self.copy(client, content, file.as_file_mut()).await?;
        make_readable(file.as_file()).map_err(io)?;
        file.persist(path).map_err(|error| io(error.error))?;
        Ok(())
    }
}

/// Temporary files are readable by their owner only. Results are like any other file that a person creates.
fn make_readable(file: &fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    let _ = file;
    Ok(())
}
