//! The destinations: echo, stream, sink and HTTP, each on one port of every address that a name may have.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::{Failure, names};

/// What a stream or a sink moves at once.
pub const CHUNK: usize = 128 * 1024;
/// Bytes of body in an HTTP answer.
pub const BODY: usize = 1_024;
/// 64 at a time and bursts of idle tunnels; the kernel cuts it at `somaxconn`.
const BACKLOG: u32 = 4_096;
/// Longest request head; what the proxies add fits many times.
const HEAD: usize = 8 * 1024;
/// How often a port is tried that must be free on all addresses.
const ATTEMPTS: usize = 16;

/// One kind of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Answers whatever comes with the first byte of it, once each time.
    Echo,
    /// Sends until it is cut.
    Stream,
    /// Reads until the end.
    Sink,
    /// Answers each HTTP/1.1 request with 1,024 bytes and keeps the connection.
    Http,
}

/// Where the services are.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    echo: u16,
    stream: u16,
    sink: u16,
    http: u16,
}

impl Ports {
    /// The port of `service`, the same on every address.
    pub fn of(&self, service: Service) -> u16 {
        match service {
            Service::Echo => self.echo,
            Service::Stream => self.stream,
            Service::Sink => self.sink,
            Service::Http => self.http,
        }
    }

    /// All of them.
    pub fn all(&self) -> [u16; 4] {
        [self.echo, self.stream, self.sink, self.http]
    }
}

/// Serve on the runtime that this is called in, for as long as it lives.
pub fn serve() -> Result<Ports, Failure> {
    let response = response();
    Ok(Ports {
        echo: start(Service::Echo, &response)?,
        stream: start(Service::Stream, &response)?,
        sink: start(Service::Sink, &response)?,
        http: start(Service::Http, &response)?,
    })
}

fn start(service: Service, response: &Arc<[u8]>) -> Result<u16, Failure> {
    let (port, listeners) = listen_everywhere()?;
    for listener in listeners {
        tokio::spawn(accept(listener, service, response.clone()));
    }
    Ok(port)
}

fn listen_everywhere() -> Result<(u16, Vec<TcpListener>), Failure> {
    let mut last = Failure("the origin cannot listen".to_owned());
    for _ in 0..ATTEMPTS {
        let mut port = 0;
        let mut listeners = Vec::new();
        for address in names::addresses() {
            match listen(address, port).and_then(|listener| Ok((listener.local_addr()?, listener))) {
                Ok((bound, listener)) => {
                    port = bound.port();
                    listeners.push(listener);
                }
                Err(error) => {
                    last = Failure(format!("the origin cannot listen on `{address}:{port}`: {error}"));
                    break;
                }
            }
        }
        if listeners.len() == usize::from(names::ADDRESSES) {
            return Ok((port, listeners));
        }
    }
    Err(last)
}

fn listen(address: Ipv4Addr, port: u16) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((address, port)))?;
    socket.listen(BACKLOG)
}

async fn accept(listener: TcpListener, service: Service, response: Arc<[u8]>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of files: the load sees what it cannot open.
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            continue;
        };
        // Answers are one write each; waiting to fill a packet would be measured.
        let _ = stream.set_nodelay(true);
        // A service ends with its connection, however that ended.
        match service {
            Service::Echo => drop(tokio::spawn(echo(stream))),
            Service::Stream => drop(tokio::spawn(source(stream))),
            Service::Sink => drop(tokio::spawn(sink(stream))),
            Service::Http => drop(tokio::spawn(http(stream, response.clone()))),
        }
    }
}

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    // A TLS ClientHello fits.
    let mut buffer = [0; 4 * 1024];
    loop {
        let read = stream.read(&mut buffer).await?;
        let (Some(first), true) = (buffer.first(), read > 0) else { return Ok(()) };
        stream.write_all(&[*first]).await?;
    }
}

async fn source(mut stream: TcpStream) -> std::io::Result<()> {
    let chunk = vec![0x5a; CHUNK];
    loop {
        stream.write_all(&chunk).await?;
    }
}

async fn sink(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

/// Requests have no bodies here, and come one at a time.
async fn http(mut stream: TcpStream, response: Arc<[u8]>) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(HEAD);
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= HEAD || stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        head.clear();
        stream.write_all(&response).await?;
    }
}

fn response() -> Arc<[u8]> {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: no-store\r\n";
    let body = "x".repeat(BODY);
    format!("{head}Content-Length: {BODY}\r\n\r\n{body}").into_bytes().into()
}
