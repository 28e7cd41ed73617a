//! `Tests`.

use super::{Bond, Key, Mapping, Names, Need, Shape, Support, optional, required};

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
    doc: "What is expected: at least one thing; the word `unknown` takes away what a case is laid over.",
    keys: &[&[
        given("effect", &Shape::Word(&["allow", "deny", "pending"]), "The effect.", "allow"),
        given("rule", &Shape::Text, "The path of the rule that decides.", "payments/stripe"),
        given("reason", &Shape::Text, "The reason code.", "no_rule"),
        given(
            "stage",
            &Shape::Word(&["request", "resolved", "tls", "certificate"]),
            "The stage at which it is decided.",
            "request",
        ),
        given(
            "nearest",
            &Shape::Map(&NEAREST),
            "The allow that came nearest.",
            "{rule: payments/stripe, failed: [\"destinations.ports\"]}",
        ),
        given(
            "waits_for",
            &Shape::List(&Shape::Text),
            "The attributes that a pending verdict hangs on.",
            "[dns.answers]",
        ),
        given(
            "shadow",
            &Shape::Set(&Shape::Text),
            "The rules in shadow that would have spoken.",
            "[payments/settlement]",
        ),
        given("exception", &Shape::Text, "The exception that let it through.", "exceptions/ex-2026-117"),
    ]],
    bonds: &[],
};

