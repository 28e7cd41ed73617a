//! Bytes on their way out, and bytes on their way in: bounded, reused, without a copy that is not needed.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

/// A buffer that is filled, then written to the end.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    flushed: Flushed,
}

/// A TLS stream may hold what it took until it is flushed.
#[derive(Debug, Default)]
enum Flushed {
    #[default]
    Yes,
    No,
}

impl Outgoing {
    /// Where to put more.
    pub(super) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many octets are still to be written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.written)
    }

    /// Whether a part of what is here was written, and a part was not.
    pub(super) fn is_cut(&self) -> bool {
        self.written > 0 && self.len() > 0
    }

    /// Forget what is not written yet, and give the memory back if it is more than `keep`.
    pub(super) fn clear(&mut self, keep: usize) {
        self.bytes.clear();
        self.written = 0;
        self.flushed = Flushed::Yes;
        if self.bytes.capacity() > keep {
            self.bytes = Vec::new();
        }
    }

    /// Write everything and flush; where that is more than `room`, only so much. `progress` hears of every octet as it goes.
    pub(super) fn poll_drain<W: AsyncWrite + Unpin>(
        &mut self,
        to: &mut W,
        cx: &mut Context<'_>,
        mut room: u64,
        mut progress: impl FnMut(usize),
    ) -> Poll<io::Result<Drained>> {
        while let Some(rest) = self.bytes.get(self.written..).filter(|rest| !rest.is_empty()) {
            let most = usize::try_from(room).unwrap_or(usize::MAX).min(rest.len());
            if most == 0 {
                return Poll::Ready(Ok(Drained::Starved));
            }
            let written = ready!(Pin::new(&mut *to).poll_write(cx, rest.get(..most).unwrap_or_default()))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            room = room.saturating_sub(written as u64);
            self.flushed = Flushed::No;
            progress(written);
        }
        self.bytes.clear();
        self.written = 0;
        if matches!(self.flushed, Flushed::No) {
            ready!(Pin::new(to).poll_flush(cx))?;
            self.flushed = Flushed::Yes;
        }
        Poll::Ready(Ok(Drained::All))
    }
}

/// Whether everything was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drained {
    All,
    /// There was no room for the rest.
    Starved,
}

/// Read once into `into`, at most about `room` octets, and never more than `most`. 0 is the end of the stream.
pub(super) fn poll_fill<R: AsyncRead + Unpin>(
    from: &mut R,
    into: &mut BytesMut,
    (room, most): (usize, u64),
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if into.capacity() - into.len() < room / 2 {
        into.reserve(room);
    }
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    pin!(from.read_buf(&mut into.limit(most))).poll(cx)
}
