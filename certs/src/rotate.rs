//! A TLS server configuration that follows its files: read again when told, swapped at once, the last good one kept.
//!
//! Whoever watches the files, or hears a signal, calls [`Rotating::reload`]. Connections that are open keep the
//! configuration they began with.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use sha2::{Digest, Sha256};

use crate::chain::{Chain, Purpose};
use crate::problem::Unusable;
use crate::server::{self, ClientCertificates};
use crate::trust::{Presence, Trust};
use crate::{Alpn, Limits};

/// What a listener's TLS is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The gateway's certificate, then its issuers.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// Which clients to take; `None` asks for no certificate.
    pub clients: Option<Clients>,
    /// Protocols to agree on.
    pub alpn: Vec<Alpn>,
    /// The bounds.
    pub limits: Limits,
}

/// Which client certificates a listener takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// Those who may sign client certificates.
    pub ca: PathBuf,
    /// What they revoked, if that is asked.
    pub crl: Option<PathBuf>,
    /// Whether a client may come without.
    pub presence: Presence,
}

/// A configuration in force.
#[derive(Debug)]
pub struct Loaded {
    /// For the TLS acceptor.
    pub config: Arc<ServerConfig>,
    /// When the gateway's certificate expires.
    pub not_after: Timestamp,
    /// When the first revocation list goes out of date, after which it admits nobody.
    pub crl_next_update: Option<Timestamp>,
    /// Over the contents of all files.
    digest: [u8; 32],
    /// What client certificates are checked against, where any are taken.
    clients: Option<Arc<dyn ClientCertVerifier>>,
    /// Over the authorities and revocation lists alone.
    trust: Option<[u8; 32]>,
}

impl Loaded {
    /// Whether client certificates are checked here as they are in `other`.
    pub fn trusts_as(&self, other: &Loaded) -> bool {
        self.trust == other.trust
    }

    /// Whether a client that showed this chain, its own certificate first, would be let in now. Costs the signatures of
    /// the chain.
    pub fn takes(&self, chain: &[CertificateDer<'static>], now: Timestamp) -> bool {
        let (Some(verifier), Some((own, issuers))) = (&self.clients, chain.split_first()) else { return false };
        let Ok(seconds) = u64::try_from(now.as_second()) else { return false };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        verifier.verify_client_cert(own, issuers, now).is_ok()
    }
}

/// What a reload did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// New connections get the new configuration.
    Changed,
    /// The files say what they said before.
    Unchanged,
}

/// The configuration of one listener, current at each handshake.
#[derive(Debug)]
pub struct Rotating {
    source: Source,
    current: ArcSwap<Loaded>,
    /// Two reloads at once could otherwise swap in the older files last.
    reloading: Mutex<()>,
}

impl Rotating {
    /// Load for the first time; blocks on files.
    pub fn load(source: Source, now: Timestamp) -> Result<Rotating, Unusable> {
        let first = load(&source, now)?;
        Ok(Rotating { source, current: ArcSwap::from_pointee(first), reloading: Mutex::new(()) })
    }

    /// What a new connection is to use.
    pub fn current(&self) -> Arc<Loaded> {
        self.current.load_full()
    }

    /// Read the files again; blocks on them.
    ///
    /// # Errors
    /// What is wrong with the files; the configuration in force stays. A certificate and key that are replaced one
    /// after the other do not match in between: reload again once both are there.
    pub fn reload(&self, now: Timestamp) -> Result<Reload, Unusable> {
        let _alone = self.reloading.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = load(&self.source, now)?;
        if fresh.digest == self.current.load().digest {
            return Ok(Reload::Unchanged);
        }
        self.current.store(Arc::new(fresh));
        Ok(Reload::Changed)
    }
}

fn load(source: &Source, now: Timestamp) -> Result<Loaded, Unusable> {
    let limits = &source.limits;
    let own = Chain::load(&source.certificate, &source.key, Purpose::Server, limits, now)?;
    let mut digest = Sha256::new();
    own.digest_into(&mut digest);
    let (mut crl_next_update, mut verifier, mut trusted) = (None, None, None);
    let clients = match &source.clients {
        None => ClientCertificates::None,
        Some(clients) => {
            let trust = Trust::load(&clients.ca, clients.crl.as_deref(), limits, now)?;
            trust.digest_into(&mut digest);
            crl_next_update = trust.next_update();
            verifier = Some(trust.verifier(clients.presence).map_err(|problem| problem.at(&clients.ca))?);
            let mut alone = Sha256::new();
            trust.digest_into(&mut alone);
            trusted = Some(alone.finalize().into());
            match clients.presence {
                Presence::Optional => ClientCertificates::Optional(trust),
                Presence::Required => ClientCertificates::Required(trust),
            }
        }
    };
    let config = server::config(&own, &clients, &source.alpn).map_err(|problem| problem.at(&source.certificate))?;
    Ok(Loaded {
        config,
        not_after: own.not_after(),
        crl_next_update,
        digest: digest.finalize().into(),
        clients: verifier,
        trust: trusted,
    })
}
