//! Real handshakes over a pipe in memory, with certificates minted for each test.

mod clients;
mod corpus;
mod files;
mod listener;
mod names;
mod probe;
mod revocation;
mod weak;

use std::net::Ipv4Addr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::CertificateParams;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::chain::{Chain, Purpose};
use crate::mint::{Ca, Issued, Leaf, Name, Validity};
use crate::server::ClientCertificates;
use crate::subject::{NoSubject, Subject};
use crate::trust::Trust;
use crate::{Alpn, Limits};

pub const ID: &str = "spiffe://td.test/ns/a/sa/b";
pub const HOST: &str = "gateway.test";
pub const LIMITS: Limits = Limits::RECOMMENDED;
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// From five minutes ago until in an hour.
pub fn valid() -> Validity {
    Validity::from(Timestamp::now(), SignedDuration::from_hours(1)).unwrap()
}

/// From `before` until `after`, counted from now.
pub fn valid_from(before: SignedDuration, after: SignedDuration) -> Validity {
    let now = Timestamp::now();
    Validity { not_before: now + before, not_after: now + after }
}

pub fn uri(text: &str) -> Name {
    Name::Uri(text.to_owned())
}

pub fn dns(text: &str) -> Name {
    Name::Dns(text.to_owned())
}

/// An authority that signs the gateway and, unless a test says otherwise, its clients.
pub struct World {
    pub ca: Ca,
    pub gateway: Chain,
}

/// How a handshake ended for both.
pub struct Shaken {
    /// The server's side: its connection, or why it refused.
    pub server: Result<Seen, rustls::Error>,
    /// What the client could read: `hello`, or its error.
    pub client: Result<String, String>,
}

/// What the server knows after a handshake.
pub struct Seen {
    pub subject: Result<Option<Subject>, NoSubject>,
    pub kind: Option<HandshakeKind>,
    pub early_data: bool,
    pub alpn: Option<Vec<u8>>,
}

impl World {
    pub fn new() -> World {
        let ca = Ca::root("test root", valid()).unwrap();
        let issued = ca.issue(&Leaf::server(vec![dns(HOST), Name::Ip(Ipv4Addr::LOCALHOST.into())], valid())).unwrap();
        let gateway = Chain::new(issued.chain(), issued.key(), Purpose::Server, Timestamp::now()).unwrap();
        World { ca, gateway }
    }

    /// Trust in clients of `ca`, nothing revoked.
    pub fn trust(&self) -> Trust {
        trust_in(&self.ca)
    }

    pub fn server(&self, clients: &ClientCertificates) -> Arc<ServerConfig> {
        crate::server::config(&self.gateway, clients, &[Alpn::Http11]).unwrap()
    }

    /// A client that shows whatever it is given, checked by nobody on its side.
    pub fn client(&self, own: Option<&Issued>, version: &'static SupportedProtocolVersion) -> ClientConfig {
        self.raw_client(own.map(|issued| (issued.chain(), issued.key())), version)
    }

    pub fn raw_client(
        &self,
        own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let own = own.map(|(chain, key)| {
            let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
            CertifiedKey::new(chain, key)
        });
        self.client_showing(own, version)
    }

    pub fn client_showing(
        &self,
        own: Option<CertifiedKey>,
        version: &'static SupportedProtocolVersion,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.certificate().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(crate::provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own))),
        }
    }

    /// Why each TLS version's server refuses this chain, which must be the same reason.
    pub async fn refuses(&self, trust: Trust, own: &Issued, reason: &str) {
        let server = self.server(&ClientCertificates::Required(trust));
        for version in VERSIONS {
            let shaken = shake(&server, Arc::new(self.client(Some(own), version)), HOST).await;
            shaken.refused_for(reason);
        }
    }

    /// What each TLS version's server reads in this chain.
    pub async fn identifies(&self, trust: Trust, own: &Issued) -> Result<Option<Subject>, NoSubject> {
        let server = self.server(&ClientCertificates::Required(trust));
        let mut last = None;
        for version in VERSIONS {
            let shaken = shake(&server, Arc::new(self.client(Some(own), version)), HOST).await;
            let subject = shaken.accepted().subject;
            assert!(last.is_none() || last.as_ref() == Some(&subject));
            last = Some(subject);
        }
        last.unwrap()
    }

    /// What the server reads in a client leaf of these parameters.
    pub async fn identifies_params(&self, params: &CertificateParams) -> Result<Option<Subject>, NoSubject> {
        self.identifies(self.trust(), &self.ca.sign(params).unwrap()).await
    }

    /// What the server reads in a client leaf of these names.
    pub async fn identifies_names(&self, names: Vec<Name>) -> Result<Option<Subject>, NoSubject> {
        self.identifies_params(&Leaf::client(names, valid()).params().unwrap()).await
    }
}

pub fn trust_in(ca: &Ca) -> Trust {
    Trust::new(vec![ca.certificate().clone()], &LIMITS, Timestamp::now()).unwrap()
}

impl Shaken {
    #[track_caller]
    pub fn accepted(self) -> Seen {
        assert_eq!(self.client.as_deref(), Ok("hello"));
        self.server.unwrap()
    }

    #[track_caller]
    pub fn refused_for(self, reason: &str) {
        let error = format!("{:?}", self.server.err().expect("the server accepted"));
        assert!(error.contains(reason), "`{error}` is not for `{reason}`");
        let seen = self.client.expect_err("the client read something");
        assert!(seen.contains("fatal alert"), "{seen}");
    }
}

/// One handshake; the server says hello where it succeeds.
pub async fn shake(server: &Arc<ServerConfig>, client: Arc<ClientConfig>, host: &str) -> Shaken {
    let (near, far) = tokio::io::duplex(1 << 20);
    let host = ServerName::try_from(host.to_owned()).unwrap();
    let serve = async {
        let mut stream = match TlsAcceptor::from(server.clone()).accept(near).await {
            Ok(stream) => stream,
            Err(error) => return Err(error.downcast::<rustls::Error>().expect("a TLS error")),
        };
        let connection = stream.get_mut().1;
        let seen = Seen {
            subject: Subject::of_client(connection),
            kind: connection.handshake_kind(),
            early_data: connection.early_data().is_some(),
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        };
        stream.write_all(b"hello").await.unwrap();
        stream.shutdown().await.unwrap();
        Ok(seen)
    };
    let ask = async {
        let mut stream = TlsConnector::from(client).connect(host, far).await.map_err(|error| error.to_string())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
        Ok(text)
    };
    let (server, client) = tokio::join!(serve, ask);
    Shaken { server, client }
}
