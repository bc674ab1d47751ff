//! The results of a run, in numbers.

use meshwork_core::types::Genesis;
use serde::{Deserialize, Serialize};

use super::{
    full::Full,
    gossip::Mesh,
    record::{Record, Times},
    setup::Setup,
    wire::{IDONTWANT_BYTES, Sum, Way, ihave_per_s},
};

/// The median and the 99th percentile, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50_ms: u64,
    /// The 99th percentile.
    pub p99_ms: u64,
}

impl Percentiles {
    fn of(times: &Times) -> Self {
        Self { p50_ms: times.percentile_ms(50), p99_ms: times.percentile_ms(99) }
    }
}

/// The load of a peer each second. Bytes are those on the wire, with framing, headers and gossip's control
/// messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages received, including duplicates, without control messages.
    pub messages_in: f64,
    /// Messages sent, likewise.
    pub messages_out: f64,
    /// Bytes received.
    pub bytes_in: f64,
    /// Bytes sent.
    pub bytes_out: f64,
}

/// The bytes that an ordinary peer receives each second, by kind. Medians.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kinds {
    /// Transactions.
    pub transactions: f64,
    /// Proposed blocks.
    pub blocks: f64,
    /// Finalizations.
    pub finalizations: f64,
    /// Gossip's control messages: IHAVE, calculated, and IDONTWANT, counted.
    pub control: f64,
}

/// The measurements.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// How many peers there are.
    pub peers: usize,
    /// How many of them are authorities.
    pub authorities: usize,
    /// How many connections a peer has on average.
    pub connections: f64,
    /// How many neighbours a peer has in the mesh of a topic, on average.
    pub neighbours: f64,
    /// How long claims stand, in seconds.
    pub claim_stands_s: f64,
    /// The time from submitting a job until it is final at its submitter.
    pub job_final: Percentiles,
    /// The same, until it is final at the first authority.
    pub job_known: Percentiles,
    /// The time from proposing a block until it is final, over all peers.
    pub block_final: Percentiles,
    /// Final blocks a second.
    pub blocks_per_s: f64,
    /// Transactions in them.
    pub transactions_per_s: f64,
    /// Claims among these.
    pub claims_per_s: f64,
    /// Reports among these.
    pub reports_per_s: f64,
    /// Outcomes in these reports.
    pub tasks_per_s: f64,
    /// Transactions that were void.
    pub void_per_s: f64,
    /// Tasks without an outcome at the end.
    pub backlog_tasks: u64,
    /// Jobs that were submitted while measuring and did not become final.
    pub jobs_not_final: u64,
    /// Workers with a standing claim at the end.
    pub workers: u64,
    /// Bytes of a proposal, on average.
    pub proposal_bytes: f64,
    /// Bytes of the largest one.
    pub proposal_bytes_max: u64,
    /// The most transactions in one block.
    pub block_transactions_max: u64,
    /// The largest share that is used of what the genesis lets a block hold, of transactions or of bytes.
    pub block_share: f64,
    /// Bytes of a finalization, on average.
    pub certificate_bytes: f64,
    /// Gossip messages published each second in all.
    pub published_per_s: f64,
    /// How often an ordinary peer receives one message, on average.
    pub copies: f64,
    /// Ordinary peers, the median of each figure.
    pub ordinary: Traffic,
    /// Ordinary peers, the largest of each figure.
    pub ordinary_max: Traffic,
    /// Authorities, the largest of each figure.
    pub authority_max: Traffic,
    /// What an ordinary peer receives.
    pub kinds: Kinds,
    /// How often blocks had to be fetched because gossip arrived out of order.
    pub caught_up: u64,
    /// How much sooner than computed a block was final, at most, at the watched peer, which is run in full; in
    /// milliseconds.
    pub sooner_ms_max: f64,
    /// How much later, at most.
    pub later_ms_max: f64,
}

struct Peers<'a> {
    setup: &'a Setup,
    mesh: &'a Mesh,
    seconds: f64,
}

