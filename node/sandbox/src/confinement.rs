//! What a runner can no longer do once it is confined.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A measure that confines a runner. What a kernel lacks is left out, and said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// It opens no file, whatever the path (landlock).
    Files,
    /// It makes no system calls but the few that an engine needs (seccomp).
    SystemCalls,
    /// It has a user and a network of its own, and sees no other processes' memory queues (namespaces).
    Namespaces,
    /// The kernel bounds its memory, and lets it write no file and no core dump (resource limits).
    Resources,
}

impl Measure {
    /// All measures.
    pub const ALL: [Self; 4] = [Self::Files, Self::SystemCalls, Self::Namespaces, Self::Resources];

    /// The measure in a few words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Files => "landlock",
            Self::SystemCalls => "seccomp",
            Self::Namespaces => "namespaces",
            Self::Resources => "resource limits",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The measures that hold for a runner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement(Vec<Measure>);

impl Confinement {
    pub(crate) fn add(&mut self, measure: Measure) {
        if !self.0.contains(&measure) {
            self.0.push(measure);
        }
    }

    /// Whether this measure holds.
    #[must_use]
    pub fn has(&self, measure: Measure) -> bool {
        self.0.contains(&measure)
    }

    /// The measures that this machine lacks.
    #[must_use]
    pub fn lacking(&self) -> Vec<Measure> {
        Measure::ALL.into_iter().filter(|measure| !self.has(*measure)).collect()
    }
}
