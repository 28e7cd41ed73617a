//! One connection to the admin listener: the handshake, and each request on its way from the door to its handler.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use gatepass_certs::subject::Subject;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use super::api::{Asked, Found, Handler, Needs, Query, Row, body, find};
use super::call::{Call, Outcome};
use super::caller::{Caller, Peer, Shown, prove};
use super::problem::Problem;
use super::socket::{Accepted, Socket};
use super::{Limits, State, door};

/// Bytes of one request's head: a token and a few fields. hyper's smallest buffer is 8 KiB.
const HEAD_MAX: usize = 16 << 10;
/// The pause after a failed accept, usually for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serve until the future is dropped; connections end with it.
///
/// Where every place is taken, the oldest connection that has proven no operator gives its place up: whoever opens
/// connections and says nothing keeps no operator out.
pub async fn serve(socket: Socket, state: Arc<State>, limits: Limits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = tokio::task::JoinSet::new();
    let mut open: VecDeque<(AbortHandle, Arc<AtomicBool>)> = VecDeque::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) if of_one_connection(&error) => continue,
            Err(_) => {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        open.retain(|(task, _)| !task.is_finished());
        if places.available_permits() == 0
            && let Some(at) = open.iter().position(|(_, proven)| !proven.load(Ordering::Relaxed))
            && let Some((task, _)) = open.remove(at)
        {
            task.abort();
        }
        // Nobody closes the semaphore; were it closed, nothing more is served.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (state, proven) = (state.clone(), Arc::new(AtomicBool::new(false)));
        let noted = proven.clone();
        let task = connections.spawn(async move {
            let _place = place;
            // Whatever ends a connection, its client knows; there is nothing to undo here.
            let _ = tokio::time::timeout(limits.connection_timeout, greet(accepted, state, noted, limits)).await;
        });
        open.push_back((task, proven));
    }
}

fn of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

/// The TLS handshake, where there is one; then the requests.
async fn greet(accepted: Accepted, state: Arc<State>, proven: Arc<AtomicBool>, limits: Limits) {
    match accepted {
        Accepted::Unix(stream) => {
            let peer = Peer { reached: None, from: None, certificate: Shown::Nothing, proven };
            converse(stream, peer, state, limits).await;
        }
        Accepted::Tcp(stream, from) => {
            let Ok(reached) = stream.local_addr() else { return };
            let _ = stream.set_nodelay(true);
            let peer = Peer { reached: Some(reached), from: Some(from), certificate: Shown::Nothing, proven };
            match state.kept.tls().cloned() {
                None => converse(stream, peer, state, limits).await,
                Some(rotating) => {
                    let under = rotating.current();
                    let handshake = TlsAcceptor::from(Arc::clone(&under.config)).accept(stream);
                    let shaken = tokio::time::timeout(limits.handshake_timeout, handshake).await;
                    let Ok(Ok(stream)) = shaken else { return };
                    let certificate = match Subject::of_pinned_client(stream.get_ref().1) {
                        Ok(None) => Shown::Nothing,
                        Ok(Some(subject)) => Shown::Certificate(Box::new(subject), under),
                        Err(why) => Shown::Unfit(why),
                    };
                    converse(stream, Peer { certificate, ..peer }, state, limits).await;
                }
            }
        }
    }
}

async fn converse<S>(stream: S, peer: Peer, state: Arc<State>, limits: Limits)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let peer = Arc::new(peer);
    let service = service_fn(move |request| {
        let (state, peer) = (state.clone(), peer.clone());
        async move { Ok::<_, Infallible>(respond(request, &state, &peer, limits).await) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let _ = serving.await;
}

async fn respond(request: Request<Incoming>, state: &State, peer: &Peer, limits: Limits) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    match led(&parts, &path, state, peer) {
        Err(problem) => problem.into_response(),
        Ok(Led::Options(found)) => methods(&found),
        Ok(Led::Row(row, id)) => {
            let call = Taken { parts: &parts, path: &path, row, id, peer, state, limits };
            call.answer(body).await.unwrap_or_else(Problem::into_response)
        }
    }
}

/// Where a request leads.
enum Led<'p> {
    /// To what can be done there.
    Options(Found<'p>),
    /// To an operation.
    Row(&'static Row, Option<&'p str>),
}

/// The door, the path, the method.
fn led<'p>(parts: &Parts, path: &'p str, state: &State, peer: &Peer) -> Result<Led<'p>, Problem> {
    let usual_port = if state.kept.tls().is_some() && peer.reached.is_some() { 443 } else { 80 };
    door::check(&parts.headers, &parts.uri, &state.names, peer.reached, usual_port)?;
    let found =
        find(state.table, path).ok_or_else(|| Problem::not_found("there is no such path on the admin listener"))?;
    if parts.method == Method::OPTIONS {
        return Ok(Led::Options(found));
    }
    let asked = if parts.method == Method::HEAD { &Method::GET } else { &parts.method };
    match found.rows.iter().find(|row| row.operation.verb.method() == *asked) {
        Some(row) => Ok(Led::Row(row, found.id)),
        None => {
            let detail = format!("this path answers {} only", allowed(&found));
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail);
            Err(match HeaderValue::try_from(allowed(&found)) {
                Ok(value) => problem.with(header::ALLOW, value),
                Err(_) => problem,
            })
        }
    }
}

