//! The values that fuzzing starts from: messages and stored values of the network in miniature, and handmade
//! ones of other kinds. They are made anew for each run, so they always have the present format.

pub(crate) mod work;

use std::collections::BTreeSet;

use meshwork_core::{
    blobs::{DeliveryAnswer, DeliveryOffer, Head, Request, parts},
    codec::{self, ByteString},
    consensus::{Evidence, Tell},
    digest::Digest,
    frames,
    replica::{Gossip, Message},
    snapshot::SnapshotRequest,
    types::{
        Access, Action, BlobRef, Change, Epoch, Genesis, Govern, Height, KeyLimit, Limit, Manifest, NetworkLimit,
        OrderPolicy, Permission, PlacementPolicy, Receipt, Recur, Statement, Verdict, View,
    },
};
use serde::Serialize;

use crate::network::{Network, network};

/// How many values of one kind are taken from the network's messages.
const EACH_MAX: usize = 6;
/// Larger values would only slow fuzzing down. One is taken only if nothing smaller exists.
const BYTES_MAX: usize = 8 << 10;

/// One value to start from.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The target's name.
    pub target: &'static str,
    /// The value.
    pub bytes: Vec<u8>,
}

/// All seeds: always the same, in the same order.
#[must_use]
pub fn seeds() -> Vec<Seed> {
    let network = network();
    let mut seeds = Seeds::default();
    transactions(network, &mut seeds);
    said(network, &mut seeds);
    stored(network, &mut seeds);
    blobs(network, &mut seeds);
    genesis(&network.genesis, &mut seeds);
    seeds.made
}

#[derive(Default)]
struct Seeds {
    made: Vec<Seed>,
    seen: BTreeSet<(&'static str, Digest)>,
}

impl Seeds {
    fn bytes(&mut self, target: &'static str, bytes: Vec<u8>) -> bool {
        let new = self.seen.insert((target, Digest::of(&bytes)));
        if new {
            self.made.push(Seed { target, bytes });
        }
        new
    }

    fn value(&mut self, target: &'static str, value: &impl Serialize) -> bool {
        self.bytes(target, codec::encode(value))
    }

    /// A few of these, or the smallest if all are too large.
    fn some<T: Serialize>(&mut self, target: &'static str, values: impl IntoIterator<Item = T>) {
        let mut encoded: Vec<Vec<u8>> = values.into_iter().map(|value| codec::encode(&value)).collect();
        if encoded.iter().all(|bytes| bytes.len() > BYTES_MAX) {
            encoded.sort_by_key(Vec::len);
            encoded.truncate(1);
        } else {
            encoded.retain(|bytes| bytes.len() <= BYTES_MAX);
        }
        // Spread evenly, from the first to the last.
        let every = encoded.len().div_ceil(EACH_MAX).max(1);
        for bytes in encoded.into_iter().step_by(every) {
            self.bytes(target, bytes);
        }
    }
}

fn transactions(network: &Network, seeds: &mut Seeds) {
    let all = &network.transactions;
    seeds.some("envelope", all);
    seeds.some("transactions", all.chunks(2));
    seeds.value("transactions", &Vec::<u8>::new());
    for kind in ["submit", "extend", "control", "recur", "claim", "report", "drain"] {
        let of_kind = all.iter().filter(|signed| name_of(&signed.transaction().action) == kind);
        seeds.some("transaction", of_kind.map(|signed| signed.transaction()));
    }
    for signed in all {
        match &signed.transaction().action {
            Action::Submit(submit) => seeds.value("submit", submit),
            Action::Extend(extend) => seeds.value("extend", extend),
            Action::Control(control) => seeds.value("control", control),
            Action::Recur(recur) => seeds.value("recur", recur),
            Action::Claim(claim) => seeds.value("claim", claim),
            Action::Report(report) => seeds.value("report", report),
            Action::Drain(drain) => seeds.value("drain", drain),
            Action::Govern(_) => false,
        };
    }
    changes(network, seeds);
    // The jobs that exist when inputs are tried.
    for job in network.ledger.jobs() {
        seeds.value("control", &meshwork_core::types::Control::cancel(job.id));
    }
    for recurring in network.ledger.recurring() {
        for recur in [Recur::Pause(recurring.id), Recur::Resume(recurring.id), Recur::Delete(recurring.id)] {
            seeds.value("recur", &recur);
        }
    }
}

/// One of each change that authorities can make.
fn changes(network: &Network, seeds: &mut Seeds) {
    let genesis = network.ledger.genesis();
    let mut schedule = genesis.schedule.clone();
    schedule.order = vec![OrderPolicy::Fair, OrderPolicy::Priority];
    schedule.weights = [(network.submitter.public(), 3)].into();
    let quota = [(KeyLimit::Running, 1), (KeyLimit::Tasks, 10)].into();
    let joins = meshwork_core::types::Authority {
        name: "joins".into(),
        key: network.worker.public(),
        addresses: vec!["/ip4/192.0.2.7/tcp/4100".into()],
    };
    for change in [
        Change::AddAuthority(joins),
        Change::RemoveAuthority(genesis.authorities[1].key),
        Change::Bar(Permission::Work, network.worker.public()),
        Change::Bar(Permission::Submit, network.submitter.public()),
        Change::Permit(Permission::Submit, network.worker.public()),
        Change::SetQuota(network.submitter.public(), quota),
        Change::SetLimit(Limit::Key(KeyLimit::Running), 0),
        Change::SetLimit(Limit::Network(NetworkLimit::Tasks), 1),
        Change::SetSchedule(Box::new(schedule)),
    ] {
        seeds.value("govern", &Govern::Propose(change));
    }
    for proposal in network.ledger.proposals() {
        seeds.value("govern", &Govern::Approve(proposal.id));
    }
}

const fn name_of(action: &Action) -> &'static str {
    match action {
        Action::Submit(_) => "submit",
        Action::Extend(_) => "extend",
        Action::Control(_) => "control",
        Action::Recur(_) => "recur",
        Action::Claim(_) => "claim",
        Action::Report(_) => "report",
        Action::Drain(_) => "drain",
        Action::Govern(_) => "govern",
    }
}

