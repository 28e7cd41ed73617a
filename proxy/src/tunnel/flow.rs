//! One direction of a tunnel: read, write, and pass the end of the stream on.
//!
//! Small messages are copied (one read, one write). When reads fill their buffer, bytes go through a pipe inside the
//! kernel, where both ends are bare sockets. While a direction waits for bytes it holds neither.

use std::io::{self, ErrorKind};
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pipe::Pipe;
use super::{Pools, Side};

/// Reads in one turn, before the other direction and other tunnels have theirs: at most about a millisecond of work.
/// Together both directions stay below the 128 operations after which tokio makes a task wait.
const ROUNDS: usize = 4;

/// Below this, moving through a pipe (two calls, and one to learn that the socket is dry) costs more than copying.
const SMALL: usize = 8 * 1024;

/// One direction.
pub(super) struct Flow {
    held: Held,
    phase: Phase,
    pace: Pace,
    unflushed: bool,
    /// What to do when the stream ends.
    pub(super) at_end: AtEnd,
}

/// Bytes that were read and not yet delivered, in what holds them.
enum Held {
    Nothing,
    Early(Bytes),
    Buffer { buffer: Box<[u8]>, start: usize, end: usize },
    Pipe(Pipe),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// The end was read and is being passed on.
    Ending,
    Done,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    Small,
    Bulk,
    /// The kernel does not splice these sockets.
    CopyOnly,
}

/// What to do when the stream ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AtEnd {
    /// End the stream of the other side too.
    Shutdown,
    /// Nothing: its socket is about to be closed or reset.
    Leave,
}

/// What a turn came to.
pub(super) enum Progress {
    /// The stream goes on.
    Open,
    /// Its end was read, in this turn or an earlier one.
    Ended,
    /// There is more of it than there is room for.
    Starved,
    /// It failed in this turn and is done.
    Broken(Broken),
}

/// Which side failed.
pub(super) enum Broken {
    From(io::Error),
    To(io::Error),
}

impl Flow {
    pub(super) fn new(early: Bytes) -> Flow {
        let held = if early.is_empty() { Held::Nothing } else { Held::Early(early) };
        Flow { held, phase: Phase::Open, pace: Pace::Small, unflushed: false, at_end: AtEnd::Shutdown }
    }