static NEAREST: Mapping = Mapping {
    name: "`nearest`",
    doc: "The allow that came nearest.",
    keys: &[&[
        given("rule", &Shape::Text, "Its path.", "payments/stripe"),
        given(
            "failed",
            &Shape::List(&Shape::Text),
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
    doc: "What is known of a connection. What is left out is not known yet; the word `unknown` takes a default away.",
    keys: &[&[
        given("source", &Shape::Map(&SOURCE), "The client's address.", "{ip: 10.8.3.4, port: 40000}"),
        given("listener", &Shape::Map(&LISTENER), "The listener that took the connection.", "{name: mesh}"),
        given(
            "identity",
            &Shape::Map(&IDENTITY),
            "Who asks; labels and classes come from `Workloads`, unless given.",
            "{id: \"token:ci\"}",
        ),
        given("data_classes", &Shape::List(&Shape::Id), "Instead of the registered classes.", "[internal]"),
        given("declared", &Shape::List(&Shape::Text), "The classes to which the client narrows it.", "[internal]"),
        given("destination", &Shape::Map(&DESTINATION), "What is asked for.", "{host: api.stripe.com, port: 443}"),
        given("request", &Shape::Map(&REQUEST), "The request.", "{protocol: connect}"),
        given("dns", &Shape::Map(&DNS), "What DNS answers.", "{answers: [\"3.18.12.63\"]}"),
        given("tls", &Shape::Map(&TLS), "The ClientHello, or its absence.", "{present: true, sni: api.stripe.com}"),
        given(
            "upstream",
            &Shape::WordOr("nothing", &Shape::Map(&UPSTREAM)),
            "The certificate that the server shows; `nothing`: it shows none.",
            "{verified: true, dns_sans: [api.stripe.com]}",
        ),
    ]],
    bonds: &[],
};

static SOURCE: Mapping = Mapping {
    name: "`source`",
    doc: "The client's address.",
    keys: &[&[
        given("ip", &Shape::Address, "The address.", "\"10.8.3.4\""),
        given("port", &Shape::Port, "The port.", "40000"),
    ]],
    bonds: &[],
};

static LISTENER: Mapping = Mapping {
    name: "`listener`",
    doc: "The listener that took the connection.",
    keys: &[&[given("name", &Shape::Text, "Its name.", "mesh")]],
    bonds: &[],
};

static IDENTITY: Mapping = Mapping {
    name: "`identity`",
    doc: "Who asks.",
    keys: &[&[
        given("id", &Shape::Identity, "The id.", "\"token:ci\""),
        given("spiffe_id", &Shape::SpiffeId, "The same, for a SPIFFE id.", "\"spiffe://corp.example/ns/ci/sa/x\""),
        given("method", &Shape::Word(&["mtls", "jwt", "token", "network", "none"]), "How it was established.", "mtls"),
        given("labels", &Shape::Entries(Names::Labels, &Shape::Text), "Instead of the registry's.", "{env: prod}"),
        given("cert_sha256", &Shape::Text, "SHA-256 of the client certificate.", "\"00ff…\""),
        given("cert_expires", &Shape::Moment, "The end of the client certificate.", "\"2026-12-01T00:00:00Z\""),
    ]],
    bonds: &[],
};

static DESTINATION: Mapping = Mapping {
    name: "`destination`",
    doc: "What is asked for.",
    keys: &[&[
        given("host", &Shape::Text, "The host, as a client writes it.", "api.stripe.com"),
        given("port", &Shape::Port, "The port.", "443"),
    ]],
    bonds: &[],
};

static REQUEST: Mapping = Mapping {
    name: "`request`",
    doc: "The request; everything but `protocol` is of plain HTTP.",
    keys: &[&[
        given("protocol", &Shape::Word(&["connect", "http", "transparent"]), "How it is asked.", "connect"),
        given("method", &Shape::Text, "The method.", "GET"),
        given("path", &Shape::Text, "The path without the query.", "/"),
        given("query", &Shape::Text, "The query.", "a=b"),
        given("headers", &Shape::Entries(Names::Headers, &Shape::Text), "Fields by lower-case name.", "{x-team: web}"),
        given("content_type", &Shape::Text, "The media type.", "text/plain"),
        given(
            "content_length",
            &Shape::WordOr("chunked", &Shape::Number(0, u32::MAX)),
            "The declared length; `chunked`: none.",
            "12",
        ),
    ]],
    bonds: &[],
};

static DNS: Mapping = Mapping {
    name: "`dns`",
    doc: "What DNS answers.",
    keys: &[&[
        given("answers", &Shape::List(&Shape::Address), "Every address of the name.", "[\"3.18.12.63\"]"),
        given("cname", &Shape::List(&Shape::Text), "The chain of canonical names.", "[edge.example]"),
        given("min_ttl", &Shape::Number(0, u32::MAX), "The smallest time to live, in seconds.", "60"),
        given("secure", &Shape::Boolean, "Whether DNSSEC proved it.", "true"),
    ]],
    bonds: &[],
};

static TLS: Mapping = Mapping {
    name: "`tls`",
    doc: "The ClientHello, or its absence.",
    keys: &[&[
        given("present", &Shape::Boolean, "Whether the client began with one.", "true"),
        given("sni", &Shape::TextOrNull, "The server name; null: none.", "api.stripe.com"),
        given("alpn", &Shape::List(&Shape::Text), "The protocols that it offers.", "[h2]"),
        given("versions", &Shape::List(&Shape::Text), "The versions that it offers.", "[\"1.3\"]"),
        given("ech", &Shape::Boolean, "Whether it is encrypted (RFC 9849).", "false"),
        given("ja4", &Shape::Text, "Its JA4 fingerprint.", "\"t13d1516h2_8daaf6152771_e5627efa2ab1\""),
    ]],
    bonds: &[],
};

static UPSTREAM: Mapping = Mapping {
    name: "`upstream`",
    doc: "The certificate that the server shows. What is left out is not known.",
    keys: &[&[
        given("verified", &Shape::Boolean, "Whether it proves the host.", "true"),
        given("dns_sans", &Shape::List(&Shape::Text), "Its DNS names.", "[api.stripe.com]"),
        given("issuer", &Shape::Text, "Its issuer, as RFC 4514 writes it.", "\"CN=R3,O=Let's Encrypt,C=US\""),
        given("spki_sha256", &Shape::Text, "SHA-256 of its public key.", "\"00ff…\""),
        given("not_after", &Shape::Moment, "Its end.", "\"2027-01-01T00:00:00Z\""),
        given("tls_version", &Shape::Word(&["1.0", "1.1", "1.2", "1.3"]), "The version of TLS.", "\"1.3\""),
    ]],
    bonds: &[],
};

/// What may be laid over something else: it is needed only where that does not have it.
const fn given(name: &'static str, shape: &'static Shape, doc: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::Optional, shape: Shape::Given(shape), doc, example, support: Support::Built }
}
