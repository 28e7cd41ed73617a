//! What each operation is called, takes and answers.
//!
//! An operation that stands here and in no row of the table is not served and not in the document.

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
const GRANT: Shape = Shape::Described("a grant: who asked for what and why, its state, and its end");
const EXCEPTION: Shape = Shape::Described("an exception: who asked for what and why, its state, and its end");
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
        ]),
    ),
);

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

/// `GET /v1/grants`
pub const GRANTS: Operation = Operation {
    query: PAGE,
    ..get(
        "/v1/grants",
        "Grants: asked for, live and over",
        READERS,
        ok(
            "a page of them",
            Shape::Object(&[
                Field::required("grants", Shape::List { of: &GRANT, min: 0, max: 1_000_000 }, "the grants"),
                NEXT,
            ]),
        ),
    )
};

/// What a grant or an exception is for.
const WANTED: &[Field] = &[
    Field::required("identities", Shape::List { of: &SENTENCE, min: 1, max: 64 }, "for which identities"),
    Field::required("destinations", Shape::List { of: &SENTENCE, min: 1, max: 64 }, "to which `host:port`"),
    Field::optional("data_classes", Shape::List { of: &WORD, min: 1, max: 64 }, "with which data classes"),
    Field::required("reason", SENTENCE, "why"),
    Field::optional("ticket", WORD, "where it is discussed"),
    Field::required(
        "ttl",
        Shape::Integer { min: 1, max: 366 * 86_400 },
        "for how many seconds; the configuration caps it",
    ),
    Field::optional("drill", Shape::Boolean, "whether this is an exercise"),
    Field::optional("nonce", WORD, "what no other request of this person has: the same twice is refused"),
];

/// What an exception is for.
const EXCEPTED: &[Field] = &[
    Field::optional("identities", Shape::List { of: &SENTENCE, min: 1, max: 64 }, "for which identities"),
    Field::required("destinations", Shape::List { of: &SENTENCE, min: 1, max: 64 }, "to which `host:port`"),
    Field::optional("data_classes", Shape::List { of: &WORD, min: 1, max: 64 }, "with which data classes"),
    Field::required("reason", SENTENCE, "why"),
    Field::optional("ticket", WORD, "where it is discussed"),
    Field::required(
        "ttl",
        Shape::Integer { min: 1, max: 366 * 86_400 },
        "for how many seconds from its approval; the configuration caps it",
    ),
    Field::optional("permits", WORD, "the fragment in whose scope it allows; left out: the one that takes it"),
    Field::optional("lifts", WORD, "the guardrail that it lifts"),
    Field::optional("decision", WORD, "the id of the denial that led to it"),
];

/// `reason`, for the query of what ends something.
const REASON: Field = Field::optional("reason", SENTENCE, "why");

/// `POST /v1/grants`
pub const GRANT_REQUEST: Operation = Operation {
    verb: Verb::Post,
    body: Some(Body::of(Shape::Object(WANTED))),
    ..get(
        "/v1/grants",
        "Ask for break-glass",
        BREAKERS,
        Answer { status: 201, doc: "the grant, live or waiting for approval", shape: Some(GRANT) },
    )
};

/// `POST /v1/grants/{id}/approve`
pub const GRANT_APPROVE: Operation = Operation {
    verb: Verb::Post,
    ..get("/v1/grants/{id}/approve", "Approve a grant that somebody else asked for", APPROVERS, ok("the grant", GRANT))
};

/// `DELETE /v1/grants/{id}`
pub const GRANT_REVOKE: Operation = Operation {
    verb: Verb::Delete,
    query: &[REASON],
    needs: Needs::AnyOf(&[Role::Approver, Role::Breaker]),
    ..get("/v1/grants/{id}", "End a grant now, or refuse it", APPROVERS, ok("the grant, which is over", GRANT))
};

/// `GET /v1/grants/{id}`
pub const GRANT_BY_ID: Operation = get(
    "/v1/grants/{id}",
    "One grant, with what was done under it on every gateway",
    READERS,
    ok("the grant, with `uses`", GRANT),
);

/// `POST /v1/grants/{id}/review`
pub const GRANT_REVIEW: Operation = Operation {
    verb: Verb::Post,
    body: Some(Body::of(Shape::Object(&[Field::optional("note", SENTENCE, "what was found")]))),
    ..get(
        "/v1/grants/{id}/review",
        "Say that what was done under a grant that is over was looked at",
        APPROVERS,
        ok("the grant, with `uses`", GRANT),
    )
};

/// `GET /v1/exceptions/{id}`
pub const EXCEPTION_BY_ID: Operation =
    get("/v1/exceptions/{id}", "One exception", READERS, ok("the exception", EXCEPTION));

/// `GET /v1/exceptions`
pub const EXCEPTIONS: Operation = Operation {
    query: PAGE,
    ..get(
        "/v1/exceptions",
        "Exceptions: asked for, live and over",
        READERS,
        ok(
            "a page of them",
            Shape::Object(&[
                Field::required("exceptions", Shape::List { of: &EXCEPTION, min: 0, max: 1_000_000 }, "the exceptions"),
                NEXT,
            ]),
        ),
    )
};

/// `POST /v1/exceptions`
pub const EXCEPTION_REQUEST: Operation = Operation {
    verb: Verb::Post,
    body: Some(Body::of(Shape::Object(EXCEPTED))),
    ..get(
        "/v1/exceptions",
        "Ask for an exception",
        READERS,
        Answer { status: 201, doc: "the exception, waiting for approval", shape: Some(EXCEPTION) },
    )
};

/// `POST /v1/exceptions/{id}/approve`
pub const EXCEPTION_APPROVE: Operation = Operation {
    verb: Verb::Post,
    ..get(
        "/v1/exceptions/{id}/approve",
        "Approve an exception that somebody else asked for",
        APPROVERS,
        ok("the exception", EXCEPTION),
    )
};

/// `DELETE /v1/exceptions/{id}`
pub const EXCEPTION_REVOKE: Operation = Operation {
    verb: Verb::Delete,
    query: &[REASON],
    needs: Needs::AnyOf(&[Role::Viewer, Role::Approver]),
    ..get(
        "/v1/exceptions/{id}",
        "End an exception now, or refuse it",
        APPROVERS,
        ok("the exception, which is over", EXCEPTION),
    )
};

const MODE_NOW: Shape = Shape::Object(&[
    Field::required("mode", WORD, "its name"),
    Field::required("modes", Shape::List { of: &WORD, min: 1, max: 1_000 }, "the modes of the policy"),
    Field::optional("set", Shape::Described("who set it, when and why"), "who set it, when and why"),
    Field::optional("until", Shape::Time, "when the normal mode returns by itself"),
    Field::optional("scope", Shape::Word(&["fleet", "local"]), "whether it holds on this gateway alone"),
]);

/// `GET /v1/mode`
pub const MODE: Operation = get("/v1/mode", "The containment mode", READERS, ok("the mode in force", MODE_NOW));

/// `PUT /v1/mode`
pub const MODE_SET: Operation = Operation {
    verb: Verb::Put,
    body: Some(Body::of(Shape::Object(&[
        Field::required("mode", WORD, "a mode of the bundle"),
        Field::required("reason", SENTENCE, "why"),
        Field::optional("ttl", Shape::Integer { min: 1, max: 366 * 86_400 }, "seconds until the normal mode returns"),
        Field::optional("rehearse", Shape::Boolean, "only tell what it would cut and refuse"),
    ]))),
    ..get("/v1/mode", "Set the containment mode", BREAKERS, ok("the mode in force", MODE_NOW))
};

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
