//! Which claim a task gets: its submitter's preferences, then locality, then the claims' scores.

use std::collections::{BTreeMap, BTreeSet};

use super::{OpenClaims, Place, Policies, Score};
use crate::{digest::Digest, identity::PublicKey};

/// Seats that are drawn before the next ones are gone through.
const DRAWS: u64 = 4;
/// How many claims with a label, or a blob, are looked at one by one; more are gone through in the order of their scores.
const LOOKED_AT_MAX: usize = 512;
/// How many values of a label tasks are spread over at once: those with the fewest.
const SPREAD_MAX: usize = 64;

/// A label and its value.
pub type Pair<'a> = (&'a str, &'a str);

/// What is wished of a claim besides what is needed.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// Labels that it should have, the most important first; one that is met counts for more than all after it.
    pub prefers: Vec<Pair<'a>>,
    /// A label over whose values the job's tasks are to be spread, and how many of them hold leases at each value.
    pub spread: Option<(&'a str, Option<&'a BTreeMap<String, u32>>)>,
    /// A blob that it should hold.
    pub holds: Option<Digest>,
    /// What is drawn for the task, if its claim is.
    pub draw: Option<Digest>,
}

impl Wish<'_> {
    const fn is_plain(&self) -> bool {
        self.prefers.is_empty() && self.spread.is_none() && self.holds.is_none() && self.draw.is_none()
    }
}

/// What is known of the search for one kind of task, while claims are only given things.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cursor(Option<(Score, PublicKey)>);

/// Where to look, and how to look at one.
pub struct Search<'a, L: Fn(&PublicKey) -> Option<Score>> {
    /// The claims.
    pub open: &'a OpenClaims,
    /// The network's policies.
    pub policies: &'a Policies,
    /// What of a claim is looked for.
    pub place: Place,
    /// The score of a claim that can take the task, of the place that is looked for.
    pub look: L,
    /// Whether a claim has a label.
    pub has: &'a dyn Fn(&PublicKey, Pair<'_>) -> bool,
}

impl<L: Fn(&PublicKey) -> Option<Score>> Search<'_, L> {
    /// The best claim for a task with this wish, if any can take it. `cursor` is of tasks that need the same.
    pub fn find(&self, wish: &Wish<'_>, cursor: &mut Cursor) -> Option<PublicKey> {
        if wish.is_plain() {
            return self.next(cursor);
        }
        self.preferred(wish, &mut Vec::new())
    }

    /// The next claim in the order of scores. None before the cursor can take what needs the same.
    fn next(&self, cursor: &mut Cursor) -> Option<PublicKey> {
        let from = cursor.0.filter(|_| !self.policies.draw_more());
        let found = self.open.from(self.place, from).find(|(_, key)| (self.look)(key).is_some());
        cursor.0 = found;
        found.map(|(_, key)| key)
    }

    /// Claims that meet the next preference, then those that do not; `met` are those that have to be met.
    fn preferred<'w>(&self, wish: &Wish<'w>, met: &mut Vec<Pair<'w>>) -> Option<PublicKey> {
        let Some((first, rest)) = wish.prefers.split_first() else { return self.spread(wish, met) };
        let rest = Wish { prefers: rest.to_vec(), ..wish.clone() };
        met.push(*first);
        let found = self.preferred(&rest, met);
        met.pop();
        found.or_else(|| self.preferred(&rest, met))
    }

    fn spread(&self, wish: &Wish<'_>, met: &[Pair<'_>]) -> Option<PublicKey> {
        if let Some((label, counts)) = wish.spread {
            let mut values: Vec<(u32, &str)> = self
                .open
                .values(label)
                .map(|value| (counts.and_then(|counts| counts.get(value)).copied().unwrap_or(0), value))
                .collect();
            values.sort_unstable();
            for (_, value) in values.into_iter().take(SPREAD_MAX) {
                let met: Vec<Pair<'_>> = met.iter().copied().chain([(label, value)]).collect();
                if let Some(found) = self.local(wish, &met) {
                    return Some(found);
                }
            }
        }
        self.local(wish, met)
    }

    fn local(&self, wish: &Wish<'_>, met: &[Pair<'_>]) -> Option<PublicKey> {
        let holders = wish.holds.as_ref().and_then(|blob| self.open.holders(blob));
        let held = holders.and_then(|holders| self.among(Some(holders), wish.draw, met));
        held.or_else(|| self.among(None, wish.draw, met))
    }

    /// The best of these claims (of all if none are named) that have all these labels.
    fn among(&self, claims: Option<&BTreeSet<PublicKey>>, draw: Option<Digest>, met: &[Pair<'_>]) -> Option<PublicKey> {
        let mut fewest = claims;
        for (label, value) in met {
            let labelled = self.open.labelled(label, value)?;
            if fewest.is_none_or(|fewest| labelled.len() < fewest.len()) {
                fewest = Some(labelled);
            }
        }
        let suits = |key: &PublicKey| {
            claims.is_none_or(|claims| claims.contains(key)) && met.iter().all(|pair| (self.has)(key, *pair))
        };
        let look = |key: &PublicKey| if suits(key) { (self.look)(key) } else { None };
        if let Some(draw) = draw {
            return self.drawn(draw, look);
        }
        match fewest {
            Some(few) if few.len() <= LOOKED_AT_MAX => {
                few.iter().filter_map(|key| Some((look(key)?, *key))).min().map(|(_, key)| key)
            }
            _ => self.open.from(self.place, None).map(|(_, key)| key).find(|key| look(key).is_some()),
        }
    }

    /// A claim that is drawn, or the next after it that will do.
    fn drawn(&self, draw: Digest, look: impl Fn(&PublicKey) -> Option<Score>) -> Option<PublicKey> {
        let seats = u64::from(self.open.seats()).max(1);
        let seat = |number: u64| {
            let digest = Digest::of_parts("meshwork 1 drawn seat", &[&draw.0, &number.to_be_bytes()]);
            let (head, _) = digest.0.split_first_chunk().unwrap_or((&[0; 8], &[]));
            u64::from_be_bytes(*head) % seats
        };
        for number in 0..DRAWS {
            let key = self.open.at_seat(u32::try_from(seat(number)).unwrap_or(u32::MAX));
            if let Some(key) = key.filter(|key| look(key).is_some()) {
                return Some(key);
            }
        }
        let start = Score([seat(DRAWS), 0]);
        self.open.around(self.place, start).map(|(_, key)| key).find(|key| look(key).is_some())
    }
}
