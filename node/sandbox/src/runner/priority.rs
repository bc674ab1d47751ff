//! When a runner yields to the node and to the machine's other work.
//!
//! A process of low priority is woken late on a busy machine, and for a program that ends at once that is most of the
//! time that it takes. So a runner begins at the node's priority, and is lowered for good once its programs have used
//! a little processor time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use rustix::{
    process::{getpid, nice, setpriority_process},
    time::{ClockId, clock_gettime},
};

/// The processor time that a runner has at the node's priority.
const UNLOWERED: Duration = Duration::from_millis(100);

/// The priority of the thread that runs programs, which is the process's first.
pub(super) struct Priority {
    /// How far below the node's it will be.
    niceness: i32,
    is_lowered: AtomicBool,
}

impl Priority {
    pub(super) const fn new(niceness: i32) -> Self {
        Self { niceness, is_lowered: AtomicBool::new(false) }
    }

    /// Lowers the priority if the process has used its time. Any thread may call this.
    pub(super) fn lower_when_due(&self) {
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let used = Duration::new(used.tv_sec.cast_unsigned(), u32::try_from(used.tv_nsec).unwrap_or(0));
        if used >= UNLOWERED && !self.is_lowered.swap(true, Ordering::Relaxed) {
            // If it fails, programs run at the node's own priority.
            let _ = setpriority_process(Some(getpid()), self.niceness);
        }
    }
}

/// Lowers the priority of this thread, and of those that it will start, at once.
pub(super) fn lower(niceness: i32) {
    // If it fails, programs are compiled at the node's own priority.
    let _ = nice(niceness);
}
