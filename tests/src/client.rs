//! A client that says exactly what a test wants to say, byte by byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::PATIENCE;

/// Either kind of connection to a gateway.
trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One connection to a gateway.
pub struct Client {
    stream: Box<dyn Stream>,
    /// The bare socket below.
    socket: TcpStream,
}

/// One answer of a gateway.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The status line's reason phrase.
    pub phrase: String,
    /// The head, as it came.
    pub head: String,
    /// The body, by its length; empty after a 200 to CONNECT.
    pub body: String,
}

impl Reply {
    /// A field of the head.
    pub fn field(&self, name: &str) -> Option<String> {
        let wanted = format!("{}:", name.to_lowercase());
        let line = self.head.lines().find(|line| line.to_lowercase().starts_with(&wanted))?;
        Some(line[wanted.len()..].trim().to_owned())
    }

    /// The decision's id.
    pub fn id(&self) -> String {
        self.field("gatepass-decision").unwrap_or_else(|| panic!("no decision id in {}", self.head))
    }
}

impl Client {
    /// A bare connection.
    pub fn plain(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client { stream: Box::new(socket.try_clone().unwrap()), socket }
    }

    /// A connection inside TLS, to `localhost`; the error is the handshake's.
    pub fn tls(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Client> {
        let Client { socket, .. } = Client::plain(address);
        let name = "localhost".to_owned().try_into().unwrap();
        let mut connection = ClientConnection::new(Arc::clone(config), name).unwrap();
        let mut below = socket.try_clone()?;
        while connection.is_handshaking() {
            connection.complete_io(&mut below)?;
        }
        // In TLS 1.3 a server refuses a certificate only after the client thinks that all is well.
        Ok(Client { stream: Box::new(StreamOwned::new(connection, below)), socket })
    }

    /// Say this.
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // A gateway that has refused already may have closed: what it answered counts, not that it stopped listening.
        let _ = self.stream.write_all(bytes.as_ref()).and_then(|()| self.stream.flush());
    }

    /// Say that nothing more comes.
    pub fn finish(&self) {
        let _ = self.socket.shutdown(std::net::Shutdown::Write);
    }

    /// Ask for a tunnel.
    pub fn connect(&mut self, authority: &str) -> Reply {
        self.say(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
        self.reply().expect("the gateway answers a CONNECT")
    }

    /// End with a reset instead of an end of stream.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.socket);
        socket.set_linger(Some(std::time::Duration::ZERO)).unwrap();
    }

    /// Say all of this while listening, end this side, and return everything that came back.
    pub fn bytes_of(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut writer = self.socket.try_clone().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let _ = writer.write_all(bytes);
                let _ = writer.shutdown(std::net::Shutdown::Write);
            });
            self.rest()
        })
    }

    /// Whether these bytes come back from an echo; `false` once the connection has ended.
    pub fn try_echo(&mut self, bytes: &[u8]) -> bool {
        let mut back = vec![0u8; bytes.len()];
        self.stream.write_all(bytes).is_ok() && self.stream.read_exact(&mut back).is_ok() && back == bytes
    }

    /// Ask for a tunnel with these further field lines.
    pub fn connect_with(&mut self, authority: &str, fields: &str) -> Option<Reply> {
        self.say(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"));
        self.reply()
    }

    /// Ask for a URL in clear, with these further field lines.
    pub fn fetch(&mut self, url: &str, fields: &str) -> Option<Reply> {
        let rest = url.strip_prefix("http://").unwrap();
        let authority = rest.split(['/', '?']).next().unwrap();
        self.say(format!("GET {url} HTTP/1.1\r\nHost: {authority}\r\n{fields}\r\n"));
        self.reply()
    }

    /// One answer; `None` where the connection ends first.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut head = Vec::new();
        let mut byte = [0u8; 1];
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                Ok(_) | Err(_) => return None,
            }
        }
        let head = String::from_utf8(head).unwrap();
        let line = head.lines().next().unwrap_or_default();
        let mut parts = line.splitn(3, ' ');
        let status = parts.nth(1).unwrap_or_default().parse().unwrap();
        let phrase = parts.next().unwrap_or_default().to_owned();
        let mut reply = Reply { status, phrase, head, body: String::new() };
        if let Some(length) = reply.field("content-length") {
            let mut body = vec![0u8; length.parse().unwrap()];
            self.stream.read_exact(&mut body).ok()?;
            reply.body = String::from_utf8(body).unwrap();
        }
        Some(reply)
    }

    /// Exactly so many bytes.
    pub fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0u8; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Everything until the end; a reset is an end as well.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut buffer = [0u8; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) | Err(_) => return bytes,
                Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            }
        }
    }

    /// Speak TLS through the tunnel, asking for `name`; the error is the handshake's.
    pub fn secure(self, name: &str, config: &Arc<ClientConfig>) -> std::io::Result<Client> {
        let connection = ClientConnection::new(Arc::clone(config), name.to_owned().try_into().unwrap()).unwrap();
        let mut stream = StreamOwned::new(connection, self.stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Client { stream: Box::new(stream), socket: self.socket })
    }

    /// `GET /` on a connection to an origin.
    pub fn get(&mut self, host: &str) -> Reply {
        self.say(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        self.reply().expect("the origin answers")
    }
}
