//! Runs the program as a person would, bounded in time, and leaves nothing running.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use meshwork::local_mesh::{LocalMesh, Plan};
use meshwork_core::identity::PublicKey;

/// The program.
pub(crate) const MESHWORK: &str = env!("CARGO_BIN_EXE_meshwork");

/// A mesh of such processes, one slot to each worker.
pub(crate) async fn local_mesh(name: &str, authorities: usize, workers: usize) -> LocalMesh {
    let plan = Plan::new(name, authorities, workers, 1).expect("a plan");
    LocalMesh::start(Plan { executable: MESHWORK.into(), ..plan }).await.expect("started")
}

/// The same, with this many blocks between two snapshots.
pub(crate) async fn mesh_with_snapshots(name: &str, authorities: usize, workers: usize, interval: u64) -> LocalMesh {
    let plan = Plan::new(name, authorities, workers, 1).expect("a plan");
    let plan = Plan { executable: MESHWORK.into(), snapshot_interval: interval, ..plan };
    LocalMesh::start(plan).await.expect("started")
}

/// Kills the peer of a mesh that has this key.
#[track_caller]
pub(crate) fn kill(mesh: &mut LocalMesh, key: &PublicKey) {
    let index = mesh.peers().iter().position(|peer| peer.key() == *key).expect("one of the mesh");
    mesh.peer_mut(index).kill();
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit status.
    pub status: Option<i32>,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Ended {
    /// The command must have succeeded. Returns its standard output without the last line's end.
    #[track_caller]
    pub(crate) fn good(&self) -> &str {
        assert_eq!(self.status, Some(0), "{self:#?}");
        self.stdout.trim_end()
    }

    /// The command must have ended with this status and a sentence with these words, without a backtrace.
    #[track_caller]
    pub(crate) fn bad(&self, status: i32, words: &[&str]) {
        assert_eq!(self.status, Some(status), "{self:#?}");
        assert!(self.stderr.contains("meshwork: ") || self.stderr.contains("error: "), "{self:#?}");
        assert!(!self.stderr.contains("panicked") && !self.stderr.contains("backtrace"), "{self:#?}");
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {self:#?}");
        }
    }
}

/// The path of a task program that comes with its source.
pub(crate) fn program(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/programs").join(name)
}

/// How many blobs a peer with this data directory keeps.
pub(crate) fn blobs(data: &Path) -> usize {
    let entries = |path: &Path| -> Vec<PathBuf> {
        fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    };
    let has_blobs = |path: &&PathBuf| path.file_name().is_some_and(|name| name.len() == 2);
    entries(&data.join("blobs")).iter().filter(has_blobs).map(|directory| entries(directory).len()).sum()
}

/// Runs a command of the program to its end, and kills it if that takes longer than `within`.
#[track_caller]
pub(crate) fn run(home: &Path, arguments: &[&str], within: Duration) -> Ended {
    run_program(&mut command(home, arguments), within)
}

/// Runs any command to its end, in the same way.
#[track_caller]
pub(crate) fn run_program(command: &mut Command, within: Duration) -> Ended {
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started"));
    let stdout = drain(child.0.stdout.take());
    let stderr = drain(child.0.stderr.take());
    let until = Instant::now() + within;
    let status = loop {
        match child.0.try_wait().expect("a child") {
            Some(status) => break status,
            None if Instant::now() > until => {
                let _ = child.0.kill();
                let (stdout, stderr) = (stdout.join(), stderr.join());
                panic!("{command:?} was not done after {within:?}: {stdout:#?} {stderr:#?}");
            }
            None => thread::sleep(Duration::from_millis(10)),
        }
    };
    let text = |thread: thread::JoinHandle<String>| thread.join().expect("it reads");
    Ended { status: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// Reads to the end beside the test, so that a full pipe never stops the child.
fn drain(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.expect("a pipe").read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// A command of the program with this home, without environment variables that would change it.
pub(crate) fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(MESHWORK);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MESHWORK_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command.env("MESHWORK_HOME", home).args(arguments).stdin(Stdio::null());
    command
}

/// A process that is killed when the test ends.
pub(crate) struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
