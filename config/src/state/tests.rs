//! The state section: both spellings, what each mistake is told, and that no password is.

use jiff::Timestamp;

use super::*;
use crate::load::{Config, load};
use crate::problem::Problems;
use crate::scratch::Scratch;

const REST: &str = "listeners: [{name: a, bind: \"127.0.0.1:0\", protocol: http}]\npolicy: {bundle: policy}\n";

fn world() -> Scratch {
    let scratch = Scratch::new();
    for name in ["ca.pem", "gateway.pem", "gateway.key", "policy/bundle.yaml", "empty"] {
        scratch.file(name, "");
    }
    scratch.file("password", "from a file\n");
    scratch
}

fn load_in(scratch: &Scratch, section: &str) -> Result<Config, Problems> {
    load(&scratch.file("gatepass.yaml", &format!("{section}\n{REST}")), Timestamp::UNIX_EPOCH)
}

/// `line:column message`, and the help after ` | `.
fn told(section: &str) -> String {
    let scratch = world();
    let problems = load_in(&scratch, section).map_or_else(Problems::into_vec, |config| config.warnings);
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| {
            let at = problem.position.as_ref().map_or("-".to_owned(), |at| format!("{}:{}", at.line, at.column));
            let help = problem.help.as_ref().map_or(String::new(), |help| format!(" | {help}"));
            format!("{at} {}{help}", problem.message)
        })
        .collect();
    lines.join("; ").replace(&scratch.path().display().to_string(), "DIR")
}

fn etcd(scratch: &Scratch, section: &str) -> Etcd {
    match load_in(scratch, section).unwrap().state.store {
        Store::Etcd(etcd) => *etcd,
        Store::Embedded => panic!("`{section}` is embedded"),
    }
}

#[test]
fn without_a_word_the_store_is_embedded_beside_the_file() {
    let scratch = world();
    for section in ["", "state: {}", "state: {store: embedded}"] {
        let state = load_in(&scratch, section).unwrap().state;
        assert!(matches!(state.store, Store::Embedded), "{section}");
        assert_eq!(state.directory.value, scratch.path().join("./gatepass-data/state"), "{section}");
    }
    let state = load_in(&scratch, "state: {directory: elsewhere/state}").unwrap().state;
    assert_eq!(state.directory.value, scratch.path().join("elsewhere/state"));
    let state = crate::quickstart().state;
    assert!(matches!(state.store, Store::Embedded));
    assert_eq!(state.directory.value, Path::new("./gatepass-data/state"));
}

#[test]
fn both_spellings_mean_the_same() {
    let scratch = world();
    let keys = "endpoints: [\"https://etcd-1\", \"https://[::1]:12379/\"], tls: {ca: ca.pem, certificate: gateway.pem, \
                key: gateway.key}, prefix: \"egress/\", username: gateway, password: {file: password}";
    for section in [format!("state: {{store: {{etcd: {{{keys}}}}}}}"), format!("state: {{store: etcd, {keys}}}")] {
        let etcd = etcd(&scratch, &section);
        let endpoints: Vec<String> = etcd.endpoints.iter().map(ToString::to_string).collect();
        assert_eq!(endpoints, ["https://etcd-1:2379", "https://[::1]:12379"]);
        let tls = etcd.tls.unwrap();
        assert_eq!(tls.ca.unwrap().value, scratch.path().join("ca.pem"));
        assert_eq!(tls.own.unwrap().key.value, scratch.path().join("gateway.key"));
        assert_eq!(etcd.prefix, "egress/");
        let user = etcd.user.unwrap();
        assert_eq!((user.name.as_str(), user.password.read().unwrap().expose()), ("gateway", "from a file"));
    }
}

#[test]
fn the_least_that_says_where_etcd_is_has_the_prefix_of_the_program() {
    let scratch = world();
    let etcd = etcd(&scratch, "state: {store: etcd, endpoints: [\"http://127.0.0.1:2379\"]}");
    assert_eq!(etcd.prefix, "gatepass/");
    assert!(etcd.tls.is_none() && etcd.user.is_none());
}

