//! `egress_points`: for now there is one way out, `direct`, and naming it is all that a file may do.

use crate::node::Node;
use crate::reading::Reading;

pub(crate) fn check(node: Option<&Node>, reading: &mut Reading<'_>) {
    let Some(items) = node.and_then(|node| reading.filled_list(node)) else { return };
    let mut seen = false;
    for item in items {
        let Some([name, source_address, parent_proxy]) =
            reading.fields(item, ["name", "source_address", "parent_proxy"])
        else {
            continue;
        };
        reading.unsupported(source_address);
        reading.unsupported(parent_proxy);
        match reading.required(item, name, "name").and_then(|node| reading.text(node)) {
            Some("direct") if seen => reading.twice(item, "`direct`"),
            Some("direct") => seen = true,
            Some(other) => reading.unsupported_value(&item.place, &format!("egress point {other}")),
            None => {}
        }
    }
}
