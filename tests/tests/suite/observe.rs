//! `observe`: for a while, what only the policy denies is recorded as denied and carried; all else holds.

use gatepass_tests::{Bundle, Client, Gateway, Origin, Setup, eventually};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

struct World {
    gateway: Gateway,
    origin: Origin,
}

fn end(from_now: SignedDuration) -> String {
    format!("{:.0}", Timestamp::now().checked_add(from_now).unwrap())
}

fn section(until: &str) -> String {
    format!("observe: {{until: \"{until}\"}}")
}

/// An allow with a limit, under a deny.
fn limited(port: u16) -> String {
    let end = gatepass_tests::bundle::in_hours(24);
    format!(
        "  - id: limited\n    action: allow\n    purpose: a test\n    anyone: true\n    destinations: {{hosts: [\"limited.test\"], \
         cidr_sets: [loopback], ports: [{port}]}}\n    data_classes: {{at_most: [unclassified]}}\n    expires: \"{end}\"\n    \
         limits: {{connections: 1}}\n"
    )
}

/// Rules that name the origin's address; a team's and a platform's deny over some of them.
fn bundle(port: u16) -> Bundle {
    Bundle::new()
        .allow("web", "allowed.test", &[port])
        .allow("team", "team.test", &[port])
        .allow("guarded", "guarded.test", &[port])
        .allow("late", "late.test", &[port])
        .rule(&limited(port))
        .rule("  - {id: no-limited, action: deny, purpose: on trial, destinations: {hosts: [\"limited.test\"]}}\n")
        .rule("  - {id: no-team, action: deny, purpose: on trial, destinations: {hosts: [\"team.test\"]}}\n")
        .guardrail("  - {id: no-guarded, action: deny, purpose: on trial, lifted_by: [], destinations: {hosts: [\"guarded.test\"]}}\n")
        .guardrail("  - {id: no-late, action: deny, purpose: on trial, lifted_by: [], when: 'destination.host == \"late.test\" && !tls.present'}\n")
}

impl World {
    fn new(until: &str, setup: Setup) -> World {
        let origin = Origin::echo();
        for name in ["allowed.test", "team.test", "guarded.test", "late.test", "limited.test", "unruled.test"] {
            setup.resolver.answer(name, &["127.0.0.1"]);
        }
        let gateway = setup.section(&section(until)).start(&bundle(origin.port()));
        World { gateway, origin }
    }

    /// A tunnel that carries bytes, and its decision.
    fn carried(&self, host: &str) -> (Client, Value) {
        let mut client = self.gateway.client();
        let reply = client.connect(&format!("{host}:{}", self.origin.port()));
        assert_eq!(reply.status, 200, "{host}: {}", reply.head);
        assert!(client.try_echo(b"to and fro"), "{host}");
        (client, self.gateway.decision(&reply.id()))
    }

    fn refused(&self, authority: &str) -> (u16, Value) {
        let reply = self.gateway.client().connect(authority);
        (reply.status, self.gateway.decision(&reply.id()))
    }

    fn ready(&self) -> String {
        let address = self.gateway.address("admin");
        let mut admin = Client::plain(address);
        admin.say(format!("GET /ready HTTP/1.1\r\nHost: {address}\r\n\r\n"));
        let reply = admin.reply().unwrap();
        assert_eq!(reply.status, 200, "{}", reply.body);
        reply.body
    }
}

