//! The world of the tour: an authority, two origins, a name server and a gateway, all on loopback and gone afterwards.

use std::collections::HashMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gatepass_certs::chain::{Chain, Purpose};
use gatepass_certs::mint::{self, Ca, Dev, Existing, Leaf, Name, Validity};
use gatepass_certs::subject::SpiffeId;
use gatepass_certs::{Alpn, Limits as CertLimits};
use gatepass_config::evidence::Stdout;
use gatepass_config::floor::Loopback;
use gatepass_config::identity::TokensFile;
use gatepass_config::listeners::{ClientCertificates, Compat, Listener, Presence, Protocol, Tls};
use gatepass_config::policy::{Bundle, Policy};
use gatepass_config::probe::{Machine, Probe};
use gatepass_config::tokens::Token;
use gatepass_config::{Config, Located, dns};
use jiff::{SignedDuration, Timestamp};
use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};

use super::names::Names;
use super::origin::Origin;
use crate::clock::Clock;
use crate::server::Gateway;
use crate::startup::Startup;
use crate::state::Log;

/// Who shows a certificate on the tour.
pub const CHECKOUT: &str = "spiffe://corp.example/ns/shop/sa/checkout";

/// How long the tour's certificates live: a `--stay` over lunch.
const LIFE: SignedDuration = SignedDuration::from_hours(48);

/// Names that resolve to this machine.
const HERE: [&str; 8] = [
    "packages.test",
    "api.payments.test",
    "status.test",
    "vendor.test",
    "mirror.test",
    "backups.test",
    "reports.test",
    "keys.test",
];

/// The bundle, with places for ports and ends.
const FILES: [(&str, &str); 6] = [
    ("bundle.yaml", include_str!("policy/bundle.yaml")),
    ("destinations.yaml", include_str!("policy/destinations.yaml")),
    ("guardrails.yaml", include_str!("policy/guardrails.yaml")),
    ("workloads.yaml", include_str!("policy/workloads.yaml")),
    ("teams/build.yaml", include_str!("policy/teams/build.yaml")),
    ("teams/payments.yaml", include_str!("policy/teams/payments.yaml")),
];

/// The rule that the tour adds while the gateway runs.
pub const MIRROR: &str = include_str!("policy/mirror.yaml");

/// A directory of the tour's own, readable by nobody else, gone with it.
pub struct Directory(PathBuf);

