//! `Bundle`: the catalogue of data classes, how long permissions may live, and what each team may say.

use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::SignedDuration;

use super::overrides::{self, Mode, Terms};
use super::{egress_point, host, identity_without_captures, network};
use crate::diagnostic::{At, Report};
use crate::pattern::{HostPattern, IdentityPattern};
use crate::source::Node;
use crate::source::read::{self, Fields};

pub(crate) struct Bundle {
    pub(crate) data_classes: Vec<At<String>>,
    pub(crate) lifetimes: Lifetimes,
    pub(crate) modes: Vec<Mode>,
    pub(crate) terms: Terms,
    pub(crate) fragments: Vec<Grant>,
}

/// An allow may not end later than this after its `issued`.
pub(crate) struct Lifetimes {
    pub(crate) default: SignedDuration,
    pub(crate) wildcard: Option<SignedDuration>,
    pub(crate) data_classes: BTreeMap<String, SignedDuration>,
    pub(crate) named: Vec<At<String>>,
    /// The longest life of an exception, where it is not the default's.
    pub(crate) exception: Option<SignedDuration>,
    /// The longest life of a grant, below what the gateway's configuration says.
    pub(crate) grant: Option<SignedDuration>,
}

/// One fragment that may exist, and its scope.
pub(crate) struct Grant {
    pub(crate) id: At<String>,
    pub(crate) owner: Option<String>,
    /// Operators who approve exceptions in this scope; `None`: those of the bundle.
    pub(crate) approvers: Option<Vec<At<String>>>,
    pub(crate) scope: Scope,
}

/// What a fragment may speak about.
#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) identities: Reach<Vec<IdentityPattern>>,
    pub(crate) destinations: Reach<(Vec<HostPattern>, Vec<IpNet>)>,
    pub(crate) data_classes: Reach<Vec<At<String>>>,
}

/// The word `any`, or what is listed.
#[derive(Debug)]
pub(crate) enum Reach<T> {
    Any,
    Only(T),
}

pub(crate) fn read(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) -> Option<Bundle> {
    let classes = fields.required("data_classes", "list `{id: …, description: …}`", report);
    let data_classes = classes.map(|node| read::list(node, report, data_class)).unwrap_or_default();
    let lifetimes = fields.required("lifetimes", "such as `lifetimes: {default: 365d}`", report);
    let lifetimes = lifetimes.and_then(|node| self::lifetimes(node, report));
    let modes = fields.optional("modes").map(|node| overrides::modes(node, report)).unwrap_or_default();
    let terms = overrides::terms(fields, report);
    if let Some(node) = fields.optional("egress_points") {
        read::list(node, report, egress_point);
    }
    let fragments = fields.required("fragments", "list each team's fragment with its scope", report);
    let fragments = fragments.map(|node| read::list(node, report, grant)).unwrap_or_default();
    Some(Bundle { data_classes, lifetimes: lifetimes?, modes, terms, fragments })
}

fn data_class(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<String>> {
    let mut fields = Fields::of(node, "a data class", report)?;
    let id = fields.required("id", "name the class", report).and_then(|node| read::id(node, report));
    // For people who read the file.
    fields.optional("description").and_then(|node| read::text(node, report));
    fields.finish(report);
    id
}

fn lifetimes(node: &Node<'_>, report: &mut Report<'_>) -> Option<Lifetimes> {
    let mut fields = Fields::of(node, "`lifetimes`", report)?;
    let default = fields.required("default", "such as `default: 365d`", report);
    let default = default.and_then(|node| read::length(node, report));
    let wildcard = fields.optional("wildcard").and_then(|node| read::length(node, report));
    let mut data_classes = BTreeMap::new();
    let mut named = Vec::new();
    if let Some(node) = fields.optional("data_classes") {
        for (class, node) in read::entries(node, report) {
            if let Some(length) = read::length(node, report) {
                data_classes.insert(class.value.to_owned(), length);
                named.push(At { value: class.value.to_owned(), place: class.place });
            }
        }
    }
    let exception = fields.optional("exception").and_then(|node| read::length(node, report));
    let grant = fields.optional("grant").and_then(|node| read::length(node, report));
    fields.finish(report);
    Some(Lifetimes { default: default?, wildcard, data_classes, named, exception, grant })
}

fn grant(node: &Node<'_>, report: &mut Report<'_>) -> Option<Grant> {
    let mut fields = Fields::of(node, "a fragment", report)?;
    let id = fields.required("id", "the fragment's `metadata.id`", report).and_then(|node| read::id(node, report));
    let owner = fields.optional("owner").and_then(|node| read::text(node, report)).map(|at| at.value);
    let scope = fields.required("scope", "say what the fragment may speak about", report);
    let scope = scope.and_then(|node| self::scope(node, report));
    let approvers = fields.optional("approvers").map(|node| overrides::approvers(node, report));
    fields.finish(report);
    Some(Grant { id: id?, owner, approvers, scope: scope? })
}

fn scope(node: &Node<'_>, report: &mut Report<'_>) -> Option<Scope> {
    let mut fields = Fields::of(node, "`scope`", report)?;
    let identities = fields.required("identities", "a list of ids and patterns, or `any`", report);
    let identities = identities.map(|node| {
        any_or(node, report, |node, report| {
            read::list(node, report, identity_without_captures).into_iter().map(|at| at.value).collect()
        })
    });
    let destinations = fields.required("destinations", "`{hosts: […], cidrs: […]}`, or `any`", report);
    let destinations = destinations.map(|node| any_or(node, report, destinations_of));
    let classes = fields.required("data_classes", "a list of data classes, or `any`", report);
    let classes = classes.map(|node| any_or(node, report, |node, report| read::list(node, report, read::id)));
    if let Some(node) = fields.optional("egress_points") {
        read::list(node, report, egress_point);
    }
    fields.finish(report);
    Some(Scope { identities: identities?, destinations: destinations?, data_classes: classes? })
}

fn any_or<'n, 't, T>(
    node: &'n Node<'t>,
    report: &mut Report<'_>,
    read: impl FnOnce(&'n Node<'t>, &mut Report<'_>) -> T,
) -> Reach<T> {
    if read::is_word(node, "any") { Reach::Any } else { Reach::Only(read(node, report)) }
}

fn destinations_of(node: &Node<'_>, report: &mut Report<'_>) -> (Vec<HostPattern>, Vec<IpNet>) {
    let Some(mut fields) = Fields::of(node, "`destinations` of a scope", report) else {
        return (Vec::new(), Vec::new());
    };
    let hosts = fields.optional("hosts").map(|node| read::list(node, report, host)).unwrap_or_default();
    let cidrs = fields.optional("cidrs").map(|node| read::list(node, report, network)).unwrap_or_default();
    fields.finish(report);
    (hosts.into_iter().map(|at| at.value).collect(), cidrs.into_iter().map(|at| at.value).collect())
}
