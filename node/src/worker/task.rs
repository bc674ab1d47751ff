//! One attempt, from its lease to its outcome: fetch, compile, run, pack, deliver.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, future::ready};
use meshwork_core::{
    blobs::MANIFEST_BYTES_MAX,
    codec::{self, ByteString},
    digest::Digest,
    identity::PublicKey,
    replica::Assignment,
    types::{
        Answer, AttemptId, AuthoritySet, BlobRef, Failure, Genesis, InlineOutput, Input, Manifest, Output, OutputOf,
        Packed, Producer, Remains, Source, TaskLimit, TaskSpec, Usage, Verdict,
    },
    worker::Progress,
};
use meshwork_sandbox::{
    Budget, Checkpoint, ExecuteError, Execution, Executor, InputFile, Left, NamedFile, PrepareError, Ran, Saved,
};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    BegunJournal, Heard,
    ending::{Ending, StoredOutput, Unrevealed},
    given::{Fetches, Given, TrueManifests, saved_before},
    room::Room,
    spawns,
};
use crate::{
    blobs::{BlobStore, Blobs, DeliverError, Delivered, FetchError, Kept, KeptRoom, Seal, StoreError},
    driver::Handle,
    mesh::MeshHandle,
    metrics::Metrics,
};

/// The most attempts that are prepared at the same time.
const PREPARE_MAX: usize = 16;
/// The most programs that are remembered as compiled.
const PREPARED_MAX: usize = 256;
/// How long to wait before each new search for a blob that no peer had.
const FETCH_AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9)];
/// How long to wait for more holders once one holds an output.
const MORE_HOLDERS_WITHIN: Duration = Duration::from_secs(2);
/// The least time between two checkpoints that a program has delivered.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);
/// How long to wait before asking again when all holders have refused.
const DELIVER_AGAIN_AFTER: Duration = Duration::from_millis(200);
/// How long holders are asked again and again that refuse what a failed program left.
const FAILED_TRIES_FOR: Duration = Duration::from_secs(10);

/// An attempt and its assignment.
#[derive(Clone)]
pub struct Task(Arc<Assignment>);

impl Task {
    pub const fn new(assignment: Arc<Assignment>) -> Self {
        Self(assignment)
    }

    fn program(&self) -> BlobRef {
        self.0.spec.program_blob()
    }

    /// What compiling its program may take: what it asks for to run it.
    fn compile_budget(&self) -> Budget {
        let Assignment { spec, resources, .. } = &*self.0;
        Budget::of_task(resources.memory_bytes, &spec.limits)
    }

    fn inputs(&self) -> impl Iterator<Item = &Input> {
        let own = self.0.part.iter().flat_map(|part| &part.inputs);
        self.0.spec.inputs.iter().chain(own)
    }

    /// Whether other workers compute its task too.
    pub fn has_replicas(&self) -> bool {
        self.0.spec.redundancy.is_some()
    }

    fn is_without_inputs(&self) -> bool {
        self.0.checkpoint.is_none() && self.0.spec.stdin.is_none() && self.inputs().next().is_none()
    }
}

/// Everything that an attempt needs, on this machine.
pub struct Prepared {
    program: Kept,
    stdin: Option<Kept>,
    inputs: Given,
    /// The checkpoint of an earlier attempt.
    checkpoint: Given,
}

/// What an attempt has come to.
enum CameTo {
    /// This is its verdict.
    Said(Verdict),
    /// Its output is stored here, to be delivered.
    Stored(StoredOutput, Ending, Option<Seal>),
}

/// Why no holder has an output.
enum Undelivered {
    /// The attempt was stopped.
    Stopped,
    /// The output is no longer here: its files were damaged.
    Lost,
    /// For as long as it may take, nobody took it.
    Refused,
}

