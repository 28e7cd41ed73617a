//! `Tests`.

use super::{Bond, Mapping, Names, Shape, optional, required};

pub(super) static TESTS: Mapping = Mapping {
    name: "Tests",
    doc: "Tests never read the clock.",
    keys: &[&[
        required(
            "now",
            Shape::Moment,
            "The moment at which every test decides, unless it says another.",
            "\"2026-11-22T10:00:00Z\"",
        ),
        optional(
            "defaults",
            Shape::Map(&FACTS),
            "Facts that every test has, unless it says others.",
            "{destination: {port: 443}}",
        ),
        optional(
            "tests",
            Shape::List(&Shape::Map(&TEST)),
            "The tests.",
            "[{name: stripe works, facts: {…}, expect: {effect: allow}}]",
        ),
        optional(
            "invariants",
            Shape::List(&Shape::Map(&INVARIANT)),
            "What no decision may allow, proved over the whole policy.",
            "[{name: no telnet, never_allow: destination.port == 23}]",
        ),
    ]],
    bonds: &[Bond::SomeOf(&["tests", "invariants"])],
};

static TEST: Mapping = Mapping {
    name: "a test",
    doc: "Facts, and what is expected on them.",
    keys: &[&[
        required("name", Shape::Text, "What holds, in a sentence.", "stripe works"),
        optional("at", Shape::Moment, "The moment of this one.", "\"2027-04-30T00:00:00Z\""),
        optional("mode", Shape::Text, "The containment mode.", "lockdown"),
        optional("facts", Shape::Map(&FACTS), "Laid over `defaults`.", "{destination: {host: api.stripe.com}}"),
        optional(
            "expect",
            Shape::Map(&EXPECT),
            "Each field that is named must come exactly so.",
            "{effect: allow, rule: payments/stripe}",
        ),
        optional("grants", Shape::List(&Shape::Map(&GRANT)), "Break-glass that is laid over the policy.", "[…]"),
        optional(
            "cases",
            Shape::List(&Shape::Map(&CASE)),
            "A table: each is a test of its own, laid over this one.",
            "[…]",
        ),
    ]],
    bonds: &[],
};

static CASE: Mapping = Mapping {
    name: "a case",
    doc: "A row of a table.",
    keys: &[&[
        optional(
            "name",
            Shape::Text,
            "What holds; the test's name with a number, unless given.",
            "on the files host too",
        ),
        optional("at", Shape::Moment, "The moment of this one.", "\"2027-04-30T00:00:00Z\""),
        optional("mode", Shape::Text, "The containment mode.", "lockdown"),
        optional(
            "facts",
            Shape::Map(&FACTS),
            "Laid over those of the test.",
            "{destination: {host: files.stripe.com}}",
        ),
        optional("expect", Shape::Map(&EXPECT), "Laid over that of the test.", "{effect: deny}"),
    ]],
    bonds: &[],
};

static INVARIANT: Mapping = Mapping {
    name: "an invariant",
    doc: "What must never be.",
    keys: &[&[
        required("name", Shape::Text, "What must never be, in a sentence.", "nobody outside payments reaches Stripe"),
        required(
            "never_allow",
            Shape::Condition,
            "The condition under which nothing may be allowed.",
            "destination.host.within(\"stripe.com\") && identity.method != \"mtls\"",
        ),
    ]],
    bonds: &[],
};

static EXPECT: Mapping = Mapping {
    name: "`expect`",
    doc: "What is expected: at least one thing.",
    keys: &[&[
        optional("effect", Shape::Word(&["allow", "deny", "pending"]), "The effect.", "allow"),
        optional("rule", Shape::Text, "The path of the rule that decides.", "payments/stripe"),
        optional("reason", Shape::Text, "The reason code.", "no_rule"),
        optional("stage", Shape::Text, "The stage at which it is decided.", "request"),
        optional(
            "nearest",
            Shape::Map(&NEAREST),
            "The allow that came nearest.",
            "{rule: payments/stripe, failed: [\"destinations.ports\"]}",
        ),
        optional(
            "waits_for",
            Shape::List(&Shape::Text),
            "The attributes that a pending verdict hangs on.",
            "[dns.answers]",
        ),
        optional(
            "shadow",
            Shape::Set(&Shape::Text),
            "The rules in shadow that would have spoken.",
            "[payments/settlement]",
        ),
        optional("exception", Shape::Text, "The exception that let it through.", "exceptions/ex-2026-117"),
    ]],
    bonds: &[],
};

static NEAREST: Mapping = Mapping {
    name: "`nearest`",
    doc: "The allow that came nearest.",
    keys: &[&[
        required("rule", Shape::Text, "Its path.", "payments/stripe"),
        optional(
            "failed",
            Shape::List(&Shape::Text),
            "The clauses that stood in the way: all of them, in any order.",
            "[expires]",
        ),
    ]],
    bonds: &[],
};

static GRANT: Mapping = Mapping {
    name: "a grant",
    doc: "Break-glass, as `gatepass grant request` asks for it.",
    keys: &[&[
        optional("id", Shape::Id, "Its name: `grant/ID` in decisions.", "night"),
        required("identities", Shape::List(&Shape::Identity), "For whom.", "[\"token:ci\"]"),
        required("destinations", Shape::Map(&GRANTED), "Where to.", "{hosts: [\"api.test\"], ports: [443]}"),
        required("data_classes", Shape::List(&Shape::Id), "With which data.", "[internal]"),
        required("expires", Shape::Moment, "Its end.", "\"2026-11-22T12:00:00Z\""),
    ]],
    bonds: &[],
};

