//! Grants, exceptions and the mode.

use gatepass_config::operators::Role;

use super::super::operation::{Answer, Body, Needs, Operation, Verb};
use super::super::page::NEXT;
use super::super::shape::{Field, Shape};
use super::{APPROVERS, BREAKERS, PAGE, READERS, SENTENCE, WORD, get, ok};

const EXCEPTION: Shape = Shape::Described("an exception: who asked for what and why, its state, and its end");
const GRANT: Shape = Shape::Described("a grant: who asked for what and why, its state, and its end");

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
