//! The story of one client connection, part one: read a head, turn it into an intent, and hand it to [`passage`].
//!
//! CONNECT ends the conversation, whatever becomes of it: a tunnel takes the connection over, and after a refusal
//! nothing that follows is read as a request. Plain HTTP goes on with the next head.

use std::time::Duration;

use bytes::BytesMut;
use gatepass_policy::decision::Reason;
use gatepass_policy::facts::{Protocol, Tls};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout_at};

use crate::carriage::{carry, close};
use crate::client::{Client, Said};
use crate::client_hello::{self, Outcome as Hello};
use crate::conversation::{Conversation, Next};
use crate::evidence::words::Ending;
use crate::forward::Counts;
use crate::http1::{RequestHead, Target, request};
use crate::identity::Invalid;
use crate::passage::{self, NameFault, Passage, Refused};
use crate::peer::Peer;
use crate::refusal::{After, Body, Form, Refusal};
use crate::requests::{self, form_of, intent};
use crate::shared::Shared;
use crate::shutdown::{Drain, Phase};

/// Bytes that a head usually fits in.
const HEAD_USUAL: usize = 2048;

/// Serve one client until it leaves, is refused for good, or the gateway ends.
pub async fn serve(client: Client, peer: Peer, shared: std::sync::Arc<Shared>, drain: Drain) {
    let mut conversation = Box::new(Conversation { client, buffer: BytesMut::new(), peer, drain });
    let mut patience = shared.limits.head_timeout;
    let last =
        |refusal: &Refusal, peer: &Peer| refusal.response(Form::Text, After::Close, Body::Sent, peer.listener.compat);
    loop {
        let head = match read_head(&mut conversation, patience, &shared).await {
            Heard::Head(head) => *head,
            Heard::Nothing => return,
            Heard::Malformed(status, text) => {
                let refusal = passage::malformed(&conversation.peer, status, text, &shared);
                if status.is_none() {
                    return conversation.client.farewell(b"").await;
                }
                let answer = last(&refusal, &conversation.peer);
                return conversation.client.farewell(&answer).await;
            }
        };
        if !conversation.peer.is_current() {
            // What was checked in the handshake may be revoked by now; only another handshake can tell.
            let outdated =
                Invalid::Certificate("certificates were renewed since this connection was opened".to_owned());
            let refusal = passage::no_identity(&conversation.peer, &outdated, &shared);
            let answer = last(&refusal, &conversation.peer);
            return conversation.client.farewell(&answer).await;
        }
        let next = match &head.target {
            Target::Connect(_) => return Box::pin(connect(conversation, head, &shared)).await,
            Target::Absolute { .. } => Box::pin(requests::serve(conversation, head, &shared)).await,
        };
        match next {
            Next::Head(same) if same.peer.is_current() => conversation = same,
            Next::Head(_) | Next::End => return,
        }
        patience = shared.limits.keep_alive_timeout;
        if !conversation.buffer.is_empty() {
            // Requests that were sent ahead would else be served in one go, and everybody else wait for them.
            tokio::task::yield_now().await;
        }
    }
}

