//! TLS as a client: a private authority to trust and, if wanted, a certificate to show.

use std::path::Path;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore};

use crate::chain::Chain;
use crate::problem::{Problem, Unusable};
use crate::{Alpn, Limits, alpn_names, pem};

/// A client configuration that trusts the certificates of the file `ca` and nothing else.
pub fn load(ca: &Path, own: Option<&Chain>, alpn: &[Alpn], limits: &Limits) -> Result<Arc<ClientConfig>, Unusable> {
    config(&pem::certificates(ca, limits)?, own, alpn).map_err(|problem| problem.at(ca))
}

/// A client configuration that trusts `anchors` and nothing else, and shows `own` when it is asked.
pub fn config(
    anchors: &[CertificateDer<'static>],
    own: Option<&Chain>,
    alpn: &[Alpn],
) -> Result<Arc<ClientConfig>, Problem> {
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        roots.add(anchor.clone()).map_err(Problem::Tls)?;
    }
    let builder = ClientConfig::builder_with_provider(crate::provider())
        .with_protocol_versions(crate::server::VERSIONS)
        .map_err(Problem::Tls)?
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(chain) => builder.with_client_cert_resolver(show(chain.certified())),
    };
    config.alpn_protocols = alpn_names(alpn);
    Ok(Arc::new(config))
}

fn show(certified: Arc<CertifiedKey>) -> Arc<dyn ResolvesClientCert> {
    Arc::new(SingleCertAndKey::from(certified))
}
