//! Origins: what the gateway connects to. Each remembers the bytes that reached it.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gatepass_certs::mint::{Ca, Issued, Leaf, Name, Validity};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::PATIENCE;

/// What an origin does with a connection.
#[derive(Clone, Debug)]
enum Manner {
    /// Gives every byte back.
    Echo,
    /// Answers HTTP/1.1 requests, in clear.
    Http,
    /// Answers HTTP/1.1 requests inside TLS.
    Https(Arc<ServerConfig>),
    /// Serves these files by path, inside TLS.
    Files(Arc<ServerConfig>, Arc<Files>),
    /// Sends these bytes at once, then keeps what comes.
    SpeaksFirst(Vec<u8>),
    /// Answers the first request with these bytes, then closes.
    Canned(Vec<u8>),
}

/// What is served, by path; a path that ends in `/` is a page.
pub type Files = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    bytes: Mutex<Vec<u8>>,
    requests: Mutex<Vec<String>>,
}

/// An origin on loopback. It ends with the process.
#[derive(Clone, Debug)]
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Seen>,
}

impl Origin {
    /// Gives every byte back.
    pub fn echo() -> Origin {
        Origin::start("127.0.0.1:0", Manner::Echo)
    }

    /// Answers HTTP in clear: the body says which request it was.
    pub fn http() -> Origin {
        Origin::start("127.0.0.1:0", Manner::Http)
    }

    /// The same at another address of loopback, where nobody comes by whose own origin had this port before.
    pub fn http_at(ip: &str) -> Origin {
        Origin::start(&format!("{ip}:0"), Manner::Http)
    }

    /// Answers HTTP inside TLS, under these names.
    pub fn https(ca: &Ca, names: &[&str]) -> Origin {
        Origin::start("127.0.0.1:0", Manner::Https(server_config(ca, names)))
    }

    /// Answers HTTP inside TLS, showing what this says.
    pub fn presenting(config: Arc<ServerConfig>) -> Origin {
        Origin::start("127.0.0.1:0", Manner::Https(config))
    }

    /// Serves these files inside TLS, under these names; every other path is 404.
    pub fn files(ca: &Ca, names: &[&str], files: Files) -> Origin {
        Origin::start("127.0.0.1:0", Manner::Files(server_config(ca, names), Arc::new(files)))
    }

    /// Sends `greeting` as soon as somebody connects.
    pub fn speaks_first(greeting: &[u8]) -> Origin {
        Origin::start("127.0.0.1:0", Manner::SpeaksFirst(greeting.to_vec()))
    }

    /// Answers the first request with exactly these bytes, and closes.
    pub fn canned(answer: &[u8]) -> Origin {
        Origin::start("127.0.0.1:0", Manner::Canned(answer.to_vec()))
    }

    fn start(bind: &str, manner: Manner) -> Origin {
        let listener = TcpListener::bind(bind).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (manner, seen) = (manner.clone(), Arc::clone(&shared));
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    let _ = serve(stream, &manner, &seen);
                });
            }
        });
        Origin { address, seen }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it took.
    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Every byte that reached it, TLS records and all.
    pub fn bytes(&self) -> Vec<u8> {
        self.seen.bytes.lock().unwrap().clone()
    }

    /// The head of every HTTP request that reached it.
    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

fn server_config(ca: &Ca, names: &[&str]) -> Arc<ServerConfig> {
    let validity = Validity::from(jiff::Timestamp::now(), jiff::SignedDuration::from_hours(1)).unwrap();
    let names = names.iter().map(|name| name.parse().map_or_else(|_| Name::Dns((*name).to_owned()), Name::Ip));
    http_server(&ca.issue(&Leaf::server(names.collect(), validity)).unwrap())
}

/// TLS of a server that shows a certificate, whatever that is worth.
pub fn http_server(issued: &Issued) -> Arc<ServerConfig> {
    server_showing(issued.chain(), issued.key())
}

/// The same of any certificates and key.
pub fn server_showing(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(gatepass_certs::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    Arc::new(config)
}

/// A socket that remembers what was read from it.
struct Watched {
    stream: TcpStream,
    seen: Arc<Seen>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.seen.bytes.lock().unwrap().extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl Write for Watched {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

fn serve(stream: TcpStream, manner: &Manner, seen: &Arc<Seen>) -> std::io::Result<()> {
    let mut watched = Watched { stream, seen: Arc::clone(seen) };
    match manner {
        Manner::Echo => {
            let mut buffer = [0u8; 16 * 1024];
            loop {
                match watched.read(&mut buffer)? {
                    0 => return watched.stream.shutdown(std::net::Shutdown::Write),
                    read => watched.write_all(&buffer[..read])?,
                }
            }
        }
        Manner::Http => http(watched, seen),
        Manner::Https(config) => {
            let connection = ServerConnection::new(Arc::clone(config)).unwrap();
            http(StreamOwned::new(connection, watched), seen)
        }
        Manner::Files(config, files) => {
            let connection = ServerConnection::new(Arc::clone(config)).unwrap();
            serve_files(StreamOwned::new(connection, watched), seen, files)
        }
        Manner::SpeaksFirst(greeting) => {
            watched.write_all(greeting)?;
            let mut rest = Vec::new();
            watched.read_to_end(&mut rest).map(|_| ())
        }
        Manner::Canned(answer) => {
            read_head(&mut watched)?;
            watched.write_all(answer)?;
            watched.stream.shutdown(std::net::Shutdown::Write)?;
            let mut rest = Vec::new();
            watched.read_to_end(&mut rest).map(|_| ())
        }
    }
}

/// Bytes up to the empty line; `None` at the end of the connection.
pub fn read_head(stream: &mut impl Read) -> std::io::Result<Option<String>> {
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(String::from_utf8_lossy(&head).into_owned()))
}

/// Answers every request with a body that names it; a body of the request is read and counted.
fn http(mut stream: impl Read + Write, seen: &Seen) -> std::io::Result<()> {
    while let Some(head) = read_head(&mut stream)? {
        let line = head.lines().next().unwrap_or_default().to_owned();
        let field = |name: &str| {
            let wanted = format!("{name}:");
            let found = head.lines().find(|line| line.to_lowercase().starts_with(&wanted));
            found.map(|line| line[wanted.len()..].trim().to_owned())
        };
        let length: usize = field("content-length").map_or(0, |text| text.parse().unwrap_or(0));
        let mut body = vec![0u8; length];
        stream.read_exact(&mut body)?;
        seen.requests.lock().unwrap().push(head.clone());
        let text = format!("origin saw: {line} with {} bytes\n", body.len());
        let shown = if line.starts_with("HEAD ") { "" } else { &text };
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{shown}", text.len())?;
        stream.flush()?;
    }
    Ok(())
}

/// Answers every `GET` with the file of that path, whatever the query.
fn serve_files(mut stream: impl Read + Write, seen: &Seen, files: &Files) -> std::io::Result<()> {
    while let Some(head) = read_head(&mut stream)? {
        let target = head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let kind = if path.ends_with('/') { "text/html" } else { "application/octet-stream" };
        let (status, body) = files.get(path).map_or(("404 Not Found", &[][..]), |bytes| ("200 OK", bytes));
        seen.requests.lock().unwrap().push(head.clone());
        write!(stream, "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len())?;
        stream.write_all(body)?;
        stream.flush()?;
    }
    Ok(())
}
