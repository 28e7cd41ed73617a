//! The client as the listener saw it, before it asked for anything.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use gatepass_certs::rotate::{Loaded, Rotating};
use gatepass_certs::subject::{NoSubject, Subject};
use gatepass_config::listeners::Compat;
use gatepass_policy::identity::Identity;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;

use crate::identity::{Invalid, Registry};

/// What every connection of one listener has in common.
#[derive(Debug)]
pub struct Origin {
    /// The listener's name, in facts and records.
    pub name: Arc<str>,
    /// How its refusals are worded.
    pub compat: Compat,
}

/// One client connection.
#[derive(Debug)]
pub struct Peer {
    /// The client's address.
    pub address: SocketAddr,
    /// The listener that took it.
    pub listener: Arc<Origin>,
    /// The names in the client certificate, where one was shown and its chain verified; or why they name nobody.
    pub certificate: Result<Option<Subject>, NoSubject>,
    /// What the certificate was checked against, on a TLS listener.
    pub checked: Option<Arc<Checked>>,
}

/// The trust and the revocation lists that a connection was taken under, and where their successors are found.
#[derive(Debug)]
pub struct Checked {
    /// What a new connection would be taken under.
    pub rotating: Arc<Rotating>,
    /// What this one was.
    pub under: Arc<Loaded>,
    /// What the client showed, its own certificate first; empty where it showed none.
    chain: Vec<CertificateDer<'static>>,
    /// What the chain was checked against last.
    last: ArcSwap<Loaded>,
}

impl Checked {
    /// A connection whose client showed `chain`, which was checked under `under`.
    pub fn new(rotating: Arc<Rotating>, under: Arc<Loaded>, chain: Vec<CertificateDer<'static>>) -> Checked {
        Checked { last: ArcSwap::new(Arc::clone(&under)), rotating, under, chain }
    }

    /// Whether the chain needs another look, since what it is checked against has changed.
    pub fn is_outdated(&self) -> bool {
        !self.chain.is_empty() && !Arc::ptr_eq(&self.last.load(), &self.rotating.current())
    }

    /// Whether the chain would be let in now.
    pub fn stands(&self, now: Timestamp) -> bool {
        let current = self.rotating.current();
        let stands = current.trusts_as(&self.last.load()) || current.takes(&self.chain, now);
        if stands {
            self.last.store(current);
        }
        stands
    }
}

impl Peer {
    /// Whether the client certificate would be checked now as it was when the connection was opened. After a reload of
    /// certificates, authorities or revocation lists it might not be. Where none was shown, there is nothing to check.
    pub fn is_current(&self) -> bool {
        let shown = !matches!(self.certificate, Ok(None));
        let same = |checked: &Arc<Checked>| Arc::ptr_eq(&checked.under, &checked.rotating.current());
        !shown || self.checked.as_ref().is_none_or(same)
    }

    /// Who asks, by what this connection and this request show.
    pub fn identify(
        &self,
        registry: &Registry,
        credentials: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<Identity, Invalid> {
        let certificate = self.certificate.as_ref().map_err(|nobody| Invalid::Certificate(nobody.to_string()))?;
        registry.establish(certificate.as_ref(), credentials, self.address.ip(), now)
    }
}