    pub(super) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Move what can be moved now, at most `room` bytes; `count` grows with what was delivered.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
        pools: &Pools,
        (count, mut room): (&AtomicU64, u64),
    ) -> Progress {
        for _ in 0..ROUNDS {
            let step = match self.phase {
                Phase::Done => return Progress::Ended,
                Phase::Ending => self.poll_end(cx, to),
                Phase::Open => match self.poll_deliver(cx, to, count, &mut room) {
                    Poll::Ready(Ok(Delivered::No)) => return Progress::Starved,
                    Poll::Ready(Ok(Delivered::Yes)) => self.poll_take(cx, from, to, pools),
                    Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::To(error))),
                    Poll::Pending => Poll::Pending,
                },
            };
            match step {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(broken)) => {
                    self.phase = Phase::Done;
                    self.held = Held::Nothing;
                    return Progress::Broken(broken);
                }
                Poll::Pending if self.phase == Phase::Open => return Progress::Open,
                Poll::Pending => return Progress::Ended,
            }
        }
        cx.waker().wake_by_ref();
        Progress::Open
    }

    /// Deliver everything that is held, as far as there is room.
    fn poll_deliver(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut Side,
        count: &AtomicU64,
        room: &mut u64,
    ) -> Poll<io::Result<Delivered>> {
        loop {
            let most = usize::try_from(*room).unwrap_or(usize::MAX);
            let written = match &mut self.held {
                Held::Nothing => return Poll::Ready(Ok(Delivered::Yes)),
                Held::Buffer { start, end, .. } if start == end => return Poll::Ready(Ok(Delivered::Yes)),
                Held::Pipe(pipe) if pipe.is_empty() => return Poll::Ready(Ok(Delivered::Yes)),
                Held::Early(_) | Held::Buffer { .. } | Held::Pipe(_) if most == 0 => {
                    return Poll::Ready(Ok(Delivered::No));
                }
                Held::Early(bytes) => {
                    let now = bytes.get(..most.min(bytes.len())).unwrap_or_default();
                    let written = ready!(Pin::new(&mut *to).poll_write(cx, now))?;
                    bytes.advance(written.min(bytes.len()));
                    if bytes.is_empty() {
                        self.held = Held::Nothing;
                    }
                    written
                }
                Held::Buffer { buffer, start, end } => {
                    let bytes = buffer.get(*start..(*end).min(start.saturating_add(most))).unwrap_or_default();
                    let written = ready!(Pin::new(&mut *to).poll_write(cx, bytes))?;
                    *start = (*start + written).min(*end);
                    written
                }
                Held::Pipe(pipe) => {
                    // Only bare sockets are spliced.
                    let to = to.tcp().ok_or(ErrorKind::Unsupported)?;
                    ready!(to.poll_write_ready(cx))?;
                    match pipe.drain(to, most) {
                        Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                        written => written?,
                    }
                }
            };
            if written == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            self.unflushed = to.tcp().is_none();
            count.fetch_add(written as u64, Ordering::Relaxed);
            *room = room.saturating_sub(written as u64);
        }
    }

    /// Take the next bytes, or wait for them with empty hands.
    fn poll_take(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
        pools: &Pools,
    ) -> Poll<Result<(), Broken>> {
        let taken = match from.poll_readable(cx) {
            Poll::Ready(Ok(())) => match (from.tcp(), to.tcp(), self.pace) {
                (Some(socket), Some(_), Pace::Bulk) => match self.empty_pipe(pools) {
                    Some(pipe) => self.splice(pipe, socket, pools),
                    None => self.poll_copy(cx, from, pools),
                },
                _ => self.poll_copy(cx, from, pools),
            },
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        match taken {
            Poll::Ready(Ok(Taken::Bytes | Taken::Retry)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(Taken::End)) => {
                self.let_go(pools);
                self.phase = Phase::Ending;
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(Broken::From(error))),
            Poll::Pending => {
                self.let_go(pools);
                if self.unflushed {
                    ready!(Pin::new(to).poll_flush(cx)).map_err(Broken::To)?;
                    self.unflushed = false;
                }
                Poll::Pending
            }
        }
    }

    fn poll_copy(&mut self, cx: &mut Context<'_>, from: &mut Side, pools: &Pools) -> Poll<io::Result<Taken>> {
        let mut buffer = match mem::replace(&mut self.held, Held::Nothing) {
            Held::Buffer { buffer, .. } => buffer,
            Held::Nothing | Held::Early(_) => pools.buffer(),
            Held::Pipe(pipe) => {
                pools.return_pipe(pipe);
                pools.buffer()
            }
        };
        let mut space = ReadBuf::new(&mut buffer);
        let read = Pin::new(from).poll_read(cx, &mut space);
        let (end, full) = (space.filled().len(), space.remaining() == 0);
        self.held = Held::Buffer { buffer, start: 0, end };
        match ready!(read) {
            Ok(()) if end == 0 => Poll::Ready(Ok(Taken::End)),
            Ok(()) => {
                if full && self.pace == Pace::Small {
                    self.pace = Pace::Bulk;
                }
                Poll::Ready(Ok(Taken::Bytes))
            }
            // TLS without its closing alert, as many clients end it. The stream below has ended in good order, and
            // that is what is passed on; the streams inside tell for themselves whether they are complete.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Poll::Ready(Ok(Taken::End)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn empty_pipe(&mut self, pools: &Pools) -> Option<Pipe> {
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Pipe(pipe) => Some(pipe),
            Held::Buffer { buffer, .. } => {
                pools.return_buffer(buffer);
                pools.pipe()
            }
            Held::Nothing | Held::Early(_) => pools.pipe(),
        }
    }

    fn splice(&mut self, mut pipe: Pipe, from: &TcpStream, pools: &Pools) -> Poll<io::Result<Taken>> {
        let filled = pipe.fill(from);
        self.held = Held::Pipe(pipe);
        match filled {
            Ok(0) => Poll::Ready(Ok(Taken::End)),
            Ok(count) => {
                if count < SMALL {
                    self.pace = Pace::Small;
                }
                Poll::Ready(Ok(Taken::Bytes))
            }
            // The socket was dry after all: the next round waits for it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Ready(Ok(Taken::Retry)),
            Err(error) if refuses_to_splice(&error) => {
                self.let_go(pools);
                self.pace = Pace::CopyOnly;
                Poll::Ready(Ok(Taken::Retry))
            }
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Give back what held bytes that are delivered.
    fn let_go(&mut self, pools: &Pools) {
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing | Held::Early(_) => {}
            Held::Buffer { buffer, .. } => pools.return_buffer(buffer),
            Held::Pipe(pipe) => pools.return_pipe(pipe),
        }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>, to: &mut Side) -> Poll<Result<(), Broken>> {
        if self.at_end == AtEnd::Shutdown {
            match ready!(Pin::new(to).poll_shutdown(cx)) {
                Ok(()) => {}
                // The peer is gone already; the other direction learns how.
                Err(error) if error.kind() == ErrorKind::NotConnected => {}
                Err(error) => return Poll::Ready(Err(Broken::To(error))),
            }
        }
        self.phase = Phase::Done;
        Poll::Ready(Ok(()))
    }
}

/// Whether everything that was held is delivered.
enum Delivered {
    Yes,
    /// There is no room for the rest.
    No,
}

/// What one attempt to read came to.
enum Taken {
    Bytes,
    Retry,
    End,
}

/// A kernel without the call, sockets that cannot do it, or a sandbox that forbids it.
fn refuses_to_splice(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::InvalidInput | ErrorKind::PermissionDenied)
}