#[test]
fn each_mistake_is_told_where_it_is_and_how_to_mend_it() {
    let secure = |rest: &str| format!("state: {{store: etcd, endpoints: [\"https://e\"]{rest}}}");
    let local = |rest: &str| format!("state: {{store: etcd, endpoints: [\"http://[::1]\"]{rest}}}");
    let rows = [
        ("state: {store: redis}".to_owned(), "1:16 `redis` is not a value of `state.store` | write `embedded`, `etcd`"),
        ("state: {store: {}}".to_owned(), "1:16 `state.store` has no `etcd`"),
        ("state: {store: {etcd: {}}}".to_owned(), "1:23 `state.store.etcd` has no `endpoints`"),
        ("state: {store: etcd, endpoints: []}".to_owned(), "1:33 `state.endpoints` is an empty list"),
        ("state: {prefix: \"a/\"}".to_owned(), "1:9 `prefix` belongs to `store: etcd`, and the store is `embedded`"),
        (
            "state: {store: {etcd: {endpoints: [\"http://127.0.0.1\"]}}, prefix: \"a/\"}".to_owned(),
            "1:59 `prefix` stands outside of `store.etcd`, which says everything",
        ),
        (
            "state: {store: etcd, endpoints: [\"http://etcd-1:2379\"]}".to_owned(),
            "1:34 `http://etcd-1:2379` is reached in clear text: whoever is on the way could grant what they like | \
             write `https://`; `http://` is for addresses of this machine, such as `http://127.0.0.1:2379`",
        ),
        (
            "state: {store: etcd, endpoints: [\"http://localhost:2379\"]}".to_owned(),
            "1:34 `http://localhost:2379` is reached in clear text: whoever is on the way could grant what they like | \
             write `https://`; `http://` is for addresses of this machine, such as `http://127.0.0.1:2379`",
        ),
        (
            "state: {store: etcd, endpoints: [\"etcd-1:2379\"]}".to_owned(),
            "1:34 `etcd-1:2379` is not the URL of a member of etcd such as `https://etcd-1.internal:2379`",
        ),
        (
            "state: {store: etcd, endpoints: [\"http://127.0.0.1/v3\"]}".to_owned(),
            "1:34 a member of etcd has no path, and this one has `/v3`",
        ),
        (
            "state: {store: etcd, endpoints: [\"http://127.0.0.1\", \"http://127.0.0.1:2379\"]}".to_owned(),
            "1:54 the same value is given twice",
        ),
        (
            "state: {store: etcd, endpoints: [\"https://e\", \"http://127.0.0.1\"]}".to_owned(),
            "1:33 `state.endpoints` has both `https://` and `http://` | write `https://` in each",
        ),
        (
            "state: {store: etcd, endpoints: [\"http://127.0.0.1\"], tls: {}}".to_owned(),
            "1:55 `tls` belongs to endpoints with `https://`, and these have `http://`",
        ),
        (
            secure(", tls: {ca: ca.pem}"),
            "1:33 nothing proves the gateway to etcd, so anyone who reaches it may write what the gateway would | \
             give `tls: {certificate: FILE, key: FILE}`, or `username` and `password`",
        ),
        (
            secure(", tls: {certificate: gateway.pem}"),
            "1:54 `certificate` is given without `key` | give both: the chain, and the private key of its leaf",
        ),
        (
            local(", prefix: gatepass"),
            "1:59 `gatepass` is not a prefix of keys: 2 to 256 printable ASCII characters that end with `/`",
        ),
        (local(", username: a"), "1:51 `username` is given without `password` | give `password: {file: PATH}` as well"),
        (local(", password: hunter2"), "1:51 `password` is given without `username` | give both"),
    ];
    for (section, wanted) in rows {
        assert_eq!(told(&section), wanted, "{section}");
    }
}

#[test]
fn a_password_is_not_repeated_wherever_it_was_put() {
    let secure = |rest: &str| format!("state: {{store: etcd, endpoints: [\"https://e\"]{rest}}}");
    for (section, wanted) in [
        (secure(", username: a, password: [hunter2]"), "`state.password` is not a password"),
        (secure(", username: a, password: \" hunter2\""), "`state.password` is not a password"),
        (secure(", username: a, password: 12345678"), "YAML may read it as something else"),
        (secure(", username: a, passwort: hunter2"), "`passwort` is not a key of `state`"),
        (secure(", username: a, password: {files: hunter2}"), "`files` is not a key"),
        (
            "state: {store: {etcd: {endpoints: [\"https://e\"], username: a, pass: hunter2}}}".to_owned(),
            "`pass` is not a key of `state.store.etcd`",
        ),
        ("admin: {bind: \"127.0.0.1:1\", password: hunter2}".to_owned(), "`password` is not a key of `admin`"),
    ] {
        let scratch = world();
        let problems = load_in(&scratch, &section).unwrap_err();
        let shown = format!("{problems} {problems:?}");
        assert!(shown.contains(wanted), "{section}: {shown}");
        assert!(!problems.to_string().contains("hunter2") && !problems.to_string().contains("12345678"), "{problems}");
    }
}

#[test]
fn a_file_without_a_password_is_an_error() {
    for (name, wanted) in [("empty", "it does not hold a password"), ("missing", "cannot be used")] {
        let section = "state: {store: etcd, endpoints: [\"http://127.0.0.1\"], username: a, password: {file: NAME}}";
        let told = told(&section.replace("NAME", name));
        assert!(told.contains(wanted), "{told}");
    }
}
