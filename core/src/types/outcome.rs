//! What a worker reports of an attempt, and what a program leaves behind.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use super::{Answer, AttemptId, BlobRef, Height, Manifest, Salt, Setback, TaskLimit};
use crate::{
    codec::{self, ByteString},
    digest::Digest,
    identity::{self, Domain, NetworkId, PublicKey, SecretKey, Signature},
};

/// The resources that an attempt used, as its worker measured them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Usage {
    /// Wall time from its start to its end, in microseconds.
    pub wall_us: u64,
    /// Processor time of the thread that ran it, in microseconds.
    pub cpu_us: u64,
    /// Fuel spent.
    pub fuel: u64,
    /// The most memory held at once, in bytes.
    pub memory_bytes: u64,
}

/// A worker's report on one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The program ended with this status, which its task counts as a success, left this output, and spawns these tasks,
    /// at most [`Spawn::SPAWNS_MAX`].
    Succeeded(i32, Output, Usage, Vec<Spawn>),
    /// The program failed for this reason, and this remains of what it wrote.
    Failed(Failure, Remains, Usage),
    /// The worker gives back an attempt that it has not begun.
    Returned,
    /// The program has run, and the worker could not keep or deliver what it left: that work is lost.
    Undelivered,
    /// The program has saved a checkpoint and goes on. A second holder has the checkpoint.
    Checkpointed {
        /// A [`Manifest`] of the files of the checkpoint, with an empty standard output.
        manifest: BlobRef,
        /// The bytes of the manifest and of all distinct blobs besides.
        bytes: u64,
        /// The second holder's receipt.
        delivery: Delivery,
    },
    /// The attempt was preempted: the worker was asked to stop the program, and did so at its last checkpoint.
    Preempted,
    /// The worker's process died while it compiled or ran the program. The process after it says so.
    HostDied {
        /// Whether the process compiled and ran nothing then but this program for this job.
        alone: bool,
    },
    /// The replica's answer is known, and this is the worker's commitment to it ([`Answer::commitment`]). The answer
    /// follows once the ledger asks for it.
    Committed(Digest),
    /// The answer to which the worker committed itself, with the salt of the commitment.
    Revealed(Answer, Salt),
}

impl Verdict {
    /// The output that comes with it: what a program left that succeeded, or that failed for good.
    #[must_use]
    pub const fn output(&self) -> Option<&Output> {
        match self {
            Self::Succeeded(_, output, ..) | Self::Revealed(Answer::Succeeded(_, output, _), _) => Some(output),
            Self::Failed(_, remains, _) | Self::Revealed(Answer::Failed(_, remains, _), _) => remains.output.as_ref(),
            _ => None,
        }
    }

    /// The status with which the program ended, if it came to that.
    #[must_use]
    pub const fn status(&self) -> Option<i32> {
        match self {
            Self::Succeeded(status, ..)
            | Self::Failed(Failure::Exited(status), ..)
            | Self::Revealed(Answer::Succeeded(status, ..) | Answer::Failed(Failure::Exited(status), ..), _) => {
                Some(*status)
            }
            _ => None,
        }
    }
}

/// What is kept of what a failed program wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Remains {
    /// All that it left. `None` if there was no program that ran, if the task is tried again, or if nobody took it in
    /// time.
    pub output: Option<Output>,
    /// The end of what it wrote to standard error, bounded by the inline limit. Nothing if the output, with all of
    /// standard error, is on the ledger itself.
    pub stderr_tail: ByteString,
}

impl Remains {
    /// Only the end of standard error, whose bound the caller keeps.
    #[must_use]
    pub fn tail(stderr_tail: impl Into<ByteString>) -> Self {
        Self { output: None, stderr_tail: stderr_tail.into() }
    }

    /// All that a program left.
    #[must_use]
    pub fn whole(output: Output) -> Self {
        Self { output: Some(output), stderr_tail: ByteString::default() }
    }

    /// What names the output, if it is kept.
    #[must_use]
    pub fn answer(&self) -> Option<BlobRef> {
        self.output.as_ref().map(Output::answer)
    }

    /// The bytes that it takes on the ledger itself.
    #[must_use]
    pub fn inline_bytes(&self) -> u64 {
        let of_output = if let Some(Output::Inline(output)) = &self.output { output.bytes() } else { 0 };
        of_output.saturating_add(self.stderr_tail.len() as u64)
    }
}

/// A task that a program spawns: one more like the spawning task, in the same job.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Spawn {
    /// Its arguments, after the common ones.
    pub arguments: Vec<String>,
    /// Its inputs besides the common ones: the path below `/in`, and the path below `/out` of the file that the
    /// spawning task left. The spawning task must be of an array that feeds others.
    pub inputs: Vec<(String, String)>,
}

