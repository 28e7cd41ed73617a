//! `gatepass serve`: the gateway, from its configuration to its last record.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gatepass_config::limits::{Limits, TABLE};
use gatepass_config::policy::{Bundle, Reload};
use gatepass_config::{Config, identity, listeners};
use tokio::signal::unix::{SignalKind, signal};

use super::style::Paint;
use super::{Exit, quickstart};
use crate::clock::Clock;
use crate::evidence::Flushed;
use crate::reload::{self, Cause, Depth, Watch, Watched};
use crate::server::Gateway;
use crate::startup::Startup;
use crate::state::Log;

#[derive(Debug, Default, Args)]
pub struct Arguments {
    /// The configuration; without one, the quickstart: loopback only, a sample bundle with ends a day away.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check configuration, certificates and bundle, and open nothing.
    #[arg(long)]
    check_only: bool,
    /// List every bound with its default and the reason for it.
    #[arg(long, conflicts_with_all = ["config", "check_only"])]
    print_limits: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    if arguments.print_limits {
        return print_limits();
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // The runtime's own variable, honoured here as it is where tokio's macro builds the runtime.
    if let Some(threads) =
        std::env::var("TOKIO_WORKER_THREADS").ok().and_then(|text| text.parse().ok()).filter(|n| *n > 0)
    {
        builder.worker_threads(threads);
    }
    match builder.enable_all().build() {
        Ok(runtime) => runtime.block_on(serve(arguments)),
        Err(error) => {
            eprintln!("error: the runtime could not be started: {error}");
            Exit::Failed
        }
    }
}

fn print_limits() -> Exit {
    let limits = Limits::default();
    for row in TABLE {
        let amount = limits.amount(row.key).map_or_else(String::new, |amount| amount.to_string());
        println!(
            "{:<26} {:<10} {}\n{:<26} {:<10} from {} to {}; {}",
            row.key, amount, row.what, "", "", row.min, row.max, row.why
        );
    }
    Exit::Yes
}

async fn serve(arguments: &Arguments) -> Exit {
    let clock = Clock::system();
    let now = clock.now();
    let (config, embedded) = match &arguments.config {
        Some(path) => match gatepass_config::load(path, now) {
            Ok(config) => (config, Vec::new()),
            Err(problems) => {
                problems.iter().for_each(|problem| eprintln!("{}", problem.render(config_paint())));
                return Exit::No;
            }
        },
        None => (on_loopback(gatepass_config::quickstart()), quickstart::bundle(now)),
    };
    for warning in &config.warnings {
        eprintln!("{}", warning.render(config_paint()));
    }
    let quick = matches!(config.policy.bundle, Bundle::Embedded);
    let watched = watched(&config);
    let startup = Startup { config, embedded, clock, name: hostname(), log: Log::Operators };
    if arguments.check_only {
        return match startup.check().await {
            Ok(warnings) => {
                warnings.iter().for_each(|warning| eprintln!("{warning}"));
                println!("ok");
                Exit::Yes
            }
            Err(problems) => refuse(&problems),
        };
    }
    match Gateway::start(startup).await {
        Ok(gateway) => live(gateway, watched, quick).await,
        Err(problems) => refuse(&problems),
    }
}

fn refuse(problems: &str) -> Exit {
    eprintln!("{problems}\nnothing was started");
    Exit::No
}

/// From the first connection to the last record.
async fn live(gateway: Gateway, watched: Vec<Watched>, quick: bool) -> Exit {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        eprintln!("error: signals cannot be received");
        return Exit::Failed;
    };
    let debounce = gateway.shared().limits.reload_debounce;
    let mut watch = (!watched.is_empty()).then(|| Watch::on(&watched));
    if watch.is_some() {
        // What changed between the first reading and the first look at the directory was seen by neither.
        reload::once(gateway.shared(), gateway.gates(), Cause::Looked).await;
    }
    // Whoever waits for `ready` may change the bundle from now on, and be noticed.
    announce(&gateway, quick);
    loop {
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed(debounce).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => reload::once(gateway.shared(), gateway.gates(), Cause::Asked).await,
            () = changed => reload::once(gateway.shared(), gateway.gates(), Cause::Looked).await,
        }
    }
    eprintln!("draining: no new connections; live tunnels are cut after {:?}", gateway.shared().limits.drain_timeout);
    match gateway.finish().await {
        Flushed::All => {
            eprintln!("drained: every record is out");
            Exit::Yes
        }
        Flushed::Spooled(records) => {
            eprintln!("drained: every record is in the spool; {records} are sent on after the next start");
            Exit::Yes
        }
        Flushed::Left(records) => {
            eprintln!("error: {records} records could not be written in time");
            Exit::Failed
        }
    }
}

