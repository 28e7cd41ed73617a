//! One group of name servers, on hickory's transports: UDP, TCP, TLS, HTTPS, and DNSSEC above them.
//!
//! Hickory matches a response to its question by source, port, id and question, retransmits, and goes over to TCP; it
//! also shares one packet between identical questions under way. Which server is asked is decided here, since a server
//! that fails quickly must not hide one that works.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ProtocolConfig, ResolverOpts};
use hickory_resolver::net::dnssec::DnssecDnsHandle;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::{Proof, TrustAnchors};
use hickory_resolver::proto::op::{DnsRequestOptions, Message, OpCode, Query, ResponseCode};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig, system_conf};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};

use super::answer::Validation;
use super::settings::{Limits, Server, SettingsError};
use crate::dial::race::race;

/// A server that has not answered by then gets company, never longer than this: a round trip around the world.
const SERVER_DELAY_MAX: Duration = Duration::from_millis(300);

/// Why a group of servers gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// An answer, but not one to use.
    Failed(&'static str),
    /// Silence.
    Timeout,
}

/// Name servers that are equal to each other.
pub(super) struct Upstream {
    servers: Vec<Handle>,
    /// The one that answered last is asked first.
    preferred: AtomicUsize,
    server_delay: Duration,
    validation: Validation,
}

enum Handle {
    Plain(NameServerPool<TokioRuntimeProvider>),
    Validating(Box<DnssecDnsHandle<NameServerPool<TokioRuntimeProvider>>>),
}

impl Upstream {
    /// `anchors` are the keys to validate from; without them nothing is validated.
    pub fn new(
        servers: &[Server],
        roots: Option<&Arc<RootCertStore>>,
        anchors: Option<Arc<TrustAnchors>>,
        limits: &Limits,
    ) -> Result<Upstream, SettingsError> {
        let mut configs = Vec::new();
        for server in servers {
            configs.extend(name_servers(server, roots)?);
        }
        let tls = tls_config(roots)?;
        let handles: Vec<Handle> = configs
            .into_iter()
            .map(|config| {
                let tls = TlsConfig { config: tls.clone() };
                let pool = NameServerPool::from_config(
                    [config],
                    Arc::new(PoolContext::new(options(limits), tls)),
                    TokioRuntimeProvider::default(),
                );
                match &anchors {
                    None => Handle::Plain(pool),
                    Some(anchors) => {
                        Handle::Validating(Box::new(DnssecDnsHandle::with_trust_anchor(pool, anchors.clone())))
                    }
                }
            })
            .collect();
        let count = u32::try_from(handles.len()).unwrap_or(u32::MAX).max(1);
        Ok(Upstream {
            server_delay: SERVER_DELAY_MAX.min(limits.timeout / count.saturating_add(1)),
            servers: handles,
            preferred: AtomicUsize::new(0),
            validation: if anchors.is_some() { Validation::Done } else { Validation::None },
        })
    }

    /// Whether the records of an answer carry proofs.
    pub fn validation(&self) -> Validation {
        self.validation
    }

    /// The first usable answer of any server, a negative one included. The caller bounds the time.
    pub async fn ask(&self, query: &Query) -> Result<Message, Failure> {
        let (first, count) = (self.preferred.load(Ordering::Relaxed), self.servers.len());
        let order = (0..count).map(|offset| (first + offset) % count);
        let answered = race(order, self.server_delay, |index| self.ask_one(index, query));
        match answered.await {
            Ok((index, message)) => {
                self.preferred.store(index, Ordering::Relaxed);
                Ok(message)
            }
            Err(failures) => {
                let said = failures.into_iter().find(|failure| *failure != Failure::Timeout);
                Err(said.unwrap_or(Failure::Timeout))
            }
        }
    }

    async fn ask_one(&self, index: usize, query: &Query) -> Result<(usize, Message), Failure> {
        let server = self.servers.get(index).ok_or(Failure::Failed("there is no name server"))?;
        Ok((index, server.ask(query).await?))
    }
}

impl Handle {
    async fn ask(&self, query: &Query) -> Result<Message, Failure> {
        let mut request = DnsRequestOptions::default();
        request.recursion_desired = true;
        let answered = match self {
            Handle::Plain(pool) => pool.lookup(query.clone(), request).first_answer().await,
            Handle::Validating(handle) => {
                request.edns_set_dnssec_ok = true;
                handle.lookup(query.clone(), request).first_answer().await
            }
        };
        match answered {
            Ok(response) => match response.response_code {
                ResponseCode::NoError | ResponseCode::NXDomain => Ok(response.into_message()),
                other => Err(Failure::Failed(spell(other))),
            },
            Err(error) => unanswered(error),
        }
    }
}

