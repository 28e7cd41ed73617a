//! A scripted name server on loopback: UDP and TCP on one port, and a list of everything it was asked.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;
use tokio::task::JoinSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    Udp,
    Tcp,
    Tls,
    Https,
}

/// One question, the name as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub name: String,
    pub kind: RecordType,
    pub over: Over,
    id: u16,
}

/// What the script says to one question.
pub enum Reply {
    Records(Vec<Record>),
    /// No answer, and these in the authority section.
    Authority(Vec<Record>),
    /// Of this code, with a SOA of this MINIMUM.
    Empty(ResponseCode, Option<u32>),
    Truncated,
    Silence,
    /// Once the test says so.
    Later(Arc<Notify>, Box<Reply>),
    /// These bytes, made from the question's, each in a packet of its own.
    Raw(fn(&Message) -> Vec<Vec<u8>>),
    /// The same from another port than was asked.
    Elsewhere(Vec<Record>),
}

type Script = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

pub struct Names {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Names {
    pub async fn start(script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Names {
        Names::start_on("127.0.0.1", script).await
    }

    pub async fn start_on(ip: &str, script: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Names {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind((ip, 0)).await.unwrap();
            // Somebody may hold the same number for UDP.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let (address, script, asked) = (tcp.local_addr().unwrap(), Arc::new(script) as Script, Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, script.clone(), Arc::clone(&asked)));
        let served = Arc::clone(&asked);
        tasks.spawn(serve_streams(tcp, move |stream| {
            let (script, asked) = (script.clone(), served.clone());
            async move { serve_stream(stream, Over::Tcp, script, asked).await }
        }));
        Names { address, asked, _tasks: tasks }
    }

    /// DNS over TLS, or over HTTPS, with this certificate.
    pub async fn start_encrypted(
        config: rustls::ServerConfig,
        over: Over,
        script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Names {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, script, asked) = (tcp.local_addr().unwrap(), Arc::new(script) as Script, Arc::default());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        let served: Arc<Mutex<Vec<Asked>>> = Arc::clone(&asked);
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_streams(tcp, move |stream| {
            let (script, asked, acceptor) = (script.clone(), served.clone(), acceptor.clone());
            async move {
                match acceptor.accept(stream).await {
                    Ok(stream) if over == Over::Https => serve_https(stream, script, asked).await,
                    Ok(stream) => serve_stream(stream, over, script, asked).await,
                    Err(_) => {}
                }
            }
        }));
        Names { address, asked, _tasks: tasks }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Questions of one kind.
    pub fn count(&self, kind: RecordType) -> usize {
        self.asked().iter().filter(|asked| asked.kind == kind).count()
    }
}

async fn serve_udp(socket: UdpSocket, script: Script, asked: Arc<Mutex<Vec<Asked>>>) {
    let (socket, mut tasks) = (Arc::new(socket), JoinSet::new());
    loop {
        let mut packet = vec![0; 4096];
        let (length, from) = socket.recv_from(&mut packet).await.unwrap();
        packet.truncate(length);
        let (socket, reply) = (socket.clone(), note(&packet, Over::Udp, &script, &asked));
        tasks.spawn(async move {
            let elsewhere = matches!(reply, Reply::Elsewhere(_));
            let stranger = UdpSocket::bind((socket.local_addr().unwrap().ip(), 0)).await.unwrap();
            for packet in packets(&packet, reply).await {
                let socket = if elsewhere { &stranger } else { &*socket };
                socket.send_to(&packet, from).await.unwrap();
            }
        });
    }
}

async fn serve_streams<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(tokio::net::TcpStream) -> F,
) {
    let mut tasks = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tasks.spawn(serve(stream));
    }
}

async fn serve_stream(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    over: Over,
    script: Script,
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    while let Ok(length) = stream.read_u16().await {
        let mut packet = vec![0; usize::from(length)];
        stream.read_exact(&mut packet).await.unwrap();
        let reply = note(&packet, over, &script, &asked);
        for packet in packets(&packet, reply).await {
            let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
            framed.extend(packet);
            stream.write_all(&framed).await.unwrap();
            stream.flush().await.unwrap();
        }
    }
}

/// RFC 8484, at `/dns-query` only.
async fn serve_https(stream: impl AsyncRead + AsyncWrite + Unpin, script: Script, asked: Arc<Mutex<Vec<Asked>>>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let response = http::Response::builder().header("content-type", "application/dns-message");
        if request.uri().path() != "/dns-query" {
            respond.send_response(response.status(404).body(()).unwrap(), true).unwrap();
            continue;
        }
        let mut body = request.into_body();
        let mut packet = Vec::new();
        while let Some(chunk) = body.data().await {
            packet.extend(chunk.unwrap());
        }
        let reply = note(&packet, Over::Https, &script, &asked);
        let Some(packet) = packets(&packet, reply).await.pop() else { continue };
        let mut body = respond.send_response(response.body(()).unwrap(), false).unwrap();
        body.send_data(packet.into(), true).unwrap();
    }
}

fn note(packet: &[u8], over: Over, script: &Script, asked: &Mutex<Vec<Asked>>) -> Reply {
    let question = Message::from_vec(packet).unwrap();
    let query = &question.queries[0];
    let question = Asked { name: query.name.to_ascii(), kind: query.query_type, over, id: question.id };
    let mut asked = asked.lock().unwrap();
    // A retransmission, on a busy machine, is not another question; the first one's answer is still awaited.
    if over == Over::Udp && asked.contains(&question) {
        return Reply::Silence;
    }
    asked.push(question.clone());
    drop(asked);
    script(&question)
}

async fn packets(question: &[u8], mut reply: Reply) -> Vec<Vec<u8>> {
    while let Reply::Later(gate, then) = reply {
        gate.notified().await;
        reply = *then;
    }
    let question = Message::from_vec(question).unwrap();
    let mut message = answer_to(&question);
    match reply {
        Reply::Records(records) | Reply::Elsewhere(records) => {
            message.add_answers(records);
        }
        Reply::Empty(code, minimum) => {
            message.metadata.response_code = code;
            message.authorities.extend(minimum.map(soa));
        }
        Reply::Authority(records) => {
            message.add_authorities(records);
        }
        Reply::Truncated => message.metadata.truncation = true,
        Reply::Raw(make) => return make(&question),
        Reply::Silence | Reply::Later(..) => return vec![],
    }
    vec![message.to_vec().unwrap()]
}

/// An empty response to `question`.
pub fn answer_to(question: &Message) -> Message {
    let mut message = Message::response(question.id, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.metadata.recursion_available = true;
    message.add_query(question.queries[0].clone());
    message
}

pub fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// `owner TTL A|AAAA address`
pub fn address(owner: &str, ttl: u32, ip: &str) -> Record {
    let data = match ip.parse().unwrap() {
        IpAddr::V4(v4) => RData::A(A(v4)),
        IpAddr::V6(v6) => RData::AAAA(AAAA(v6)),
    };
    Record::from_rdata(name(owner), ttl, data)
}

/// `owner TTL CNAME target`
pub fn alias(owner: &str, ttl: u32, target: &str) -> Record {
    Record::from_rdata(name(owner), ttl, RData::CNAME(CNAME(name(target))))
}

/// `test. 3600 SOA … minimum`
fn soa(minimum: u32) -> Record {
    let data = SOA::new(name("ns.test"), name("root.test"), 1, 1, 1, 1, minimum);
    Record::from_rdata(name("test"), 3600, RData::SOA(data))
}

/// No address of this family, not to be kept.
pub fn nothing() -> Reply {
    Reply::Empty(ResponseCode::NoError, None)
}
