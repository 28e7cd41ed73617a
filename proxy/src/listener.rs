//! The accept loop: a bound on connections, a back-off when the machine is out of something, a task per connection.

use std::net::SocketAddr;
use std::sync::Arc;

use gatepass_certs::rotate::Rotating;
use gatepass_certs::subject::Subject;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::client::Client;
use crate::connection;
use crate::passage;
use crate::peer::{Checked, Origin, Peer};
use crate::refusal::{After, Body, Form};
use crate::shared::Shared;
use crate::shutdown::{Drain, Phase};

/// What a listener is, apart from its socket.
#[derive(Clone)]
pub struct Gate {
    /// What its connections have in common.
    pub origin: Arc<Origin>,
    /// TLS, or none.
    pub tls: Option<Arc<Rotating>>,
}

/// One bound listener.
pub struct Listener {
    /// What it is.
    pub gate: Gate,
    /// The bound socket.
    pub socket: TcpListener,
}

impl Listener {
    /// Accept until the drain begins.
    pub async fn run(self, shared: Arc<Shared>, drain: Drain, mut phase: watch::Receiver<Phase>) {
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                _ = phase.wait_for(|now| *now >= Phase::Draining) => return,
            };
            match accepted {
                Ok((stream, address)) => self.take(stream, address, &shared, &drain),
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    eprintln!("accepting on `{}` failed, pausing: {error}", self.gate.origin.name);
                    tokio::time::sleep(shared.limits.accept_backoff).await;
                }
            }
        }
    }

    fn take(&self, stream: TcpStream, address: SocketAddr, shared: &Arc<Shared>, drain: &Drain) {
        // On a dual-stack socket an IPv4 client arrives in IPv6 clothes.
        let address = SocketAddr::new(gatepass_policy::address::unmap(address.ip()), address.port());
        let peer = Peer { address, listener: Arc::clone(&self.gate.origin), certificate: Ok(None), checked: None };
        let _ = stream.set_nodelay(true);
        let permit = Arc::clone(&shared.connections).try_acquire_owned();
        let (shared, drain, tls) = (Arc::clone(shared), drain.clone(), self.gate.tls.clone());
        tokio::spawn(async move {
            match permit {
                Ok(permit) => greet(stream, peer, tls, shared, drain, permit).await,
                Err(_) => turn_away(stream, peer, tls.is_some(), &shared).await,
            }
        });
    }
}

/// The TLS handshake, where there is one; then the conversation.
async fn greet(
    stream: TcpStream,
    mut peer: Peer,
    tls: Option<Arc<Rotating>>,
    shared: Arc<Shared>,
    drain: Drain,
    _permit: OwnedSemaphorePermit,
) {
    let client = match tls {
        None => Client::Plain(stream),
        Some(holder) => {
            let under = holder.current();
            let handshake = tokio_rustls::TlsAcceptor::from(Arc::clone(&under.config)).accept(stream);
            match tokio::time::timeout(shared.limits.tls_handshake_timeout, handshake).await {
                Err(_) => return passage::handshake_failed(&peer, "the TLS handshake took too long", &shared),
                Ok(Err(error)) => return passage::handshake_failed(&peer, &error.to_string(), &shared),
                Ok(Ok(stream)) => {
                    peer.certificate = Subject::of_client(stream.get_ref().1);
                    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec();
                    peer.checked = Some(Arc::new(Checked::new(holder, under, chain)));
                    Client::Tls(Box::new(stream))
                }
            }
        }
    };
    shared.metrics.connections.increment(1.0);
    connection::serve(client, peer, Arc::clone(&shared), drain).await;
    shared.metrics.connections.decrement(1.0);
}

/// Too many connections: said in HTTP where the client can read it and a file can be spared for it, recorded in any case.
async fn turn_away(stream: TcpStream, peer: Peer, speaks_tls: bool, shared: &Shared) {
    let refusal = passage::turned_away(&peer, shared);
    let place = shared.refusals.try_acquire();
    if !speaks_tls && place.is_ok() {
        let answer = refusal.response(Form::Text, After::Close, Body::Sent, peer.listener.compat);
        Client::Plain(stream).farewell(&answer).await;
    }
}

/// Errors of one connection that was gone before it was taken (accept(2)): nothing to wait for.
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
