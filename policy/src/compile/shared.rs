//! What rules of one bundle have in common, kept once: lists of ports and of data classes, and conditions.
//!
//! It saves memory, and what many rules share is in the processor's cache when one of them is judged. A condition is parsed
//! once however often it is written: parsing costs as much as all else about a rule.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::when;
use crate::diagnostic::{At, Report};
use crate::document::rules::RawRule;
use crate::expr::Expr;
use crate::facts::Classes;

#[derive(Default)]
pub(super) struct Shared {
    ports: BTreeSet<Arc<[u16]>>,
    classes: BTreeSet<Classes>,
    /// Good ones only: each place of a wrong one has a complaint of its own.
    conditions: HashMap<String, Expr>,
}

impl Shared {
    /// These ports, which are sorted.
    pub(super) fn ports(&mut self, ports: &[u16]) -> Arc<[u16]> {
        one(&mut self.ports, ports)
    }

    /// These classes as a set.
    pub(super) fn classes(&mut self, named: &[At<String>]) -> Classes {
        one(&mut self.classes, &super::rules::class_names(named))
    }

    /// The `when` of a rule. `None` if the rule has none, or a wrong one.
    pub(super) fn condition(&mut self, raw: &RawRule, report: &mut Report<'_>) -> Option<Expr> {
        let text = &raw.when.as_ref()?.value;
        if let Some(known) = self.conditions.get(text) {
            return Some(known.clone());
        }
        let before = report.error_count();
        let expr = when::compile(raw, report)?;
        if report.error_count() == before {
            self.conditions.insert(text.clone(), expr.clone());
        }
        Some(expr)
    }
}

fn one<T: Ord + Clone>(known: &mut BTreeSet<Arc<[T]>>, wanted: &[T]) -> Arc<[T]> {
    if let Some(found) = known.get(wanted) {
        return Arc::clone(found);
    }
    let new: Arc<[T]> = wanted.into();
    known.insert(Arc::clone(&new));
    new
}
