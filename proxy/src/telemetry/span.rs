//! The spans of one request: SERVER for the whole of it up to its verdict, and what happened in between.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId,
    TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, Span};

use crate::evidence::DecisionRecord;
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

impl Tracing {
    pub(super) fn new(tracer: SdkTracer, sample: f64, parent: Parent) -> Tracing {
        Tracing { tracer, sample, parent }
    }

    /// The span of a request, if it is traced: `method`, and the value of `traceparent` that the client sent.
    pub fn begin(&self, method: &str, traceparent: Option<&[u8]>) -> Option<RequestSpan> {
        let parent = match self.parent {
            Parent::Follow => traceparent.and_then(remote).filter(SpanContext::is_sampled),
            Parent::Ignore => None,
        };
        if parent.is_none() && !self.chosen() {
            return None;
        }
        let above = parent.map_or_else(Context::new, |parent| Context::new().with_remote_span_context(parent));
        let span = SpanBuilder::from_name(method.to_owned()).with_kind(SpanKind::Server);
        let span = self.tracer.build_with_context(span, &above);
        let context = above.with_remote_span_context(span.span_context().clone());
        Some(RequestSpan { tracer: self.tracer.clone(), span, context })
    }

    /// Whether this request is among the share that starts a trace.
    fn chosen(&self) -> bool {
        // The end of a UUIDv7 is random.
        let (_, random) = uuid::Uuid::now_v7().as_u64_pair();
        // Its two highest bits are the variant's.
        #[expect(clippy::cast_precision_loss, reason = "a share needs no 62 bits")]
        let place = (random << 2 >> 2) as f64 / (1u64 << 62) as f64;
        place < self.sample
    }
}

impl RequestSpan {
    /// The ids, for the record.
    pub fn trace(&self) -> Trace {
        let context = self.span.span_context();
        Trace { id: context.trace_id().to_bytes(), span: context.span_id().to_bytes() }
    }

    /// Something that took so long and has just ended.
    pub fn ended(&self, name: &'static str, kind: SpanKind, took: Duration) {
        let now = SystemTime::now();
        let begun = now.checked_sub(took).unwrap_or(now);
        let span = SpanBuilder::from_name(name).with_kind(kind).with_start_time(begun);
        self.tracer.build_with_context(span, &self.context).end_with_timestamp(now);
    }

    /// The verdict: the end of the span.
    pub fn verdict(mut self, record: &DecisionRecord) {
        let mut attributes = vec![
            KeyValue::new("gatepass.decision.id", record.id.to_string()),
            KeyValue::new("gatepass.decision.effect", record.effect.as_str()),
            KeyValue::new("gatepass.decision.outcome", record.outcome.as_str()),
            KeyValue::new("gatepass.decision.reason", record.reason.code.code()),
        ];
        if let Some(destination) = &record.destination {
            let host = destination.host.as_ref().map(|host| KeyValue::new("server.address", host.as_str().to_owned()));
            attributes.extend(host);
            attributes.extend(destination.port.map(|port| KeyValue::new("server.port", i64::from(port))));
        }
        match record.outcome {
            Outcome::Admitted => {}
            Outcome::Refused | Outcome::Failed => {
                attributes.push(KeyValue::new("error.type", record.reason.code.code()));
                self.span.set_status(Status::error(record.reason.code.sentence()));
            }
        }
        self.span.set_attributes(attributes);
        self.span.end();
    }
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
