//! Small JSON exchanges with an identity provider, in private: `https`, or `http` on loopback.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use gatepass_certs::Alpn;
use gatepass_config::oidc::private;
use gatepass_config::url::Url;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::admin::api::encoded;
use crate::evidence::ship::tls::{Tls, secure};

/// An answer longer than this is nothing of a provider's.
const BODY_MAX: usize = 1 << 20;
/// The time for one exchange.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whom to trust as the provider.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Who vouches for its certificate, PEM; without it, the machine's own trust anchors.
    pub ca: Option<PathBuf>,
}

/// The provider's discovery document (OpenID Connect Discovery 4), which must name the issuer that was asked.
pub async fn discover(issuer: &str, trust: &Trust) -> Result<Value, String> {
    let document = get(&format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/')), trust).await?;
    match document.get("issuer").and_then(Value::as_str) {
        Some(said) if said == issuer => Ok(document),
        Some(_) | None => Err("its discovery document is of another issuer".to_owned()),
    }
}

/// What stands at this URL.
pub async fn get(url: &str, trust: &Trust) -> Result<Value, String> {
    match exchange(url, Method::GET, String::new(), trust).await? {
        (200, value) => Ok(value),
        (status, _) => Err(format!("`{url}` answered {status}")),
    }
}

/// Send a form; the status and what was answered.
pub async fn post(url: &str, form: &[(&str, &str)], trust: &Trust) -> Result<(u16, Value), String> {
    let pairs: Vec<String> = form.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
    exchange(url, Method::POST, pairs.join("&"), trust).await
}

async fn exchange(text: &str, method: Method, body: String, trust: &Trust) -> Result<(u16, Value), String> {
    let url = private(text).ok_or_else(|| format!("`{text}` is no `https` URL"))?;
    match tokio::time::timeout(PATIENCE, connected(&url, method, body, trust)).await {
        Ok(answered) => answered.map_err(|why| format!("`{text}`: {why}")),
        Err(_) => Err(format!("`{text}` did not answer in 5 s")),
    }
}

async fn connected(url: &Url, method: Method, body: String, trust: &Trust) -> Result<(u16, Value), String> {
    let host = url.host.to_text().into_owned();
    let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let stream = TcpStream::connect((bare.as_str(), url.port)).await.map_err(|error| error.to_string())?;
    if url.scheme == "http" {
        return converse(stream, url, method, body).await;
    }
    let tls = Tls { ca: trust.ca.clone(), own: None, server_name: None };
    let secured = tokio::task::spawn_blocking(move || secure(&tls, &host, &[Alpn::Http11])).await;
    let secured = secured.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let connector = tokio_rustls::TlsConnector::from(secured.config);
    let stream = connector.connect(secured.name, stream).await.map_err(|error| error.to_string())?;
    converse(stream, url, method, body).await
}

async fn converse<S>(stream: S, url: &Url, method: Method, body: String) -> Result<(u16, Value), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let running = tokio::spawn(connection);
    let path = if url.path.is_empty() { "/" } else { &url.path };
    let host = url.host.to_text();
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.into_owned() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, format!("{host}:{}", url.port))
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), BODY_MAX).collect().await;
    running.abort();
    let bytes = body.map_err(|error| error.to_string())?.to_bytes();
    let value =
        serde_json::from_slice(&bytes).map_err(|_| format!("status {status}, and what it answered is not JSON"))?;
    Ok((status, value))
}
