//! A few values that stand for all, of texts, numbers, moments and lists.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::expr::Marks;

/// Whether the values stand for all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cover {
    All,
    Some,
}

impl Cover {
    pub(super) fn and(self, other: Cover) -> Cover {
        match (self, other) {
            (Cover::All, Cover::All) => Cover::All,
            (Cover::Some, _) | (_, Cover::Some) => Cover::Some,
        }
    }
}

/// From how many parts on their combinations are not all tried.
const PARTS_MAX: usize = 2;
/// From how many elements on the subsets of a list are not all tried.
const SUBSETS_OF: usize = 6;

/// Texts: each literal, what begins, ends or contains what is looked for, and one that does nothing of it.
pub(super) fn texts(marks: &Marks, fresh: &str) -> (BTreeSet<String>, Cover) {
    let mut found: BTreeSet<String> = marks.equal.iter().map(|text| text.to_string()).collect();
    let around = |set: &BTreeSet<Box<str>>| -> Vec<String> {
        std::iter::once(String::new()).chain(set.iter().map(|text| text.to_string())).collect()
    };
    let mut parts = around(&marks.parts);
    for one in &marks.parts {
        parts.extend(marks.parts.iter().filter(|other| *other != one).map(|other| format!("{one}{fresh}{other}")));
    }
    for start in around(&marks.starts) {
        for part in &parts {
            for end in around(&marks.ends) {
                found.insert(format!("{start}{part}{end}"));
                let (before, after) =
                    (if start.is_empty() { fresh } else { "" }, if end.is_empty() { fresh } else { "" });
                found.insert(format!("{before}{start}{fresh}{part}{fresh}{end}{after}"));
            }
        }
    }
    // Only where somebody compares with it: most texts are never empty.
    if !marks.equal.contains("") {
        found.remove("");
    }
    found.insert(fresh.to_owned());
    (found, if marks.parts.len() > PARTS_MAX { Cover::Some } else { Cover::All })
}

/// Whole numbers: each literal, its neighbours, and the bounds.
pub(super) fn numbers(marks: &Marks, least: i64, most: i64) -> BTreeSet<i64> {
    let beside = marks.numbers.iter().flat_map(|n| [n.saturating_sub(1), *n, n.saturating_add(1)]);
    beside.chain([least, most]).filter(|n| (least..=most).contains(n)).collect()
}

/// Moments: each literal, and just beside it.
pub(super) fn moments(marks: &Marks, also: Option<Timestamp>) -> BTreeSet<Timestamp> {
    let second = SignedDuration::from_secs(1);
    let beside = |at: &Timestamp| [at.checked_sub(second).ok(), Some(*at), at.checked_add(second).ok()];
    marks.moments.iter().chain(also.as_ref()).flat_map(beside).flatten().collect()
}

/// Lists of texts: all subsets of what is looked for and of one element that is not.
pub(super) fn lists(marks: &Marks, fresh: &str) -> (Vec<Vec<String>>, Cover) {
    let (elements, cover) = texts(marks, fresh);
    let elements: Vec<String> = elements.into_iter().collect();
    let (found, all) = subsets(&elements);
    (found, cover.and(all))
}

/// Every subset, or where there are too many: none, each one, each two, and all.
pub(super) fn subsets<T: Clone>(elements: &[T]) -> (Vec<Vec<T>>, Cover) {
    if elements.len() <= SUBSETS_OF {
        let chosen = |bits: usize| -> Vec<T> {
            let picked = elements.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
            picked.map(|(_, element)| element.clone()).collect()
        };
        return ((0..1usize << elements.len()).map(chosen).collect(), Cover::All);
    }
    let mut found = vec![Vec::new(), elements.to_vec()];
    for (at, one) in elements.iter().enumerate() {
        found.push(vec![one.clone()]);
        found.extend(elements.iter().skip(at + 1).map(|other| vec![one.clone(), other.clone()]));
    }
    (found, Cover::Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_show_every_way_of_standing_to_the_marks() {
        let set = |texts: &[&str]| texts.iter().map(|text| Box::from(*text)).collect::<BTreeSet<Box<str>>>();
        let marks = Marks {
            equal: set(&["abc"]),
            starts: set(&["ab"]),
            ends: set(&["yz"]),
            parts: set(&["mm"]),
            ..Marks::default()
        };
        let (texts, cover) = texts(&marks, "q");
        assert_eq!(cover, Cover::All);
        for wanted in 0..8u8 {
            let stands = |text: &String| {
                let bits = [text.starts_with("ab"), text.ends_with("yz"), text.contains("mm")];
                bits.iter().enumerate().all(|(at, bit)| *bit == (wanted & (1 << at) != 0))
            };
            assert!(texts.iter().any(stands), "{wanted:03b} {texts:?}");
        }
    }

    #[test]
    fn numbers_stay_within_their_bounds() {
        let marks = Marks { numbers: [0, 443, 65_535, i64::MAX].into(), ..Marks::default() };
        assert_eq!(numbers(&marks, 1, 65_535).into_iter().collect::<Vec<_>>(), [1, 442, 443, 444, 65_534, 65_535]);
    }
}
