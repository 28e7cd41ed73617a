//! Operators by ID token, from a provider that really signs: which tokens are taken, and how `gatepass login` gets one.

use std::io::{BufReader, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_tests::gateway::binary;
use gatepass_tests::provider::CLIENT;
use gatepass_tests::{Bundle, Client, Gateway, Provider, Setup};
use serde_json::{Value, json};

use super::{ask, bearer, host};

fn gateway(provider: &Provider, more: &str, operators: &[&str]) -> Gateway {
    let end = gatepass_tests::bundle::in_hours(1);
    let entries: Vec<String> =
        operators.iter().map(|entry| format!("{{expires: \"{end}\", roles: [approver], {entry}}}")).collect();
    let section = format!(
        "admin: {{bind: \"127.0.0.1:0\", oidc: {{issuer: \"{}\", client_id: {CLIENT}{more}}}, operators: [{}]}}",
        provider.issuer(),
        entries.join(", ")
    );
    Setup::new().section(&section).start(&Bundle::new())
}

const ALICE: &str = "name: alice, oidc: {email: alice@example.com}";

fn shown(gateway: &Gateway, token: &str) -> (u16, Value) {
    let reply = ask(gateway, "GET /v1/whoami", &(host(gateway) + &bearer(token)));
    (reply.status, serde_json::from_str(&reply.body).unwrap())
}

#[test]
fn a_token_of_the_provider_names_its_operator() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE, "name: bob, oidc: {subject: bob-1}"]);
    for key in ["ES256", "RS256", "EdDSA"] {
        let (status, told) = shown(&gateway, &provider.token(key, &provider.claims()));
        assert_eq!((status, &told["operator"], &told["by"]), (200, &"alice".into(), &json!(["oidc"])), "{key}: {told}");
    }
    let mut bob = provider.claims();
    bob["sub"] = "bob-1".into();
    bob["email"] = Value::Null;
    bob["aud"] = json!([CLIENT, "another"]);
    bob["azp"] = CLIENT.into();
    assert_eq!(shown(&gateway, &provider.token("ES256", &bob)).1["operator"], "bob");
    assert_eq!(provider.asked(), 1, "keys are kept");
    let named = provider.headed("EdDSA", &json!({"kid": null}), &provider.claims());
    assert_eq!(shown(&gateway, &named).0, 200, "one key of its kind needs no name");
}

#[test]
fn what_is_wrong_with_a_token_is_never_overlooked() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE]);
    let good = provider.claims();
    let now = jiff::Timestamp::now().as_second();
    assert_eq!(shown(&gateway, &provider.token("ES256", &good)).0, 200);
    let with = |field: &str, value: Value| {
        let mut claims = good.clone();
        claims[field] = value;
        claims
    };
    let without = |field: &str| {
        let mut claims = good.clone();
        claims.as_object_mut().unwrap().remove(field);
        claims
    };
    for claims in [
        with("iss", json!("https://evil.test")),
        with("iss", json!(format!("{}/", provider.issuer()))),
        without("iss"),
        with("aud", json!("another")),
        with("aud", json!([])),
        with("aud", json!([CLIENT, "another"])),
        with("azp", json!("another")),
        without("aud"),
        with("exp", json!(now - 1)),
        with("exp", json!("tomorrow")),
        without("exp"),
        with("nbf", json!(now + 600)),
        with("iat", json!(now + 600)),
        with("sub", json!("")),
        without("sub"),
        with("email_verified", json!(false)),
        with("email_verified", json!("true")),
        without("email_verified"),
        with("email", json!("mallory@example.com")),
    ] {
        let (status, told) = shown(&gateway, &provider.token("ES256", &claims));
        assert!(matches!(status, 401 | 429), "{claims}: {told}");
    }
}

