//! One connection to one member of etcd: gRPC over HTTP/2, inside TLS unless the member is on this machine.
//!
//! A connection is not mended: it is left, and another one is made, with what the files of certificates say then. So it is
//! known of each question whether it was sent. HTTP/2's own pings would not do to find a dead peer: etcd closes connections
//! that ping more often than every five seconds, and a member that answers pings may have lost its cluster.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use gatepass_certs::Alpn;
use http::uri::PathAndQuery;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::codegen::Service;
use tonic::codegen::tokio_stream::Stream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::failure::{Failure, NotSent, sources};
use super::messages::{WatchRequest, WatchResponse};
use crate::evidence::ship::tls::{Tls, secure};

/// What a user is told as; made by etcd, and not to be shown.
pub(super) type Token = MetadataValue<Ascii>;

/// Bytes of one answer: a page of the largest values.
const ANSWER_MAX: usize = 1 << 30;

/// Bytes under way: a page of a view at once.
const WINDOW: u32 = 4 << 20;

/// Where a member is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// As in the configuration.
    pub url: String,
    /// In brackets where it is an address of version 6.
    pub host: String,
    pub port: u16,
    pub tls: Option<Tls>,
}

/// A connection to a member.
pub(super) struct Connection {
    wire: Wire,
    origin: Uri,
    driver: AbortHandle,
    /// Why it ended, once it has.
    ended: watch::Receiver<Option<String>>,
}

impl Connection {
    /// Connect, within `limit`.
    ///
    /// # Errors
    /// Why not: the member, or a file of `tls`.
    pub async fn open(place: &Place, limit: Duration) -> Result<Connection, String> {
        let opening = async {
            let bare = place.host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&place.host);
            let stream = TcpStream::connect((bare, place.port)).await.map_err(|error| error.to_string())?;
            stream.set_nodelay(true).map_err(|error| error.to_string())?;
            match &place.tls {
                None => begin(stream).await,
                Some(tls) => {
                    let (tls, host) = (tls.clone(), place.host.clone());
                    let secure = tokio::task::spawn_blocking(move || secure(&tls, &host, &[Alpn::H2])).await;
                    let secure = secure.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
                    let shaken = TlsConnector::from(secure.config).connect(secure.name, stream).await;
                    let stream = shaken.map_err(|error| format!("the TLS handshake failed: {error}"))?;
                    // In TLS 1.3 a server refuses a certificate after the handshake. Whoever writes before reading that
                    // may be told of a broken pipe only. Servers that refuse nothing send a ticket.
                    let _ = tokio::time::timeout(super::PAUSE, stream.get_ref().0.readable()).await;
                    begin(stream).await
                }
            }
        };
        let opened = tokio::time::timeout(limit, opening).await;
        let opened = opened.unwrap_or_else(|_| Err(format!("no connection within {limit:?}")));
        let (wire, driver, ended) = opened.map_err(|why| format!("`{}`: {why}", place.url))?;
        let origin = place.url.parse().map_err(|error| format!("`{}`: {error}", place.url))?;
        Ok(Connection { wire, origin, driver, ended })
    }

    /// Whether nothing more can be sent.
    pub fn is_closed(&self) -> bool {
        self.wire.0.is_closed()
    }

    /// Ask one question, and wait no longer than `limit` for its answer.
    pub async fn ask<Q, A>(
        &self,
        path: &'static str,
        question: Q,
        token: Option<&Token>,
        limit: Duration,
    ) -> Result<A, Failure>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc();
        let asking = async {
            grpc.ready().await.map_err(|_| Failure::NotTaken(NotSent.to_string()))?;
            let codec = ProstCodec::<Q, A>::default();
            let answer = grpc.unary(request(question, token), PathAndQuery::from_static(path), codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| Failure::of(&status))
        };
        self.within(limit, asking).await
    }

    /// Begin a stream of watches. What the sender's other end is given goes to the member.
    pub async fn watch(
        &self,
        questions: mpsc::Receiver<WatchRequest>,
        token: Option<&Token>,
        limit: Duration,
    ) -> Result<Streaming<WatchResponse>, Failure> {
        let mut grpc = self.grpc();
        let asking = async {
            grpc.ready().await.map_err(|_| Failure::NotTaken(NotSent.to_string()))?;
            let path = PathAndQuery::from_static("/etcdserverpb.Watch/Watch");
            let codec = ProstCodec::<WatchRequest, WatchResponse>::default();
            let answer = grpc.streaming(request(Questions(questions), token), path, codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| Failure::of(&status))
        };
        self.within(limit, asking).await
    }

    /// What asking comes to within `limit`, with the member and the connection's own words where it failed.
    async fn within<A>(&self, limit: Duration, asking: impl Future<Output = Result<A, Failure>>) -> Result<A, Failure> {
        let late = |_| Err(Failure::Unknown(format!("no answer within {limit:?}")));
        match tokio::time::timeout(limit, asking).await.unwrap_or_else(late) {
            Ok(answer) => Ok(answer),
            Err(failure) if self.is_closed() => {
                // The connection's task is about to say why.
                let mut ended = self.ended.clone();
                let ended = tokio::time::timeout(super::PAUSE, ended.wait_for(Option::is_some)).await;
                let why = ended.ok().and_then(|ended| ended.ok().and_then(|why| why.clone()));
                Err(failure.also(why.as_deref()).at(&self.origin))
            }
            Err(failure) => Err(failure.at(&self.origin)),
        }
    }

    fn grpc(&self) -> Grpc<Wire> {
        Grpc::with_origin(self.wire.clone(), self.origin.clone()).max_decoding_message_size(ANSWER_MAX)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // A peer that does not answer would otherwise be waited for.
        self.driver.abort();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.origin).finish()
    }
}

