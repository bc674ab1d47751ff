//! The standing claims, arranged for the search.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

use super::Score;
use crate::{digest::Digest, identity::PublicKey, invariant::known, types::Claim};

/// The kinds of places that a claim has for tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Opening {
    /// Free resources: the task runs.
    Resources,
    /// A waiting place.
    Waiting,
}

/// The claims with free resources and those with free waiting places, each by score and key, and all standing
/// claims by their labels and blobs. It is computed from the ledger's state and holds no state of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenClaims {
    resources: BTreeSet<(Score, PublicKey)>,
    waiting: BTreeSet<(Score, PublicKey)>,
    labels: BTreeMap<String, BTreeMap<String, BTreeSet<PublicKey>>>,
    holders: BTreeMap<Digest, BTreeSet<PublicKey>>,
    seats: BTreeSet<u32>,
    free_seats: BTreeSet<u32>,
}

impl OpenClaims {
    fn of(&self, opening: Opening) -> &BTreeSet<(Score, PublicKey)> {
        match opening {
            Opening::Resources => &self.resources,
            Opening::Waiting => &self.waiting,
        }
    }

    /// Moves a claim from its score `before` to its score `now`. `None` means that it has no such place.
    pub fn update(&mut self, opening: Opening, worker: PublicKey, before: Option<Score>, now: Option<Score>) {
        if before == now {
            return;
        }
        let claims = match opening {
            Opening::Resources => &mut self.resources,
            Opening::Waiting => &mut self.waiting,
        };
        if let Some(before) = before {
            claims.remove(&(before, worker));
        }
        if let Some(now) = now {
            claims.insert((now, worker));
        }
    }

    /// Whether no claim has such a place free.
    #[must_use]
    pub fn is_empty(&self, opening: Opening) -> bool {
        self.of(opening).is_empty()
    }

    /// The claims with such a place, best first, from this one on.
    pub fn from(
        &self,
        opening: Opening,
        start: Option<(Score, PublicKey)>,
    ) -> impl Iterator<Item = (Score, PublicKey)> + '_ {
        let start = start.map_or(Bound::Unbounded, Bound::Included);
        self.of(opening).range((start, Bound::Unbounded)).copied()
    }

    /// The claims with such a place, from the first of this score on, and then those before it.
    pub fn around(&self, opening: Opening, start: Score) -> impl Iterator<Item = (Score, PublicKey)> + '_ {
        let start = (start, PublicKey([0; 32]));
        let claims = self.of(opening);
        claims.range(start..).chain(claims.range(..start)).copied()
    }

    /// Adds the labels and blobs of a standing claim.
    pub fn describe(&mut self, worker: PublicKey, claim: &Claim) {
        for (label, value) in &claim.labels {
            self.labels.entry(label.clone()).or_default().entry(value.clone()).or_default().insert(worker);
        }
        for blob in &claim.blobs {
            self.holders.entry(*blob).or_default().insert(worker);
        }
    }

    /// Removes the labels and blobs of a claim.
    pub fn forget(&mut self, worker: &PublicKey, claim: &Claim) {
        for (label, value) in &claim.labels {
            let Some(values) = known(self.labels.get_mut(label)) else { continue };
            if let Some(workers) = known(values.get_mut(value)) {
                workers.remove(worker);
                if workers.is_empty() {
                    values.remove(value);
                }
            }
            if values.is_empty() {
                self.labels.remove(label);
            }
        }
        for blob in &claim.blobs {
            if let Some(workers) = known(self.holders.get_mut(blob)) {
                workers.remove(worker);
                if workers.is_empty() {
                    self.holders.remove(blob);
                }
            }
        }
    }

    /// The standing claims with this label.
    #[must_use]
    pub fn labelled(&self, label: &str, value: &str) -> Option<&BTreeSet<PublicKey>> {
        self.labels.get(label)?.get(value)
    }

    /// The values of a label among the standing claims.
    pub fn values(&self, label: &str) -> impl Iterator<Item = &str> {
        self.labels.get(label).into_iter().flat_map(BTreeMap::keys).map(String::as_str)
    }

    /// The standing claims that say that they hold a blob.
    #[must_use]
    pub fn holders(&self, blob: &Digest) -> Option<&BTreeSet<PublicKey>> {
        self.holders.get(blob)
    }

    /// The smallest free seat.
    #[must_use]
    pub fn free_seat(&self) -> u32 {
        self.free_seats.first().copied().unwrap_or_else(|| u32::try_from(self.seats.len()).unwrap_or(u32::MAX))
    }

    /// Takes a seat. Returns whether it was free.
    pub fn take_seat(&mut self, seat: u32) -> bool {
        let known = self.seats.len() + self.free_seats.len();
        self.free_seats.extend(u32::try_from(known).unwrap_or(u32::MAX)..seat);
        self.free_seats.remove(&seat);
        self.seats.insert(seat)
    }

    /// Leaves a seat.
    pub fn leave_seat(&mut self, seat: u32) {
        if self.seats.remove(&seat) {
            self.free_seats.insert(seat);
        }
        // The number of seats must follow from the seats taken now, and not from those taken once.
        let taken = self.seats.last().map_or(0, |last| last.saturating_add(1));
        self.free_seats.split_off(&taken);
    }

    /// The largest taken seat and one; 0 if none is taken.
    #[must_use]
    pub fn seats(&self) -> u32 {
        u32::try_from(self.seats.len() + self.free_seats.len()).unwrap_or(u32::MAX)
    }
}
