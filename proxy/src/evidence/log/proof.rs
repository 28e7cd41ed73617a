//! Proofs: that a record is in a log, and that a log only grew (RFC 9162 sections 2.1.3 and 2.1.4).

use super::hash::{Hash, node_hash};

/// Tells the root of the leaves from one index up to another; `None` where it cannot be told.
///
/// It is asked for perfect trees only: as many leaves as a power of two, beginning at a multiple of that number.
pub type Subtrees<'s> = dyn FnMut(u64, u64) -> Option<Hash> + 's;

/// The largest power of two below `size`, which is at least 2.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// The root of any leaves that stand beside each other.
fn root(from: u64, to: u64, subtrees: &mut Subtrees<'_>) -> Option<Hash> {
    let size = to - from;
    if size.is_power_of_two() {
        return subtrees(from, to);
    }
    let middle = from + split(size);
    Some(node_hash(&root(from, middle, subtrees)?, &root(middle, to, subtrees)?))
}

/// The root of the first `size` leaves.
pub fn tree_root(size: u64, subtrees: &mut Subtrees<'_>) -> Option<Hash> {
    if size == 0 { Some(Hash::of_nothing()) } else { root(0, size, subtrees) }
}

/// That leaf `index` is one of the first `size`.
pub fn inclusion(index: u64, size: u64, subtrees: &mut Subtrees<'_>) -> Option<Vec<Hash>> {
    if index >= size {
        return None;
    }
    let (mut path, mut from, mut to) = (Vec::new(), 0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            path.push(root(middle, to, subtrees)?);
            to = middle;
        } else {
            path.push(root(from, middle, subtrees)?);
            from = middle;
        }
    }
    path.reverse();
    Some(path)
}

/// Whether the proof holds: `leaf` is the `index`-th of the `size` leaves below `root`.
pub fn includes(index: u64, leaf: Hash, size: u64, root: Hash, path: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last, mut hash) = (index, size - 1, leaf);
    for other in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(other, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, other);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == root
}

/// That the first `old` leaves are the first of the `new` ones, too.
pub fn consistency(old: u64, new: u64, subtrees: &mut Subtrees<'_>) -> Option<Vec<Hash>> {
    if old == 0 || old > new {
        return (old <= new).then(Vec::new);
    }
    let (mut path, mut from, mut to) = (Vec::new(), 0, new);
    // Whether what is left of the old tree is the whole of a subtree whose root the verifier knows.
    let mut known = true;
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            path.push(root(middle, to, subtrees)?);
            to = middle;
        } else {
            path.push(root(from, middle, subtrees)?);
            from = middle;
            known = false;
        }
    }
    if !known {
        path.push(root(from, to, subtrees)?);
    }
    path.reverse();
    Some(path)
}

/// Whether the proof holds: the tree below `new_root` begins with all of the one below `old_root`.
pub fn extends(old: u64, old_root: Hash, new: u64, new_root: Hash, path: &[Hash]) -> bool {
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return path.is_empty() && old_root == Hash::of_nothing();
    }
    if old > new {
        return false;
    }
    let mut rest = path.iter();
    let first = if old.is_power_of_two() { Some(&old_root) } else { rest.next() };
    let Some(first) = first else { return false };
    let (mut place, mut last) = (old - 1, new - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for other in rest {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            of_old = node_hash(other, &of_old);
            of_new = node_hash(other, &of_new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            of_new = node_hash(&of_new, other);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && of_old == old_root && of_new == new_root
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::evidence::log::leaf_hash;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf_hash(&[&number.to_le_bytes()])).collect()
    }

    fn naive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of_nothing(),
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(1 << (leaves.len() - 1).ilog2());
                node_hash(&naive(left), &naive(right))
            }
        }
    }

    fn subtrees(all: &[Hash]) -> impl FnMut(u64, u64) -> Option<Hash> {
        |from, to| {
            assert!((to - from).is_power_of_two() && from % (to - from) == 0, "{from}..{to} is no perfect tree");
            Some(naive(&all[from as usize..to as usize]))
        }
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_no_other_leaf_place_or_root_is() {
        for size in 1..40u64 {
            let all = leaves(size);
            let root = naive(&all);
            for index in 0..size {
                let path = inclusion(index, size, &mut subtrees(&all)).unwrap();
                let leaf = all[index as usize];
                assert!(includes(index, leaf, size, root, &path), "{index} of {size}");
                assert!(!includes(index, leaf_hash(&[b"other"]), size, root, &path));
                assert!(!includes(index, leaf, size, leaf_hash(&[b"other"]), &path));
                let elsewhere = (0..size).filter(|other| *other != index);
                assert!(elsewhere.clone().all(|other| !includes(other, leaf, size, root, &path)));
                assert!(!includes(index, leaf, size, root, &[path.as_slice(), &[root]].concat()), "too long");
                assert!(path.is_empty() || !includes(index, leaf, size, root, &path[1..]), "too short");
            }
            assert!(inclusion(size, size, &mut subtrees(&all)).is_none());
        }
    }

    #[test]
    fn every_small_tree_is_proved_to_extend_every_smaller_one_and_no_other() {
        for new in 0..40u64 {
            let all = leaves(new);
            for old in 0..=new {
                let path = consistency(old, new, &mut subtrees(&all)).unwrap();
                let (old_root, new_root) = (naive(&all[..old as usize]), naive(&all));
                assert!(extends(old, old_root, new, new_root, &path), "{old} to {new}");
                assert!(!extends(old, leaf_hash(&[b"x"]), new, new_root, &path));
                assert!(!extends(old, old_root, new, leaf_hash(&[b"x"]), &path) || old == 0);
                assert!(!extends(old, old_root, new, new_root, &[path.as_slice(), &[old_root]].concat()));
            }
            assert!(consistency(new + 1, new, &mut subtrees(&all)).is_none());
        }
    }

    proptest! {
        #[test]
        fn a_proof_with_anything_changed_proves_nothing(size in 2u64..3000, at in any::<u64>(), bit in 0usize..256) {
            let all = leaves(size);
            let (root, index) = (naive(&all), at % size);
            let mut path = inclusion(index, size, &mut subtrees(&all)).unwrap();
            prop_assert!(includes(index, all[index as usize], size, root, &path));
            let place = at as usize % path.len();
            path[place].0[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!includes(index, all[index as usize], size, root, &path));
        }
    }
}