impl Spawn {
    /// The most tasks that one outcome spawns.
    pub const SPAWNS_MAX: usize = 1024;
    /// The most bytes of all tasks that one outcome spawns, as encoded.
    pub const BYTES_MAX: usize = 64 << 10;
    /// The file below `/out` by which a program spawns tasks, one line of JSON for each. It is no part of the
    /// program's output.
    pub const FILE: &str = "spawn.jsonl";
}

/// Why a program failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// It ended with this status, which its task does not count as a success.
    Exited(i32),
    /// It trapped: the sandbox's reason, at most [`Failure::TEXT_BYTES_MAX`] bytes.
    Trapped(String),
    /// It reached this limit.
    Exceeded(TaskLimit),
    /// It is not a module that can run here: the reason, at most [`Failure::TEXT_BYTES_MAX`] bytes.
    BadModule(String),
    /// It takes more memory or time to compile than its task offers: the reason, at most
    /// [`Failure::TEXT_BYTES_MAX`] bytes.
    TooLargeToCompile(String),
    /// It spawned tasks that are not allowed, or its spawn file cannot be read.
    SpawnRefused,
    /// Its program or an input could not be fetched from any peer: this one.
    InputUnavailable(Digest),
    /// Another task of its job, by its index, left no file of this name, which it takes.
    OutputMissing {
        /// The other task.
        task: u32,
        /// The file's path below `/out`.
        file: String,
    },
    /// One of its inputs cannot be laid out for it, on any machine: the reason, at most [`Failure::TEXT_BYTES_MAX`]
    /// bytes.
    BadInput(String),
    /// Its workers lost its attempts more often than the genesis forgives. Only the ledger says so, never a
    /// worker.
    Lost,
    /// So many different workers died while they ran it that the network runs it no more. Only the ledger says so,
    /// never a worker.
    EndedHosts,
    /// Its replicas gave different answers, none often enough. Only the ledger says so, never a worker.
    Disagreed,
}

impl Failure {
    /// The most bytes of text that a failure carries.
    pub const TEXT_BYTES_MAX: usize = 256;
}

impl Failure {
    /// Whether a program ran that may have left something.
    #[must_use]
    pub const fn leaves_output(&self) -> bool {
        matches!(self, Self::Exited(_) | Self::Trapped(_) | Self::Exceeded(_) | Self::SpawnRefused)
    }

    /// The kind of setback that this failure is.
    #[must_use]
    pub const fn setback(&self) -> Setback {
        match self {
            Self::Exited(_) => Setback::Exited,
            Self::Trapped(_) => Setback::Trapped,
            Self::Exceeded(limit) => limit.setback(),
            Self::BadModule(_) => Setback::BadModule,
            Self::TooLargeToCompile(_) => Setback::TooLargeToCompile,
            Self::SpawnRefused => Setback::SpawnRefused,
            Self::InputUnavailable(_) | Self::OutputMissing { .. } | Self::BadInput(_) => Setback::InputUnavailable,
            Self::Lost | Self::Disagreed => Setback::Lost,
            Self::EndedHosts => Setback::HostDied,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "exited with status {status}"),
            Self::Trapped(text) => write!(f, "trapped: {text}"),
            Self::Exceeded(limit) => limit.fmt(f),
            Self::BadModule(text) => write!(f, "not a module that can run: {text}"),
            Self::TooLargeToCompile(text) => write!(f, "too large to compile: {text}"),
            Self::SpawnRefused => {
                f.write_str("asked for more tasks than there may be, or in no way that can be understood")
            }
            Self::InputUnavailable(digest) => write!(f, "could not be given {digest}, which nobody has"),
            Self::OutputMissing { task, file } => {
                write!(f, "takes the file {file:?} of task {task}, which left none of that name")
            }
            Self::BadInput(text) => write!(f, "has an input that cannot be given to it: {text}"),
            Self::Lost => f.write_str("was lost by its workers too often"),
            Self::EndedHosts => f.write_str("too many workers died while they ran it"),
            Self::Disagreed => f.write_str("gave different answers at different workers, none of them often enough"),
        }
    }
}

/// How a program failed, in brief: what the ledger remembers of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// It ended with this status.
    Exited(i32),
    /// It reached this limit.
    Exceeded(TaskLimit),
    /// It failed otherwise.
    Other(Setback),
}

impl From<&Failure> for FailureKind {
    fn from(failure: &Failure) -> Self {
        match failure {
            Failure::Exited(status) => Self::Exited(*status),
            Failure::Exceeded(limit) => Self::Exceeded(*limit),
            other => Self::Other(other.setback()),
        }
    }
}