impl Directory {
    fn make() -> std::io::Result<Directory> {
        let path = std::env::temp_dir().join(format!("gatepass-demo-{}", std::process::id()));
        // One that is there already is somebody else's: making it fails.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Directory(path))
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything that plays a part.
pub struct World {
    /// Where its files are.
    pub directory: Directory,
    /// An origin inside TLS.
    pub secure: Origin,
    /// An origin in clear.
    pub clear: Origin,
    /// The name server.
    pub names: Names,
    /// The gateway.
    pub gateway: Gateway,
    /// The plain listener.
    pub plain: SocketAddr,
    /// The listener that wants certificates.
    pub mesh: SocketAddr,
    /// Trusts the origins.
    pub trusting: Arc<ClientConfig>,
    /// Trusts the gateway, and shows the certificate of [`CHECKOUT`].
    pub certified: Arc<ClientConfig>,
    /// Trusts the gateway, and shows nothing.
    pub bare: Arc<ClientConfig>,
    /// The end of every token, `NAME-SECRET`: nobody guesses it while the gateway lives.
    pub secret: String,
    microseconds: Arc<AtomicI64>,
    ends: (String, String),
}

impl World {
    /// End the gateway, and then take its files away.
    pub async fn end(self) {
        // What did not get out in time is of no use any more.
        let _ = self.gateway.finish().await;
    }

    /// Make it, or say what is in the way.
    pub async fn make() -> Result<World, String> {
        let now = Timestamp::now();
        let broken = |what: &str, why: &dyn std::fmt::Display| format!("{what}: {why}");
        let io = |error: std::io::Error| broken("loopback or the temporary directory", &error);
        let validity = Validity::from(now, LIFE).map_err(|e| broken("time", &e))?;
        let directory = Directory::make().map_err(io)?;
        let wanted = Dev {
            client: SpiffeId::parse(CHECKOUT).map_err(|e| broken("identity", &e))?,
            gateway_names: Vec::new(),
            validity,
            existing: Existing::Refuse,
        };
        let files = mint::dev(directory.path(), &wanted).map_err(|e| broken("certificates", &e))?;
        let authority = Ca::root("the origins of the tour", validity).map_err(|e| broken("certificates", &e))?;
        fs::write(directory.path().join("origins.pem"), authority.pem()).map_err(io)?;
        let secure = Origin::start(Some(server_config(&authority, validity)?)).await.map_err(io)?;
        let clear = Origin::start(None).await.map_err(io)?;
        let names = Names::start(known()).await.map_err(io)?;
        let ends = (in_hours(now, 48)?, in_hours(now, 24)?);
        let secret = uuid::Uuid::now_v7().simple().to_string().split_off(16);
        let microseconds = Arc::new(AtomicI64::new(now.as_microsecond()));
        write_bundle(directory.path(), &ends, (&secure, &clear), "").map_err(io)?;
        let config = config(directory.path(), &files, &names, &secret, &ends)?;
        let clock = Clock::Set(Arc::clone(&microseconds));
        let gateway =
            Gateway::start(Startup { config, embedded: Vec::new(), clock, name: "tour".into(), log: Log::Nobody })
                .await?;
        let at = |wanted: &str| gateway.addresses.iter().find(|(name, _)| &**name == wanted).map(|(_, at)| *at);
        let (Some(plain), Some(mesh)) = (at("plain"), at("mesh")) else { return Err("no listener".to_owned()) };
        let limits = CertLimits::RECOMMENDED;
        let own = Chain::load(&files.client, &files.client_key, Purpose::Client, &limits, now)
            .map_err(|e| broken("certificates", &e))?;
        let trust = |own: Option<&Chain>| {
            gatepass_certs::client::load(&files.ca, own, &[Alpn::Http11], &limits)
                .map_err(|e| broken("certificates", &e))
        };
        let trusting = gatepass_certs::client::config(&[authority.certificate().clone()], None, &[]);
        Ok(World {
            certified: trust(Some(&own))?,
            bare: trust(None)?,
            trusting: trusting.map_err(|e| broken("certificates", &e))?,
            directory,
            secure,
            clear,
            names,
            gateway,
            plain,
            mesh,
            secret,
            microseconds,
            ends,
        })
    }

    /// Write the bundle anew, with `more` at the end of the team `build`'s rules.
    pub fn rewrite(&self, more: &str) -> std::io::Result<()> {
        write_bundle(self.directory.path(), &self.ends, (&self.secure, &self.clear), more)
    }

    /// A part of the bundle, with its ports and ends.
    pub fn rendered(&self, text: &str) -> String {
        rendered(text, &self.ends, (&self.secure, &self.clear))
    }

    /// Let the gateway's clock go on by so much.
    pub fn pass(&self, time: SignedDuration) {
        self.microseconds.fetch_add(i64::try_from(time.as_micros()).unwrap_or(0), Ordering::Relaxed);
    }

    /// From now on the gateway's clock goes on with the machine's.
    pub fn let_time_go_on(&self) {
        let clock = Arc::clone(&self.microseconds);
        let ahead = clock.load(Ordering::Relaxed).saturating_sub(Timestamp::now().as_microsecond());
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(std::time::Duration::from_millis(100));
            loop {
                tick.tick().await;
                clock.store(Timestamp::now().as_microsecond().saturating_add(ahead), Ordering::Relaxed);
            }
        });
    }
}

