//! One request and its answer: both directions at once, in one future.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};

use super::download::Download;
use super::failure::{Answered, Failure, Fault, Retry};
use super::upload::Upload;
use super::upstream::{Upstream, Use};
use super::{Counts, Limits};
use crate::budget::{Going, Meter, Way};
use crate::http1::{Framing, Kind, RequestHead, Target};

/// An exchange that ended well. The upstream knows by itself whether it may be used again: give it to the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The final status.
    pub status: u16,
    /// What becomes of the client's connection.
    pub next: Next,
}

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It can carry another request; the buffer may hold its beginning.
    Another,
    /// It ends here; the client was told so where HTTP has a way to.
    Close,
    /// The protocol was switched: from here on it is bytes. What the buffer holds belongs to the upstream, and what
    /// [`Upstream::into_parts`] gives belongs to the client.
    Tunnel,
}

/// Carry one request, whose head was read and permitted, and its answer.
///
/// `buffer` holds what was read from the client after the head; what is left of it after the request belongs to the
/// next one. Bytes to and from the upstream move as far as `meter` has room. Memory is bounded by four times `limits.buffer` and the limits of heads. Dropping the future is safe: the
/// upstream is then not fit for the pool, and the client must be closed.
pub async fn exchange<C: AsyncRead + AsyncWrite + Unpin>(
    client: &mut C,
    buffer: &mut BytesMut,
    head: &RequestHead,
    upstream: &mut Upstream,
    limits: &Limits,
    counts: &mut Counts,
    meter: &Meter,
) -> Result<Exchange, Failure> {
    if let Target::Connect(_) = head.target {
        return Err(Failure { fault: Fault::Connect, answered: Answered::Nothing, retry: Retry::Never });
    }
    let reused = upstream.fit == Use::Again;
    // Until this exchange has ended well, this connection is of no use to another one.
    upstream.fit = Use::Spoilt;
    upstream.to_upstream.clear(usize::MAX);
    upstream.to_client.clear(usize::MAX);
    let mut run = Run {
        upload: Upload::begin(head, limits, upstream),
        download: Download::new(),
        client,
        buffer,
        head,
        upstream,
        limits,
        counts,
        moved: Moved::Yes,
        room: Counts::default(),
        starved: [None; 2],
        deadline: Instant::now(),
        began: Instant::now(),
    };
    match std::future::poll_fn(|cx| run.poll_within(meter, cx)).await {
        Ok(()) => Ok(run.end()),
        Err(fault) => {
            let answered = if run.upstream.to_client.is_cut() { Answered::Begun } else { run.download.answered };
            run.upstream.to_client.clear(usize::MAX);
            Err(Failure { fault, answered, retry: retry(fault, &run, reused) })
        }
    }
}

/// Whether bytes have moved since the last look at the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moved {
    Yes,
    No,
}

/// Everything that one exchange has in hand.
pub(super) struct Run<'a, C> {
    pub(super) client: &'a mut C,
    pub(super) buffer: &'a mut BytesMut,
    pub(super) head: &'a RequestHead,
    pub(super) upstream: &'a mut Upstream,
    pub(super) limits: &'a Limits,
    pub(super) counts: &'a mut Counts,
    pub(super) upload: Upload,
    pub(super) download: Download,
    pub(super) moved: Moved,
    /// How much may still move in this turn.
    pub(super) room: Counts,
    starved: [Option<Way>; 2],
    deadline: Instant,
    began: Instant,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Run<'_, C> {
    /// One turn, within what the limits of rules leave.
    fn poll_within(&mut self, meter: &Meter, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let turn = meter.begin(cx);
        self.room = Counts { sent: turn.room(Way::Upload), received: turn.room(Way::Download) };
        self.starved = [None; 2];
        let before = *self.counts;
        let polled = self.poll(cx);
        let (sent, received) = (self.counts.sent - before.sent, self.counts.received - before.received);
        match (polled, turn.end(sent, received, self.starved, cx)) {
            (Poll::Pending, Going::Over) => Poll::Ready(Err(Fault::Spent)),
            (polled, Going::On | Going::Over) => polled,
        }
    }

    /// There is more to move this way than there is room for.
    pub(super) fn starve(&mut self, way: Way) {
        let [upload, download] = self.starved;
        self.starved = match way {
            Way::Upload => [Some(way), download],
            Way::Download => [upload, Some(way)],
        };
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if let Poll::Ready(Err(fault)) = self.poll_upload(cx) {
            return Poll::Ready(Err(fault));
        }
        // The answer ends the exchange, even while the body is still on its way: nobody wants the rest of it.
        match self.poll_download(cx) {
            Poll::Ready(ended) => Poll::Ready(ended),
            Poll::Pending => self.poll_patience(cx),
        }
    }

    /// The clock, looked at only when nothing can move.
    ///
    /// The timer belongs to the connection and is left to ring early: one that is set and taken back with every request
    /// costs more than the request's own code, and may wake the runtime's driver each time.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.moved == Moved::Yes {
            self.moved = Moved::No;
            let left = self.limits.longest.saturating_sub(self.began.elapsed());
            self.deadline = Instant::now() + self.patience().min(left);
        }
        let deadline = self.deadline;
        let timer = self.upstream.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        }
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return Poll::Ready(Err(self.who_is_late()));
            }
            timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }

    fn patience(&self) -> Duration {
        if self.upload.is_over() && self.download.awaits_head() { self.limits.response_head } else { self.limits.idle }
    }

    fn who_is_late(&self) -> Fault {
        if self.began.elapsed() >= self.limits.longest {
            return Fault::TooLong;
        }
        let client_reads = self.upstream.to_client.len() == 0;
        let client_sends = self.upload.is_over() || self.upstream.to_upstream.len() > 0;
        if client_reads && client_sends { Fault::UpstreamTimeout } else { Fault::ClientIdle }
    }

    /// The answer is with the client. What can be used again?
    fn end(self) -> Exchange {
        let whole = self.upload.is_sent() && self.upstream.input.is_empty();
        if whole && self.download.upstream_stays() && !authenticates_connection(self.head) {
            self.upstream.fit = Use::Again;
        }
        Exchange { status: self.download.status, next: self.download.next }
    }
}

/// NTLM and Negotiate authenticate a connection instead of a request: such a connection is no one else's, ever.
fn authenticates_connection(head: &RequestHead) -> bool {
    head.fields.of(Kind::Authorization).any(|value| {
        let scheme = value.split(|&b| b == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    })
}

fn retry<C>(fault: Fault, run: &Run<'_, C>, reused: bool) -> Retry {
    let stale = fault == Fault::UpstreamClosed && run.download.heard == 0;
    let repeatable = run.head.framing == Framing::None && run.head.upgrade.is_none() && run.head.is_idempotent();
    if reused && stale && repeatable && run.download.answered == Answered::Nothing { Retry::Safe } else { Retry::Never }
}
