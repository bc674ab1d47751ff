//! The genesis: what a network's peers must agree on before they meet. Its digest is the network's id.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use toml::Spanned;

use super::{AuthoritySet, BlockTime, Quota};
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::{NetworkId, PublicKey},
};

/// Everything that a network is founded on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Genesis {
    /// What people call the network.
    pub name: String,
    /// When it was founded: the time of height 0. It also tells networks of one name and one set of authorities apart.
    pub time: BlockTime,
    /// Who orders transactions, in the order in which they lead.
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

/// One of those who order transactions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    /// What people call it.
    pub name: String,
    /// Its key, which is its peer identity too.
    pub key: PublicKey,
    /// Multiaddresses at which it can be reached, without the peer id.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// Who may do what, and how much of it, to begin with. A list that is absent permits everyone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Access {
    /// Whose claims are taken.
    pub workers: Option<BTreeSet<PublicKey>>,
    /// Whose jobs are taken.
    pub submitters: Option<BTreeSet<PublicKey>>,
    /// The limits of single submitters, in place of those of each key in the ledger's bounds.
    pub quotas: BTreeMap<PublicKey, Quota>,
}

impl Access {
    /// The most keys in each of these lists.
    pub const KEYS_MAX: usize = 65_536;

    fn check(&self) -> Result<(), String> {
        let lists = [&self.workers, &self.submitters].into_iter().flatten().map(BTreeSet::len);
        if lists.chain([self.quotas.len()]).any(|keys| keys > Self::KEYS_MAX) {
            return Err(format!(
                "access.workers, access.submitters and access.quotas name at most {} keys each",
                Self::KEYS_MAX
            ));
        }
        Ok(())
    }
}

/// The times and bounds of the round.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConsensusParameters {
    /// Δ: how long a message between authorities takes at most while the network is well, in milliseconds. A view's first
    /// timer is three of them.
    pub delta_ms: u64,
    /// How long an idle network waits before it makes a block all the same, in milliseconds.
    pub heartbeat_ms: u64,
    /// How far ahead of a voter's clock a block's time may be, in milliseconds.
    pub clock_bound_ms: u64,
    /// The longest that a view's timer grows to, in milliseconds.
    pub timer_ms_max: u64,
    /// In how many views of which a quorum was heard an authority may be silent before its views are passed over at once.
    pub silent_views: u32,
    /// Votes for views further ahead of one's own than this are dropped.
    pub view_window: u64,
    /// The most bytes of transactions in a block.
    pub block_bytes_max: usize,
    /// The most transactions in a block.
    pub block_transactions_max: usize,
    /// The state is digested at every height that is a multiple of this.
    pub snapshot_interval: u64,
    /// A snapshot's digest is due in the first header whose R is at least this many heights past it.
    pub snapshot_lag: u64,
    /// An epoch can end only at a height that is a multiple of this.
    pub gate_interval: u64,
}

impl Default for ConsensusParameters {
    fn default() -> Self {
        Self {
            delta_ms: 250,
            heartbeat_ms: 1000,
            clock_bound_ms: 500,
            timer_ms_max: 30_000,
            silent_views: 8,
            view_window: 1024,
            block_bytes_max: 1 << 20,
            block_transactions_max: 4096,
            snapshot_interval: 1024,
            snapshot_lag: 8,
            gate_interval: 32,
        }
    }
}

