//! The bytes of a request are those of the generated types, and an answer means what OTLP says it means.

use std::io::Read as _;
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use super::answer::{self, Delay, Detail, RetryInfo, Status};
use super::request;
use super::settings::{Compression, Protocol};
use crate::evidence::ship::sink::Answer;
use crate::evidence::spool::segment::Header;

const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

fn header() -> Header {
    Header {
        first: 7,
        gateway: "gw-1".into(),
        log: "gatepass.test/gw-1".into(),
        run: "019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5".into(),
        created: "2026-11-22T10:00:00Z".into(),
        version: "0.1.0".into(),
        host: Some("machine".into()),
    }
}

fn log(size: usize) -> LogRecord {
    LogRecord { event_name: "x".repeat(size), time_unix_nano: 1, ..LogRecord::default() }
}

/// The request as the generated types make it.
fn generated(records: Vec<LogRecord>) -> Vec<u8> {
    let attribute = |key: &str, text: &str| {
        let value = Some(AnyValue { value: Some(Any::StringValue(text.into())) });
        KeyValue { key: key.into(), value, ..KeyValue::default() }
    };
    let attributes = vec![
        attribute("service.name", "gatepass"),
        attribute("service.version", "0.1.0"),
        attribute("service.instance.id", "gw-1"),
        attribute("host.name", "machine"),
        attribute("gatepass.evidence.log", "gatepass.test/gw-1"),
    ];
    let scope = InstrumentationScope {
        name: "gatepass.decision".into(),
        version: "0.1.0".into(),
        ..InstrumentationScope::default()
    };
    let scope_logs = vec![ScopeLogs { scope: Some(scope), log_records: records, schema_url: SCHEMA_URL.into() }];
    let resource = Some(Resource { attributes, ..Resource::default() });
    let logs = ResourceLogs { resource, scope_logs, schema_url: SCHEMA_URL.into() };
    ExportLogsServiceRequest { resource_logs: vec![logs] }.encode_to_vec()
}

fn assembled(records: &[LogRecord], protocol: Protocol, compression: Compression) -> Vec<u8> {
    let spooled: Vec<Vec<u8>> = records.iter().map(LogRecord::encode_to_vec).collect();
    request::body(&header(), spooled.iter().map(Vec::as_slice), protocol, compression)
}

#[test]
fn a_request_has_the_bytes_that_the_generated_types_encode() {
    // Around each size at which a length takes one byte more.
    for sizes in [&[][..], &[0], &[1, 2, 3], &[110; 1], &[127; 2], &[16_300; 1], &[16_384; 3], &[40_000; 60]] {
        let records: Vec<LogRecord> = sizes.iter().map(|size| log(*size)).collect();
        let body = assembled(&records, Protocol::HttpProtobuf, Compression::None);
        assert!(body == generated(records), "{sizes:?}");
    }
}

#[test]
fn a_grpc_body_says_how_long_its_message_is_and_whether_it_is_packed() {
    let records = [log(100), log(200)];
    let message = generated(records.to_vec());
    let body = assembled(&records, Protocol::Grpc, Compression::None);
    assert_eq!((body[0], &body[1..5], &body[5..]), (0, &u32::to_be_bytes(message.len() as u32)[..], &message[..]));
    let body = assembled(&records, Protocol::Grpc, Compression::Gzip);
    assert_eq!((body[0], &body[1..5]), (1, &u32::to_be_bytes(body.len() as u32 - 5)[..]));
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&body[5..]).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == message);
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&'static str, &str)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    pairs.iter().map(pair).collect()
}

fn of_grpc(trailers: &[(&'static str, &str)], body: &[u8]) -> Answer {
    answer::of_grpc(StatusCode::OK, &HeaderMap::new(), Some(&headers(trailers)), body)
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::to_be_bytes(message.len() as u32), message].concat()
}

fn partial(rejected: i64) -> Vec<u8> {
    let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message: "too\nold".into() };
    ExportLogsServiceResponse { partial_success: Some(partial) }.encode_to_vec()
}

