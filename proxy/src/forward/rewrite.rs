//! Heads as they go on: canonical, without what belongs to one hop only, and without what only the gateway may say.

use std::io::Write;

use gatepass_policy::host::Authority;

use crate::http1::framing::nominated;
use crate::http1::target::HTTP_PORT;
use crate::http1::{Fields, Framing, Kind, RequestHead, ResponseHead, Target, Upgrade, Version};

/// Whether the connection to the receiver goes on after the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// As HTTP/1.1 has it by default.
    Stays,
    /// `Connection: close`.
    Closes,
    /// `Connection: Upgrade` to WebSocket.
    Upgrades,
}

/// Write the head of a request in origin form. Always HTTP/1.1: that is what the gateway speaks upstream.
pub(super) fn request(head: &RequestHead, pseudonym: &str, out: &mut Vec<u8>) {
    let Target::Absolute { authority, path_and_query } = &head.target else { return };
    for part in [head.method(), " ", path_and_query, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    host(authority, out);
    let options = head.method() == "OPTIONS";
    fields(&head.fields, out, |kind, value| match kind {
        Kind::Expect if head.expect_continue => Some(Value::Same),
        Kind::Expect => None,
        Kind::MaxForwards if options => one_less(value),
        Kind::ContentLength
        | Kind::TransferEncoding
        | Kind::Host
        | Kind::Connection
        | Kind::KeepAlive
        | Kind::ProxyConnection
        | Kind::ProxyAuthorization
        | Kind::ProxyAuthenticate
        | Kind::ProxyAuthenticationInfo
        | Kind::ProxyStatus
        | Kind::Te
        | Kind::Trailer
        | Kind::Upgrade
        | Kind::DataClass
        | Kind::ForwardedClientCert
        | Kind::TraceParent
        | Kind::TraceState
        | Kind::Gatepass => None,
        Kind::Via | Kind::MaxForwards | Kind::Authorization | Kind::Cookie | Kind::SetCookie | Kind::Other => {
            Some(Value::Same)
        }
    });
    framing(head.framing, out);
    connection(if head.upgrade == Some(Upgrade::WebSocket) { Connection::Upgrades } else { Connection::Stays }, out);
    via(head.version, pseudonym, out);
    out.extend_from_slice(b"\r\n");
}

/// Write the head of an answer for a client, with the framing that its body gets.
pub(super) fn response(head: &ResponseHead, body: Framing, then: Connection, pseudonym: &str, out: &mut Vec<u8>) {
    // Writing to a vector cannot fail.
    let _ = write!(out, "HTTP/1.1 {} ", head.status);
    // A client's user reads refusals in the reason phrase, so that too speaks for the gateway.
    if !begins_like_a_refusal(head.reason()) {
        out.extend_from_slice(head.reason());
    }
    out.extend_from_slice(b"\r\n");
    fields(&head.fields, out, |kind, _| match kind {
        Kind::ContentLength
        | Kind::TransferEncoding
        | Kind::Connection
        | Kind::KeepAlive
        | Kind::ProxyConnection
        | Kind::ProxyAuthorization
        | Kind::ProxyAuthenticate
        | Kind::ProxyAuthenticationInfo
        | Kind::ProxyStatus
        | Kind::Te
        | Kind::Trailer
        | Kind::Upgrade
        | Kind::DataClass
        | Kind::ForwardedClientCert
        | Kind::TraceParent
        | Kind::TraceState
        | Kind::Gatepass => None,
        Kind::Host
        | Kind::Expect
        | Kind::Via
        | Kind::MaxForwards
        | Kind::Authorization
        | Kind::Cookie
        | Kind::SetCookie
        | Kind::Other => Some(Value::Same),
    });
    framing(body, out);
    connection(then, out);
    via(head.version, pseudonym, out);
    out.extend_from_slice(b"\r\n");
}

fn begins_like_a_refusal(reason: &[u8]) -> bool {
    let name = b"gatepass";
    reason.trim_ascii_start().get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

/// What a field goes on with.
enum Value {
    Same,
    Number(u64),
}

fn fields(fields: &Fields, out: &mut Vec<u8>, keep: impl Fn(Kind, &[u8]) -> Option<Value>) {
    let nominates = fields.of(Kind::Connection).next().is_some();
    for field in fields.iter() {
        let Some(value) = keep(field.kind, field.value()) else { continue };
        if nominates && nominated(fields, field.name()) {
            continue;
        }
        out.extend_from_slice(field.name());
        out.extend_from_slice(b": ");
        match value {
            Value::Same => out.extend_from_slice(field.value()),
            Value::Number(number) => {
                let _ = write!(out, "{number}");
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// `Host`, from the target and nothing else (RFC 9112 section 3.2.2).
fn host(authority: &Authority, out: &mut Vec<u8>) {
    let _ = match authority.port {
        HTTP_PORT => write!(out, "Host: {}\r\n", authority.host),
        _ => write!(out, "Host: {authority}\r\n"),
    };
}

fn framing(framing: Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::None | Framing::UntilClose => {}
        Framing::Length(length) => {
            let _ = write!(out, "Content-Length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
}

fn connection(then: Connection, out: &mut Vec<u8>) {
    out.extend_from_slice(match then {
        Connection::Stays => b"",
        Connection::Closes => b"Connection: close\r\n",
        Connection::Upgrades => b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    });
}

/// RFC 9110 section 7.6.3: the version in which the message came here, and a name for here.
fn via(received: Version, pseudonym: &str, out: &mut Vec<u8>) {
    for part in ["Via: ", received.as_str(), " ", pseudonym, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// RFC 9110 section 7.6.2. The parser has seen that it is a number above 0.
fn one_less(value: &[u8]) -> Option<Value> {
    let number: u64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    Some(Value::Number(number.saturating_sub(1)))
}

/// One piece of a body, as its framing has it.
pub(super) fn data(framing: Framing, piece: &[u8], out: &mut Vec<u8>) {
    match framing {
        Framing::None => {}
        Framing::Length(_) | Framing::UntilClose => out.extend_from_slice(piece),
        Framing::Chunked => {
            let _ = write!(out, "{:x}\r\n", piece.len());
            out.extend_from_slice(piece);
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The end of a body, with the trailers that may go on.
pub(super) fn end<'a>(framing: Framing, trailers: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    match framing {
        Framing::None | Framing::Length(_) | Framing::UntilClose => {}
        Framing::Chunked => {
            out.extend_from_slice(b"0\r\n");
            for line in trailers {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"\r\n");
        }
    }
}