fn known() -> HashMap<&'static str, Ipv4Addr> {
    let mut known: HashMap<_, _> = HERE.into_iter().map(|name| (name, Ipv4Addr::LOCALHOST)).collect();
    // It leads to an origin whose certificate does not bear this name.
    known.insert("signing.test", Ipv4Addr::LOCALHOST);
    // Where every large cloud keeps the credentials of a machine.
    known.insert("updates.test", Ipv4Addr::new(169, 254, 169, 254));
    known
}

fn in_hours(now: Timestamp, hours: i64) -> Result<String, String> {
    now.checked_add(SignedDuration::from_hours(hours)).map(|end| format!("{end:.0}")).map_err(|error| error.to_string())
}

fn server_config(authority: &Ca, validity: Validity) -> Result<Arc<rustls::ServerConfig>, String> {
    let names = HERE.into_iter().map(|name| Name::Dns(name.to_owned())).collect();
    let issued = authority.issue(&Leaf::server(names, validity)).map_err(|error| error.to_string())?;
    let config = rustls::ServerConfig::builder_with_provider(gatepass_certs::provider())
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(issued.chain(), issued.key()));
    config.map(Arc::new).map_err(|error| error.to_string())
}

fn rendered(text: &str, (long, short): &(String, String), (secure, clear): (&Origin, &Origin)) -> String {
    text.replace("@TLS@", &secure.address.port().to_string())
        .replace("@HTTP@", &clear.address.port().to_string())
        .replace("@LONG@", long)
        .replace("@SHORT@", short)
}

fn write_bundle(
    directory: &Path,
    ends: &(String, String),
    origins: (&Origin, &Origin),
    more: &str,
) -> std::io::Result<()> {
    for (name, text) in FILES {
        let more = if name == "teams/build.yaml" { more } else { "" };
        let path = directory.join("policy").join(name);
        fs::create_dir_all(path.parent().unwrap_or(directory))?;
        fs::write(path, rendered(text, ends, origins) + &rendered(more, ends, origins))?;
    }
    Ok(())
}

fn config(
    directory: &Path,
    files: &mint::Written,
    names: &Names,
    secret: &str,
    (long, _): &(String, String),
) -> Result<Config, String> {
    let free = || Located::nowhere(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let file = |path: &PathBuf| Located::nowhere(path.clone());
    let tls = Tls {
        certificate: file(&files.gateway),
        key: file(&files.gateway_key),
        clients: ClientCertificates::Verified {
            ca: file(&files.clients_ca),
            crl: Some(file(&files.crl)),
            presence: Presence::Required,
        },
    };
    let expires: Timestamp = long.parse().map_err(|error| format!("time: {error}"))?;
    let token = |name: &str| Token {
        name: name.to_owned(),
        sha256: Sha256::digest(format!("{name}-{secret}")).into(),
        expires,
    };
    let mut config = gatepass_config::quickstart();
    config.listeners = vec![
        Listener { name: "plain".to_owned(), bind: free(), protocol: Protocol::Http, compat: Compat::None },
        Listener {
            name: "mesh".to_owned(),
            bind: free(),
            protocol: Protocol::Https(Box::new(tls)),
            compat: Compat::None,
        },
    ];
    config.identity.tokens =
        Some(TokensFile { path: file(&directory.join("tokens.yaml")), tokens: vec![token("ci"), token("reports")] });
    config.probe = Probe { ca: Some(file(&directory.join("origins.pem"))), machine: Machine::Left };
    config.floor.loopback = Loopback::Development;
    config.policy = Policy::of(Bundle::Directory(Located::nowhere(directory.join("policy"))));
    config.dns.servers = vec![dns::Server::Plain(names.address)];
    config.evidence.stdout = Stdout::None;
    config.evidence.spool.directory = file(&directory.join("evidence"));
    config.state.directory = file(&directory.join("state"));
    config.admin = None;
    Ok(config)
}
