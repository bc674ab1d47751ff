//! Which claim a task gets: its submitter's preferences count first, then locality, then the claims' scores.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use super::{OpenClaims, Opening, Policies, Score};
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
};

/// Up to this many claims with a label or a blob are sorted by themselves. If there are more, all claims are
/// walked in order.
const FEW: usize = 1024;
/// The most values of a label over which tasks are spread. Looking at each of more would cost more than it is
/// worth.
const SPREAD_MAX: usize = 64;

/// A label and its value.
pub type Pair<'a> = (&'a str, &'a str);

/// What a task wishes of a claim, besides its needs.
#[derive(Clone, Debug, Default)]
pub struct Preferences<'a> {
    /// Labels that the claim should have, the most important first. Each counts for more than all after it
    /// together.
    pub prefers: Vec<Pair<'a>>,
    /// A label over whose values the job's tasks are spread, and how many of them hold leases at each value.
    pub spread: Option<(&'a str, Option<&'a BTreeMap<String, u32>>)>,
    /// A blob that the claim should hold.
    pub blob: Option<Digest>,
    /// The draw for the task, if placement draws.
    pub draw: Option<Digest>,
}

/// How far the search for one kind of task has come, while claims are only given tasks. For each set of labels
/// and blob that was looked for, it has the place in the order of scores before which no claim can take the
/// task, or the few claims that could.
#[derive(Clone, Debug, Default)]
pub struct Cursor(BTreeMap<Sought, Reached>);

/// A blob that a claim must hold, and labels that it must have.
type Sought = (Option<Digest>, Vec<(String, String)>);

#[derive(Clone, Debug)]
enum Reached {
    /// No claim before this one can take the task.
    From((Score, PublicKey)),
    /// Only these claims can, with the scores that they had. Since then they may have fallen back, and none has
    /// come forward.
    Few(BinaryHeap<Reverse<(Score, PublicKey)>>),
    Nowhere,
}

/// The best of a few claims.
fn first_of(
    few: &mut BinaryHeap<Reverse<(Score, PublicKey)>>,
    look: impl Fn(&PublicKey) -> Option<Score>,
) -> Option<(Score, PublicKey)> {
    while let Some(Reverse((score, key))) = few.pop() {
        let Some(now) = look(&key) else { continue };
        few.push(Reverse((now, key)));
        if now == score {
            return Some((now, key));
        }
    }
    None
}

/// The claims to search, and how to look at one.
pub struct Search<'a, L: Fn(&PublicKey) -> Option<Score>> {
    /// The claims.
    pub open: &'a OpenClaims,
    /// The network's policies.
    pub policies: &'a Policies,
    /// The kind of place to find.
    pub opening: Opening,
    /// The score of a claim if it has such a place for the task.
    pub look: L,
    /// Whether a claim has a label.
    pub has: &'a dyn Fn(&PublicKey, Pair<'_>) -> bool,
}