fn said(network: &Network, seeds: &mut Seeds) {
    let of = |kind: fn(&Gossip) -> bool| network.gossip.iter().filter(move |gossip| kind(gossip));
    seeds.some("gossip", of(|gossip| matches!(gossip, Gossip::Transactions(_))));
    seeds.some("gossip", of(|gossip| matches!(gossip, Gossip::Proposal(_))));
    seeds.some("gossip", of(|gossip| matches!(gossip, Gossip::Finalization(_))));
    let evidence = evidence(network);
    for proof in &evidence {
        seeds.value("evidence", proof);
        seeds.value("gossip", &Gossip::Evidence(Box::new(proof.clone())));
    }
    let of = |kind: fn(&Message) -> bool| network.messages.iter().filter(move |message| kind(message));
    seeds.some("message", of(|message| matches!(message, Message::Votes(_))));
    seeds.some("message", of(|message| matches!(message, Message::Ask(_))));
    seeds.some("message", of(|message| matches!(message, Message::Tell(_))));
    seeds.some("message", of(|message| matches!(message, Message::Transactions(_))));
    seeds.some("message", of(|message| matches!(message, Message::BlocksFrom(..))));
    seeds.some("message", of(|message| matches!(message, Message::Blocks(..))));
    seeds.value("message", &Message::Tell(Box::default()));
    seeds.value("message", &Message::BlocksFrom(Epoch(0), Height(3)));
    seeds.value("message", &Message::Transactions(network.transactions[..1].to_vec()));

    let proposals = network.gossip.iter().filter_map(|gossip| match gossip {
        Gossip::Proposal(proposal) => Some(proposal),
        _ => None,
    });
    seeds.some("proposal", proposals);
    let votes = || {
        let batches = network.messages.iter().filter_map(|message| match message {
            Message::Votes(votes) => Some(votes),
            _ => None,
        });
        batches.flatten()
    };
    let of_last: Vec<_> = votes().filter(|vote| vote.voter.0 == 3).cloned().collect();
    seeds.some("votes", of_last.chunks(3));
    let told: Vec<&Tell> = network
        .messages
        .iter()
        .filter_map(|message| match message {
            Message::Tell(tell) => Some(&**tell),
            _ => None,
        })
        .collect();
    let certificates = || told.iter().flat_map(|tell| &tell.certificates).chain(network.finalizations());
    for kind in [is_notarize, is_nullify, is_finalize] {
        seeds.some("vote", votes().filter(|vote| kind(&vote.statement)));
        seeds.some("votes", votes().filter(|vote| kind(&vote.statement)).map(|vote| [vote]));
        seeds.some("certificate", certificates().filter(|certificate| kind(&certificate.statement)));
    }
}

const fn is_notarize(statement: &Statement) -> bool {
    matches!(statement, Statement::Notarize(..))
}

const fn is_nullify(statement: &Statement) -> bool {
    matches!(statement, Statement::Nullify(_))
}

const fn is_finalize(statement: &Statement) -> bool {
    matches!(statement, Statement::Finalize(..))
}

fn evidence(network: &Network) -> Vec<Evidence> {
    let (view, one, other) = (View(3), Digest::of(b"one"), Digest::of(b"other"));
    let pairs = [
        (Statement::Notarize(view, one), Statement::Notarize(view, other)),
        (Statement::Finalize(view, one), Statement::Finalize(view, other)),
        (Statement::Nullify(view), Statement::Finalize(view, one)),
    ];
    let prove = |(first, second)| Evidence { first: network.vote(3, first), second: network.vote(3, second) };
    pairs.into_iter().map(prove).collect()
}

