//! What each operation is called, takes and answers.
//!
//! An operation that stands here and in no row of the table is not served and not in the document.

mod overrides;
pub use overrides::{
    EXCEPTION_APPROVE, EXCEPTION_BY_ID, EXCEPTION_REQUEST, EXCEPTION_REVOKE, EXCEPTIONS, GRANT_APPROVE, GRANT_BY_ID,
    GRANT_REQUEST, GRANT_REVIEW, GRANT_REVOKE, GRANTS, MODE, MODE_SET,
};

use gatepass_config::operators::Role;

use super::operation::{Answer, Body, Needs, Operation, Verb};
use super::page::{AFTER, LIMIT, NEXT};
use super::shape::{Field, Shape};

const ANYBODY: Needs = Needs::Nothing;
const READERS: Needs = Needs::AnyOf(&[Role::Viewer]);
const APPROVERS: Needs = Needs::AnyOf(&[Role::Approver]);
const BREAKERS: Needs = Needs::AnyOf(&[Role::Breaker]);

/// Bytes of a candidate bundle.
const PREVIEW_MAX: usize = 8 << 20;

const WORD: Shape = Shape::Text { max: 256 };
const SENTENCE: Shape = Shape::Text { max: 2048 };
const COUNT: Shape = Shape::Integer { min: 0, max: i64::MAX };
const DECISION: Shape = Shape::Described("a decision record, as docs/reference/records.md lists its fields");
const PAGE: &[Field] = &[LIMIT, AFTER];

const fn get(path: &'static str, summary: &'static str, needs: Needs, answer: Answer) -> Operation {
    Operation { verb: Verb::Get, path, summary, needs, query: &[], body: None, answer }
}

const fn ok(doc: &'static str, shape: Shape) -> Answer {
    Answer { status: 200, doc, shape: Some(shape) }
}

/// `GET /health`
pub const HEALTH: Operation = get(
    "/health",
    "Whether the process answers",
    ANYBODY,
    ok("it does", Shape::Object(&[Field::required("status", Shape::Word(&["ok"]), "always `ok`")])),
);

/// `GET /ready`
pub const READY: Operation = get(
    "/ready",
    "Whether traffic should be sent here, and what deserves attention; 503 where it should not",
    ANYBODY,
    ok(
        "it should",
        Shape::Object(&[
            Field::required("ready", Shape::Boolean, "whether it should"),
            Field::required("reasons", Shape::List { of: &SENTENCE, min: 0, max: 64 }, "why not"),
            Field::required("degraded", Shape::List { of: &SENTENCE, min: 0, max: 64 }, "what deserves attention"),
        ]),
    ),
);

/// `GET /metrics`
pub const METRICS: Operation = get(
    "/metrics",
    "Metrics, in the Prometheus text format",
    ANYBODY,
    Answer { status: 200, doc: "docs/reference/metrics.md lists them", shape: None },
);

/// `GET /v1/openapi.json`
pub const OPENAPI: Operation =
    get("/v1/openapi.json", "This document", ANYBODY, ok("this document", Shape::Described("an OpenAPI 3.1 document")));

/// `GET /v1/login`
pub const LOGIN: Operation = get(
    "/v1/login",
    "Where operators log in; 404 where ID tokens are not taken",
    ANYBODY,
    ok(
        "the identity provider",
        Shape::Object(&[
            Field::required("issuer", SENTENCE, "the provider"),
            Field::required("client_id", WORD, "who `gatepass login` is to it"),
        ]),
    ),
);

/// `GET /v1/whoami`
pub const WHOAMI: Operation = get(
    "/v1/whoami",
    "Who the caller is, and what they may do",
    READERS,
    ok(
        "the operator",
        Shape::Object(&[
            Field::required("operator", WORD, "the entry whose credentials were shown"),
            Field::required("person", WORD, "who that is"),
            Field::required("roles", Shape::List { of: &WORD, min: 1, max: 3 }, "what they may do"),
            Field::required("by", Shape::List { of: &WORD, min: 1, max: 2 }, "what was shown"),
            Field::required("expires", Shape::Time, "when the entry ends"),
            Field::required("one_time_codes", Shape::Boolean, "whether the operator is enrolled for them"),
        ]),
    ),
);

const POINTER: Shape = Shape::Object(&[
    Field::required("gateway", WORD, "its name"),
    Field::required("replica", WORD, "what tells it from others of its name"),
    Field::required("bundle", WORD, "the bundle's name"),
    Field::required("digest", WORD, "over the bundle's files"),
    Field::required("activated", Shape::Time, "since when it decides there"),
]);

