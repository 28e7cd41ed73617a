//! The request on its way to the upstream.

use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite};

use super::exchange::{Moved, Run};
use super::failure::Fault;
use super::outgoing::{Drained, poll_fill};
use super::upstream::Upstream;
use super::{Limits, rewrite};
use crate::budget::Way;
use crate::http1::{Decoder, RequestHead, Step};

/// How far the request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The body is being read.
    Body,
    /// All of it is read and waits to be written.
    Tail,
    /// All of it is written.
    Sent,
    /// The upstream does not take it any more; it may still answer.
    Refused,
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Upload {
    stage: Stage,
    decoder: Decoder,
}

impl Upload {
    /// Put the head on its way; whatever there is of the body goes in the same write.
    pub(super) fn begin(head: &RequestHead, limits: &Limits, upstream: &mut Upstream) -> Upload {
        rewrite::request(head, &limits.http1.pseudonym, upstream.to_upstream.bytes());
        Upload { stage: Stage::Body, decoder: Decoder::new(head.framing) }
    }

    /// Whether nothing more is read from the client for this request.
    pub(super) fn is_read(&self) -> bool {
        self.decoder.is_done()
    }

    /// Whether nothing more is written.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Sent | Stage::Refused)
    }

    /// Whether the upstream got all of it.
    pub(super) fn is_sent(&self) -> bool {
        self.stage == Stage::Sent
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin> Run<'_, C> {
    /// Move as much of the request as moves.
    pub(super) fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.upload.is_over() {
            self.take_body().map_err(Fault::RequestBody)?;
            let (counts, moved, room) = (&mut *self.counts, &mut self.moved, &mut self.room);
            let drained = self.upstream.to_upstream.poll_drain(&mut self.upstream.stream, cx, room.sent, |n| {
                counts.sent += n as u64;
                room.sent = room.sent.saturating_sub(n as u64);
                *moved = Moved::Yes;
            });
            match ready!(drained) {
                Ok(Drained::All) => {}
                Ok(Drained::Starved) => {
                    self.starve(Way::Upload);
                    return Poll::Pending;
                }
                Err(_) => {
                    // An upstream that refuses a body may have said why before it closed: the answer is still read.
                    self.upload.stage = Stage::Refused;
                    self.upstream.to_upstream.clear(usize::MAX);
                    break;
                }
            }
            match self.upload.stage {
                Stage::Body => match ready!(poll_fill(self.client, self.buffer, (self.limits.buffer, u64::MAX), cx)) {
                    Ok(0) | Err(_) => return Poll::Ready(Err(Fault::ClientGone)),
                    Ok(_) => self.moved = Moved::Yes,
                },
                Stage::Tail => self.upload.stage = Stage::Sent,
                Stage::Sent | Stage::Refused => {}
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Turn what the client sent into what the upstream gets, up to the bound of what waits.
    fn take_body(&mut self) -> Result<(), crate::http1::BodyError> {
        let Upload { stage, decoder } = &mut self.upload;
        while *stage == Stage::Body && self.upstream.to_upstream.len() <= self.limits.buffer {
            let out = self.upstream.to_upstream.bytes();
            match decoder.step(self.buffer, &self.limits.http1)? {
                Step::Skip(n) => self.buffer.advance(n),
                Step::Data(n) => {
                    rewrite::data(self.head.framing, self.buffer.get(..n).unwrap_or_default(), out);
                    self.buffer.advance(n);
                }
                Step::More => return Ok(()),
                Step::End => {
                    rewrite::end(self.head.framing, decoder.trailers().announced(&self.head.fields), out);
                    *stage = Stage::Tail;
                }
            }
        }
        Ok(())
    }
}
