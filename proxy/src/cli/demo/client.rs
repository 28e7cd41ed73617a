//! The tour's client: says what curl would say, and keeps what came back.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use uuid::Uuid;

/// An answer on the tour is far shorter.
const ANSWER_MAX: usize = 64 * 1024;

/// A connection, in clear or not.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The status line.
    pub line: String,
    /// The decision.
    pub id: Option<Uuid>,
    /// The body.
    pub body: String,
}

/// A conversation.
pub struct Client {
    stream: Box<dyn Stream>,
    user: Option<String>,
}

impl Client {
    /// With a plain listener, as `user` where one is given: `NAME:TOKEN`.
    pub async fn plain(gateway: SocketAddr, user: Option<String>) -> Result<Client, String> {
        let stream = TcpStream::connect(gateway).await.map_err(|error| error.to_string())?;
        Ok(Client { stream: Box::new(stream), user })
    }

    /// With a listener that speaks TLS.
    pub async fn mesh(gateway: SocketAddr, config: &Arc<ClientConfig>) -> Result<Client, String> {
        Client::plain(gateway, None).await?.secure("localhost", config).await
    }

    /// TLS with whoever is at the other end, who must prove to be `name`.
    pub async fn secure(self, name: &str, config: &Arc<ClientConfig>) -> Result<Client, String> {
        let name = name.to_owned().try_into().map_err(|_| format!("`{name}` is not a name"))?;
        let connected = tokio_rustls::TlsConnector::from(Arc::clone(config)).connect(name, self.stream).await;
        let stream = connected.map_err(|error| error.to_string())?;
        Ok(Client { stream: Box::new(stream), user: None })
    }

    /// Ask for a tunnel.
    pub async fn connect(&mut self, authority: &str) -> Result<Answer, String> {
        self.request("CONNECT", authority, authority).await
    }

    /// One request, and its answer.
    pub async fn request(&mut self, method: &str, target: &str, host: &str) -> Result<Answer, String> {
        self.send(method, target, host, "").await
    }

    /// Upload `body`, and the answer.
    pub async fn post(&mut self, target: &str, host: &str, body: &str) -> Result<Answer, String> {
        self.send("POST", target, host, body).await
    }

    async fn send(&mut self, method: &str, target: &str, host: &str, body: &str) -> Result<Answer, String> {
        let credentials = self
            .user
            .as_ref()
            .map_or_else(String::new, |user| format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user)));
        let length = if method == "POST" { format!("Content-Length: {}\r\n", body.len()) } else { String::new() };
        let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{credentials}{length}\r\n");
        // A gateway that refuses the certificate may be gone already; what it said last is worth more than that.
        let _ = self.stream.write_all((head + body).as_bytes()).await;
        let _ = self.stream.flush().await;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer, String> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            self.more(&mut bytes).await?;
        };
        let head = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned();
        let field = |name: &str| {
            let found = head.lines().filter_map(|line| line.split_once(':'));
            found.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
        };
        let line = head.lines().next().unwrap_or_default().to_owned();
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| format!("`{line}` is no answer"))?;
        let length: usize = field("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        while bytes.len() < end + length {
            self.more(&mut bytes).await?;
        }
        let body = String::from_utf8_lossy(bytes.get(end..end + length).unwrap_or_default()).into_owned();
        let id = field("gatepass-decision").and_then(|id| Uuid::try_parse(&id).ok());
        Ok(Answer { status, line, id, body })
    }

    async fn more(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        match self.stream.read_buf(bytes).await {
            Ok(0) => Err("the connection was closed".to_owned()),
            Ok(_) if bytes.len() > ANSWER_MAX => Err("the answer is too long".to_owned()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}
