//! Why an exchange did not end well, whose fault it was, and what can still be done.

use std::fmt;

use crate::http1::{BodyError, ResponseError};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The body of the request is malformed.
    RequestBody(BodyError),
    /// CONNECT asks for a tunnel: there is nothing to forward.
    Connect,
    /// The client closed its connection, or it broke.
    ClientGone,
    /// The client neither sent the rest of its body nor read the answer in time.
    ClientIdle,
    /// The upstream closed the connection, or it broke, before the answer was whole.
    UpstreamClosed,
    /// The upstream did not answer in time, or stopped in the middle.
    UpstreamTimeout,
    /// The head of the answer is malformed.
    Response(ResponseError),
    /// The body of the answer is malformed.
    ResponseBody(BodyError),
    /// The upstream switches protocols without being asked (RFC 9110 section 7.8).
    Switch,
    /// More interim answers than the limit.
    Interim,
    /// Longer than one exchange may take.
    TooLong,
    /// More than a limit of a rule lets move in a day.
    Spent,
}

impl Fault {
    /// The status that tells the client, as long as it can still be told.
    pub fn status(self) -> u16 {
        match self {
            Fault::RequestBody(error) => error.status(),
            Fault::Connect | Fault::ClientGone => 400,
            Fault::ClientIdle => 408,
            Fault::Spent => 429,
            Fault::UpstreamTimeout | Fault::TooLong => 504,
            Fault::UpstreamClosed | Fault::Response(_) | Fault::ResponseBody(_) | Fault::Switch | Fault::Interim => 502,
        }
    }

    /// For the client and the record: ASCII, nothing of either message in it.
    pub fn text(self) -> &'static str {
        match self {
            Fault::RequestBody(error) | Fault::ResponseBody(error) => error.text(),
            Fault::Connect => "a CONNECT request is not forwarded",
            Fault::ClientGone => "the client closed the connection",
            Fault::ClientIdle => "the client stopped sending or reading",
            Fault::UpstreamClosed => "the upstream closed the connection before its answer was whole",
            Fault::UpstreamTimeout => "the upstream did not answer in time",
            Fault::Response(error) => error.text(),
            Fault::Switch => "the upstream switches to a protocol that was not asked for",
            Fault::TooLong => "the exchange takes longer than any may",
            Fault::Spent => "the day's bytes are spent",
            Fault::Interim => "the upstream sends interim answers without end",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// What the client has got of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answered {
    /// Nothing, or interim answers only: it can be answered with a status.
    Nothing,
    /// A part of the upstream's answer: all that is left is to close the connection, so that it can see the cut. Where
    /// the answer has no length (HTTP/1.0), only a reset shows it.
    Begun,
}

/// Whether the same request may be sent once more, on a freshly dialled connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// It may: the connection had waited in the pool and ended before a byte of an answer, which is how an upstream's
    /// idle timeout looks, and the request is idempotent and has no body (RFC 9110 section 9.2.2).
    Safe,
    /// It may not.
    Never,
}

/// An exchange that did not end well. Neither connection can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub fault: Fault,
    /// What the client has got.
    pub answered: Answered,
    /// Whether to try again.
    pub retry: Retry,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl std::error::Error for Failure {}