fn stored(network: &Network, seeds: &mut Seeds) {
    seeds.some("block", network.blocks());
    for snapshot in network.snapshots().step_by(2) {
        seeds.bytes("snapshot", snapshot.clone());
    }
    seeds.bytes("snapshot", meshwork_core::ledger::Ledger::new(network.genesis.clone()).snapshot());
    let offers = network.offers();
    assert!(offers.iter().all(|offer| offer.certified.verify(&network.genesis).is_ok()), "an offer that does not hold");
    seeds.some("snapshot-offer", &offers);
    seeds.some(
        "snapshot-ask",
        [SnapshotRequest::Newest, SnapshotRequest::Chunk(Height(8), 3), SnapshotRequest::Block(Height(9))],
    );
    seeds.some("record", &network.records);
    seeds.some("receipts", network.receipts().values());
    let outcomes = || network.receipts().values().flatten().filter(|receipt| matches!(receipt, Receipt::Outcome(_)));
    for receipt in outcomes() {
        seeds.value("receipts", &[receipt]);
    }
    let handover = network.handover();
    seeds.some("handover", &handover);
    let proofs = network.proofs();
    let of = |kind: fn(&Receipt) -> bool| proofs.iter().filter(move |proof| kind(&proof.receipt));
    seeds.some("proof", of(|receipt| matches!(receipt, Receipt::Transaction(_))));
    seeds.some("proof", of(|receipt| matches!(receipt, Receipt::Outcome(_))));
}

fn blobs(network: &Network, seeds: &mut Seeds) {
    let file = |path: &str, content: &[u8]| (path.to_owned(), content.to_vec());
    let large = vec![1; Manifest::PACKED_BYTES_MAX as usize + 1];
    seeds.value("blob-manifest", &Manifest::of(Vec::new(), Vec::new(), Vec::new()).manifest);
    let small =
        Manifest::of(b"out".to_vec(), vec![file("a", b"one"), file("b/c", b"out")], vec!["d/e".into()]).manifest;
    seeds.value("blob-manifest", &small);
    let mixed =
        Manifest::of(large.clone(), vec![file("a", b"one"), file("b", &large), file("c", b"")], Vec::new()).manifest;
    seeds.value("blob-manifest", &mixed);
    let receipts = || network.receipts().values().flatten();
    let attempt = receipts().find_map(|receipt| match receipt {
        Receipt::Outcome(outcome) => Some(outcome.attempt),
        Receipt::Transaction(_) => None,
    });
    let attempt = attempt.expect("a task has ended");
    for (manifest, stderr) in [(small, None), (mixed, Some(BlobRef::of(b"warning")))] {
        let encoding = codec::encode(&manifest);
        let (_, bytes) = parts(&manifest, stderr, encoding.len() as u64).expect("it is sound");
        seeds.value("blob-offer", &DeliveryOffer { attempt, stderr, bytes, manifest: ByteString::from(encoding) });
    }
    seeds.value("blob-answer", &DeliveryAnswer::Wanted(vec![0, 2]));
    seeds.value("blob-answer", &DeliveryAnswer::Refused("there is no room for it".into()));
    for receipt in receipts() {
        if let Receipt::Outcome(outcome) = receipt
            && let Verdict::Succeeded(_, meshwork_core::types::Output::Stored { delivery, .. }, ..) = &outcome.verdict
        {
            seeds.value("blob-answer", &DeliveryAnswer::Stored(delivery.clone()));
            break;
        }
    }
    seeds.bytes("blob-request", Request { digest: Digest::of(b"x"), offset: 1 << 16 }.encode().to_vec());
    for head in [Head::Found(1 << 20), Head::Missing, Head::Busy] {
        seeds.bytes("blob-head", head.encode().to_vec());
    }
    // The first byte says how many bytes come at a time.
    for (piece, sizes) in [(1, &[1, 300][..]), (40, &[7, 5, 90]), (255, &[])] {
        let mut stream = vec![piece];
        for size in sizes {
            frames::append(&vec![*size as u8; *size], &mut stream);
        }
        seeds.bytes("frames", stream);
    }
}

fn genesis(genesis: &Genesis, seeds: &mut Seeds) {
    seeds.bytes("genesis", genesis.to_toml().into_bytes());
    let mut other = genesis.clone();
    let quota = [(KeyLimit::Tasks, 10), (KeyLimit::Running, 2)].into();
    other.access = Access {
        workers: Some(genesis.authority_set().keys().collect()),
        submitters: Some(Default::default()),
        quotas: [(genesis.authorities[0].key, quota)].into(),
    };
    other.authorities.truncate(1);
    other.schedule.order = vec![OrderPolicy::Fair, OrderPolicy::Fifo];
    other.schedule.weights = [(genesis.authorities[0].key, 3)].into();
    other.schedule.placement = vec![PlacementPolicy::RoundRobin];
    seeds.bytes("genesis", other.to_toml().into_bytes());
    let key = genesis.authorities[0].key;
    seeds.bytes(
        "genesis",
        format!("name = 'n'\ntime_us = 1 # when\n[[authorities]]\nname = \"a\\u0062\"\nkey = \"{key}\"\n").into_bytes(),
    );
}