/// `GET /v1/policy`
pub const POLICY: Operation = get(
    "/v1/policy",
    "The policy in force",
    READERS,
    ok(
        "the policy in force",
        Shape::Object(&[
            Field::required("bundle", WORD, "the bundle's name"),
            Field::required("digest", WORD, "over the bundle's files"),
            Field::optional("serial", COUNT, "the bundle's number"),
            Field::required("rules", COUNT, "how many rules it has"),
            Field::required("activated", Shape::Time, "since when it decides"),
            Field::optional("last_error", SENTENCE, "why the last reload was refused"),
            Field::optional(
                "fleet",
                Shape::List { of: &POINTER, min: 1, max: 100_000 },
                "what each gateway that shares the store decides by, this one included",
            ),
        ]),
    ),
);

/// The limits of rules that hold for a tunnel.
const LIMITS: Shape = Shape::List {
    of: &Shape::Object(&[
        Field::required("rule", SENTENCE, "whose they are"),
        Field::optional("connections", COUNT, "at once, of one identity"),
        Field::optional("new_connections_per_second", COUNT, "of one identity"),
        Field::optional("upload_bytes_per_day", COUNT, "of one identity"),
        Field::optional("download_bytes_per_day", COUNT, "of one identity"),
        Field::optional("max_connection_duration", COUNT, "in seconds"),
    ]),
    min: 1,
    max: 100_000,
};

/// `GET /v1/tunnels`
pub const TUNNELS: Operation = Operation {
    query: PAGE,
    ..get(
        "/v1/tunnels",
        "The open tunnels and the plain HTTP exchanges under way, the oldest first",
        READERS,
        ok(
            "a page of them",
            Shape::Object(&[
                Field::required(
                    "tunnels",
                    Shape::List {
                        of: &Shape::Object(&[
                            Field::required("id", Shape::Id, "of the decision that opened it"),
                            Field::required("identity", SENTENCE, "whose it is"),
                            Field::required("destination", SENTENCE, "where it leads"),
                            Field::required("protocol", WORD, "how it was asked for: `connect`, `http`"),
                            Field::optional("rule", SENTENCE, "what allows it"),
                            Field::optional("grant", WORD, "the grant that does, where one does"),
                            Field::required("mode", WORD, "the containment mode it was decided under last"),
                            Field::required("since", Shape::Time, "when it was opened"),
                            Field::required("bytes_sent", COUNT, "from the client"),
                            Field::required("bytes_received", COUNT, "to the client"),
                            Field::optional("limits", LIMITS, "those of every rule that allows it, where any has some"),
                        ]),
                        min: 0,
                        max: 1_000_000,
                    },
                    "the tunnels",
                ),
                NEXT,
            ]),
        ),
    )
};

/// `GET /v1/decisions`
pub const DECISIONS: Operation = Operation {
    query: &[
        Field::optional("identity", SENTENCE, "whose"),
        Field::optional("host", SENTENCE, "to which host"),
        Field::optional("outcome", WORD, "one outcome, or several with commas"),
        LIMIT,
        AFTER,
    ],
    ..get(
        "/v1/decisions",
        "The last decisions, the newest first",
        READERS,
        ok(
            "a page of them; in words where `Accept` is `text/plain`",
            Shape::Object(&[
                Field::required("decisions", Shape::List { of: &DECISION, min: 0, max: 1_000_000 }, "the decisions"),
                NEXT,
            ]),
        ),
    )
};

/// `GET /v1/decisions/{id}`
pub const DECISION_BY_ID: Operation =
    get("/v1/decisions/{id}", "One of the last decisions", READERS, ok("the decision", DECISION));

/// `POST /v1/policy/preview`
pub const POLICY_PREVIEW: Operation = Operation {
    verb: Verb::Post,
    body: Some(Body {
        shape: Shape::Object(&[
            Field::optional(
                "files",
                Shape::List {
                    of: &Shape::Object(&[
                        Field::required("name", SENTENCE, "path below the bundle's directory"),
                        Field::required("text", Shape::Lines { max: PREVIEW_MAX }, "its contents"),
                    ]),
                    min: 1,
                    max: 10_000,
                },
                "the candidate bundle; without it, the one in force",
            ),
            Field::optional("mode", WORD, "the candidate mode; without it, the one in force"),
        ]),
        max: PREVIEW_MAX,
    }),
    ..get(
        "/v1/policy/preview",
        "What a candidate bundle or mode would change, and what it would cut",
        READERS,
        ok("what it would do", Shape::Described("what would change, and the tunnels that would be cut")),
    )
};

/// `DELETE /v1/tunnels/{id}`
pub const TUNNEL_CUT: Operation = Operation {
    verb: Verb::Delete,
    ..get(
        "/v1/tunnels/{id}",
        "Cut a tunnel, or a plain HTTP exchange under way",
        BREAKERS,
        ok("it is being cut", Shape::Object(&[Field::required("id", Shape::Id, "the tunnel")])),
    )
};