/// Where it listens; then `ready`, for whoever waits for it.
fn announce(gateway: &Gateway, quick: bool) {
    let paint = Paint::stderr();
    for ((name, address), gate) in gateway.addresses.iter().zip(gateway.gates()) {
        let protocol = if gate.tls.is_some() { "https" } else { "http" };
        eprintln!("listening on {name} {protocol} {address}");
    }
    if let Some(address) = &gateway.admin {
        let speaks_tls = gateway.shared().admin.as_ref().is_some_and(|kept| kept.tls().is_some());
        eprintln!("listening on admin {} {address}", if speaks_tls { "https" } else { "http" });
    }
    let snapshot = gateway.shared().policy.current();
    if gateway.shared().floor.load().development_loopback {
        eprintln!("{}", paint.bad("floor: development: rules may open loopback addresses, and every record says so"));
    }
    if let Some(until) = snapshot.observe {
        let text = format!("observe: policy denials are recorded and CARRIED until {until}");
        eprintln!("{}", paint.bad(&text));
    }
    eprintln!("ready: {} rules of `{}`", snapshot.set.rules(), snapshot.set.bundle());
    if quick && let Some((_, proxy)) = gateway.addresses.first() {
        eprintln!("\n{}", quickstart::greeting(*proxy, paint));
        let shared = Arc::clone(gateway.shared());
        tokio::spawn(async move { quickstart::look_outside(&shared, paint).await });
    }
}

/// The quickstart names its own machine, so that `why` needs no decision id.
fn on_loopback(mut config: Config) -> Config {
    for cidr in ["127.0.0.0/8", "::1/128"] {
        if let Ok(cidr) = cidr.parse() {
            config.identity.networks.push(identity::Network { cidr, name: "quickstart".to_owned() });
        }
    }
    config
}

/// Directories whose changes ask for a reload: the bundle's, and those of certificates and of the operators' file.
fn watched(config: &Config) -> Vec<Watched> {
    let bundle = match (&config.policy.bundle, config.policy.reload) {
        (Bundle::Directory(path), Reload::Watch) => Watched { path: path.value.clone(), depth: Depth::All },
        (Bundle::Directory(_), Reload::Signal) | (Bundle::Embedded, _) => return Vec::new(),
    };
    let of_listeners = config.listeners.iter().filter_map(|listener| match &listener.protocol {
        listeners::Protocol::Http => None,
        listeners::Protocol::Https(tls) => Some(tls),
    });
    let of_admin = config.admin.iter().filter_map(|admin| admin.tls.as_ref());
    let mut files = Vec::new();
    for tls in of_listeners.chain(of_admin) {
        files.extend([&tls.certificate.value, &tls.key.value]);
        if let listeners::ClientCertificates::Verified { ca, crl, .. } = &tls.clients {
            files.push(&ca.value);
            files.extend(crl.as_ref().map(|crl| &crl.value));
        }
    }
    files.extend(config.admin.iter().filter_map(|admin| admin.operators_file.as_ref()).map(|file| &file.value));
    files.extend(config.probe.ca.iter().map(|ca| &ca.value));
    let entries = files.into_iter().map(|file| Watched { path: reload::directory_of(file), depth: Depth::Entries });
    let mut directories: Vec<Watched> = std::iter::once(bundle).chain(entries).collect();
    directories.sort();
    // `All` comes first of the same, and is enough.
    directories.dedup_by(|later, first| later.path == first.path);
    directories
}

fn hostname() -> Arc<str> {
    let name = rustix::system::uname();
    name.nodename().to_string_lossy().into()
}

fn config_paint() -> gatepass_config::problem::Paint {
    match Paint::stderr() {
        Paint::Ansi => gatepass_config::problem::Paint::Ansi,
        Paint::Plain => gatepass_config::problem::Paint::Plain,
    }
}
