//! Handles requests to stop, from the keyboard or by a signal.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Done, Failure};

/// The signals that ask this process to stop. Once this listens, they no longer stop it by themselves.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Begins to listen.
    ///
    /// # Errors
    /// The system does not let this process listen.
    pub fn listen() -> Done<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("No signal can be heard: {error}.")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next signal. Dropping the future loses no signal.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs `work` until it ends or the user or the system asks this process to stop. When stopped, everything that `work`
/// holds is dropped, including a mesh with all its processes.
///
/// # Errors
/// The failure of `work`, or the interruption.
pub async fn unless_interrupted<T>(work: impl Future<Output = Done<T>>) -> Done<T> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        done = work => done,
        () = interrupts.next() => Err(Failure::interrupted()),
    }
}
