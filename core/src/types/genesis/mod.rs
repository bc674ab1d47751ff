//! The genesis: what a network's peers must agree on before they meet. Its digest is the network's id.
//!
//! Each group of the file has a module, with its rules: `access` (who may do what), `consensus` (the round),
//! `ledger` (the ledger's bounds) and `schedule` (the scheduler's policies). This module checks the rules that
//! several groups must keep together.

mod access;
mod consensus;
mod ledger;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

pub use access::Access;
pub use consensus::ConsensusParameters;
pub use ledger::LedgerLimits;
pub use schedule::{OrderPolicy, PlacementPolicy, ScheduleParameters};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Spanned;

use super::{AuthoritySet, BlockTime, SignedTransaction};
use crate::{
    digest::Digest,
    identity::{NetworkId, PublicKey},
};

/// Everything that a network is founded on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Genesis {
    /// The name that people give the network.
    pub name: String,
    /// When the network was founded: the time of height 0. It also tells networks of the same name and
    /// authorities apart.
    pub time: BlockTime,
    /// The first authorities, in the order in which they lead.
    pub authorities: Vec<Authority>,
    /// Who may work and submit.
    pub access: Access,
    /// The round's times and bounds.
    pub consensus: ConsensusParameters,
    /// The ledger's bounds.
    pub ledger: LedgerLimits,
    /// The scheduler's policies.
    pub schedule: ScheduleParameters,
}

/// One of the peers that order transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// The name that people give it.
    pub name: String,
    /// Its key, which is also its peer identity.
    pub key: PublicKey,
    /// Multiaddresses at which other peers reach it, without the peer id.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// Why a genesis is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GenesisError {
    /// The text is not TOML, or a field is unknown, missing or wrong. The text names the line.
    #[error("{0}")]
    Text(String),
    /// The genesis as a whole breaks a rule, at this line if one line is at fault.
    #[error("line {line}: {what}")]
    AtLine {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// Several fields break a rule together.
    #[error("{0}")]
    Rule(String),
}

/// The file as people write it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: String,
    time_us: u64,
    #[serde(default)]
    access: Access,
    #[serde(default)]
    consensus: ConsensusParameters,
    #[serde(default)]
    ledger: LedgerLimits,
    #[serde(default)]
    schedule: ScheduleParameters,
    authorities: Vec<Spanned<Authority>>,
}

impl Genesis {
    /// The most authorities that a genesis may name.
    pub const AUTHORITIES_MAX: usize = 256;

    /// Reads a genesis as people write it.
    ///
    /// # Errors
    /// What is wrong, and in which line.
    pub fn from_toml(text: &str) -> Result<Self, GenesisError> {
        let file: File = toml::from_str(text).map_err(|error| GenesisError::Text(error.to_string()))?;
        let mut seen: BTreeMap<PublicKey, usize> = BTreeMap::new();
        for entry in &file.authorities {
            let line = text.get(..entry.span().start).map_or(1, |before| before.matches('\n').count() + 1);
            let at_line = |what| Err(GenesisError::AtLine { line, what });
            let Authority { name, key, .. } = entry.get_ref();
            if !key.is_valid() {
                return at_line(format!("the key of authority {name:?} is not a usable ed25519 public key"));
            }
            if let Some(first) = seen.insert(*key, line) {
                return at_line(format!("authority {name:?} has the same key as the one at line {first}"));
            }
        }
        let genesis = Self {
            name: file.name,
            time: BlockTime(file.time_us),
            authorities: file.authorities.into_iter().map(Spanned::into_inner).collect(),
            access: file.access,
            consensus: file.consensus,
            ledger: file.ledger,
            schedule: file.schedule,
        };
        genesis.check()?;
        Ok(genesis)
    }