impl<L: Fn(&PublicKey) -> Option<Score>> Search<'_, L> {
    /// The best claim for a task with this wish, if any can take it. `cursor` is that of tasks with the same
    /// needs.
    pub fn find(&self, preferences: &Preferences<'_>, cursor: &mut Cursor) -> Option<PublicKey> {
        self.preferred(preferences, &preferences.prefers, &mut Vec::new(), cursor)
    }

    /// Searches the claims that meet the next preference, then those that do not. `met` are the labels that
    /// claims must have.
    fn preferred<'w>(
        &self,
        preferences: &Preferences<'w>,
        prefers: &[Pair<'w>],
        met: &mut Vec<Pair<'w>>,
        cursor: &mut Cursor,
    ) -> Option<PublicKey> {
        let Some((first, rest)) = prefers.split_first() else { return self.spread(preferences, met, cursor) };
        met.push(*first);
        let found = self.preferred(preferences, rest, met, cursor);
        met.pop();
        found.or_else(|| self.preferred(preferences, rest, met, cursor))
    }

    fn spread(&self, preferences: &Preferences<'_>, met: &[Pair<'_>], cursor: &mut Cursor) -> Option<PublicKey> {
        if let Some((label, counts)) = preferences.spread.filter(|_| !is_planted(Fault::SpreadIgnored))
            && self.open.values(label).nth(SPREAD_MAX).is_none()
        {
            let mut values: Vec<(u32, &str)> = self
                .open
                .values(label)
                .map(|value| (counts.and_then(|counts| counts.get(value)).copied().unwrap_or(0), value))
                .collect();
            values.sort_unstable();
            for (_, value) in values {
                let met: Vec<Pair<'_>> = met.iter().copied().chain([(label, value)]).collect();
                if let Some(found) = self.local(preferences, &met, cursor) {
                    return Some(found);
                }
            }
        }
        self.local(preferences, met, cursor)
    }

    fn local(&self, preferences: &Preferences<'_>, met: &[Pair<'_>], cursor: &mut Cursor) -> Option<PublicKey> {
        let held = preferences.blob.filter(|blob| self.open.holders(blob).is_some());
        let found = held.and_then(|blob| self.among(Some(blob), preferences.draw, met, cursor));
        found.or_else(|| self.among(None, preferences.draw, met, cursor))
    }

    /// The best claim that holds this blob, if there is one to hold, and has all these labels.
    fn among(
        &self,
        blob: Option<Digest>,
        draw: Option<Digest>,
        met: &[Pair<'_>],
        cursor: &mut Cursor,
    ) -> Option<PublicKey> {
        let owned = |(label, value): &Pair<'_>| ((*label).to_owned(), (*value).to_owned());
        let sought: Sought = (blob, met.iter().map(owned).collect());
        let reached = cursor.0.remove(&sought);
        if matches!(reached, Some(Reached::Nowhere)) {
            cursor.0.insert(sought, Reached::Nowhere);
            return None;
        }
        let holders = blob.and_then(|blob| self.open.holders(&blob));
        let mut fewest = holders;
        for (label, value) in met {
            let labelled = self.open.labelled(label, value)?;
            if fewest.is_none_or(|fewest| labelled.len() < fewest.len()) {
                fewest = Some(labelled);
            }
        }
        let suits = |key: &PublicKey| {
            holders.is_none_or(|holders| holders.contains(key)) && met.iter().all(|pair| (self.has)(key, *pair))
        };
        let look = |key: &PublicKey| if suits(key) { (self.look)(key) } else { None };
        if let Some(draw) = draw {
            let found = self.drawn(draw, look);
            cursor.0.extend(found.is_none().then_some((sought, Reached::Nowhere)));
            return found;
        }
        let comes_forward = self.policies.draw_more();
        if let Some(few) = fewest.filter(|few| few.len() <= FEW) {
            let mut few = match reached {
                Some(Reached::Few(few)) if !comes_forward => few,
                _ => few.iter().filter_map(|key| Some(Reverse((look(key)?, *key)))).collect(),
            };
            let found = first_of(&mut few, look);
            cursor.0.insert(sought, if found.is_some() { Reached::Few(few) } else { Reached::Nowhere });
            return found.map(|(_, key)| key);
        }
        let from = match reached {
            Some(Reached::From(from)) if !comes_forward => Some(from),
            _ => None,
        };
        let found = self.open.from(self.opening, from).find(|(_, key)| look(key).is_some());
        cursor.0.insert(sought, found.map_or(Reached::Nowhere, Reached::From));
        found.map(|(_, key)| key)
    }

    /// A claim that is drawn, or the next after it that can take the task. The digest gives four draws: where
    /// most claims are taken, the next after a single draw would soon be the same few.
    fn drawn(&self, draw: Digest, look: impl Fn(&PublicKey) -> Option<Score>) -> Option<PublicKey> {
        let seats = u64::from(self.open.seats()).max(1);
        let (draws, _) = draw.0.as_chunks();
        let mut seat = 0;
        for drawn in draws {
            seat = u64::from_be_bytes(*drawn) % seats;
            let next = self.open.from(self.opening, Some((Score([seat, 0]), PublicKey([0; 32])))).next();
            if let Some((_, key)) = next.filter(|(score, key)| score.0[0] == seat && look(key).is_some()) {
                return Some(key);
            }
        }
        self.open.around(self.opening, Score([seat, 0])).map(|(_, key)| key).find(|key| look(key).is_some())
    }
}
