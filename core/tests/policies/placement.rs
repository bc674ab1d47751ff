//! Tests the choice of a claim against a look at all of them.

use std::collections::{BTreeMap, BTreeSet};

use meshwork_core::{
    digest::Digest,
    identity::{PublicKey, SecretKey},
    schedule::placement::{
        Candidate, OpenClaims, Opening, Policies, Score,
        choose::{Cursor, Pair, Preferences, Search},
    },
    types::{Claim, PlacementPolicy},
};
use proptest::{collection::vec, prelude::*, sample};

/// A claim as the reference sees it.
#[derive(Clone, Debug)]
struct Offer {
    key: PublicKey,
    claim: Claim,
    load: u16,
    running: u32,
    turn: u64,
    seat: u32,
    faults_permille: u16,
}

impl Offer {
    const SLOTS: u32 = 3;

    const fn candidate(&self) -> Candidate {
        Candidate {
            load: self.load,
            slots: Self::SLOTS,
            running: self.running,
            running_at_claim: 0,
            waiting: 0,
            turn: self.turn,
            seat: self.seat,
            faults_permille: self.faults_permille,
        }
    }

    const fn is_open(&self) -> bool {
        self.running < Self::SLOTS
    }

    fn has(&self, (label, value): Pair<'_>) -> bool {
        self.claim.labels.get(label).is_some_and(|own| own == value)
    }

    /// The number by which each policy compares claims, in the form in which people are told it.
    fn number(&self, policy: PlacementPolicy, wanted: Option<Digest>) -> u64 {
        match policy {
            PlacementPolicy::LeastLoaded => u64::from(self.load) * 1000 + 1_000_000 * u64::from(self.running) / 3,
            PlacementPolicy::RoundRobin => self.turn,
            PlacementPolicy::Pack => u64::from(Self::SLOTS - self.running),
            PlacementPolicy::Trusted => u64::from(self.faults_permille / 50),
            PlacementPolicy::Locality => u64::from(!wanted.is_some_and(|blob| self.claim.blobs.contains(&blob))),
            PlacementPolicy::Random => unreachable!("compared otherwise"),
        }
    }
}

fn blob(number: u8) -> Digest {
    Digest::of(&[number])
}

/// One task's wishes, and the claims that cannot take it.
#[derive(Clone, Debug)]
struct Task {
    prefers: Vec<(String, String)>,
    spread: bool,
    wants: Option<u8>,
    refused_by: BTreeSet<u8>,
}

fn task() -> impl Strategy<Value = Task> {
    let pair =
        (sample::select(vec!["zone", "arch"]), 0..3u8).prop_map(|(label, value)| (label.into(), value.to_string()));
    (vec(pair, 0..3), any::<bool>(), prop::option::of(0..4u8), prop::collection::btree_set(0..8u8, 0..5))
        .prop_map(|(prefers, spread, wants, refused_by)| Task { prefers, spread, wants, refused_by })
}

/// Zone, architecture, blobs, load and attempts of a claim.
type DrawnOffer = (Option<u8>, u8, BTreeSet<u8>, u16, u32);

fn offers() -> impl Strategy<Value = Vec<Offer>> {
    let offer = (prop::option::of(0..3u8), 0..3u8, prop::collection::btree_set(0..4u8, 0..3), 0..1000u16, 0..4u32);
    vec(offer, 1..8).prop_map(|offers| {
        let offer = |(at, drawn): (usize, DrawnOffer)| {
            let (zone, arch, holds, load, running) = drawn;
            let mut claim = Claim { blobs: holds.into_iter().map(blob).collect(), ..Claim::default() };
            claim.labels.insert("arch".into(), arch.to_string());
            if let Some(zone) = zone {
                claim.labels.insert("zone".into(), zone.to_string());
            }
            let key = SecretKey::from_seed([at as u8; 32]).public();
            let (load, turn, faults_permille) = (load / 100 * 100, u64::from(load % 7), load % 11 * 90);
            Offer { key, claim, load, running, turn, seat: at as u32, faults_permille }
        };
        offers.into_iter().enumerate().map(offer).collect()
    })
}

struct Market {
    policies: Policies,
    open: OpenClaims,
    offers: BTreeMap<PublicKey, Offer>,
}

impl Market {
    fn new(offers: Vec<Offer>, policies: &[PlacementPolicy]) -> Self {
        let (policies, mut open) = (Policies::new(policies), OpenClaims::default());
        for offer in &offers {
            open.describe(offer.key, &offer.claim);
            assert!(open.take_seat(offer.seat));
        }
        let mut market = Self { policies, open, offers: BTreeMap::new() };
        for offer in offers {
            market.offers.insert(offer.key, offer.clone());
            market.open.update(Opening::Resources, offer.key, None, market.score(&offer));
        }
        market
    }

    fn score(&self, offer: &Offer) -> Option<Score> {
        offer.is_open().then(|| self.policies.score(&offer.candidate()))
    }

    fn find(
        &self,
        task: &Task,
        spread: &BTreeMap<String, u32>,
        draw: Option<Digest>,
        cursor: &mut Cursor,
    ) -> Option<PublicKey> {
        let refused: Vec<PublicKey> =
            task.refused_by.iter().map(|seed| SecretKey::from_seed([*seed; 32]).public()).collect();
        let look = |key: &PublicKey| {
            let offer = self.offers.get(key)?;
            if refused.contains(key) { None } else { self.score(offer) }
        };
        let has = |key: &PublicKey, pair: Pair<'_>| self.offers.get(key).is_some_and(|offer| offer.has(pair));
        let preferences = Preferences {
            prefers: task.prefers.iter().map(|(label, value)| (label.as_str(), value.as_str())).collect(),
            spread: task.spread.then_some(("zone", Some(spread))),
            blob: task.wants.filter(|_| self.policies.is_local).map(blob),
            draw,
        };
        Search { open: &self.open, policies: &self.policies, opening: Opening::Resources, look, has: &has }
            .find(&preferences, cursor)
    }

