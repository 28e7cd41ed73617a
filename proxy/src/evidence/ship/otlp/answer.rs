//! What a collector answered, and what that means for the records: only a proper yes counts as one.

use std::time::Duration;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use prost::Message as _;

use crate::evidence::ship::sink::Answer;
use crate::evidence::text;

/// gRPC status codes that mean more than "try again".
const OK: u32 = 0;
const INVALID_ARGUMENT: u32 = 3;
const RESOURCE_EXHAUSTED: u32 = 8;
const OUT_OF_RANGE: u32 = 11;

/// The names of the gRPC status codes, in their order.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// gRPC allows its binary headers with and without padding.
const BINARY: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `google.rpc.Status`, which both ways to speak OTLP describe errors with.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Detail>,
}

/// `google.protobuf.Any`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Detail {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

/// `google.rpc.RetryInfo`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    pub delay: Option<Delay>,
}

/// `google.protobuf.Duration`
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Delay {
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// An answer over gRPC. Its status is in the trailers, or in the headers where nothing else came.
pub(super) fn of_grpc(http: StatusCode, headers: &HeaderMap, trailers: Option<&HeaderMap>, body: &[u8]) -> Answer {
    let status = [trailers, Some(headers)].into_iter().flatten().find_map(|map| Some((map, map.get("grpc-status")?)));
    let Some((map, code)) = status else {
        return match http {
            StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge(format!("HTTP {http}")),
            _ => Answer::failed(format!("HTTP {http} without a gRPC status")),
        };
    };
    let Some(code) = code.to_str().ok().and_then(|code| code.parse::<u32>().ok()) else {
        return Answer::failed("a gRPC status that is no number");
    };
    if code == OK {
        return match grpc_message(body) {
            Some(message) => of_message(message),
            None => Answer::failed("a gRPC answer that is not one message"),
        };
    }
    let message = map.get("grpc-message").map(|text| percent_decoded(text.as_bytes())).unwrap_or_default();
    let name = CODES.get(code as usize).copied().unwrap_or("a status that gRPC does not know");
    let why = told(name, &message);
    let after = retry_info(map);
    match code {
        INVALID_ARGUMENT => Answer::Refused(why),
        RESOURCE_EXHAUSTED | OUT_OF_RANGE if speaks_of_size(&message) => Answer::TooLarge(why),
        RESOURCE_EXHAUSTED if after.is_none() => Answer::Exhausted(why),
        _ => Answer::Failed { why, after },
    }
}

/// An answer over HTTP.
pub(super) fn of_http(http: StatusCode, headers: &HeaderMap, body: Bytes) -> Answer {
    if matches!(http, StatusCode::OK | StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
        return of_message(&body);
    }
    // The body should be a `google.rpc.Status`; from a proxy in between it may be anything.
    let message = match Status::decode(body.clone()) {
        Ok(status) => status.message,
        Err(_) => String::from_utf8_lossy(&body).trim().to_owned(),
    };
    let why = told(&format!("HTTP {http}"), &message);
    match http {
        StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY => Answer::Refused(why),
        StatusCode::PAYLOAD_TOO_LARGE => Answer::TooLarge(why),
        _ => Answer::Failed { why, after: retry_after(headers) },
    }
}

/// A message that says yes. Anything that is no OTLP message does not prove that anything was stored.
fn of_message(message: &[u8]) -> Answer {
    let answer = match ExportLogsServiceResponse::decode(message) {
        Ok(answer) => answer,
        Err(error) => return Answer::failed(format!("not an OTLP answer: {error}")),
    };
    let partial = answer.partial_success.unwrap_or_default();
    match u64::try_from(partial.rejected_log_records) {
        Ok(0) | Err(_) => Answer::Taken,
        Ok(rejected) => Answer::Partly { rejected, why: told("partial success", &partial.error_message) },
    }
}

/// The one message of a body, which is not compressed, as we asked for none.
fn grpc_message(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_first_chunk::<5>()?;
    let (compressed, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(*length.first_chunk()?);
    (*compressed == 0 && message.len() == length as usize).then_some(message)
}

/// Servers say it in their own words: `received message larger than max`, `decoded message length too large`,
/// `message exceeds maximum size`.
fn speaks_of_size(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["larger", "too large", "exceeds", "size"].iter().any(|word| message.contains(word))
}

fn told(what: &str, message: &str) -> String {
    match message {
        "" => what.to_owned(),
        message => format!("{what}: {}", text::clean(message, text::NAME_MAX)),
    }
}

fn retry_info(headers: &HeaderMap) -> Option<Duration> {
    let details = BINARY.decode(headers.get("grpc-status-details-bin")?.as_bytes()).ok()?;
    let status = Status::decode(details.as_slice()).ok()?;
    let info = status.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(info.value.as_slice()).ok()?.delay?;
    Some(Duration::new(u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?))
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

/// The escapes of `grpc-message`; what is not one stands for itself.
fn percent_decoded(text: &[u8]) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        let escape = tail.get(..2).filter(|_| byte == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        match escape.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(value) => {
                out.push(value);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                out.push(byte);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
