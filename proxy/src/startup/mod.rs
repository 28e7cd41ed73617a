//! From a validated configuration to the parts of a gateway: everything that can be wrong is found here, together, and
//! before a listener opens.

mod bounds;

mod names;

mod records;

pub mod probe;

mod overrides;
use overrides::Made;

mod renewal;

pub mod sinks;

mod supply;

mod who;

pub(crate) use bounds::policy as policy_limits;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepass_certs::Alpn;
use gatepass_certs::rotate::{self, Rotating};
use gatepass_certs::trust::Presence;
use gatepass_config::admin::Admin;
use gatepass_config::floor::Loopback;
use gatepass_config::limits::{Limits, connections_within};
use gatepass_config::listeners::{self, ClientCertificates, Protocol};
use gatepass_config::policy::Bundle;
use gatepass_config::{Config, dns};
use gatepass_policy::address::Floor;
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::source::SourceFile;
use names::{find_servers, resolver_settings};
pub use renewal::Renewal;
use tokio::sync::Semaphore;
use who::registry;

use crate::admin::Kept;
use crate::budget::Budgets;
use crate::clock::Clock;
use crate::evidence::Evidence;
use crate::forward::Pool;
use crate::listener::Gate;
use crate::metrics::Metrics;
use crate::peer::Origin;
use crate::policy_store::{PolicyStore, Said};
use crate::probe::Probe;
use crate::resolver::Resolver;
use crate::shared::Shared;
use crate::state::Log;
use crate::telemetry::Telemetry;
use crate::{telemetry, tunnel};

/// What a gateway is started from.
pub struct Startup {
    /// The validated configuration.
    pub config: Config,
    /// The embedded bundle, where the configuration asks for it.
    pub embedded: Vec<SourceFile>,
    /// Wall-clock time.
    pub clock: Clock,
    /// The gateway's name, on every record.
    pub name: Arc<str>,
    /// Who reads standard error.
    pub log: Log,
}

/// The parts, before anything is bound.
pub struct Parts {
    /// What connections share.
    pub shared: Shared,
    /// Each listener with where to bind it.
    pub listeners: Vec<(Gate, SocketAddr)>,
    /// The operators' listener.
    pub admin: Option<gatepass_config::admin::Admin>,
    /// What the author of the bundle should know.
    pub warnings: Vec<Diagnostic>,
}

/// What the parts are made for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A gateway.
    Serve,
    /// An answer.
    Check,
}

/// What came of it.
enum Built {
    Parts(Box<Parts>),
    /// Nothing is wrong; with what the author of the bundle should know.
    Checked(Vec<Diagnostic>),
}

impl Startup {
    /// Make every part, or say everything that is wrong.
    pub async fn build(self) -> Result<Parts, String> {
        match self.make(Purpose::Serve).await? {
            Built::Parts(parts) => Ok(*parts),
            Built::Checked(_) => Err("error: nothing was to be started".to_owned()),
        }
    }

    /// Say everything that is wrong, or what the author of the bundle should know. Nothing is started, and a spool that a
    /// running gateway writes is left alone.
    pub async fn check(self) -> Result<Vec<Diagnostic>, String> {
        match self.make(Purpose::Check).await? {
            Built::Parts(parts) => Ok(parts.warnings),
            Built::Checked(warnings) => Ok(warnings),
        }
    }