    fn give(&mut self, key: PublicKey, turn: u64) {
        let Some(mut offer) = self.offers.get(&key).cloned() else { return };
        let before = self.score(&offer);
        offer.running += 1;
        offer.turn = turn;
        let now = self.score(&offer);
        self.open.update(Opening::Resources, key, before, now);
        self.offers.insert(key, offer);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn the_best_of_all_claims_is_found_under_every_sequence_of_policies(
        policies in sample::select(vec![
            vec![PlacementPolicy::LeastLoaded],
            vec![PlacementPolicy::RoundRobin],
            vec![PlacementPolicy::Pack],
            vec![PlacementPolicy::Pack, PlacementPolicy::LeastLoaded],
            vec![PlacementPolicy::LeastLoaded, PlacementPolicy::RoundRobin],
            vec![PlacementPolicy::Locality, PlacementPolicy::LeastLoaded],
            vec![PlacementPolicy::Locality, PlacementPolicy::Pack],
            vec![PlacementPolicy::Trusted, PlacementPolicy::LeastLoaded],
        ]),
        offers in offers(),
        tasks in vec(task(), 1..4),
        rounds in 1..6usize,
    ) {
        let mut market = Market::new(offers, &policies);
        let mut spread: BTreeMap<String, u32> = BTreeMap::new();
        let mut cursors = vec![Cursor::default(); tasks.len()];
        let mut turn = 10;
        for at in (0..tasks.len()).cycle().take(rounds * tasks.len()) {
            let task = &tasks[at];
            let refuses = |offer: &Offer| {
                task.refused_by.iter().any(|seed| SecretKey::from_seed([*seed; 32]).public() == offer.key)
            };
            let worth = |offer: &Offer| {
                let missed: Vec<bool> =
                    task.prefers.iter().map(|(label, value)| !offer.has((label, value))).collect();
                let zone = offer.claim.labels.get("zone");
                // The value with the fewest tasks, among equals the first. Claims without the label come after
                // all that have it.
                let crowd = match zone {
                    _ if !task.spread => (false, 0, String::new()),
                    Some(zone) => (false, spread.get(zone).copied().unwrap_or(0), zone.clone()),
                    None => (true, 0, String::new()),
                };
                let numbers: Vec<u64> = policies.iter().map(|policy| offer.number(*policy, task.wants.map(blob))).collect();
                (missed, crowd, numbers, offer.key)
            };
            let open = market.offers.values().filter(|offer| offer.is_open() && !refuses(offer));
            let expected = open.min_by_key(|offer| worth(offer)).map(|offer| offer.key);
            let found = market.find(task, &spread, None, &mut cursors[at]);
            prop_assert_eq!(found, expected);
            if let Some(found) = found {
                if let Some(zone) = market.offers[&found].claim.labels.get("zone") {
                    *spread.entry(zone.clone()).or_default() += 1;
                }
                turn += 1;
                market.give(found, turn);
            }
        }
    }

    #[test]
    fn a_draw_finds_a_claim_if_there_is_one_and_only_one_that_can_take_the_task(
        offers in offers(),
        task in task(),
        draw: [u8; 32],
    ) {
        let market = Market::new(offers, &[PlacementPolicy::Random]);
        let task = Task { prefers: Vec::new(), spread: false, ..task };
        let refused: Vec<PublicKey> = task.refused_by.iter().map(|seed| SecretKey::from_seed([*seed; 32]).public()).collect();
        let able: Vec<PublicKey> =
            market.offers.values().filter(|offer| offer.is_open() && !refused.contains(&offer.key)).map(|o| o.key).collect();
        let found = market.find(&task, &BTreeMap::new(), Some(Digest(draw)), &mut Cursor::default());
        prop_assert_eq!(found.is_some(), !able.is_empty());
        prop_assert!(found.is_none_or(|found| able.contains(&found)));
    }
}

#[test]
fn every_claim_is_drawn_about_as_often() {
    const DRAWS: u32 = 6_000;
    let offer = |at: u8| Offer {
        key: SecretKey::from_seed([at; 32]).public(),
        claim: Claim::default(),
        load: 0,
        running: 0,
        turn: 0,
        seat: u32::from(at),
        faults_permille: 500,
    };
    let market = Market::new((0..6).map(offer).collect(), &[PlacementPolicy::Random]);
    let task = Task { prefers: Vec::new(), spread: false, wants: None, refused_by: BTreeSet::new() };
    let mut drawn: BTreeMap<PublicKey, u32> = BTreeMap::new();
    for number in 0..DRAWS {
        let draw = Digest::of(&number.to_be_bytes());
        let found = market.find(&task, &BTreeMap::new(), Some(draw), &mut Cursor::default()).expect("all are open");
        *drawn.entry(found).or_default() += 1;
    }
    // Five standard deviations of a fair die.
    assert!(drawn.len() == 6 && drawn.values().all(|times| times.abs_diff(DRAWS / 6) < 145), "{drawn:?}");
}
