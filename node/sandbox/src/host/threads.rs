//! The threads that wait for runners, one per slot.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// The threads. They end when this is dropped.
pub(super) struct Threads {
    queue: Arc<(Mutex<Queue>, Condvar)>,
}

impl Threads {
    pub(super) fn start(slots: u32) -> std::io::Result<Self> {
        let queue = Arc::new((Mutex::new(Queue::default()), Condvar::new()));
        for slot in 0..slots {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("task-{slot}")).spawn(move || {
                while let Some(job) = next(&queue) {
                    // A panic here is a bug of this program. It costs the run in which it happens, not the slot.
                    let _ = catch_unwind(AssertUnwindSafe(job));
                }
            })?;
        }
        Ok(Self { queue })
    }

    /// Runs `job` on the next free thread. The answer never comes if the job panics.
    pub(super) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            let _ = answer.send(job());
        });
        lock(&self.queue.0).jobs.push_back(job);
        self.queue.1.notify_one();
        answered
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        lock(&self.queue.0).closed = true;
        self.queue.1.notify_all();
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