    async fn make(self, purpose: Purpose) -> Result<Built, String> {
        let Startup { config, embedded, clock, name, log } = self;
        let now = clock.now();
        let limits = config.limits.clone();
        let mut problems = Vec::new();
        let gates = gates(&config.listeners, &limits, now, &mut problems);
        let kept = config.admin.as_ref().and_then(|admin| kept(admin, &limits, now, &mut problems));
        let policy = supply::store(&config, embedded, now).await;
        let (policy, Said { warnings, instead }) =
            policy.map_err(|problem| [&problems[..], &[problem]].concat().join("\n"))?;
        let found = find_servers(&config.dns).await;
        let services = found.as_ref().map_or_else(|_| Vec::new(), |dns| services(dns, &config));
        let resolver = found.and_then(|dns| resolver(&dns, &limits)).map_err(|problem| problems.push(problem));
        let (room, spare) = room(&limits);
        let seen = renewal::seen(&config.evidence, limits.otlp_timeout);
        let telemetry = telemetry(&config, &name).map_err(|problem| problems.push(problem));
        let settings = records::settings(&config, room, name.clone(), clock.clone()).map_err(|why| problems.push(why));
        let floor = floor(&config.floor, services).map_err(|problem| problems.push(problem));
        let prober =
            probe::prober(&config.probe, &bounds::certificates(&limits)).map_err(|problem| problems.push(problem));
        let (Ok(resolver), Ok(telemetry), Ok(settings), Ok(floor), Ok(prober), true) =
            (resolver, telemetry, settings, floor, prober, problems.is_empty())
        else {
            return Err(problems.join("\n"));
        };
        if purpose == Purpose::Check {
            return Ok(Built::Checked(warnings));
        }
        let (telemetry, metrics) = measured(telemetry.as_ref())?;
        let collector = Renewal::of(&config.evidence, &settings, limits.otlp_timeout, seen);
        let store = overrides::store(&config, &clock)?;
        let until = config.observe.as_ref().and_then(|until| crate::observe::until(until.value, &clock));
        let policy = settled(policy, instead, until, clock.now()).await?;
        // Last, and only where something is to run: the spool belongs to one gateway at a time.
        let evidence = begun(crate::evidence::Settings { observe: until, ..settings }, &metrics)?;
        let of = Made { policy: &policy, evidence: &evidence, clock: &clock, metrics: &metrics, name: &name, log };
        let budgets = budgets(store.1.clone(), clock.clone(), &limits).await?;
        let state = overrides::state(&config, store, of).await?;
        let pseudonym = pseudonym();
        let shared = Shared {
            clock,
            policy,
            state,
            spool: config.evidence.spool.directory.value.clone(),
            evidence,
            collector,
            admin: kept,
            resolver,
            floor: ArcSwap::from_pointee(floor),
            identity: registry(&config.identity),
            probe: Probe::new(prober.0, prober.1, bounds::probe(&limits, spare)),
            probed_by: config.probe,
            metrics,
            tracing: telemetry.as_ref().and_then(Telemetry::tracing),
            telemetry,
            pool: Pool::new(bounds::pool(&limits, spare)),
            pools: tunnel::Pools::new(bounds::tunnel_pools(spare)),
            budgets,
            live: crate::live::Live::new(limits.cut_linger),
            connections: Arc::new(Semaphore::new(room)),
            refusals: Arc::new(Semaphore::new(spare.refusals())),
            head: bounds::head(&limits, &pseudonym),
            hello: bounds::hello(&limits),
            dial: bounds::dial(&limits),
            tunnel: tunnel::Limits { idle: limits.tunnel_idle_timeout, max_duration: Some(limits.tunnel_max_duration) },
            forward: bounds::forward(&limits, &pseudonym),
            limits,
        };
        Ok(Built::Parts(Box::new(Parts { shared, listeners: gates, admin: config.admin, warnings })))
    }
}

/// The policy, once the state directory is this gateway's.
async fn settled(
    policy: PolicyStore,
    instead: Option<String>,
    observe: Option<jiff::Timestamp>,
    now: jiff::Timestamp,
) -> Result<Arc<PolicyStore>, String> {
    policy.settle(now).await?;
    if let Some(why) = instead {
        eprintln!("policy: the last good archive is in force instead\n{why}");
    }
    Ok(Arc::new(policy.observing(observe)))
}

/// How many connections are carried, and what that leaves of the files that may be open.
fn room(limits: &Limits) -> (usize, bounds::Spare) {
    let room = limits.max_connections.unwrap_or_else(|| connections_within(file_limit()));
    (room, bounds::Spare::of(file_limit(), room))
}

/// The evidence, with its spool open.
fn begun(settings: crate::evidence::Settings, metrics: &Arc<Metrics>) -> Result<Evidence, String> {
    Evidence::start(settings, Arc::clone(metrics)).map_err(|error| format!("error: `evidence`: {error}"))
}

/// What each identity had under limits of rules before.
async fn budgets(local: crate::state::store::Local, clock: Clock, limits: &Limits) -> Result<Budgets, String> {
    let found = Budgets::load(local, clock, limits.limit_accounts).await;
    found.map_err(|error| format!("error: `state`: {error}"))
}

/// What exports, and what is counted.
fn measured(settings: Option<&telemetry::Settings>) -> Result<(Option<Telemetry>, Arc<Metrics>), String> {
    let telemetry = settings.map(Telemetry::start).transpose()?;
    let metrics = Metrics::exported(telemetry.as_ref().and_then(Telemetry::meter));
    let metrics = metrics.map_err(|error| format!("error: metrics: {error}"))?;
    Ok((telemetry, Arc::new(metrics)))
}

/// Names this process in `Via`, so that a loop is seen and a chain of gateways is not taken for one; it tells origins nothing
/// of the machine.
fn pseudonym() -> String {
    let id = uuid::Uuid::now_v7().simple().to_string();
    format!("gatepass-{}", id.get(24..).unwrap_or_default())
}

fn resolver(servers: &dns::Dns, limits: &Limits) -> Result<Resolver, String> {
    Resolver::new(&resolver_settings(servers, limits)).map_err(|error| format!("error: `dns`: {error}"))
}

/// How metrics and traces are exported, where they are, and whether that can be.
fn telemetry(config: &Config, name: &str) -> Result<Option<telemetry::Settings>, String> {
    let Some(configured) = &config.telemetry else { return Ok(None) };
    let settings = sinks::telemetry(configured, name)?;
    Telemetry::check(&settings)?;
    Ok(Some(settings))
}

