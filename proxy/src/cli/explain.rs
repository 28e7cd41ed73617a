//! `gatepass explain`: decide offline, and show the whole trace.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gatepass_policy::PolicySet;
use gatepass_policy::address::Floor;
use gatepass_policy::decision::{RuleInfo, Verdict};
use gatepass_policy::facts::{Facts, Hello, HttpRequest, Protocol, Resolved, Tls};
use gatepass_policy::host::{Authority, Host};
use gatepass_policy::identity::Identity;
use gatepass_policy::overrides::{Kind as OverrideKind, NORMAL, Override, Spec};
use gatepass_policy::pattern::IdentityPattern;
use jiff::{SignedDuration, Timestamp};

use super::Exit;
use super::style::Paint;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files, or an archive.
    bundle: PathBuf,
    /// Who asks: `spiffe://…`, `dns:NAME`, `token:NAME`, `network:NAME` or `anonymous`.
    #[arg(long, value_name = "ID", required_unless_present = "desugar")]
    from: Option<String>,
    /// What is asked for.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "desugar")]
    to: Option<String>,
    /// A data class of the connection, instead of the workload registry's; may be repeated.
    #[arg(long = "data-class", value_name = "CLASS")]
    data_classes: Vec<String>,
    /// A data class that the client declares, of those that its workload may; may be repeated.
    #[arg(long = "declare", value_name = "CLASS", conflicts_with = "data_classes")]
    declared: Vec<String>,
    /// An address that DNS answers; may be repeated.
    #[arg(long = "answer", value_name = "IP")]
    answers: Vec<IpAddr>,
    /// The server name in the ClientHello.
    #[arg(long, value_name = "NAME", group = "hello", conflicts_with = "no_tls")]
    sni: Option<String>,
    /// TLS without a server name.
    #[arg(long, group = "hello", conflicts_with = "no_tls")]
    no_sni: bool,
    /// The JA4 fingerprint of the ClientHello.
    #[arg(long, value_name = "FINGERPRINT", requires = "hello")]
    ja4: Option<String>,
    #[command(flatten)]
    upstream: super::upstream::Server,
    /// Not TLS.
    #[arg(long)]
    no_tls: bool,
    /// The method of a plain HTTP request.
    #[arg(long, requires = "path")]
    method: Option<String>,
    /// The path of a plain HTTP request, with its query.
    #[arg(long, requires = "method")]
    path: Option<String>,
    /// The request is one in an inspected tunnel.
    #[arg(long, requires = "method")]
    inspected: bool,
    /// Decide at this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Decide in this containment mode of the bundle.
    #[arg(long, value_name = "NAME", default_value = NORMAL)]
    mode: String,
    /// Decide as if a break-glass grant covered exactly this.
    #[arg(long)]
    granted: bool,
    /// Print the one expression that a rule means, and do nothing else.
    #[arg(long, value_name = "RULE", conflicts_with_all = ["from", "to"])]
    desugar: Option<String>,
    /// The decision and its trace as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    if arguments.inspected {
        eprintln!("error: `--inspected` is not supported yet: this version decrypts no tunnel");
        return Exit::Usage;
    }
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let read = super::delivered(&arguments.bundle);
    let read = read.and_then(|read| super::compiled(&read.files, now).map(|set| (set, read.serial())));
    let (set, serial) = match read {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    if let Some(rule) = &arguments.desugar {
        return desugar(&set, rule, arguments.json);
    }
    let facts = match facts(arguments, &set, now) {
        Ok(facts) => facts,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::Usage;
        }
    };
    let granted = match arguments.granted.then(|| grant(&facts)).transpose() {
        Ok(granted) => granted,
        Err(problem) => {
            eprintln!("error: {problem}");
            return Exit::Usage;
        }
    };
    let (overrides, _) = set.lay(&arguments.mode, granted.as_slice());
    let verdict = set.decide_under(&facts, &overrides);
    let trace = set.trace_under(&facts, &overrides);
    if arguments.json {
        println!("{}", super::answers::json(&facts, &verdict, &trace, &set, serial));
    } else {
        print!("{}", super::answers::text(&facts, &verdict, &trace, &set, Paint::stdout()));
    }
    match verdict {
        Verdict::Allow(_) => Exit::Yes,
        Verdict::Deny(_) | Verdict::Pending(_) => Exit::No,
    }
}

