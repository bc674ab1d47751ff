//! Tells the node of checkpoints while the program goes on.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    program::NamedFile,
    wasi::Saves,
    wire::{Channel, WireError},
    words::Reply,
};

/// The least time between two checkpoints that are told. What a program saves meanwhile replaces what waits.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The newest checkpoint that was not told yet.
pub(super) struct Saver {
    waits: Mutex<Option<Vec<NamedFile>>>,
    came: Condvar,
    /// The socket. Held while a checkpoint is told, so that nothing else comes between.
    channel: Mutex<Channel>,
}

impl Saver {
    pub(super) fn start(channel: Channel) -> io::Result<Arc<Self>> {
        let saver = Self { waits: Mutex::default(), came: Condvar::new(), channel: Mutex::new(channel) };
        let saver = Arc::new(saver);
        let tells = Arc::clone(&saver);
        thread::Builder::new().name("task-save".into()).spawn(move || {
            loop {
                let mut waits = tells.waits();
                while waits.is_none() {
                    waits = tells.came.wait(waits).unwrap_or_else(PoisonError::into_inner);
                }
                drop(waits);
                if tells.flush().is_err() {
                    return;
                }
                thread::sleep(TELL_EVERY);
            }
        })?;
        Ok(saver)
    }

    /// Tells the checkpoint that waits, if there is one. Afterwards nothing is half told.
    pub(super) fn flush(&self) -> Result<(), WireError> {
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = self.waits().take() else { return Ok(()) };
        let announced = saved.iter().map(|(path, content)| (path.clone(), content.len() as u64)).collect();
        channel.send(&Reply::Saved(announced))?;
        for (_, content) in &saved {
            channel.send_bytes(content)?;
        }
        Ok(())
    }

    fn waits(&self) -> MutexGuard<'_, Option<Vec<NamedFile>>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Saves for Saver {
    /// Takes a new checkpoint in place of one that still waits.
    fn put(&self, saved: Vec<NamedFile>) {
        *self.waits() = Some(saved);
        self.came.notify_one();
    }
}