static GRANTED: Mapping = Mapping {
    name: "`destinations` of a grant",
    doc: "Where a grant leads: hosts, or networks.",
    keys: &[&[
        optional("hosts", Shape::List(&Shape::Host), "Names and patterns.", "[\"api.test\"]"),
        optional("cidrs", Shape::List(&Shape::Network), "Networks.", "[\"10.20.0.0/16\"]"),
        required("ports", Shape::List(&Shape::Port), "Ports.", "[443]"),
    ]],
    bonds: &[Bond::OneOf(&["hosts", "cidrs"])],
};

static FACTS: Mapping = Mapping {
    name: "`facts`",
    doc: "What is known of a connection. What is left out is not known yet.",
    keys: &[&[
        optional("source", Shape::Map(&SOURCE), "The client's address.", "{ip: 10.8.3.4, port: 40000}"),
        optional("listener", Shape::Map(&LISTENER), "The listener that took the connection.", "{name: mesh}"),
        optional(
            "identity",
            Shape::Map(&IDENTITY),
            "Who asks; labels and classes come from `Workloads`, unless given.",
            "{id: \"token:ci\"}",
        ),
        optional("data_classes", Shape::List(&Shape::Id), "Instead of the registered classes.", "[internal]"),
        optional("declared", Shape::List(&Shape::Id), "The classes to which the client narrows it.", "[internal]"),
        optional("destination", Shape::Map(&DESTINATION), "What is asked for.", "{host: api.stripe.com, port: 443}"),
        optional("request", Shape::Map(&REQUEST), "The request.", "{protocol: connect}"),
        optional("dns", Shape::Map(&DNS), "What DNS answers.", "{answers: [\"3.18.12.63\"]}"),
        optional("tls", Shape::Map(&TLS), "The ClientHello, or its absence.", "{present: true, sni: api.stripe.com}"),
    ]],
    bonds: &[],
};

static SOURCE: Mapping = Mapping {
    name: "`source`",
    doc: "The client's address.",
    keys: &[&[
        required("ip", Shape::Address, "The address.", "\"10.8.3.4\""),
        required("port", Shape::Port, "The port.", "40000"),
    ]],
    bonds: &[],
};

static LISTENER: Mapping = Mapping {
    name: "`listener`",
    doc: "The listener that took the connection.",
    keys: &[&[required("name", Shape::Text, "Its name.", "mesh")]],
    bonds: &[],
};

static IDENTITY: Mapping = Mapping {
    name: "`identity`",
    doc: "Who asks.",
    keys: &[&[
        optional("id", Shape::Identity, "The id.", "\"token:ci\""),
        optional("spiffe_id", Shape::SpiffeId, "The same, for a SPIFFE id.", "\"spiffe://corp.example/ns/ci/sa/x\""),
        optional(
            "method",
            Shape::Word(&["mtls", "jwt", "token", "network", "none"]),
            "How it was established.",
            "mtls",
        ),
        optional("labels", Shape::Entries(Names::Labels, &Shape::Text), "Instead of the registry's.", "{env: prod}"),
        optional("cert_sha256", Shape::Text, "SHA-256 of the client certificate.", "\"00ff…\""),
        optional("cert_expires", Shape::Moment, "The end of the client certificate.", "\"2026-12-01T00:00:00Z\""),
    ]],
    bonds: &[],
};

static DESTINATION: Mapping = Mapping {
    name: "`destination`",
    doc: "What is asked for.",
    keys: &[&[
        optional("host", Shape::Text, "The host, as a client writes it.", "api.stripe.com"),
        optional("port", Shape::Port, "The port.", "443"),
    ]],
    bonds: &[],
};

static REQUEST: Mapping = Mapping {
    name: "`request`",
    doc: "The request; everything but `protocol` is of plain HTTP.",
    keys: &[&[
        optional("protocol", Shape::Word(&["connect", "http", "transparent"]), "How it is asked.", "connect"),
        optional("method", Shape::Text, "The method.", "GET"),
        optional("path", Shape::Text, "The path without the query.", "/"),
        optional("query", Shape::Text, "The query.", "a=b"),
        optional(
            "headers",
            Shape::Entries(Names::Headers, &Shape::Text),
            "Fields by lower-case name.",
            "{x-team: web}",
        ),
        optional("content_type", Shape::Text, "The media type.", "text/plain"),
        optional("content_length", Shape::Number(0, u32::MAX), "The declared length.", "12"),
    ]],
    bonds: &[],
};

static DNS: Mapping = Mapping {
    name: "`dns`",
    doc: "What DNS answers.",
    keys: &[&[
        optional("answers", Shape::List(&Shape::Address), "Every address of the name.", "[\"3.18.12.63\"]"),
        optional("cname", Shape::List(&Shape::Text), "The chain of canonical names.", "[edge.example]"),
        optional("min_ttl", Shape::Number(0, u32::MAX), "The smallest time to live, in seconds.", "60"),
        optional("secure", Shape::Boolean, "Whether DNSSEC proved it.", "true"),
    ]],
    bonds: &[],
};

static TLS: Mapping = Mapping {
    name: "`tls`",
    doc: "The ClientHello, or its absence.",
    keys: &[&[
        optional("present", Shape::Boolean, "Whether the client began with one.", "true"),
        optional("sni", Shape::TextOrNull, "The server name; null: none.", "api.stripe.com"),
        optional("alpn", Shape::List(&Shape::Text), "The protocols that it offers.", "[h2]"),
        optional("versions", Shape::List(&Shape::Text), "The versions that it offers.", "[\"1.3\"]"),
        optional("ech", Shape::Boolean, "Whether it is encrypted (RFC 9849).", "false"),
    ]],
    bonds: &[],
};
