//! The tour's name server: a handful of names, and every question counted.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UdpSocket;

/// RFC 1035 section 4.1.1: the header.
const HEADER: usize = 12;
/// RFC 1035 section 4.2.1: the longest question over UDP.
const DATAGRAM: usize = 512;

/// The server. It ends with the runtime.
#[derive(Clone, Debug)]
pub struct Names {
    /// Where it listens.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Names {
    /// A server that knows these names and no other.
    pub async fn start(known: HashMap<&'static str, Ipv4Addr>) -> io::Result<Names> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let names = Names { address: socket.local_addr()?, asked: Arc::default() };
        let asked = Arc::clone(&names.asked);
        tokio::spawn(async move {
            let mut buffer = [0u8; DATAGRAM];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let Some((name, reply)) = respond(buffer.get(..length).unwrap_or_default(), &known) else { continue };
                asked.lock().unwrap_or_else(PoisonError::into_inner).push(name);
                let _ = socket.send_to(&reply, from).await;
            }
        });
        Ok(names)
    }

    /// How many questions about this name arrived.
    pub fn questions(&self, name: &str) -> usize {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|other| *other == name).count()
    }
}

/// The name asked for, and the whole answer: an address, nothing of that kind, or NXDOMAIN.
fn respond(query: &[u8], known: &HashMap<&'static str, Ipv4Addr>) -> Option<(String, Vec<u8>)> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let name = labels.join(".");
    let question = query.get(HEADER..at + 4)?;
    let is_a = question.ends_with(&[0, 1, 0, 1]);
    let address = known.get(name.as_str());
    let code = if address.is_some() { 0 } else { 3 };
    let answers = u8::from(is_a && address.is_some());
    let mut reply = query.get(..2)?.to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, answers, 0, 0, 0, 0]);
    reply.extend(question);
    if let (true, Some(address)) = (is_a, address) {
        // The name by its place in the question, type A, class IN, a minute, four bytes.
        reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend(address.octets());
    }
    Some((name, reply))
}
