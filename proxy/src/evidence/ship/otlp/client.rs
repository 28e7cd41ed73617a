//! One client for both ways to a collector: a request is a POST of bytes, over HTTP/2 for gRPC and over HTTP/1.1.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use gatepass_certs::Alpn;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connector::Connector;
use super::settings::{Compression, Protocol, Settings, SettingsError};
use super::{answer, request};
use crate::evidence::ship::piece::Piece;
use crate::evidence::ship::sink::Answer;
use crate::evidence::ship::tls::{Tls, secure};

/// Bytes of an answer: a message and a number.
const ANSWER_MAX: usize = 64 << 10;

/// The path of the one method.
const GRPC_PATH: &str = "/opentelemetry.proto.collector.logs.v1.LogsService/Export";

/// How often a connection is asked whether it still lives, and how long it may take to say so: without, the requests
/// after a time-out would all go into the same dead connection.
const PING: Duration = Duration::from_secs(5);

/// A client of one collector. Cheap to clone; every clone follows a [`Client::reload`].
#[derive(Clone)]
pub struct Client {
    current: Arc<ArcSwap<Way>>,
}

/// A way to a collector.
struct Way {
    http: HttpClient<Connector, Full<Bytes>>,
    uri: Uri,
    headers: HeaderMap,
    protocol: Protocol,
    compression: Compression,
    timeout: Duration,
}

impl Client {
    /// A client; nothing is connected yet. Blocks on the files of `tls`.
    pub fn new(settings: &Settings) -> Result<Client, SettingsError> {
        Ok(Client { current: Arc::new(ArcSwap::from_pointee(Way::new(settings)?)) })
    }

    /// Use these settings from the next request on, with what their files say now. Blocks on them.
    ///
    /// # Errors
    /// What is wrong with them; those in force stay.
    pub fn reload(&self, settings: &Settings) -> Result<(), SettingsError> {
        self.current.store(Arc::new(Way::new(settings)?));
        Ok(())
    }

    /// Send the records of a piece, once.
    pub(in crate::evidence::ship) async fn send(&self, piece: &Piece) -> Answer {
        let way = self.current.load_full();
        let (protocol, compression, piece) = (way.protocol, way.compression, piece.clone());
        let pack = move || request::body(piece.header(), piece.records(), protocol, compression);
        // Compressing a batch takes milliseconds, which the event loop does not have.
        let body = match tokio::task::spawn_blocking(pack).await {
            Ok(body) => body,
            Err(error) => return Answer::failed(format!("the request could not be made: {error}")),
        };
        match tokio::time::timeout(way.timeout, way.exchange(body.into())).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(why)) => Answer::failed(why),
            Err(_) => Answer::failed(format!("no answer within {:?}", way.timeout)),
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.current.load().uri).finish()
    }
}

impl Way {
    fn new(settings: &Settings) -> Result<Way, SettingsError> {
        let malformed = || SettingsError::Malformed(settings.endpoint.clone());
        let endpoint: Uri = settings.endpoint.parse().map_err(|_| malformed())?;
        let host = endpoint.host().ok_or_else(malformed)?;
        let alpn = match settings.protocol {
            Protocol::Grpc => &[Alpn::H2],
            Protocol::HttpProtobuf => &[Alpn::Http11],
        };
        let secure = match (endpoint.scheme_str(), &settings.tls) {
            (Some("http"), None) => None,
            (Some("http"), Some(_)) => return Err(SettingsError::TlsOverHttp(settings.endpoint.clone())),
            (Some("https"), tls) => Some(secure(tls.as_ref().unwrap_or(&Tls::default()), host, alpn)?),
            (_, _) => return Err(malformed()),
        };
        let base = settings.endpoint.trim_end_matches('/');
        let (whole, http2) = match settings.protocol {
            Protocol::Grpc => (format!("{base}{GRPC_PATH}"), true),
            Protocol::HttpProtobuf if base.ends_with("/v1/logs") => (base.to_owned(), false),
            Protocol::HttpProtobuf => (format!("{base}/v1/logs"), false),
        };
        let mut builder = HttpClient::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).timer(TokioTimer::new()).http2_only(http2);
        builder.http2_keep_alive_interval(PING).http2_keep_alive_timeout(PING);
        Ok(Way {
            http: builder.build(Connector::new(secure, settings.timeout)),
            uri: whole.parse().map_err(|_| malformed())?,
            headers: headers(settings),
            protocol: settings.protocol,
            compression: settings.compression,
            timeout: settings.timeout,
        })
    }

    async fn exchange(&self, body: Bytes) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = http::Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        let (head, body) = self.http.request(request).await.map_err(|error| sources(&error))?.into_parts();
        let body = Limited::new(body, ANSWER_MAX).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {}", sources(error.as_ref())))?;
        let trailers = body.trailers().cloned();
        let body = body.to_bytes();
        Ok(match self.protocol {
            Protocol::Grpc => answer::of_grpc(head.status, &head.headers, trailers.as_ref(), &body),
            Protocol::HttpProtobuf => answer::of_http(head.status, &head.headers, body),
        })
    }
}

/// The headers of every request: the operator's, then those that the protocol fixes.
fn headers(settings: &Settings) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("gatepass/", env!("CARGO_PKG_VERSION"))));
    headers.extend(settings.headers.iter().cloned());
    let (content_type, encoding) = match settings.protocol {
        Protocol::Grpc => ("application/grpc", HeaderName::from_static("grpc-encoding")),
        Protocol::HttpProtobuf => ("application/x-protobuf", CONTENT_ENCODING),
    };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    match settings.compression {
        Compression::Gzip => {
            headers.insert(encoding, HeaderValue::from_static("gzip"));
        }
        Compression::None => {}
    }
    match settings.protocol {
        // RFC 9110 section 10.1.4; a gRPC server may refuse a request without it.
        Protocol::Grpc => headers.insert(TE, HeaderValue::from_static("trailers")),
        Protocol::HttpProtobuf => headers.insert(ACCEPT, HeaderValue::from_static("application/x-protobuf")),
    };
    headers
}

/// An error with what caused it: the outer one only says that a connection failed.
fn sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
