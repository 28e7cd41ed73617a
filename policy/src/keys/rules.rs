//! `Guardrails` and `Fragment`: rules.

use super::{Bond, Key, Mapping, Names, Shape, optional, required};

pub(super) static GUARDRAILS: Mapping = Mapping {
    name: "Guardrails",
    doc: "Deny rules over everything.",
    keys: &[&[required("rules", Shape::List(&Shape::Map(&GUARDRAIL)), "The rules; their order means nothing.", "[…]")]],
    bonds: &[],
};

pub(super) static FRAGMENT: Mapping = Mapping {
    name: "Fragment",
    doc: "A team's rules.",
    keys: &[&[required("rules", Shape::List(&Shape::Map(&RULE)), "The rules; their order means nothing.", "[…]")]],
    bonds: &[],
};

static RULE: Mapping = Mapping {
    name: "a rule",
    doc: "Its path in decisions is `<metadata.id>/<id>`. The fields of a rule must all hold.",
    keys: &[&[ACTION], KEYS],
    bonds: &[
        Bond::NotBoth(&["anyone", "identities"]),
        Bond::Where("action", "allow", ALLOW),
        Bond::Where("action", "deny", DENY),
    ],
};

static GUARDRAIL: Mapping = Mapping {
    name: "a guardrail",
    doc: "A rule that denies, whoever's rules allow.",
    keys: &[&[ONLY_DENY], KEYS, &[LIFTED_BY]],
    bonds: &[Bond::NotBoth(&["anyone", "identities"]), Bond::Where("action", "deny", DENY)],
};

const ALLOW: &[Bond] = &[
    Bond::SomeOf(&["identities", "anyone"]),
    Bond::Needs(&["destinations", "data_classes", "expires"]),
    Bond::Within("destinations", NAMED),
    Bond::Bars(&["review_by"]),
];

const DENY: &[Bond] = &[Bond::Bars(&["expires", "issued", "evidence", "limits"])];

/// What `destinations` must say where nothing reads as "everything" by omission.
pub(super) const NAMED: &[Bond] = &[Bond::SomeOf(&["hosts", "cidrs", "cidr_sets"]), Bond::Needs(&["ports"])];

const ACTION: Key = required("action", Shape::Word(&["allow", "deny"]), "What it does.", "allow");

const ONLY_DENY: Key = required("action", Shape::Word(&["deny"]), "A guardrail can only deny.", "deny");

const LIFTED_BY: Key = optional(
    "lifted_by",
    Shape::Set(&Shape::Word(&["exception", "grant"])),
    "What may lift it; nothing, unless listed.",
    "[exception]",
);

static KEYS: &[Key] = &[
    required("id", Shape::Id, "Its name.", "stripe"),
    required("purpose", Shape::Text, "Why it exists.", "charge cards"),
    optional(
        "owner",
        Shape::Text,
        "Who answers for it; the file's `metadata.owner`, unless given.",
        "alice@corp.example",
    ),
    optional("ticket", Shape::Text, "The ticket that it came from.", "PAY-1432"),
    optional("anyone", Shape::True, "Instead of `identities`: whoever asks.", "true"),
    optional(
        "identities",
        Shape::List(&Shape::Map(&SELECTOR)),
        "Who is meant: the entries are alternatives. Required on an allow, unless `anyone: true`.",
        "[{spiffe_id: \"spiffe://corp.example/ns/payments/sa/checkout\", labels: {env: prod}}]",
    ),
    optional(
        "destinations",
        Shape::Map(&TARGETS),
        "Where to. Required on an allow, with hosts or networks, and with ports.",
        "{hosts: [\"api.stripe.com\"], ports: [443]}",
    ),
    optional(
        "data_classes",
        Shape::Map(&CLASSES),
        "With which data. Required on an allow.",
        "{at_most: [internal, pci]}",
    ),
    optional(
        "issued",
        Shape::Moment,
        "On an allow: from when its lifetime counts; from now, unless given.",
        "\"2026-11-01T00:00:00Z\"",
    ),
    optional(
        "expires",
        Shape::Moment,
        "On an allow, required: it holds while now is before it.",
        "\"2027-04-30T00:00:00Z\"",
    ),
    optional(
        "review_by",
        Shape::Moment,
        "On a deny: it stays in force past it, and somebody is reminded.",
        "\"2027-05-01T00:00:00Z\"",
    ),
    optional(
        "enforcement",
        Shape::Word(&["enforce", "shadow"]),
        "`shadow`: evaluated and reported, never decides; `enforce` unless given.",
        "shadow",
    ),
    optional(
        "trust_declared",
        Shape::Boolean,
        "On an allow: read the data classes that the client declared, where it did.",
        "true",
    ),
    optional("when", Shape::Condition, "A condition in CEL beside the fields.", "tls.sni == destination.host"),
    optional(
        "evidence",
        Shape::Word(&["synced"]),
        "On an allow: its records are on the disk before a byte passes.",
        "synced",
    ),
    optional("egress_point", Shape::Text, "The way out; this version has `direct`.", "direct"),
    optional("inspect", Shape::Word(&["never", "required"]), "Whether to decrypt; this version has `never`.", "never"),
    optional(
        "limits",
        Shape::Map(&LIMITS),
        "On an allow: how much each identity may have under it.",
        "{connections: 200, upload_bytes_per_day: 5GiB}",
    ),
];

