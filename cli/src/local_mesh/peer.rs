//! One peer of a mesh on this machine: a child process with a home.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use meshwork_api::NodeFile;
use meshwork_core::identity::PublicKey;
use tokio::time::Instant;

use crate::{
    client::Client,
    failure::{Done, Failure},
};

/// How many of the last lines of its log are shown of a peer that does not start.
const LOG_LINES: usize = 5;

/// What of the environment would change a child.
const ENVIRONMENT: [&str; 8] = [
    "MESHWORK_HOME",
    "MESHWORK_API",
    "MESHWORK_KEY",
    "MESHWORK_GENESIS",
    "MESHWORK_LOG",
    "MESHWORK_LOG_JSON",
    "MESHWORK_CLOCK_OFFSET",
    "MESHWORK_KEEP",
];

/// A child process that is a peer.
pub struct Peer {
    name: String,
    key: PublicKey,
    home: PathBuf,
    works: bool,
    may_outlive: bool,
    child: Option<Child>,
    client: Option<Client>,
}

impl Peer {
    pub(super) fn new(name: String, key: PublicKey, home: PathBuf, works: bool, may_outlive: bool) -> Self {
        Self { name, key, home, works, may_outlive, child: None, client: None }
    }

    /// Starts its process.
    pub(super) fn start(&mut self, executable: &Path, arguments: &[String], environment: &[(&str, &str)]) -> Done {
        self.kill();
        let log_path = self.log_path();
        let log = fs::OpenOptions::new().create(true).append(true).open(&log_path);
        let log = log.map_err(|error| Failure::file("write", &log_path, &error))?;
        let mut command = Command::new(executable);
        for name in ENVIRONMENT {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.args(arguments).arg("--home").arg(&self.home).stdout(Stdio::null()).stderr(log);
        // In a group of its own, so that an interruption from the keyboard reaches only who started it, who then kills it.
        command.process_group(0);
        if self.may_outlive {
            command.stdin(Stdio::null());
        } else {
            // The child holds the other end for as long as this process lives, however it dies.
            command.stdin(Stdio::piped()).arg("--until-stdin-closes");
        }
        let child = command.spawn().map_err(|error| {
            Failure::failed(format!("{} could not be started ({}): {error}.", self.name, executable.display()))
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until it answers.
    pub(super) async fn ready(&mut self, within: Duration) -> Done {
        let until = Instant::now() + within;
        loop {
            if let Some(client) = self.find_api()
                && client.is_healthy().await
            {
                self.client = Some(client);
                return Ok(());
            }
            if let Some(child) = &mut self.child
                && let Ok(Some(status)) = child.try_wait()
            {
                self.child = None;
                return Err(Failure::failed(format!(
                    "{} ended at its start ({status}):\n{}",
                    self.name,
                    self.log_end()
                )));
            }
            if Instant::now() > until {
                return Err(Failure::failed(format!(
                    "{} did not answer within {} seconds:\n{}",
                    self.name,
                    within.as_secs(),
                    self.log_end()
                )));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where its process, and none before it, says that the API is.
    fn find_api(&self) -> Option<Client> {
        let text = fs::read_to_string(self.data_dir().join(NodeFile::NAME)).ok()?;
        let file: NodeFile = serde_json::from_str(&text).ok()?;
        if Some(file.pid) == self.pid() { Client::new(&file.api.to_string()).ok() } else { None }
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Who it is.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Whether it is a worker.
    pub const fn works(&self) -> bool {
        self.works
    }

    /// Whether its process has been started and not been killed since.
    pub const fn lives(&self) -> bool {
        self.child.is_some()
    }

    /// Its process id, while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Its home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Where its store is.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Where it logs.
    pub fn log_path(&self) -> PathBuf {
        self.home.join("log")
    }

    /// Its API.
    ///
    /// # Errors
    /// It has not answered since it was started.
    pub fn client(&self) -> Done<Client> {
        self.client.clone().ok_or_else(|| Failure::failed(format!("{} is not running.", self.name)))
    }

    /// Kills it at once (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        self.client = None;
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; waiting also takes its entry off the system's table.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn send_kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
    }

    /// The most memory that its process has held so far, in bytes, where the system tells.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// What its data takes on disk, in bytes.
    pub fn disk_bytes(&self) -> u64 {
        bytes_below(&self.data_dir())
    }

    fn log_end(&self) -> String {
        let log = fs::read(self.log_path()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

/// Blocks that the files below a directory take. What vanishes meanwhile takes none.
fn bytes_below(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    const BLOCK_BYTES: u64 = 512;
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let bytes_of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.blocks() * BLOCK_BYTES,
        Err(_) => 0,
    };
    entries.flatten().map(bytes_of).sum()
}