fn failed(why: &str) -> Answer {
    Answer::failed(why)
}

#[test]
fn over_grpc_only_one_whole_message_with_status_zero_is_a_yes() {
    let ok = [("grpc-status", "0")];
    assert_eq!(of_grpc(&ok, &framed(&[])), Answer::Taken);
    assert_eq!(of_grpc(&ok, &framed(&partial(0))), Answer::Taken, "a warning without a rejection");
    assert_eq!(
        of_grpc(&ok, &framed(&partial(3))),
        Answer::Partly { rejected: 3, why: "partial success: too\\u{a}old".into() }
    );
    let two = [framed(&[]), framed(&[])].concat();
    for body in [&[][..], &[0, 0, 0, 0], &[0, 0, 0, 0, 9], &[1, 0, 0, 0, 0], &two] {
        assert_eq!(of_grpc(&ok, body), failed("a gRPC answer that is not one message"), "{body:?}");
    }
    assert!(matches!(of_grpc(&ok, &framed(b"<html>")), Answer::Failed { .. }));
    assert_eq!(of_grpc(&[], &framed(&[])), failed("HTTP 200 OK without a gRPC status"));
    assert_eq!(of_grpc(&[("grpc-status", "yes")], &framed(&[])), failed("a gRPC status that is no number"));
}

#[test]
fn every_grpc_status_has_its_fate() {
    let of = |code: &str, message: &str| of_grpc(&[("grpc-status", code), ("grpc-message", message)], &[]);
    assert_eq!(of("3", "a%0Ab"), Answer::Refused("INVALID_ARGUMENT: a\\u{a}b".into()));
    for message in [
        "grpc: received message larger than max (5 vs. 4)",
        "Error, decoded message length too large: found 5 bytes, the limit is: 4 bytes",
        "gRPC message exceeds maximum size 4: 5",
    ] {
        assert_eq!(of("8", message), Answer::TooLarge(format!("RESOURCE_EXHAUSTED: {message}")));
        assert_eq!(of("11", message), Answer::TooLarge(format!("OUT_OF_RANGE: {message}")));
    }
    assert_eq!(of("8", "quota"), Answer::Exhausted("RESOURCE_EXHAUSTED: quota".into()));
    for (code, name) in [("2", "UNKNOWN"), ("7", "PERMISSION_DENIED"), ("12", "UNIMPLEMENTED"), ("13", "INTERNAL")] {
        assert_eq!(of(code, ""), failed(name));
    }
    assert_eq!(of("14", "%zz%4"), failed("UNAVAILABLE: %zz%4"));
    assert_eq!(of("99", ""), failed("a status that gRPC does not know"));
}

#[test]
fn a_status_may_stand_in_the_headers_alone_and_a_proxy_may_answer_without_one() {
    let alone = headers(&[("grpc-status", "3")]);
    assert_eq!(answer::of_grpc(StatusCode::OK, &alone, None, &[]), Answer::Refused("INVALID_ARGUMENT".into()));
    let bare = |status| answer::of_grpc(status, &HeaderMap::new(), None, b"<html>");
    assert!(matches!(bare(StatusCode::PAYLOAD_TOO_LARGE), Answer::TooLarge(_)));
    assert!(matches!(bare(StatusCode::BAD_REQUEST), Answer::Failed { .. }), "nobody who speaks gRPC said that");
}

