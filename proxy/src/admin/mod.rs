//! The admin listener: health, readiness, metrics, and for operators the recent decisions and the policy.
//!
//! It is small, HTTP/1.1 only, never reachable through the proxy, and takes nothing that changes anything. A browser on
//! the same machine is the nearest attacker: the `Host` is checked against rebinding, cross-site requests are refused.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::evidence::Evidence;
use crate::evidence::parts::PolicyRef;
use crate::metrics::Metrics;

pub use door::{Names, Operator, TokenHash};

mod door;

mod problem;

mod routes;

/// What the answers are made of.
pub struct State {
    /// Whether the gateway is ready, asked on every `/ready`.
    pub ready: Box<dyn Fn() -> Ready + Send + Sync>,
    /// The policy that decides now.
    pub policy: Box<dyn Fn() -> PolicyView + Send + Sync>,
    /// The live tunnels, as JSON objects.
    pub tunnels: Box<dyn Fn() -> Vec<serde_json::Value> + Send + Sync>,
    /// Sets the gauges that only grow old, such as the age of the policy; called before every `/metrics`.
    pub refresh: Box<dyn Fn() + Send + Sync>,
    /// For `/metrics`.
    pub metrics: Arc<Metrics>,
    /// For the recent decisions.
    pub evidence: Evidence,
    /// Which `Host` fields are ours.
    pub names: Names,
    /// Every operator. Without one, what needs an operator is refused.
    pub operators: Vec<Operator>,
    /// The wall clock, which ends operators' tokens.
    pub now: Box<dyn Fn() -> jiff::Timestamp + Send + Sync>,
}

/// Whether the gateway is ready, and what is noteworthy either way.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// Why it is not ready: no traffic should be sent here.
    pub not_ready: Vec<String>,
    /// It works, but somebody should look: a rejected reload, rules about to expire, the development floor.
    pub degraded: Vec<String>,
}

/// What `/v1/policy` tells.
#[derive(Clone, Debug)]
pub struct PolicyView {
    /// The policy that decides now.
    pub policy: PolicyRef,
    /// How many rules it has.
    pub rules: usize,
    /// When it was activated.
    pub activated: jiff::Timestamp,
    /// The first problem of the last reload, where that was rejected.
    pub last_error: Option<String>,
}

/// Bounds of the admin listener.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time; more wait.
    pub connections: usize,
    /// The time for a request's head, and between two requests.
    pub head_timeout: Duration,
    /// The longest life of a connection.
    pub connection_timeout: Duration,
    /// Decisions in one answer.
    pub decisions: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 64,
            head_timeout: Duration::from_secs(10),
            connection_timeout: Duration::from_secs(300),
            decisions: 1_000,
        }
    }
}

/// Bytes of one request's head: a token and a few fields. hyper's smallest buffer is 8 KiB.
const HEAD_MAX: usize = 16 << 10;
/// The pause after a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serve until the future is dropped; connections end with it.
pub async fn serve(listener: TcpListener, state: Arc<State>, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = tokio::task::JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        // Nobody closes the semaphore; were it closed, nothing more is served.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let state = state.clone();
                connections.spawn(async move {
                    let _place = place;
                    connection(stream, state, limits).await;
                });
            }
            Err(error) if of_one_connection(&error) => {}
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

async fn connection(stream: TcpStream, state: Arc<State>, limits: Limits) {
    let Ok(reached) = stream.local_addr() else { return };
    let service = service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(respond(&request, &state, reached, limits)) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    // Whatever ends a connection, its client knows; there is nothing to undo here.
    let _ = tokio::time::timeout(limits.connection_timeout, serving).await;
}

/// No route reads a body: hyper drops what a client sends, and closes.
fn respond(request: &Request<Incoming>, state: &State, reached: SocketAddr, limits: Limits) -> Response<Full<Bytes>> {
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    let answer = door::check(headers, uri, &state.names, reached)
        .and_then(|()| routes::route(method, uri, headers, state, limits));
    answer.unwrap_or_else(|problem| problem.into_response())
}

#[cfg(test)]
mod tests;
