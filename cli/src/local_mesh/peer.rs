//! One peer of a local mesh: a child process with its own home.

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

/// How many of its last log lines are shown if a peer does not start.
const LOG_LINES: usize = 5;

/// Environment variables that would change a child's behaviour.
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

/// A peer's child process.
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

    /// Starts the process.
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
        // A process group of its own: an interruption from the keyboard reaches only the parent, which then kills the
        // child.
        command.process_group(0);
        if self.may_outlive {
            command.stdin(Stdio::null());
        } else {
            // The child holds the other end as long as this process lives, however this process dies.
            command.stdin(Stdio::piped()).arg("--until-stdin-closes");
        }
        let child = command.spawn().map_err(|error| {
            Failure::failed(format!("{} could not be started ({}): {error}.", self.name, executable.display()))
        })?;
        self.child = Some(child);
        Ok(())
    }

    /// Waits until the peer answers.
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

    /// A client for the API address that this process wrote, and not one before it.
    fn find_api(&self) -> Option<Client> {
        let text = fs::read_to_string(self.data_dir().join(NodeFile::NAME)).ok()?;
        let file: NodeFile = serde_json::from_str(&text).ok()?;
        if Some(file.pid) == self.pid() { Client::new(&file.api.to_string()).ok() } else { None }
    }

    /// The peer's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The peer's key.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Whether it is a worker.
    pub const fn works(&self) -> bool {
        self.works
    }

    /// Whether the process was started and not killed since.
    pub const fn lives(&self) -> bool {
        self.child.is_some()
    }

    /// The process id, while it lives.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// The peer's home.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The directory of its store.
    pub fn data_dir(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The path of its log.
    pub fn log_path(&self) -> PathBuf {
        self.home.join("log")
    }

    /// A client of its API.
    ///
    /// # Errors
    /// The peer has not answered since it was started.
    pub fn client(&self) -> Done<Client> {
        self.client.clone().ok_or_else(|| Failure::failed(format!("{} is not running.", self.name)))
    }

    /// Kills the process at once (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        self.client = None;
        if let Some(mut child) = self.child.take() {
            // The process may have ended already. Waiting also removes its entry from the system's table.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(super) fn send_kill(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
        }
    }

    /// The peak memory of the process so far, in bytes, if the system tells.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()?)).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kib * 1024)
    }

    /// The disk space of its data, in bytes.
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

/// The disk space of the files below a directory. A file that vanishes meanwhile counts as 0.
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