#[test]
fn policy_denials_are_recorded_and_carried_and_everybody_is_told() {
    let until = end(SignedDuration::from_hours(24));
    let world = World::new(&until, Setup::new());
    let start = world.gateway.log();
    assert!(start.contains(&format!("observe: policy denials are recorded and CARRIED until {until}")), "{start}");
    assert!(world.ready().contains(&format!("observe: policy denials are recorded and carried until {until}")));
    for (host, reason, rule, stage) in [
        ("team.test", "team_deny", "team/no-team", "resolved"),
        ("guarded.test", "guardrail", "guard/no-guarded", "resolved"),
        ("late.test", "guardrail", "guard/no-late", "tls"),
    ] {
        let (_client, record) = world.carried(host);
        let told = (&record["effect"], &record["outcome"], &record["would_deny"], &record["reason"]["code"]);
        assert_eq!(told, (&"deny".into(), &"admitted".into(), &true.into(), &reason.into()), "{record}");
        assert_eq!((&record["rule"]["path"], &record["stage"]), (&rule.into(), &stage.into()), "{record}");
        assert_eq!(record["observe"], until, "{record}");
    }
    let (_client, record) = world.carried("allowed.test");
    assert_eq!((&record["effect"], &record["would_deny"]), (&"allow".into(), &Value::Null), "{record}");
    assert_eq!(record["observe"], until, "on what is allowed as well: {record}");
}

#[test]
fn what_is_carried_although_it_is_denied_is_held_by_the_limits_beneath_it() {
    let world = World::new(&end(SignedDuration::from_hours(1)), Setup::new());
    let (first, record) = world.carried("limited.test");
    assert_eq!((&record["effect"], &record["outcome"]), (&"deny".into(), &"admitted".into()), "{record}");
    let to = format!("limited.test:{}", world.origin.port());
    let (status, record) = world.refused(&to);
    assert_eq!((status, &record["reason"]["code"]), (429, &"limit".into()), "{record}");
    drop(first);
    eventually("there is room again", || (world.refused(&to).0 == 200).then_some(()));
}

#[test]
fn what_no_rule_allows_is_looked_up_and_recorded_as_what_would_be_denied() {
    let world = World::new(&end(SignedDuration::from_hours(1)), Setup::new());
    let (status, record) = world.refused("nowhere.test:443");
    assert_eq!(status, 502, "{record}");
    assert!(world.gateway.setup.resolver.was_asked("nowhere.test"), "it went as far as DNS");
    let told = (&record["effect"], &record["outcome"], &record["would_deny"], &record["reason"]["code"]);
    assert_eq!(told, (&"deny".into(), &"failed".into(), &true.into(), &"dns_nxdomain".into()), "{record}");
}

#[test]
fn an_address_opens_only_for_an_allow_that_names_it() {
    let setup = Setup::new();
    setup.resolver.answer("private.test", &["10.1.2.3"]);
    setup.resolver.answer("metadata.test", &["169.254.169.254"]);
    let world = World::new(&end(SignedDuration::from_hours(1)), setup);
    let port = world.origin.port();
    // No rule speaks of the first, so that nothing but observing could open loopback for it.
    for to in [
        format!("unruled.test:{port}"),
        format!("127.0.0.1:{port}"),
        "private.test:443".into(),
        "metadata.test:80".into(),
    ] {
        let (status, record) = world.refused(&to);
        let told = (status, &record["effect"], &record["outcome"], &record["would_deny"], &record["reason"]["code"]);
        assert_eq!(
            told,
            (403, &"deny".into(), &"refused".into(), &Value::Null, &"address_floor".into()),
            "{to}: {record}"
        );
    }
    assert_eq!(world.origin.connections(), 0);
}

