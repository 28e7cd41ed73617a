//! The spans of one request: SERVER for the whole of it up to its verdict, and what happened in between.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use gatepass_policy::decision::{Effect, Reason};
use gatepass_policy::facts::{Facts, Protocol};
use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};
use uuid::Uuid;

use crate::evidence::parts::Trace;
use crate::evidence::words::Outcome;

/// What becomes of the trace that a client brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parent {
    /// It is continued where it is sampled.
    Follow,
    /// It is not looked at.
    Ignore,
}

/// Makes the spans of requests.
pub struct Tracing {
    tracer: SdkTracer,
    sample: f64,
    parent: Parent,
}

/// The SERVER span of one request that is traced.
pub struct RequestSpan {
    tracer: SdkTracer,
    span: Span,
    context: Context,
}

/// A part of the way to a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// One stage of the decision.
    Decide,
    /// The lookup of the name.
    Dns,
    /// The dial, and whom it reached.
    Connect(Option<SocketAddr>),
    /// The wait for the client's ClientHello.
    Tls,
    /// The probe of the server's certificate.
    Probe,
}

/// What a request came to.
#[derive(Clone, Copy, Debug)]
pub struct Conclusion {
    /// The decision's id.
    pub id: Uuid,
    /// What the policy says.
    pub effect: Effect,
    /// What happened.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Whether that is an error.
    pub fault: Fault,
}

/// Whether a verdict is an error of the span. To the conventions, an answer from 400 to 499 is no error of a server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The gateway could not, or what lies behind it could not.
    Server,
    /// It did as it was told.
    None,
}

impl Tracing {
    pub(super) fn new(tracer: SdkTracer, sample: f64, parent: Parent) -> Tracing {
        Tracing { tracer, sample, parent }
    }

    /// The span of a request, if it is traced, from the value of `traceparent` that the client sent.
    pub fn begin(&self, facts: &Facts, traceparent: Option<&[u8]>) -> Option<RequestSpan> {
        let parent = match self.parent {
            Parent::Follow => traceparent.and_then(remote).filter(SpanContext::is_sampled),
            Parent::Ignore => None,
        };
        if parent.is_none() && !self.chosen() {
            return None;
        }
        let above = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let method = method(facts);
        // The convention's name where the method is none that is known: clients must not be able to invent names.
        let name = if method == OTHER { "HTTP" } else { method };
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(asked(facts, method));
        let span = self.tracer.build_with_context(span, &above);
        let context = above.with_remote_span_context(span.span_context().clone());
        Some(RequestSpan { tracer: self.tracer.clone(), span, context })
    }

    /// Whether this request is among the share that starts a trace.
    fn chosen(&self) -> bool {
        // The last 32 bits of a UUIDv7 are random. Those before them count up within a millisecond, so that a burst would
        // be traced as a whole or not at all.
        let [.., a, b, c, d] = *Uuid::now_v7().as_bytes();
        let place = f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0);
        place < self.sample
    }
}

impl RequestSpan {
    /// The ids, for the record.
    pub fn trace(&self) -> Trace {
        let context = self.span.span_context();
        Trace { id: context.trace_id().to_bytes(), span: context.span_id().to_bytes() }
    }

    /// A part of the way that took so long and has just ended, with what it failed for.
    pub fn part(&self, part: Part, facts: &Facts, took: Duration, failed: Option<Reason>) {
        let now = SystemTime::now();
        let begun = now.checked_sub(took).unwrap_or(now);
        let mut attributes = part.attributes(facts);
        attributes.extend(failed.map(|reason| KeyValue::new("error.type", reason.code())));
        let span = SpanBuilder::from_name(part.name()).with_kind(part.kind()).with_start_time(begun);
        let mut span = self.tracer.build_with_context(span.with_attributes(attributes), &self.context);
        if let Some(reason) = failed {
            span.set_status(Status::error(reason.sentence()));
        }
        span.end_with_timestamp(now);
    }

    /// The verdict: the end of the span.
    pub fn verdict(mut self, came: Conclusion) {
        self.span.set_attributes([
            KeyValue::new("gatepass.decision.id", came.id.to_string()),
            KeyValue::new("gatepass.decision.effect", came.effect.as_str()),
            KeyValue::new("gatepass.decision.outcome", came.outcome.as_str()),
            KeyValue::new("gatepass.decision.reason", came.reason.code()),
        ]);
        match came.fault {
            Fault::None => {}
            Fault::Server => {
                self.span.set_attribute(KeyValue::new("error.type", came.reason.code()));
                self.span.set_status(Status::error(came.reason.sentence()));
            }
        }
        self.span.end();
    }
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Part::Decide => "decide",
            Part::Dns => "dns",
            Part::Connect(_) => "connect",
            Part::Tls => "tls",
            Part::Probe => "probe",
        }
    }

    fn kind(self) -> SpanKind {
        match self {
            Part::Decide => SpanKind::Internal,
            Part::Dns | Part::Connect(_) | Part::Tls | Part::Probe => SpanKind::Client,
        }
    }

    fn attributes(self, facts: &Facts) -> Vec<KeyValue> {
        match self {
            Part::Decide | Part::Tls | Part::Probe => Vec::new(),
            Part::Dns => vec![KeyValue::new("dns.question.name", facts.destination.host.to_text().into_owned())],
            Part::Connect(reached) => {
                let mut attributes = destination(facts).to_vec();
                if let Some(peer) = reached {
                    attributes.push(KeyValue::new("network.peer.address", peer.ip().to_string()));
                    attributes.push(KeyValue::new("network.peer.port", i64::from(peer.port())));
                }
                attributes
            }
        }
    }
}

/// What the conventions call a method that they do not know.
const OTHER: &str = "_OTHER";

/// The methods that the conventions know (HTTP spans, `http.request.method`).
const METHODS: &[&str] = &["CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"];

fn method(facts: &Facts) -> &'static str {
    let asked = facts.request.as_ref().map_or("CONNECT", |request| &request.method);
    METHODS.iter().find(|known| **known == asked).copied().unwrap_or(OTHER)
}

fn destination(facts: &Facts) -> [KeyValue; 2] {
    [
        KeyValue::new("server.address", facts.destination.host.to_text().into_owned()),
        KeyValue::new("server.port", i64::from(facts.destination.port)),
    ]
}

/// What was asked for. Path, query and who asked stay out: spans have no redaction of their own, and the record has them.
fn asked(facts: &Facts, method: &'static str) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new("http.request.method", method)];
    attributes.extend(destination(facts));
    match facts.protocol {
        Protocol::Http => attributes.push(KeyValue::new("url.scheme", "http")),
        Protocol::Connect | Protocol::Transparent => {}
    }
    attributes
}

/// The span that `traceparent` names (W3C Trace Context, section 3.2).
fn remote(value: &[u8]) -> Option<SpanContext> {
    let text = std::str::from_utf8(value).ok()?.trim();
    let mut parts = text.split('-');
    let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let whole = hex(version, 2) && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    if !whole || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let context = SpanContext::new(trace, span, flags, true, TraceState::NONE);
    context.is_valid().then_some(context)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_traceparent_of_the_standard_names_a_span() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context = remote(good.as_bytes()).unwrap();
        assert!(context.is_sampled() && context.trace_id().to_string() == "0af7651916cd43dd8448eb211c80319c");
        assert!(!remote(good.replace("-01", "-00").as_bytes()).unwrap().is_sampled());
        for bad in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
        ] {
            assert!(remote(bad.as_bytes()).is_none(), "{bad}");
        }
        assert!(remote(b"\xff").is_none());
    }
}