/// The ledger's bounds: what exceeds one is void, on every peer alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerLimits {
    /// Bytes of one transaction's payload.
    pub transaction_bytes_max: usize,
    /// How far ahead of a block's time a transaction's expiry may lie, in milliseconds.
    pub transaction_life_ms_max: u64,
    /// Tasks in one job.
    pub job_tasks_max: u32,
    /// Unfinished tasks of one submitter.
    pub key_tasks_max: u64,
    /// Unfinished tasks in all.
    pub tasks_max: u64,
    /// Tasks of one submitter that workers hold, whether they run there or wait.
    pub key_running_max: u64,
    /// Output that the unfinished tasks of one submitter may leave, in bytes.
    pub key_output_bytes_max: u64,
    /// Output that all unfinished tasks may leave, in bytes.
    pub output_bytes_max: u64,
    /// Bytes in which the unfinished jobs of one submitter were submitted.
    pub key_definition_bytes_max: u64,
    /// Bytes in which all unfinished jobs were submitted.
    pub definition_bytes_max: u64,
    /// Recurring jobs of one submitter that have not ended.
    pub key_recurring_max: u64,
    /// Recurring jobs in all that have not ended.
    pub recurring_max: u64,
    /// The longest wall time that a task may ask for, in milliseconds.
    pub wall_ms_max: u64,
    /// The most failures of a program that a task may have forgiven.
    pub retries_max: u32,
    /// How often a task that took resources may be lost by its workers before it ends.
    pub losses_max: u32,
    /// Standing claims.
    pub workers_max: usize,
    /// Attempts that one claim may hold, running and waiting together.
    pub claim_attempts_max: u32,
    /// Items in one report.
    pub report_items_max: usize,
    /// Bytes of an output that stands on the ledger itself; a larger one is stored and delivered.
    pub inline_bytes_max: usize,
    /// The longest that a claim may stand, in milliseconds of lease time.
    pub claim_stands_ms_max: u64,
    /// What an attempt has beyond its wall time for fetching, compiling and stalls, in milliseconds.
    pub allowance_ms: u64,
    /// How long an ended job is kept in the state, in milliseconds of block time.
    pub retention_ms: u64,
}

impl Default for LedgerLimits {
    fn default() -> Self {
        Self {
            transaction_bytes_max: 768 << 10,
            transaction_life_ms_max: 10 * 60_000,
            job_tasks_max: 100_000,
            key_tasks_max: 1_000_000,
            tasks_max: 4_000_000,
            key_running_max: 1_000_000,
            key_output_bytes_max: 1 << 44,
            output_bytes_max: 1 << 46,
            key_definition_bytes_max: 64 << 20,
            definition_bytes_max: 512 << 20,
            key_recurring_max: 256,
            recurring_max: 16_384,
            wall_ms_max: 24 * 3_600_000,
            retries_max: 100,
            losses_max: 16,
            workers_max: 10_000,
            claim_attempts_max: 4096,
            report_items_max: 1024,
            inline_bytes_max: 1024,
            claim_stands_ms_max: 60_000,
            allowance_ms: 60_000,
            retention_ms: 3_600_000,
        }
    }
}

/// The policies that the scheduler follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScheduleParameters {
    /// Which ready task goes next: the first policy decides, the next where it finds two equal, and last the order of
    /// admission.
    pub order: Vec<OrderPolicy>,
    /// Which claim it goes to, likewise.
    pub placement: Vec<PlacementPolicy>,
    /// How long a wait makes up for one level of priority, in milliseconds.
    pub ageing_ms: u64,
    /// What a round of `fair` grants a submitter of weight 1, in milliseconds of one core; and how long an attempt that can
    /// be resumed runs before it makes room for others who wait.
    pub slice_ms: u64,
    /// What each submitter's share is worth; 1 for those who are not here.
    pub weights: BTreeMap<PublicKey, u32>,
}

impl ScheduleParameters {
    /// The most policies in one sequence.
    pub const ORDER_MAX: usize = 4;
    /// The most placement policies that give each claim a number.
    pub const SCORED_MAX: usize = 2;
    /// The most submitters with a weight of their own.
    pub const WEIGHTS_MAX: usize = 65_536;
    /// The largest weight.
    pub const WEIGHT_MAX: u32 = 1_000_000;

