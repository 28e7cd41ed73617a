//! One client for both ways to a collector: gRPC over HTTP/2, and protobuf over HTTP/1.1.

use http::{StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use prost::Message as _;

use super::{Protocol, Rejected, Settings, Taken};
use crate::evidence::text;

/// Bytes of an answer: a message and a number.
const ANSWER_MAX: usize = 64 << 10;

/// Why a collector's address cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL with a host.
    #[error("the collector's endpoint `{0}` is not a URL such as `http://127.0.0.1:4317`")]
    Malformed(String),
    /// TLS to the collector.
    #[error("the collector's endpoint `{0}` is `https`, which is not supported yet: use `http` to an agent nearby")]
    Https(String),
}

pub(super) enum Client {
    Grpc(LogsServiceClient<HttpClient<HttpConnector, tonic::body::Body>>),
    Http(HttpClient<HttpConnector, Full<bytes::Bytes>>, Uri),
}

impl Client {
    pub fn new(settings: &Settings) -> Result<Client, EndpointError> {
        let malformed = || EndpointError::Malformed(settings.endpoint.clone());
        let uri: Uri = settings.endpoint.parse().map_err(|_| malformed())?;
        match (uri.scheme_str(), uri.authority()) {
            (Some("http"), Some(_)) => {}
            (Some("https"), Some(_)) => return Err(EndpointError::Https(settings.endpoint.clone())),
            (_, _) => return Err(malformed()),
        }
        let mut builder = HttpClient::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_max_idle_per_host(1);
        match settings.protocol {
            Protocol::Grpc => {
                Ok(Client::Grpc(LogsServiceClient::with_origin(builder.http2_only(true).build_http(), uri)))
            }
            Protocol::HttpProtobuf => {
                let base = settings.endpoint.trim_end_matches('/');
                let whole = if base.ends_with("/v1/logs") { base.to_owned() } else { format!("{base}/v1/logs") };
                Ok(Client::Http(builder.build_http(), whole.parse().map_err(|_| malformed())?))
            }
        }
    }

    pub async fn export(&mut self, request: &ExportLogsServiceRequest) -> Result<Taken, String> {
        let answer = match self {
            Client::Grpc(client) => {
                let answer = client.export(request.clone()).await;
                answer.map_err(|status| format!("{:?}: {}", status.code(), cleaned(status.message())))?.into_inner()
            }
            Client::Http(client, uri) => over_http(client, uri, request).await?,
        };
        Ok(taken(answer))
    }
}

async fn over_http(
    client: &HttpClient<HttpConnector, Full<bytes::Bytes>>,
    uri: &Uri,
    request: &ExportLogsServiceRequest,
) -> Result<ExportLogsServiceResponse, String> {
    let message = http::Request::post(uri.clone())
        .header(header::CONTENT_TYPE, "application/x-protobuf")
        .body(Full::new(request.encode_to_vec().into()))
        .map_err(|error| error.to_string())?;
    let answer = client.request(message).await.map_err(|error| sources(&error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await.map_err(|error| error.to_string())?;
    if status != StatusCode::OK {
        return Err(format!("HTTP {status}"));
    }
    // An answer that is no OTLP message does not prove that anything was stored.
    ExportLogsServiceResponse::decode(body.to_bytes()).map_err(|error| format!("not an OTLP answer: {error}"))
}

fn taken(answer: ExportLogsServiceResponse) -> Taken {
    let rejected = answer.partial_success.and_then(|partial| {
        let records = u64::try_from(partial.rejected_log_records).unwrap_or(0);
        (records > 0).then(|| Rejected { records, why: cleaned(&partial.error_message) })
    });
    Taken { rejected }
}

fn cleaned(raw: &str) -> String {
    text::clean(raw, text::NAME_MAX).into_owned()
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
