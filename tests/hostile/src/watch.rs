//! The memory of a node and of its runners, looked at again and again.

use std::{
    collections::BTreeSet,
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The most memory so far, in bytes.
#[derive(Default)]
struct Most {
    node: AtomicU64,
    runners: AtomicU64,
    ends: AtomicBool,
}

/// Looks at a node until it ends.
pub(crate) struct Watch(Arc<Most>);

impl Watch {
    /// Begins to look at the node with this process id.
    pub(crate) fn start(node: u32) -> Self {
        let most = Arc::new(Most::default());
        let looks = Arc::clone(&most);
        thread::spawn(move || {
            while !looks.ends.load(Ordering::Relaxed) {
                looks.node.fetch_max(resident_bytes(node), Ordering::Relaxed);
                let runners = children(node).into_iter().map(resident_bytes).sum();
                looks.runners.fetch_max(runners, Ordering::Relaxed);
                thread::sleep(LOOK_EVERY);
            }
        });
        Self(most)
    }

    /// The most memory of the node, and of all its runners together, in bytes.
    pub(crate) fn end(self) -> (u64, u64) {
        self.0.ends.store(true, Ordering::Relaxed);
        (self.0.node.load(Ordering::Relaxed), self.0.runners.load(Ordering::Relaxed))
    }
}

fn resident_bytes(pid: u32) -> u64 {
    const PAGE_BYTES: u64 = 4096;
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    pages.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * PAGE_BYTES
}

/// The processes that one started, by any of its threads.
pub(crate) fn children(parent: u32) -> BTreeSet<u32> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}
