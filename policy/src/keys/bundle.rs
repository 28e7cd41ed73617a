//! `Bundle`.

use super::{Mapping, Names, Shape, optional, required};

pub(super) static BUNDLE: Mapping = Mapping {
    name: "Bundle",
    doc: "What the platform decides for every team.",
    keys: &[&[
        required(
            "data_classes",
            Shape::List(&Shape::Map(&DATA_CLASS)),
            "The catalogue of data classes; `unclassified` always exists.",
            "[{id: pci, description: card data}]",
        ),
        required(
            "lifetimes",
            Shape::Map(&LIFETIMES),
            "The longest life of permissions, from their `issued`, or from now.",
            "{default: 365d}",
        ),
        optional(
            "modes",
            Shape::Entries(Names::Modes, &Shape::Map(&MODE)),
            "Containment modes; `normal` always exists, and restricts nothing.",
            "{lockdown: {allow_when: \"false\"}}",
        ),
        optional("grants", Shape::Map(&GRANTS), "On which terms operators break glass.", "{second_factor: either}"),
        optional(
            "exceptions",
            Shape::Map(&TERMS_OF_EXCEPTIONS),
            "Who decides on exceptions.",
            "{approvers: [carol@corp.example]}",
        ),
        optional("egress_points", WAYS_OUT, "The ways out that fragments may be granted.", "[direct]"),
        required(
            "fragments",
            Shape::List(&Shape::Map(&FRAGMENT)),
            "Each team's fragment; one that is not listed does not load.",
            "[{id: payments, scope: {identities: any, destinations: any, data_classes: any}}]",
        ),
    ]],
    bonds: &[],
};

const WAYS_OUT: Shape = Shape::List(&Shape::Text);

const APPROVERS: Shape = Shape::List(&Shape::Text);

static DATA_CLASS: Mapping = Mapping {
    name: "a data class",
    doc: "A class of data. Classes have no order.",
    keys: &[&[
        required("id", Shape::Id, "Its name.", "pci"),
        optional("description", Shape::Text, "For people who read the file.", "card data"),
    ]],
    bonds: &[],
};

static LIFETIMES: Mapping = Mapping {
    name: "`lifetimes`",
    doc: "How long permissions may live. The shortest that applies counts.",
    keys: &[&[
        required("default", Shape::Length, "Of every allow.", "365d"),
        optional("wildcard", Shape::Length, "Of an allow that names a host with `**.`.", "90d"),
        optional(
            "data_classes",
            Shape::Entries(Names::DataClasses, &Shape::Length),
            "Of an allow that names the class.",
            "{pci: 180d}",
        ),
        optional(
            "exception",
            Shape::Length,
            "Of an exception; `default` unless given. `limits.exception_longest` of the gateway caps those in its store.",
            "30d",
        ),
        optional("grant", Shape::Length, "Of a grant; `limits.grant_longest` of the gateway caps it.", "4h"),
    ]],
    bonds: &[],
};

static MODE: Mapping = Mapping {
    name: "a mode",
    doc: "While a mode is set, it is a guardrail `mode/NAME` that denies what it does not allow.",
    keys: &[&[required(
        "allow_when",
        Shape::Condition,
        "What is still allowed; `\"false\"`: nothing but grants. What cannot be evaluated is not allowed.",
        "'destination.tags.exists(t, t == \"critical\")'",
    )]],
    bonds: &[],
};

const FACTOR: Shape = Shape::Word(&["either", "totp", "approval", "both"]);

static GRANTS: Mapping = Mapping {
    name: "`grants`",
    doc: "What a grant takes beside an operator's own credential.",
    keys: &[&[
        optional(
            "second_factor",
            FACTOR,
            "`totp` a one-time code, `approval` a second person, `either` of them (unless given), or `both`.",
            "approval",
        ),
        optional(
            "data_classes",
            Shape::Entries(Names::DataClasses, &FACTOR),
            "What it takes beside that, where it covers data of the class: the stricter of all holds.",
            "{pci: both}",
        ),
        optional(
            "approvers",
            APPROVERS,
            "Operators who approve grants; unless given, everyone with the role.",
            "[bob]",
        ),
    ]],
    bonds: &[],
};

static TERMS_OF_EXCEPTIONS: Mapping = Mapping {
    name: "`exceptions` of the bundle",
    doc: "Who decides on exceptions.",
    keys: &[&[optional("approvers", APPROVERS, "Operators; unless given, everyone with the role.", "[carol]")]],
    bonds: &[],
};

static FRAGMENT: Mapping = Mapping {
    name: "a fragment",
    doc: "A team's fragment that may exist, and what it may speak about.",
    keys: &[&[
        required("id", Shape::Id, "The fragment's `metadata.id`.", "payments"),
        optional("owner", Shape::Text, "Who answers for it, unless its file says so.", "team-payments@corp.example"),
        required(
            "scope",
            Shape::Map(&SCOPE),
            "What it may speak about.",
            "{identities: any, destinations: any, data_classes: any}",
        ),
        optional(
            "approvers",
            APPROVERS,
            "Operators who decide on exceptions in this scope; `exceptions.approvers` unless given.",
            "[dave@corp.example]",
        ),
    ]],
    bonds: &[],
};

static SCOPE: Mapping = Mapping {
    name: "`scope`",
    doc: "What a fragment may speak about. A rule that says more is a load error.",
    keys: &[&[
        required(
            "identities",
            Shape::WordOr("any", &Shape::List(&Shape::Identity)),
            "Ids and patterns of ids, or `any`.",
            "[\"spiffe://corp.example/ns/payments/**\"]",
        ),
        required(
            "destinations",
            Shape::WordOr("any", &Shape::Map(&SCOPE_TARGETS)),
            "Hosts and networks, or `any`; with `any`, a rule must still name a private network itself.",
            "{hosts: [\"**.stripe.com\"]}",
        ),
        required(
            "data_classes",
            Shape::WordOr("any", &Shape::List(&Shape::Id)),
            "Data classes, or `any`.",
            "[internal, pci]",
        ),
        optional("egress_points", WAYS_OUT, "Ways out.", "[direct]"),
    ]],
    bonds: &[],
};

static SCOPE_TARGETS: Mapping = Mapping {
    name: "`destinations` of a scope",
    doc: "Where a fragment's rules may lead.",
    keys: &[&[
        optional("hosts", Shape::List(&Shape::Host), "Names and patterns.", "[\"**.stripe.com\", \"stripe.com\"]"),
        optional(
            "cidrs",
            Shape::List(&Shape::Network),
            "Networks; a private one opens only if it is here.",
            "[\"10.20.0.0/16\"]",
        ),
    ]],
    bonds: &[],
};