    pub(crate) fn check(&self) -> Result<(), String> {
        let rule = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
        let distinct = self.order.iter().enumerate().all(|(at, policy)| !self.order[..at].contains(policy));
        rule(distinct && self.order.len() <= Self::ORDER_MAX, "schedule.order names at most 4 policies, each once")?;
        let distinct = self.placement.iter().enumerate().all(|(at, policy)| !self.placement[..at].contains(policy));
        let scored = self.placement.iter().filter(|policy| **policy != PlacementPolicy::Locality).count();
        rule(
            distinct && (1..=Self::SCORED_MAX).contains(&scored),
            "schedule.placement names one or two policies besides locality, each once",
        )?;
        rule(
            scored == 1 || !self.placement.contains(&PlacementPolicy::Random),
            "schedule.placement takes no other policy with random, which finds no two claims equal",
        )?;
        let span = 1..=u64::from(u32::MAX);
        rule(span.contains(&self.ageing_ms), "schedule.ageing_ms must be 1 to 4294967295")?;
        rule(span.contains(&self.slice_ms), "schedule.slice_ms must be 1 to 4294967295")?;
        rule(
            self.weights.len() <= Self::WEIGHTS_MAX
                && self.weights.values().all(|weight| (1..=Self::WEIGHT_MAX).contains(weight)),
            "schedule.weights are 1 to 1000000, of at most 65536 keys",
        )
    }
}

impl Default for ScheduleParameters {
    fn default() -> Self {
        Self {
            order: vec![OrderPolicy::Priority],
            placement: vec![PlacementPolicy::Locality, PlacementPolicy::LeastLoaded],
            ageing_ms: 60_000,
            slice_ms: 10_000,
            weights: BTreeMap::new(),
        }
    }
}

/// Which ready task goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderPolicy {
    /// In the order of admission.
    Fifo,
    /// The larger priority first, with ageing.
    Priority,
    /// The earliest deadline first.
    Deadline,
    /// The shortest expected duration first.
    Shortest,
    /// Time slices across submitters, by their weights.
    Fair,
}

/// Which claim a task goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlacementPolicy {
    /// The one with the smallest load: work is spread.
    LeastLoaded,
    /// Each in turn.
    RoundRobin,
    /// One that is drawn.
    Random,
    /// The one with the fewest free slots: work is packed.
    Pack,
    /// One that holds the task's largest input, if it is large.
    Locality,
}

