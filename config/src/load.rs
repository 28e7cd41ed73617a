//! One file to one `Config`, section by section, or every problem in it.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use jiff::Timestamp;

use crate::admin::{self, Admin};
use crate::dns::{self, Dns};
use crate::evidence::{self, Evidence};
use crate::floor::{self, Floor, Loopback};
use crate::identity::{self, Identity};
use crate::limits::{self, Limits};
use crate::listeners::{self, Compat, Listener, Protocol};
use crate::node::{self, Node};
use crate::policy::{self, Bundle, Policy, Reload};
use crate::probe::{self, Probe};
use crate::problem::{Excerpts, Findings, Located, Problem, Problems};
use crate::reading::{self, Reading, optional};
use crate::state::{self, State};
use crate::telemetry::{self, Telemetry};
use crate::{egress_points, observe, problem};

/// A configuration file is written by hand; a longer one is something else.
const FILE_MAX: usize = 1024 * 1024;

/// The keys whose values may be secrets.
const SECRETS: [&str; 2] = ["headers", "password"];

/// Everything that the gateway was told, checked. It does nothing.
#[derive(Clone, Debug)]
pub struct Config {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// How clients are identified.
    pub identity: Identity,
    /// What the floor is told.
    pub floor: Floor,
    /// Where the policy comes from.
    pub policy: Policy,
    /// Until when policy denials are only recorded, if they are.
    pub observe: Option<Located<Timestamp>>,
    /// Who is asked for addresses.
    pub dns: Dns,
    /// Whom the gateway trusts to vouch for servers.
    pub probe: Probe,
    /// Where decision records stay and go.
    pub evidence: Evidence,
    /// Where metrics and traces go, if they go anywhere.
    pub telemetry: Option<Telemetry>,
    /// Where operators' overrides are kept.
    pub state: State,
    /// The operators' listener, if there is one.
    pub admin: Option<Admin>,
    /// Every bound.
    pub limits: Limits,
    /// What somebody should know, though it keeps nothing from starting.
    pub warnings: Vec<Problem>,
}

/// Read the file at `path` and the files that it names. `now` tells what has expired.
pub fn load(path: &Path, now: Timestamp) -> Result<Config, Problems> {
    let text = reading::read_text(path, FILE_MAX)?;
    let mut found = Findings::default();
    // Where the text is no tree, nobody can tell which lines hold secrets.
    let may_hold_secrets = SECRETS.iter().any(|key| text.contains(key));
    let config = match node::parse(path, text, Excerpts::Shown, &mut found) {
        Some(root) => {
            SECRETS.iter().for_each(|key| root.withhold_below(key, &mut found));
            let directory = path.parent().unwrap_or(Path::new(""));
            convert(&root, &mut Reading { directory, now, found: &mut found })
        }
        None => {
            if found.count() == 0 {
                found.push(Problem::of_file(path, "the file is empty"));
            }
            if may_hold_secrets {
                found.withhold_everything();
            }
            None
        }
    };
    let (config, warnings) = found.close(config, path)?;
    Ok(Config { warnings, ..config })
}

/// What `gatepass serve` runs without a file: loopback only, the embedded sample bundle, decisions as text.
pub fn quickstart() -> Config {
    let loopback = |port| Located::nowhere(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    Config {
        listeners: vec![Listener {
            name: "quickstart".to_owned(),
            bind: loopback(3128),
            protocol: Protocol::Http,
            compat: Compat::None,
        }],
        identity: Identity::nothing(),
        floor: Floor { loopback: Loopback::Closed, nat64_prefixes: Vec::new() },
        policy: Policy { bundle: Bundle::Embedded, reload: Reload::Signal },
        observe: None,
        dns: Dns::system(),
        probe: Probe::of_the_machine(),
        evidence: Evidence::below(Path::new("")),
        telemetry: None,
        state: State::below(Path::new("")),
        admin: Some(Admin::on(loopback(3129))),
        limits: Limits::default(),
        warnings: Vec::new(),
    }
}

const KEYS: [&str; 13] = [
    "listeners",
    "identity",
    "floor",
    "policy",
    "observe",
    "dns",
    "probe",
    "evidence",
    "telemetry",
    "state",
    "egress_points",
    "admin",
    "limits",
];

fn convert(root: &Node, reading: &mut Reading<'_>) -> Option<Config> {
    let [
        listeners,
        identity,
        floor,
        policy,
        observe,
        dns,
        probe,
        evidence,
        telemetry,
        state,
        egress_points,
        admin,
        limits,
    ] = reading.fields(root, KEYS)?;
    let listeners = reading.required(root, listeners, "listeners").and_then(|node| listeners::convert(node, reading));
    let identity = identity::convert(identity.map(|entry| &entry.node), reading);
    let floor = floor::convert(floor.map(|entry| &entry.node), reading);
    let policy = reading.required(root, policy, "policy").and_then(|node| policy::convert(node, reading));
    let observe = optional(observe, reading, observe::convert);
    let dns = dns::convert(dns.map(|entry| &entry.node), reading);
    let probe = optional(probe, reading, probe::convert);
    let evidence = evidence::convert(evidence.map(|entry| &entry.node), reading);
    let telemetry = optional(telemetry, reading, telemetry::convert);
    let state = state::convert(state.map(|entry| &entry.node), reading);
    egress_points::check(egress_points.map(|entry| &entry.node), reading);
    let admin = optional(admin, reading, admin::convert);
    let limits = limits::convert(limits.map(|entry| &entry.node), reading);

    let (listeners, admin, (floor, development)) = (listeners?, admin?, floor?);
    let (observe, limits) = (observe?, limits?);
    observe::check(observe.as_ref(), limits.observe_longest, reading);
    check_binds(&listeners, admin.as_ref(), development, reading);
    Some(Config {
        listeners,
        identity: identity?,
        floor,
        policy: policy?,
        observe,
        dns: dns?,
        probe: probe?.unwrap_or_else(Probe::of_the_machine),
        evidence: evidence?,
        telemetry: telemetry?,
        state: state?,
        admin,
        limits,
        warnings: Vec::new(),
    })
}

/// What listeners and admin must agree on.
fn check_binds(
    listeners: &[Listener],
    admin: Option<&Admin>,
    development: Option<&problem::Place>,
    reading: &mut Reading<'_>,
) {
    let binds = || listeners.iter().map(|listener| &listener.bind).chain(admin.and_then(|admin| admin.bind.tcp()));
    floor::check(development, &listeners::exposed(binds()), reading);
    let Some(bind) = admin.and_then(|admin| admin.bind.tcp()) else { return };
    if let Some(other) = listeners.iter().find(|other| listeners::collide(other.bind.value, bind.value)) {
        listeners::collision(bind, &other.bind, &format!("listener `{}`", other.name), reading);
    }
}

#[cfg(test)]
mod tests;
