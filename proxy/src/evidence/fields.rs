//! One table from the fields of the JSON records to the attributes of OTLP log records: exporter, tests and
//! documentation share it.

use serde_json::Value;

/// Where a field stands in an OTLP log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// An attribute of this name, of the same type; lists are arrays, objects are key-value lists.
    Attribute(&'static str),
    /// An attribute of this name, milliseconds turned into seconds as OpenTelemetry counts durations.
    Seconds(&'static str),
    /// An attribute of the resource.
    Resource(&'static str),
    /// The event name, `gatepass.decision` for `decision` and so on.
    EventName,
    /// The time of the log record.
    Time,
    /// The body.
    Body,
    /// The trace id of the log record.
    TraceId,
    /// The span id of the log record.
    SpanId,
}

/// The attribute by which a store drops duplicates (a batch is sent again when its answer was lost). It is the id, but
/// `ID/close` on a close, which must not pass for a duplicate of its decision.
pub const UID: &str = "log.record.uid";

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The dotted path in the JSON record. A list or map that has no rows below it is one field.
    pub path: &'static str,
    /// Where it stands in OTLP.
    pub place: Place,
    /// What it is.
    pub doc: &'static str,
}

/// An attribute that the JSON record does not have, since it follows from what it has: the conventions have a name for it.
#[derive(Clone, Copy, Debug)]
pub struct Derived {
    /// The attribute.
    pub name: &'static str,
    /// What it is, where the record has what it follows from.
    pub value: fn(&Value) -> Option<Value>,
    /// What it is.
    pub doc: &'static str,
}

/// Every one, in the order in which they follow the fields. Only decisions have any.
pub const DERIVED: &[Derived] = &[
    Derived {
        name: "network.transport",
        value: |json| json.pointer("/client").map(|_| "tcp".into()),
        doc: "`tcp`, wherever a client is known.",
    },
    Derived {
        name: "network.protocol.name",
        value: |json| plain_http(json).then(|| "http".into()),
        doc: "`http` for plain HTTP; what a tunnel carries is not known.",
    },
    Derived {
        name: "url.scheme",
        value: |json| plain_http(json).then(|| "http".into()),
        doc: "`http` for plain HTTP.",
    },
    Derived {
        name: "network.peer.port",
        value: |json| json.pointer("/destination/address").and(json.pointer("/destination/port")).cloned(),
        doc: "The port that was dialled: the one that was asked for.",
    },
    Derived {
        name: "dns.question.name",
        value: |json| json.pointer("/dns").and(json.pointer("/destination/host")).cloned(),
        doc: "The name that was looked up: the one that was asked for.",
    },
    Derived {
        name: "error.type",
        value: |json| {
            let carried = json.get("outcome").is_none_or(|outcome| outcome == "admitted");
            json.pointer("/reason/code").filter(|_| !carried).cloned()
        },
        doc: "The reason, where the connection was refused or failed.",
    },
];

fn plain_http(json: &Value) -> bool {
    json.pointer("/request/protocol").is_some_and(|protocol| protocol == "http")
}

macro_rules! fields {
    ($($path:literal => $place:ident $(($name:literal))?, $doc:literal;)*) => {
        /// Every field, in the order of the records.
        pub const FIELDS: &[Field] = &[$(Field { path: $path, place: Place::$place $(($name))?, doc: $doc },)*];
    };
}

fields! {
    "schema" => Attribute("gatepass.schema"), "The version of the record's form.";
    "kind" => EventName, "`decision`, `close`, `policy`, `grant`, `exception`, `mode`, `admin`, `checkpoint` or `gap`.";
    "id" => Attribute("gatepass.decision.id"), "UUIDv7, the same on a decision and its close.";
    "sequence" => Attribute("gatepass.evidence.sequence"), "Per gateway, without holes.";
    "time" => Time, "The moment, UTC, at most microseconds.";
    "gateway" => Resource("service.instance.id"), "The gateway's name.";
    "floor" => Attribute("gatepass.floor"), "`development` where rules may open loopback addresses.";
    "observe" => Attribute("gatepass.observe"), "Until when the gateway only observes: policy denials are recorded and carried.";
    "effect" => Attribute("gatepass.decision.effect"), "What the policy says: `allow` or `deny`.";
    "outcome" => Attribute("gatepass.decision.outcome"), "What happened: `admitted`, `refused` or `failed`.";
    "would_deny" => Attribute("gatepass.decision.would_deny"), "True where the policy denies and the gateway only observes: not refused for that.";
    "mode" => Attribute("gatepass.mode"), "The containment mode.";
    "stage" => Attribute("gatepass.decision.stage"), "The latest stage whose facts were known.";
    "reason.code" => Attribute("gatepass.decision.reason"), "Why: one of a closed list.";
    "reason.text" => Body, "Why: a sentence about this very case.";
    "rule.path" => Attribute("security_rule.name"), "The rule that decided.";
    "rule.owner" => Attribute("gatepass.rule.owner"), "Who answers for the rule.";
    "rule.purpose" => Attribute("gatepass.rule.purpose"), "Why the rule exists.";
    "rule.expires" => Attribute("gatepass.rule.expires"), "The end of the rule.";
    "grant" => Attribute("gatepass.grant.id"), "The break-glass grant that allowed it, or that this is about.";
    "exception" => Attribute("gatepass.exception.id"), "The exception that allowed it or lifted a guardrail for it, or that this is about.";
    "action" => Attribute("gatepass.action"), "What was done, on records of grants, exceptions, modes and calls of the admin listener.";
    "drill" => Attribute("gatepass.drill"), "True on an exercise.";
    "operator.name" => Attribute("gatepass.operator.name"), "The operator who did it.";
    "operator.person" => Attribute("gatepass.operator.person"), "The person behind the operator.";
    "operator.by" => Attribute("gatepass.operator.by"), "How the operator was established: `certificate`, `token` or `oidc`.";
    "details" => Attribute("gatepass.details"), "The terms of what was done.";
    "nearest" => Attribute("gatepass.nearest"), "The allows that came nearest, and what stood in the way.";
    "shadow" => Attribute("gatepass.shadow"), "What rules in shadow would have said.";
    "identity.id" => Attribute("user.id"), "Who asked.";
    "identity.method" => Attribute("gatepass.identity.method"), "How that was established.";
    "identity.labels" => Attribute("gatepass.identity.labels"), "The workload registry's labels.";
    "identity.cert_sha256" => Attribute("tls.client.hash.sha256"), "SHA-256 of the client certificate.";
    "data_classes" => Attribute("gatepass.data_classes"), "The data classes that decided.";
    "data_classes_from" => Attribute("gatepass.data_classes_from"), "`registered` or `declared`.";
    "client.address" => Attribute("client.address"), "The client's address.";
    "client.port" => Attribute("client.port"), "The client's port.";
    "listener" => Attribute("gatepass.listener"), "The listener that took the connection.";
    "destination.host" => Attribute("server.address"), "The host asked for, canonical.";
    "destination.port" => Attribute("server.port"), "The port asked for.";
    "destination.domain" => Attribute("gatepass.destination.domain"), "The registered domain of the host, by the public suffix list.";
    "destination.first_seen" => Attribute("gatepass.destination.first_seen"), "True where this identity reaches this domain for the first time.";
    "destination.text" => Attribute("gatepass.destination.text"), "What was asked for, where that is malformed.";
    "destination.addresses" => Attribute("dns.answers"), "Every address of the name.";
    "destination.address" => Attribute("network.peer.address"), "The address that was dialled.";
    "dns.cname" => Attribute("gatepass.dns.cname"), "The chain of canonical names.";
    "dns.min_ttl" => Attribute("gatepass.dns.min_ttl"), "The smallest time to live, in seconds.";
    "dns.secure" => Attribute("gatepass.dns.secure"), "Whether DNSSEC proved the answers.";
    "tls.present" => Attribute("gatepass.tls.present"), "Whether the client began with a ClientHello.";
    "tls.sni" => Attribute("gatepass.tls.sni"), "The server name asked for.";
    "tls.alpn" => Attribute("gatepass.tls.alpn"), "The protocols offered.";
    "tls.versions" => Attribute("gatepass.tls.versions"), "The TLS versions offered.";
    "tls.ech" => Attribute("gatepass.tls.ech"), "Whether an encrypted ClientHello extension was there.";
    "tls.ja4" => Attribute("gatepass.tls.ja4"), "The JA4 fingerprint of the ClientHello, where a rule asks for it.";
    "upstream.verified" => Attribute("gatepass.upstream.verified"), "Whether the server proved the host to the gateway's own probe, where a rule asks.";
    "upstream.fault" => Attribute("gatepass.upstream.fault"), "Why it did not.";
    "upstream.dns_sans" => Attribute("gatepass.upstream.dns_sans"), "The DNS names in the server's certificate.";
    "upstream.issuer" => Attribute("gatepass.upstream.issuer"), "The issuer of the server's certificate.";
    "upstream.spki_sha256" => Attribute("gatepass.upstream.spki_sha256"), "SHA-256 of the server's public key.";
    "upstream.not_after" => Attribute("gatepass.upstream.not_after"), "The end of the server's certificate.";
    "upstream.tls_version" => Attribute("gatepass.upstream.tls_version"), "The TLS version of the probe.";
    "request.protocol" => Attribute("gatepass.request.protocol"), "`connect`, `http` or `transparent`.";
    "request.method" => Attribute("http.request.method"), "The method, on plain HTTP.";
    "request.path" => Attribute("url.path"), "The path without the query, on plain HTTP.";
    "local.address" => Attribute("network.local.address"), "The gateway's own source address.";
    "local.port" => Attribute("network.local.port"), "The gateway's own source port.";
    "bytes_sent" => Attribute("gatepass.transmit.bytes"), "Bytes from the client to the destination.";
    "bytes_received" => Attribute("gatepass.receive.bytes"), "Bytes from the destination to the client.";
    "duration_ms" => Seconds("gatepass.duration"), "From the admission to the end.";
    "ending" => Attribute("gatepass.ending"), "How the connection ended.";
    "cut_by" => Attribute("gatepass.cut_by"), "The rule whose end or change cut it.";
    "result" => Attribute("gatepass.policy.result"), "`activated` or `rejected`.";
    "error" => Attribute("error.message"), "Why a policy was rejected.";
    "policy.bundle" => Attribute("security_rule.ruleset.name"), "The bundle that decided.";
    "policy.digest" => Attribute("security_rule.version"), "The digest of its files.";
    "policy.serial" => Attribute("gatepass.policy.serial"), "Its serial number, where it is signed.";
    "checkpoint.size" => Attribute("gatepass.checkpoint.size"), "How many records a checkpoint signs.";
    "checkpoint.root" => Attribute("gatepass.checkpoint.root"), "Their Merkle root, in base64.";
    "checkpoint.note" => Attribute("gatepass.checkpoint.note"), "The signed note.";
    "gap.cause" => Attribute("gatepass.gap.cause"), "`dropped` to make room, or `torn` by the death of the gateway.";
    "gap.first" => Attribute("gatepass.gap.first"), "The first record that is missing.";
    "gap.last" => Attribute("gatepass.gap.last"), "The last record that is missing.";
    "gap.bytes" => Attribute("gatepass.gap.bytes"), "How many bytes are missing.";
    "trace.id" => TraceId, "The trace of the request, where it is traced.";
    "trace.span" => SpanId, "The span of the request in it.";
    "timings.decide_us" => Attribute("gatepass.timings.decide_us"), "All stages of the decision, in microseconds.";
    "timings.dns_us" => Attribute("gatepass.timings.dns_us"), "The DNS answer, in microseconds.";
    "timings.dial_us" => Attribute("gatepass.timings.dial_us"), "The dial, in microseconds.";
    "timings.probe_us" => Attribute("gatepass.timings.probe_us"), "The probe of the server's certificate, in microseconds.";
}
