//! `observe`: until when policy denials are recorded and carried all the same, for rolling a gateway out.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::node::Node;
use crate::problem::Located;
use crate::reading::Reading;

/// The end of the roll-out: still to come.
pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Located<Timestamp>> {
    let [until] = reading.fields(node, ["until"])?;
    let node = reading.required(node, until, "until")?;
    let value = reading.timestamp(node)?;
    if value <= reading.now {
        let message = format!("`observe` ended at {value}");
        let help = "delete the section: denials are real again; or move its end";
        reading.found.error_with_help(&node.place, message, help);
        return None;
    }
    Some(Located { value, place: Some(node.place.clone()) })
}

/// It ends within the bound: a gateway that only observes protects nobody.
pub(crate) fn check(until: Option<&Located<Timestamp>>, longest: Duration, reading: &mut Reading<'_>) {
    let Some(Located { value, place: Some(place) }) = until else { return };
    let latest = SignedDuration::try_from(longest).ok().and_then(|longest| reading.now.checked_add(longest).ok());
    if let Some(latest) = latest.filter(|latest| value > latest) {
        let message = format!("`observe` may last `limits.observe_longest` from now: until {latest:.0}");
        reading.found.error_with_help(place, message, "write an earlier end; it can be moved while it lasts");
    }
}