/// A grant for exactly this identity, destination and data, from now on.
fn grant(facts: &Facts) -> Result<Override, String> {
    let (host, ip) = (&facts.destination.host, facts.destination.host.ip());
    let spec = Spec {
        identities: vec![facts.identity.id().to_owned()],
        hosts: if ip.is_none() { vec![host.to_string()] } else { Vec::new() },
        cidrs: ip.map(|ip| format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 })).into_iter().collect(),
        ports: vec![facts.destination.port],
        data_classes: facts.subject.registered.iter().map(ToString::to_string).collect(),
    };
    let info = RuleInfo {
        path: "grant/as-if".into(),
        owner: "--granted".into(),
        purpose: "as if an operator had broken glass".into(),
        ticket: None,
        expires: facts.now.checked_add(SignedDuration::from_hours(1)).ok(),
    };
    Override::new(OverrideKind::Grant, info, &spec)
        .map_err(|faults| faults.iter().map(|fault| fault.detail.as_str()).collect::<Vec<_>>().join("; "))
}

fn desugar(set: &PolicySet, rule: &str, json: bool) -> Exit {
    match set.desugar(rule) {
        Some(expression) if json => {
            println!("{}", serde_json::json!({"rule": rule, "expression": expression}));
            Exit::Yes
        }
        Some(expression) => {
            println!("{expression}");
            Exit::Yes
        }
        None => {
            eprintln!("error: the bundle has no rule `{rule}`; a rule is named `<document id>/<rule id>`");
            Exit::Usage
        }
    }
}

fn facts(arguments: &Arguments, set: &PolicySet, now: Timestamp) -> Result<Facts, String> {
    let from = arguments.from.as_deref().unwrap_or_default();
    let to = arguments.to.as_deref().unwrap_or_default();
    let destination = Authority::parse(to.as_bytes()).map_err(|why| format!("`--to {to}`: {why}"))?;
    let pattern = IdentityPattern::parse(from).map_err(|(message, help)| format!("`--from`: {message}: {help}"))?;
    if pattern.exact().is_none() {
        return Err(format!("`--from {from}` is a pattern, and one identity is wanted"));
    }
    let identity = Identity::named(from);
    let mut subject = set.registered(&identity);
    if !arguments.declared.is_empty() {
        // As a gateway reads the client's field.
        let field = arguments.declared.join(",");
        subject =
            set.subject(&identity, Some(field.as_bytes())).map_err(|refused| format!("`--declare`: {refused}"))?;
    }
    if !arguments.data_classes.is_empty() {
        subject.registered = set
            .classes(&arguments.data_classes)
            .map_err(|class| format!("`--data-class {class}`: the bundle has no such data class"))?;
    }
    let protocol = if arguments.method.is_some() { Protocol::Http } else { Protocol::Connect };
    Ok(Facts {
        now,
        mode: mode(arguments, set)?,
        source: None,
        listener: None,
        identity,
        subject,
        tags: set.tags(&destination.host),
        resolved: resolved(&arguments.answers, &destination.host),
        destination,
        protocol,
        request: request(arguments),
        floor: Arc::new(Floor::default()),
        tls: tls(arguments, protocol),
        upstream: arguments.upstream.fact(),
    })
}

fn mode(arguments: &Arguments, set: &PolicySet) -> Result<Arc<str>, String> {
    let modes = set.modes();
    if modes.contains(&&*arguments.mode) {
        return Ok(Arc::from(&*arguments.mode));
    }
    Err(format!("`--mode {}`: the bundle has no such mode; it has `{}`", arguments.mode, modes.join("`, `")))
}

/// A literal is its own answer; a name without `--answer` stays unresolved.
fn resolved(answers: &[IpAddr], host: &Host) -> Option<Resolved> {
    let mut addresses: Vec<IpAddr> = answers.iter().map(|ip| gatepass_policy::address::unmap(*ip)).collect();
    addresses.extend(host.ip());
    let known = !addresses.is_empty();
    known.then(|| Resolved { answers: addresses, cname: Vec::new(), min_ttl: 0, secure: false })
}

fn tls(arguments: &Arguments, protocol: Protocol) -> Option<Tls> {
    if protocol == Protocol::Http || arguments.no_tls {
        return Some(Tls::Absent);
    }
    // As the gateway reads it: canonical where it is a host name, as sent otherwise.
    let canonical =
        |sni: &String| Host::parse(sni.as_bytes()).map_or_else(|_| sni.clone(), |host| host.to_text().into_owned());
    let given = arguments.no_sni || arguments.sni.is_some();
    given.then(|| {
        Tls::Hello(Hello {
            sni: arguments.sni.as_ref().map(canonical),
            versions: vec!["1.3".to_owned(), "1.2".to_owned()],
            ja4: arguments.ja4.as_deref().map(Box::from),
            ..Hello::default()
        })
    })
}

fn request(arguments: &Arguments) -> Option<HttpRequest> {
    let (method, target) = (arguments.method.clone()?, arguments.path.clone()?);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(HttpRequest {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers: std::collections::BTreeMap::new(),
        content_length: Some(0),
    })
}
