//! What is tried against an admin listener: floods of tokens, rebound names, web pages, spellings of paths, and looks at
//! secrets.

use std::process::Command;
use std::time::{Duration, Instant};

use gatepass_tests::gateway::binary;
use gatepass_tests::identities::token;
use gatepass_tests::{Bundle, Client, Setup};

use super::{CLOSED, ask, bearer, gateway, host};

#[test]
fn o038_ten_thousand_wrong_tokens_lock_nobody_out() {
    let gateway = gateway();
    let address = gateway.address("admin");
    let wrong = format!("GET /v1/policy HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer wr0ng\r\n\r\n");
    let right = format!("GET /v1/policy HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer 0perator\r\n\r\n");
    let mut guesser = Client::plain(address);
    let mut operator = Client::plain(address);
    let (mut waits, mut slowest) = (0, Duration::ZERO);
    for round in 0..100 {
        guesser.say(wrong.repeat(100));
        for _ in 0..100 {
            let reply = guesser.reply().expect("a wrong token is answered");
            match reply.status {
                401 => {}
                429 => {
                    assert!(reply.field("retry-after").is_some_and(|wait| wait.parse::<u32>().is_ok()));
                    waits += 1;
                }
                other => panic!("{other}: {}", reply.head),
            }
        }
        let start = Instant::now();
        operator.say(&right);
        let reply = operator.reply().expect("the operator is answered");
        assert_eq!(reply.status, 200, "round {round}: {}", reply.body);
        slowest = slowest.max(start.elapsed());
    }
    assert!(waits > 9_000, "only {waits} were told to wait");
    assert!(slowest < Duration::from_secs(2), "the operator waited {slowest:?}");
    assert_eq!(ask(&gateway, "GET /health", &host(&gateway)).status, 200);
}

#[test]
fn o038_connections_that_say_nothing_keep_no_operator_out() {
    let gateway = gateway();
    let address = gateway.address("admin");
    let request = format!("GET /v1/whoami HTTP/1.1\r\nHost: {address}\r\n{}\r\n", bearer("0perator"));
    let mut known = Client::plain(address);
    known.say(&request);
    assert_eq!(known.reply().unwrap().status, 200);
    let silent: Vec<Client> = (0..200).map(|_| Client::plain(address)).collect();
    let start = Instant::now();
    let mut operator = Client::plain(address);
    operator.say(&request);
    assert_eq!(operator.reply().unwrap().status, 200);
    known.say(&request);
    assert_eq!(known.reply().unwrap().status, 200, "a connection of an operator's stays");
    assert!(start.elapsed() < Duration::from_secs(5), "the operator waited {:?}", start.elapsed());
    drop(silent);
}

#[test]
fn o039_a_rebound_name_changes_and_reads_nothing() {
    let gateway = gateway();
    let port = gateway.address("admin").port();
    for name in ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test"] {
        for line in ["GET /v1/policy", "GET /v1/openapi.json", "POST /v1/grants", "OPTIONS /v1/policy"] {
            let fields = format!("Host: {name}:{port}\r\nContent-Length: 0\r\n{}", bearer("0perator"));
            assert_eq!(ask(&gateway, line, &fields).status, 421, "{line} of {name}");
        }
    }
}

#[test]
fn a_name_that_the_configuration_gives_is_ours() {
    let section = "admin: {bind: \"127.0.0.1:0\", names: [Admin.Corp.test]}";
    let gateway = Setup::new().section(section).start(&Bundle::new());
    for name in ["admin.corp.test", "ADMIN.corp.test:8443"] {
        assert_eq!(ask(&gateway, "GET /health", &format!("Host: {name}\r\n")).status, 200, "{name}");
    }
    assert_eq!(ask(&gateway, "GET /health", "Host: x.admin.corp.test\r\n").status, 421);
}

#[test]
fn o040_a_web_page_changes_nothing() {
    let gateway = gateway();
    for field in [
        "Origin: null",
        "Origin: https://evil.test",
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Site: same-site",
        "Sec-Fetch-Site: anything",
    ] {
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json"] {
            for line in
                ["POST /v1/grants", "PUT /v1/mode", "DELETE /v1/tunnels/a", "GET /v1/policy", "OPTIONS /v1/policy"]
            {
                let fields = format!(
                    "{}{}{field}\r\nContent-Type: {kind}\r\nContent-Length: 0\r\n",
                    host(&gateway),
                    bearer("0perator")
                );
                let status = ask(&gateway, line, &fields).status;
                assert_eq!(status, 403, "{line} with `{field}` as {kind}");
            }
        }
    }
}

#[test]
fn o041_the_unspecified_address_is_not_ours() {
    let gateway = gateway();
    let port = gateway.address("admin").port();
    for name in ["0.0.0.0", "[::]", "0", "[::ffff:0.0.0.0]", "127.0.0.2"] {
        let reply = ask(&gateway, "GET /v1/policy", &format!("Host: {name}:{port}\r\n{}", bearer("0perator")));
        assert_eq!(reply.status, 421, "{name}");
    }
}