#[test]
fn what_no_key_of_the_provider_has_signed_is_nobody_s() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE]);
    let claims = provider.claims();
    let good = provider.token("ES256", &claims);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, body) = message.split_once('.').unwrap();
    let coded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{body}.", coded(&json!({"alg": "none", "kid": "ES256"})));
    let hmac = format!("{}.{body}.{signature}", coded(&json!({"alg": "HS256", "kid": "shared"})));
    let mut mallory = claims.clone();
    mallory["email"] = "mallory@example.com".into();
    let stranger = Provider::start();
    for (what, token) in [
        ("alg none", none),
        ("HS256", hmac),
        ("no signature", format!("{message}.")),
        ("other claims", format!("{head}.{}.{signature}", coded(&mallory))),
        ("another provider's key", stranger.token("ES256", &claims)),
        ("the key of another algorithm", provider.headed("ES256", &json!({"kid": "RS256"}), &claims)),
        ("an algorithm that the key is not for", provider.headed("ES256", &json!({"alg": "RS256"}), &claims)),
        ("ES384", provider.headed("ES256", &json!({"alg": "ES384"}), &claims)),
        ("an extension", provider.headed("ES256", &json!({"crit": ["exp"]}), &claims)),
        ("an access token", provider.headed("ES256", &json!({"typ": "at+jwt"}), &claims)),
        ("a key of its own", provider.headed("ES256", &json!({"kid": "mine", "jwk": {"kty": "EC"}}), &claims)),
        ("two dots", "..".to_owned()),
        ("words", "a.b.c".to_owned()),
    ] {
        assert_eq!(shown(&gateway, &token).0, 401, "{what}");
    }
    assert_eq!(shown(&gateway, &good).0, 200);
    assert!(provider.asked() <= 2, "an unknown key is asked for at a bounded rate: {}", provider.asked());
}

#[test]
fn keys_that_changed_are_found_and_a_provider_that_is_away_lets_nobody_in() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE]);
    provider.rotate("second");
    assert_eq!(
        shown(&gateway, &provider.token("second", &provider.claims())).0,
        200,
        "the first key that is asked for"
    );

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let end = gatepass_tests::bundle::in_hours(1);
    let token = gatepass_tests::identities::token("ops", "0perator", 1);
    let section = format!(
        "admin: {{bind: \"127.0.0.1:0\", oidc: {{issuer: \"http://{address}\", client_id: {CLIENT}}}, operators: [{{expires: \"{end}\", {ALICE}}}, {token}]}}"
    );
    let gateway = Setup::new().section(&section).start(&Bundle::new());
    let (status, told) = shown(&gateway, &provider.token("second", &provider.claims()));
    assert_eq!(status, 503, "{told}");
    assert_eq!(shown(&gateway, "0perator").0, 200, "a token of the gateway's own needs no provider");
}

#[test]
fn the_provider_proves_itself_to_whom_it_is_vouched_for() {
    let setup = Setup::new();
    let provider = Provider::secured(&setup.ca);
    setup.scratch.write("ca.pem", setup.ca.pem());
    let end = gatepass_tests::bundle::in_hours(1);
    let section = |more: &str| {
        format!(
            "admin: {{bind: \"127.0.0.1:0\", oidc: {{issuer: \"{}\", client_id: {CLIENT}{more}}}, operators: [{{expires: \"{end}\", {ALICE}}}]}}",
            provider.issuer()
        )
    };
    let token = provider.token("ES256", &provider.claims());
    let gateway = setup.section(&section(", ca: ca.pem")).start(&Bundle::new());
    assert_eq!(shown(&gateway, &token).0, 200);
    let strict = Setup::new().section(&section("")).start(&Bundle::new());
    let (status, told) = shown(&strict, &token);
    assert_eq!(status, 503, "the machine's anchors do not vouch for it: {told}");
    let refused = Setup::new().section(&section("").replace("https://localhost", "http://id.example"));
    refused.bundle(&Bundle::new());
    let output =
        Command::new(binary()).args(["serve", "--check-only", "--config"]).arg(refused.configure()).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("`http` on loopback only"), "in clear over a network");
}

