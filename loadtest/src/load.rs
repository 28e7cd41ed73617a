//! One client at a time: opens connections to a proxy or straight to the origin, and asks through them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gatepass_certs::{Alpn, client};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::rustls::{ClientConnection, pki_types::ServerName};

use crate::origin::{BODY, Ports, Service};
use crate::{Failure, names};

/// Longest answer to a CONNECT or head of a response.
const HEAD: usize = 2 * 1024;

/// How the origin is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight: what the machine can do without a proxy.
    Direct,
    /// Through the proxy at this address.
    Proxy(SocketAddr),
}

/// One destination.
#[derive(Debug)]
pub struct Name {
    /// As a client writes it.
    pub host: String,
    /// Where it is.
    pub address: Ipv4Addr,
    /// A valid ClientHello with this name in it.
    pub hello: Vec<u8>,
}

/// The destinations of a run.
#[derive(Debug)]
pub struct Destinations {
    names: Vec<Name>,
    ports: Ports,
}

impl Destinations {
    /// All names, with a ClientHello each.
    pub fn new(ports: Ports) -> Result<Destinations, Failure> {
        let config = client::config(&[], None, &[Alpn::H2, Alpn::Http11]).map_err(Failure::at("TLS"))?;
        let names = (0..usize::from(names::COUNT)).map(|number| {
            let host = names::name(number);
            let hello = hello(&config, &host)?;
            Ok(Name { host, address: names::address(number), hello })
        });
        Ok(Destinations { names: names.collect::<Result<_, Failure>>()?, ports })
    }

    /// The ports of the origin.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }
}

fn hello(config: &Arc<tokio_rustls::rustls::ClientConfig>, host: &str) -> Result<Vec<u8>, Failure> {
    let name = ServerName::try_from(host.to_owned()).map_err(Failure::at(host))?;
    let mut connection = ClientConnection::new(config.clone(), name).map_err(Failure::at("TLS"))?;
    let mut bytes = Vec::new();
    connection.write_tls(&mut bytes).map_err(Failure::at("TLS"))?;
    Ok(bytes)
}

/// A client of one route.
#[derive(Debug)]
pub struct Client {
    destinations: Arc<Destinations>,
    route: Route,
    names: AtomicUsize,
    sources: AtomicUsize,
}

impl Client {
    /// A client that has not asked for anything yet.
    pub fn new(destinations: Arc<Destinations>, route: Route) -> Client {
        Client { destinations, route, names: AtomicUsize::new(0), sources: AtomicUsize::new(0) }
    }

    /// The next name, all of them in turn.
    pub fn next_name(&self) -> Result<&Name, Failure> {
        let all = &self.destinations.names;
        let turn = self.names.fetch_add(1, Ordering::Relaxed);
        all.get(turn % all.len().max(1)).ok_or_else(|| Failure("there are no names".to_owned()))
    }

    /// A stream to a service: through CONNECT where there is a proxy.
    pub async fn tunnel(&self, name: &Name, service: Service) -> Result<TcpStream, Failure> {
        let port = self.destinations.ports.of(service);
        match self.route {
            Route::Direct => self.connect((name.address, port).into()).await,
            Route::Proxy(proxy) => {
                let mut stream = self.connect(proxy).await?;
                let host = &name.host;
                let request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
                stream.write_all(request.as_bytes()).await.map_err(Failure::at("CONNECT"))?;
                let mut answer = Vec::with_capacity(HEAD);
                read_head(&mut stream, &mut answer).await?;
                Ok(stream)
            }
        }
    }

