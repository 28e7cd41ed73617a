//! What may change something, and what it takes to be let.

use gatepass_config::operators::{Operator, Role, TotpSecret};
use http::StatusCode;

use super::super::api::{Answer as Told, Body, Field, Handler, Needs, Operation, Row, Shape, Verb};
use super::super::totp::code_at;
use super::{Admin, Answer, Ready, TOKEN, Unkept, json, operator, serving};

const THING: Operation = Operation {
    verb: Verb::Post,
    path: "/v1/things",
    summary: "Make a thing",
    needs: Needs::AnyOf(&[Role::Breaker]),
    query: &[],
    body: Some(Body::of(Shape::Object(&[
        Field::required("name", Shape::Text { max: 70_000 }, "its name"),
        Field::optional("size", Shape::Integer { min: 0, max: 9 }, "its size"),
    ]))),
    answer: Told { status: 201, doc: "the thing", shape: None },
};
const END: Operation =
    Operation { verb: Verb::Delete, path: "/v1/things/{id}", summary: "End a thing", body: None, ..THING };
const APPROVE: Operation = Operation {
    verb: Verb::Post,
    path: "/v1/things/{id}/approve",
    needs: Needs::AnyOf(&[Role::Approver]),
    body: None,
    ..THING
};

const CODED: Operation = Operation { verb: Verb::Put, path: "/v1/coded", body: None, ..THING };

static THINGS: &[Row] = &[
    Row {
        operation: &THING,
        handler: Handler::Waits(|asked| {
            Box::pin(async move {
                tokio::task::yield_now().await;
                Ok(json(StatusCode::CREATED, &asked.body))
            })
        }),
    },
    Row { operation: &END, handler: Handler::Now(|asked| Ok(json(StatusCode::OK, &asked.id.into()))) },
    Row {
        operation: &CODED,
        handler: Handler::Now(|asked| Ok(json(StatusCode::OK, &asked.second_factor()?.person().into()))),
    },
    Row {
        operation: &APPROVE,
        handler: Handler::Now(|asked| Ok(json(StatusCode::OK, &asked.caller()?.person().into()))),
    },
];

async fn things(keep: impl Fn(&str) -> Result<(), Unkept> + Send + Sync + 'static) -> Admin {
    let operators = vec![
        operator("alice", TOKEN, &[Role::Breaker]),
        operator("vera", "looks", &[Role::Viewer]),
        operator("anna", "approves", &[Role::Approver]),
    ];
    serving(operators, Ready::default(), THINGS, Box::new(keep)).await
}

fn fields(admin: &Admin, token: &str, kind: &str, length: usize) -> String {
    let kind = if kind.is_empty() { String::new() } else { format!("Content-Type: {kind}\r\n") };
    format!("Host: {}\r\nAuthorization: Bearer {token}\r\n{kind}Content-Length: {length}\r\n", admin.address)
}

async fn post(admin: &Admin, token: &str, body: &str) -> Answer {
    admin.send("POST /v1/things", &fields(admin, token, "application/json", body.len()), body.as_bytes()).await
}

const BODY: &str = "{\"name\": \"a\"}";

