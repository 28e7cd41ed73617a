//! What two policies say differently, rule by rule: where their answers can differ at all.

use std::cmp::Ordering;

use super::hosts::{Focus, Places};
use super::side::Side;
use crate::expr::Expr;
use crate::rule::{Rule, Selector, Who};
use crate::schema::Attribute;

/// How many rules came, went, and say something else.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Edits {
    /// Paths of rules and exceptions that are new.
    pub added: Vec<Box<str>>,
    /// Of those that are gone.
    pub removed: Vec<Box<str>>,
    /// Of those that mean something else, or are over on one side alone.
    pub changed: Vec<Box<str>>,
}

/// What was edited, and where that can show.
pub(super) fn edits(old: &Side<'_>, new: &Side<'_>) -> (Edits, Focus) {
    let (mut edits, mut places) = (Edits::default(), Places::default());
    // Both are sorted by tier and path; a rule of another tier than before has gone, and one has come.
    merge(enforced(old), enforced(new), (old, new), &mut edits, &mut places);
    merge(exceptions(old).into_iter(), exceptions(new).into_iter(), (old, new), &mut edits, &mut places);
    if text(old.mode_condition()) != text(new.mode_condition()) || old.mode() != new.mode() {
        places.anywhere = true;
    }
    if !old.set.registry().same(new.set.registry()) {
        places.anywhere = true;
    }
    let tagged = old.set.uses(Attribute::DestinationTags) || new.set.uses(Attribute::DestinationTags);
    if tagged && !old.set.catalogue().same(new.set.catalogue()) {
        places.patterns.extend(old.set.catalogue().differing(new.set.catalogue()));
    }
    let focus = if places.anywhere { Focus::All } else { Focus::On(places) };
    (edits, focus)
}

fn enforced<'s>(side: &'s Side<'_>) -> impl Iterator<Item = &'s Rule> {
    side.set.enforced().map(|(_, rule)| rule)
}

/// Exceptions, by path.
fn exceptions<'s>(side: &'s Side<'_>) -> Vec<&'s Rule> {
    let mut all: Vec<&Rule> = side.exceptions().collect();
    all.sort_by(|a, b| a.info.path.cmp(&b.info.path));
    all
}

fn merge<'r>(
    before: impl Iterator<Item = &'r Rule>,
    after: impl Iterator<Item = &'r Rule>,
    sides: (&Side<'_>, &Side<'_>),
    edits: &mut Edits,
    places: &mut Places,
) {
    let (mut before, mut after) = (before.peekable(), after.peekable());
    loop {
        let order = match (before.peek(), after.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => (a.tier, &a.info.path).cmp(&(b.tier, &b.info.path)),
        };
        let one = if order == Ordering::Greater { None } else { before.next() };
        let other = if order == Ordering::Less { None } else { after.next() };
        match (one, other) {
            (Some(gone), None) => {
                edits.removed.push(gone.info.path.clone());
                places.rule(gone);
            }
            (None, Some(come)) => {
                edits.added.push(come.info.path.clone());
                places.rule(come);
            }
            (Some(one), Some(other)) => {
                let over = |rule: &Rule, side: &Side<'_>| rule.expires.is_some_and(|end| side.now >= end);
                if !means_the_same(one, other) || over(one, sides.0) != over(other, sides.1) {
                    edits.changed.push(one.info.path.clone());
                    places.rule(one);
                    places.rule(other);
                }
            }
            (None, None) => return,
        }
    }
}

/// Whether two rules decide alike wherever neither is over.
fn means_the_same(a: &Rule, b: &Rule) -> bool {
    a.tier == b.tier
        && a.trust == b.trust
        && a.lifts == b.lifts
        && a.hosts == b.hosts
        && a.ports == b.ports
        && a.networks == b.networks
        && a.at_most == b.at_most
        && a.any_of == b.any_of
        && a.keeping == b.keeping
        && a.budget == b.budget
        && text(a.when.as_ref()) == text(b.when.as_ref())
        && same_who(&a.who, &b.who)
}

fn text(when: Option<&Expr>) -> Option<&str> {
    when.map(Expr::source)
}

fn same_who(a: &Who, b: &Who) -> bool {
    let same = |a: &Selector, b: &Selector| {
        a.id == b.id && a.spiffe_id == b.spiffe_id && a.labels == b.labels && a.scope == b.scope
    };
    match (a, b) {
        (Who::Anyone, Who::Anyone) => true,
        (Who::Among(a), Who::Among(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Who::Anyone, Who::Among(_)) | (Who::Among(_), Who::Anyone) => false,
    }
}
