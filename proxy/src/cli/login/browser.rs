//! The authorization code with PKCE (RFC 7636), brought back by the browser to a port of loopback (RFC 8252).

use std::process::{Command, Stdio};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatepass_config::oidc::private;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Provider, failure, id_token, visible};
use crate::admin::api::encoded;
use crate::admin::oidc::fetch;

/// The time for a person to log in.
const PATIENCE: Duration = Duration::from_secs(300);
/// The time and the bytes of one request of the browser.
const REQUEST_FOR: Duration = Duration::from_secs(5);
const REQUEST_MAX: usize = 16 << 10;

pub async fn log_in(provider: &Provider) -> Result<String, String> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let port = listener.local_addr().map_err(|error| error.to_string())?.port();
    let back = format!("http://127.0.0.1:{port}/callback");
    let (verifier, state, nonce) = (random()?, random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
    let place = provider.endpoint("authorization_endpoint")?;
    if private(place).is_none() {
        return Err("the identity provider's `authorization_endpoint` is no `https` URL".to_owned());
    }
    let page = format!(
        "{place}{}response_type=code&client_id={}&redirect_uri={}&scope=openid%20email&state={state}&nonce={nonce}\
         &code_challenge={challenge}&code_challenge_method=S256",
        if place.contains('?') { '&' } else { '?' },
        encoded(&provider.client_id),
        encoded(&back),
    );
    eprintln!("open {page}");
    show(&page);
    let code = match tokio::time::timeout(PATIENCE, callback(&listener, &state, &provider.issuer)).await {
        Ok(code) => code?,
        Err(_) => return Err("nobody logged in within 5 minutes".to_owned()),
    };
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", back.as_str()),
        ("client_id", provider.client_id.as_str()),
        ("code_verifier", verifier.as_str()),
    ];
    let (status, answer) = fetch::post(provider.endpoint("token_endpoint")?, &form, &provider.trust).await?;
    if status != 200 {
        return Err(failure(&answer));
    }
    let token = id_token(&answer)?;
    // Not a token that was made for another log-in (OpenID Connect Core 3.1.3.7, number 11).
    match claim(&token, "nonce") {
        Some(said) if said == nonce => Ok(token),
        Some(_) | None => Err("the ID token is of another log-in".to_owned()),
    }
}

fn random() -> Result<String, String> {
    let mut bytes = [0u8; 32];
    rand::fill(&mut bytes).map_err(|_| "the machine gives no random numbers".to_owned())?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// Try to open the page; it was printed, so nothing is lost where that cannot be done.
fn show(page: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _ = Command::new(program).arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}

/// Wait for the browser to bring the code. Whatever else asks on this port is sent away.
async fn callback(listener: &TcpListener, state: &str, issuer: &str) -> Result<String, String> {
    loop {
        let (mut stream, _) = listener.accept().await.map_err(|error| error.to_string())?;
        let Ok(Some(query)) = tokio::time::timeout(REQUEST_FOR, asked(&mut stream)).await else { continue };
        let field = |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next()
        };
        let ours =
            field("state").is_some_and(|said| verify_slices_are_equal(said.as_bytes(), state.as_bytes()).is_ok());
        // RFC 9207: where the answer names its issuer, it is the one that was asked.
        if !ours || field("iss").is_some_and(|said| said != issuer) {
            say(&mut stream, "400 Bad Request", "This is no answer to the log-in under way.").await;
            continue;
        }
        return match field("code") {
            Some(code) => {
                say(&mut stream, "200 OK", "Logged in. This window can be closed.").await;
                Ok(code)
            }
            None => {
                say(&mut stream, "200 OK", "Not logged in. The terminal says more.").await;
                let why = field("error").unwrap_or_default();
                Err(format!("the identity provider refused: {}", visible(&why)))
            }
        };
    }
}

/// The query of a request for the callback.
async fn asked(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut piece = [0u8; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        let read = stream.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(piece.get(..read)?);
        if head.len() > REQUEST_MAX {
            return None;
        }
    }
    let text = String::from_utf8(head).ok()?;
    let target = text.lines().next()?.strip_prefix("GET ")?.split(' ').next()?;
    Some(target.strip_prefix("/callback?")?.to_owned())
}

async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Percent-decoded; what is malformed stays as it is, and then is not what was expected.
fn decoded(text: &str) -> String {
    crate::cli::ask::percent_decoded(&text.replace('+', " "))
}

/// A claim of a token that came from the provider itself.
fn claim(token: &str, name: &str) -> Option<String> {
    let part = token.split('.').nth(1)?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()?;
    claims.get(name).and_then(Value::as_str).map(str::to_owned)
}
