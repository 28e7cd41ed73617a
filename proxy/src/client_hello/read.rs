//! Reads a client's first bytes until it is known what they are, within a time and a size.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use gatepass_policy::facts::Hello;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::records::Scan;
use super::{Parsed, parse_on};

/// Room made for one read: a hello with a post-quantum key share is near 1,800 bytes.
const ROOM: usize = 2048;

/// Bounds of one wait for a ClientHello.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Longest hello in bytes, record headers included.
    pub max_bytes: usize,
    /// Longest wait from the call to the last byte of the hello.
    pub timeout: Duration,
}

/// How the wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete ClientHello.
    Hello(Hello),
    /// The client spoke, and not TLS.
    NotTls,
    /// The client did not send one byte in time.
    SilentTimeout,
    /// The client began a ClientHello and did not finish it in time.
    PartialTimeout,
    /// The client closed before it could be told what it was about to say.
    Closed,
    /// TLS, but not an acceptable ClientHello. The text says why.
    Invalid(&'static str),
}

/// Read from `stream` until its first bytes are understood. `buffer` may hold bytes that were read before; afterwards
/// it holds every byte read, unchanged and in order, for whoever carries the stream on.
///
/// An error is the stream's own (a reset, say).
pub async fn read<S>(stream: &mut S, buffer: &mut BytesMut, limits: &Limits) -> io::Result<Outcome>
where
    S: AsyncRead + Unpin,
{
    match timeout(limits.timeout, decide(stream, buffer, limits.max_bytes)).await {
        Ok(outcome) => outcome,
        Err(_) if buffer.is_empty() => Ok(Outcome::SilentTimeout),
        Err(_) => Ok(Outcome::PartialTimeout),
    }
}

async fn decide<S>(stream: &mut S, buffer: &mut BytesMut, max_bytes: usize) -> io::Result<Outcome>
where
    S: AsyncRead + Unpin,
{
    let mut scan = Scan::new(max_bytes);
    loop {
        // Ends by itself: a scan that has seen `max_bytes` is never `Incomplete`.
        match parse_on(&mut scan, buffer) {
            Parsed::Hello(hello) => return Ok(Outcome::Hello(hello)),
            Parsed::NotTls => return Ok(Outcome::NotTls),
            Parsed::Invalid(why) => return Ok(Outcome::Invalid(why)),
            Parsed::Incomplete => {}
        }
        buffer.reserve(ROOM);
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Outcome::Closed);
        }
    }
}
