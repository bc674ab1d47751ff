//! What a peer's process uses, and how fast it answers.

use std::{
    fmt, fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long an answer may take before it counts as none.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_millis(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Allows this process so many open files.
pub(crate) fn raise_file_limit(files: usize) {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("raised");
    let allowed = limit.maximum.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    assert!(allowed >= files, "this takes {files} open files and {allowed} are allowed; raise the limit (ulimit -Hn)");
}

/// What a process uses. Zero where the system does not say.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Bytes of memory.
    pub(crate) memory_bytes: u64,
    /// Open files.
    pub(crate) files: usize,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB and {} files", self.memory_bytes as f64 / f64::from(1 << 20), self.files)
    }
}

/// A process, by its id.
pub(crate) struct Process(pub(crate) u32);

impl Process {
    pub(crate) fn usage(&self) -> Usage {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB"));
        let kib: u64 = resident.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0);
        let files = fs::read_dir(format!("/proc/{}/fd", self.0)).map_or(0, Iterator::count);
        Usage { memory_bytes: kib * 1024, files }
    }

    /// The most that it uses of each within a time.
    pub(crate) async fn most_for(&self, time: Duration) -> Usage {
        let until = Instant::now() + time;
        let mut most = Usage::default();
        while Instant::now() < until {
            let now = self.usage();
            most.memory_bytes = most.memory_bytes.max(now.memory_bytes);
            most.files = most.files.max(now.files);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        most
    }
}

/// How fast health was answered.
#[derive(Debug)]
pub(crate) struct Latencies {
    /// How often.
    pub(crate) answered: usize,
    /// The median.
    pub(crate) p50: Duration,
    /// The 99th percentile.
    pub(crate) p99: Duration,
    /// The slowest.
    pub(crate) max: Duration,
    /// What became of the requests without an answer.
    pub(crate) failed: Vec<String>,
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { answered, p50, p99, max, failed } = self;
        let failed = failed.len();
        write!(
            f,
            "health {answered} times, {p50:.1?} median, {p99:.1?} 99th percentile, {max:.1?} max, {failed} failed"
        )
    }
}

/// Asks a peer how it is, again and again, each time on a connection of its own.
pub(crate) struct Prober {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Latencies>,
}

impl Prober {
    pub(crate) fn start(address: SocketAddr) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let (mut taken, mut failed) = (Vec::new(), Vec::new());
            for path in ["/health", "/health", "/metrics"].into_iter().cycle() {
                if stopped.load(Relaxed) {
                    break;
                }
                let began = Instant::now();
                match ask(address, path) {
                    Ok(()) => taken.push(began.elapsed()),
                    Err(why) => failed.push(format!("{path}: {why} after {:?}", began.elapsed())),
                }
                thread::sleep(PROBE_EVERY);
            }
            taken.sort_unstable();
            let at =
                |per_cent: usize| taken.get((taken.len().max(1) - 1) * per_cent / 100).copied().unwrap_or_default();
            Latencies { answered: taken.len(), p50: at(50), p99: at(99), max: at(100), failed }
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Latencies {
        self.stop.store(true, Relaxed);
        self.thread.join().expect("ended")
    }
}

fn ask(address: SocketAddr, path: &str) -> Result<(), String> {
    let answer = || {
        let mut tcp = TcpStream::connect_timeout(&address, ANSWER_WITHIN)?;
        tcp.set_read_timeout(Some(ANSWER_WITHIN))?;
        tcp.set_write_timeout(Some(ANSWER_WITHIN))?;
        write!(tcp, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        tcp.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = answer().map_err(|error| error.to_string())?;
    if answer.starts_with("HTTP/1.1 200") { Ok(()) } else { Err(format!("{:?}", answer.lines().next())) }
}
