//! `gatepass import`: what another proxy allowed is allowed, what it did not is not, and every line in between is told.

mod envoy;

mod smokescreen;

mod squid;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatepass_config::limits::Limits;
use gatepass_policy::address::Floor;
use gatepass_policy::decision::{Decision, Verdict};
use gatepass_policy::facts::{Facts, Hello, HttpRequest, Protocol, Resolved, Tls};
use gatepass_policy::host::Authority;
use gatepass_policy::identity::{Certificate, Identity};
use gatepass_policy::overrides::NORMAL;
use gatepass_policy::{PolicySet, compile};
use gatepass_tests::Scratch;
use serde_json::Value;

use super::cli::{Told, run};

const NOW: &str = "2030-01-01T00:00:00Z";

/// A sample file of this repository.
fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("import").join(name)
}

/// Import a file with the real binary, and compile what it wrote.
struct Import {
    told: Told,
    set: Option<PolicySet>,
    scratch: Scratch,
}

impl Import {
    fn of(kind: &str, file: &Path, more: &[&str]) -> Import {
        let scratch = Scratch::new();
        let file = file.to_str().unwrap();
        let fixed = ["import", kind, file, "--owner", "net@corp.test", "--now", NOW, "--output", "policy"];
        let told = run(&scratch, &[&fixed[..], more].concat());
        let set = scratch.path().join("policy/bundle.yaml").exists().then(|| {
            let files = gatepass_config::bundle::read(&scratch.path().join("policy"), &Limits::default()).unwrap();
            compile(&files, NOW.parse().unwrap()).unwrap().set
        });
        Import { told, set, scratch }
    }

    fn decide(&self, ask: &Ask) -> Decision {
        let set = self.set.as_ref().expect("nothing was imported");
        match set.decide(&ask.facts(set)) {
            Verdict::Allow(decision) | Verdict::Deny(decision) => decision,
            Verdict::Pending(missing) => panic!("{ask:?} hangs on {missing:?}"),
        }
    }

    /// The rule that decided, behind `+` if it allows, or the reason.
    fn says(&self, ask: &Ask) -> String {
        let decision = self.decide(ask);
        match (decision.effect.as_str(), &decision.rule) {
            ("allow", Some(rule)) => format!("+{}", rule.path),
            (_, Some(rule)) => rule.path.to_string(),
            (_, None) => decision.reason.code().to_owned(),
        }
    }
}

/// What was told, as `kind line` and why.
fn told(told: &Told) -> BTreeMap<String, String> {
    let json: Value = told.json();
    let entry = |told: &Value| {
        let file = told["file"].as_str().unwrap().rsplit('/').next().unwrap();
        let key = format!("{} {file}:{}", told["kind"].as_str().unwrap(), told["line"]);
        (key, told["why"].as_str().unwrap().to_owned())
    };
    json["told"].as_array().unwrap().iter().map(entry).collect()
}

/// One connection, with everything about it known.
#[derive(Clone, Debug)]
struct Ask {
    who: Identity,
    to: String,
    source: &'static str,
    protocol: Protocol,
    method: &'static str,
    path: &'static str,
    answer: &'static str,
    sni: Option<String>,
}

impl Ask {
    /// A CONNECT with a ClientHello that names the same host.
    fn connect(who: &str, to: &str) -> Ask {
        let host = to.rsplit_once(':').unwrap().0.to_owned();
        let who = match who.strip_prefix("spiffe://") {
            Some(_) => Identity::mtls(
                who,
                Certificate { sha256: "00".into(), expires: "2031-01-01T00:00:00Z".parse().unwrap() },
            ),
            None => Identity::named(who),
        };
        Ask {
            who,
            to: to.to_owned(),
            source: "10.1.2.3:4000",
            protocol: Protocol::Connect,
            method: "GET",
            path: "/",
            answer: "93.184.215.14",
            sni: Some(host),
        }
    }

    /// A plain HTTP request.
    fn http(who: &str, to: &str, method: &'static str, path: &'static str) -> Ask {
        Ask { protocol: Protocol::Http, method, path, ..Ask::connect(who, to) }
    }

    fn facts(&self, set: &PolicySet) -> Facts {
        let destination = Authority::parse(self.to.as_bytes()).unwrap();
        let literal = destination.host.ip();
        let http = self.protocol == Protocol::Http;
        Facts {
            now: NOW.parse().unwrap(),
            mode: Arc::from(NORMAL),
            source: Some(self.source.parse().unwrap()),
            listener: Some(Arc::from("test")),
            subject: set.registered(&self.who),
            identity: self.who.clone(),
            tags: set.tags(&destination.host),
            protocol: self.protocol,
            request: http.then(|| HttpRequest {
                method: self.method.to_owned(),
                path: self.path.to_owned(),
                query: String::new(),
                headers: BTreeMap::new(),
                content_length: Some(0),
            }),
            floor: Arc::new(Floor::default()),
            resolved: Some(Resolved {
                answers: vec![literal.unwrap_or_else(|| self.answer.parse().unwrap())],
                cname: Vec::new(),
                min_ttl: 0,
                secure: false,
            }),
            upstream: None,
            tls: Some(match http {
                true => Tls::Absent,
                false => Tls::Hello(Hello { sni: self.sni.clone(), ..Hello::default() }),
            }),
            destination,
        }
    }
}
