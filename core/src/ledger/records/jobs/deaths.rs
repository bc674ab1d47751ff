//! The workers that died while they ran a program of a job.

use serde::{Deserialize, Serialize};
use serde_tuple::{Deserialize_tuple, Serialize_tuple};

use crate::{
    fault::{Fault, is_planted},
    identity::PublicKey,
    types::BlockTime,
};

/// How many dead workers are remembered for one program of a job.
pub(in crate::ledger) const DEATHS_KEPT: usize = 64;

/// The workers that died while they ran tasks of one program of a job, less one for each success since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
pub(in crate::ledger) struct Deaths {
    /// Different workers, the one whose death was told first at the front; at most [`DEATHS_KEPT`].
    dead: Vec<Dead>,
    standing: Standing,
}

/// A worker that died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize_tuple, Deserialize_tuple)]
struct Dead {
    worker: PublicKey,
    /// Whether it ran nothing but this program for this job.
    alone: bool,
}

/// How the network treats a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in crate::ledger) enum Standing {
    /// Like any other.
    #[default]
    Good,
    /// Since then workers run it with nothing beside it, so that their deaths show what they died of.
    Suspect(BlockTime),
    /// It is run no more.
    Over,
}

impl Deaths {
    /// Counts a worker's death. It is one alone if the worker says so, and had begun after the network had the program
    /// run alone: what runs with nothing beside it by chance says nothing if power fails. Tells whether that changed what
    /// is known.
    pub(in crate::ledger) fn add(&mut self, worker: PublicKey, alone: bool, began: Option<BlockTime>) -> bool {
        let alone = alone
            && match self.standing {
                Standing::Suspect(since) => began.is_some_and(|began| began >= since),
                Standing::Good | Standing::Over => false,
            };
        let known = self.dead.iter_mut().find(|dead| dead.worker == worker);
        if let Some(dead) = known.filter(|_| !is_planted(Fault::DeathsOfOneWorker)) {
            let is_new = alone && !dead.alone;
            dead.alone |= alone;
            return is_new;
        }
        if self.dead.len() == DEATHS_KEPT {
            self.dead.remove(0);
        }
        self.dead.push(Dead { worker, alone });
        true
    }

    /// Takes off a death, because a task of the program has ended well. With fewer than `suspect` left, the program is
    /// like any other again.
    pub(in crate::ledger) fn pardon(&mut self, suspect: usize) {
        if self.standing != Standing::Over && !self.dead.is_empty() {
            self.dead.remove(0);
            if self.dead.len() < suspect {
                self.standing = Standing::Good;
            }
        }
    }

    /// How many workers died, and how many of them ran nothing else.
    pub(in crate::ledger) fn counts(&self) -> (usize, usize) {
        (self.dead.len(), self.dead.iter().filter(|dead| dead.alone).count())
    }

    pub(in crate::ledger) fn holds(&self, worker: &PublicKey) -> bool {
        self.dead.iter().any(|dead| dead.worker == *worker)
    }

    pub(in crate::ledger) const fn is_empty(&self) -> bool {
        self.dead.is_empty()
    }

    pub(in crate::ledger) const fn standing(&self) -> Standing {
        self.standing
    }

    pub(in crate::ledger) const fn stand(&mut self, standing: Standing) {
        self.standing = standing;
    }

    /// Whether the ledger can have counted these.
    pub(in crate::ledger) fn is_sound(&self) -> bool {
        let once = |(at, dead): (usize, &Dead)| {
            is_planted(Fault::DeathsOfOneWorker) || self.dead[..at].iter().all(|before| before.worker != dead.worker)
        };
        (1..=DEATHS_KEPT).contains(&self.dead.len()) && self.dead.iter().enumerate().all(once)
    }
}