#[tokio::test]
async fn a_change_is_made_for_whom_it_may_be_and_recorded_before_and_after() {
    let admin = things(|_| Ok(())).await;
    let made = post(&admin, TOKEN, BODY).await;
    assert_eq!((made.status, &made.json()["name"]), (201, &"a".into()));
    assert_eq!(post(&admin, "looks", BODY).await.status, 403);
    assert_eq!(post(&admin, "approves", BODY).await.status, 403);
    let approve =
        admin.send("POST /v1/things/t1/approve", &fields(&admin, "approves", "application/json", 0), b"").await;
    assert_eq!((approve.status, approve.json()), (200, "anna".into()));
    let ended = admin.ask("DELETE /v1/things/t1", &fields(&admin, TOKEN, "", 0)).await;
    assert_eq!((ended.status, ended.json()), (200, "t1".into()));
    assert_eq!(
        *admin.calls.lock().unwrap(),
        [
            "alice token POST /v1/things begun",
            "alice token POST /v1/things 201",
            "vera token POST /v1/things 403",
            "anna token POST /v1/things 403",
            "anna token POST /v1/things/{id}/approve begun",
            "anna token POST /v1/things/{id}/approve 200",
            "alice token DELETE /v1/things/{id} begun",
            "alice token DELETE /v1/things/{id} 200",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_recorded_changes_nothing() {
    let admin = things(|line| match line.ends_with("begun") {
        true => Err(Unkept("the disk is full".to_owned())),
        false => Ok(()),
    })
    .await;
    let refused = post(&admin, TOKEN, BODY).await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("the disk is full"), "{}", refused.body);
    assert_eq!(*admin.calls.lock().unwrap(), ["alice token POST /v1/things begun", "alice token POST /v1/things 503"]);
}

#[tokio::test]
async fn what_a_form_of_a_web_page_can_send_changes_nothing() {
    let admin = things(|_| Ok(())).await;
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
        "application/json; charset=utf-7",
        "text/json",
    ] {
        let answer = admin.send("POST /v1/things", &fields(&admin, TOKEN, kind, BODY.len()), BODY.as_bytes()).await;
        assert_eq!(answer.status, 415, "{kind}");
    }
    for field in ["Origin: null", "Origin: http://127.0.0.1", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        let fields = format!("{}{field}\r\n", fields(&admin, TOKEN, "application/json", BODY.len()));
        assert_eq!(admin.send("POST /v1/things", &fields, BODY.as_bytes()).await.status, 403, "{field}");
    }
    for kind in ["application/json; charset=UTF-8", "Application/JSON"] {
        let answer = admin.send("POST /v1/things", &fields(&admin, TOKEN, kind, BODY.len()), BODY.as_bytes()).await;
        assert_eq!(answer.status, 201, "{kind}");
    }
    let fields =
        format!("Host: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n", admin.address, BODY.len());
    assert_eq!(admin.send("POST /v1/things", &fields, BODY.as_bytes()).await.status, 401, "without a credential");
}

#[tokio::test]
async fn a_body_has_a_bound_and_a_form() {
    let admin = things(|_| Ok(())).await;
    let long = format!("{{\"name\": \"{}\"}}", "x".repeat(64 << 10));
    assert_eq!(post(&admin, TOKEN, &long).await.status, 413);
    let chunked = format!(
        "{}Transfer-Encoding: chunked\r\n",
        fields(&admin, TOKEN, "application/json", 0).replace("Content-Length: 0\r\n", "")
    );
    let pieces = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    assert_eq!(admin.send("POST /v1/things", &chunked, pieces.as_bytes()).await.status, 413, "without a length");
    for (body, field) in [
        ("{\"name\": \"a\", \"owner\": \"b\"}", "owner"),
        ("{\"name\": \"a\", \"name\": \"b\"}", "name"),
        ("{\"name\": 5}", "name"),
        ("{}", "name"),
        ("{\"name\": \"a\", \"size\": 1e99}", "size"),
        ("{\"name\": \"a\", \"size\": null}", "size"),
        ("", ""),
        ("[]", ""),
    ] {
        let answer = post(&admin, TOKEN, body).await;
        assert_eq!((answer.status, answer.json()["status"].as_u64()), (400, Some(400)), "{body}");
        assert!(answer.head.contains("content-type: application/problem+json"));
        assert_eq!(answer.json()["errors"][0]["field"], field, "{body}");
    }
    let approve = fields(&admin, "approves", "application/json", 10);
    let more = admin.send("POST /v1/things/t1/approve", &approve, b"{\"who\": 1}").await;
    assert_eq!(more.json()["errors"][0]["field"], "who", "what takes nothing takes nothing");
    let gzip = format!("{}Content-Encoding: gzip\r\n", fields(&admin, TOKEN, "application/json", BODY.len()));
    assert_eq!(admin.send("POST /v1/things", &gzip, BODY.as_bytes()).await.status, 415);
}

#[tokio::test]
async fn a_second_factor_comes_in_a_field_and_counts_once() {
    let secret = TotpSecret::new(b"12345678901234567890").unwrap();
    let alice = Operator { totp: Some(secret.clone()), ..operator("alice", TOKEN, &[Role::Breaker]) };
    let bob = operator("bob", "without", &[Role::Breaker]);
    let admin = serving(vec![alice, bob], Ready::default(), THINGS, Box::new(|_| Ok(()))).await;
    let put = async |token: &str, code: &str| {
        let fields = format!("{}{code}", fields(&admin, token, "application/json", 0));
        admin.ask("PUT /v1/coded", &fields).await
    };
    let code = code_at(&secret, jiff::Timestamp::now()).unwrap();
    let field = format!("Gatepass-Totp: {code}\r\n");
    let none = put(TOKEN, "").await;
    assert!(none.status == 403 && none.body.contains("a one-time code is needed"), "{}", none.body);
    assert_eq!(put(TOKEN, "Gatepass-Totp: 12345\r\n").await.status, 400);
    assert_eq!(put("without", &field).await.status, 403, "whoever has no secret has no code");
    assert_eq!(put(TOKEN, &field.repeat(2)).await.status, 400, "two codes are none");
    let taken = put(TOKEN, &field).await;
    assert_eq!((taken.status, taken.json()), (200, "alice".into()));
    assert_eq!(put(TOKEN, &field).await.status, 403, "used");
    let wrong = format!("Gatepass-Totp: {:06}\r\n", (code.parse::<u32>().unwrap() + 500_000) % 1_000_000);
    let mut seen = Vec::new();
    for _ in 0..8 {
        seen.push(put(TOKEN, &wrong).await.status);
    }
    assert!(seen.contains(&403) && seen.ends_with(&[429]), "{seen:?}");
    let thing =
        admin.send("POST /v1/things", &fields(&admin, TOKEN, "application/json", BODY.len()), BODY.as_bytes()).await;
    assert_eq!(thing.status, 201, "only codes have to wait");
}
