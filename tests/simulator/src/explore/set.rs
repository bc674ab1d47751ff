//! Sets of small numbers.

const WORDS: usize = 6;

/// A set of numbers below [`Set::LIMIT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Set([u64; WORDS]);

impl Set {
    pub(super) const LIMIT: usize = WORDS * 64;

    pub(super) fn insert(&mut self, number: u16) {
        self.0[usize::from(number) / 64] |= 1 << (number % 64);
    }

    pub(super) fn remove(&mut self, number: u16) {
        self.0[usize::from(number) / 64] &= !(1 << (number % 64));
    }

    pub(super) fn contains(&self, number: u16) -> bool {
        self.0[usize::from(number) / 64] & 1 << (number % 64) != 0
    }

    pub(super) fn and(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= other);
        self
    }

    pub(super) fn or(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word |= other);
        self
    }

    pub(super) fn without(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word &= !other);
        self
    }

    pub(super) fn iter(self) -> impl Iterator<Item = u16> {
        self.0.into_iter().zip(0u16..).flat_map(|(mut word, place)| {
            std::iter::from_fn(move || {
                let bit = word.trailing_zeros() as u16;
                word &= word.wrapping_sub(1);
                (bit < 64).then_some(place * 64 + bit)
            })
        })
    }

    /// The numbers that are in at least this many of the sets.
    pub(super) fn in_at_least(count: usize, sets: &[Self]) -> Self {
        // reached[k] are those in more than k of the sets so far.
        let mut reached = [Self::default(); 8];
        for set in sets {
            for k in (1..reached.len()).rev() {
                reached[k] = reached[k].or(&reached[k - 1].and(set));
            }
            reached[0] = reached[0].or(set);
        }
        count.checked_sub(1).and_then(|place| reached.get(place).copied()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Set;

    fn set(numbers: &[u16]) -> Set {
        let mut set = Set::default();
        numbers.iter().for_each(|number| set.insert(*number));
        set
    }

    #[test]
    fn a_number_counts_once_for_each_set_that_it_is_in() {
        let sets = [set(&[1, 2, 300]), set(&[2, 300]), set(&[2, 70])];
        assert_eq!(Set::in_at_least(1, &sets).iter().collect::<Vec<_>>(), [1, 2, 70, 300]);
        assert_eq!(Set::in_at_least(2, &sets), set(&[2, 300]));
        assert_eq!(Set::in_at_least(3, &sets), set(&[2]));
        assert_eq!(Set::in_at_least(4, &sets), Set::default());
        assert_eq!(sets[0].without(&sets[1]).or(&set(&[7])), set(&[1, 7]));
    }
}