/// A request with the metadata of every one.
fn request<T>(question: T, token: Option<&Token>) -> tonic::Request<T> {
    let mut request = tonic::Request::new(question);
    // A member without a leader says so at once, and ends its watches (`api/v3rpc/interceptor.go` of etcd).
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    if let Some(token) = token {
        request.metadata_mut().insert("token", token.clone());
    }
    request
}

/// Speak HTTP/2 on a stream.
async fn begin<S>(stream: S) -> Result<(Wire, AbortHandle, watch::Receiver<Option<String>>), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new());
    // A fixed window: finding a good one takes pings, of which etcd counts too many.
    builder.timer(TokioTimer::new()).initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let (end, ended) = watch::channel(None);
    let driver = tokio::spawn(async move {
        let why = connection.await.map_or_else(|error| sources(&error), |()| "the member closed it".to_owned());
        end.send_replace(Some(why));
    });
    Ok((Wire(sender), driver.abort_handle(), ended))
}

/// Requests into a connection, each of which says whether it was sent.
#[derive(Clone)]
struct Wire(SendRequest<Body>);

impl Service<Request<Body>> for Wire {
    type Response = Response<UnsyncBoxBody<Bytes, hyper::Error>>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(task).map_err(|_| NotSent.into())
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answering = self.0.try_send_request(request);
        Box::pin(async move {
            match answering.await {
                Ok(mut answer) => {
                    answer.headers_mut().remove(DETAILS);
                    Ok(answer.map(without_details))
                }
                Err(error) if error.message().is_some() => Err(NotSent.into()),
                Err(error) => Err(error.into_error().into()),
            }
        })
    }
}

/// Details of a status. tonic panics where they are not base64, and etcd sends none.
const DETAILS: &str = "grpc-status-details-bin";

fn without_details(body: Incoming) -> UnsyncBoxBody<Bytes, hyper::Error> {
    let plain = body.map_frame(|mut frame| {
        if let Some(trailers) = frame.trailers_mut() {
            trailers.remove(DETAILS);
        }
        frame
    });
    plain.boxed_unsync()
}

/// What is asked on a stream, as tonic takes it.
struct Questions(mpsc::Receiver<WatchRequest>);

impl Stream for Questions {
    type Item = WatchRequest;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<WatchRequest>> {
        self.0.poll_recv(task)
    }
}

/// The next message of a stream of watches.
pub(super) async fn next(stream: &mut Streaming<WatchResponse>) -> Result<WatchResponse, String> {
    match stream.message().await {
        Ok(Some(answer)) => Ok(answer),
        Ok(None) => Err("etcd ended the stream".to_owned()),
        Err(status) => Err(ended(&status)),
    }
}

fn ended(status: &Status) -> String {
    Failure::of(status).why()
}
