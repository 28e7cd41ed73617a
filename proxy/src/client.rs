//! A client connection, plain or inside TLS: from here on there is no difference, save that two bare sockets can be
//! spliced.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::forward::farewell;

/// How much of what a refused client still sends is thrown away, and for how long.
const DISCARD_MAX: usize = 64 * 1024;
const DISCARD_FOR: Duration = Duration::from_secs(1);
/// How long a client may take to read an answer of a few hundred bytes.
const SAY_FOR: Duration = Duration::from_secs(5);

/// The client's side of a connection.
#[derive(Debug)]
pub enum Client {
    /// A bare socket.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Whether something that was said has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It has.
    Yes,
    /// The client does not read, or is gone.
    No,
}

impl Client {
    /// Say something of the gateway's own. A client that does not read it in time is as good as gone.
    pub async fn say(&mut self, answer: &[u8]) -> Said {
        match tokio::time::timeout(SAY_FOR, self.write_all(answer)).await {
            Ok(Ok(())) => Said::Yes,
            Ok(Err(_)) | Err(_) => Said::No,
        }
    }

    /// Close by a reset, so that what was cut off never looks complete; what waits to be sent is thrown away.
    pub fn reset(self) {
        let stream = match &self {
            Client::Plain(stream) => stream,
            Client::Tls(stream) => stream.get_ref().0,
        };
        // Fails only on a socket that is beyond a reset.
        let _ = stream.set_zero_linger();
    }

    /// Say the last thing and close so that it arrives.
    pub async fn farewell(mut self, last: &[u8]) {
        if self.say(last).await == Said::Yes {
            farewell(&mut self, DISCARD_MAX, DISCARD_FOR).await;
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Client::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Client::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Client {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Client::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Client::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Client::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Client::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Client::Plain(stream) => stream.is_write_vectored(),
            Client::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Client::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Client::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Client::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Client::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

impl From<Client> for crate::tunnel::Side {
    fn from(client: Client) -> crate::tunnel::Side {
        match client {
            Client::Plain(stream) => stream.into(),
            Client::Tls(stream) => (*stream).into(),
        }
    }
}