impl Peers<'_> {
    fn ihave(&self, peer: usize) -> (f64, f64) {
        let (connections, neighbours) = self.mesh.degrees_of(peer);
        Way::ALL.iter().zip(self.mesh.published).fold((0.0, 0.0), |(bytes, messages), (way, published)| {
            let said = ihave_per_s(*way, published as f64 / self.seconds, connections, neighbours);
            (bytes + said.0, messages + said.1)
        })
    }

    fn control(&self, peer: usize, idontwants: u64) -> f64 {
        self.ihave(peer).0 + (idontwants * IDONTWANT_BYTES as u64) as f64 / self.seconds
    }

    fn traffic(&self, peer: usize) -> Traffic {
        let sum: &Sum = &self.mesh.sums[peer];
        let per_s = |count: u64| count as f64 / self.seconds;
        Traffic {
            messages_in: per_s(sum.messages_in),
            messages_out: per_s(sum.messages_out),
            bytes_in: per_s(sum.bytes_in.iter().sum()) + self.control(peer, sum.idontwant_in),
            bytes_out: per_s(sum.bytes_out.iter().sum()) + self.control(peer, sum.idontwant_out),
        }
    }

    fn kinds(&self, peer: usize) -> Kinds {
        let sum: &Sum = &self.mesh.sums[peer];
        let per_s = |way: Way| sum.bytes_in[way as usize] as f64 / self.seconds;
        Kinds {
            transactions: per_s(Way::Transactions),
            blocks: per_s(Way::Blocks),
            finalizations: per_s(Way::Finalizations),
            control: self.control(peer, sum.idontwant_in),
        }
    }

    fn ordinary(&self) -> std::ops::Range<usize> {
        self.setup.authorities..self.setup.peers
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn largest(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn each(traffic: &[Traffic], of: impl Fn(&mut dyn Iterator<Item = f64>) -> f64) -> Traffic {
    Traffic {
        messages_in: of(&mut traffic.iter().map(|one| one.messages_in)),
        messages_out: of(&mut traffic.iter().map(|one| one.messages_out)),
        bytes_in: of(&mut traffic.iter().map(|one| one.bytes_in)),
        bytes_out: of(&mut traffic.iter().map(|one| one.bytes_out)),
    }
}

fn mean(sum: u64, count: u64) -> f64 {
    sum as f64 / count.max(1) as f64
}

impl Figures {
    /// Computes the figures from the record.
    #[must_use]
    pub fn of(setup: &Setup, genesis: &Genesis, mesh: &Mesh, record: &Record, fulls: &[Full]) -> Self {
        let seconds = setup.seconds as f64;
        let peers = Peers { setup, mesh, seconds };
        let per_s = |count: u64| count as f64 / seconds;
        let ordinary: Vec<Traffic> = peers.ordinary().map(|peer| peers.traffic(peer)).collect();
        let authorities: Vec<Traffic> = (0..setup.authorities).map(|peer| peers.traffic(peer)).collect();
        let kinds: Vec<Kinds> = peers.ordinary().map(|peer| peers.kinds(peer)).collect();
        let published: u64 = mesh.published.iter().sum();
        let gossiped = ordinary.iter().map(|one| one.messages_in).sum::<f64>() / ordinary.len().max(1) as f64;
        let totals =
            fulls.iter().max_by_key(|full| full.replica.ledger().height()).map(|full| full.replica.ledger().totals());
        let totals = totals.unwrap_or_default();
        let (connections, neighbours) = mesh.degrees();
        let round = &genesis.consensus;
        let share = |used: u64, most: usize| used as f64 / most as f64;
        Self {
            peers: setup.peers,
            authorities: setup.authorities,
            connections,
            neighbours,
            claim_stands_s: genesis.ledger.claim_stands_ms_max as f64 / 1000.0,
            job_final: Percentiles::of(&record.job_final),
            job_known: Percentiles::of(&record.job_known),
            block_final: Percentiles::of(&record.block_final),
            blocks_per_s: per_s(record.blocks),
            transactions_per_s: per_s(record.transactions),
            claims_per_s: per_s(record.claims),
            reports_per_s: per_s(record.reports),
            tasks_per_s: per_s(record.outcomes),
            void_per_s: per_s(record.void),
            backlog_tasks: totals.tasks.unfinished(),
            jobs_not_final: record.outstanding,
            workers: totals.workers,
            proposal_bytes: mean(record.proposal_bytes, record.proposals),
            proposal_bytes_max: record.proposal_bytes_max,
            block_transactions_max: record.block_transactions_max,
            block_share: share(record.block_transactions_max, round.block_transactions_max)
                .max(share(record.proposal_bytes_max, round.block_bytes_max)),
            certificate_bytes: mean(record.certificate_bytes, record.certificates),
            published_per_s: per_s(published),
            copies: gossiped / per_s(published).max(f64::MIN_POSITIVE),
            ordinary: each(&ordinary, |values| median(values)),
            ordinary_max: each(&ordinary, |values| largest(values)),
            authority_max: each(&authorities, |values| largest(values)),
            kinds: Kinds {
                transactions: median(kinds.iter().map(|one| one.transactions)),
                blocks: median(kinds.iter().map(|one| one.blocks)),
                finalizations: median(kinds.iter().map(|one| one.finalizations)),
                control: median(kinds.iter().map(|one| one.control)),
            },
            caught_up: record.caught_up,
            sooner_ms_max: record.sooner_us_max as f64 / 1000.0,
            later_ms_max: record.later_us_max as f64 / 1000.0,
        }
    }
}
