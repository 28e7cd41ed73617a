//! `Destinations`: hosts and their tags, and named sets of networks.

use ipnet::IpNet;
use jiff::Timestamp;

use super::{host, network};
use crate::diagnostic::{At, Report};
use crate::pattern::HostPattern;
use crate::source::Node;
use crate::source::read::{self, Fields};

pub(crate) struct Destinations {
    pub(crate) tagged: Vec<Tagged>,
    pub(crate) cidr_sets: Vec<CidrSet>,
}

pub(crate) struct Tagged {
    pub(crate) hosts: Vec<HostPattern>,
    pub(crate) tags: Vec<Box<str>>,
}

pub(crate) struct CidrSet {
    pub(crate) id: At<String>,
    pub(crate) cidrs: Vec<At<IpNet>>,
    pub(crate) expires: Option<Timestamp>,
}

pub(crate) fn read(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Destinations {
    let tagged = fields.optional("destinations").map(|node| read::list(node, report, entry)).unwrap_or_default();
    let cidr_sets = fields.optional("cidr_sets").map(|node| read::list(node, report, set)).unwrap_or_default();
    Destinations { tagged, cidr_sets }
}

fn entry(node: &Node<'_>, report: &mut Report<'_>) -> Option<Tagged> {
    let mut fields = Fields::of(node, "a destination", report)?;
    let hosts = fields.required("hosts", "host names and patterns", report);
    let hosts = hosts.map(|node| read::list(node, report, host)).unwrap_or_default();
    let tags = fields.optional("tags").map(|node| read::list(node, report, read::id)).unwrap_or_default();
    notes(&mut fields, report);
    fields.finish(report);
    Some(Tagged {
        hosts: hosts.into_iter().map(|at| at.value).collect(),
        tags: tags.into_iter().map(|at| at.value.into()).collect(),
    })
}

fn set(node: &Node<'_>, report: &mut Report<'_>) -> Option<CidrSet> {
    let mut fields = Fields::of(node, "a CIDR set", report)?;
    let id = fields.required("id", "rules name the set by it", report).and_then(|node| read::id(node, report));
    let cidrs = fields.required("cidrs", "networks such as `10.20.0.0/16`", report);
    let cidrs = cidrs.map(|node| read::list(node, report, network)).unwrap_or_default();
    let expires = fields.optional("expires").and_then(|node| read::instant(node, report)).map(|at| at.value);
    notes(&mut fields, report);
    fields.optional("source").and_then(|node| read::text(node, report));
    fields.finish(report);
    Some(CidrSet { id: id?, cidrs, expires })
}

/// For people who read the file.
fn notes(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) {
    for key in ["owner", "notes"] {
        fields.optional(key).and_then(|node| read::text(node, report));
    }
}