/// Hickory reports negative answers as errors; they are answers here.
fn unanswered(error: NetError) -> Result<Message, Failure> {
    match error {
        NetError::Timeout => Err(Failure::Timeout),
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => Ok(negative(none)),
            other => Err(Failure::Failed(spell(other))),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => Err(Failure::Failed(spell(code))),
        NetError::Dns(DnsError::Nsec { response, proof: Proof::Insecure, .. }) => Ok(response.into_message()),
        NetError::Dns(DnsError::Nsec { .. } | DnsError::DnssecBogus) => {
            Err(Failure::Failed("dnssec does not prove the answer"))
        }
        NetError::Truncated => Err(Failure::Failed("the name server's answer is cut short")),
        NetError::Proto(_) => Err(Failure::Failed("the name server's answer cannot be read")),
        NetError::Busy => Err(Failure::Failed("too many questions are under way to the name server")),
        _ => Err(Failure::Failed("the name server cannot be reached")),
    }
}

fn negative(none: NoRecords) -> Message {
    let mut message = Message::response(0, OpCode::Query);
    message.metadata.response_code = none.response_code;
    message.add_query(*none.query);
    message.authorities.extend(none.soa.map(|soa| soa.into_record_of_rdata()));
    message
}

fn spell(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::ServFail => "the name server failed (SERVFAIL)",
        ResponseCode::Refused => "the name server refused the question (REFUSED)",
        _ => "the name server answered with an error",
    }
}

fn options(limits: &Limits) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = limits.timeout;
    options.num_concurrent_reqs = 1;
    // Both families of every lookup, and as much again for the keys of a validation.
    options.max_active_requests = limits.in_flight.saturating_mul(4).max(1);
    options
}

fn name_servers(server: &Server, roots: Option<&Arc<RootCertStore>>) -> Result<Vec<NameServerConfig>, SettingsError> {
    match server {
        Server::System => {
            let (config, _) = system_conf::read_system_conf().map_err(|why| SettingsError::System(why.to_string()))?;
            Ok(config.name_servers)
        }
        Server::Plain(address) => {
            let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
            udp.port = address.port();
            tcp.port = address.port();
            Ok(vec![NameServerConfig::new(address.ip(), true, vec![udp, tcp])])
        }
        Server::Tls { name, addresses, port } => {
            let protocol = ProtocolConfig::Tls { server_name: name.clone() };
            encrypted(name, addresses, *port, &protocol, roots)
        }
        Server::Https { name, addresses, port, path } => {
            let protocol = ProtocolConfig::Https { server_name: name.clone(), path: path.clone() };
            encrypted(name, addresses, *port, &protocol, roots)
        }
    }
}

fn encrypted(
    name: &Arc<str>,
    addresses: &[IpAddr],
    port: u16,
    protocol: &ProtocolConfig,
    roots: Option<&Arc<RootCertStore>>,
) -> Result<Vec<NameServerConfig>, SettingsError> {
    if ServerName::try_from(&**name).is_err() {
        return Err(SettingsError::ServerName(name.clone()));
    }
    if roots.is_none_or(|roots| roots.is_empty()) {
        return Err(SettingsError::NoRoots(name.clone()));
    }
    let itself = name.parse::<IpAddr>().ok();
    let addresses: Vec<IpAddr> = if addresses.is_empty() { itself.into_iter().collect() } else { addresses.to_vec() };
    if addresses.is_empty() {
        return Err(SettingsError::NoAddress(name.clone()));
    }
    let server = |ip| {
        let mut connection = ConnectionConfig::new(protocol.clone());
        connection.port = port;
        NameServerConfig::new(ip, true, vec![connection])
    };
    Ok(addresses.into_iter().map(server).collect())
}

/// Without roots the store is empty, and no certificate passes.
fn tls_config(roots: Option<&Arc<RootCertStore>>) -> Result<ClientConfig, SettingsError> {
    let roots = roots.cloned().unwrap_or_else(|| Arc::new(RootCertStore::empty()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| SettingsError::Tls(why.to_string()))?;
    Ok(versions.with_root_certificates(roots).with_no_client_auth())
}
