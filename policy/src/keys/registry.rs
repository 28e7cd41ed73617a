//! `Workloads` and `Destinations`.

use super::{Mapping, Names, Shape, optional, required};

pub(super) static WORKLOADS: Mapping = Mapping {
    name: "Workloads",
    doc: "Who there is.",
    keys: &[&[required(
        "workloads",
        Shape::List(&Shape::Map(&WORKLOAD)),
        "The entries. Of several that fit, the most specific counts: exact before pattern, fewer captures first.",
        "[{id: \"token:ci\", labels: {team: web}}]",
    )]],
    bonds: &[],
};

static WORKLOAD: Mapping = Mapping {
    name: "a workload",
    doc: "An identity, or a pattern of identities. An identity without an entry has no labels, and is `unclassified`.",
    keys: &[&[
        required(
            "id",
            Shape::Identity,
            "An id, or a pattern: `*` one segment, `**` (last only) the rest, `{name}` one that `labels` may use.",
            "\"spiffe://corp.example/ns/{namespace}/sa/{app}\"",
        ),
        optional(
            "labels",
            Shape::Entries(Names::Labels, &Shape::Text),
            "Labels that rules may ask for.",
            "{team: \"{namespace}\"}",
        ),
        optional(
            "data_classes",
            Shape::List(&Shape::Id),
            "The data that it handles; unless given, `unclassified`.",
            "[internal]",
        ),
        optional(
            "may_declare",
            Shape::List(&Shape::Id),
            "Of these classes, those to which a client may narrow a connection with `Gatepass-Data-Class`.",
            "[internal]",
        ),
    ]],
    bonds: &[],
};

pub(super) static DESTINATIONS: Mapping = Mapping {
    name: "Destinations",
    doc: "Where there is to go.",
    keys: &[&[
        optional(
            "destinations",
            Shape::List(&Shape::Map(&DESTINATION)),
            "Hosts and their tags. A host has the tags of every entry that fits.",
            "[{hosts: [\"api.stripe.com\"], tags: [dpa-signed]}]",
        ),
        optional(
            "cidr_sets",
            Shape::List(&Shape::Map(&CIDR_SET)),
            "Named sets of networks.",
            "[{id: store, cidrs: [\"10.20.0.0/16\"]}]",
        ),
    ]],
    bonds: &[],
};

static DESTINATION: Mapping = Mapping {
    name: "a destination",
    doc: "Hosts, and what is known of them.",
    keys: &[&[
        required("hosts", Shape::List(&Shape::Host), "Names and patterns.", "[\"api.stripe.com\"]"),
        optional("tags", Shape::List(&Shape::Id), "What rules ask for with `destination.tags`.", "[dpa-signed]"),
        optional("owner", Shape::Text, "For people who read the file.", "procurement@corp.example"),
        optional("notes", Shape::Text, "For people who read the file.", "contract 4711"),
    ]],
    bonds: &[],
};

static CIDR_SET: Mapping = Mapping {
    name: "a CIDR set",
    doc: "Networks under a name.",
    keys: &[&[
        required("id", Shape::Id, "Rules name it in `cidr_sets`.", "artifact-store"),
        required("cidrs", Shape::List(&Shape::Network), "The networks.", "[\"10.20.0.0/16\"]"),
        optional(
            "expires",
            Shape::Moment,
            "From then on allows that name the set are over; denies that name it stay.",
            "\"2027-06-30T00:00:00Z\"",
        ),
        optional("owner", Shape::Text, "For people who read the file.", "platform@corp.example"),
        optional("notes", Shape::Text, "For people who read the file.", "behind the firewall of 2024"),
        optional(
            "source",
            Shape::Text,
            "The provider's document that it comes from.",
            "https://ip-ranges.corp.example",
        ),
    ]],
    bonds: &[],
};
