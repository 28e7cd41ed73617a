//! The bytes of an export request, made around records as they were spooled.
//!
//! `ExportLogsServiceRequest{resource_logs: [{resource, scope_logs: [{scope, log_records, schema_url}], schema_url}]}`
//! is four lengths around the records; a test compares it with what the generated types encode.

use std::io::Write as _;

use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::settings::{Compression, Protocol};
use crate::evidence::spool::segment::Header;

/// The conventions that the attributes' names follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.44.0";

/// Bytes before a message in a gRPC body: whether it is compressed, and its length.
const GRPC_PREFIX: usize = 5;

/// `ExportLogsServiceRequest.resource_logs`
const RESOURCE_LOGS: u32 = 1;
/// `ResourceLogs.scope_logs`
const SCOPE_LOGS: u32 = 2;
/// `ScopeLogs.log_records`
const LOG_RECORDS: u32 = 2;

/// The body of a request that carries these records.
pub(super) fn body<'a>(
    header: &Header,
    records: impl Iterator<Item = &'a [u8]>,
    protocol: Protocol,
    compression: Compression,
) -> Vec<u8> {
    let message = message(header, records);
    let before = match protocol {
        Protocol::Grpc => GRPC_PREFIX,
        Protocol::HttpProtobuf => 0,
    };
    let mut body = vec![0; before];
    match compression {
        Compression::None => body.extend_from_slice(&message),
        Compression::Gzip => {
            // The fastest: the hardest takes four times as long and saves a tenth.
            let mut gzip = GzEncoder::new(body, flate2::Compression::fast());
            // Writing to memory cannot fail; were it to, the collector would refuse what there is.
            let _ = gzip.write_all(&message);
            body = gzip.finish().unwrap_or_default();
        }
    }
    let length = u32::try_from(body.len().saturating_sub(before)).unwrap_or(u32::MAX).to_be_bytes();
    let compressed = u8::from(compression == Compression::Gzip);
    let prefix = std::iter::once(compressed).chain(length).take(before);
    body.iter_mut().zip(prefix).for_each(|(place, byte)| *place = byte);
    body
}

/// The message itself.
fn message<'a>(header: &Header, records: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut logs = Vec::new();
    for record in records {
        nested(LOG_RECORDS, record, &mut logs);
    }
    // What stands around the records is encoded without them: fields that are absent take no bytes.
    let scope = InstrumentationScope {
        name: "gatepass.decision".into(),
        version: header.version.clone(),
        ..InstrumentationScope::default()
    };
    let scope = ScopeLogs { scope: Some(scope), ..ScopeLogs::default() }.encode_to_vec();
    let resource = ResourceLogs { resource: Some(resource(header)), ..ResourceLogs::default() }.encode_to_vec();
    // Field 3 of both.
    let schema = ScopeLogs { schema_url: SCHEMA_URL.into(), ..ScopeLogs::default() }.encode_to_vec();

    let scope_length = scope.len() + logs.len() + schema.len();
    let resource_length = resource.len() + nested_length(SCOPE_LOGS, scope_length) + schema.len();
    let mut message = Vec::with_capacity(nested_length(RESOURCE_LOGS, resource_length));
    open(RESOURCE_LOGS, resource_length, &mut message);
    message.extend_from_slice(&resource);
    open(SCOPE_LOGS, scope_length, &mut message);
    message.extend_from_slice(&scope);
    message.extend_from_slice(&logs);
    message.extend_from_slice(&schema);
    message.extend_from_slice(&schema);
    message
}

/// Who made the records: what their segment says of itself.
fn resource(header: &Header) -> Resource {
    let known = [
        ("service.name", Some("gatepass")),
        ("service.version", Some(header.version.as_str())),
        ("service.instance.id", Some(header.gateway.as_str())),
        ("host.name", header.host.as_deref()),
        ("gatepass.evidence.log", Some(header.log.as_str())),
    ];
    let attributes = known.into_iter().filter_map(|(key, value)| Some(attribute(key, value?))).collect();
    Resource { attributes, ..Resource::default() }
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Any::StringValue(value.into())) });
    KeyValue { key: key.into(), value, ..KeyValue::default() }
}

fn nested(field: u32, bytes: &[u8], into: &mut Vec<u8>) {
    open(field, bytes.len(), into);
    into.extend_from_slice(bytes);
}

/// The key and the length of a message that follows.
fn open(field: u32, length: usize, into: &mut Vec<u8>) {
    encode_key(field, WireType::LengthDelimited, into);
    encode_varint(length as u64, into);
}

fn nested_length(field: u32, length: usize) -> usize {
    key_len(field) + encoded_len_varint(length as u64) + length
}
