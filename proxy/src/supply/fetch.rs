//! An archive from an HTTPS server: one bounded exchange, no redirects, and an `ETag` so that what is known is not sent again.
//!
//! This is the gateway's own question, as an export is: no client's, so no policy is asked. Whom it goes to, the operator
//! has configured; what comes back is believed for its signatures alone.

use std::time::Duration;

use bytes::Bytes;
use gatepass_certs::Alpn;
use gatepass_config::policy::Remote;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Body as _;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::evidence::ship::tls::{Tls, secure};

/// Bytes of the head of an answer.
const HEAD_MAX: usize = 64 << 10;

/// A tag that is longer is not kept.
const TAG_MAX: usize = 1024;

/// What the server answered.
pub(super) enum Answer {
    /// What has this tag is what it gives.
    Same,
    /// Another archive, and its tag.
    Archive(Bytes, Option<HeaderValue>),
}

/// Ask once. `known` is the tag of what is in force.
pub(super) async fn fetch(
    remote: &Remote,
    known: Option<HeaderValue>,
    most: usize,
    patience: Duration,
) -> Result<Answer, String> {
    match tokio::time::timeout(patience, connected(remote, known, most)).await {
        Ok(answered) => answered,
        Err(_) => Err(format!("it did not answer within {patience:?}")),
    }
}

async fn connected(remote: &Remote, known: Option<HeaderValue>, most: usize) -> Result<Answer, String> {
    let url = &remote.url.value;
    let host = url.host.to_text().into_owned();
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((bare.as_str(), url.port)).await.map_err(|error| plainly(&error))?;
    if url.scheme == "http" {
        return converse(stream, remote, known, most).await;
    }
    let tls = Tls { ca: remote.ca.as_ref().map(|ca| ca.value.clone()), own: None, server_name: None };
    let secured = tokio::task::spawn_blocking(move || secure(&tls, &host, &[Alpn::Http11])).await;
    let secured = secured.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(secured.config);
    let stream = connector.connect(secured.name, stream).await.map_err(|error| plainly(&error))?;
    converse(stream, remote, known, most).await
}

async fn converse<S>(stream: S, remote: &Remote, known: Option<HeaderValue>, most: usize) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_buf_size(HEAD_MAX);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let running = Running(tokio::spawn(connection));
    let request = request(remote, known.as_ref())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    match head.status {
        StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Answer::Same),
        StatusCode::OK => {}
        status if status.is_redirection() => {
            return Err(format!("it answered {status}: redirects are not followed, name the last URL"));
        }
        status => return Err(format!("it answered {status}")),
    }
    if head.headers.contains_key(header::CONTENT_ENCODING) {
        return Err("it answered with a content encoding that nobody asked for".to_owned());
    }
    if body.size_hint().lower() > most as u64 {
        return Err(format!("its answer is longer than the limits on bundles allow, {most} bytes"));
    }
    let body = Limited::new(body, most).collect().await.map_err(|error| format!("its answer: {error}"))?;
    drop(running);
    let tag = head.headers.get(header::ETAG).filter(|tag| tag.len() <= TAG_MAX).cloned();
    Ok(Answer::Archive(body.to_bytes(), tag))
}

fn request(remote: &Remote, known: Option<&HeaderValue>) -> Result<Request<Empty<Bytes>>, String> {
    let url = &remote.url.value;
    let path = if url.path.is_empty() { "/" } else { &url.path };
    let mut request = Request::builder().uri(path).header(header::HOST, format!("{}:{}", url.host, url.port));
    for own in &remote.headers {
        let name: HeaderName = own.name.parse().map_err(|_| format!("`{}` is no header", own.name))?;
        let secret = own.read().map_err(|problems| problems.to_string())?;
        let mut value = HeaderValue::from_str(secret.expose()).map_err(|_| format!("the header `{}`", own.name))?;
        value.set_sensitive(true);
        request = request.header(name, value);
    }
    if let Some(tag) = known {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    request.body(Empty::new()).map_err(|error| error.to_string())
}

/// The operating system's words, without the number that stands behind them.
fn plainly(error: &std::io::Error) -> String {
    error.to_string().split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// The task of a connection, which ends with the exchange.
struct Running(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}
