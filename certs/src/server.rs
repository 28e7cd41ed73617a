//! The one place that fixes how the gateway speaks TLS as a server.
//!
//! TLS 1.2 and 1.3. No early data: it can be replayed, and with it a CONNECT. No renegotiation and no post-handshake
//! authentication: rustls has neither, so the identity of a connection never changes. No resumption where client
//! certificates are taken: a ticket would carry an identity past its expiry or revocation.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use crate::chain::Chain;
use crate::problem::Problem;
use crate::trust::{Presence, Trust};
use crate::{Alpn, alpn_names};

/// What both ends speak.
pub(crate) static VERSIONS: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// Which client certificates a listener takes.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// None is asked for, and none is read.
    None,
    /// Asked for; who has none comes without. A bad one is refused.
    Optional(Trust),
    /// Asked for; without a good one there is no handshake.
    Required(Trust),
}

/// A server configuration that proves `own` and verifies clients by `clients`.
///
/// A client that offers protocols by ALPN and none of `alpn` is refused; one that offers none is let in. A client that
/// asks, by SNI, for a name that `own` does not bear is refused: it looks for another server (RFC 6066 section 3).
pub fn config(own: &Chain, clients: &ClientCertificates, alpn: &[Alpn]) -> Result<Arc<ServerConfig>, Problem> {
    let builder = ServerConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(VERSIONS)
        .map_err(Problem::Tls)?;
    let builder = match clients {
        ClientCertificates::None => builder.with_no_client_auth(),
        ClientCertificates::Optional(trust) => builder.with_client_cert_verifier(trust.verifier(Presence::Optional)?),
        ClientCertificates::Required(trust) => builder.with_client_cert_verifier(trust.verifier(Presence::Required)?),
    };
    let mut config = builder.with_cert_resolver(Arc::new(OwnNames(own.certified())));
    config.alpn_protocols = alpn_names(alpn);
    config.max_early_data_size = 0;
    match clients {
        ClientCertificates::None => {}
        ClientCertificates::Optional(_) | ClientCertificates::Required(_) => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
            config.max_tls13_tickets = 0;
        }
    }
    Ok(Arc::new(config))
}

/// Answers for the names in its own certificate only.
#[derive(Debug)]
struct OwnNames(Arc<CertifiedKey>);

impl ResolvesServerCert for OwnNames {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            // Whoever dials an address sends no name.
            None => Some(self.0.clone()),
            Some(name) => self.0.cert.first().is_some_and(|leaf| bears(leaf, name)).then(|| self.0.clone()),
        }
    }
}

fn bears(leaf: &CertificateDer<'_>, name: &str) -> bool {
    let (Ok(leaf), Ok(name)) = (ParsedCertificate::try_from(leaf), ServerName::try_from(name)) else {
        return false;
    };
    rustls::client::verify_server_name(&leaf, &name).is_ok()
}
