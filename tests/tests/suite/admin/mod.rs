//! The operators' own listener: what is open, what needs a token, and that no proxy leads to it.

mod reach;

mod attacks;

mod document;

mod oidc;

mod operators;

mod tls;

mod unix;

use std::process::Command;

use gatepass_tests::gateway::binary;
use gatepass_tests::identities::token;
use gatepass_tests::{Bundle, Client, Gateway, Reply, Setup, eventually};

fn setup() -> Setup {
    let operators = format!("{}, {}", token("ops", "0perator", 1), token("left", "g0ne", -1));
    Setup::new().section(&format!("admin: {{bind: \"127.0.0.1:0\", operators: [{operators}]}}"))
}

fn gateway() -> Gateway {
    setup().start(&Bundle::new().allow("web", "allowed.test", &[443]))
}

/// One request to the admin listener, with these lines after the first.
fn ask(gateway: &Gateway, line: &str, fields: &str) -> Reply {
    let mut client = Client::plain(gateway.address("admin"));
    client.say(format!("{line} HTTP/1.1\r\n{fields}\r\n"));
    client.reply().expect("the admin listener answers")
}

fn host(gateway: &Gateway) -> String {
    format!("Host: {}\r\n", gateway.address("admin"))
}

fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}\r\n")
}

const CLOSED: [&str; 3] = ["/v1/decisions", "/v1/policy", "/v1/tunnels"];

#[test]
fn health_readiness_and_metrics_are_open() {
    let gateway = gateway();
    let denied = gateway.client().connect("denied.test:443");
    assert_eq!(denied.status, 403);
    assert_eq!(ask(&gateway, "GET /health", &host(&gateway)).status, 200);
    let ready = ask(&gateway, "GET /ready", &host(&gateway));
    let json: serde_json::Value = serde_json::from_str(&ready.body).unwrap();
    assert_eq!((ready.status, json["ready"].as_bool()), (200, Some(true)));
    assert!(json["degraded"].to_string().contains("loopback"), "the development floor is told: {json}");
    let metrics = ask(&gateway, "GET /metrics", &host(&gateway));
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("gatepass_") && metrics.body.contains("no_rule"), "{}", metrics.body);
    assert!(!metrics.body.contains("denied.test"), "a metric names a destination: {}", metrics.body);
}

#[test]
fn everything_else_needs_an_operator_s_token() {
    let gateway = gateway();
    let id = gateway.client().connect("denied.test:443").id();
    let paths = CLOSED.map(str::to_owned).into_iter().chain([format!("/v1/decisions/{id}")]);
    for path in paths {
        let line = format!("GET {path}");
        for shown in ["", &bearer("wrong"), &bearer("0perato"), "Authorization: Basic b3BzOjBwZXJhdG9y\r\n"] {
            let reply = ask(&gateway, &line, &(host(&gateway) + shown));
            assert_eq!(reply.status, 401, "{path} with `{shown}`");
            assert!(reply.field("www-authenticate").is_some());
            assert!(!reply.body.contains("denied.test"), "{}", reply.body);
        }
        let twice = host(&gateway) + &bearer("0perator") + &bearer("0perator");
        assert_eq!(ask(&gateway, &line, &twice).status, 401, "{path}");
        let reply = ask(&gateway, &line, &(host(&gateway) + &bearer("0perator")));
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
    }
}

#[test]
fn an_operator_s_token_ends_when_it_says() {
    let gateway = gateway();
    let reply = ask(&gateway, "GET /v1/policy", &(host(&gateway) + &bearer("g0ne")));
    assert_eq!(reply.status, 401, "an expired token was taken");
}

#[test]
fn a_client_s_token_is_no_operator_s_and_without_operators_nobody_may_ask() {
    let gateway = Setup::new().tokens(&[token("ci", "s3cret", 1)]).start(&Bundle::new());
    for path in CLOSED {
        let reply = ask(&gateway, &format!("GET {path}"), &(host(&gateway) + &bearer("s3cret")));
        assert_eq!(reply.status, 403, "{path}");
    }
}