/// Why a genesis is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum GenesisError {
    /// The text is not TOML, or a field is unknown, missing or wrong. The text names the line.
    #[error("{0}")]
    Text(String),
    /// A rule about the whole is broken, at this line (counted from 1) if it is one line's fault.
    #[error("line {line}: {what}")]
    AtLine {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A rule that several fields must keep together is broken.
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
            ledger.transaction_bytes_max.saturating_add(super::SignedTransaction::ENVELOPE_BYTES)
                <= round.block_bytes_max,
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

    /// The most that `consensus.block_bytes_max` may be: what fits a message.
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

impl ConsensusParameters {
    /// The gap between two blocks beyond which the network stalled and leases stand still, in milliseconds: f + 1
    /// heartbeats, twice the clock bound, and the timers of f leaders that are passed over. `faulty_max` is the f of the
    /// authorities of the later block.
    #[must_use]
    pub fn stall_threshold_ms(&self, faulty_max: usize) -> u64 {
        let faulty = faulty_max as u64;
        let mut timers_ms = 0;
        let mut timer_ms = 3 * self.delta_ms;
        for _ in 0..faulty {
            timers_ms += timer_ms;
            timer_ms = (timer_ms + timer_ms / 2).min(self.timer_ms_max);
        }
        let heartbeats = if is_planted(Fault::ThresholdWithoutHeartbeats) { 0 } else { faulty + 1 };
        heartbeats * self.heartbeat_ms + 2 * self.clock_bound_ms + timers_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::SecretKey, types::KeyLimit};

    fn genesis(count: u8) -> Genesis {
        let authorities = (0..count).map(|seed| Authority {
            name: format!("a{seed}"),
            key: SecretKey::from_seed([seed + 1; 32]).public(),
            addresses: vec!["/ip4/127.0.0.1/tcp/4001".into()],
        });
        Genesis {
            name: "test".into(),
            time: BlockTime(1),
            authorities: authorities.collect(),
            access: Access::default(),
            consensus: ConsensusParameters::default(),
            ledger: LedgerLimits::default(),
            schedule: ScheduleParameters::default(),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut genesis = genesis(4);
        genesis.access.workers = Some(genesis.authority_set().keys().collect());
        let key = genesis.authorities[0].key;
        genesis.access.quotas.insert(key, [(KeyLimit::Tasks, 1000), (KeyLimit::OutputBytes, 1 << 30)].into());
        assert!(genesis.to_toml().contains(&format!("[access.quotas.{key}]\ntasks = 1000\noutput_bytes = ")));
        let read = Genesis::from_toml(&genesis.to_toml()).expect("own text is good");
        assert_eq!(read, genesis);
        assert_eq!(read.network_id(), genesis.network_id());
    }

    #[test]
    fn the_network_id_depends_on_every_part() {
        let plain = genesis(4);
        let mut other = plain.clone();
        other.ledger.losses_max += 1;
        assert_ne!(plain.network_id(), other.network_id());
    }

    #[test]
    fn a_duplicate_authority_is_refused_at_its_line() {
        let mut genesis = genesis(4);
        genesis.authorities[2].key = genesis.authorities[0].key;
        let text = genesis.to_toml();
        let line = text.lines().position(|line| line == "name = \"a2\"").expect("it is there");
        let error = Genesis::from_toml(&text).expect_err("a duplicate");
        let GenesisError::AtLine { line: named, what } = error else { panic!("{error}") };
        assert!((line..=line + 1).contains(&named), "line {named}, not {line}: {what}");
        assert!(what.contains("a2"));
    }

    #[test]
    fn unknown_fields_and_bad_keys_are_refused_with_their_line() {
        let text = genesis(1).to_toml();
        let unknown = text.replace("delta_ms", "delta_msec");
        let line = unknown.lines().position(|line| line.contains("delta_msec")).expect("it is there") + 1;
        let error = Genesis::from_toml(&unknown).expect_err("unknown").to_string();
        assert!(error.contains(&format!("line {line}")) && error.contains("delta_msec"), "{error}");
        let bad = text.replace("key = \"", "key = \"zz");
        let line = bad.lines().position(|line| line.contains("zz")).expect("it is there") + 1;
        let error = Genesis::from_toml(&bad).expect_err("bad").to_string();
        assert!(error.contains(&format!("line {line}")) && error.contains("64 hexadecimal digits"), "{error}");
    }

    #[test]
    fn numbers_that_overflow_when_they_are_reckoned_with_are_refused() {
        // So many leaders in a row time out, each half as long again as the one before, that no number holds the sum.
        let mut genesis = genesis(250);
        genesis.consensus.delta_ms = u64::from(u32::MAX);
        genesis.consensus.timer_ms_max = u64::MAX;
        assert!(matches!(genesis.check(), Err(GenesisError::Rule(_))));
        let mut genesis = self::genesis(1);
        genesis.ledger.transaction_bytes_max = usize::MAX;
        assert!(matches!(genesis.check(), Err(GenesisError::Rule(_))));
    }

    #[test]
    fn whatever_is_read_can_be_written() {
        let text = genesis(1).to_toml();
        for largest in [u64::MAX, i64::MAX as u64] {
            let text = text.replace("time_us = 1\n", &format!("time_us = {largest}\n"));
            assert!(text.contains(&largest.to_string()));
            if let Ok(read) = Genesis::from_toml(&text) {
                assert_eq!(Genesis::from_toml(&read.to_toml()), Ok(read));
            }
        }
    }

    #[test]
    fn leases_must_outlast_stalls() {
        let mut genesis = genesis(4);
        genesis.ledger.claim_stands_ms_max = 3 * genesis.consensus.stall_threshold_ms(1) - 1;
        assert!(matches!(genesis.check(), Err(GenesisError::Rule(_))));
    }
}