#[test]
fn a_grpc_server_is_asked_again_when_it_wants_and_its_nonsense_is_ignored() {
    let delay = |seconds, nanos| {
        let value = RetryInfo { delay: Some(Delay { seconds, nanos }) }.encode_to_vec();
        let detail = Detail { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value };
        Status { code: 8, message: String::new(), details: vec![detail] }.encode_to_vec()
    };
    let after = |details: &str| match of_grpc(&[("grpc-status", "14"), ("grpc-status-details-bin", details)], &[]) {
        Answer::Failed { after, .. } => after,
        other => panic!("{other:?}"),
    };
    let (padded, bare) = (base64::engine::general_purpose::STANDARD, base64::engine::general_purpose::STANDARD_NO_PAD);
    let info = delay(2, 500_000_000);
    assert_eq!(after(&padded.encode(&info)), Some(Duration::from_millis(2500)));
    assert_eq!(after(&bare.encode(&info)), Some(Duration::from_millis(2500)));
    for nonsense in ["", "!not base64!", &bare.encode(b"\xff\xff"), &bare.encode(delay(-1, 0)), &bare.encode([])] {
        assert_eq!(after(nonsense), None, "{nonsense}");
    }
    // The largest numbers that fit must not overflow what they are turned into.
    let far = after(&bare.encode(delay(i64::MAX, i32::MAX)));
    assert!(far.is_some_and(|after| after >= Duration::from_secs(i64::MAX as u64)), "{far:?}");
    let exhausted = [("grpc-status", "8"), ("grpc-status-details-bin", &bare.encode(&info))];
    assert!(matches!(of_grpc(&exhausted, &[]), Answer::Failed { after: Some(_), .. }));
}

#[test]
fn every_http_status_has_its_fate() {
    let of = |status: u16, pairs: &[(&'static str, &str)], body: &[u8]| {
        answer::of_http(StatusCode::from_u16(status).unwrap(), &headers(pairs), Bytes::copy_from_slice(body))
    };
    for status in [200, 202, 204] {
        assert_eq!(of(status, &[], &[]), Answer::Taken);
    }
    assert!(matches!(of(200, &[], &partial(2)), Answer::Partly { rejected: 2, .. }));
    assert!(matches!(of(200, &[], b"<html>a captive portal</html>"), Answer::Failed { .. }));
    let message = Status { code: 3, message: "bad\nrecord".into(), details: Vec::new() }.encode_to_vec();
    assert_eq!(of(400, &[], &message), Answer::Refused("HTTP 400 Bad Request: bad\\u{a}record".into()));
    assert!(matches!(of(422, &[], &[]), Answer::Refused(_)));
    assert!(matches!(of(413, &[], b"<html>"), Answer::TooLarge(_)));
    for status in [301, 401, 403, 404, 405, 429, 500, 502, 503, 504] {
        assert!(matches!(of(status, &[], &[]), Answer::Failed { after: None, .. }), "{status}");
    }
    let after = |text: &str| match of(503, &[("retry-after", text)], &[]) {
        Answer::Failed { after, .. } => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert!(after("Tue, 31 Dec 2199 23:59:59 GMT").is_some_and(|after| after > Duration::from_secs(3600)));
    for nonsense in ["", "soon", "-1", "Sun, 06 Nov 1994 08:49:37 GMT"] {
        assert_eq!(after(nonsense), None, "{nonsense}");
    }
}

proptest::proptest! {
    /// The other side may be anybody: whatever it says is an answer of ours, and no panic.
    #[test]
    fn no_answer_is_too_strange_to_be_one(
        status in 100_u16..600,
        code in "[0-9]{0,3}|\\PC{0,8}",
        message in "[ -~]{0,40}",
        details in "[A-Za-z0-9+/=]{0,60}",
        body in proptest::collection::vec(proptest::num::u8::ANY, 0..80),
    ) {
        let status = StatusCode::from_u16(status).unwrap();
        let mut map = HeaderMap::new();
        for (name, value) in [("grpc-status", &code), ("grpc-message", &message), ("retry-after", &message),
            ("grpc-status-details-bin", &details)]
        {
            if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                map.insert(HeaderName::from_static(name), value);
            }
        }
        let grpc = answer::of_grpc(status, &map, None, &body);
        proptest::prop_assert!(grpc != Answer::Taken || code.parse() == Ok(0));
        let http = answer::of_http(status, &map, body.into());
        proptest::prop_assert!(http != Answer::Taken || status.is_success());
    }
}
