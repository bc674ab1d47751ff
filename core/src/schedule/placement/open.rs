//! The claims that could take something, best first.

use std::{collections::BTreeSet, ops::Bound};

use super::Score;
use crate::identity::PublicKey;

/// What of a claim a task can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Resources: it runs.
    Resources,
    /// A waiting place.
    Waiting,
}

/// The claims with free resources and those with free waiting places, each by score and key. It is computed from the
/// ledger's state and holds none of its own.
#[derive(Clone, Debug, Default)]
pub struct OpenClaims {
    resources: BTreeSet<(Score, PublicKey)>,
    waiting: BTreeSet<(Score, PublicKey)>,
}

impl OpenClaims {
    fn of(&self, place: Place) -> &BTreeSet<(Score, PublicKey)> {
        match place {
            Place::Resources => &self.resources,
            Place::Waiting => &self.waiting,
        }
    }

    /// Moves a claim from where it stood (`before`) to where it stands now; `None` is not at all.
    pub fn update(&mut self, place: Place, worker: PublicKey, before: Option<Score>, now: Option<Score>) {
        if before == now {
            return;
        }
        let claims = match place {
            Place::Resources => &mut self.resources,
            Place::Waiting => &mut self.waiting,
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
    pub fn is_empty(&self, place: Place) -> bool {
        self.of(place).is_empty()
    }

    /// The claims with such a place, best first, from this one on.
    pub fn from(
        &self,
        place: Place,
        start: Option<(Score, PublicKey)>,
    ) -> impl Iterator<Item = (Score, PublicKey)> + '_ {
        let start = start.map_or(Bound::Unbounded, Bound::Included);
        self.of(place).range((start, Bound::Unbounded)).copied()
    }
}