    /// The genesis as people read it; [`Genesis::from_toml`] takes it back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        #[derive(Serialize)]
        struct Out<'a> {
            name: &'a str,
            time_us: u64,
            access: &'a Access,
            consensus: &'a ConsensusParameters,
            ledger: &'a LedgerLimits,
            schedule: &'a ScheduleParameters,
            authorities: &'a [Authority],
        }
        let Self { name, time, authorities, access, consensus, ledger, schedule } = self;
        toml::to_string(&Out { name, time_us: time.0, access, consensus, ledger, schedule, authorities })
            .expect("a genesis is made of tables, numbers and texts")
    }

    /// Checks the rules that fields must keep together.
    ///
    /// # Errors
    /// Which rule is broken, and by what.
    pub fn check(&self) -> Result<(), GenesisError> {
        let rule = |holds: bool, what: &dyn Fn() -> String| {
            if holds { Ok(()) } else { Err(GenesisError::Rule(what())) }
        };
        let (round, ledger, count) = (&self.consensus, &self.ledger, self.authorities.len());
        rule((1..=Self::AUTHORITIES_MAX).contains(&count), &|| {
            format!("there must be 1 to {} authorities, not {count}", Self::AUTHORITIES_MAX)
        })?;
        let unique: BTreeSet<_> = self.authorities.iter().map(|authority| authority.key).collect();
        rule(unique.len() == count, &|| "two authorities have the same key".into())?;
        for (what, value) in [
            ("consensus.delta_ms", round.delta_ms),
            ("consensus.heartbeat_ms", round.heartbeat_ms),
            ("consensus.clock_bound_ms", round.clock_bound_ms),
            ("consensus.timer_ms_max", round.timer_ms_max),
            ("consensus.silent_views", u64::from(round.silent_views)),
            ("consensus.view_window", round.view_window),
            ("consensus.snapshot_interval", round.snapshot_interval),
            ("consensus.snapshot_lag", round.snapshot_lag),
            ("consensus.gate_interval", round.gate_interval),
            ("consensus.block_transactions_max", round.block_transactions_max as u64),
            ("ledger.report_items_max", ledger.report_items_max as u64),
            ("ledger.claim_attempts_max", u64::from(ledger.claim_attempts_max)),
            ("ledger.job_tasks_max", u64::from(ledger.job_tasks_max)),
        ] {
            rule((1..=u64::from(u32::MAX)).contains(&value), &|| {
                format!("{what} must be 1 to {}, not {value}", u32::MAX)
            })?;
        }
        rule(round.timer_ms_max >= 3 * round.delta_ms, &|| {
            format!("consensus.timer_ms_max must be at least 3 delta_ms, {}", 3 * round.delta_ms)
        })?;
        rule(round.block_bytes_max <= Self::BLOCK_BYTES_MAX, &|| {
            format!("consensus.block_bytes_max must be at most {}", Self::BLOCK_BYTES_MAX)
        })?;
        rule(
            ledger.transaction_bytes_max.saturating_add(SignedTransaction::ENVELOPE_BYTES) <= round.block_bytes_max,
            &|| "ledger.transaction_bytes_max must leave room for an envelope in consensus.block_bytes_max".into(),
        )?;
        let threshold_ms = round.stall_threshold_ms(self.authority_set().faulty_max());
        rule(ledger.claim_stands_ms_max >= 3 * threshold_ms, &|| {
            format!("ledger.claim_stands_ms_max must be at least three stall thresholds, {}", 3 * threshold_ms)
        })?;
        rule(ledger.allowance_ms >= 2 * threshold_ms, &|| {
            format!("ledger.allowance_ms must be at least two stall thresholds, {}", 2 * threshold_ms)
        })?;
        self.access.check().map_err(GenesisError::Rule)?;
        self.schedule.check().map_err(GenesisError::Rule)
    }

    /// The largest value of `consensus.block_bytes_max`: what fits a message.
    pub const BLOCK_BYTES_MAX: usize = 8 << 20;

    /// The network's id: the digest of everything above.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        Digest::of_value("meshwork 1 genesis", self).into()
    }

    /// The authorities of epoch 0.
    #[must_use]
    pub fn authority_set(&self) -> AuthoritySet {
        AuthoritySet::of(self.authorities.clone())
    }
}
