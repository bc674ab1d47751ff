//! The threads that programs run on, and the tick that lets a program be stopped.
//!
//! These threads are below the node's in priority. However hard programs work, the machine's other work and the
//! node's own come first.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use wasmtime::Engine;

use super::engine::STACK_BYTES_MAX;

/// How often running programs are checked. A program notices at most this late that its time is up.
const TICK: Duration = Duration::from_millis(10);
/// How many ticks the clock continues when nothing runs. Starting it again for every short task would cost more.
const IDLE_TICKS_MAX: u32 = 100;
/// Stack for the host's own functions, on top of what a program may use.
const HOST_STACK_BYTES: usize = 2 << 20;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// The threads, one per slot. They end when this is dropped.
pub(crate) struct Threads {
    queue: Arc<(Mutex<Queue>, Condvar)>,
    jobs: Arc<AtomicU64>,
    ticker: thread::Thread,
}

impl Threads {
    pub(super) fn start(engine: &Engine, slots: u32, niceness: i32) -> std::io::Result<Self> {
        let queue = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        for slot in 0..slots {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("task-{slot}")).stack_size(STACK_BYTES_MAX + HOST_STACK_BYTES).spawn(
                move || {
                    yield_to_others(niceness);
                    while let Some(job) = next(&queue) {
                        // A panic here is a bug of this program. It costs the run in which it happens, not the slot.
                        let _ = catch_unwind(AssertUnwindSafe(job));
                    }
                },
            )?;
        }
        let jobs = Arc::new(AtomicU64::new(0));
        let ticker = thread::Builder::new().name("task-tick".into()).spawn({
            let (engine, jobs) = (engine.weak(), Arc::clone(&jobs));
            move || tick(&engine, &jobs)
        })?;
        Ok(Self { queue, jobs, ticker: ticker.thread().clone() })
    }

    /// Runs `job` on the next free thread. The answer never comes if the job panics.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        let running = Running::new(&self.jobs);
        let job = Box::new(move || {
            let value = job();
            drop(running);
            let _ = answer.send(value);
        });
        self.ticker.unpark();
        lock(&self.queue.0).jobs.push_back(job);
        self.queue.1.notify_one();
        answered
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        lock(&self.queue.0).closed = true;
        self.queue.1.notify_all();
        self.ticker.unpark();
    }
}

/// Counts a job for as long as it waits or runs.
struct Running(Arc<AtomicU64>);

impl Running {
    fn new(jobs: &Arc<AtomicU64>) -> Self {
        jobs.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(jobs))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn next(queue: &(Mutex<Queue>, Condvar)) -> Option<Job> {
    let mut state = lock(&queue.0);
    loop {
        if let Some(job) = state.jobs.pop_front() {
            return Some(job);
        }
        if state.closed {
            return None;
        }
        state = queue.1.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// The queue is intact whenever its lock is free, even after a panic.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tick(engine: &wasmtime::EngineWeak, jobs: &AtomicU64) {
    let mut idle = 0;
    loop {
        if idle < IDLE_TICKS_MAX {
            thread::sleep(TICK);
        } else {
            thread::park();
            idle = 0;
        }
        let Some(engine) = engine.upgrade() else { return };
        engine.increment_epoch();
        idle = if jobs.load(Ordering::SeqCst) > 0 { 0 } else { idle + 1 };
    }
}

/// Lowers the priority of the current thread by `niceness`, if the system has priorities for threads.
pub(crate) fn yield_to_others(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(niceness) {
        tracing::debug!("programs run at the node's own priority: {error}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = niceness;
}