/// What can be done with a path. Nothing here is for pages of other sites, so there is nothing more to say.
fn methods(found: &Found<'_>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Ok(value) = HeaderValue::try_from(allowed(found)) {
        response.headers_mut().insert(header::ALLOW, value);
    }
    response
}

fn allowed(found: &Found<'_>) -> String {
    let mut words = Vec::new();
    for row in &found.rows {
        let method = row.operation.verb.method();
        words.push(method.as_str().to_owned());
        if method == Method::GET {
            words.push("HEAD".to_owned());
        }
    }
    words.push("OPTIONS".to_owned());
    words.join(", ")
}

/// A request that leads to an operation.
struct Taken<'r> {
    parts: &'r Parts,
    path: &'r str,
    row: &'static Row,
    id: Option<&'r str>,
    peer: &'r Peer,
    state: &'r State,
    limits: Limits,
}

impl Taken<'_> {
    /// Answer it, and record that where an operator is needed.
    async fn answer(&self, body: Incoming) -> Result<Response<Full<Bytes>>, Problem> {
        let Needs::AnyOf(roles) = self.row.operation.needs else {
            return self.handle(None, self.query()?, Value::Null).await;
        };
        let proven = prove(&self.parts.headers, self.peer, self.state).await;
        self.peer.proven.store(proven.is_ok(), Ordering::Relaxed);
        let answered = match &proven {
            Err(problem) => Err(problem.clone()),
            Ok(caller) => match caller.may(roles) {
                Err(problem) => Err(problem),
                Ok(()) => self.carried_out(caller, body).await,
            },
        };
        let (status, detail) = match &answered {
            Ok(response) => (response.status(), None),
            Err(problem) => (problem.status, Some(problem.detail.as_str())),
        };
        // What was only read goes out even so: whoever mends the spool has to see the gateway.
        let _ = self.record(proven.as_ref().ok(), Outcome::Answered { status, detail });
        answered
    }

    /// The operation of a caller who may call it.
    async fn carried_out(&self, caller: &Caller, body: Incoming) -> Result<Response<Full<Bytes>>, Problem> {
        let operation = self.row.operation;
        let query = self.query()?;
        if !operation.verb.changes() {
            return self.handle(Some(caller), query, Value::Null).await;
        }
        let body = body::read(&self.parts.method, &self.parts.headers, body, operation).await?;
        match self.record(Some(caller), Outcome::Begun) {
            Ok(()) => {}
            // Containment is not kept waiting by a disk.
            Err(_) if operation.verb.closes() => {
                let (name, method) = (&caller.operator.name, operation.verb.method());
                eprintln!("admin: {method} {} by {name}, and the call could not be recorded", self.path);
            }
            Err(unkept) => {
                let detail = format!("this call cannot be recorded, so nothing was changed: {unkept}");
                return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail));
            }
        }
        self.handle(Some(caller), query, body).await
    }

    fn query(&self) -> Result<Query, Problem> {
        Query::parse(self.parts.uri.query().unwrap_or_default(), self.row.operation.query)
    }

    async fn handle(
        &self,
        caller: Option<&Caller>,
        query: Query,
        body: Value,
    ) -> Result<Response<Full<Bytes>>, Problem> {
        let asked = Asked {
            state: self.state,
            limits: self.limits,
            caller,
            id: self.id,
            path: self.path,
            query,
            body,
            headers: &self.parts.headers,
            from: self.peer.from,
        };
        match self.row.handler {
            Handler::Now(answer) => answer(&asked),
            Handler::Waits(answer) => answer(&asked).await,
        }
    }

    fn record(&self, caller: Option<&Caller>, outcome: Outcome<'_>) -> Result<(), super::Unkept> {
        (self.state.record)(&Call {
            operator: caller.map(|caller| caller.operator.name.as_str()),
            person: caller.map(Caller::person),
            by: caller.map_or(&[], |caller| &caller.by),
            from: self.peer.from,
            method: &self.parts.method,
            route: self.row.operation.path,
            path: self.path,
            outcome,
        })
    }
}
