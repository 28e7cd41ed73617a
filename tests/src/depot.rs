//! A server of archives inside TLS: it tags what it gives, says that nothing has changed, and can be made to fail.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use gatepass_certs::mint::{Ca, Leaf, Name};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::PATIENCE;
use crate::gateway::hour;
use crate::origin::read_head;

/// What it answers.
#[derive(Clone, Debug)]
pub enum Shelf {
    /// These bytes with this tag, or that they have not changed.
    Archive(Vec<u8>, String),
    /// Exactly these bytes, head included.
    Raw(Vec<u8>),
    /// Nothing: it hangs up.
    Down,
}

/// The server. It ends with the process.
#[derive(Clone, Debug)]
pub struct Depot {
    address: SocketAddr,
    shelf: Arc<Mutex<Shelf>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Depot {
    /// With a certificate of this authority for `localhost`; there is nothing on its shelf.
    pub fn start(ca: &Ca) -> Depot {
        let leaf = ca.issue(&Leaf::server(vec![Name::Dns("localhost".into())], hour())).unwrap();
        let config = ServerConfig::builder_with_provider(gatepass_certs::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(leaf.chain(), leaf.key())
            .unwrap();
        let (config, listener) = (Arc::new(config), TcpListener::bind("127.0.0.1:0").unwrap());
        let address = listener.local_addr().unwrap();
        let depot = Depot { address, shelf: Arc::new(Mutex::new(Shelf::Down)), heads: Arc::default() };
        let of_thread = depot.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (depot, config) = (of_thread.clone(), Arc::clone(&config));
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    let _ = depot.serve(stream, &config);
                });
            }
        });
        depot
    }

    /// Where the archive is.
    pub fn url(&self) -> String {
        format!("https://localhost:{}/corp.gpb", self.address.port())
    }

    /// Give this from now on; the tag says which it is.
    pub fn give(&self, archive: &[u8], tag: &str) {
        self.put(Shelf::Archive(archive.to_vec(), format!("\"{tag}\"")));
    }

    /// Answer like this from now on.
    pub fn put(&self, shelf: Shelf) {
        *self.shelf.lock().unwrap() = shelf;
    }

    /// The heads of the questions so far.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn serve(&self, stream: TcpStream, config: &Arc<ServerConfig>) -> std::io::Result<()> {
        let shelf = self.shelf.lock().unwrap().clone();
        if let Shelf::Down = shelf {
            return Ok(());
        }
        let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), stream);
        let Some(head) = read_head(&mut stream)? else { return Ok(()) };
        self.heads.lock().unwrap().push(head.clone());
        match shelf {
            Shelf::Down => {}
            Shelf::Raw(bytes) => stream.write_all(&bytes)?,
            Shelf::Archive(_, tag) if head.contains(&format!("if-none-match: {tag}")) => {
                write!(stream, "HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\n\r\n")?;
            }
            Shelf::Archive(bytes, tag) => {
                write!(stream, "HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {}\r\n\r\n", bytes.len())?;
                stream.write_all(&bytes)?;
            }
        }
        stream.flush()?;
        stream.conn.send_close_notify();
        stream.flush()?;
        let mut rest = Vec::new();
        stream.sock.read_to_end(&mut rest).map(|_| ())
    }
}
