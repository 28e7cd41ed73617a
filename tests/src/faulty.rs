//! A collector that misbehaves when told to: OTLP over gRPC and HTTP on one port, in clear or in TLS, in this process.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tonic::body::Body;
use tonic::codec::CompressionEncoding;
use tonic::codegen::Service as _;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// How the collector treats a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// It takes the records.
    None,
    /// Connections are cut, those that are open as well.
    Down,
    /// It takes the records, and says so after this long.
    Slow(Duration),
    /// It never answers, and keeps nothing.
    Hang,
    /// It takes any request with a record of this text when [`Faulty::set`] is called, and not before.
    Held(String),
    /// `INTERNAL` or 500, nothing is kept.
    Internal,
    /// `UNAUTHENTICATED` or 401, nothing is kept.
    Unauthenticated,
    /// It keeps the records, and says that it is unavailable.
    StoredButUnavailable,
    /// It rejects so many records of the request, the first ones, and keeps the others.
    Partial(usize),
    /// It says that so many records or more are too large a message.
    TooLarge(usize),
    /// It says that any request with a record of this text is invalid.
    Poison(String),
    /// It is busy, and names the time after which it wants to be asked again.
    Busy(Duration),
    /// `RESOURCE_EXHAUSTED` without a reason, or 429.
    Exhausted,
    /// It answers what no collector answers.
    Garbage,
}

/// A request that came in, whatever became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// When it was there.
    pub at: Instant,
    /// Its headers, or the metadata of gRPC.
    pub headers: HeaderMap,
    /// What it carried.
    pub request: ExportLogsServiceRequest,
}

/// The collector. It ends with the test.
pub struct Faulty {
    address: SocketAddr,
    state: Arc<State>,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<std::thread::JoinHandle<()>>,
}

enum Order {
    /// And tell when it does.
    Listen(std::sync::mpsc::Sender<()>),
    End,
}

struct State {
    fault: watch::Sender<Fault>,
    next: Mutex<VecDeque<Fault>>,
    seen: Mutex<Vec<Seen>>,
    kept: Mutex<Vec<LogRecord>>,
}

/// What a request gets.
enum Verdict {
    Yes,
    Partly(usize),
    Error(Code, StatusCode, &'static str),
    Busy(Duration),
}

impl Faulty {
    /// One that listens.
    pub fn start() -> Faulty {
        let faulty = Faulty::bound(None);
        faulty.listen();
        faulty
    }

    /// One that listens inside TLS.
    pub fn secure(config: Arc<rustls::ServerConfig>) -> Faulty {
        let faulty = Faulty::bound(Some(config));
        faulty.listen();
        faulty
    }

