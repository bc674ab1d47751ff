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

/// Runs `work` unless the person or the system stops this process first. What `work` holds is dropped then, a mesh with
/// all its processes among it.
///
/// # Errors
/// Those of `work`, or that it was interrupted.
pub async fn unless_interrupted<T>(work: impl Future<Output = Done<T>>) -> Done<T> {
    let mut interrupts = Interrupts::listen()?;
    tokio::select! {
        done = work => done,
        () = interrupts.next() => Err(Failure::interrupted()),
    }
}
