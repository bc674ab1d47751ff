//! Tests the queue of ready tasks against a list that is walked from one end to the other.

use std::{cmp::Ordering, collections::BTreeMap, sync::Arc};

use meshwork_core::{
    identity::{PublicKey, SecretKey},
    schedule::{
        order::{Facts, Fair, Sequence, Shares},
        placement::Opening,
        ready::{Kind, Needs, OffersVersion, QueueEntry, ReadyQueue},
        recovery::Avoidance,
    },
    types::{BlockTime, OrderPolicy, ScheduleParameters},
};
use proptest::{collection::vec, prelude::*, sample};

const SLICE_MS: u64 = 1000;
const AGEING_MS: u64 = 60_000;
/// How many rounds a submitter that was passed over may catch up; see the policy.
const ROUNDS_BEHIND_MAX: u64 = 4;

#[derive(Clone, Debug)]
struct Waiting {
    submitter: PublicKey,
    millicores: u32,
    facts: Facts,
    index: u32,
    is_fresh: bool,
}

impl Waiting {
    fn cost(&self) -> u64 {
        (self.facts.expected_ms * u64::from(self.millicores) / 1000).max(1)
    }
}

/// Walks through the rounds one by one and hands out grants as they come.
#[derive(Default)]
struct Rounds {
    now: u64,
    accounts: BTreeMap<PublicKey, (u64, i64)>,
    weights: BTreeMap<PublicKey, u32>,
}

impl Rounds {
    fn account(&self, submitter: &PublicKey) -> (u64, i64) {
        self.accounts.get(submitter).copied().unwrap_or((self.now, 0))
    }

    /// The account in the round in which it has something left.
    fn at_turn(&self, submitter: &PublicKey) -> (u64, i64) {
        let weight = self.weights.get(submitter).copied().unwrap_or(1);
        let (mut round, mut left) = self.account(submitter);
        while left <= 0 {
            round += 1;
            left += (SLICE_MS * u64::from(weight)) as i64;
        }
        (round, left)
    }

    fn charge(&mut self, submitter: &PublicKey, cost: u64) {
        let (round, left) = self.at_turn(submitter);
        self.now = self.now.max(round);
        let round = round.max(self.now.saturating_sub(ROUNDS_BEHIND_MAX));
        self.accounts.insert(*submitter, (round, left - cost as i64));
    }

    fn settle(&mut self, submitter: &PublicKey, cost: u64, used: u64) {
        let (round, left) = self.account(submitter);
        self.accounts.insert(*submitter, (round, left + cost as i64 - used as i64));
    }
}

/// The rules in the form in which people are told them.
fn compare(one: &Waiting, other: &Waiting, policies: &[OrderPolicy], rounds: &Rounds) -> Ordering {
    let span = |facts: &Facts| (facts.admitted.0 / (AGEING_MS * 1000)) as i64 - i64::from(facts.priority);
    let by = |policy: &OrderPolicy| match policy {
        OrderPolicy::Fifo => one.facts.number.cmp(&other.facts.number),
        OrderPolicy::Priority => {
            span(&one.facts).cmp(&span(&other.facts)).then(other.facts.priority.cmp(&one.facts.priority))
        }
        OrderPolicy::Deadline => match (one.facts.deadline, other.facts.deadline) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        },
        OrderPolicy::Shortest => one.facts.expected_ms.cmp(&other.facts.expected_ms),
        OrderPolicy::Fair => rounds.at_turn(&one.submitter).0.cmp(&rounds.at_turn(&other.submitter).0),
    };
    let order = policies.iter().map(by).find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal);
    order.then((one.facts.number, one.is_fresh, one.index).cmp(&(other.facts.number, other.is_fresh, other.index)))
}