    /// A connection for HTTP requests, and the request to send on it.
    pub async fn http(&self, name: &Name) -> Result<(TcpStream, String), Failure> {
        let port = self.destinations.ports.of(Service::Http);
        let host = &name.host;
        let (to, target) = match self.route {
            Route::Direct => ((name.address, port).into(), "/item".to_owned()),
            Route::Proxy(proxy) => (proxy, format!("http://{host}:{port}/item")),
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: gatepass-loadtest\r\nAccept: */*\r\n\r\n"
        );
        Ok((self.connect(to).await?, request))
    }

    async fn connect(&self, to: SocketAddr) -> Result<TcpStream, Failure> {
        let source = names::source(self.sources.fetch_add(1, Ordering::Relaxed));
        let stream = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind((source, 0).into())?;
            let stream = socket.connect(to).await?;
            stream.set_nodelay(true)?;
            Ok::<_, std::io::Error>(stream)
        };
        stream.await.map_err(Failure::at("connect"))
    }
}

/// Send `request` and read the whole answer, which must be a 200 of known length.
pub async fn exchange(stream: &mut TcpStream, request: &str, answer: &mut Vec<u8>) -> Result<(), Failure> {
    stream.write_all(request.as_bytes()).await.map_err(Failure::at("request"))?;
    answer.clear();
    let head = read_head(stream, answer).await?;
    let length = answer.get(..head).and_then(content_length);
    if length != Some(BODY) {
        return Err(Failure(format!("the answer should have {BODY} bytes and says {length:?}")));
    }
    while answer.len() < head + BODY {
        if stream.read_buf(answer).await.map_err(Failure::at("body"))? == 0 {
            return Err(Failure("the body ended early".to_owned()));
        }
    }
    Ok(())
}

/// Read to the empty line after a 200, and tell where that ends.
async fn read_head(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<usize, Failure> {
    loop {
        if stream.read_buf(bytes).await.map_err(Failure::at("answer"))? == 0 {
            return Err(Failure(format!("closed after `{}`", first_line(bytes))));
        }
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if bytes.len() >= HEAD {
                return Err(Failure(format!("too long an answer: `{}`", first_line(bytes))));
            }
            continue;
        };
        return match bytes.strip_prefix(b"HTTP/1.1 200") {
            Some(_) => Ok(end + 4),
            None => Err(Failure(format!("refused: `{}`", first_line(bytes)))),
        };
    }
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, value) = fields.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    value.trim().parse().ok()
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().unwrap_or("").chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin;

    async fn direct() -> Client {
        let ports = origin::serve().unwrap();
        Client::new(Arc::new(Destinations::new(ports).unwrap()), Route::Direct)
    }

    #[tokio::test]
    async fn a_client_hello_carries_its_name_and_the_origin_answers_with_one_byte() {
        let client = direct().await;
        let name = client.next_name().unwrap();
        assert_eq!(name.hello.first(), Some(&22), "a TLS handshake record");
        let host = name.host.as_bytes();
        assert!(name.hello.windows(host.len()).any(|part| part == host));
        let mut stream = client.tunnel(name, Service::Echo).await.unwrap();
        stream.write_all(&name.hello).await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), 22);
    }

    #[tokio::test]
    async fn requests_follow_each_other_on_one_connection() {
        let client = direct().await;
        let (mut stream, request) = client.http(client.next_name().unwrap()).await.unwrap();
        let mut answer = Vec::new();
        for _ in 0..3 {
            exchange(&mut stream, &request, &mut answer).await.unwrap();
            assert!(answer.ends_with(b"xxx"));
        }
    }

    #[tokio::test]
    async fn anything_but_200_is_a_failure() {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let proxy = listener.local_addr().unwrap();
        let refuse = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let read = stream.read(&mut [0; 1_024]).await.unwrap();
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 403 gatepass: no rule\r\n\r\n").await.unwrap();
        });
        let ports = origin::serve().unwrap();
        let client = Client::new(Arc::new(Destinations::new(ports).unwrap()), Route::Proxy(proxy));
        let refused = client.tunnel(client.next_name().unwrap(), Service::Echo).await.unwrap_err();
        assert_eq!(refused.0, "refused: `HTTP/1.1 403 gatepass: no rule`");
        refuse.await.unwrap();
    }

    #[test]
    fn the_length_is_read_whatever_its_case() {
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\nVia: x\r\ncontent-length: 17\r\n\r\n"), Some(17));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\n\r\n"), None);
    }
}
