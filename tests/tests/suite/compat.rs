//! `compat: smokescreen`: refusals in the words of Smokescreen, to clients that were made for it. What is decided and
//! recorded stays the same.

use gatepass_tests::programs::{Errand, installed, prepare, run};
use gatepass_tests::{Bundle, Gateway, Origin, Setup};

/// A listener that answers as Smokescreen beside one that answers as the gateway, before one origin.
struct World {
    gateway: Gateway,
    origin: Origin,
}

impl World {
    fn new(setup: Setup) -> World {
        let origin = Origin::http();
        let setup = setup.listener("{name: smoke, bind: \"127.0.0.1:0\", protocol: http, compat: smokescreen}");
        setup.resolver.answer("allowed.test", &["127.0.0.1"]);
        setup.resolver.answer("private.test", &["10.1.2.3"]);
        setup.scratch.write("home/.keep", "");
        setup.scratch.write("ca.pem", setup.ca.pem());
        let port = origin.port();
        let bundle = Bundle::new().allow("web", "allowed.test", &[port]).allow("gone", "gone.test", &[port]).rule(
            &format!(
                "  - {{id: private, action: allow, purpose: a name that leads inside, anyone: true, destinations: {{hosts: [\"private.test\"], ports: [{port}]}}, data_classes: {{at_most: [unclassified]}}, expires: \"{}\"}}\n",
                gatepass_tests::bundle::in_hours(1)
            ),
        );
        World { gateway: setup.start(&bundle), origin }
    }

    /// What curl shows, headers and all, with the proxy at this listener.
    fn curl(&self, listener: &str, url: &str) -> (i32, String) {
        let proxy = format!("http://{}", self.gateway.address(listener));
        let scratch = self.gateway.setup.scratch.path();
        let errand = Errand { url, proxy: &proxy, ca: &scratch.join("ca.pem"), home: &scratch.join("home") };
        let mut command = prepare(&installed("curl"), &errand);
        command.args(["-sS", "-i", "-p", "--max-time", "20", url]);
        // Without `-p`, curl speaks plain HTTP to the proxy.
        let shown = run(command);
        (shown.code, shown.text())
    }

    fn url(&self, host: &str) -> String {
        format!("http://{host}:{}/", self.origin.port())
    }
}

#[test]
fn curl_is_told_of_a_denied_tunnel_as_by_smokescreen_and_reaches_what_is_allowed() {
    let world = World::new(Setup::new());
    let (code, shown) = world.curl("smoke", &world.url("denied.test"));
    assert_eq!(code, 56, "{shown}");
    assert!(shown.starts_with("HTTP/1.1 407 Request rejected by proxy\r\n"), "{shown}");
    let message =
        format!("X-Smokescreen-Error: Egress proxying is denied to host 'denied.test:{}': ", world.origin.port());
    assert!(shown.contains(&message) && shown.contains("no rule lets anonymous reach denied.test"), "{shown}");
    assert!(shown.contains("\r\nProxy-Status: gatepass; error=http_request_denied; details="), "{shown}");
    assert!(!shown.contains("Proxy-Authenticate"), "nobody is asked for credentials: {shown}");
    let id = shown.lines().find_map(|line| line.strip_prefix("Gatepass-Decision: ")).unwrap().trim().to_owned();
    let record = world.gateway.decision(&id);
    assert_eq!(
        (&record["effect"], &record["outcome"], &record["listener"]),
        (&"deny".into(), &"refused".into(), &"smoke".into())
    );
    let (code, shown) = world.curl("smoke", &world.url("allowed.test"));
    assert!(code == 0 && shown.contains("200 Connection established") && !shown.contains("X-Smokescreen"), "{shown}");
}

#[test]
fn each_kind_of_failure_has_the_status_and_the_words_that_it_has_there() {
    let world = World::new(Setup::new());
    let port = world.origin.port();
    for (to, status, message) in [
        ("private.test", 407, "Egress proxying is denied to host 'private.test:PORT': 10.1.2.3 "),
        ("127.0.0.1", 407, "Egress proxying is denied to host '127.0.0.1:PORT': "),
        ("gone.test", 502, "Failed to resolve remote hostname: "),
    ] {
        let mut client = gatepass_tests::Client::plain(world.gateway.address("smoke"));
        let reply = client.connect(&format!("{to}:{port}"));
        let said = reply.field("x-smokescreen-error").unwrap_or_default();
        assert_eq!(reply.status, status, "{to}: {}", reply.head);
        assert!(said.starts_with(&message.replace("PORT", &port.to_string())), "{to}: {said}");
        assert!(reply.body.starts_with(&said), "{to}: {}", reply.body);
        assert!(reply.field("proxy-status").is_some() && reply.field("gatepass-decision").is_some());
        assert_eq!(reply.field("connection").as_deref(), Some("close"));
    }
    let closed = format!("http://allowed.test:{port}/");
    // Plain HTTP is told in the same way, and the connection stays.
    let mut client = gatepass_tests::Client::plain(world.gateway.address("smoke"));
    let reply = client.fetch(&closed.replace("allowed", "denied"), "").unwrap();
    assert_eq!((reply.status, reply.phrase.as_str()), (407, "Request rejected by proxy"), "{}", reply.head);
    assert!(reply.field("x-smokescreen-error").is_some(), "{}", reply.head);
    let reply = client.fetch(&closed, "X-Smokescreen-Role: somebody\r\nX-Smokescreen-Trace-ID: 1\r\n").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.head);
    let seen = world.origin.requests().join("\n");
    assert!(!seen.to_lowercase().contains("x-smokescreen"), "as there, its fields end at the proxy: {seen}");
}

#[test]
fn another_listener_of_the_same_gateway_answers_in_its_own_words_and_no_origin_can_forge_the_field() {
    let world = World::new(Setup::new());
    let reply = world.gateway.client().connect(&format!("denied.test:{}", world.origin.port()));
    assert_eq!(reply.status, 403, "{}", reply.head);
    assert!(reply.phrase.starts_with("gatepass: ") && reply.field("x-smokescreen-error").is_none(), "{}", reply.head);
    let forger = Origin::canned(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Smokescreen-Error: forged\r\n\r\nok");
    world.gateway.setup.bundle(&Bundle::new().allow("web", "allowed.test", &[forger.port()]));
    let reply = gatepass_tests::eventually("the origin is allowed", || {
        let mut client = gatepass_tests::Client::plain(world.gateway.address("smoke"));
        client.fetch(&format!("http://allowed.test:{}/", forger.port()), "").filter(|reply| reply.status == 200)
    });
    assert_eq!((reply.body.as_str(), reply.field("x-smokescreen-error")), ("ok", None), "{}", reply.head);
}

#[test]
fn credentials_are_asked_for_where_they_can_help() {
    let token = gatepass_tests::identities::token("builder", "not-a-secret-8f14e45f", 1);
    let world = World::new(Setup::new().tokens(&[token]));
    let mut client = gatepass_tests::Client::plain(world.gateway.address("smoke"));
    let reply = client.connect(&format!("denied.test:{}", world.origin.port()));
    assert_eq!(reply.status, 407);
    assert!(
        reply.field("proxy-authenticate").is_some() && reply.field("x-smokescreen-error").is_some(),
        "{}",
        reply.head
    );
}
