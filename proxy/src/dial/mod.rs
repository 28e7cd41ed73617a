//! Opens the connection to an upstream, over checked addresses only, and never looks anything up.
//!
//! An [`Endpoint`] is a socket address that a permitting decision has seen; [`endpoints`] is its only maker. What was
//! checked is what is dialled.

pub(crate) mod race;

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gatepass_policy::address::unmap;
use gatepass_policy::facts::Facts;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout};

use race::{interleave, race};

/// A checked socket address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint(SocketAddr);

impl Endpoint {
    /// The address, for the record.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

/// Says that `decide` did not deny the facts that lie beside it. Only `passage` makes one, right after that decision.
#[derive(Debug)]
pub struct Cleared(());

impl Cleared {
    /// To be called in one place: where the verdict on the resolved facts has just turned out not to be a denial.
    pub(crate) fn by_decision() -> Cleared {
        Cleared(())
    }
}

/// Every answer in `facts` with the destination's port, in the answers' order.
///
/// None at all where nothing is resolved yet, or where one of the answers is an address that no rule can open: such
/// facts cannot have passed a decision, so that the caller has mixed up two sets of them.
pub fn endpoints(facts: &Facts, _proof: Cleared) -> Vec<Endpoint> {
    let Some(resolved) = &facts.resolved else { return Vec::new() };
    let port = facts.destination.port;
    let may_open = |ip: &IpAddr| facts.floor.may_open(facts.floor.classify(*ip, port).class);
    if !resolved.answers.iter().all(may_open) {
        return Vec::new();
    }
    resolved.answers.iter().map(|ip| Endpoint(SocketAddr::new(unmap(*ip), port))).collect()
}

/// Bounds of one dial.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the start of one attempt to that of the next; RFC 8305 section 8 recommends 250 ms, and never below 100 ms.
    pub attempt_delay: Duration,
    /// One attempt's longest time.
    pub per_attempt: Duration,
    /// Longest time of all attempts together.
    pub total: Duration,
    /// Most addresses that are tried, after the families are interleaved.
    pub max_attempts: usize,
}

/// A connection to an upstream.
#[derive(Debug)]
pub struct Dialled {
    /// The connection, with `TCP_NODELAY`.
    pub stream: TcpStream,
    /// Whom it reached.
    pub endpoint: Endpoint,
    /// The gateway's own end.
    pub local: SocketAddr,
    /// From the call to the connection.
    pub took: Duration,
}

/// Why there is no connection. The text is for the client: it names no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DialError {
    /// Every attempt ended, and this is the most telling end.
    Failed(Cause),
    /// Time ran out.
    Timeout,
}

/// How an attempt ends without a connection, the most telling first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A reset in answer to the SYN.
    Refused,
    /// A reset, or an abort, later.
    Reset,
    /// No route, or ICMP said so.
    Unreachable,
    /// The gateway's own source address cannot be used for this upstream.
    Source,
    /// There was no checked address to try.
    NoAddress,
    /// Anything else, such as no more files.
    Other,
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DialError::Timeout => "the upstream did not answer in time",
            DialError::Failed(Cause::Refused) => "the upstream refused the connection",
            DialError::Failed(Cause::Reset) => "the upstream reset the connection",
            DialError::Failed(Cause::Unreachable) => "the upstream cannot be reached",
            DialError::Failed(Cause::Source) => "the upstream cannot be reached from the gateway's source address",
            DialError::Failed(Cause::NoAddress) => "the upstream has no address that may be dialled",
            DialError::Failed(Cause::Other) => "the gateway could not open a connection",
        })
    }
}

impl std::error::Error for DialError {}

/// Connect to one of `endpoints`, from `source` where the egress point has one.
///
/// Families take turns, attempts are staggered, the first connection wins and the others are dropped (RFC 8305).
pub async fn dial(endpoints: &[Endpoint], limits: &Limits, source: Option<IpAddr>) -> Result<Dialled, DialError> {
    let start = Instant::now();
    let connected = match endpoints {
        [] => return Err(DialError::Failed(Cause::NoAddress)),
        [only] => attempt(*only, limits.per_attempt.min(limits.total), source).await,
        several => {
            let mut order = interleave(several, |endpoint| endpoint.0.is_ipv6());
            order.truncate(limits.max_attempts);
            let attempts = race(order, limits.attempt_delay, |endpoint| attempt(endpoint, limits.per_attempt, source));
            match timeout(limits.total, attempts).await {
                Ok(Ok(connected)) => Ok(connected),
                Ok(Err(errors)) => Err(most_telling(errors)),
                Err(_) => Err(DialError::Timeout),
            }
        }
    };
    let (stream, endpoint) = connected?;
    let local = stream.local_addr().map_err(|error| failed(&error))?;
    Ok(Dialled { stream, endpoint, local, took: start.elapsed() })
}

async fn attempt(
    endpoint: Endpoint,
    longest: Duration,
    source: Option<IpAddr>,
) -> Result<(TcpStream, Endpoint), DialError> {
    match timeout(longest, connect(endpoint.0, source)).await {
        Ok(Ok(stream)) => Ok((stream, endpoint)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(DialError::Timeout),
    }
}

async fn connect(to: SocketAddr, source: Option<IpAddr>) -> Result<TcpStream, DialError> {
    let socket = match to {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }
    .map_err(|error| failed(&error))?;
    if let Some(source) = source.map(unmap) {
        if source.is_ipv4() != to.is_ipv4() {
            return Err(DialError::Failed(Cause::Source));
        }
        socket.bind(SocketAddr::new(source, 0)).map_err(|_| DialError::Failed(Cause::Source))?;
    }
    let stream = socket.connect(to).await.map_err(|error| failed(&error))?;
    stream.set_nodelay(true).map_err(|error| failed(&error))?;
    Ok(stream)
}

fn failed(error: &io::Error) -> DialError {
    match error.kind() {
        io::ErrorKind::TimedOut => DialError::Timeout,
        io::ErrorKind::ConnectionRefused => DialError::Failed(Cause::Refused),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => DialError::Failed(Cause::Reset),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            DialError::Failed(Cause::Unreachable)
        }
        io::ErrorKind::AddrNotAvailable => DialError::Failed(Cause::Source),
        _ => DialError::Failed(Cause::Other),
    }
}

/// A reset says more than silence, and silence more than that this machine has no IPv6.
fn most_telling(errors: Vec<DialError>) -> DialError {
    let rank = |error: &DialError| match error {
        DialError::Failed(cause @ (Cause::Refused | Cause::Reset)) => (0, Some(*cause)),
        DialError::Timeout => (1, None),
        DialError::Failed(cause) => (2, Some(*cause)),
    };
    errors.into_iter().min_by_key(rank).unwrap_or(DialError::Failed(Cause::NoAddress))
}

#[cfg(test)]
mod tests;