/// What a program left: on the ledger itself if it is small, elsewhere if not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// The whole output. Its encoding is at most the genesis' inline limit.
    Inline(InlineOutput),
    /// A [`Manifest`], the blobs that it consists of, and standard error. A second holder has all of them.
    Stored {
        /// The encoded manifest, which is a blob too.
        manifest: BlobRef,
        /// What the program wrote to standard error; `None` if that is nothing. It is no part of the answer, because two
        /// honest workers may differ there.
        stderr: Option<BlobRef>,
        /// The bytes of the manifest and of all distinct blobs besides.
        bytes: u64,
        /// The second holder's receipt.
        delivery: Delivery,
    },
}

impl Output {
    /// What names the answer, which is standard output and the files under `/out`: its encoded manifest. It is the same
    /// whether the output is inline or stored, and whoever computed it.
    #[must_use]
    pub fn answer(&self) -> BlobRef {
        match self {
            Self::Stored { manifest, .. } => *manifest,
            Self::Inline(InlineOutput { stdout, files, empty_folders, .. }) => {
                let files = files.iter().map(|(path, content)| (path.clone(), content.to_vec())).collect();
                BlobRef::of(&codec::encode(&Manifest::of(stdout.to_vec(), files, empty_folders.clone()).manifest))
            }
        }
    }
}

/// A small output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct InlineOutput {
    /// What the program wrote to standard output.
    pub stdout: ByteString,
    /// What the program wrote to standard error.
    pub stderr: ByteString,
    /// The files that the program left under `/out`, by path, in order.
    pub files: Vec<(String, ByteString)>,
    /// The folders under `/out` that have nothing in them, in order.
    pub empty_folders: Vec<String>,
}

impl InlineOutput {
    /// The bytes of its contents and of all paths.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let files = self.files.iter().map(|(path, content)| path.len() + content.len()).sum::<usize>();
        let folders = self.empty_folders.iter().map(String::len).sum::<usize>();
        (self.stdout.len() + self.stderr.len() + files + folders) as u64
    }
}

/// A second holder's receipt: it keeps an attempt's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct Delivery {
    /// The holder: an authority, or a worker whose claim stood at `height`.
    pub holder: PublicKey,
    /// The height that the holder had executed when it signed.
    pub height: Height,
    /// The holder's signature over the [`DeliveryStatement`].
    pub signature: Signature,
}

/// The statement that a second holder signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub struct DeliveryStatement {
    /// The attempt whose output or checkpoint it is.
    pub attempt: AttemptId,
    /// The manifest.
    pub manifest: BlobRef,
    /// Standard error, if there is any.
    pub stderr: Option<BlobRef>,
    /// The bytes of the manifest and of all distinct blobs besides.
    pub bytes: u64,
    /// The height that the holder had executed when it signed.
    pub height: Height,
}

impl DeliveryStatement {
    /// Signs this statement as its holder.
    #[must_use]
    pub fn sign(&self, key: &SecretKey, network: &NetworkId) -> Delivery {
        let signature = key.sign(Domain::Delivery, network, &codec::encode(self));
        Delivery { holder: key.public(), height: self.height, signature }
    }

    /// Whether `delivery` is its holder's signature on this statement, by the strict rule.
    #[must_use]
    pub fn is_signed_by(&self, delivery: &Delivery, network: &NetworkId) -> bool {
        self.height == delivery.height
            && identity::verify(Domain::Delivery, network, &codec::encode(self), &delivery.holder, &delivery.signature)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_answer_has_one_digest_inline_and_stored_and_standard_error_is_no_part_of_it(
            stdout: Vec<u8>, stderr: Vec<u8>, files in prop::collection::btree_map("[a-m]{1,8}", any::<Vec<u8>>(), 0..4),
            folders in prop::collection::btree_set("[n-z]{1,8}", 0..4)
        ) {
            let folders: Vec<String> = folders.into_iter().collect();
            let files: Vec<(String, Vec<u8>)> = files.into_iter().collect();
            let bytes = |content: &Vec<u8>| ByteString::from(content.as_slice());
            let inline = InlineOutput {
                stdout: bytes(&stdout),
                stderr: bytes(&stderr),
                files: files.iter().map(|(path, content)| (path.clone(), bytes(content))).collect(),
                empty_folders: folders.clone(),
            };
            let manifest = BlobRef::of(&codec::encode(&Manifest::of(stdout, files, folders).manifest));
            let key = SecretKey::from_seed([1; 32]);
            let delivery = Delivery {
                holder: key.public(),
                height: Height(1),
                signature: key.sign(Domain::Delivery, &NetworkId([0; 32]), b""),
            };
            let stored = Output::Stored { manifest, stderr: Some(BlobRef::of(&stderr)), bytes: 0, delivery };
            prop_assert_eq!(Output::Inline(inline).answer(), stored.answer());
        }
    }
}
