//! A scripted DNS server: answers what it was told, and remembers every question.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// What the server says of one name.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses, each with its time to live of 60 s.
    Addresses(Vec<IpAddr>),
    /// The name does not exist.
    Nxdomain,
    /// The server fails.
    Servfail,
    /// Nothing at all.
    Silence,
}

#[derive(Debug, Default)]
struct State {
    answers: HashMap<String, Answer>,
    queries: Vec<String>,
}

/// The server. It ends with the process.
#[derive(Clone, Debug)]
pub struct Resolver {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Resolver {
    /// A server that knows nothing yet: every name is NXDOMAIN.
    pub fn start() -> Resolver {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            let mut buffer = [0u8; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                if let Some(reply) = respond(&buffer[..length], &shared) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        Resolver { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses.
    pub fn answer(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        self.say(name, Answer::Addresses(addresses));
    }

    /// From now on this is what is said of `name`.
    pub fn say(&self, name: &str, answer: Answer) {
        self.state.lock().unwrap().answers.insert(name.to_owned(), answer);
    }

    /// Every name that was asked for, in order, once per question (A and AAAA are two).
    pub fn queries(&self) -> Vec<String> {
        self.state.lock().unwrap().queries.clone()
    }

    /// Whether `name` was ever asked for.
    pub fn was_asked(&self, name: &str) -> bool {
        self.state.lock().unwrap().queries.iter().any(|asked| asked == name)
    }
}

/// RFC 1035 section 4: header, question, answers. Only what a stub resolver sends is understood.
fn respond(query: &[u8], state: &Mutex<State>) -> Option<Vec<u8>> {
    let mut labels = Vec::new();
    let mut at = 12;
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        if length == 0 {
            break;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + length)?).to_lowercase());
        at += length;
    }
    let kind = u16::from_be_bytes([*query.get(at)?, *query.get(at + 1)?]);
    let question = query.get(12..at + 4)?;
    let name = labels.join(".");
    let mut state = state.lock().unwrap();
    state.queries.push(name.clone());
    let (code, addresses) = match state.answers.get(&name) {
        Some(Answer::Addresses(addresses)) => (0u8, addresses.clone()),
        Some(Answer::Servfail) => (2, Vec::new()),
        Some(Answer::Silence) => return None,
        Some(Answer::Nxdomain) | None => (3, Vec::new()),
    };
    let fitting: Vec<IpAddr> =
        addresses.into_iter().filter(|ip| if kind == 28 { ip.is_ipv6() } else { kind == 1 && ip.is_ipv4() }).collect();
    let mut reply = query[..2].to_vec();
    reply.extend([0x81, 0x80 | code, 0, 1, 0, u8::try_from(fitting.len()).unwrap(), 0, 0, 0, 0]);
    reply.extend(question);
    for ip in fitting {
        reply.extend([0xc0, 12]);
        reply.extend(kind.to_be_bytes());
        reply.extend([0, 1, 0, 0, 0, 60]);
        match ip {
            IpAddr::V4(v4) => reply.extend([&[0, 4][..], &v4.octets()].concat()),
            IpAddr::V6(v6) => reply.extend([&[0, 16][..], &v6.octets()].concat()),
        }
    }
    Some(reply)
}
