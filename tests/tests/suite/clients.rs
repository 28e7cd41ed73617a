//! Clients that people use, through the gateway: what each reaches, what it shows when it is denied, and whether the
//! credentials in the proxy's URL arrive.

use std::path::Path;
use std::process::Command;

use gatepass_certs::mint::{Leaf, Name};
use gatepass_tests::gateway::hour;
use gatepass_tests::origin::Files;
use gatepass_tests::programs::{Errand, Shown, client, installed, prepare, run, shell, tool};
use gatepass_tests::site::{GREETING, index, page, repository};
use gatepass_tests::{Bundle, Gateway, Origin, Setup, bundle, eventually};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The token of `builder`.
const TOKEN: &str = "not-a-secret-8f14e45f";

/// What the user of a client sees of a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// The reason phrase, and with it the decision's id.
    Phrase,
    /// The status code alone.
    Code,
}

/// One kind of client.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// The command that prints the greeting of `https://HOST:PORT`.
    fetch: fn(&Errand<'_>) -> Command,
    /// What the origin serves for it; the path is a place to prepare that.
    site: fn(&Path) -> Files,
    shows: Shows,
}

/// A gateway before one origin, `allowed.test`, which only the gateway's resolver knows.
struct World {
    gateway: Gateway,
    origin: Origin,
}

impl World {
    /// Anyone may reach the origin.
    fn open(site: fn(&Path) -> Files) -> World {
        World::new(Setup::new(), "anyone: true", site)
    }

    /// Only who shows the token of `builder` may.
    fn by_token(site: fn(&Path) -> Files) -> World {
        World::new(knowing_the_token(Setup::new()), BUILDER, site)
    }

    fn new(setup: Setup, who: &str, site: fn(&Path) -> Files) -> World {
        setup.resolver.answer("allowed.test", &["127.0.0.1"]);
        setup.scratch.write("origin-ca.pem", setup.ca.pem());
        setup.scratch.write("home/.keep", "");
        let workshop = setup.scratch.write("workshop/.keep", "");
        let origin = Origin::files(&setup.ca, &["allowed.test"], site(workshop.parent().unwrap()));
        let bundle = Bundle::new().agreement().allow_from("web", who, "allowed.test", &[origin.port()]);
        World { gateway: setup.start(&bundle), origin }
    }

    fn url(&self) -> String {
        format!("https://allowed.test:{}", self.origin.port())
    }

    /// The proxy's URL with the token in it.
    fn with_token(&self) -> String {
        format!("http://builder:{TOKEN}@{}", self.gateway.plain())
    }