pub(super) static SELECTOR: Mapping = Mapping {
    name: "an entry of `identities`",
    doc: "Who is meant. The keys of one entry must all hold.",
    keys: &[&[
        optional("id", Shape::Identity, "An id, or a pattern of ids, of any method.", "\"network:build\""),
        optional(
            "spiffe_id",
            Shape::SpiffeId,
            "A SPIFFE id, or a pattern of them.",
            "\"spiffe://corp.example/ns/ci/**\"",
        ),
        optional(
            "labels",
            Shape::Entries(Names::Labels, &Shape::Text),
            "Labels that the identity must have, with these values.",
            "{env: prod}",
        ),
    ]],
    bonds: &[Bond::SomeOf(&["id", "spiffe_id", "labels"])],
};

pub(super) static TARGETS: Mapping = Mapping {
    name: "`destinations`",
    doc: "Where to. `hosts` and networks together must both hold; networks alone mean destinations that are addresses.",
    keys: &[&[
        optional(
            "hosts",
            Shape::List(&Shape::Host),
            "Names; `*.x` is exactly one label below `x`, `**.x` one or more; the apex is listed by itself.",
            "[\"api.stripe.com\", \"*.github.com\"]",
        ),
        optional("ports", Shape::List(&Shape::Port), "Ports.", "[443]"),
        optional(
            "cidrs",
            Shape::List(&Shape::Network),
            "In an allow *all* addresses of the name are inside, in a deny *any* is. Opens a private range.",
            "[\"10.20.0.0/16\"]",
        ),
        optional("cidr_sets", Shape::List(&Shape::Id), "The same, by the name of a set.", "[artifact-store]"),
    ]],
    bonds: &[],
};

pub(super) static CLASSES: Mapping = Mapping {
    name: "`data_classes`",
    doc: "With which data.",
    keys: &[&[
        optional("at_most", Shape::List(&Shape::Id), "The connection's classes are among these.", "[internal, pci]"),
        optional("any_of", Shape::List(&Shape::Id), "The connection carries one of these.", "[pii, pci]"),
    ]],
    bonds: &[Bond::SomeOf(&["at_most", "any_of"])],
};

const COUNT: Shape = Shape::Number(1, 1_000_000);

static LIMITS: Mapping = Mapping {
    name: "`limits`",
    doc: "How much may pass by a rule, for each identity.",
    keys: &[&[
        optional("connections", COUNT, "Connections at once.", "200"),
        optional("new_connections_per_second", COUNT, "New connections in a second.", "50"),
        optional("upload_bytes_per_day", Shape::Size, "Bytes to the destination in a day (UTC).", "5GiB"),
        optional("download_bytes_per_day", Shape::Size, "Bytes from the destination in a day (UTC).", "50GiB"),
        optional("max_connection_duration", Shape::Length, "The longest that one connection lives.", "1h"),
    ]],
    bonds: &[Bond::SomeOf(&[
        "connections",
        "new_connections_per_second",
        "upload_bytes_per_day",
        "download_bytes_per_day",
        "max_connection_duration",
    ])],
};
