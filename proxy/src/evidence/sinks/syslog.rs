//! The way to a syslog receiver: TCP or TLS, one connection, made when there is something to send.
//!
//! Syslog has no acknowledgement: `Ok` means that the system took the bytes, not that anybody stored them. What a
//! connection carried last when it broke is unknown, so the batch before is sent once more on the next connection. A
//! receiver that falls over with more than that unread loses it; OTLP is the sink that cannot.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::rfc5424;

/// Where records go, and how.
pub struct Settings {
    /// A name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// TLS, if it is spoken: the configuration, and what the receiver's certificate must name.
    pub tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// What messages hold.
    pub form: Form,
    /// Who is said to send.
    pub sender: rfc5424::Sender,
    /// For connecting with its handshake, and for sending one batch.
    pub timeout: Duration,
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Structured data and a sentence.
    Rfc5424,
    /// An OCSF event in JSON.
    Ocsf,
}

/// A connection to a receiver, or the intent to make one.
pub struct Sender {
    settings: Settings,
    connection: Option<Connection>,
    /// The last batch that was sent: the receiver may not have read it.
    last: Vec<u8>,
}

enum Connection {
    Clear(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Sender {
    /// Nothing is connected yet.
    pub fn new(settings: Settings) -> Sender {
        Sender { settings, connection: None, last: Vec::new() }
    }

    /// Send a batch. After an error the same batch is to be sent again; the error says what failed.
    pub async fn send(&mut self, records: &[Value]) -> Result<(), String> {
        let mut frames = Vec::new();
        for record in records {
            let message = match self.settings.form {
                Form::Rfc5424 => rfc5424::message(record, &self.settings.sender),
                Form::Ocsf => rfc5424::ocsf_message(record, &self.settings.sender),
            };
            rfc5424::frame(&message, &mut frames);
        }
        // Taken out while it is written to: a batch that is abandoned half-way must not be continued by the next one.
        let former = match self.connection.take() {
            Some(connection) => connection.alive().await,
            None => None,
        };
        let mut connection = match former {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let sent = tokio::time::timeout(self.settings.timeout, connection.write(&frames)).await;
        sent.map_err(|_| self.failed("it takes no more"))?.map_err(|error| self.failed(&error.to_string()))?;
        self.connection = Some(connection);
        self.last = frames;
        Ok(())
    }

    /// A new connection, on which the batch before has been sent again.
    async fn connect(&self) -> Result<Connection, String> {
        let connecting = async {
            let socket = TcpStream::connect((self.settings.host.as_str(), self.settings.port)).await?;
            let mut connection = match &self.settings.tls {
                None => Connection::Clear(socket),
                Some((config, name)) => {
                    let connector = TlsConnector::from(Arc::clone(config));
                    Connection::Tls(Box::new(connector.connect(name.clone(), socket).await?))
                }
            };
            connection.write(&self.last).await?;
            Ok::<_, io::Error>(connection)
        };
        let connected = tokio::time::timeout(self.settings.timeout, connecting).await;
        connected.map_err(|_| self.failed("it does not answer"))?.map_err(|error| self.failed(&error.to_string()))
    }

    /// Say that no more comes, and wait until the receiver has closed too: then it has read everything.
    pub async fn close(&mut self) -> Result<(), String> {
        let Some(mut connection) = self.connection.take() else { return Ok(()) };
        let closed = tokio::time::timeout(self.settings.timeout, connection.close()).await;
        closed.map_err(|_| self.failed("it does not close"))?.map_err(|error| self.failed(&error.to_string()))
    }

    fn failed(&self, why: &str) -> String {
        format!("the syslog receiver {}:{}: {why}", self.settings.host, self.settings.port)
    }
}

impl Connection {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Connection::Clear(socket) => {
                socket.write_all(bytes).await?;
                socket.flush().await
            }
            Connection::Tls(socket) => {
                socket.write_all(bytes).await?;
                socket.flush().await
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        match self {
            Connection::Clear(socket) => socket.shutdown().await?,
            Connection::Tls(socket) => socket.shutdown().await?,
        }
        let mut bytes = [0; 64];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match poll_fn(|cx| self.poll_read(cx, &mut buffer)).await {
                Ok(()) if !buffer.filled().is_empty() => {}
                Ok(()) => return Ok(()),
                // Not every receiver of TLS takes its leave.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// This connection, unless the receiver has closed it: the system would take one more batch before it said so.
    async fn alive(mut self) -> Option<Connection> {
        // What arrived since is only known once the runtime has looked.
        tokio::task::yield_now().await;
        let mut bytes = [0; 64];
        // A receiver has nothing to say; what it says all the same is not listened to, so many times.
        for _ in 0..64 {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = poll_fn(|cx| Poll::Ready(self.poll_read(cx, &mut buffer))).await;
            match read {
                Poll::Pending => return Some(self),
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(Ok(()) | Err(_)) => return None,
            }
        }
        None
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self {
            Connection::Clear(socket) => Pin::new(socket).poll_read(cx, into),
            Connection::Tls(socket) => Pin::new(socket.as_mut()).poll_read(cx, into),
        }
    }
}

#[cfg(test)]
impl Sender {
    /// Wait until there is something to read, the end of the connection included.
    pub(super) async fn stirred(&self) {
        if let Some(Connection::Clear(socket)) = &self.connection {
            socket.readable().await.unwrap();
        }
    }
}