fn gates(
    listeners: &[listeners::Listener],
    limits: &Limits,
    now: jiff::Timestamp,
    problems: &mut Vec<String>,
) -> Vec<(Gate, SocketAddr)> {
    let mut gates = Vec::new();
    for listener in listeners {
        let tls = match &listener.protocol {
            Protocol::Http => None,
            Protocol::Https(tls) => match rotating(tls, &listener.name, limits, now, problems) {
                Some(rotating) => Some(rotating),
                None => continue,
            },
        };
        let origin = Arc::new(Origin { name: listener.name.as_str().into(), compat: listener.compat });
        gates.push((Gate { origin, tls }, listener.bind.value));
    }
    gates
}

fn rotating(
    tls: &listeners::Tls,
    name: &str,
    limits: &Limits,
    now: jiff::Timestamp,
    problems: &mut Vec<String>,
) -> Option<Arc<Rotating>> {
    match Rotating::load(tls_source(tls, limits), now) {
        Ok(rotating) => Some(Arc::new(rotating)),
        Err(unusable) => {
            let place = tls.certificate.place.as_ref();
            let place = place
                .map_or_else(String::new, |p| format!("\n  --> {}:{}:{}", p.file().display(), p.line(), p.column()));
            problems.push(format!("error: the listener `{name}` cannot speak TLS: {unusable}{place}"));
            None
        }
    }
}

/// The operators of the admin listener, and its certificates.
fn kept(admin: &Admin, limits: &Limits, now: jiff::Timestamp, problems: &mut Vec<String>) -> Option<Arc<Kept>> {
    let tls = match &admin.tls {
        None => None,
        Some(tls) => Some(rotating(tls, "admin", limits, now, problems)?),
    };
    let file = admin.operators_file.as_ref().map(|file| file.value.clone());
    Some(Arc::new(Kept::new(admin.operators.clone(), file, admin.means(), tls)))
}

fn tls_source(tls: &listeners::Tls, limits: &Limits) -> rotate::Source {
    let clients = match &tls.clients {
        ClientCertificates::None => None,
        ClientCertificates::Verified { ca, crl, presence } => Some(rotate::Clients {
            ca: ca.value.clone(),
            crl: crl.as_ref().map(|crl| crl.value.clone()),
            presence: match presence {
                listeners::Presence::Required => Presence::Required,
                listeners::Presence::Optional => Presence::Optional,
            },
        }),
    };
    rotate::Source {
        certificate: tls.certificate.value.clone(),
        key: tls.key.value.clone(),
        clients,
        alpn: vec![Alpn::Http11],
        limits: bounds::certificates(limits),
    }
}

fn floor(floor: &gatepass_config::floor::Floor, services: Vec<SocketAddr>) -> Result<Floor, String> {
    let interfaces = interfaces()
        .map_err(|error| format!("error: `floor`: the addresses of this machine cannot be told: {error}"))?;
    Ok(Floor {
        development_loopback: floor.loopback == Loopback::Development,
        nat64_prefixes: floor.nat64_prefixes.clone(),
        gateway: Vec::new(),
        interfaces,
        services,
    })
}

/// The name servers, where the policy comes from, and whatever takes records, metrics and traces, as far as they are given by address.
fn services(dns: &dns::Dns, config: &Config) -> Vec<SocketAddr> {
    let forwarded = dns.forwarders.iter().flat_map(|forwarder| &forwarder.servers);
    let servers = dns.servers.iter().chain(forwarded).filter_map(|server| match server {
        dns::Server::System => None,
        dns::Server::Plain(address) => Some(*address),
        dns::Server::Tls { port, address, .. } => address.map(|ip| SocketAddr::new(ip, *port)),
        dns::Server::Https { url, address } => address.map(|ip| SocketAddr::new(ip, url.port)),
    });
    let evidence = config.evidence.otlp.as_ref().map(|otlp| &otlp.collector);
    let collectors = evidence.into_iter().chain(config.telemetry.as_ref().map(|telemetry| &telemetry.otlp));
    let collectors = collectors.map(|collector| (&collector.endpoint.value.host, collector.endpoint.value.port));
    let syslog = config.evidence.syslog.iter().map(|syslog| (&syslog.address.value.host, syslog.address.value.port));
    let bundles = match &config.policy.bundle {
        Bundle::Url(remote) => Some((&remote.url.value.host, remote.url.value.port)),
        Bundle::Directory(_) | Bundle::Archive(_) | Bundle::Embedded => None,
    };
    let takers = collectors
        .chain(syslog)
        .chain(bundles)
        .filter_map(|(host, port)| host.ip().map(|ip| SocketAddr::new(ip, port)));
    servers.chain(takers).collect()
}

/// Every address of every interface now.
///
/// An error, such as no more files, is no empty list: that would take every one of them off the floor.
pub fn interfaces() -> std::io::Result<Vec<std::net::IpAddr>> {
    let found = if_addrs::get_if_addrs()?;
    Ok(found.into_iter().map(|interface| gatepass_policy::address::unmap(interface.ip())).collect())
}

/// How many files this process may open; `connections_within` keeps a share of them back.
fn file_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX)
}