#[derive(Clone, Debug)]
enum Step {
    Add {
        submitter: u8,
        millicores: u32,
        priority: i16,
        later_us: u64,
        deadline: Option<u64>,
        expected_ms: u64,
        run: bool,
    },
    /// Takes the first task whose needs are not among these.
    Take {
        full: Vec<u32>,
    },
    Settle {
        which: usize,
        used_ms: u64,
    },
    Freeze {
        submitter: u8,
        frozen: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let add = (0..3u8, 0..3u32, -2..3i16, 0..100_000_000u64, prop::option::of(0..50u64), 1..5000u64, any::<bool>());
    prop_oneof![
        4 => add.prop_map(|(submitter, cores, priority, later_us, deadline, expected_ms, run)| Step::Add {
            submitter, millicores: cores * 1000, priority, later_us, deadline, expected_ms, run
        }),
        5 => vec(0..3u32, 0..2).prop_map(|cores| Step::Take { full: cores.iter().map(|cores| cores * 1000).collect() }),
        2 => (0..50usize, 0..20_000u64).prop_map(|(which, used_ms)| Step::Settle { which, used_ms }),
        1 => (0..3u8, any::<bool>()).prop_map(|(submitter, frozen)| Step::Freeze { submitter, frozen }),
    ]
}

fn policies() -> impl Strategy<Value = Vec<OrderPolicy>> {
    use OrderPolicy::{Deadline, Fair, Fifo, Priority, Shortest};
    sample::subsequence(vec![Fair, Priority, Deadline, Shortest, Fifo], 1..=4).prop_shuffle()
}

fn entry(waiting: &Waiting, sequence: &Sequence) -> QueueEntry {
    let needs = Needs { millicores: waiting.millicores, ..Needs::default() };
    QueueEntry {
        submitter: waiting.submitter,
        kind: Kind { needs: Arc::new(needs), avoidance: Avoidance::default() },
        rank: sequence.rank(&waiting.facts),
        admission: waiting.facts.number,
        job: waiting.facts.number,
        is_fresh: waiting.is_fresh,
        index: waiting.index,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn the_queue_gives_what_a_plain_list_would_under_every_sequence_of_policies(
        policies in policies(),
        weight in 1..4u32,
        steps in vec(step(), 1..80),
    ) {
        let people: Vec<PublicKey> = (0..3).map(|seed| SecretKey::from_seed([seed; 32]).public()).collect();
        let weights = BTreeMap::from([(people[0], weight)]);
        let parameters = ScheduleParameters {
            order: policies.clone(),
            ageing_ms: AGEING_MS,
            slice_ms: SLICE_MS,
            weights: weights.clone(),
            ..ScheduleParameters::default()
        };
        let sequence = Sequence::new(&parameters);
        let (mut shares, mut queue) = (Shares::new(SLICE_MS, weights.clone()), ReadyQueue::default());
        for person in &people {
            shares.begin(person);
        }
        let mut rounds = Rounds { weights, ..Rounds::default() };
        for person in &people {
            rounds.accounts.insert(*person, (0, 0));
        }
        let (mut list, mut gone, mut frozen): (Vec<Waiting>, Vec<Waiting>, Vec<PublicKey>) = Default::default();
        let (mut number, mut now) = (0, 0);
        for step in steps {
            match step {
                Step::Add { submitter, millicores, priority, later_us, deadline, expected_ms, run } => {
                    now += later_us;
                    // Now and then the next task is of the same job.
                    number += u64::from(later_us % 3 != 0);
                    let facts = Facts {
                        number,
                        admitted: BlockTime(now),
                        priority,
                        deadline: deadline.map(BlockTime),
                        expected_ms,
                    };
                    let submitter = people[usize::from(submitter)];
                    let waiting = Waiting { submitter, millicores, facts, index: list.len() as u32, is_fresh: run };
                    let is_new = |other: &Waiting| {
                        (other.facts.number, other.is_fresh, other.index) != (number, run, waiting.index)
                    };
                    if list.iter().chain(&gone).all(is_new) {
                        queue.push(&entry(&waiting, &sequence), &sequence, &shares);
                        list.push(waiting);
                    }
                }
                Step::Take { full } => {
                    let may_go = |waiting: &&Waiting| {
                        !full.contains(&waiting.millicores) && !frozen.contains(&waiting.submitter)
                    };
                    let expected = list.iter().filter(may_go).min_by(|a, b| compare(a, b, &policies, &rounds)).cloned();
                    let mut passed = None;
                    let found = loop {
                        let Some(head) = queue.head_after(passed) else { break None };
                        let kind = queue.kind(head.kind).expect("it has tasks");
                        if !full.contains(&kind.needs.millicores) {
                            break Some(head);
                        }
                        queue.park(head.kind, Opening::Resources, OffersVersion(1));
                        passed = Some(head);
                    };
                    let key = |waiting: &Waiting| (waiting.facts.number, waiting.is_fresh, waiting.index);
                    prop_assert_eq!(
                        found.map(|head| (head.key.job, head.key.is_fresh, head.key.index)),
                        expected.as_ref().map(key)
                    );
                    let Some(expected) = expected else { continue };
                    queue.remove(&entry(&expected, &sequence), &sequence, &shares);
                    list.retain(|waiting| key(waiting) != key(&expected));
                    prop_assert_eq!(Fair::cost(expected.millicores, expected.facts.expected_ms), expected.cost());
                    shares.charge(&expected.submitter, expected.cost());
                    queue.share_changed(&expected.submitter, &sequence, &shares);
                    rounds.charge(&expected.submitter, expected.cost());
                    gone.push(expected);
                }
                Step::Settle { which, used_ms } => {
                    let Some(ended) = (!gone.is_empty()).then(|| gone[which % gone.len()].clone()) else { continue };
                    shares.settle(&ended.submitter, ended.cost(), used_ms);
                    queue.share_changed(&ended.submitter, &sequence, &shares);
                    rounds.settle(&ended.submitter, ended.cost(), used_ms);
                }
                Step::Freeze { submitter, frozen: hold } => {
                    let submitter = people[usize::from(submitter)];
                    queue.freeze(submitter, hold, &sequence, &shares);
                    frozen.retain(|held| *held != submitter);
                    frozen.extend(hold.then_some(submitter));
                }
            }
        }
    }

    #[test]
    fn those_who_always_want_more_get_time_by_their_weights(
        weights in vec(1..5u32, 2..5),
        costs in vec(1..4000u64, 2..20),
    ) {
        let people: Vec<PublicKey> = (0..weights.len() as u8).map(|seed| SecretKey::from_seed([seed; 32]).public()).collect();
        let mut shares = Shares::new(SLICE_MS, people.iter().copied().zip(weights.iter().copied()).collect());
        for person in &people {
            shares.begin(person);
        }
        let mut had = vec![0u64; people.len()];
        for turn in 0..2000 {
            let next = (0..people.len()).min_by_key(|at| (shares.turn(&people[*at]), *at)).expect("somebody");
            let cost = costs[(turn + next) % costs.len()];
            shares.charge(&people[next], cost);
            had[next] += cost;
        }
        // Counted in rounds, nobody is ahead of anybody by more than one grant and one task.
        for one in 0..people.len() {
            for other in 0..people.len() {
                let rounds = |at: usize| had[at] as f64 / f64::from(weights[at]) / SLICE_MS as f64;
                let most = 2.0 + 4000.0 / SLICE_MS as f64;
                prop_assert!((rounds(one) - rounds(other)).abs() <= most, "{had:?} with {weights:?}");
            }
        }
    }
}

#[test]
fn who_declares_too_little_pays_later() {
    let [honest, liar] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]).public());
    let mut shares = Shares::new(SLICE_MS, BTreeMap::new());
    shares.begin(&honest);
    shares.begin(&liar);
    let mut had = BTreeMap::from([(honest, 0), (liar, 0)]);
    for _ in 0..1000 {
        let next = if shares.turn(&liar) <= shares.turn(&honest) { liar } else { honest };
        // Both take 500 ms; one of them declares 1.
        let declared = if next == liar { 1 } else { 500 };
        shares.charge(&next, declared);
        shares.settle(&next, declared, 500);
        *had.entry(next).or_default() += 500u64;
    }
    assert!(had[&liar].abs_diff(had[&honest]) <= 2 * SLICE_MS, "{had:?}");
}

#[test]
fn whoever_leaves_in_debt_comes_back_in_debt_unless_rounds_have_passed() {
    let [one, other] = [1, 2].map(|seed| SecretKey::from_seed([seed; 32]).public());
    let mut shares = Shares::new(SLICE_MS, BTreeMap::new());
    shares.begin(&one);
    shares.begin(&other);
    shares.charge(&one, 10 * SLICE_MS);
    shares.end(&one);
    shares.begin(&one);
    assert_eq!(shares.turn(&one), 11);
    shares.end(&one);
    for _ in 0..30 {
        shares.charge(&other, SLICE_MS);
    }
    assert_eq!(shares.records().1.len(), 1, "what is paid is forgotten");
    shares.begin(&one);
    assert_eq!(shares.turn(&one), shares.turn(&other), "waiting is not saved up");
}
