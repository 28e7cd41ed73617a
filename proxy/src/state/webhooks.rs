//! Announcements: who is on duty is told at once, signed so that nobody else can tell it, and again until it was taken.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use bytes::Bytes;
use gatepass_config::webhooks::Webhook as Configured;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;

use crate::evidence::RoomOf;
use crate::evidence::ship::tls::Secure;
use crate::metrics::Metrics;

/// Announcements that wait; more are dropped, and counted: what they tell is in the records all the same.
const WAITING_MAX: usize = 256;

/// One try.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tries of one announcement, with a pause that doubles between them: about ten minutes.
const TRIES: u32 = 10;

/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// Bytes of an answer that are read.
const ANSWER_MAX: usize = 64 << 10;

/// Where announcements go.
#[derive(Clone)]
pub struct Webhook {
    /// As configured: where it is, and where the key of its signature is.
    pub configured: Configured,
    /// How it is spoken to, where that is in TLS.
    pub secure: Option<Secure>,
}

impl Webhook {
    fn host(&self) -> String {
        self.configured.url.host.to_text().into_owned()
    }

    /// The key, which may be another one by now.
    async fn key(&self) -> Result<Vec<u8>, String> {
        let configured = self.configured.clone();
        let read = tokio::task::spawn_blocking(move || configured.key()).await;
        let read = read.map_err(|_| "reading its secret ended in a fault of the gateway".to_owned())?;
        read.map(|secret| secret.expose().as_bytes().to_vec()).map_err(|problems| problems.to_string())
    }
}

/// All of them.
#[derive(Clone, Default)]
pub struct Webhooks {
    queues: Arc<[mpsc::Sender<Arc<str>>]>,
    metrics: Option<Arc<Metrics>>,
}

impl Webhooks {
    /// Start a task for each: one that hangs does not keep others waiting. To be called within the runtime.
    pub fn start(webhooks: Vec<Webhook>, metrics: &Arc<Metrics>) -> Webhooks {
        let start = |webhook: Webhook| {
            let (queue, waiting) = mpsc::channel(WAITING_MAX);
            tokio::spawn(deliver(webhook, waiting, Arc::clone(metrics)));
            queue
        };
        Webhooks { queues: webhooks.into_iter().map(start).collect(), metrics: Some(Arc::clone(metrics)) }
    }

    /// Tell all of them. Never waits. What anybody may cause takes half of the places at most, so that it does not keep what
    /// operators do from being told.
    pub(super) fn tell(&self, what: &Value, of: RoomOf) {
        let text: Arc<str> = what.to_string().into();
        for queue in self.queues.iter() {
            let room = match of {
                RoomOf::Operators => true,
                RoomOf::Anybody => queue.capacity() > WAITING_MAX / 2,
            };
            if !room || queue.try_send(Arc::clone(&text)).is_err() {
                self.metrics.iter().for_each(|metrics| metrics.webhook_failures.increment(1));
                eprintln!("webhook: too much waits to be told; this is not: {text}");
            }
        }
    }
}

async fn deliver(webhook: Webhook, mut waiting: mpsc::Receiver<Arc<str>>, metrics: Arc<Metrics>) {
    while let Some(text) = waiting.recv().await {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES {
            let sent = tokio::time::timeout(PATIENCE, send(&webhook, &text)).await;
            let why = match sent {
                Ok(Ok(())) => break,
                Ok(Err(why)) => why,
                Err(_) => "no answer in 5 s".to_owned(),
            };
            metrics.webhook_failures.increment(1);
            if attempt == TRIES {
                eprintln!("webhook: `{}` was not told after {TRIES} tries: {why}", webhook.configured.url);
                break;
            }
            if attempt == 1 {
                eprintln!(
                    "webhook: `{}` does not take an announcement, it is tried again: {why}",
                    webhook.configured.url
                );
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(Duration::from_secs(120));
        }
    }
}

async fn send(webhook: &Webhook, text: &str) -> Result<(), String> {
    let key = webhook.key().await?;
    let host = webhook.host();
    let stream = TcpStream::connect((host.as_str(), webhook.configured.url.port)).await;
    let stream = stream.map_err(|error| error.to_string())?;
    match &webhook.secure {
        None => post(TokioIo::new(stream), webhook, &key, text).await,
        Some(Secure { config, name }) => {
            let stream = TlsConnector::from(Arc::clone(config)).connect(name.clone(), stream).await;
            post(TokioIo::new(stream.map_err(|error| error.to_string())?), webhook, &key, text).await
        }
    }
}

async fn post<S>(stream: S, webhook: &Webhook, key: &[u8], text: &str) -> Result<(), String>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.map_err(broken)?;
    let connection = tokio::spawn(connection);
    let (host, url) = (webhook.host(), &webhook.configured.url);
    let host = if host.contains(':') { format!("[{host}]:{}", url.port) } else { format!("{host}:{}", url.port) };
    let path = if url.path.is_empty() { "/" } else { &url.path };
    let request = http::Request::post(path)
        .header("host", host)
        .header("content-type", "application/json")
        .header("gatepass-signature", signature(key, jiff::Timestamp::now().as_second(), text))
        .body(Full::new(Bytes::from(text.to_owned())))
        .map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(broken)?;
    let status = response.status();
    // Whatever it says besides is read, so that the connection ends in peace, and not looked at.
    let _ = Limited::new(response.into_body(), ANSWER_MAX).collect().await;
    connection.abort();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
}

/// `t=SECONDS,v1=HEX`: HMAC-SHA256 over `SECONDS.BODY`, so that an old announcement cannot be told again as a new one.
pub fn signature(secret: &[u8], seconds: i64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let tag = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_over_the_time_and_the_body() {
        let told = signature(b"secret", 1_700_000_000, "{}");
        assert!(told.starts_with("t=1700000000,v1=") && told.len() == 16 + 64, "{told}");
        assert_ne!(told, signature(b"secret", 1_700_000_001, "{}"));
        assert_ne!(told, signature(b"other", 1_700_000_000, "{}"));
    }

    #[tokio::test]
    async fn what_anybody_causes_leaves_room_for_what_operators_do() {
        let (queue, mut waiting) = mpsc::channel(WAITING_MAX);
        let webhooks = Webhooks { queues: Arc::new([queue]), metrics: None };
        for _ in 0..WAITING_MAX {
            webhooks.tell(&Value::from("asked"), RoomOf::Anybody);
        }
        webhooks.tell(&Value::from("granted"), RoomOf::Operators);
        assert_eq!(waiting.len(), WAITING_MAX / 2 + 1);
        let mut last = None;
        while let Ok(text) = waiting.try_recv() {
            last = Some(text);
        }
        assert_eq!(last.as_deref(), Some("\"granted\""));
    }
}
