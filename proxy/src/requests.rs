//! Plain HTTP, one request at a time: each is decided, recorded and carried anew, whatever connections it travels on.

use gatepass_policy::facts::Protocol;
use gatepass_policy::host::Host;

use crate::budget::Meter;
use crate::carriage::{carry_upgrade, close};
use crate::client::Said;
use crate::conversation::{Conversation, Next};
use crate::dial;
use crate::evidence::Admission;
use crate::evidence::words::Ending;
use crate::exception_request::{self, Errand};
use crate::forward::{self, Answered, Counts, Exchange, Failure, Fault, Key, Retry, Upstream};
use crate::http1::{Framing, RequestHead, Target, body};
use crate::live::Listed;
use crate::passage::{self, Clearance, Connected, Intent};
use crate::refusal::{self, After, Body, Form, Refusal};
use crate::reserved::{self, Question};
use crate::shared::Shared;
use crate::shutdown::Phase;

/// Decide one request and carry it, or refuse it.
pub async fn serve(conversation: Box<Conversation>, head: RequestHead, shared: &Shared) -> Next {
    let form = form_of(&head);
    if *head.target.authority() == reserved_authority() {
        return tell_why(conversation, &head, form, shared).await;
    }
    // What is already here of a body must be sound before anything is decided, looked up or dialled.
    if let Err(error) = body::sound_so_far(head.framing, &conversation.buffer, &shared.head) {
        let refusal = passage::malformed(&conversation.peer, Some(error.status()), error.text(), shared);
        let sent = Body::for_method(head.method());
        let answer = refusal.response(form, After::Close, sent, conversation.peer.listener.compat);
        conversation.client.farewell(&answer).await;
        return Next::End;
    }
    let started = std::time::Instant::now();
    shared.metrics.requests.increment(1.0);
    let mut end = conversation.drain.clone();
    let cleared = tokio::select! {
        cleared = passage::clear(&conversation.peer, intent(&head, Protocol::Http), shared) => cleared,
        () = end.reached(Phase::Ended) => Err(passage::drained(&conversation.peer, head.target.authority(), shared)),
    };
    let next = match cleared {
        Err(refusal) => refuse(conversation, &head, &refusal, form).await,
        Ok(clearance) => match open(clearance, &head, shared).await {
            Err(refusal) => refuse(conversation, &head, &refusal, form).await,
            Ok(opened) => carry(conversation, &head, opened, form, shared).await,
        },
    };
    shared.metrics.requests.decrement(1.0);
    shared.metrics.request_duration.record(started.elapsed().as_secs_f64());
    next
}

/// An admitted request, with the connection that it will travel on.
struct Opened<'a> {
    admitted: (Admission, Listed<'a>),
    upstream: Upstream,
    at: Connected,
    key: Key,
}

/// A pooled connection to one of this very decision's endpoints, or a fresh one.
async fn open<'a>(clearance: Clearance<'a>, head: &RequestHead, shared: &Shared) -> Result<Opened<'a>, Refusal> {
    let authority = head.target.authority();
    for endpoint in clearance.endpoints() {
        let key = Key { endpoint: endpoint.address(), authority: authority.clone() };
        let Some(upstream) = shared.pool.take(&key) else { continue };
        let Ok(local) = upstream.stream().local_addr() else { continue };
        let at = Connected { endpoint: *endpoint, local };
        let admitted = clearance.reuse(at).await?;
        return Ok(Opened { admitted, upstream, at, key });
    }
    let admitted = clearance.dial().await?.admit().await.map_err(|refused| refused.refusal)?;
    let key = Key { endpoint: admitted.at.endpoint.address(), authority: authority.clone() };
    let upstream = Upstream::new(admitted.upstream);
    Ok(Opened { admitted: (admitted.admission, admitted.listed), upstream, at: admitted.at, key })
}

/// Carry the request and its answer; close the record with what really flowed.
async fn carry(
    mut conversation: Box<Conversation>,
    head: &RequestHead,
    opened: Opened<'_>,
    form: Form,
    shared: &Shared,
) -> Next {
    let Opened { admitted, mut upstream, at, key } = opened;
    let mut counts = Counts::default();
    let mut drain = conversation.drain.clone();
    let exchanged = exchange(&mut conversation, head, (&mut upstream, at), &mut counts, admitted.1.meter(), shared);
    let outcome = tokio::select! {
        biased;
        ending = admitted.1.cut() => {
            // A truncated body must not look complete, to either side.
            let _ = upstream.stream().set_zero_linger();
            conversation.client.reset();
            close(admitted, counts, ending, shared);
            return Next::End;
        }
        () = drain.reached(Phase::Ended) => {
            close(admitted, counts, Ending::Drained, shared);
            return Next::End;
        }
        outcome = exchanged => outcome,
    };
    match outcome {
        Ok(done) => match done.next {
            forward::Next::Another => {
                close(admitted, counts, Ending::UpstreamClosed, shared);
                shared.pool.give(&key, upstream);
                if drain.phase() == Phase::Serving { Next::Head(conversation) } else { Next::End }
            }
            forward::Next::Close => {
                close(admitted, counts, Ending::UpstreamClosed, shared);
                shared.pool.give(&key, upstream);
                let Conversation { client, .. } = *conversation;
                client.farewell(b"").await;
                Next::End
            }
            forward::Next::Tunnel => {
                carry_upgrade(conversation, upstream, admitted, counts, shared).await;
                Next::End
            }
        },
        Err(Failure { fault: Fault::Spent, .. }) => {
            // As after a cut: neither side is to take its part for the whole.
            let _ = upstream.stream().set_zero_linger();
            conversation.client.reset();
            close(admitted, counts, Ending::Limit, shared);
            Next::End
        }
        Err(failure) => {
            let id = admitted.0.id();
            close(admitted, counts, ending(&failure), shared);
            if failure.answered == Answered::Nothing {
                let (status, text) = (failure.fault.status(), failure.fault.text());
                let (sent, compat) = (Body::for_method(head.method()), conversation.peer.listener.compat);
                let answer = refusal::upstream_failed(id, (status, text), form, sent, compat);
                conversation.client.farewell(&answer).await;
            }
            Next::End
        }
    }
}

