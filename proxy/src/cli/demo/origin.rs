//! Where the tour's clients want to go: HTTP on loopback, in TLS and in clear, with every byte that arrives counted.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Nobody on the tour keeps a connection longer without a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request of the tour's clients fits, its body with it.
const REQUEST_MAX: usize = 16 * 1024;

/// What arrived on one connection.
#[derive(Debug, Default)]
pub struct Seen {
    /// Bytes, TLS records and all.
    pub bytes: AtomicU64,
    /// Whether it is over.
    pub ended: AtomicBool,
}

/// An origin on a free port of loopback. It ends with the runtime.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Where it listens.
    pub address: SocketAddr,
    connections: Arc<Mutex<Vec<Arc<Seen>>>>,
}

impl Origin {
    /// Start one: inside TLS with `tls`, in clear without.
    pub async fn start(tls: Option<Arc<ServerConfig>>) -> io::Result<Origin> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let origin = Origin { address: listener.local_addr()?, connections: Arc::default() };
        let connections = Arc::clone(&origin.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::new(Seen::default());
                connections.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&seen));
                tokio::spawn(serve(stream, tls.clone(), seen));
            }
        });
        Ok(origin)
    }

    /// The connections so far, the oldest first.
    pub fn connections(&self) -> Vec<Arc<Seen>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn serve(stream: TcpStream, tls: Option<Arc<ServerConfig>>, seen: Arc<Seen>) {
    let counted = Counted { stream, seen: Arc::clone(&seen) };
    // How a client leaves is its own affair; what it sent has been counted.
    let _ = match tls {
        None => answer(counted).await,
        Some(config) => match tokio_rustls::TlsAcceptor::from(config).accept(counted).await {
            Ok(inside) => answer(inside).await,
            Err(error) => Err(error),
        },
    };
    seen.ended.store(true, Ordering::SeqCst);
}

/// Each request, once its body is there, is answered with the name that it was sent to.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        while let Some(end) = whole(&buffer) {
            let request: Vec<u8> = buffer.drain(..end).collect();
            let body = format!("hello from {}\n", host(&String::from_utf8_lossy(&request)));
            let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all((head + &body).as_bytes()).await?;
            stream.flush().await?;
        }
        let read = tokio::time::timeout(PATIENCE, stream.read_buf(&mut buffer)).await??;
        if read == 0 || buffer.len() > REQUEST_MAX {
            return stream.shutdown().await;
        }
    }
}

/// Where the first request ends, if all of it is there.
fn whole(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let length = field(&String::from_utf8_lossy(buffer.get(..head)?), "content-length:");
    let end = head.checked_add(length.map_or(Some(0), |length| length.parse().ok())?)?;
    (end <= buffer.len()).then_some(end)
}

/// The name in `Host`, without the port.
fn host(head: &str) -> String {
    let value = field(head, "host:").unwrap_or_default();
    value.split(':').next().unwrap_or_default().to_owned()
}

/// The value of a field, in small letters.
fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix(name).map(|value| value.trim().to_owned()))
}

/// A socket that counts what is read from it.
struct Counted {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl AsyncRead for Counted {
    fn poll_read(mut self: Pin<&mut Self>, task: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(task, into);
        let read = into.filled().len().saturating_sub(before);
        self.seen.bytes.fetch_add(u64::try_from(read).unwrap_or(u64::MAX), Ordering::SeqCst);
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, task: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}
