//! `Workloads`: identities, their labels and the classes of data they handle.

use super::{identity, rules};
use crate::diagnostic::{At, Place, Report};
use crate::pattern::IdentityPattern;
use crate::source::Node;
use crate::source::read::{self, Fields};

pub(crate) struct Workload {
    pub(crate) id: At<IdentityPattern>,
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
    pub(crate) labels_place: Place,
    pub(crate) data_classes: Vec<At<String>>,
    pub(crate) may_declare: Vec<At<String>>,
}

pub(crate) fn read(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Vec<Workload> {
    let Some(node) = fields.required("workloads", "list the workloads", report) else { return Vec::new() };
    read::list(node, report, workload)
}

fn workload(node: &Node<'_>, report: &mut Report<'_>) -> Option<Workload> {
    let mut fields = Fields::of(node, "a workload", report)?;
    let id = fields.required("id", "an identity, or a pattern of identities", report);
    let id = id.and_then(|node| identity(node, report));
    let labels = fields.optional("labels");
    let labels_place = labels.map_or(node.place, |node| node.place);
    let labels = labels.map(|node| rules::labels(node, report)).unwrap_or_default();
    let classes = |node: Option<&Node<'_>>, report: &mut Report<'_>| {
        node.map(|node| read::list(node, report, read::id)).unwrap_or_default()
    };
    let data_classes = classes(fields.optional("data_classes"), report);
    let may_declare = classes(fields.optional("may_declare"), report);
    fields.finish(report);
    Some(Workload { id: id?, labels, labels_place, data_classes, may_declare })
}