/// The exchange, once more where the connection that was to carry it had died of old age.
async fn exchange(
    conversation: &mut Conversation,
    head: &RequestHead,
    (upstream, at): (&mut Upstream, Connected),
    counts: &mut Counts,
    meter: &Meter,
    shared: &Shared,
) -> Result<Exchange, Failure> {
    let Conversation { client, buffer, .. } = conversation;
    let outcome = forward::exchange(client, buffer, head, upstream, &shared.forward, counts, meter).await;
    if let Err(failure) = &outcome
        && failure.retry == Retry::Safe
        && let Ok(dialled) = dial::dial(&[at.endpoint], &shared.dial, None).await
    {
        // The same decision's endpoint is dialled once, no other.
        *upstream = Upstream::new(dialled.stream);
        return forward::exchange(client, buffer, head, upstream, &shared.forward, counts, meter).await;
    }
    outcome
}

/// How an exchange ended that failed.
fn ending(failure: &Failure) -> Ending {
    match failure.fault {
        Fault::ClientGone | Fault::ClientIdle | Fault::RequestBody(_) => Ending::ClientClosed,
        Fault::TooLong => Ending::MaxDuration,
        Fault::Spent => Ending::Limit,
        Fault::Connect
        | Fault::UpstreamClosed
        | Fault::UpstreamTimeout
        | Fault::Response(_)
        | Fault::ResponseBody(_)
        | Fault::Switch
        | Fault::Interim => Ending::Error,
    }
}

/// A denial leaves the connection usable where nothing of a body is on its way.
async fn refuse(mut conversation: Box<Conversation>, head: &RequestHead, refusal: &Refusal, form: Form) -> Next {
    let (sent, compat) = (Body::for_method(head.method()), conversation.peer.listener.compat);
    if head.keep_alive && head.framing == Framing::None && conversation.drain.phase() == Phase::Serving {
        let answer = refusal.response(form, After::KeepAlive, sent, compat);
        return match conversation.client.say(&answer).await {
            Said::Yes => Next::Head(conversation),
            Said::No => Next::End,
        };
    }
    let answer = refusal.response(form, After::Close, sent, compat);
    conversation.client.farewell(&answer).await;
    Next::End
}

/// The reserved host: answered here, never carried.
async fn tell_why(mut conversation: Box<Conversation>, head: &RequestHead, form: Form, shared: &Shared) -> Next {
    let now = shared.clock.now();
    let after = if head.keep_alive && head.framing == Framing::None { After::KeepAlive } else { After::Close };
    let answer = match conversation.peer.identify(&shared.identity, head.proxy_authorization(), now) {
        Err(invalid) => {
            let refusal = passage::no_identity(&conversation.peer, &invalid, shared);
            return refuse(conversation, head, &refusal, form).await;
        }
        Ok(asker) => match Errand::of(head) {
            Some(errand) => {
                exception_request::answer(errand, &asker, &mut conversation, head, (form, after), shared).await
            }
            None => {
                let question = match (&head.target, head.method()) {
                    (Target::Absolute { path_and_query, .. }, "GET" | "HEAD") => Question::parse(path_and_query),
                    (Target::Absolute { .. } | Target::Connect(_), _) => Question::Unknown,
                };
                let sent = Body::for_method(head.method());
                reserved::answer(&question, &asker, shared.evidence.recent(), form, after, sent)
            }
        },
    };
    if after == After::Close {
        conversation.client.farewell(&answer).await;
        return Next::End;
    }
    match conversation.client.say(&answer).await {
        Said::Yes => Next::Head(conversation),
        Said::No => Next::End,
    }
}

fn reserved_authority() -> gatepass_policy::host::Authority {
    gatepass_policy::host::Authority { host: Host::Name(reserved::HOST.into()), port: 80 }
}

/// What a head asks for, as every protocol's intent.
pub fn intent(head: &RequestHead, protocol: Protocol) -> Intent {
    Intent {
        destination: head.target.authority().clone(),
        protocol,
        credentials: head.proxy_authorization().map(<[u8]>::to_vec),
        declared: head.data_class().map(<[u8]>::to_vec),
        traceparent: head.traceparent().map(<[u8]>::to_vec),
        request: head.facts(),
    }
}

/// JSON where the client asks for it by name; text for everyone else.
pub fn form_of(head: &RequestHead) -> Form {
    let json = head.fields.iter().any(|field| {
        field.lower() == "accept" && String::from_utf8_lossy(field.value()).to_ascii_lowercase().contains("json")
    });
    if json { Form::Json } else { Form::Text }
}
