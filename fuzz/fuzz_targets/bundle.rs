//! A bundle compiles or is refused with reasons; what compiles decides on any facts, explains itself, and means what it says.
#![no_main]

use std::sync::Arc;

use gatepass_policy::address::Floor;
use gatepass_policy::decision::Verdict;
use gatepass_policy::expr::Expr;
use gatepass_policy::facts::{Facts, Hello, Protocol, Resolved, Tls, Upstream};
use gatepass_policy::host::{Authority, Host};
use gatepass_policy::identity::Identity;
use gatepass_policy::source::SourceFile;
use gatepass_policy::{Compiled, PolicySet};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

// Files are separated by a line of `---8<---`.
fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let files: Vec<SourceFile> = text
        .split("---8<---\n")
        .enumerate()
        .map(|(number, text)| SourceFile { name: format!("{number}.yaml"), text: text.as_bytes().to_vec() })
        .collect();
    // The moment for which the seeds are valid.
    let now = Timestamp::from_second(1_795_521_600).unwrap();
    match gatepass_policy::compile(&files, now) {
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty());
            for one in &diagnostics {
                assert!(one.line >= 1 && one.column >= 1 && one.length >= 1);
                assert!(!one.to_string().contains('\u{1b}'));
            }
        }
        Ok(Compiled { set, .. }) => {
            expressions(&set);
            questions(&set, &text, now);
        }
    }
});

/// The one expression of a rule is an expression, unless the rule names more than one has room for.
fn expressions(set: &PolicySet) {
    for (info, _) in set.allows() {
        let expression = set.desugar(&info.path).expect("a rule that is there");
        if let Err(problems) = Expr::parse(&expression) {
            let too_much = |message: &str| message.contains("are allowed") || message.contains("is allowed");
            assert!(problems.iter().all(|one| too_much(&one.message)), "{expression}: {problems:?}");
        }
    }
}

/// Asked about what its own text names, and about something else.
fn questions(set: &PolicySet, text: &str, now: Timestamp) {
    let words = || text.split(|c: char| c.is_whitespace() || "\"'[]{},".contains(c)).filter(|word| word.len() > 2);
    let hosts = words().map(|word| word.trim_start_matches("**.").trim_start_matches("*."));
    let hosts: Vec<Host> = hosts.filter_map(|word| Host::parse(word.as_bytes()).ok()).take(64).collect();
    let ids = words().filter(|word| word.contains(':')).take(4).chain(["anonymous"]);
    for id in ids {
        let identity = Identity::named(id);
        for (turn, host) in hosts.iter().enumerate().step_by(1 + hosts.len() / 8) {
            let port = [443, 80, 22][turn % 3];
            ask(set, facts(set, &identity, Authority { host: host.clone(), port }, now));
        }
    }
}

fn facts(set: &PolicySet, identity: &Identity, destination: Authority, now: Timestamp) -> Facts {
    Facts {
        now,
        mode: "normal".into(),
        source: Some("192.0.2.9:40000".parse().unwrap()),
        listener: Some("fuzz".into()),
        identity: identity.clone(),
        subject: set.registered(identity),
        tags: set.tags(&destination.host),
        destination,
        protocol: Protocol::Connect,
        request: None,
        floor: Arc::new(Floor::default()),
        resolved: None,
        tls: None,
        upstream: None,
    }
}

/// At each stage; what one denies, no later one allows.
fn ask(set: &PolicySet, request: Facts) {
    let answers = match request.destination.host.ip() {
        Some(ip) => vec![ip],
        None => vec!["93.184.216.34".parse().unwrap(), "2606:2800:21f::1".parse().unwrap()],
    };
    let resolved = Resolved { answers, cname: Vec::new(), min_ttl: 1, secure: false };
    let resolved = Facts { resolved: Some(resolved), ..request.clone() };
    let sni = Some(request.destination.host.to_text().into_owned());
    let tls = Facts {
        tls: Some(Tls::Hello(Hello { sni, ja4: Some("t13d".into()), ..Hello::default() })),
        ..resolved.clone()
    };
    let shown = Facts { upstream: Some(Arc::new(Upstream::Nothing("".into()))), ..tls.clone() };
    let silent = Facts { tls: Some(Tls::Absent), ..resolved.clone() };
    let mut denied = false;
    for facts in [&request, &resolved, &tls, &shown] {
        let verdict = set.decide(facts);
        assert!(!(denied && matches!(verdict, Verdict::Allow(_) | Verdict::Pending(_))));
        denied = matches!(verdict, Verdict::Deny(_));
        set.nearest(facts, 3);
        set.trace(facts);
    }
    assert!(!matches!(set.decide(&shown), Verdict::Pending(_)), "everything is known");
    assert!(!matches!(set.decide(&silent), Verdict::Pending(_)), "everything is known");
}
