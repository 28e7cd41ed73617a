//! The answer on its way to the client.

use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::{AsyncRead, AsyncWrite};

use super::exchange::{Moved, Next, Run};
use super::failure::{Answered, Fault};
use super::outgoing::poll_fill;
use super::rewrite::{self, Connection};
use crate::budget::Way;
use crate::http1::{Decoder, Framing, ResponseHead, Step, Upgrade, Version, response};

/// How far the answer is.
#[derive(Debug)]
enum Stage {
    /// Its head is awaited.
    Head(response::Parser),
    /// Its body is being read.
    Body(Body),
    /// All of it is read and waits to be written.
    Tail,
}

/// A body on its way.
#[derive(Debug)]
struct Body {
    decoder: Decoder,
    /// How the client gets it.
    framing: Framing,
    /// For the trailers that it announces.
    head: ResponseHead,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Download {
    stage: Stage,
    interim: usize,
    /// Octets heard from the upstream.
    pub(super) heard: u64,
    /// The final status, once its head is read.
    pub(super) status: u16,
    /// What becomes of the client, once the head is read.
    pub(super) next: Next,
    /// What the client has got of the final answer.
    pub(super) answered: Answered,
    upstream: Connection,
}

impl Download {
    pub(super) fn new() -> Download {
        Download {
            stage: Stage::Head(response::Parser::default()),
            interim: 0,
            heard: 0,
            status: 0,
            next: Next::Close,
            answered: Answered::Nothing,
            upstream: Connection::Closes,
        }
    }

    /// Whether the head of the final answer is not there yet.
    pub(super) fn awaits_head(&self) -> bool {
        matches!(self.stage, Stage::Head(_))
    }

    /// Whether the upstream will take another request.
    pub(super) fn upstream_stays(&self) -> bool {
        self.upstream == Connection::Stays
    }
}

/// What the answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// More from the upstream.
    Input,
    /// What there is to go to the client.
    Room,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Run<'_, C> {
    /// Move as much of the answer as moves; ready when all of it is with the client.
    pub(super) fn poll_download(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        loop {
            let need = self.take_answer()?;
            let (download, moved) = (&mut self.download, &mut self.moved);
            let drained = self.upstream.to_client.poll_drain(self.client, cx, u64::MAX, |_| {
                *moved = Moved::Yes;
                if !download.awaits_head() {
                    download.answered = Answered::Begun;
                }
            });
            if ready!(drained).is_err() {
                return Poll::Ready(Err(Fault::ClientGone));
            }
            if matches!(self.download.stage, Stage::Tail) {
                return Poll::Ready(Ok(()));
            }
            if need == Need::Input {
                ready!(self.poll_hear(cx))?;
            }
        }
    }

    fn poll_hear(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.room.received == 0 {
            self.starve(Way::Download);
            return Poll::Pending;
        }
        let upstream = &mut *self.upstream;
        let most = (self.limits.buffer, self.room.received);
        match ready!(poll_fill(&mut upstream.stream, &mut upstream.input, most, cx)) {
            Ok(0) => Poll::Ready(self.end_of_stream()),
            Ok(n) => {
                // The head has one time for all of it: a byte now and then does not prolong that.
                if !(self.upload.is_over() && self.download.awaits_head()) {
                    self.moved = Moved::Yes;
                }
                self.download.heard += n as u64;
                self.counts.received += n as u64;
                self.room.received = self.room.received.saturating_sub(n as u64);
                Poll::Ready(Ok(()))
            }
            Err(_) => Poll::Ready(Err(Fault::UpstreamClosed)),
        }
    }

    fn end_of_stream(&mut self) -> Result<(), Fault> {
        match &mut self.download.stage {
            Stage::Head(_) => Err(Fault::UpstreamClosed),
            Stage::Body(body) => body.decoder.end_of_stream().map_err(|_| Fault::UpstreamClosed),
            Stage::Tail => Ok(()),
        }
    }