/// What the worker's tasks share.
pub struct TaskContext {
    genesis: Arc<Genesis>,
    me: PublicKey,
    blobs: Blobs,
    executor: Executor,
    mesh: MeshHandle,
    driver: Handle,
    metrics: Arc<Metrics>,
    begun: BegunJournal,
    room: Room,
    preparing: Semaphore,
    /// Programs that are compiled on this machine, oldest first.
    compiled: Mutex<VecDeque<Digest>>,
    manifests: TrueManifests,
    /// Whether what programs leave is falsified, for tests.
    lies: bool,
}

impl TaskContext {
    /// Creates what the worker's tasks share: the executor with the journal of what it is given, among others.
    #[must_use]
    pub fn new(
        genesis: Arc<Genesis>,
        me: PublicKey,
        blobs: Blobs,
        (executor, begun): (Executor, BegunJournal),
        mesh: MeshHandle,
        driver: Handle,
        metrics: Arc<Metrics>,
    ) -> Self {
        let preparing = Semaphore::new(PREPARE_MAX);
        let (room, compiled, manifests, lies) = Default::default();
        Self { genesis, me, blobs, executor, mesh, driver, metrics, begun, room, preparing, compiled, manifests, lies }
    }

    /// The same for a worker that falsifies what programs leave, if `lies`: for tests.
    #[must_use]
    pub fn lying(self, lies: bool) -> Self {
        Self { lies, ..self }
    }

    /// The blobs on this machine.
    #[must_use]
    pub fn blob_store(&self) -> &BlobStore {
        self.blobs.store()
    }

    /// The sizes of the blobs for which there is to be room before more tasks are taken.
    pub fn room_wanted(&self, slots: u32) -> Vec<u64> {
        self.room.wanted(slots, self.blobs.store())
    }

    /// Makes room for blobs of these sizes, as far as what is here is owed to nobody.
    pub async fn make_room(&self, sizes: &[u64]) {
        self.blobs.make_room(sizes).await;
    }

    /// The journal of what is compiled and run.
    pub const fn begun(&self) -> &BegunJournal {
        &self.begun
    }