    /// One whose port is taken and refuses connections until [`Faulty::listen`].
    pub fn bound(tls: Option<Arc<rustls::ServerConfig>>) -> Faulty {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(State {
            fault: watch::channel(Fault::None).0,
            next: Mutex::default(),
            seen: Mutex::default(),
            kept: Mutex::default(),
        });
        let (orders, taken) = mpsc::unbounded_channel();
        let (server, tls) = (state.clone(), tls.map(TlsAcceptor::from));
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(serve(socket, taken, server, tls));
        });
        Faulty { address, state, orders, thread: Some(thread) }
    }

    /// Take connections from now on.
    pub fn listen(&self) {
        let (told, listens) = std::sync::mpsc::channel();
        assert!(self.orders.send(Order::Listen(told)).is_ok(), "the collector is gone");
        listens.recv().unwrap();
    }

    /// Its port, for gRPC and HTTP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Treat requests like this from now on.
    pub fn set(&self, fault: Fault) {
        self.state.fault.send_replace(fault);
    }

    /// Treat the next requests like this, one each, before what [`Faulty::set`] says holds again.
    pub fn next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.next.lock().unwrap().extend(faults);
    }

    /// Every request so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// Every record that it has kept, in the order of their coming, duplicates included.
    pub fn records(&self) -> Vec<LogRecord> {
        self.state.kept.lock().unwrap().clone()
    }

    /// How many records it has kept, duplicates included.
    pub fn count(&self) -> usize {
        self.state.kept.lock().unwrap().len()
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = self.orders.send(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The text of an attribute of a record.
pub fn text(record: &LogRecord, key: &str) -> Option<String> {
    let value = record.attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?;
    match value.value? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

async fn serve(
    socket: TcpSocket,
    mut orders: mpsc::UnboundedReceiver<Order>,
    state: Arc<State>,
    tls: Option<TlsAcceptor>,
) {
    let Some(Order::Listen(listens)) = orders.recv().await else { return };
    let listener = socket.listen(64).unwrap();
    listens.send(()).unwrap();
    tokio::select! {
        () = accept(&listener, &state, tls.as_ref()) => {}
        () = async { while !matches!(orders.recv().await, Some(Order::End) | None) {} } => {}
    }
}

async fn accept(listener: &TcpListener, state: &Arc<State>, tls: Option<&TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let mut fault = state.fault.subscribe();
        let (state, tls) = (state.clone(), tls.cloned());
        tokio::spawn(async move {
            let connection = async {
                match tls {
                    None => converse(stream, state).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            converse(stream, state).await;
                        }
                    }
                }
            };
            tokio::select! {
                () = connection => {}
                _ = fault.wait_for(|fault| *fault == Fault::Down) => {}
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = hyper::service::service_fn(move |request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(answer(state, request).await) }
    });
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let once = state.next.lock().unwrap().pop_front();
    let fault = once.unwrap_or_else(|| state.fault.borrow().clone());
    let grpc = request.headers().get("content-type").is_some_and(|kind| kind == "application/grpc");
    match &fault {
        Fault::Hang => std::future::pending().await,
        Fault::Garbage => {
            let page = Full::new(Bytes::from_static(b"<html>a captive portal</html>"));
            let kind = if grpc { "application/grpc" } else { "text/html" };
            return Response::builder().header("content-type", kind).body(Body::new(page)).unwrap();
        }
        _ => {}
    }
    match grpc {
        true => {
            let server = LogsServiceServer::new(Taker { state, fault });
            let mut server = server.accept_compressed(CompressionEncoding::Gzip).max_decoding_message_size(16 << 20);
            server.call(request).await.unwrap()
        }
        false => over_http(&state, &fault, request).await,
    }
}

impl State {
    async fn judge(&self, fault: &Fault, headers: HeaderMap, request: ExportLogsServiceRequest) -> Verdict {
        let scopes = request.resource_logs.iter().flat_map(|logs| &logs.scope_logs);
        let records: Vec<LogRecord> = scopes.flat_map(|logs| logs.log_records.clone()).collect();
        self.seen.lock().unwrap().push(Seen { at: Instant::now(), headers, request });
        let keep = |records: &[LogRecord]| self.kept.lock().unwrap().extend_from_slice(records);
        match fault {
            Fault::None => keep(&records),
            Fault::Slow(time) => {
                keep(&records);
                tokio::time::sleep(*time).await;
            }
            Fault::Held(word) if records.iter().any(|record| format!("{record:?}").contains(word)) => {
                // An error would mean that the collector is gone, and then nobody waits.
                let _ = self.fault.subscribe().wait_for(|now| now != fault).await;
                keep(&records);
            }
            Fault::StoredButUnavailable => {
                keep(&records);
                return Verdict::Error(Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE, "not just now");
            }
            Fault::Partial(rejected) => {
                let rejected = (*rejected).min(records.len());
                keep(&records[rejected..]);
                return Verdict::Partly(rejected);
            }
            Fault::TooLarge(most) if records.len() >= *most => {
                let why = "received message larger than max";
                return Verdict::Error(Code::ResourceExhausted, StatusCode::PAYLOAD_TOO_LARGE, why);
            }
            Fault::Poison(word) if records.iter().any(|record| format!("{record:?}").contains(word)) => {
                return Verdict::Error(Code::InvalidArgument, StatusCode::BAD_REQUEST, "a record is\npoisoned");
            }
            Fault::TooLarge(_) | Fault::Poison(_) | Fault::Held(_) => keep(&records),
            Fault::Busy(time) => return Verdict::Busy(*time),
            Fault::Exhausted => {
                return Verdict::Error(Code::ResourceExhausted, StatusCode::TOO_MANY_REQUESTS, "quota");
            }
            Fault::Unauthenticated => {
                return Verdict::Error(Code::Unauthenticated, StatusCode::UNAUTHORIZED, "who are you");
            }
            Fault::Internal | Fault::Down | Fault::Hang | Fault::Garbage => {
                return Verdict::Error(Code::Internal, StatusCode::INTERNAL_SERVER_ERROR, "out of order");
            }
        }
        Verdict::Yes
    }
}

fn partly(rejected: usize) -> ExportLogsServiceResponse {
    let rejected_log_records = i64::try_from(rejected).unwrap();
    let partial = ExportLogsPartialSuccess { rejected_log_records, error_message: "no\nroom".into() };
    ExportLogsServiceResponse { partial_success: Some(partial) }
}

struct Taker {
    state: Arc<State>,
    fault: Fault,
}

#[tonic::async_trait]
impl LogsService for Taker {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        match self.state.judge(&self.fault, metadata.into_headers(), request).await {
            Verdict::Yes => Ok(tonic::Response::new(ExportLogsServiceResponse::default())),
            Verdict::Partly(rejected) => Ok(tonic::Response::new(partly(rejected))),
            Verdict::Error(code, _, message) => Err(Status::new(code, message)),
            Verdict::Busy(time) => {
                let details = ErrorDetails::with_retry_info(Some(time));
                Err(Status::with_error_details(Code::ResourceExhausted, "busy", details))
            }
        }
    }
}

async fn over_http(state: &State, fault: &Fault, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let say = |status: StatusCode, bytes: Vec<u8>| {
        let whole = Response::builder().status(status).header("content-type", "application/x-protobuf");
        whole.body(Body::new(Full::new(bytes.into()))).unwrap()
    };
    if head.uri.path() != "/v1/logs" || head.method != http::Method::POST {
        return say(StatusCode::NOT_FOUND, Vec::new());
    }
    let Ok(body) = body.collect().await else { return say(StatusCode::BAD_REQUEST, Vec::new()) };
    let mut message = Vec::new();
    match head.headers.get("content-encoding").map(|encoding| encoding.as_bytes()) {
        None => message.extend_from_slice(&body.to_bytes()),
        Some(b"gzip") => {
            flate2::read::GzDecoder::new(body.to_bytes().as_ref()).read_to_end(&mut message).unwrap();
        }
        Some(other) => panic!("{other:?}"),
    }
    let request = ExportLogsServiceRequest::decode(message.as_slice()).unwrap();
    match state.judge(fault, head.headers, request).await {
        Verdict::Yes => say(StatusCode::OK, Vec::new()),
        Verdict::Partly(rejected) => say(StatusCode::OK, partly(rejected).encode_to_vec()),
        Verdict::Error(code, status, message) => {
            let error = tonic_types::Status { code: code.into(), message: message.into(), details: Vec::new() };
            say(status, error.encode_to_vec())
        }
        Verdict::Busy(time) => {
            let mut busy = say(StatusCode::TOO_MANY_REQUESTS, Vec::new());
            busy.headers_mut().insert("retry-after", time.as_secs().into());
            busy
        }
    }
}
