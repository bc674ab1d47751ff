//! Blobs that this peer keeps to itself: what a replica left, until the ledger asks for its answer. Another peer that
//! could fetch them, or only learn that they are here, could answer without computing anything.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use meshwork_core::digest::Digest;

/// The sealed blobs, each with how many seals it is under.
#[derive(Debug, Default)]
pub(super) struct Seals(Mutex<HashMap<Digest, usize>>);

impl Seals {
    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn has(&self, blob: &Digest) -> bool {
        self.lock().contains_key(blob)
    }

    pub(super) fn seal(self: &Arc<Self>, blobs: Vec<Digest>) -> Seal {
        let mut sealed = self.lock();
        for blob in &blobs {
            *sealed.entry(*blob).or_default() += 1;
        }
        drop(sealed);
        Seal { seals: Arc::clone(self), blobs: Mutex::new(blobs) }
    }
}

/// Keeps some blobs from others until it is opened or dropped.
#[derive(Debug)]
pub struct Seal {
    seals: Arc<Seals>,
    /// Empty once it is open.
    blobs: Mutex<Vec<Digest>>,
}

impl Seal {
    /// Lets others have the blobs.
    pub fn open(&self) {
        let blobs = std::mem::take(&mut *self.blobs.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sealed = self.seals.lock();
        for blob in blobs {
            if let Some(seals) = sealed.get_mut(&blob) {
                *seals -= 1;
                if *seals == 0 {
                    sealed.remove(&blob);
                }
            }
        }
    }
}

impl Drop for Seal {
    fn drop(&mut self) {
        self.open();
    }
}
