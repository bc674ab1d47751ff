//! Being told to stop, from the keyboard or by a signal.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Done, Failure};

/// The signals by which the person or the system asks this process to stop. They do not stop it by themselves any more.
pub struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Listens from now on.
    ///
    /// # Errors
    /// The system lets nobody listen.
    pub fn listen() -> Done<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::failed(format!("No signal can be heard: {error}.")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Ends with the next of them. Dropping the future loses none.
    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs `work` unless the user or the system stops this process first. Everything that `work` holds is then dropped,
/// including a mesh with all its processes.
///
/// # Errors
/// Those of `work`, or the interruption.
pub async fn unless_interrupted<T>(work: impl Future<Output = Done<T>>) -> Done<T> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        done = work => done,
        () = interrupts.next() => Err(Failure::interrupted()),
    }
}
