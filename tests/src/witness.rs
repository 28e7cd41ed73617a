//! An origin that looks into the spool, at the first byte of each connection, for the record of that connection.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use gatepass::evidence::spool::follow::{Fault, Follower};
use gatepass::evidence::spool::segment::Frame;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use prost::Message as _;

use crate::PATIENCE;

/// Gives every byte back, or answers a plain request; by then it has looked into the spool.
pub struct Witness {
    port: u16,
    sight: Arc<Mutex<Sight>>,
}

/// What was seen in the spool so far.
struct Sight {
    follower: Follower,
    /// Admissions whose connection has not been seen, by the port that the gateway dialled from.
    admitted: BTreeMap<u16, usize>,
    connections: usize,
    unrecorded: Vec<String>,
}

impl Witness {
    /// An origin that looks into this spool, which may not be there yet.
    pub fn of(spool: &Path) -> Witness {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let follower = Follower::open(spool, 0);
        let sight = Sight { follower, admitted: BTreeMap::new(), connections: 0, unrecorded: Vec::new() };
        let sight = Arc::new(Mutex::new(sight));
        let shared = Arc::clone(&sight);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sight = Arc::clone(&shared);
                std::thread::spawn(move || {
                    let _ = stream.set_read_timeout(Some(PATIENCE));
                    let _ = serve(stream, &sight);
                });
            }
        });
        Witness { port, sight }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many connections brought it a byte.
    pub fn connections(&self) -> usize {
        self.sight.lock().unwrap().connections
    }

    /// Connections that brought a byte before their admission was in the spool.
    pub fn unrecorded(&self) -> Vec<String> {
        self.sight.lock().unwrap().unrecorded.clone()
    }
}

fn serve(mut stream: TcpStream, sight: &Mutex<Sight>) -> std::io::Result<()> {
    let mut buffer = [0; 4096];
    let mut read = stream.read(&mut buffer)?;
    if read == 0 {
        return Ok(());
    }
    sight.lock().unwrap().look_for(stream.peer_addr()?.port(), &buffer[..read]);
    if buffer.starts_with(b"GET ") {
        return stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    }
    while read > 0 {
        stream.write_all(&buffer[..read])?;
        read = stream.read(&mut buffer)?;
    }
    Ok(())
}

impl Sight {
    /// The connection from this port brings its first bytes now.
    fn look_for(&mut self, port: u16, brought: &[u8]) {
        self.read_on();
        self.connections += 1;
        match self.admitted.get_mut(&port) {
            Some(count) if *count > 0 => *count -= 1,
            _ => self.unrecorded.push(format!("from port {port}: {}", brought.escape_ascii())),
        }
    }

    fn read_on(&mut self) {
        loop {
            match self.follower.next_batch(4096, 4 << 20) {
                Ok(Some(batch)) => batch.frames.iter().for_each(|(_, frame)| self.note(frame)),
                Ok(None) => return,
                // A gateway that died left a frame that is not whole; the next one cuts it off.
                Err(Fault::Damaged { .. }) => {}
                Err(fault) => panic!("{fault}"),
            }
        }
    }

    fn note(&mut self, frame: &Frame) {
        let Frame::Record(bytes) = frame else { return };
        let record = LogRecord::decode(bytes.as_slice()).unwrap();
        let value = |wanted: &str| {
            let found = record.attributes.iter().find(|attribute| attribute.key == wanted)?;
            found.value.as_ref()?.value.clone()
        };
        let admitted = value("gatepass.decision.outcome") == Some(Value::StringValue("admitted".into()));
        if let (true, Some(Value::IntValue(port))) = (admitted, value("network.local.port")) {
            *self.admitted.entry(port.try_into().unwrap()).or_default() += 1;
        }
    }
}
