//! Merkle trees as in Certificate Transparency (RFC 6962 §2.1, with BLAKE3): roots, growing trees and inclusion
//! paths.
//!
//! Two trees make a receipt provable. The receipts of one block are the leaves of that block's tree. The roots
//! of all blocks' trees, one for each height from 1, are the leaves of the *history*, whose root a later header
//! carries. So a header's root covers every receipt up to its height, and nobody can leave a height out.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Digest {
    Digest::of_parts("meshwork 1 merkle empty", &[])
}

fn leaf_node(leaf: &Digest) -> Digest {
    Digest::of_parts("meshwork 1 merkle leaf", &[&leaf.0])
}

fn inner_node(left: &Digest, right: &Digest) -> Digest {
    Digest::of_parts("meshwork 1 merkle node", &[&left.0, &right.0])
}

/// The root of the tree of these leaves.
#[must_use]
pub fn root(leaves: &[Digest]) -> Digest {
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.append(leaf, |_, _| {});
    }
    tree.root()
}

/// A complete subtree: the one of the `2^level` leaves from `index · 2^level` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The level; 0 for a leaf.
    pub level: u8,
    /// The index within the level, from 0.
    pub index: u64,
}

/// A growing tree that keeps only the roots of its complete subtrees: as many as its size has bits set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frontier {
    size: u64,
    /// The roots, that of the largest complete subtree first.
    peaks: Vec<Digest>,
}

impl Frontier {
    /// The number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Whether there are as many peaks as the size requires. A frontier from a stranger may have others.
    #[must_use]
    pub fn is_consistent(&self) -> bool {
        self.peaks.len() == self.size.count_ones() as usize
    }

    /// The subtrees whose roots are kept. Inclusion paths of later leaves need these of the earlier ones.
    pub fn peaks(&self) -> impl Iterator<Item = (Position, Digest)> {
        let levels = (0..64u8).rev().filter(|level| self.size >> level & 1 == 1);
        levels.zip(&self.peaks).map(|(level, peak)| {
            // Larger subtrees cover everything before this one.
            let index = (self.size >> level) - 1;
            (Position { level, index }, *peak)
        })
    }

    /// Adds a leaf. Calls `completed` for every subtree that the leaf completes, its own node first. Inclusion
    /// paths need these.
    pub fn append(&mut self, leaf: &Digest, mut completed: impl FnMut(Position, Digest)) {
        let mut node = leaf_node(leaf);
        let mut position = Position { level: 0, index: self.size };
        completed(position, node);
        while position.index % 2 == 1 {
            let left = self.peaks.pop().expect("an odd index has a complete left neighbour");
            node = inner_node(&left, &node);
            position = Position { level: position.level + 1, index: position.index / 2 };
            completed(position, node);
        }
        self.peaks.push(node);
        self.size += 1;
    }

    /// The root over all leaves so far.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return empty_root() };
        peaks.fold(*last, |right, left| inner_node(left, &right))
    }
}

/// The inclusion path of leaf `index` in the tree of the first `size` leaves, from the leaf up. `node` returns
/// the root of a complete subtree, as [`Frontier::append`] gave it. `None` if `node` lacks one that is needed,
/// or if there is no such leaf.
pub fn path(index: u64, size: u64, node: &mut impl FnMut(Position) -> Option<Digest>) -> Option<Vec<Digest>> {
    if index >= size {
        return None;
    }
    let mut path = Vec::new();
    let (mut start, mut end) = (0, size);
    // Walk from the root down to the leaf; the subtrees beside the way are the path.
    while end - start > 1 {
        let split = start + split_of(end - start);
        if index < split {
            path.push(subtree(split, end, node)?);
            end = split;
        } else {
            path.push(subtree(start, split, node)?);
            start = split;
        }
    }
    path.reverse();
    Some(path)
}

/// The largest power of two below `size`, which is at least 2.
const fn split_of(size: u64) -> u64 {
    1 << (u64::BITS - 1 - (size - 1).leading_zeros())
}

/// The root of leaves `start..end`. `start` is a multiple of the size of every complete subtree within.
fn subtree(start: u64, end: u64, node: &mut impl FnMut(Position) -> Option<Digest>) -> Option<Digest> {
    let size = end - start;
    if size.is_power_of_two() {
        return node(Position { level: size.trailing_zeros() as u8, index: start / size });
    }
    let split = start + split_of(size);
    let left = subtree(start, split, node)?;
    let right = subtree(split, end, node)?;
    Some(inner_node(&left, &right))
}

/// The inclusion path of `leaves[index]` in the tree of these leaves.
#[must_use]
pub fn path_of(leaves: &[Digest], index: usize) -> Option<Vec<Digest>> {
    let mut nodes = std::collections::BTreeMap::new();
    let mut tree = Frontier::default();
    for leaf in leaves {
        tree.append(leaf, |position, node| {
            nodes.insert(position, node);
        });
    }
    path(index as u64, leaves.len() as u64, &mut |position| nodes.get(&position).copied())
}

/// The root that leaf `index` of `size` and its inclusion path lead to. `None` if no path of this length is
/// possible.
#[must_use]
pub fn root_from_path(leaf: &Digest, index: u64, size: u64, path: &[Digest]) -> Option<Digest> {
    if index >= size {
        return None;
    }
    // Find whether the way down from the root turns left at each level, and then fold from the leaf up.
    let mut turns_left = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let split = start + split_of(end - start);
        turns_left.push(index < split);
        if index < split { end = split } else { start = split }
    }
    if turns_left.len() != path.len() {
        return None;
    }
    let steps = turns_left.iter().rev().zip(path);
    Some(steps.fold(
        leaf_node(leaf),
        |node, (left, beside)| {
            if *left { inner_node(&node, beside) } else { inner_node(beside, &node) }
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(count: u8) -> Vec<Digest> {
        (0..count).map(|byte| Digest([byte; 32])).collect()
    }

    #[test]
    fn every_leaf_of_every_tree_has_a_path_to_its_root_and_to_no_other() {
        for size in 1..=33 {
            let leaves = leaves(size);
            let root = root(&leaves);
            for index in 0..leaves.len() {
                let path = path_of(&leaves, index).expect("it is a leaf");
                let root_of = |leaf, index| root_from_path(leaf, index, u64::from(size), &path);
                assert_eq!(root_of(&leaves[index], index as u64), Some(root), "{index} of {size}");
                assert_ne!(root_of(&Digest([99; 32]), index as u64), Some(root));
                if size > 1 {
                    assert_ne!(root_of(&leaves[index], (index as u64 + 1) % u64::from(size)), Some(root));
                    assert_eq!(root_from_path(&leaves[index], index as u64, u64::from(size), &path[1..]), None);
                }
            }
        }
    }

    #[test]
    fn a_tree_grows_without_forgetting() {
        let leaves = leaves(40);
        let mut nodes = std::collections::BTreeMap::new();
        let mut tree = Frontier::default();
        for leaf in &leaves {
            tree.append(leaf, |position, node| {
                nodes.insert(position, node);
            });
            assert!(tree.is_consistent());
        }
        // A path into an earlier size is made of nodes that the later tree still has.
        let early = root(&leaves[..21]);
        for index in 0..21 {
            let path = path(index, 21, &mut |position| nodes.get(&position).copied()).expect("complete");
            assert_eq!(root_from_path(&leaves[index as usize], index, 21, &path), Some(early));
        }
    }

    #[test]
    fn there_is_no_path_to_a_leaf_that_is_not_there() {
        assert_eq!(path_of(&leaves(5), 5), None);
        assert_eq!(root_from_path(&Digest::ZERO, 0, 0, &[]), None);
    }
}