    /// What an attempt needs, if nothing has to be fetched or compiled.
    pub fn prepared_already(&self, task: &Task) -> Option<Prepared> {
        let program = task.program();
        let compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner).contains(&program.digest);
        if !compiled || !task.is_without_inputs() {
            return None;
        }
        let program = self.blobs.store().checked_already(&program.digest)?;
        Some(Prepared { program, stdin: None, inputs: Given::default(), checkpoint: Given::default() })
    }

    /// Fetches and compiles what an attempt needs.
    ///
    /// # Errors
    /// The verdict on an attempt that cannot be prepared.
    pub async fn prepare(&self, task: &Task, stop: CancellationToken) -> Result<Prepared, Verdict> {
        tokio::select! {
            prepared = self.fetch_and_compile(task) => prepared,
            () = stop.cancelled() => Err(Verdict::Returned),
        }
    }

    async fn fetch_and_compile(&self, task: &Task) -> Result<Prepared, Verdict> {
        let Ok(_turn) = self.preparing.acquire().await else { return Err(Verdict::Returned) };
        let program = task.program();
        let path = self.fetch(program).await?;
        let compiled = async {
            let _begun = self.begun.begin(task.0.attempt, program.digest);
            match self.executor.prepare(program.digest, path.path().to_owned(), task.compile_budget()).await {
                Ok(()) => {
                    self.remember(program.digest);
                    Ok(())
                }
                Err(PrepareError::Bad(bad)) => Err(failed(Failure::BadModule(bad.into_text()))),
                Err(PrepareError::TooLarge(text)) => Err(failed(Failure::TooLargeToCompile(text))),
                Err(PrepareError::Host(text)) => {
                    warn!(program = %program.digest, "a program cannot be compiled here: {text}");
                    Err(Verdict::Returned)
                }
            }
        };
        let inputs = async {
            let mut inputs = Given::default();
            for Input { path, source } in task.inputs() {
                match source {
                    Source::Blob(blob) => inputs.take_file(self, path, *blob).await?,
                    Source::Folder(folder) => inputs.take_folder(self, &self.manifests, path, *folder).await?,
                    // What is in it follows, as the ledger says.
                    Source::Output(OutputOf { of, file }) => {
                        if file.is_none() || matches!(of, Producer::All(_)) {
                            inputs.add_folder(path)?;
                        }
                    }
                }
            }
            for taken in &task.0.produced {
                inputs.take_output(self, &self.manifests, taken).await?;
            }
            let stdin = match task.0.spec.stdin {
                Some(blob) => Some(self.fetch(blob).await?),
                None => None,
            };
            Ok((inputs, stdin))
        };
        let ((), (inputs, stdin)) = tokio::try_join!(compiled, inputs)?;
        let checkpoint = match task.0.checkpoint {
            Some(manifest) => saved_before(self, &self.manifests, task.0.attempt, manifest).await,
            None => Given::default(),
        };
        Ok(Prepared { program: path, stdin, inputs, checkpoint })
    }

    /// Delivers a program's checkpoints until the program ends: always the newest, and not too often.
    async fn keep_checkpoints(
        &self,
        attempt: AttemptId,
        mut saves: watch::Receiver<Saved>,
        stop: CancellationToken,
        heard: mpsc::UnboundedSender<Heard>,
    ) {
        while saves.changed().await.is_ok() {
            let Some(files) = saves.borrow_and_update().clone() else { continue };
            let stored = self.store(attempt, Vec::new(), Vec::new(), (files.to_vec(), Vec::new()), false).await;
            let (stored, _) = match stored {
                Ok(stored) => stored,
                Err(error) => {
                    warn!(%attempt, %error, "a checkpoint cannot be stored here");
                    continue;
                }
            };
            let Delivered { bytes, delivery } = match self.deliver(attempt, stored, None, &stop).await {
                Ok(delivered) => delivered,
                Err(Undelivered::Stopped) => return,
                Err(Undelivered::Lost | Undelivered::Refused) => continue,
            };
            // If this fails, the worker is gone.
            let saved = Progress::Saved(attempt, Verdict::Checkpointed { manifest: stored.manifest, bytes, delivery });
            let _ = heard.send(Heard::Progress(saved));
            tokio::time::sleep(CHECKPOINT_EVERY).await;
        }
    }

    fn remember(&self, program: Digest) {
        let mut compiled = self.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        if !compiled.contains(&program) {
            if compiled.len() == PREPARED_MAX {
                compiled.pop_front();
            }
            compiled.push_back(program);
        }
    }

    /// Runs an attempt and says its outcome.
    pub async fn run(
        &self,
        task: Task,
        prepared: Prepared,
        stop: CancellationToken,
        heard: mpsc::UnboundedSender<Heard>,
    ) {
        let attempt = task.0.attempt;
        // A program leaves no more than it holds.
        let output_bytes = task.0.spec.limits.output_bytes.min(task.0.resources.memory_bytes);
        let room = match self.blobs.keep_room(output_bytes).await {
            Ok(room) => room,
            Err(error) => {
                warn!(%attempt, %error, "there is no room for what an attempt may leave, and it is given back");
                self.room.lacks(output_bytes, self.blobs.store());
                // If this fails, the worker is gone.
                let _ = heard.send(Heard::Progress(Progress::Ended(attempt, Verdict::Returned)));
                return;
            }
        };
        let began = Instant::now();
        let (saves, saved) = watch::channel(None);
        let execution = self.execution(&task, &prepared, saves);
        let begun = self.begun.begin(attempt, task.program().digest);
        let running = self.executor.run(execution, &stop);
        let ran = if task.0.spec.checkpoints {
            let keeping = self.keep_checkpoints(attempt, saved, stop.clone(), heard.clone());
            tokio::pin!(running);
            tokio::select! {
                ran = &mut running => ran,
                () = keeping => running.await,
            }
        } else {
            running.await
        };
        drop(begun);
        self.metrics.tasks_run.inc();
        // If this fails, the worker is gone; here and below.
        let _ = heard.send(Heard::Progress(Progress::Ran(attempt, began.elapsed())));
        let packed = match ran {
            Ok(ran) => self.pack(&task, ran, room).await,
            Err(ExecuteError::Stopped) => return,
            Err(error) => {
                warn!(%attempt, %error, "an attempt cannot be run here and is given back");
                CameTo::Said(Verdict::Returned)
            }
        };
        let ended = |verdict| Heard::Progress(Progress::Ended(attempt, verdict));
        let told = match packed {
            CameTo::Said(verdict) if task.has_replicas() => match Answer::of(verdict) {
                Ok(answer) => Heard::Answered(attempt, Unrevealed::Whole(answer)),
                Err(verdict) => ended(*verdict),
            },
            CameTo::Said(verdict) => ended(verdict),
            CameTo::Stored(stored, ending, Some(seal)) => {
                Heard::Answered(attempt, Unrevealed::Stored(stored, ending, Arc::new(seal)))
            }
            CameTo::Stored(stored, ending, None) => {
                let wall = Duration::from_millis(task.0.spec.limits.wall_ms);
                let failed_within = wall.saturating_sub(began.elapsed()).saturating_add(self.failed_allowance());
                match self.deliver_as(attempt, stored, ending, failed_within, &stop).await {
                    Some(verdict) => ended(verdict),
                    None => return,
                }
            }
        };
        let _ = heard.send(told);
    }

    /// Has the answer of a replica ready to be reported. `None` if the attempt is stopped meanwhile; within, `None` if its
    /// output is lost.
    pub async fn reveal(
        &self,
        attempt: AttemptId,
        answer: Unrevealed,
        stop: &CancellationToken,
    ) -> Option<Option<Answer>> {
        let (stored, ending) = match answer {
            Unrevealed::Whole(answer) => return Some(Some(answer)),
            Unrevealed::Stored(stored, ending, seal) => {
                seal.open();
                (stored, ending)
            }
        };
        // The worker has committed itself to what it left, however the program ended, so there is no way without.
        match self.deliver(attempt, stored, None, stop).await {
            Ok(delivered) => Some(Answer::of(ending.with_stored(stored.at(delivered))).ok()),
            Err(Undelivered::Stopped) => None,
            Err(Undelivered::Lost | Undelivered::Refused) => Some(None),
        }
    }

    fn execution(&self, task: &Task, prepared: &Prepared, saves: watch::Sender<Saved>) -> Execution {
        let whole = |kept: &Kept| InputFile::from(kept.path().to_owned());
        let Assignment { spec, resources, part, array_index, attempt, .. } = &*task.0;
        let own = part.iter().flat_map(|part| &part.arguments);
        let mut environment = spec.environment.clone();
        environment.insert("MESHWORK_TASK_INDEX".into(), array_index.to_string());
        // The seed comes from the task, not the attempt, because every attempt of a task computes the same.
        let seed = Digest::of_value("meshwork 1 task seed", &attempt.task);
        Execution {
            module: task.program().digest,
            module_path: prepared.program.path().to_owned(),
            argv0: spec.argv0.clone().unwrap_or_else(|| TaskSpec::ARGV0.to_owned()),
            arguments: spec.arguments.iter().chain(own).cloned().collect(),
            environment,
            stdin: prepared.stdin.as_ref().map(whole),
            inputs: prepared.inputs.files(),
            folders: prepared.inputs.folders().to_vec(),
            memory_bytes: resources.memory_bytes,
            limits: spec.limits,
            success: spec.success.clone(),
            seed: seed.0,
            checkpoint: spec.checkpoints.then(|| Checkpoint { files: prepared.checkpoint.files(), saves }),
        }
    }

    /// Puts a small output that no other task takes into the outcome itself. Stores any other output in blobs, to be
    /// delivered to a second holder. Of a failure after which the task is tried again, only the end of standard error is
    /// kept.
    async fn pack(&self, task: &Task, Ran { mut ended, mut left, usage }: Ran, room: KeptRoom) -> CameTo {
        let attempt = task.0.attempt;
        if self.lies {
            falsify(&self.me, &mut left);
        }
        let mut spawned = Vec::new();
        if ended.is_ok() && task.0.spec.spawns {
            match spawns::take(&mut left.files) {
                Ok(spawns) => spawned = spawns,
                Err(why) => {
                    left.stderr.extend_from_slice(why.as_bytes());
                    left.stderr.push(b'\n');
                    ended = Err(Failure::SpawnRefused);
                }
            }
        }
        let inline_bytes_max = self.genesis.ledger.inline_bytes_max;
        let (ending, feeds) = match ended {
            Ok(status) => (Ending::Succeeded(status, usage, spawned), task.0.feeds),
            Err(failure) => {
                let tail = left.stderr.len().saturating_sub(inline_bytes_max);
                let tail = ByteString::from(&left.stderr[tail..]);
                if !failure.leaves_output() || !self.keeps(task, &failure).await {
                    return CameTo::Said(Verdict::Failed(failure, Remains::tail(tail), usage));
                }
                (Ending::Failed(failure, tail, usage), false)
            }
        };
        let Left { stdout, stderr, files, empty_folders } = left;
        let paths =
            files.iter().map(|(path, file)| path.len() + file.len()).chain(empty_folders.iter().map(String::len));
        let total = stdout.len() + stderr.len() + paths.sum::<usize>();
        if total <= inline_bytes_max && !feeds {
            let bytes = ByteString::from;
            let files = files.iter().map(|(path, file)| (path.clone(), bytes(file.as_slice()))).collect();
            let (stdout, stderr) = (bytes(stdout.as_slice()), bytes(stderr.as_slice()));
            let output = InlineOutput { stdout, stderr, files, empty_folders: empty_folders.clone() };
            if codec::encode(&output).len() <= inline_bytes_max {
                return CameTo::Said(ending.with_inline(output));
            }
        }
        let sealed = task.has_replicas() && ending.is_answer();
        let output_bytes = total as u64;
        drop(room);
        match self.store(attempt, stdout, stderr, (files, empty_folders), sealed).await {
            Ok((stored, seal)) => CameTo::Stored(stored, ending, seal),
            // No holder would take it.
            Err(StoreError::TooLarge { bytes_max }) => CameTo::Said(match ending {
                Ending::Succeeded(_, usage, _) => {
                    let limit = if bytes_max == MANIFEST_BYTES_MAX as u64 {
                        TaskLimit::FileList(bytes_max)
                    } else {
                        TaskLimit::File(bytes_max)
                    };
                    Verdict::Failed(Failure::Exceeded(limit), Remains::default(), usage)
                }
                failed => failed.without_output(),
            }),
            Err(error) => {
                warn!(%attempt, %error, "what an attempt left cannot be stored here");
                if error.is_lack_of_room() {
                    self.room.lacks(output_bytes, self.blobs.store());
                }
                CameTo::Said(if sealed { Verdict::Undelivered } else { ending.without_output() })
            }
        }
    }

    /// Whether what a failed program left is worth keeping: other workers have to have left the same, or its task is not
    /// tried again.
    async fn keeps(&self, task: &Task, failure: &Failure) -> bool {
        let (attempt, setback) = (task.0.attempt, failure.setback());
        if task.has_replicas() && !setback.is_of_machine() {
            return true;
        }
        let is_last = self.driver.query(move |replica| replica.ledger().would_end(attempt, setback));
        is_last.await.unwrap_or(false)
    }

    /// Stores an output with its manifest in one go, under a seal if others are not to know it yet.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] also if the paths of its files are more than a manifest holds.
    async fn store(
        &self,
        attempt: AttemptId,
        stdout: Vec<u8>,
        stderr: Vec<u8>,
        (files, empty_folders): (Vec<NamedFile>, Vec<String>),
        sealed: bool,
    ) -> Result<(StoredOutput, Option<Seal>), StoreError> {
        let packing = tokio::task::spawn_blocking(move || {
            let Packed { manifest, mut blobs } = Manifest::of(stdout, files, empty_folders);
            let named = (!stderr.is_empty()).then(|| BlobRef::of(&stderr));
            if named.is_some() {
                blobs.push(stderr);
            }
            let encoding = codec::encode(&manifest);
            let all = blobs.iter().chain([&encoding]).filter(|_| sealed).map(|blob| Digest::of(blob)).collect();
            (encoding, named, blobs, all)
        });
        let (encoding, stderr, blobs, all): (_, _, _, Vec<Digest>) = packing.await.map_err(std::io::Error::other)?;
        if encoding.len() > MANIFEST_BYTES_MAX {
            return Err(StoreError::TooLarge { bytes_max: MANIFEST_BYTES_MAX as u64 });
        }
        let seal = sealed.then(|| self.blobs.seal(all));
        let manifest = self.blobs.put_output(attempt, encoding, blobs).await?;
        Ok((StoredOutput { manifest, stderr }, seal))
    }

    /// Delivers an output to f + 1 others, so that it outlives this worker and any authorities that may be lost with
    /// it. One holder is enough to report the output; the others have [`MORE_HOLDERS_WITHIN`] more. If nobody takes it,
    /// all are asked again until `tries_until`, or without end.
    async fn deliver(
        &self,
        attempt: AttemptId,
        StoredOutput { manifest, stderr }: StoredOutput,
        tries_until: Option<Instant>,
        stop: &CancellationToken,
    ) -> Result<Delivered, Undelivered> {
        let wanted = self.authorities().await.faulty_max() + 1;
        loop {
            let mut holders = self.holders().await;
            let turn = rand::random_range(0..holders.len().max(1));
            holders.rotate_left(turn);
            let deliver = async |holder| match self.blobs.deliver(holder, attempt, manifest.digest, stderr).await {
                Ok(delivered) => Some(Ok(delivered)),
                Err(error @ (DeliverError::Missing(_) | DeliverError::Manifest(..) | DeliverError::Store(_))) => {
                    warn!(%attempt, %error, "an output is no longer here to be delivered");
                    Some(Err(Undelivered::Lost))
                }
                Err(error) => {
                    debug!(%attempt, %holder, %error, "an output was not taken");
                    None
                }
            };
            let mut delivered = futures::stream::iter(holders).map(deliver).buffer_unordered(wanted).filter_map(ready);
            let first = tokio::select! {
                first = delivered.next() => first,
                () = stop.cancelled() => return Err(Undelivered::Stopped),
            };
            if let Some(first) = first {
                let first = first?;
                let others = delivered.take(wanted - 1).count();
                // The work must not be lost because there are fewer holders than wanted.
                let _ = tokio::time::timeout(MORE_HOLDERS_WITHIN, others).await;
                return Ok(first);
            }
            if tries_until.is_some_and(|until| Instant::now() >= until) {
                return Err(Undelivered::Refused);
            }
            tokio::select! {
                () = tokio::time::sleep(DELIVER_AGAIN_AFTER) => {}
                () = stop.cancelled() => return Err(Undelivered::Stopped),
            }
        }
    }

    /// Delivers an output, and says the verdict; `None` if the attempt is stopped meanwhile. That a program failed is said
    /// within this time at the latest, with its output or without.
    async fn deliver_as(
        &self,
        attempt: AttemptId,
        stored: StoredOutput,
        ending: Ending,
        failed_within: Duration,
        stop: &CancellationToken,
    ) -> Option<Verdict> {
        let delivered = match &ending {
            Ending::Succeeded(..) => self.deliver(attempt, stored, None, stop).await,
            Ending::Failed(..) => {
                let tries_until = Instant::now() + FAILED_TRIES_FOR;
                let delivered = self.deliver(attempt, stored, Some(tries_until), stop);
                tokio::time::timeout(failed_within, delivered).await.unwrap_or(Err(Undelivered::Refused))
            }
        };
        match delivered {
            Ok(delivered) => Some(ending.with_stored(stored.at(delivered))),
            Err(Undelivered::Stopped) => None,
            Err(Undelivered::Lost | Undelivered::Refused) => {
                debug!(%attempt, "nobody holds what an attempt left");
                Some(ending.without_output())
            }
        }
    }

    /// How long after its wall time an attempt that failed may still be delivered: the ledger ends its lease twice as
    /// late.
    fn failed_allowance(&self) -> Duration {
        Duration::from_millis(self.genesis.ledger.allowance_ms / 2)
    }

    /// The authorities of the newest block's epoch, or those of the genesis once the replica has stopped.
    async fn authorities(&self) -> Arc<AuthoritySet> {
        let present = self.driver.query(|replica| Arc::clone(replica.ledger().authorities())).await;
        present.unwrap_or_else(|_| Arc::new(self.genesis.authority_set()))
    }

    /// The peers that may hold an output: the connected authorities, which must hold what they accept. If none is
    /// connected, other workers.
    async fn holders(&self) -> Vec<PublicKey> {
        let connected: HashSet<PublicKey> = self.mesh.connected().into_iter().collect();
        let authorities = self.authorities().await;
        let holders: Vec<_> = authorities.keys().filter(|key| *key != self.me && connected.contains(key)).collect();
        if !holders.is_empty() {
            return holders;
        }
        let me = self.me;
        let workers = self.driver.query(move |replica| {
            let keys = replica.ledger().workers().map(|worker| worker.key);
            keys.filter(|key| *key != me && connected.contains(key)).collect()
        });
        workers.await.unwrap_or_default()
    }

    /// Delivers a verdict's output to another holder, because the ledger did not believe the last one.
    pub async fn deliver_again(
        &self,
        attempt: AttemptId,
        verdict: Verdict,
        stop: CancellationToken,
    ) -> Option<Verdict> {
        let Some(&Output::Stored { manifest, stderr, .. }) = verdict.output() else { return Some(verdict) };
        let ending = match verdict {
            Verdict::Succeeded(status, _, usage, spawns) => Ending::Succeeded(status, usage, spawns),
            Verdict::Failed(failure, remains, usage) => Ending::Failed(failure, remains.stderr_tail, usage),
            other => return Some(other),
        };
        self.deliver_as(attempt, StoredOutput { manifest, stderr }, ending, self.failed_allowance(), &stop).await
    }
}