    fn send(&self, fetch: fn(&Errand<'_>) -> Command, url: &str, proxy: &str) -> Shown {
        send(&self.gateway, fetch, url, proxy)
    }
}

/// Who has the token, as a rule says it.
const BUILDER: &str = "identities: [{id: \"token:builder\"}]";

fn knowing_the_token(setup: Setup) -> Setup {
    let hash: String = Sha256::digest(TOKEN).iter().map(|byte| format!("{byte:02x}")).collect();
    let expires = bundle::in_hours(1);
    let token = format!("- {{name: builder, sha256: \"{hash}\", expires: \"{expires}\"}}\n");
    setup.scratch.write("tokens.yaml", token);
    setup.section("identity: {tokens: tokens.yaml}")
}

fn send(gateway: &Gateway, fetch: fn(&Errand<'_>) -> Command, url: &str, proxy: &str) -> Shown {
    let (ca, home) = (gateway.path().join("origin-ca.pem"), gateway.path().join("home"));
    run(fetch(&Errand { url, proxy, ca: &ca, home: &home }))
}

/// The latest decision about `host`: a client may try again.
fn decision(gateway: &Gateway, host: &str) -> Value {
    eventually("a decision is recorded", || {
        gateway.decisions().into_iter().rfind(|record| record["destination"]["host"] == host)
    })
}

/// The first decision id in what a client showed, as the reason phrase spells it: `gatepass: … [ID]`.
fn shown_id(text: &str) -> Option<String> {
    let phrase = &text[text.find("gatepass: ")?..];
    let id = phrase.split_once('[')?.1.split_once(']')?.0;
    (id.len() == 36).then(|| id.to_owned())
}

fn reaches_an_allowed_host(kind: Kind) {
    let world = World::open(kind.site);
    let shown = world.send(kind.fetch, &world.url(), &world.gateway.url());
    assert!(shown.code == 0 && shown.out.contains(GREETING), "{shown:#?}");
    let decision = decision(&world.gateway, "allowed.test");
    assert_eq!(decision["outcome"], "admitted");
    assert_eq!(decision["rule"]["path"], "team/web");
    assert_eq!(decision["request"]["protocol"], "connect");
    assert_eq!(decision["tls"]["sni"], "allowed.test");
    assert_eq!(decision["identity"]["id"], "anonymous");
}

fn shows_its_user_a_denial(kind: Kind) {
    let world = World::open(kind.site);
    let shown = world.send(kind.fetch, "https://denied.test", &world.gateway.url());
    assert!(shown.code != 0 && !shown.out.contains(GREETING), "{shown:#?}");
    let decision = decision(&world.gateway, "denied.test");
    assert_eq!(decision["effect"], "deny");
    assert_eq!(decision["reason"]["code"], "no_rule");
    let text = shown.text();
    match kind.shows {
        Shows::Phrase => {
            let id = shown_id(&text).unwrap_or_else(|| panic!("no reason phrase in {shown:#?}"));
            assert!(text.contains(&format!("gatepass: no rule allows it [{id}]")), "{shown:#?}");
            assert_eq!(world.gateway.decision(&id)["reason"]["code"], "no_rule");
        }
        Shows::Code => {
            assert!(text.contains("403"), "{shown:#?}");
            assert_eq!(shown_id(&text), None, "it shows more than it used to: expect that");
        }
    }
    assert!(!world.gateway.setup.resolver.was_asked("denied.test"));
    // pip was told to try twice; a client that tries again unasked would storm the gateway.
    let attempts = world.gateway.decisions().len();
    assert!(attempts <= 2, "{attempts} attempts");
}

fn brings_the_credentials_of_the_proxy_url(kind: Kind) {
    let world = World::by_token(kind.site);
    let shown = world.send(kind.fetch, &world.url(), &world.with_token());
    assert!(shown.code == 0 && shown.out.contains(GREETING), "{shown:#?}");
    let decision = decision(&world.gateway, "allowed.test");
    assert_eq!(decision["outcome"], "admitted");
    assert_eq!(decision["identity"]["id"], "token:builder");
    assert_eq!(decision["identity"]["method"], "token");
    // Without them nobody gets in: it was the token that opened the way.
    let shown = world.send(kind.fetch, &world.url(), &world.gateway.url());
    assert!(shown.code != 0 && !shown.out.contains(GREETING), "{shown:#?}");
    let refused = eventually("the refusal is recorded", || {
        world.gateway.decisions().into_iter().rfind(|record| record["outcome"] == "refused")
    });
    assert_eq!(refused["reason"]["code"], "identity_required");
}

/// Three scenarios for each kind of client.
macro_rules! clients {
    ($($name:ident: $fetch:expr, $site:expr, $shows:expr;)*) => { $(
        mod $name {
            use super::*;

            const KIND: Kind = Kind { fetch: $fetch, site: $site, shows: $shows };

            #[test]
            fn reaches_an_allowed_host() {
                super::reaches_an_allowed_host(KIND);
            }

            #[test]
            fn shows_its_user_a_denial() {
                super::shows_its_user_a_denial(KIND);
            }

            #[test]
            fn brings_the_credentials_of_the_proxy_url() {
                super::brings_the_credentials_of_the_proxy_url(KIND);
            }
        }
    )* };
}

clients! {
    curl: |errand| fetch(&installed("curl"), &["-sS"], errand), page, Shows::Code;
    curl_verbose: |errand| fetch(&installed("curl"), &["-sSv"], errand), page, Shows::Phrase;
    wget: |errand| shell(&["wget"], "wget --tries=1 --ca-certificate=\"$SSL_CERT_FILE\" -O - \"$0\"", errand), page, Shows::Phrase;
    git: |errand| shell(&["git"], GIT, errand), repository, Shows::Code;
    pip: pip, index, Shows::Phrase;
    urllib: |errand| python("get_urllib.py", errand), page, Shows::Phrase;
    requests: |errand| python("get_requests.py", errand), page, Shows::Phrase;
    httpx: |errand| python("get_httpx.py", errand), page, Shows::Phrase;
    aiohttp: |errand| python("get_aiohttp.py", errand), page, Shows::Phrase;
    node_fetch: |errand| node("get_fetch.mjs", errand), page, Shows::Code;
    node_https: |errand| node("get_https.mjs", errand), page, Shows::Phrase;
    undici: |errand| node("get_undici.cjs", errand), page, Shows::Code;
    go: |errand| fetch(&tool("go/get"), &[], errand), page, Shows::Phrase;
    java: java, page, Shows::Code;
}

fn fetch(program: &Path, arguments: &[&str], errand: &Errand<'_>) -> Command {
    let mut command = prepare(program, errand);
    command.args(arguments).arg(errand.url);
    command
}

fn python(script: &str, errand: &Errand<'_>) -> Command {
    fetch(&tool("venv/bin/python"), &[client(script).to_str().unwrap()], errand)
}

fn node(script: &str, errand: &Errand<'_>) -> Command {
    let mut command = fetch(&tool("node/node_modules/node/bin/node"), &[client(script).to_str().unwrap()], errand);
    command.env("NODE_PATH", tool("node/node_modules"));
    command
}

const GIT_IN_TLS: &str = "git config --global http.proxySSLCAInfo \"$SSL_CERT_FILE\" \
    && git clone \"$0/greeting.git\" clone-$$ && cat clone-$$/greeting";

const GIT: &str = "git clone \"$0/greeting.git\" clone-$$ && cat clone-$$/greeting";

/// pip, and then the package that it installed. It says why it could not connect only when it tries again.
fn pip(errand: &Errand<'_>) -> Command {
    const LINE: &str = "\"$PYTHON\" -m pip install --quiet --retries 1 --target site-$$ --index-url \"$0/simple\" greeting \
        && PYTHONPATH=site-$$ \"$PYTHON\" -c 'import greeting'";
    let mut command = shell(&[], LINE, errand);
    command.env("PYTHON", tool("venv/bin/python"));
    command
}

/// Java reads no authority from the environment, and sends no Basic credentials for tunnels unless told to.
fn java(errand: &Errand<'_>) -> Command {
    const LINE: &str = "keytool -importcert -noprompt -alias origin -file \"$SSL_CERT_FILE\" -keystore trust-$$.p12 \
        -storepass changeit && java -Djavax.net.ssl.trustStore=trust-$$.p12 \
        -Djavax.net.ssl.trustStorePassword=changeit -Djdk.http.auth.tunneling.disabledSchemes= \"$CLIENT\" \"$0\"";
    let mut command = shell(&["javac", "java", "keytool"], LINE, errand);
    command.env("CLIENT", client("Get.java"));
    command
}

/// Plain HTTP is not tunnelled by these: they ask the proxy for the whole address.
fn speaks_plain_http(fetch: fn(&Errand<'_>) -> Command) {
    let setup = Setup::new();
    let origin = Origin::http();
    setup.resolver.answer("plain.test", &["127.0.0.1"]);
    setup.scratch.write("origin-ca.pem", setup.ca.pem());
    setup.scratch.write("home/.keep", "");
    let gateway = setup.start(&Bundle::new().agreement().allow("web", "plain.test", &[origin.port()]));
    let shown = send(&gateway, fetch, &format!("http://plain.test:{}/page", origin.port()), &gateway.url());
    assert!(shown.code == 0 && shown.out.contains("origin saw: GET /page HTTP/1.1"), "{shown:#?}");
    let allowed = decision(&gateway, "plain.test");
    assert_eq!((&allowed["outcome"], &allowed["request"]["protocol"]), (&"admitted".into(), &"http".into()));
    let shown = send(&gateway, fetch, "http://denied.test/", &gateway.url());
    let denied = decision(&gateway, "denied.test");
    assert_eq!(denied["reason"]["code"], "no_rule");
    let id = denied["id"].as_str().unwrap();
    // The answer is an ordinary one here: some show its reason phrase, and some its body.
    let text = shown.text();
    assert!(text.contains("no rule") && text.contains(id), "{id}: {shown:#?}");
}

#[test]
fn curl_speaks_plain_http_through_the_gateway() {
    speaks_plain_http(|errand| fetch(&installed("curl"), &["-sS"], errand));
}

#[test]
fn urllib_speaks_plain_http_through_the_gateway() {
    speaks_plain_http(|errand| python("get_urllib.py", errand));
}

#[test]
fn requests_speaks_plain_http_through_the_gateway() {
    speaks_plain_http(|errand| python("get_requests.py", errand));
}

#[test]
fn the_credentials_for_the_gateway_do_not_reach_a_plain_origin() {
    let setup = knowing_the_token(Setup::new());
    let origin = Origin::http();
    setup.resolver.answer("plain.test", &["127.0.0.1"]);
    setup.scratch.write("origin-ca.pem", setup.ca.pem());
    setup.scratch.write("home/.keep", "");
    let gateway = setup.start(&Bundle::new().allow_from("web", BUILDER, "plain.test", &[origin.port()]));
    let proxy = format!("http://builder:{TOKEN}@{}", gateway.plain());
    let url = format!("http://plain.test:{}/", origin.port());
    let shown = send(&gateway, |errand| fetch(&installed("curl"), &["-sS"], errand), &url, &proxy);
    assert!(shown.code == 0 && shown.out.contains("origin saw: GET / HTTP/1.1"), "{shown:#?}");
    assert_eq!(decision(&gateway, "plain.test")["identity"]["id"], "token:builder");
    let heads = origin.requests();
    assert!(heads.len() == 1 && !heads[0].to_lowercase().contains("proxy-"), "{heads:?}");
}

#[test]
fn curl_that_waits_for_the_challenge_gets_one_and_comes_back_with_the_token() {
    let world = World::by_token(page);
    let shown =
        world.send(|e| fetch(&installed("curl"), &["-sSv", "--proxy-anyauth"], e), &world.url(), &world.with_token());
    assert!(shown.code == 0 && shown.out.contains(GREETING), "{shown:#?}");
    assert!(shown.err.contains("Proxy-Authenticate: Basic realm=\"gatepass\""), "{shown:#?}");
    assert_eq!(decision(&world.gateway, "allowed.test")["identity"]["id"], "token:builder");
}

#[test]
fn a_wrong_token_in_the_proxy_url_is_refused_as_such() {
    let world = World::by_token(page);
    let proxy = format!("http://builder:wrong@{}", world.gateway.plain());
    let shown = world.send(|e| fetch(&installed("curl"), &["-sSv"], e), &world.url(), &proxy);
    assert_ne!(shown.code, 0, "{shown:#?}");
    let id = shown_id(&shown.err).unwrap_or_else(|| panic!("no reason phrase in {shown:#?}"));
    assert!(shown.err.contains("HTTP/1.1 407 gatepass: "), "{shown:#?}");
    assert_eq!(world.gateway.decision(&id)["reason"]["code"], "identity_invalid");
    assert_eq!(world.origin.connections(), 0);
}

#[test]
fn curl_shows_its_certificate_to_a_proxy_inside_tls() {
    const WEB: &str = "spiffe://corp.example/ns/web/sa/front";
    let setup = Setup::new().mesh("required");
    let issued = setup.ca.issue(&Leaf::client(vec![Name::Uri(WEB.into())], hour())).unwrap();
    setup.scratch.write("home/own.pem", issued.chain_pem());
    setup.scratch.write("home/own.key", issued.key_pem());
    let world = World::new(setup, &format!("identities: [{{spiffe_id: \"{WEB}\"}}]"), page);
    let proxy = format!("https://localhost:{}", world.gateway.address("mesh").port());
    let shown = world.send(|e| shell(&["curl"], CURL_WITH_CERTIFICATE, e), &world.url(), &proxy);
    assert!(shown.code == 0 && shown.out.contains(GREETING), "{shown:#?}");
    let admitted = decision(&world.gateway, "allowed.test");
    assert_eq!((&admitted["identity"]["id"], &admitted["identity"]["method"]), (&WEB.into(), &"mtls".into()));
    let shown = world.send(|e| shell(&["curl"], CURL_WITH_CERTIFICATE, e), "https://denied.test", &proxy);
    let id = shown_id(&shown.err).unwrap_or_else(|| panic!("no reason phrase in {shown:#?}"));
    assert_eq!(world.gateway.decision(&id)["identity"]["id"], WEB);
    // Without the certificate there is not even a request to decide about.
    let before = world.gateway.decisions().len();
    let shown =
        world.send(|e| shell(&["curl"], "curl -sSv --proxy-cacert \"$SSL_CERT_FILE\" \"$0\"", e), &world.url(), &proxy);
    assert!(shown.code != 0 && !shown.out.contains(GREETING), "{shown:#?}");
    let later = world.gateway.decisions().split_off(before);
    assert!(later.iter().all(|record| record["outcome"] == "refused"), "{later:#?}");
    assert_eq!(world.origin.connections(), 1);
}

const CURL_WITH_CERTIFICATE: &str =
    "curl -sSv --proxy-cacert \"$SSL_CERT_FILE\" --proxy-cert own.pem --proxy-key own.key \"$0\"";

/// A proxy URL that begins with `https://`, and a token in it: nobody on the way reads the token.
fn speaks_tls_to_the_gateway(fetch: fn(&Errand<'_>) -> Command, site: fn(&Path) -> Files) {
    let world = World::new(knowing_the_token(Setup::new()).mesh("optional"), BUILDER, site);
    let proxy = format!("https://builder:{TOKEN}@localhost:{}", world.gateway.address("mesh").port());
    let shown = world.send(fetch, &world.url(), &proxy);
    assert!(shown.code == 0 && shown.out.contains(GREETING), "{shown:#?}");
    let admitted = decision(&world.gateway, "allowed.test");
    assert_eq!((&admitted["listener"], &admitted["identity"]["id"]), (&"mesh".into(), &"token:builder".into()));
    let shown = world.send(fetch, "https://denied.test", &proxy);
    assert!(shown.code != 0 && !shown.out.contains(GREETING), "{shown:#?}");
    let denied = decision(&world.gateway, "denied.test");
    assert_eq!((&denied["reason"]["code"], &denied["identity"]["id"]), (&"no_rule".into(), &"token:builder".into()));
}

/// The clients that can: the environment tells them whom to trust. aiohttp is none of them: it says that it ignores
/// such a proxy, and goes directly.
macro_rules! inside_tls {
    ($($name:ident: $fetch:expr, $site:expr;)*) => { $(
        #[test]
        fn $name() {
            speaks_tls_to_the_gateway($fetch, $site);
        }
    )* };
}

inside_tls! {
    git_speaks_tls_to_the_gateway: |errand| shell(&["git"], GIT_IN_TLS, errand), repository;
    pip_speaks_tls_to_the_gateway: pip, index;
    requests_speaks_tls_to_the_gateway: |errand| python("get_requests.py", errand), page;
    httpx_speaks_tls_to_the_gateway: |errand| python("get_httpx.py", errand), page;
    fetch_of_node_speaks_tls_to_the_gateway: |errand| node("get_fetch.mjs", errand), page;
    https_of_node_speaks_tls_to_the_gateway: |errand| node("get_https.mjs", errand), page;
    undici_speaks_tls_to_the_gateway: |errand| node("get_undici.cjs", errand), page;
    go_speaks_tls_to_the_gateway: |errand| fetch(&tool("go/get"), &[], errand), page;
}
