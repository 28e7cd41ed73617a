//! Both directions of a tunnel together, and how their ends make the end of the tunnel.

use std::io::{self, ErrorKind};
use std::task::{Context, Poll};

use super::flow::{AtEnd, Broken, Flow, Progress};
use super::{Counters, Ending, Pools, Side, Tunnel};
use crate::budget::{Turn, Way};

/// Both sides, both directions, and what is known of their ends.
pub(super) struct Ways {
    client: Side,
    upstream: Side,
    out: Flow,
    back: Flow,
    /// The side that ended first, as an ending.
    first: Option<Ending>,
    manner: Manner,
    /// The ways that had more than there was room for in the last turn.
    pub(super) starved: [Option<Way>; 2],
}

/// How the sockets are to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// As every stream ends.
    Plain,
    /// By a reset.
    Abrupt,
}

/// The end of a tunnel.
pub(super) struct Close {
    pub(super) ending: Ending,
    manner: Manner,
}

impl Close {
    /// An end that comes from outside. Nothing is under way in an idle tunnel, so it ends like any other stream.
    pub(super) fn cut(ending: Ending) -> Close {
        Close { ending, manner: if ending == Ending::Idle { Manner::Plain } else { Manner::Abrupt } }
    }
}

impl Ways {
    pub(super) fn new(tunnel: Tunnel) -> Ways {
        let Tunnel { client, upstream, from_client, from_upstream } = tunnel;
        let (out, back) = (Flow::new(from_client), Flow::new(from_upstream));
        Ways { client, upstream, out, back, first: None, manner: Manner::Plain, starved: [None; 2] }
    }

    /// Move what can be moved, as far as there is room. Ready when both directions are done, or a side can no longer be read.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        pools: &Pools,
        counters: &Counters,
        turn: &Turn<'_>,
    ) -> Poll<Close> {
        self.starved = [None; 2];
        if self.back.is_done() && self.closing_says_it(&self.upstream) {
            self.out.at_end = AtEnd::Leave;
        }
        let out =
            self.out.poll(cx, &mut self.client, &mut self.upstream, pools, (&counters.sent, turn.room(Way::Upload)));
        if matches!(out, Progress::Starved) {
            self.starved = [Some(Way::Upload), None];
        }
        if let Some(close) = self.note(out, Ending::ClientClosed, Ending::UpstreamClosed) {
            return Poll::Ready(close);
        }
        if self.out.is_done() && self.closing_says_it(&self.client) {
            self.back.at_end = AtEnd::Leave;
        }
        let back = self.back.poll(
            cx,
            &mut self.upstream,
            &mut self.client,
            pools,
            (&counters.received, turn.room(Way::Download)),
        );
        if matches!(back, Progress::Starved) {
            let [upload, _] = self.starved;
            self.starved = [upload, Some(Way::Download)];
        }
        if let Some(close) = self.note(back, Ending::UpstreamClosed, Ending::ClientClosed) {
            return Poll::Ready(close);
        }
        if self.out.is_done() && self.back.is_done() {
            return Poll::Ready(Close { ending: self.first.unwrap_or(Ending::Error), manner: self.manner });
        }
        Poll::Pending
    }

    /// Close both sockets by dropping them.
    pub(super) fn close(self, close: &Close) {
        if close.manner == Manner::Abrupt {
            self.client.reset();
            self.upstream.reset();
        }
    }

    /// Whether closing the socket of the last open direction tells its peer what a shutdown would: one call less.
    fn closing_says_it(&self, to: &Side) -> bool {
        to.tcp().is_some() || self.manner == Manner::Abrupt
    }

    /// Take down what one direction came to; a close where nothing more can be delivered.
    fn note(&mut self, progress: Progress, from: Ending, to: Ending) -> Option<Close> {
        match progress {
            Progress::Open | Progress::Starved => None,
            Progress::Ended => {
                self.first.get_or_insert(from);
                None
            }
            // All that was read before the error has been delivered, and the way back leads to the same dead socket.
            Progress::Broken(Broken::From(error)) => {
                Some(Close { ending: self.blame(&error, from), manner: Manner::Abrupt })
            }
            // What the broken side sent before may still wait in its socket: the other direction ends by itself.
            Progress::Broken(Broken::To(error)) => {
                self.first = Some(self.blame(&error, to));
                self.manner = Manner::Abrupt;
                None
            }
        }
    }

    /// Whose end an error is. A peer that was lost (a time-out, no route) has not closed.
    fn blame(&self, error: &io::Error, side: Ending) -> Ending {
        match error.kind() {
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe => {
                self.first.unwrap_or(side)
            }
            _ => Ending::Error,
        }
    }
}
