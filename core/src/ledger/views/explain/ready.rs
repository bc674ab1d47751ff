//! Why a ready task is not placed, judged claim by claim.

use std::collections::BTreeSet;

use super::{
    LOOKS_MAX,
    reasons::{Claims, Hindrance, Need, Precedence, PreemptionOf, Ready, Requirement, ShareNow},
};
use crate::{
    identity::PublicKey,
    ledger::{
        Ledger,
        records::{
            jobs::{Job, TaskRef},
            workers::{StandingClaim, Worker},
        },
    },
    schedule::{
        placement::Opening,
        ready::{Kind, Needs, QueueEntry},
    },
    types::{BlockTime, KeyLimit, OrderPolicy},
};

/// A number as explanations hold it.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Worker {
    /// Whether this worker's claim has a place now for a task with these needs.
    fn is_open_to(&self, needs: &Needs) -> bool {
        [Opening::Resources, Opening::Waiting]
            .into_iter()
            .any(|place| self.index.score(place).is_some() && self.takes(needs, place))
    }
}

impl Ledger {
    pub(in crate::ledger) fn why_ready(&self, job: &Job, index: u32) -> Option<Ready> {
        let live = job.live(index);
        let entry = match live {
            Some(live) => job.entry(index, live)?,
            None => job.run(job.segment_at(index)?)?,
        };
        let (claims, usable) = self.sort_claims(&entry.kind);
        let submitter = &entry.submitter;
        let (leased, leased_max) =
            (self.index.quotas().leased_of(submitter), self.key_limit(submitter, KeyLimit::Running));
        let hindrance = match claims {
            _ if leased >= leased_max => Hindrance::Quota,
            Claims { capable: 0, .. } => Hindrance::NoClaim,
            Claims { open: 1.., .. } => Hindrance::Nothing,
            Claims { avoided_open: 1.., .. } => Hindrance::Avoidance,
            _ => Hindrance::Full,
        };
        let ahead = self.ahead_of(job, index, &entry, &usable);
        let spent = ahead.by.iter().any(|count| count.by == Precedence::Policy(OrderPolicy::Fair));
        let is_unclaimed = hindrance == Hindrance::NoClaim;
        Some(Ready {
            hindrance,
            leased,
            leased_max,
            claims,
            requirements: self.requirements(&entry.kind.needs),
            frees: self.first_to_free(&usable),
            ends: if is_unclaimed {
                self.unclaimed_until(&entry.kind.needs, job.admission(job.array_index(index)?.0).time)
            } else {
                None
            },
            avoids: live.map_or_else(Vec::new, |live| self.avoided_by(live)),
            ahead,
            share: self.sequence.is_fair().then(|| self.share_of(&entry, spent)),
        })
    }

    fn standing_claims(&self) -> impl Iterator<Item = (&PublicKey, &Worker, &StandingClaim)> {
        self.records.workers().iter().filter_map(|(key, worker)| Some((key, worker, worker.record.standing.as_ref()?)))
    }

    /// Sorts the claims by what they can do for a kind. Also returns the workers that could hold it and to which it
    /// may go.
    fn sort_claims(&self, kind: &Kind) -> (Claims, BTreeSet<PublicKey>) {
        let allowed = self.allowed_to(kind);
        let (mut claims, mut usable) = (Claims::default(), BTreeSet::new());
        for (key, worker, standing) in self.standing_claims() {
            claims.standing += 1;
            if !standing.could_ever_hold(&kind.needs) {
                continue;
            }
            claims.capable += 1;
            let is_open = worker.is_open_to(&kind.needs);
            if self.permits(&kind.avoidance, allowed, key) {
                usable.insert(*key);
                *if is_open { &mut claims.open } else { &mut claims.full } += 1;
            } else {
                claims.avoided += 1;
                claims.avoided_open += u32::from(is_open);
            }
        }
        (claims, usable)
    }

    /// Each single requirement of these needs.
    fn requirements(&self, needs: &Needs) -> Vec<Requirement> {
        let claims = || self.standing_claims().map(|(_, _, standing)| &standing.claim);
        let requirement = |need, claims: usize| Requirement { need, claims: count(claims) };
        let (millicores, memory) = (needs.millicores, needs.memory_bytes);
        let offered = |offered: Option<u32>| offered.unwrap_or(0);
        let mut all = vec![
            requirement(Need::Slot, claims().filter(|claim| claim.slots > 0).count()),
            requirement(
                Need::Millicores {
                    needed: millicores,
                    offered: offered(claims().map(|claim| claim.resources.millicores).max()),
                },
                claims().filter(|claim| claim.resources.millicores >= millicores).count(),
            ),
            requirement(
                Need::Memory {
                    needed: memory,
                    offered: claims().map(|claim| claim.resources.memory_bytes).max().unwrap_or(0),
                },
                claims().filter(|claim| claim.resources.memory_bytes >= memory).count(),
            ),
        ];
        all.extend(needs.labels.iter().map(|(label, value)| {
            let with = self.index.open().labelled(label, value).map_or(0, BTreeSet::len);
            let others = claims().filter(|claim| claim.labels.contains_key(label)).count() - with;
            let need = Need::Label { label: label.clone(), value: value.clone(), others: count(others) };
            requirement(need, with)
        }));
        all
    }

    /// When the first attempt at one of these workers has to end, if it is among the first of all attempts.
    fn first_to_free(&self, workers: &BTreeSet<PublicKey>) -> Option<BlockTime> {
        if workers.is_empty() {
            return None;
        }
        self.first_to_end(|attempt| {
            let lease = self.lease_of(*attempt).filter(|lease| lease.commitment().is_none());
            lease.is_some_and(|lease| workers.contains(&lease.worker))
        })
    }

    fn share_of(&self, entry: &QueueEntry, spent: bool) -> ShareNow {
        let submitter = &entry.submitter;
        let (round, shares) = self.records.shares().records();
        let turn = self.records.shares().turn(submitter);
        let has_had_more = |task: &TaskRef| {
            let other = self.records.job(task.job).map(|job| job.record.submitter);
            other.is_some_and(|other| self.records.shares().turn(&other) > turn)
                && self.would_fit(*task, &entry.kind.needs)
        };
        let ends = self.index.due().slices().take(LOOKS_MAX).find(|(_, task)| has_had_more(task));
        ShareNow {
            turn,
            round,
            spent,
            left_ms: shares.get(submitter).map_or(0, |share| share.left),
            slice_ends: ends.map(|(at, _)| self.at(at)),
            preemption: self.preemption_for(submitter),
        }
    }

    /// The attempt that was asked to stop for a submitter.
    fn preemption_for(&self, submitter: &PublicKey) -> Option<PreemptionOf> {
        if !self.index.is_asking(submitter) {
            return None;
        }
        self.index.due().preemptions().take(LOOKS_MAX).find_map(|(until, task)| {
            let job = self.records.job(task.job)?;
            let lease = job.lease(task.index)?;
            lease.preemption.as_ref().filter(|preemption| preemption.by == *submitter)?;
            Some(PreemptionOf { job: job.id, index: task.index, worker: lease.worker, until: self.at(until) })
        })
    }
}
