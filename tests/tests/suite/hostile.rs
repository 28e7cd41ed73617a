//! Bundles that nobody should have written, through the real binary: an answer within bounds of time and memory, each time
//! with exit 1 and what is wrong.
//!
//! | row of the corpus | what | test |
//! |---|---|---|
//! | O001 to O006, O008 to O014, O016, O017 | a hostile or mistaken rule | `every_hostile_file_is_an_answer_with_its_place` |
//! | O012, O019 | 100 MB, and files just within the bounds | `files_beyond_and_at_the_bounds_take_bounded_time_and_memory` |
//! | O015 | nothing | `an_empty_bundle_is_none` |
//! | O021 | what stands where a file should | `what_is_no_file_is_said_and_never_waited_for` |
//! | O019 | the sample of a company, and ten thousand rules | `the_sample_bundle_is_good`, `ten_thousand_rules_are_checked_soon` |
//!
//! What each of them means in the language: `hostile` in the suite of the policy crate.

use std::fmt::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatepass_tests::Scratch;
use gatepass_tests::gateway::binary;

const BUNDLE: &str = r#"apiVersion: gatepass/v1
kind: Bundle
metadata: {id: corp, owner: platform@example.com}
data_classes: [{id: public}]
lifetimes: {default: 365d}
fragments:
  - {id: web, owner: web@example.com, scope: {identities: any, destinations: any, data_classes: any}}
"#;

/// One rule, with these lines in place of its hosts and after it.
fn web(hosts: &str, more: &str) -> String {
    format!(
        "apiVersion: gatepass/v1\nkind: Fragment\nmetadata: {{id: web}}\nrules:\n  - id: a\n    action: allow\n    purpose: a test\n    \
         identities: [{{id: anonymous}}]\n    destinations: {{hosts: [{hosts}], ports: [443]}}\n    \
         data_classes: {{at_most: [public]}}\n    expires: \"2030-02-01T00:00:00Z\"\n{more}"
    )
}

fn bundle(fragment: impl AsRef<[u8]>) -> Scratch {
    let scratch = Scratch::new();
    scratch.write("policy/bundle.yaml", BUNDLE);
    scratch.write("policy/web.yaml", fragment);
    scratch
}

/// How `gatepass check` ended.
struct Ended {
    /// `None`: it was killed.
    code: Option<i32>,
    told: String,
    took: Duration,
    /// The most memory it had.
    kilobytes: u64,
}

/// Far above what any of these takes in a build without optimisation on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn check(policy: &Path) -> Ended {
    let log = policy.with_extension("log");
    let output = std::fs::File::create(&log).unwrap();
    let start = Instant::now();
    let mut child = Command::new(binary())
        .args(["check", "--at", "2030-01-01T00:00:00Z"])
        .arg(policy)
        .env("NO_COLOR", "1")
        .stdout(output.try_clone().unwrap())
        .stderr(output)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut kilobytes = 0;
    let ended = loop {
        kilobytes = kilobytes.max(peak(&status));
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() > PATIENCE => child.kill().unwrap(),
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    assert_eq!(ended.signal(), None, "killed after {:?}: {}", start.elapsed(), policy.display());
    Ended { code: ended.code(), told: std::fs::read_to_string(&log).unwrap(), took: start.elapsed(), kilobytes }
}