impl Fetches for TaskContext {
    async fn fetch(&self, blob: BlobRef) -> Result<Kept, Verdict> {
        let mut waits = FETCH_AGAIN_AFTER.into_iter();
        loop {
            match (self.blobs.fetch(blob, &[]).await, waits.next()) {
                (Ok(kept), _) => return Ok(kept),
                // A peer that has it may be away or busy for a moment, or be found only later.
                (Err(FetchError::NotFound { .. } | FetchError::Unanswered { .. } | FetchError::Busy), Some(wait)) => {
                    tokio::time::sleep(wait).await
                }
                (
                    Err(error @ (FetchError::NotFound { .. } | FetchError::TooLarge(_) | FetchError::WrongSize { .. })),
                    _,
                ) => {
                    debug!(blob = %blob.digest, %error, "a blob is not to be had");
                    return Err(failed(Failure::InputUnavailable(blob.digest)));
                }
                (Err(error), _) => {
                    if matches!(&error, FetchError::Store(error) if error.is_lack_of_room()) {
                        self.room.lacks(blob.bytes, self.blobs.store());
                    }
                    // The trouble is this machine's or a holder's, and no fault of the task's.
                    warn!(blob = %blob.digest, %error, "a blob cannot be fetched here, and its attempt is given back");
                    return Err(Verdict::Returned);
                }
            }
        }
    }
}

/// Changes what a program left, at each worker otherwise.
fn falsify(me: &PublicKey, left: &mut Left) {
    let [mask, ..] = me.0;
    if left.stdout.is_empty() && left.files.is_empty() {
        left.stdout = me.0.to_vec();
    }
    let contents = left.files.iter_mut().map(|(_, content)| content).chain([&mut left.stdout]);
    contents.flatten().for_each(|byte| *byte ^= mask | 1);
}

/// The verdict on an attempt that failed before its program ran.
pub(super) fn failed(failure: Failure) -> Verdict {
    Verdict::Failed(failure, Remains::default(), Usage::default())
}