#[test]
fn decisions_are_found_by_id_host_and_identity() {
    let gateway = gateway();
    let id = gateway.client().connect("denied.test:443").id();
    gateway.client().connect("other.test:443");
    let get = |path: &str| -> serde_json::Value {
        let reply = ask(&gateway, &format!("GET {path}"), &(host(&gateway) + &bearer("0perator")));
        serde_json::from_str(&reply.body).unwrap()
    };
    assert_eq!(get(&format!("/v1/decisions/{id}"))["destination"]["host"], "denied.test");
    let found = get("/v1/decisions?host=denied.test&identity=anonymous");
    assert_eq!(found["decisions"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["decisions"][0]["id"], id.as_str());
    assert_eq!(get("/v1/decisions?limit=1")["decisions"][0]["destination"]["host"], "other.test");
    assert_eq!(get("/v1/decisions?identity=token%3Aci")["decisions"], serde_json::json!([]));
    let policy = get("/v1/policy");
    assert_eq!((policy["bundle"].as_str(), policy["rules"].as_u64()), (Some("corp"), Some(1)), "{policy}");
}

#[test]
fn a_name_that_was_rebound_to_this_address_is_misdirected() {
    let gateway = gateway();
    let port = gateway.address("admin").port();
    let shown = bearer("0perator");
    for host in [
        format!("Host: attacker.test:{port}\r\n"),
        "Host: attacker.test\r\n".to_owned(),
        format!("Host: localhost.attacker.test:{port}\r\n"),
        "Host: 127.0.0.1:1\r\n".to_owned(),
        String::new(),
        format!("Host: 127.0.0.1:{port}\r\nHost: attacker.test\r\n"),
    ] {
        for path in ["/health", "/metrics", "/v1/decisions"] {
            let reply = ask(&gateway, &format!("GET {path}"), &format!("{host}{shown}"));
            assert!(matches!(reply.status, 400 | 421), "{path} with `{host}`: {}", reply.head);
            if host.contains("attacker") {
                assert_eq!(reply.status, 421, "{path} with `{host}`");
            }
        }
    }
    assert_eq!(ask(&gateway, "GET /health", &format!("Host: localhost:{port}\r\n")).status, 200);
}

#[test]
fn a_page_of_another_site_is_not_answered() {
    let gateway = gateway();
    for field in [
        "Sec-Fetch-Site: cross-site\r\n",
        "Sec-Fetch-Site: same-site\r\n",
        "Origin: https://attacker.test\r\n",
        "Origin: null\r\n",
    ] {
        for path in ["/health", "/metrics", "/v1/decisions"] {
            let reply = ask(&gateway, &format!("GET {path}"), &(host(&gateway) + &bearer("0perator") + field));
            assert_eq!(reply.status, 403, "{path} with `{field}`");
        }
    }
}

#[test]
fn nothing_changes_anything_and_it_is_no_proxy() {
    let gateway = gateway();
    for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
        let fields = host(&gateway) + &bearer("0perator") + "Content-Length: 0\r\n";
        for path in ["/health", "/v1/tunnels", "/v1/policy"] {
            assert_eq!(ask(&gateway, &format!("{method} {path}"), &fields).status, 405, "{method} {path}");
        }
    }
    let address = gateway.address("admin");
    let absolute = ask(&gateway, &format!("GET http://{address}/health"), &host(&gateway));
    assert_eq!(absolute.status, 421);
    let connect = ask(&gateway, "CONNECT allowed.test:443", "Host: allowed.test:443\r\n");
    assert_ne!(connect.status / 100, 2, "{}", connect.head);
    assert!(gateway.setup.resolver.queries().is_empty());
}

#[test]
fn why_asks_the_admin_listener_for_anyone_with_a_token() {
    let gateway = gateway();
    let id = gateway.client().connect("denied.test:443").id();
    let url = format!("http://{}", gateway.address("admin"));
    let why = |token: &str, arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.env_remove("HTTPS_PROXY").env_remove("GATEPASS_ADMIN").env("GATEPASS_TOKEN", token);
        command.args(["why", "--admin", &url]).args(arguments).output().unwrap()
    };
    for arguments in [vec![], vec!["denied.test"], vec![id.as_str()]] {
        let output = why("0perator", &arguments);
        let (told, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}{errors}");
        assert!(told.starts_with("DENY") && told.contains(&id), "{arguments:?}: {told}");
        let output = why("0perator", &[&arguments[..], &["--json"]].concat());
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(json["id"], id.as_str(), "{arguments:?}: {json}");
    }
    assert_eq!(why("0perator", &["never.test"]).status.code(), Some(1));
    assert_eq!(why("wrong", &[]).status.code(), Some(1));
    let unknown = "019a0000-0000-7000-8000-000000000000";
    assert_eq!(why("0perator", &[unknown]).status.code(), Some(1));
}

#[test]
fn readiness_ends_with_the_drain() {
    let gateway = setup().section("limits: {drain_timeout: 10s}").start(&Bundle::new());
    let address = gateway.address("admin");
    assert_eq!(ask(&gateway, "GET /ready", &host(&gateway)).status, 200);
    // A request under way keeps the gateway draining.
    let mut busy = gateway.client();
    busy.say("CONNECT ");
    gateway.signal("TERM");
    eventually("it is no longer ready, or gone", || {
        let Ok(_) = std::net::TcpStream::connect(address) else { return Some(()) };
        let mut client = Client::plain(address);
        client.say(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        client.reply().is_none_or(|reply| reply.status == 503).then_some(())
    });
}

#[test]
fn an_open_tunnel_is_listed_for_as_long_as_it_is_open() {
    let origin = gatepass_tests::Origin::echo();
    let setup = setup();
    setup.resolver.answer("open.test", &["127.0.0.1"]);
    let gateway = setup.start(&Bundle::new().allow("echo", "open.test", &[origin.port()]));
    let listed = || {
        let reply = ask(&gateway, "GET /v1/tunnels", &(host(&gateway) + &bearer("0perator")));
        let json: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        json["tunnels"].as_array().unwrap().clone()
    };
    assert!(listed().is_empty());
    let mut client = gateway.client();
    let opened = client.connect(&format!("open.test:{}", origin.port()));
    assert_eq!(opened.status, 200);
    client.say("hello");
    assert_eq!(client.take(5), b"hello");
    // The client can have its bytes a moment before they are counted.
    let tunnel = eventually("the bytes are counted", || {
        let found = listed().into_iter().next()?;
        (found["bytes_received"].as_u64() == Some(5)).then_some(found)
    });
    assert_eq!(listed().len(), 1);
    assert_eq!(tunnel["id"].as_str(), Some(opened.id().as_str()));
    assert_eq!((tunnel["identity"].as_str(), tunnel["rule"].as_str()), (Some("anonymous"), Some("team/echo")));
    assert_eq!(tunnel["bytes_sent"].as_u64(), Some(5));
    drop(client);
    eventually("the closed tunnel is off the list", || listed().is_empty().then_some(()));
}