    /// Turn what the upstream sent into what the client gets, up to the bound of what waits.
    fn take_answer(&mut self) -> Result<Need, Fault> {
        while self.upstream.to_client.len() <= self.limits.buffer {
            match &mut self.download.stage {
                Stage::Head(parser) => {
                    let found = parser.parse(&self.upstream.input, &self.limits.http1).map_err(Fault::Response)?;
                    let Some((head, consumed)) = found else { return Ok(Need::Input) };
                    self.upstream.input.advance(consumed);
                    self.take_head(head)?;
                }
                Stage::Body(body) => {
                    let (input, out) = (&mut self.upstream.input, self.upstream.to_client.bytes());
                    match body.decoder.step(input, &self.limits.http1).map_err(Fault::ResponseBody)? {
                        Step::Skip(n) => input.advance(n),
                        Step::Data(n) => {
                            rewrite::data(body.framing, input.get(..n).unwrap_or_default(), out);
                            input.advance(n);
                        }
                        Step::More => return Ok(Need::Input),
                        Step::End => {
                            rewrite::end(body.framing, body.decoder.trailers().announced(&body.head.fields), out);
                            self.download.stage = Stage::Tail;
                        }
                    }
                }
                Stage::Tail => break,
            }
        }
        Ok(Need::Room)
    }

    fn take_head(&mut self, head: ResponseHead) -> Result<(), Fault> {
        if head.status == 101 {
            return self.switch(&head);
        }
        let pseudonym = &self.limits.http1.pseudonym;
        let out = self.upstream.to_client.bytes();
        if head.is_interim() {
            self.download.interim += 1;
            if self.download.interim > self.limits.interim {
                return Err(Fault::Interim);
            }
            // HTTP/1.0 does not know interim answers (RFC 9110 section 15.2).
            if self.head.version == Version::Http11 {
                rewrite::response(&head, Framing::None, Connection::Stays, pseudonym, out);
            }
            return Ok(());
        }
        let body = head.framing(self.head.method());
        let (framing, shown) = framing_for(self.head.version, body, &head);
        let client_stays = self.head.keep_alive && self.upload.is_read() && framing != Framing::UntilClose;
        let client = if client_stays { Connection::Stays } else { Connection::Closes };
        rewrite::response(&head, shown, client, pseudonym, out);
        let upstream_stays = head.keep_alive && body != Framing::UntilClose && !head.contradicts_itself();
        self.download.upstream = if upstream_stays { Connection::Stays } else { Connection::Closes };
        self.download.status = head.status;
        self.download.next = if client_stays { Next::Another } else { Next::Close };
        self.download.stage = Stage::Body(Body { decoder: Decoder::new(body), framing, head });
        Ok(())
    }

    /// 101 is believed only as the answer to a handshake that was forwarded.
    fn switch(&mut self, head: &ResponseHead) -> Result<(), Fault> {
        match self.head.upgrade {
            Some(Upgrade::WebSocket) if head.websocket && head.version == Version::Http11 => {}
            Some(Upgrade::WebSocket) | None => return Err(Fault::Switch),
        }
        let out = self.upstream.to_client.bytes();
        rewrite::response(head, Framing::None, Connection::Upgrades, &self.limits.http1.pseudonym, out);
        self.download.status = head.status;
        self.download.next = Next::Tunnel;
        self.download.stage = Stage::Tail;
        Ok(())
    }
}

/// How the client gets a body that came framed as `body`, and what the head says of it.
fn framing_for(client: Version, body: Framing, head: &ResponseHead) -> (Framing, Framing) {
    match (body, client) {
        // The answer to HEAD, and 304, may tell the length of the body that is not there.
        (Framing::None, Version::Http10 | Version::Http11) => match (head.status, head.declared) {
            (204, _) | (_, None | Some(Framing::None | Framing::Chunked | Framing::UntilClose)) => {
                (Framing::None, Framing::None)
            }
            (_, Some(length @ Framing::Length(_))) => (Framing::None, length),
        },
        (Framing::Length(_), Version::Http10 | Version::Http11) => (body, body),
        (Framing::Chunked | Framing::UntilClose, Version::Http11) => (Framing::Chunked, Framing::Chunked),
        (Framing::Chunked | Framing::UntilClose, Version::Http10) => (Framing::UntilClose, Framing::UntilClose),
    }
}