#[test]
fn the_domain_of_an_address_can_be_asked_for() {
    let provider = Provider::start();
    let gateway = gateway(&provider, ", email_domain: corp.example", &["name: alice, oidc: {subject: alice-1}"]);
    let mut claims = provider.claims();
    assert_eq!(shown(&gateway, &provider.token("ES256", &claims)).0, 401);
    claims["email"] = "alice@evil.corp.example".into();
    assert_eq!(shown(&gateway, &provider.token("ES256", &claims)).0, 401);
    claims["email"] = "alice@Corp.example".into();
    assert_eq!(shown(&gateway, &provider.token("ES256", &claims)).0, 200);
    claims["email_verified"] = false.into();
    assert_eq!(shown(&gateway, &provider.token("ES256", &claims)).0, 401);
}

/// `gatepass` with a home of its own.
fn command(gateway: &Gateway, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(arguments).args(["--admin", &format!("http://{}", gateway.address("admin"))]);
    command.env_remove("GATEPASS_TOKEN").env("XDG_CONFIG_HOME", gateway.path().join("home")).env("PATH", "");
    command
}

/// Standard error up to the line with this in it.
fn until(reader: &mut impl std::io::BufRead, wanted: &str) -> String {
    let mut line = String::new();
    while !line.contains(wanted) {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "`{wanted}` was never said");
    }
    line
}

#[test]
fn a_device_logs_in_by_a_code_and_the_token_is_kept_for_the_user_alone() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE]);
    let anonymous = command(&gateway, &["operators", "whoami"]).output().unwrap();
    assert_eq!(anonymous.status.code(), Some(1));
    let mut login = command(&gateway, &["login"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(login.stderr.take().unwrap());
    until(&mut said, "WDJB-MJHT");
    provider.decide(true);
    let status = login.wait().unwrap();
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    assert!(status.success(), "{rest}");
    let file = gateway.path().join("home/gatepass/logins.json");
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let whoami = command(&gateway, &["operators", "whoami", "--json"]).output().unwrap();
    let told: Value = serde_json::from_slice(&whoami.stdout).unwrap();
    assert_eq!((&told["person"], &told["by"][0]), (&"alice".into(), &"oidc".into()));

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        command(&gateway, &["operators", "whoami"]).output().unwrap().status.code(),
        Some(1),
        "others could read it"
    );
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert!(command(&gateway, &["login", "--forget"]).output().unwrap().status.success());
    assert_eq!(command(&gateway, &["operators", "whoami"]).output().unwrap().status.code(), Some(1));
}

#[test]
fn a_log_in_that_is_refused_keeps_nothing() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE]);
    provider.decide(false);
    let login = command(&gateway, &["login"]).output().unwrap();
    let errors = String::from_utf8_lossy(&login.stderr).into_owned();
    assert_eq!(login.status.code(), Some(3));
    assert!(errors.contains("refused: she said no") && !errors.contains('\u{1b}'), "{errors}");
    assert!(!gateway.path().join("home/gatepass/logins.json").exists());
    let without = super::gateway();
    let login = command(&without, &["login"]).output().unwrap();
    assert_eq!(login.status.code(), Some(1), "{}", String::from_utf8_lossy(&login.stderr));
}

#[test]
fn a_browser_brings_the_code_back_and_nobody_else_can() {
    let provider = Provider::start();
    let gateway = gateway(&provider, "", &[ALICE]);
    let mut login =
        command(&gateway, &["login", "--browser"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(login.stderr.take().unwrap());
    let line = until(&mut said, "open http");
    let page = line.trim().strip_prefix("open ").unwrap();
    let get = |url: &str| {
        let rest = url.strip_prefix("http://").unwrap();
        let (authority, target) = rest.split_at(rest.find('/').unwrap());
        let mut client = Client::plain(authority.parse().unwrap());
        client.say(format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        client.reply().unwrap()
    };
    let back = get(page).field("location").unwrap();
    let forged = back.split("&state=").next().unwrap().to_owned() + "&state=guessed";
    assert_eq!(get(&forged).status, 400, "a page of somebody else's");
    assert_eq!(get(&back).status, 200);
    assert!(login.wait().unwrap().success());
    let whoami = command(&gateway, &["operators", "whoami"]).output().unwrap();
    assert!(String::from_utf8_lossy(&whoami.stdout).starts_with("operator  alice (alice), by oidc"));
}