enum Heard {
    Head(Box<RequestHead>),
    /// The client left, or the gateway is draining: between requests there is nothing to answer.
    Nothing,
    /// Not a head; without a status it is not even HTTP, and closed without an answer.
    Malformed(Option<u16>, &'static str),
}

async fn read_head(conversation: &mut Conversation, patience: Duration, shared: &Shared) -> Heard {
    let Conversation { client, buffer, drain, .. } = conversation;
    // The first byte may be long in coming on a kept connection; the rest of a head may not.
    let mut deadline = Instant::now() + if buffer.is_empty() { patience } else { shared.limits.head_timeout };
    let mut parser = request::Parser::default();
    loop {
        match parser.parse(buffer, &shared.head) {
            Err(error) => return Heard::Malformed(error.status(), error.text()),
            Ok(Some((head, consumed))) => {
                let _ = buffer.split_to(consumed);
                return Heard::Head(Box::new(head));
            }
            Ok(None) => {}
        }
        let began = !buffer.is_empty();
        buffer.reserve(HEAD_USUAL);
        let read = tokio::select! {
            read = timeout_at(deadline, client.read_buf(buffer)) => read,
            () = drain.reached(Phase::Draining), if !began => return Heard::Nothing,
        };
        match read {
            Ok(Ok(n)) if n > 0 => {
                if !began {
                    deadline = deadline.min(Instant::now() + shared.limits.head_timeout);
                }
            }
            Err(_) if began => return Heard::Malformed(Some(408), "the request head did not arrive in time"),
            Ok(_) if !buffer.iter().all(|b| matches!(b, b'\r' | b'\n')) => {
                return Heard::Malformed(Some(400), "the connection ended inside a request head");
            }
            Ok(_) | Err(_) => return Heard::Nothing,
        }
    }
}

/// Carry one tunnel, or refuse it.
async fn connect(conversation: Box<Conversation>, head: RequestHead, shared: &Shared) {
    let Conversation { client, buffer, peer, drain } = *conversation;
    let form = form_of(&head);
    let answer = |refusal: &Refusal| refusal.response(form, After::Close, Body::Sent, peer.listener.compat);
    let mut end = drain.clone();
    let opened = tokio::select! {
        opened = async { passage::clear(&peer, intent(&head, Protocol::Connect), shared).await?.dial().await } => opened,
        () = end.reached(Phase::Ended) => Err(passage::drained(&peer, head.target.authority(), shared)),
    };
    match opened {
        Err(refusal) => client.farewell(&answer(&refusal)).await,
        Ok(passage) if passage.awaits_hello() => judge_hello(client, buffer, passage, drain, shared).await,
        Ok(passage) => match passage.admit().await {
            Err(Refused { refusal, .. }) => client.farewell(&answer(&refusal)).await,
            Ok(admitted) => {
                let mut client = client;
                let answer = established(&admitted.admission.id());
                match client.say(answer.as_bytes()).await {
                    Said::Yes => carry(client, buffer, admitted, drain, shared).await,
                    Said::No => {
                        close((admitted.admission, admitted.listed), Counts::default(), Ending::ClientClosed, shared)
                    }
                }
            }
        },
    }
}

/// 200, the ClientHello, the last stages. No byte of the client's goes upstream before that.
async fn judge_hello(mut client: Client, mut buffer: BytesMut, passage: Passage<'_>, drain: Drain, shared: &Shared) {
    if client.say(established(&passage.id()).as_bytes()).await == Said::No {
        drop(passage.refuse(Reason::HelloTimeout, "the client left before the tunnel was open"));
        return;
    }
    let (mut end, started) = (drain.clone(), Instant::now());
    let read = tokio::select! {
        read = client_hello::read(&mut client, &mut buffer, &shared.hello) => read,
        () = end.reached(Phase::Ended) => {
            drop(passage.refuse(Reason::Draining, "no TLS ClientHello came before the end"));
            return;
        }
    };
    passage.heard(started.elapsed());
    let (tls, speaks_tls) = match read {
        Ok(Hello::Hello(mut hello)) => {
            if passage.asks_for_fingerprint() {
                hello.ja4 = client_hello::ja4(&buffer, shared.hello.max_bytes).map(Box::from);
            }
            (Tls::Hello(hello), true)
        }
        Ok(Hello::NotTls) => (Tls::Absent, false),
        // A client that ends its side without a byte will never send TLS, and may still want to listen.
        Ok(Hello::Closed) if buffer.is_empty() => (Tls::Absent, false),
        Ok(Hello::SilentTimeout) if passage.silence_is_a_fact() => (Tls::Absent, false),
        Ok(Hello::SilentTimeout) => {
            drop(passage.refuse(Reason::HelloTimeout, "no TLS ClientHello came in time"));
            return hang_up(client, false, NameFault::None).await;
        }
        Ok(Hello::PartialTimeout) => {
            drop(passage.refuse(Reason::HelloTimeout, "the TLS ClientHello was not complete in time"));
            return hang_up(client, true, NameFault::None).await;
        }
        Ok(Hello::Closed) | Err(_) => {
            drop(passage.refuse(Reason::HelloInvalid, "the connection ended inside the TLS ClientHello"));
            return;
        }
        Ok(Hello::Invalid(why)) => {
            drop(passage.refuse(Reason::HelloInvalid, why));
            return hang_up(client, true, NameFault::None).await;
        }
    };
    let admitted = match passage.judge(tls, &mut end).await {
        Ok(judged) => judged.admit().await,
        Err(refused) => Err(refused),
    };
    match admitted {
        Err(Refused { name, .. }) => hang_up(client, speaks_tls, name).await,
        Ok(admitted) => carry(client, buffer, admitted, drain, shared).await,
    }
}

/// After the 200 only TLS can still say why; anything else is closed.
async fn hang_up(client: Client, speaks_tls: bool, name: NameFault) {
    if speaks_tls {
        client.farewell(&client_hello::alert(Refusal::alert(name == NameFault::Disagrees))).await;
    } else {
        client.farewell(b"").await;
    }
}

fn established(id: &uuid::Uuid) -> String {
    format!("HTTP/1.1 200 Connection established\r\nProxy-Status: gatepass\r\nGatepass-Decision: {id}\r\n\r\n")
}
