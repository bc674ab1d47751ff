//! What lets a program be ended: a tick at which it looks at its deadline, and the end of the node.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};
use wasmtime::Engine;

use super::priority::Priority;
use crate::{run_clock::RunClock, wire::Channel};

/// How often a running program is checked. A program notices at most this late that its time is up.
const TICK: Duration = Duration::from_millis(10);
/// How many ticks the clock continues when nothing runs. Starting it again for every short task would cost more.
const IDLE_TICKS_MAX: u32 = 100;

/// The tick. It stands still while nothing runs.
pub(super) struct Ticker {
    runs: Arc<AtomicBool>,
    clock: RunClock,
    thread: thread::Thread,
}

impl Ticker {
    pub(super) fn start(engine: &Engine, priority: Arc<Priority>) -> io::Result<Self> {
        let clock = RunClock::start();
        let ticking = clock.clone();
        let runs = Arc::new(AtomicBool::new(false));
        let (engine, is_running) = (engine.weak(), Arc::clone(&runs));
        let thread = thread::Builder::new().name("task-tick".into()).spawn(move || {
            let mut idle = 0;
            loop {
                if idle < IDLE_TICKS_MAX {
                    thread::sleep(TICK);
                } else {
                    thread::park();
                    idle = 0;
                }
                let Some(engine) = engine.upgrade() else { return };
                ticking.look();
                engine.increment_epoch();
                if is_running.load(Ordering::SeqCst) {
                    idle = 0;
                    priority.lower_when_due();
                } else {
                    idle += 1;
                }
            }
        })?;
        Ok(Self { runs, clock, thread: thread.thread().clone() })
    }

    /// The clock that goes while this ticks.
    pub(super) const fn clock(&self) -> &RunClock {
        &self.clock
    }

    /// Ticks until the value is dropped.
    pub(super) fn tick(&self) -> Ticking<'_> {
        self.runs.store(true, Ordering::SeqCst);
        self.thread.unpark();
        Ticking(self)
    }
}

/// A program runs.
pub(super) struct Ticking<'a>(&'a Ticker);

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.0.runs.store(false, Ordering::SeqCst);
    }
}

/// Ends this process when the node is gone, whatever a program does.
pub(super) fn end_with_the_node(channel: Channel) -> io::Result<()> {
    thread::Builder::new().name("task-watch".into()).spawn(move || {
        loop {
            // What is asked for besides is a broken connection, which is always told.
            let mut events = [PollFd::new(&channel, PollFlags::empty())];
            match poll(&mut events, None) {
                Ok(_) => std::process::exit(0),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => std::process::exit(1),
            }
        }
    })?;
    Ok(())
}
