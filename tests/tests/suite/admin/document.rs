//! The OpenAPI document is of the running listener: everything in it answers, and nothing answers that is not in it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{ask, bearer, gateway, host};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE"];
const UNKNOWN: &str = "019a0000-0000-7000-8000-000000000000";

#[test]
fn every_operation_of_the_document_answers_and_no_other_does() {
    let gateway = gateway();
    let fields = host(&gateway) + &bearer("0perator") + "Content-Length: 0\r\n";
    let document: Value = serde_json::from_str(&ask(&gateway, "GET /v1/openapi.json", &host(&gateway)).body).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    assert!(paths.len() >= 9, "{paths:?}");
    for (template, operations) in paths {
        let path = template.replace("{id}", UNKNOWN);
        let mut allowed: BTreeSet<String> =
            operations.as_object().unwrap().keys().map(|verb| verb.to_uppercase()).collect();
        if allowed.contains("GET") {
            allowed.insert("HEAD".to_owned());
        }
        let told = ask(&gateway, &format!("OPTIONS {path}"), &fields).field("allow").unwrap();
        let told: BTreeSet<String> = told.split(", ").filter(|verb| *verb != "OPTIONS").map(str::to_owned).collect();
        assert_eq!(told, allowed, "{path}");
        for method in METHODS {
            let reply = method_of(&gateway, method, &path, &fields);
            match allowed.contains(method) {
                true => assert_ne!(reply.0, 405, "{method} {path}"),
                false => assert_eq!(reply.0, 405, "{method} {path}"),
            }
            // An id that is nobody's is not found, and says so; a path that is not served has another detail.
            assert!(!reply.1.contains("there is no such path"), "{method} {path}: {}", reply.1);
        }
    }
    for template in paths.keys() {
        for path in
            [format!("{template}/"), format!("{template}x"), format!("/v2{template}"), format!("{template}/x/y")]
        {
            let path = path.replace("{id}", "a_b");
            assert_eq!(method_of(&gateway, "GET", &path, &fields).0, 404, "{path}");
        }
    }
}

/// Status and body; a HEAD has none, so it is asked on its own connection and not waited for.
fn method_of(gateway: &gatepass_tests::Gateway, method: &str, path: &str, fields: &str) -> (u16, String) {
    let mut client = gatepass_tests::Client::plain(gateway.address("admin"));
    client.say(format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{fields}\r\n"));
    let text = String::from_utf8_lossy(&client.rest()).into_owned();
    let status =
        text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{method} {path}: {text}"));
    (status, text)
}

#[test]
fn what_the_document_says_of_who_may_ask_is_so() {
    let gateway = gateway();
    let document: Value = serde_json::from_str(&ask(&gateway, "GET /v1/openapi.json", &host(&gateway)).body).unwrap();
    for (template, operations) in document["paths"].as_object().unwrap() {
        let path = template.replace("{id}", UNKNOWN);
        for (verb, operation) in operations.as_object().unwrap() {
            let line = format!("{} {path}", verb.to_uppercase());
            let open = operation["security"].as_array().unwrap().is_empty();
            let status = ask(&gateway, &line, &(host(&gateway) + "Content-Length: 0\r\n")).status;
            assert_eq!(status == 401, !open, "{line} without a credential: {status}");
            assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{line}");
            assert!(operation["responses"]["default"]["content"]["application/problem+json"].is_object(), "{line}");
        }
    }
}

#[test]
fn what_an_answer_holds_is_what_the_document_says() {
    let gateway = gateway();
    gateway.client().connect("denied.test:443");
    let fields = host(&gateway) + &bearer("0perator");
    let document: Value = serde_json::from_str(&ask(&gateway, "GET /v1/openapi.json", &host(&gateway)).body).unwrap();
    for path in ["/health", "/ready", "/v1/policy", "/v1/whoami", "/v1/tunnels", "/v1/decisions"] {
        let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        let told: Value = serde_json::from_str(&ask(&gateway, &format!("GET {path}"), &fields).body).unwrap();
        let known = schema["properties"].as_object().unwrap();
        let told = told.as_object().unwrap();
        let more: Vec<_> = told.keys().filter(|key| !known.contains_key(*key)).collect();
        assert!(more.is_empty(), "{path} answers {more:?}, which the document does not name");
        for key in schema["required"].as_array().unwrap() {
            assert!(told.contains_key(key.as_str().unwrap()), "{path} leaves out {key}");
        }
    }
}
