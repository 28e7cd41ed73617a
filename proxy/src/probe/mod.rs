//! What the server at the dialled address proves to the gateway itself, on a connection of the gateway's own, where a rule
//! asks.
//!
//! It goes to the very endpoint that was dialled, without another lookup, says the server name that the client said, and
//! carries nothing. What comes of it is a fact; a server that proves nothing is one as well, and permits nothing.

mod kept;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gatepass_certs::Alpn;
use gatepass_certs::probe::{Nothing, Prober, Question, Shown};
use gatepass_policy::facts::{Facts, Hello, Proof, ServerCertificate, Tls, Upstream};
use jiff::Timestamp;
use kept::{Kept, Slot};
use rustls::pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::clock::Clock;
use crate::dial::{self, Endpoint};
use crate::metrics::{Metrics, ProbeResult};

/// Bounds of probes.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest time of one: until there is room for it, the connection and the handshake.
    pub timeout: Duration,
    /// Most at once.
    pub at_once: usize,
    /// Most proofs that are remembered.
    pub kept: usize,
    /// How long one is; never beyond the end of the certificate.
    pub kept_for: Duration,
}

/// Asks servers, and remembers for a while what the good ones proved.
pub struct Probe {
    trusted: ArcSwap<Trusted>,
    kept: Kept,
    room: Semaphore,
    limits: Limits,
}

/// Whom it trusts.
pub struct Trusted {
    prober: Prober,
    /// What differs as soon as other anchors are trusted.
    digest: [u8; 32],
    /// Counts the changes, so that no proof outlives the trust that it was made under.
    number: u64,
}

/// One question: what is the same in all of it has the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    trusted: u64,
    address: SocketAddr,
    server_name: ServerName<'static>,
    host: ServerName<'static>,
    alpn: Vec<Alpn>,
}

impl Probe {
    /// Trusts whom `prober` trusts, which `digest` tells from others.
    pub fn new(prober: Prober, digest: [u8; 32], limits: Limits) -> Probe {
        Probe {
            trusted: ArcSwap::from_pointee(Trusted { prober, digest, number: 0 }),
            kept: Kept::new(limits.kept),
            room: Semaphore::new(limits.at_once.clamp(1, Semaphore::MAX_PERMITS)),
            limits,
        }
    }

    /// Trust these from now on, if they are others. Says whether they are.
    pub fn trust(&self, prober: Prober, digest: [u8; 32]) -> bool {
        let before = self.trusted.load();
        if before.digest == digest {
            return false;
        }
        self.trusted.store(Arc::new(Trusted { prober, digest, number: before.number + 1 }));
        true
    }

    /// What the server at `endpoint` proves to whoever asks it as the client of these facts does.
    ///
    /// Those who ask the same at the same time share one probe. Dropping the future ends it, unless another one waits.
    pub async fn prove(
        &self,
        endpoint: Endpoint,
        facts: &Facts,
        dialling: &dial::Limits,
        clock: &Clock,
        metrics: &Metrics,
    ) -> Arc<Upstream> {
        let trusted = self.trusted.load_full();
        let key = match key(trusted.number, endpoint, facts) {
            Ok(key) => key,
            Err(why) => return Arc::new(Upstream::Nothing(why.into())),
        };
        let slot = match self.kept.get(&key, Instant::now()) {
            Slot::Known(upstream) => return upstream,
            Slot::Open(slot) => slot,
        };
        let answer = slot.get_or_init(|| async {
            let started = Instant::now();
            let (upstream, result) = self.ask(&trusted.prober, endpoint, &key, dialling, clock).await;
            metrics.probed(result, started.elapsed());
            (Arc::new(upstream), Instant::now())
        });
        let (upstream, at) = answer.await.clone();
        let until = at + self.keep(&upstream, clock.now());
        self.kept.put(&key, &slot, until);
        upstream
    }

    async fn ask(
        &self,
        prober: &Prober,
        endpoint: Endpoint,
        key: &Key,
        dialling: &dial::Limits,
        clock: &Clock,
    ) -> (Upstream, ProbeResult) {
        let asking = async {
            let Ok(_mine) = self.room.acquire().await else { return Err("the gateway is ending") };
            let dialled = dial::dial(&[endpoint], dialling, None).await;
            let stream = dialled.map_err(|_| "the server takes no second connection")?.stream;
            let (server_name, host, alpn) = (&key.server_name, &key.host, &*key.alpn);
            let question = Question { server_name, host, alpn, now: clock.now() };
            Ok(prober.ask(stream, &question).await)
        };
        match timeout(self.limits.timeout, asking).await {
            Ok(Ok(Ok(shown))) if shown.unverified.is_none() => (of(shown), ProbeResult::Verified),
            Ok(Ok(Ok(shown))) => (of(shown), ProbeResult::Unverified),
            Ok(Ok(Err(nothing))) => (proved_nothing(nothing), ProbeResult::Nothing),
            Ok(Err(why)) => (Upstream::Nothing(why.into()), ProbeResult::Nothing),
            Err(_) => (Upstream::Nothing("the server's handshake took too long".into()), ProbeResult::Timeout),
        }
    }

    /// How long this is remembered: only what was verified, so that a certificate that was mended counts at once.
    fn keep(&self, upstream: &Upstream, now: Timestamp) -> Duration {
        match upstream {
            Upstream::Shown(ServerCertificate { proof: Proof::Verified, not_after: Some(end), .. }) => {
                let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
                left.min(self.limits.kept_for)
            }
            Upstream::Shown(_) | Upstream::Nothing(_) => Duration::ZERO,
        }
    }
}

/// What is asked. Without a server name in the hello, the host's is said: there is nothing else to ask by.
fn key(trusted: u64, endpoint: Endpoint, facts: &Facts) -> Result<Key, &'static str> {
    let hello = match &facts.tls {
        Some(Tls::Hello(hello)) => hello,
        Some(Tls::Absent) | None => return Err("the client does not speak TLS"),
    };
    let host = ServerName::try_from(facts.destination.host.to_text().into_owned());
    let host = host.map_err(|_| "no certificate can prove this host")?;
    let server_name = match &hello.sni {
        None => host.clone(),
        Some(sni) => {
            let said = ServerName::try_from(sni.clone());
            said.map_err(|_| "the server name in the ClientHello is no host name")?
        }
    };
    Ok(Key { trusted, address: endpoint.address(), server_name, host, alpn: alpn(hello) })
}

/// Of what the client offers, what is known: a client's own words do not reach a server before the verdict.
fn alpn(hello: &Hello) -> Vec<Alpn> {
    let mut known = Vec::new();
    for offered in &hello.alpn {
        let protocol = [Alpn::H2, Alpn::Http11].into_iter().find(|protocol| protocol.as_bytes() == offered.as_bytes());
        known.extend(protocol.filter(|protocol| !known.contains(protocol)));
    }
    known
}

fn of(shown: Shown) -> Upstream {
    Upstream::Shown(ServerCertificate {
        proof: match shown.unverified {
            None => Proof::Verified,
            Some(why) => Proof::Unverified(why.to_string().into()),
        },
        dns_sans: Some(shown.dns_sans),
        issuer: Some(shown.issuer),
        spki_sha256: Some(shown.spki_sha256),
        not_after: Some(shown.not_after),
        tls_version: Some(shown.tls_version.to_owned()),
    })
}

fn proved_nothing(nothing: Nothing) -> Upstream {
    Upstream::Nothing(nothing.to_string().into())
}

#[cfg(test)]
mod tests;