/// The largest resident size so far.
fn peak(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

#[test]
fn every_hostile_file_is_an_answer_with_its_place() {
    let when = |text: &str| web("\"api.test\"", &format!("    when: '{text}'\n"));
    let good = web("\"api.test\"", "");
    let list = format!("[{}1]", "1, ".repeat(60));
    for (what, text, wanted) in [
        (
            "O001",
            when(&format!("{list}.exists(a, {list}.exists(b, {list}.exists(c, a == b && b == c)))")),
            "web.yaml:12",
        ),
        ("O002", when(&"(".repeat(10_000)), "at most 4096 are allowed"),
        ("O002", when(&format!("{}tls.ech", "!".repeat(3_000))), "at most 256 are allowed"),
        ("O003", when("destination.host.matches(\"(a+)+$\")"), "web.yaml:12"),
        ("O003", when("request.protocol == \"http\" && request.path.matches(\"^(a{1000}){1000}$\")"), "web.yaml:12"),
        ("O004", when("[\"a\"].exists(x, x + x == \"aa\")"), "web.yaml:12"),
        ("O005", when("1 / 0 == 1"), "web.yaml:12"),
        ("O006", when("destination.port == 443 || 1"), "web.yaml:12"),
        ("O008", when("request.hots == \"api.test\""), "`request.hots` is not an attribute"),
        ("O009", format!("{good}x: &x [lol]\ny: &y [*x, *x]\n"), "anchors (`&name`) are not accepted"),
        ("O010", format!("{good}    action: deny\n"), "`action` stands twice"),
        ("O011", web("no, 1e3", ""), "is not text to every YAML reader"),
        ("O012", format!("{good}---\n{good}"), "a second document in one file"),
        ("O012", format!("\u{feff}{good}"), "a byte order mark"),
        ("O012", good.replace("a test", "a\0test"), "a NUL"),
        ("O012", good.replace("    purpose", "\tpurpose"), "a tab"),
        ("O013", format!("{good}    <<: {{action: deny}}\n"), "merge keys"),
        ("O014", format!("{good}dney: [x]\n"), "unknown key `dney`"),
        ("O016", web("\"*\", \"**\", \"a*b\", \"api.*.x\"", ""), "is not a host pattern"),
        ("O017", web("\"bücher.test\"", ""), "xn--bcher-kva.test"),
        ("O021", good[..good.len() / 2].to_owned(), "web.yaml"),
    ] {
        let ended = check(&bundle(text).path().join("policy"));
        assert_eq!(ended.code, Some(1), "{what}: {}", ended.told);
        assert!(ended.told.contains(wanted), "{what}: {wanted} is not in {}", ended.told);
        assert!(ended.kilobytes < 200_000, "{what}: {} kB", ended.kilobytes);
    }
    assert_eq!(check(&bundle(good).path().join("policy")).code, Some(0));
}

#[test]
fn files_beyond_and_at_the_bounds_take_bounded_time_and_memory() {
    const MB: usize = 1_000_000;
    let filled = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
    for (what, text, wanted) in [
        ("100 MB of text", filled("# nothing\n", 100 * MB), "the file is longer than `limits.bundle_file_bytes`"),
        ("60 MB of NULs", "\0".repeat(60 * MB), "a line is longer than 1048576 bytes"),
        // As many as the bound lets through take some tens of seconds without optimisation: sixteen times fewer show what each
        // takes, and a test of the policy crate that there is a bound.
        ("half a million short values", filled("- a\n", 2 * MB), "a policy file is a mapping"),
        ("30 MB of aliases", filled("- *a\n", 30 * MB), "only the first 1000 problems are shown"),
        ("30 MB of brackets", filled("[[[[[[[[[\n", 30 * MB), "this is not YAML"),
    ] {
        let ended = check(&bundle(&text).path().join("policy"));
        assert_eq!(ended.code, Some(1), "{what}");
        assert!(ended.told.contains(wanted), "{what}: {}", &ended.told[..ended.told.len().min(2_000)]);
        println!("{what}: {:?}, {} MB", ended.took, ended.kilobytes / 1_000);
        // The file itself, of at most 64 MiB, and what its values take.
        assert!(ended.kilobytes < 250_000, "{what}: {} kB", ended.kilobytes);
    }
}

#[test]
fn an_empty_bundle_is_none() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path().join("policy")).unwrap();
    let ended = check(&scratch.path().join("policy"));
    assert_eq!(ended.code, Some(1));
    assert!(ended.told.contains("the bundle has no `*.yaml` file"), "{}", ended.told);
    for text in ["", "\n\n", "# nothing\n", "{}", "rules: []\n"] {
        let ended = check(&bundle(text).path().join("policy"));
        assert_eq!(ended.code, Some(1), "{text:?}: {}", ended.told);
        assert!(ended.told.contains("web.yaml"), "{text:?}: {}", ended.told);
    }
}

#[test]
fn what_is_no_file_is_said_and_never_waited_for() {
    let scratch = bundle(web("\"api.test\"", ""));
    let policy = scratch.path().join("policy");
    let beside = |name: &str| policy.join(name);
    let mut taken: Vec<(&str, &str)> = Vec::new();
    std::fs::create_dir(beside("directory.yaml")).unwrap();
    taken.push(("directory.yaml", "directory.yaml"));
    std::os::unix::fs::symlink("nowhere.yaml", beside("dangling.yaml")).unwrap();
    taken.push(("dangling.yaml", "dangling.yaml"));
    std::os::unix::fs::symlink("/dev/zero", beside("endless.yaml")).unwrap();
    taken.push(("endless.yaml", "endless.yaml"));
    // Whoever opened it for reading would wait for a writer.
    assert!(Command::new("mkfifo").arg(beside("pipe.yaml")).status().unwrap().success());
    taken.push(("pipe.yaml", "pipe.yaml"));
    let ended = check(&policy);
    assert_eq!(ended.code, Some(1), "{}", ended.told);
    for (name, wanted) in taken {
        assert!(ended.told.contains(wanted), "{name} is not told of in {}", ended.told);
    }
    assert!(ended.kilobytes < 200_000, "{} kB", ended.kilobytes);
}

#[test]
fn the_sample_bundle_is_good() {
    let corp = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples/corp");
    let output = Command::new(binary()).args(["check", "--at", "2026-11-24T12:00:00Z"]).arg(&corp).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.ends_with("0 warnings\n"), "{told}");
    // It keeps for a year at least: nothing in it may be an error later, or be over.
    let output = Command::new(binary()).args(["check", "--at", "2027-11-24T12:00:00Z"]).arg(&corp).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.ends_with("0 warnings\n"), "{told}");
    let asked = ["--from", "spiffe://corp.example/ns/payments/sa/checkout", "--to", "api.stripe.com:22"];
    let at = ["--at", "2026-11-24T12:00:00Z"];
    let output = Command::new(binary()).arg("explain").arg(&corp).args(asked).args(at).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("payments/stripe") && told.contains("22 is not in [443]"), "{told}");
}

#[test]
fn ten_thousand_rules_are_checked_soon() {
    let mut text = web("\"api.test\"", "");
    for number in 0..10_000 {
        write!(
            text,
            "  - id: r{number}\n    action: allow\n    purpose: a test\n    identities: [{{id: \"token:t{number}\"}}]\n    \
             destinations: {{hosts: [\"h{number}.test\"], ports: [443]}}\n    data_classes: {{at_most: [public]}}\n    \
             expires: \"2030-02-01T00:00:00Z\"\n"
        )
        .unwrap();
    }
    let ended = check(&bundle(&text).path().join("policy"));
    assert_eq!(ended.code, Some(0), "{}", ended.told);
    assert!(ended.told.starts_with("ok 10001 rules"), "{}", ended.told);
    println!("{:?}, {} MB", ended.took, ended.kilobytes / 1_000);
    assert!(ended.kilobytes < 300_000, "{} kB", ended.kilobytes);
}
