//! One end of a tunnel: a bare socket, or TLS over one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsStream, server};

/// One end of a tunnel.
#[derive(Debug)]
pub enum Side {
    /// A bare socket: its bytes may pass through the kernel alone.
    Plain(TcpStream),
    /// TLS that the gateway itself ends. Boxed, because the session is large and the other kind is common.
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Side {
    fn from(stream: TcpStream) -> Side {
        Side::Plain(stream)
    }
}

impl From<server::TlsStream<TcpStream>> for Side {
    fn from(stream: server::TlsStream<TcpStream>) -> Side {
        Side::Tls(Box::new(TlsStream::Server(stream)))
    }
}

impl Side {
    /// The socket, where nothing stands between it and the bytes.
    pub(super) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Side::Plain(stream) => Some(stream),
            Side::Tls(_) => None,
        }
    }

    /// Wait for bytes without a buffer to put them in. TLS may hold some already, so there one has to try.
    pub(super) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Side::Plain(stream) => stream.poll_read_ready(cx),
            Side::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Close by a reset instead of an end of stream; what waits to be sent is thrown away.
    pub(super) fn reset(self) {
        let stream = match &self {
            Side::Plain(stream) => stream,
            Side::Tls(tls) => tls.get_ref().0,
        };
        // Fails only on a socket that is beyond a reset.
        let _ = stream.set_zero_linger();
    }
}

impl AsyncRead for Side {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Side::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Side::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Side {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Side::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Side::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Side::Plain(_) => Poll::Ready(Ok(())),
            Side::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Side::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Side::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
