//! One small HTTP request to a gateway: through its proxy listener, or to its admin listener.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use gatepass_certs::chain::{Chain, Purpose};
use gatepass_certs::{Alpn, Limits};
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// An answer longer than this is not one of ours: a preview may name every tunnel there is.
const BODY_MAX: usize = 64 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to ask.
#[derive(Debug)]
pub enum Place {
    /// The reserved host, through this proxy URL.
    Proxy(String),
    /// The admin listener at this URL, or at `unix:/path`.
    Admin(String),
}

/// What the caller shows.
#[derive(Clone)]
pub struct Authentication {
    /// Certificate and key files.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Whom to trust, for `https`.
    pub ca: Option<PathBuf>,
    /// An operator's token, or an ID token.
    pub token: Option<String>,
    /// A one-time code.
    pub totp: Option<String>,
}

/// One question, or one thing to be done.
pub struct Question {
    /// Whom to ask.
    pub place: Place,
    /// `GET` asks; what changes something is JSON, even where there is nothing to say.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// What goes with it.
    pub body: Option<Value>,
    /// What the caller shows.
    pub authentication: Authentication,
    /// Whether the answer is to be JSON.
    pub json: bool,
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// A proxy or admin URL, taken apart.
struct Url {
    tls: bool,
    user: Option<String>,
    host: String,
    port: u16,
}

/// Ask, and wait for the answer.
pub fn ask(question: &Question) -> Result<Answer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    runtime.block_on(async {
        match tokio::time::timeout(PATIENCE, exchange(question)).await {
            Ok(answer) => answer,
            Err(_) => Err("the gateway did not answer in 10 s".to_owned()),
        }
    })
}

async fn exchange(question: &Question) -> Result<Answer, String> {
    let text = match &question.place {
        Place::Proxy(text) | Place::Admin(text) => text,
    };
    if let (Place::Admin(_), Some(path)) = (&question.place, text.strip_prefix("unix:")) {
        let stream = UnixStream::connect(path)
            .await
            .map_err(|error| format!("cannot reach the gateway at unix:{path}: {error}"))?;
        return converse(stream, question, None).await;
    }
    let url = parse(text)?;
    let stream = TcpStream::connect((url.host.as_str(), url.port))
        .await
        .map_err(|error| format!("cannot reach the gateway at {}:{}: {error}", url.host, url.port))?;
    if !url.tls {
        return converse(stream, question, Some(&url)).await;
    }
    let config = client_config(&question.authentication)?;
    let name = rustls::pki_types::ServerName::try_from(url.host.clone())
        .map_err(|_| format!("`{}` is not a name that a certificate can prove", url.host))?;
    let stream = tokio_rustls::TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(|error| format!("the TLS handshake with the gateway failed: {error}"))?;
    converse(stream, question, Some(&url)).await
}

fn client_config(shown: &Authentication) -> Result<Arc<rustls::ClientConfig>, String> {
    let limits = Limits::RECOMMENDED;
    let ca = shown.ca.as_ref().ok_or("an `https` gateway needs `--ca FILE`: whom to trust")?;
    let own = match &shown.certificate {
        None => None,
        Some((certificate, key)) => {
            Some(Chain::load(certificate, key, Purpose::Client, &limits, Timestamp::now()).map_err(|e| e.to_string())?)
        }
    };
    gatepass_certs::client::load(ca, own.as_ref(), &[Alpn::Http11], &limits).map_err(|e| e.to_string())
}

async fn converse<S>(stream: S, question: &Question, url: Option<&Url>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("the gateway ended the conversation: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    tokio::spawn(connection);
    let response = sender.send_request(request(question, url)?).await.map_err(broken)?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await.map_err(|error| error.to_string())?;
    Ok(Answer { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
}

fn request(question: &Question, url: Option<&Url>) -> Result<Request<Full<Bytes>>, String> {
    let accept = if question.json { "application/json" } else { "text/plain" };
    let shown = &question.authentication;
    let mut request = Request::builder().method(question.method.clone()).header("accept", accept);
    match &question.place {
        Place::Proxy(_) => {
            request = request.uri(format!("http://{}{}", crate::reserved::HOST, question.path));
            request = request.header("host", crate::reserved::HOST);
            if let Some(user) = url.and_then(|url| url.user.as_ref()) {
                request = request.header("proxy-authorization", format!("Basic {}", STANDARD.encode(user)));
            }
        }
        Place::Admin(_) => {
            request = request.uri(&question.path).header(
                "host",
                match url {
                    None => "localhost".to_owned(),
                    Some(url) if url.host.contains(':') => format!("[{}]:{}", url.host, url.port),
                    Some(url) => format!("{}:{}", url.host, url.port),
                },
            );
            if let Some(token) = &shown.token {
                request = request.header("authorization", format!("Bearer {token}"));
            }
            if let Some(code) = &shown.totp {
                request = request.header(crate::admin::totp::FIELD, code);
            }
        }
    }
    if question.method != Method::GET {
        request = request.header("content-type", "application/json");
    }
    let body = question.body.as_ref().map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
    // What is wrong may be a token with a line feed in it, which is no reason to print it.
    request
        .body(Full::new(body))
        .map_err(|_| "the path, the token or the code has characters that HTTP cannot carry".to_owned())
}

fn parse(text: &str) -> Result<Url, String> {
    let help = || format!("`{text}` is not a URL such as `http://name:token@gateway.example:3128`");
    let (tls, rest) = match text.split_once("://") {
        Some(("http", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return Err(help()),
        None => (false, text),
    };
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, place) = match rest.rsplit_once('@') {
        Some((user, place)) => (Some(percent_decoded(user)), place),
        None => (None, rest),
    };
    let default = if tls { 443 } else { 80 };
    let authority =
        gatepass_policy::host::Authority::parse_with_default(place.as_bytes(), default).map_err(|_| help())?;
    Ok(Url { tls, user, host: authority.host.to_text().into_owned(), port: authority.port })
}

/// Credentials in a URL are percent-encoded (RFC 3986 section 2.1); what is not an escape stands for itself.
pub(super) fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
