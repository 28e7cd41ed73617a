//! `Exceptions`.

use super::{Bond, Mapping, Shape, optional, required, rules};

pub(super) static EXCEPTIONS: Mapping = Mapping {
    name: "Exceptions",
    doc: "What was approved and written down.",
    keys: &[&[required("exceptions", Shape::List(&Shape::Map(&EXCEPTION)), "The exceptions.", "[…]")]],
    bonds: &[],
};

static EXCEPTION: Mapping = Mapping {
    name: "an exception",
    doc: "It lifts exactly one guardrail, or permits within exactly one fragment's scope.",
    keys: &[&[
        required("id", Shape::Id, "Its name.", "ex-2026-117"),
        optional(
            "lifts",
            Shape::Text,
            "The path of the guardrail, which lists `exception` in `lifted_by`.",
            "guard/no-gists",
        ),
        optional(
            "permits",
            Shape::Text,
            "The fragment in whose scope it allows; denies and the floor still win.",
            "payments",
        ),
        required("identities", Shape::List(&Shape::Map(&rules::SELECTOR)), "For whom.", "[{id: \"token:ci\"}]"),
        required(
            "destinations",
            Shape::Map(&rules::TARGETS),
            "Where to, with hosts or networks, and with ports.",
            "{hosts: [\"api.newpsp.example\"], ports: [443]}",
        ),
        required(
            "data_classes",
            Shape::Map(&rules::CLASSES),
            "With which data: `at_most` alone.",
            "{at_most: [internal]}",
        ),
        required("reason", Shape::Text, "Why.", "a contract in signature"),
        optional("ticket", Shape::Text, "The ticket that it came from.", "SEC-9921"),
        required("approved_by", Shape::List(&Shape::Text), "Who approved it.", "[ciso@corp.example]"),
        optional(
            "issued",
            Shape::Moment,
            "From when its lifetime counts; from now, unless given.",
            "\"2026-11-24T12:00:00Z\"",
        ),
        required("expires", Shape::Moment, "It holds while now is before it.", "\"2026-12-15T00:00:00Z\""),
    ]],
    bonds: &[
        Bond::OneOf(&["lifts", "permits"]),
        Bond::Within("destinations", rules::NAMED),
        Bond::Within("data_classes", &[Bond::Needs(&["at_most"]), Bond::Bars(&["any_of"])]),
    ],
};