#[test]
fn o044_a_path_has_one_spelling() {
    let gateway = gateway();
    for path in [
        "/../v1/policy",
        "/v1/../v1/policy",
        "//v1/policy",
        "/v1//policy",
        "/v1/policy/",
        "/v1/./policy",
        "/%2e%2e/v1/policy",
        "/v1/%2e%2e/v1/policy",
        "/v1/policy;a=b",
        "/v1;a=b/policy",
        "/v1%2fpolicy",
        "/admin%2fx",
        "/admin/v1/policy",
        "/V1/policy",
        "/v1/decisions/%2e%2e%2fpolicy",
        "/v1/decisions/../policy",
        "/v1/policy%00",
        "/v1/policy%20",
        "/.env",
    ] {
        let reply = ask(&gateway, &format!("GET {path}"), &(host(&gateway) + &bearer("0perator")));
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.field("content-type").as_deref(), Some("application/problem+json"), "{path}");
    }
    for path in ["/v1/policy\\..", "/v1/policy\\"] {
        let reply = ask(&gateway, &format!("GET {path}"), &(host(&gateway) + &bearer("0perator")));
        assert!(matches!(reply.status, 400 | 404), "{path}: {}", reply.head);
    }
}

#[test]
fn o045_there_is_nothing_to_debug_with() {
    let gateway = gateway();
    for path in [
        "/debug",
        "/debug/pprof",
        "/debug/pprof/heap",
        "/debug/vars",
        "/pprof",
        "/metrics/debug",
        "/config",
        "/config_dump",
        "/v1/config",
        "/quitquitquit",
        "/stats",
        "/server-status",
        "/actuator/env",
        "/heapdump",
        "/tokio-console",
        "/v1/debug",
    ] {
        for method in ["GET", "POST"] {
            let fields = host(&gateway) + &bearer("0perator") + "Content-Length: 0\r\n";
            assert_eq!(ask(&gateway, &format!("{method} {path}"), &fields).status, 404, "{method} {path}");
        }
    }
}

/// What may be seen nowhere.
const SECRETS: [&str; 4] = ["0perator", "hunter2", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP", "sw0rdfish"];

fn assert_hidden(where_: &str, text: &str) {
    for secret in SECRETS {
        assert!(!text.contains(secret), "{where_} shows `{secret}`: {text}");
    }
}

#[test]
fn o046_no_secret_is_in_anything_that_is_told() {
    let entry = token("ops", "0perator", 1);
    let entry = format!("{}, totp: {{secret: {}}}}}", entry.trim_end_matches('}'), SECRETS[2]);
    let setup = Setup::new()
        .section(&format!("admin: {{bind: \"127.0.0.1:0\", operators: [{entry}]}}"))
        .section("telemetry: {otlp: {endpoint: \"http://127.0.0.1:9\", headers: {authorization: sw0rdfish}}}");
    setup.bundle(&Bundle::new());
    let config = setup.configure();
    let check = |text: Option<&str>| {
        if let Some(text) = text {
            std::fs::write(&config, text).unwrap();
        }
        let output = Command::new(binary()).args(["serve", "--check-only", "--config"]).arg(&config).output().unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&told).into_owned())
    };
    let good = std::fs::read_to_string(&config).unwrap();
    let (status, told) = check(None);
    assert_eq!(status, Some(0), "{told}");
    assert_hidden("--check-only", &told);
    let debug = format!("{:?}", gatepass_config::load(&config, jiff::Timestamp::now()).unwrap());
    assert_hidden("the configuration's debug form", &debug);
    assert!(debug.contains("(withheld)"), "{debug}");

    let hash = entry.split('"').nth(1).unwrap();
    for mistake in [
        good.replace(hash, "hunter2"),
        good.replace(&format!("\"{hash}\""), "[hunter2]"),
        good.replace("totp:", "topt:"),
        good.replace("totp: {secret:", "totp: {sceret:"),
        good.replace(SECRETS[2], "hunter2"),
        good.replace("sha256:", "token: hunter2, sha256:"),
        good.replace("name: ops", "name: \"\""),
        good.replace("expires:", "expires: never, expires:"),
    ] {
        let (status, told) = check(Some(&mistake));
        assert_eq!(status, Some(1), "{mistake}");
        assert_hidden("a diagnostic", &told);
    }
    std::fs::write(&config, &good).unwrap();
    let gateway = setup.start(&Bundle::new());
    for path in CLOSED.into_iter().chain(["/v1/whoami", "/v1/openapi.json", "/metrics", "/ready", "/v1/nothing"]) {
        let reply = ask(&gateway, &format!("GET {path}"), &(host(&gateway) + &bearer("0perator")));
        assert_hidden(path, &(reply.head + &reply.body));
    }
    assert_hidden(
        "the refusal of a wrong token",
        &ask(&gateway, "GET /v1/policy", &(host(&gateway) + &bearer("hunter2"))).body,
    );
    assert_hidden("the log", &gateway.log());
    assert_hidden("a record", &serde_json::Value::from(gateway.records()).to_string());
}