#[test]
fn malformed_requests_and_wrong_credentials_and_classes_are_refused_all_the_same() {
    let token = gatepass_tests::identities::token("builder", "not-a-secret-8f14e45f", 1);
    let world = World::new(&end(SignedDuration::from_hours(1)), Setup::new().tokens(&[token]));
    let to = format!("team.test:{}", world.origin.port());
    let wrong = "Proxy-Authorization: Bearer builder.wrong\r\n";
    for (fields, status, reason) in
        [(wrong, 407, "identity_invalid"), ("Gatepass-Data-Class: pci\r\n", 403, "data_class_refused")]
    {
        let reply = world.gateway.client().connect_with(&to, fields).unwrap();
        let record = world.gateway.decision(&reply.id());
        let told = (reply.status, &record["reason"]["code"], &record["would_deny"]);
        assert_eq!(told, (status, &reason.into(), &Value::Null), "{record}");
    }
    let mut client = world.gateway.client();
    client.say(format!("CONNECT {to} HTTP/1.1\r\nHost: other.test\r\nContent-Length: x\r\n\r\n"));
    let reply = client.reply().unwrap();
    assert_eq!(reply.status, 400, "{}", reply.head);
    // Who shows nothing is denied as anybody by the policy, and that is carried.
    let (_client, record) = world.carried("team.test");
    assert_eq!((&record["identity"]["id"], &record["would_deny"]), (&"anonymous".into(), &true.into()), "{record}");
    assert_eq!(world.origin.connections(), 1);
}

#[test]
fn when_it_ends_denials_are_real_and_what_it_alone_carried_is_cut() {
    let until = end(SignedDuration::from_secs(8));
    let world = World::new(&until, Setup::new());
    let (mut team, observed) = world.carried("team.test");
    let (mut allowed, _) = world.carried("allowed.test");
    let close = world.gateway.close(observed["id"].as_str().unwrap());
    assert_eq!((&close["ending"], &close["cut_by"]), (&"expired".into(), &"observe".into()), "{close}");
    let closed: Timestamp = close["time"].as_str().unwrap().parse().unwrap();
    let until: Timestamp = until.parse().unwrap();
    assert!(closed >= until, "not before its time: {close}");
    assert!(!team.try_echo(b"more") && allowed.try_echo(b"more"));
    let (status, record) = world.refused(&format!("team.test:{}", world.origin.port()));
    let told = (status, &record["outcome"], &record["would_deny"], &record["observe"]);
    assert_eq!(told, (403, &"refused".into(), &Value::Null, &Value::Null), "{record}");
    eventually("nothing says so any more", || (!world.ready().contains("observe")).then_some(()));
}

#[test]
fn plain_http_is_carried_and_recorded_in_the_same_way() {
    let setup = Setup::new();
    let origin = Origin::http();
    setup.resolver.answer("team.test", &["127.0.0.1"]);
    let gateway = setup.section(&section(&end(SignedDuration::from_hours(1)))).start(&bundle(origin.port()));
    let reply = gateway.client().fetch(&format!("http://team.test:{}/", origin.port()), "").unwrap();
    assert_eq!(reply.status, 200, "{}", reply.head);
    let record = eventually("its record", || gateway.decisions().into_iter().next());
    assert_eq!((&record["effect"], &record["would_deny"]), (&"deny".into(), &true.into()), "{record}");
}

#[test]
fn its_end_is_demanded_in_the_future_and_bounded() {
    let past = end(SignedDuration::from_secs(-5));
    let far = end(SignedDuration::from_hours(24 * 91));
    let limited = format!("{}\nlimits: {{observe_longest: 1h}}", section(&end(SignedDuration::from_hours(2))));
    for (text, why) in [
        (section(&past), "`observe` ended at "),
        (section(&far), "`observe` may last `limits.observe_longest` from now"),
        (limited, "`observe` may last `limits.observe_longest` from now"),
        ("observe: {}".to_owned(), "`until`"),
        ("observe: {until: tomorrow}".to_owned(), "a time such as"),
        ("observe: {until: \"2099-01-01T00:00:00+01:00\"}".to_owned(), "a time such as"),
        ("observe: true".to_owned(), "mapping"),
    ] {
        let setup = Setup::new().section(&text);
        setup.bundle(&Bundle::new().agreement());
        let config = setup.configure();
        let output = std::process::Command::new(gatepass_tests::gateway::binary())
            .args(["serve", "--check-only", "--config"])
            .arg(&config)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{text}: {said}");
        assert!(said.contains(why) && said.contains("gatepass.yaml:"), "{text}: {said}");
    }
}
