//! `Exceptions`: what was approved and written down, each to lift one guardrail or to permit inside one fragment's scope.

use jiff::Timestamp;

use super::rules::{self, RawSelector, Targets};
use crate::diagnostic::{At, Place, Report};
use crate::source::Node;
use crate::source::read::{self, Fields};

pub(crate) struct RawException {
    pub(crate) id: At<String>,
    pub(crate) effect: ExceptionEffect,
    pub(crate) identities: Vec<RawSelector>,
    pub(crate) destinations: Targets,
    pub(crate) at_most: Vec<At<String>>,
    pub(crate) reason: String,
    pub(crate) ticket: Option<String>,
    pub(crate) approved_by: Vec<At<String>>,
    pub(crate) issued: Option<At<Timestamp>>,
    pub(crate) expires: At<Timestamp>,
}

pub(crate) enum ExceptionEffect {
    /// This guardrail.
    Lifts(At<String>),
    /// Inside the scope of this fragment.
    Permits(At<String>),
}

pub(crate) fn read(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Vec<RawException> {
    let Some(node) = fields.required("exceptions", "list the exceptions; `[]` for none", report) else {
        return Vec::new();
    };
    read::list(node, report, exception)
}

fn exception(node: &Node<'_>, report: &mut Report<'_>) -> Option<RawException> {
    let mut fields = Fields::of(node, "an exception", report)?;
    let place = fields.place();
    let id = fields.required("id", "name the exception", report).and_then(|node| read::id(node, report));
    let lifts = fields.optional("lifts").and_then(|node| read::text(node, report));
    let permits = fields.optional("permits").and_then(|node| read::text(node, report));
    let told = fields.says("lifts") || fields.says("permits");
    let identities = fields.required("identities", "say for whom", report);
    let identities = identities.map(|node| read::list(node, report, rules::selector)).unwrap_or_default();
    let destinations = fields.required("destinations", "with `hosts` or `cidrs`, and `ports`", report);
    let destinations = destinations.map(|node| rules::targets(node, report)).unwrap_or_default();
    let classes = fields.required("data_classes", "`at_most: […]`", report);
    let (at_most, any_of) = classes.map_or((None, None), |node| rules::data_classes(node, report));
    if any_of.is_some() {
        let message = "an exception names its data classes with `at_most`";
        report.error_why(place, message, "`any_of` would let other classes travel along", "write `at_most: […]`");
    }
    let reason = fields.required("reason", "say why", report).and_then(|node| read::text(node, report));
    let ticket = fields.optional("ticket").and_then(|node| read::text(node, report)).map(|at| at.value);
    let approved_by = fields.required("approved_by", "name who approved it", report);
    let approved_by = approved_by.map(|node| read::list(node, report, read::text)).unwrap_or_default();
    let issued = fields.optional("issued").and_then(|node| read::instant(node, report));
    let expires =
        fields.required("expires", "every exception ends", report).and_then(|node| read::instant(node, report));
    fields.finish(report);
    let effect = match (lifts, permits) {
        (Some(guardrail), None) => Some(ExceptionEffect::Lifts(guardrail)),
        (None, Some(fragment)) => Some(ExceptionEffect::Permits(fragment)),
        (Some(_), Some(_)) => {
            report.error_help(place, "`lifts` beside `permits`", "one exception does one thing: write two");
            None
        }
        (None, None) => {
            if !told {
                let help = "`lifts: GUARDRAIL` or `permits: FRAGMENT`";
                report.error_help(place, "this exception does nothing", help);
            }
            None
        }
    };
    Some(RawException {
        id: id?,
        effect: effect?,
        identities,
        destinations,
        at_most: at_most?,
        reason: reason?.value,
        ticket,
        approved_by,
        issued,
        expires: expires?,
    })
}

impl RawException {
    /// Where it stands in its file.
    pub(crate) fn place(&self) -> Place {
        self.id.place
    }
}
