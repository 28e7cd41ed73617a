//! The end of the story: an admitted connection carries bytes, and its closing record is written.

use bytes::{Bytes, BytesMut};

use crate::client::Client;
use crate::conversation::Conversation;
use crate::evidence::words::Ending;
use crate::evidence::{Admission, Close};
use crate::forward::{Counts, Upstream};
use crate::live::Listed;
use crate::passage::Admitted;
use crate::shared::Shared;
use crate::shutdown::{Drain, Phase};
use crate::tunnel::{self, Tunnel};

/// Bytes both ways until one of the endings, and the closing record.
pub async fn carry(client: Client, early: BytesMut, admitted: Admitted<'_>, drain: Drain, shared: &Shared) {
    let Admitted { admission, listed, upstream, .. } = admitted;
    let tunnel = Tunnel {
        client: client.into(),
        upstream: upstream.into(),
        from_client: early.freeze(),
        from_upstream: Bytes::new(),
    };
    run(tunnel, (admission, listed), Counts::default(), drain, shared).await;
}

/// After `101 Switching Protocols` a forwarded connection is a tunnel like any other.
pub async fn carry_upgrade(
    conversation: Box<Conversation>,
    upstream: Upstream,
    admitted: (Admission, Listed<'_>),
    before: Counts,
    shared: &Shared,
) {
    let Conversation { client, buffer, drain, .. } = *conversation;
    let (stream, from_upstream) = upstream.into_parts();
    let tunnel = Tunnel {
        client: client.into(),
        upstream: stream.into(),
        from_client: buffer.freeze(),
        from_upstream: from_upstream.freeze(),
    };
    run(tunnel, admitted, before, drain, shared).await;
}

async fn run(tunnel: Tunnel, admitted: (Admission, Listed<'_>), before: Counts, mut drain: Drain, shared: &Shared) {
    let (admission, listed) = admitted;
    let counters = admission.counters();
    let cut = async {
        tokio::select! {
            biased;
            ending = listed.cut() => ending,
            () = drain.reached(Phase::Ended) => Ending::Drained,
        }
    };
    shared.metrics.tunnels.increment(1.0);
    let finished = tunnel::carry(tunnel, &shared.tunnel, &shared.pools, &counters, listed.meter(), cut).await;
    shared.metrics.tunnels.decrement(1.0);
    let counts = Counts { sent: before.sent + finished.sent, received: before.received + finished.received };
    close((admission, listed), counts, finished.ending, shared);
}

/// Off the list; the closing record, with what cut it if anything did; and the bytes in the metrics.
pub fn close(admitted: (Admission, Listed<'_>), counts: Counts, ending: Ending, shared: &Shared) {
    let (admission, listed) = admitted;
    let cut_by = listed.cut_by(ending);
    if let Some((grant, way)) = listed.under() {
        shared.state.carried(&grant, &way, counts.sent, counts.received);
    }
    drop(listed);
    if cut_by.is_some() {
        shared.metrics.cut(ending);
    }
    shared.metrics.transmitted.increment(counts.sent);
    shared.metrics.received.increment(counts.received);
    let now = shared.clock.wall();
    admission.close(Close { now, sent: counts.sent, received: counts.received, ending, cut_by });
}
