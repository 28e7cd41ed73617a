//! The end of the story: an admitted connection carries bytes, and its closing record is written.

use bytes::{Bytes, BytesMut};

use crate::client::Client;
use crate::conversation::Conversation;
use crate::evidence::words::Ending;
use crate::evidence::{Admission, Close};
use crate::forward::{Counts, Upstream};
use crate::passage::Admitted;
use crate::shared::Shared;
use crate::shutdown::{Drain, Phase};
use crate::tunnel::{self, Tunnel};

/// Bytes both ways until one of the endings, and the closing record.
pub async fn carry(client: Client, early: BytesMut, admitted: Admitted, drain: Drain, shared: &Shared) {
    let Admitted { admission, upstream, .. } = admitted;
    let tunnel = Tunnel {
        client: client.into(),
        upstream: upstream.into(),
        from_client: early.freeze(),
        from_upstream: Bytes::new(),
    };
    run(tunnel, admission, Counts::default(), drain, shared).await;
}

/// After `101 Switching Protocols` a forwarded connection is a tunnel like any other.
pub async fn carry_upgrade(
    conversation: Box<Conversation>,
    upstream: Upstream,
    admission: Admission,
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
    run(tunnel, admission, before, drain, shared).await;
}

async fn run(tunnel: Tunnel, admission: Admission, before: Counts, mut drain: Drain, shared: &Shared) {
    let counters = admission.counters();
    let cut = async {
        drain.reached(Phase::Ended).await;
        Ending::Drained
    };
    // Gone from memory only where none is kept; then there is nothing to list it by.
    let record = shared.evidence.recent().by_id(admission.id());
    let listed = record.map(|record| shared.live.list(&record, admission.counters()));
    shared.metrics.tunnels.increment(1.0);
    let finished = tunnel::carry(tunnel, &shared.tunnel, &shared.pools, &counters, cut).await;
    shared.metrics.tunnels.decrement(1.0);
    drop(listed);
    let counts = Counts { sent: before.sent + finished.sent, received: before.received + finished.received };
    close(admission, counts, finished.ending, shared);
}

/// The closing record, and the bytes in the metrics.
pub fn close(admission: Admission, counts: Counts, ending: Ending, shared: &Shared) {
    shared.metrics.transmitted.increment(counts.sent);
    shared.metrics.received.increment(counts.received);
    let now = shared.clock.now();
    admission.close(Close { now, sent: counts.sent, received: counts.received, ending, cut_by: None });
}
