//! A connection to an upstream, and what is known of whether another request may go over it.

use std::pin::Pin;

use bytes::BytesMut;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::outgoing::Outgoing;

/// Buffers larger than this are not kept while a connection waits for its next request.
const KEPT_BUFFER: usize = 16 * 1024;

/// What may be done with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// Freshly dialled: nothing went over it yet.
    Fresh,
    /// Its last exchange ended cleanly, and it may carry another.
    Again,
    /// An exchange runs, or did not end cleanly: fit for nothing else.
    Spoilt,
}

/// A connection to an upstream. Only an exchange that ended cleanly makes it fit for another one.
#[derive(Debug)]
pub struct Upstream {
    pub(super) stream: TcpStream,
    pub(super) input: BytesMut,
    pub(super) to_upstream: Outgoing,
    pub(super) to_client: Outgoing,
    /// Kept from one exchange to the next; see `exchange`.
    pub(super) timer: Option<Pin<Box<Sleep>>>,
    pub(super) fit: Use,
}

impl Upstream {
    /// A connection that was just dialled. Nagle's algorithm should be off: heads and bodies go out in whole writes.
    pub fn new(stream: TcpStream) -> Upstream {
        Upstream {
            stream,
            input: BytesMut::new(),
            to_upstream: Outgoing::default(),
            to_client: Outgoing::default(),
            timer: None,
            fit: Use::Fresh,
        }
    }

    /// The socket and what was read from it but not consumed: after a switch of protocols, the first bytes of the new one.
    pub fn into_parts(self) -> (TcpStream, BytesMut) {
        (self.stream, self.input)
    }

    /// The socket, for its addresses.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether it carried a request before the next one: then its end may just be the upstream's idle timeout.
    pub fn is_reused(&self) -> bool {
        self.fit == Use::Again
    }

    /// Whether it is fit to wait for another request: the last exchange ended cleanly, and nobody said anything since.
    pub(super) fn is_idle(&self) -> bool {
        let silent =
            || matches!(self.stream.try_read(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        self.fit == Use::Again && self.input.is_empty() && silent()
    }

    /// Give large buffers back.
    pub(super) fn rest(&mut self) {
        if self.input.capacity() > KEPT_BUFFER {
            self.input = BytesMut::new();
        }
        self.to_upstream.clear(KEPT_BUFFER);
        self.to_client.clear(KEPT_BUFFER);
    }
}
