//! Which claim a task gets: its submitter's preferences, then locality, then the claims' scores.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use super::{OpenClaims, Place, Policies, Score};
use crate::{
    digest::Digest,
    fault::{Fault, is_planted},
    identity::PublicKey,
};

/// So many claims with a label, or a blob, are put in order by themselves; of more, all claims are gone through in order.
const FEW: usize = 1024;
/// Tasks are not spread over a label of more values among the claims that stand: to look at each would cost more than it is worth.
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

/// What is known of the search for one kind of task, while claims are only given things: for each set of labels and blob that was
/// looked for, before where in the order of scores no claim can take it, or which few could.
#[derive(Clone, Debug, Default)]
pub struct Cursor(BTreeMap<Sought, Reached>);

/// Labels that a claim has to have, and a blob that it has to hold.
type Sought = (Option<Digest>, Vec<(String, String)>);

#[derive(Clone, Debug)]
enum Reached {
    /// No claim before this one can take what is looked for.
    From((Score, PublicKey)),
    /// Only these can, by scores that they had: since then they may have fallen back, and none has come forward.
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
        self.preferred(wish, &wish.prefers, &mut Vec::new(), cursor)
    }

    /// Claims that meet the next preference, then those that do not; `met` are those that have to be met.
    fn preferred<'w>(
        &self,
        wish: &Wish<'w>,
        prefers: &[Pair<'w>],
        met: &mut Vec<Pair<'w>>,
        cursor: &mut Cursor,
    ) -> Option<PublicKey> {
        let Some((first, rest)) = prefers.split_first() else { return self.spread(wish, met, cursor) };
        met.push(*first);
        let found = self.preferred(wish, rest, met, cursor);
        met.pop();
        found.or_else(|| self.preferred(wish, rest, met, cursor))
    }

    fn spread(&self, wish: &Wish<'_>, met: &[Pair<'_>], cursor: &mut Cursor) -> Option<PublicKey> {
        if let Some((label, counts)) = wish.spread.filter(|_| !is_planted(Fault::SpreadIgnored))
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
                if let Some(found) = self.local(wish, &met, cursor) {
                    return Some(found);
                }
            }
        }
        self.local(wish, met, cursor)
    }

    fn local(&self, wish: &Wish<'_>, met: &[Pair<'_>], cursor: &mut Cursor) -> Option<PublicKey> {
        let held = wish.holds.filter(|blob| self.open.holders(blob).is_some());
        let found = held.and_then(|blob| self.among(Some(blob), wish.draw, met, cursor));
        found.or_else(|| self.among(None, wish.draw, met, cursor))
    }

    /// The best claim that holds this blob, if one is named, and has all these labels.
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
        let found = self.open.from(self.place, from).find(|(_, key)| look(key).is_some());
        cursor.0.insert(sought, found.map_or(Reached::Nowhere, Reached::From));
        found.map(|(_, key)| key)
    }

    /// A claim that is drawn, or the next after it that will do. The digest is four draws: where most claims are taken, the next
    /// after the first would soon be the same few.
    fn drawn(&self, draw: Digest, look: impl Fn(&PublicKey) -> Option<Score>) -> Option<PublicKey> {
        let seats = u64::from(self.open.seats()).max(1);
        let (draws, _) = draw.0.as_chunks();
        let mut seat = 0;
        for drawn in draws {
            seat = u64::from_be_bytes(*drawn) % seats;
            let next = self.open.from(self.place, Some((Score([seat, 0]), PublicKey([0; 32])))).next();
            if let Some((_, key)) = next.filter(|(score, key)| score.0[0] == seat && look(key).is_some()) {
                return Some(key);
            }
        }
        self.open.around(self.place, Score([seat, 0])).map(|(_, key)| key).find(|key| look(key).is_some())
    }
}
