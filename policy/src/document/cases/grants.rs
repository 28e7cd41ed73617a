//! Break-glass that a test lays over the policy, written as `gatepass grant request` asks for it.

use jiff::Timestamp;

use crate::diagnostic::{At, Place, Report};
use crate::overrides::Spec;
use crate::source::Node;
use crate::source::read::{self, Fields};

pub(crate) struct RawGrant {
    pub(crate) place: Place,
    pub(crate) id: String,
    pub(crate) spec: Spec,
    pub(crate) expires: Timestamp,
}

pub(super) fn read(node: &Node<'_>, report: &mut Report<'_>) -> Option<RawGrant> {
    let mut fields = Fields::of(node, "a grant", report)?;
    let place = fields.place();
    // Its path in decisions is `grant/ID`.
    let id = fields.optional("id").map_or(Some("test".to_owned()), |node| Some(read::id(node, report)?.value));
    let identities = fields.required("identities", "ids and patterns of those it is for", report);
    let identities = identities.map(|node| texts(node, report)).unwrap_or_default();
    let to = fields.required("destinations", "`{hosts: […], ports: […]}`", report);
    let (hosts, cidrs, ports) = to.and_then(|node| destinations(node, report)).unwrap_or_default();
    let classes = fields.required("data_classes", "the classes that may travel", report);
    let data_classes = classes.map(|node| texts(node, report)).unwrap_or_default();
    let expires = fields.required("expires", "every grant ends", report).and_then(|node| read::instant(node, report));
    fields.finish(report);
    Some(RawGrant {
        place,
        id: id?,
        spec: Spec { identities, hosts, cidrs, ports, data_classes },
        expires: expires?.value,
    })
}

type To = (Vec<String>, Vec<String>, Vec<u16>);

fn destinations(node: &Node<'_>, report: &mut Report<'_>) -> Option<To> {
    let mut fields = Fields::of(node, "`destinations` of a grant", report)?;
    let hosts = fields.optional("hosts").map(|node| texts(node, report)).unwrap_or_default();
    let cidrs = fields.optional("cidrs").map(|node| texts(node, report)).unwrap_or_default();
    let ports = fields.required("ports", "such as `ports: [443]`", report);
    let ports = ports.map(|node| read::list(node, report, read::port)).unwrap_or_default();
    fields.finish(report);
    Some((hosts, cidrs, ports))
}

fn texts(node: &Node<'_>, report: &mut Report<'_>) -> Vec<String> {
    read::list(node, report, read::text).into_iter().map(|At { value, .. }| value).collect()
}
