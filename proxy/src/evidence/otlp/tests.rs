//! Records reach a collector, by gRPC and by HTTP, whole and once it is there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsPartialSuccess, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::SeverityNumber;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket};

use super::*;
use crate::evidence::fields::{DERIVED, FIELDS, Place, UID};
use crate::evidence::tests::shape::full;
use crate::evidence::tests::{Pipe, PipeState, denied, facts, limits};
use crate::evidence::words::Ending;
use crate::evidence::{Close, Evidence, Flushed, Format, Output, Unavailable};
use crate::metrics::Metrics;

/// How the collector answers the next request.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Takes,
    Fails,
    Babbles,
    Rejects(i64),
}

/// A collector that keeps what it takes.
#[derive(Clone, Default)]
struct Collector {
    taken: Arc<Mutex<Vec<ExportLogsServiceRequest>>>,
    moods: Arc<Mutex<Vec<Mood>>>,
}

impl Collector {
    fn answer(&self, request: ExportLogsServiceRequest) -> (Mood, ExportLogsServiceResponse) {
        let mut moods = self.moods.lock().unwrap();
        let mood = if moods.is_empty() { Mood::Takes } else { moods.remove(0) };
        let partial_success = match mood {
            Mood::Fails | Mood::Babbles => return (mood, ExportLogsServiceResponse::default()),
            Mood::Takes => None,
            Mood::Rejects(records) => {
                Some(ExportLogsPartialSuccess { rejected_log_records: records, error_message: "no\nroom".into() })
            }
        };
        self.taken.lock().unwrap().push(request);
        (mood, ExportLogsServiceResponse { partial_success })
    }

    fn records(&self) -> Vec<LogRecord> {
        let taken = self.taken.lock().unwrap();
        let scopes = taken.iter().flat_map(|request| &request.resource_logs).flat_map(|logs| &logs.scope_logs);
        scopes.flat_map(|logs| logs.log_records.clone()).collect()
    }

    fn serve(&self, listener: TcpListener, protocol: Protocol) {
        let collector = self.clone();
        match protocol {
            Protocol::Grpc => {
                let incoming = tonic::transport::server::TcpIncoming::from(listener);
                let server = tonic::transport::Server::builder().add_service(LogsServiceServer::new(collector));
                tokio::spawn(server.serve_with_incoming(incoming));
            }
            Protocol::HttpProtobuf => {
                tokio::spawn(async move {
                    while let Ok((stream, _)) = listener.accept().await {
                        let collector = collector.clone();
                        let service = hyper::service::service_fn(move |request| {
                            let collector = collector.clone();
                            async move { Ok::<_, std::convert::Infallible>(over_http(&collector, request).await) }
                        });
                        let http = hyper::server::conn::http1::Builder::new();
                        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
                    }
                });
            }
        }
    }
}

async fn over_http(collector: &Collector, request: Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    assert_eq!(request.uri().path(), "/v1/logs");
    assert_eq!(request.headers()["content-type"], "application/x-protobuf");
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let (mood, answer) = collector.answer(ExportLogsServiceRequest::decode(body).unwrap());
    let mut response = Response::new(Full::new(answer.encode_to_vec().into()));
    match mood {
        Mood::Fails => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        Mood::Babbles => *response.body_mut() = Full::new(Bytes::from_static(b"<html>a captive portal</html>")),
        Mood::Takes | Mood::Rejects(_) => {}
    }
    response
}

#[tonic::async_trait]
impl LogsService for Collector {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, tonic::Status> {
        match self.answer(request.into_inner()) {
            (Mood::Fails, _) => Err(tonic::Status::internal("out of order")),
            (Mood::Babbles, _) => Err(tonic::Status::data_loss("babble")),
            (Mood::Takes | Mood::Rejects(_), answer) => Ok(tonic::Response::new(answer)),
        }
    }
}

fn start(address: SocketAddr, protocol: Protocol, queue: u32) -> (Evidence, std::sync::mpsc::Receiver<Vec<u8>>) {
    let (pipe, lines) = Pipe::new(PipeState::Flows);
    let settings = crate::evidence::Settings {
        gateway: "gw-1".into(),
        floor: Some(crate::evidence::words::FloorMark::Development),
        output: Some(Output::new(Format::Json, Box::new(pipe))),
        otlp: Some(Settings { endpoint: format!("http://{address}"), protocol }),
        limits: limits(queue),
    };
    (Evidence::start(settings, Arc::new(Metrics::new().unwrap())).unwrap(), lines)
}

/// A collector that is there, and evidence that sends to it.
async fn running(protocol: Protocol) -> (Collector, Evidence, std::sync::mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (evidence, lines) = start(listener.local_addr().unwrap(), protocol, 1024);
    let collector = Collector::default();
    collector.serve(listener, protocol);
    (collector, evidence, lines)
}

fn plain(value: &AnyValue) -> Value {
    match &value.value {
        None => Value::Null,
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => array.values.iter().map(plain).collect(),
        Some(Any::KvlistValue(list)) => object(&list.values),
        other => panic!("{other:?}"),
    }
}

fn object(values: &[KeyValue]) -> Value {
    values.iter().map(|pair| (pair.key.clone(), plain(pair.value.as_ref().unwrap()))).collect()
}

/// Every field of the JSON record stands where the table says, and nothing else does.
fn assert_same(json: &Value, log: &LogRecord, resource: &Value) {
    let mut attributes = object(&log.attributes);
    attributes.as_object_mut().unwrap().remove(UID).unwrap();
    for field in FIELDS {
        let Some(value) = field.path.split('.').try_fold(json, |value, key| value.get(key)) else { continue };
        let mut attribute = |name: &str| attributes.as_object_mut().unwrap().remove(name).unwrap_or_default();
        match field.place {
            Place::Attribute(name) => assert_eq!(&attribute(name), value, "{name}"),
            Place::Seconds(name) => assert_eq!(attribute(name).as_f64(), value.as_f64().map(|ms| ms / 1000.0)),
            Place::Resource(name) => assert_eq!(&resource[name], value, "{name}"),
            Place::EventName => assert!(log.event_name.starts_with("gatepass."), "{}", log.event_name),
            Place::Time => {
                let time: jiff::Timestamp = value.as_str().unwrap().parse().unwrap();
                assert_eq!(i128::from(log.time_unix_nano), time.as_nanosecond());
            }
            Place::Body => assert_eq!(&plain(log.body.as_ref().unwrap()), value),
            Place::TraceId => assert_eq!(log.trace_id, [0x0a; 16]),
            Place::SpanId => assert_eq!(log.span_id, [0xb0; 8]),
        }
    }
    for derived in DERIVED {
        let there = attributes.as_object_mut().unwrap().remove(derived.name);
        assert_eq!(there, (derived.value)(json), "{}", derived.name);
    }
    assert_eq!(attributes, json!({}), "attributes that the JSON record does not have");
}

async fn a_record_of_every_kind_arrives_as_the_table_says(protocol: Protocol) {
    let (collector, evidence, lines) = running(protocol).await;
    evidence
        .policy(facts().now, crate::evidence::words::PolicyResult::Activated, None, full().policy.unwrap())
        .unwrap();
    let admission = evidence.reserve().unwrap().admit(full()).await.unwrap();
    evidence.reserve().unwrap().refuse(denied());
    admission.close(Close {
        now: facts().now,
        sent: 1,
        received: 2,
        ending: Ending::Error,
        cut_by: Some("a/b".into()),
    });
    let written = crate::evidence::tests::flushed(&evidence, &lines).await;
    let logs = collector.records();
    assert_eq!((written.len(), logs.len()), (4, 4));
    let resource = object(&collector.taken.lock().unwrap()[0].resource_logs[0].resource.clone().unwrap().attributes);
    assert_eq!(resource["service.name"], "gatepass");
    for (json, log) in written.iter().zip(&logs) {
        assert_same(json, log, &resource);
    }
    let uids: std::collections::HashSet<String> =
        logs.iter().map(|log| object(&log.attributes)[UID].as_str().unwrap().to_owned()).collect();
    assert_eq!(uids.len(), 4, "a store that drops duplicates keeps decision and close");
    assert!(uids.contains(written[1]["id"].as_str().unwrap()), "{uids:?}");
    let severities: Vec<i32> = logs.iter().map(|log| log.severity_number).collect();
    let (info, warn, error) = (SeverityNumber::Info, SeverityNumber::Warn, SeverityNumber::Error);
    assert_eq!(severities, [info, info, warn, error].map(i32::from));
    let events: Vec<&str> = logs.iter().map(|log| log.event_name.as_str()).collect();
    assert_eq!(
        events,
        ["gatepass.policy.activated", "gatepass.decision", "gatepass.decision", "gatepass.connection.closed"]
    );
}

#[tokio::test]
async fn over_grpc_every_attribute_is_the_json_field_of_the_table() {
    a_record_of_every_kind_arrives_as_the_table_says(Protocol::Grpc).await;
}

#[tokio::test]
async fn over_http_every_attribute_is_the_json_field_of_the_table() {
    a_record_of_every_kind_arrives_as_the_table_says(Protocol::HttpProtobuf).await;
}

async fn an_outage_fills_the_queue_then_refuses_and_loses_nothing(protocol: Protocol) {
    // Bound but not listening: connections are refused, and the port stays ours.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (evidence, _lines) = start(socket.local_addr().unwrap(), protocol, 8);
    let mut accepted = 0;
    let refused = loop {
        match evidence.reserve() {
            Ok(reservation) => accepted += u64::from(!reservation.refuse(denied()).id.is_nil()),
            Err(unavailable) => break unavailable,
        }
    };
    assert_eq!((refused, accepted), (Unavailable::Full, 7), "the eighth place is not room for two");
    while !evidence.shared.metrics.render().contains("gatepass_evidence_export_failures_total 2") {
        tokio::task::yield_now().await;
    }
    assert_eq!(evidence.available(), Err(Unavailable::Full), "what is not exported keeps its room");
    let collector = Collector::default();
    collector.serve(socket.listen(16).unwrap(), protocol);
    while evidence.available().is_err() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    evidence.reserve().unwrap().refuse(denied());
    assert_eq!(evidence.flush(Duration::from_secs(30)).await, Flushed::All);
    let sequences: Vec<Value> =
        collector.records().iter().map(|log| object(&log.attributes)["gatepass.evidence.sequence"].clone()).collect();
    assert_eq!(sequences, (1..=8).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_outage_of_a_grpc_collector_loses_nothing() {
    an_outage_fills_the_queue_then_refuses_and_loses_nothing(Protocol::Grpc).await;
}

#[tokio::test]
async fn an_outage_of_an_http_collector_loses_nothing() {
    an_outage_fills_the_queue_then_refuses_and_loses_nothing(Protocol::HttpProtobuf).await;
}

async fn only_a_proper_yes_counts(protocol: Protocol) {
    let (collector, evidence, _lines) = running(protocol).await;
    *collector.moods.lock().unwrap() = vec![Mood::Fails, Mood::Babbles, Mood::Fails, Mood::Rejects(1)];
    evidence.reserve().unwrap().refuse(denied());
    assert_eq!(evidence.flush(Duration::from_secs(30)).await, Flushed::All);
    assert_eq!(collector.records().len(), 1);
    let metrics = evidence.shared.metrics.render();
    for line in ["export_failures_total 3", "rejected_total 1", "exported_total 0"] {
        assert!(metrics.contains(&format!("gatepass_evidence_{line}")), "{line} in\n{metrics}");
    }
}

#[tokio::test]
async fn over_grpc_only_a_proper_yes_counts_and_a_rejection_is_told() {
    only_a_proper_yes_counts(Protocol::Grpc).await;
}

#[tokio::test]
async fn over_http_only_a_proper_yes_counts_and_a_rejection_is_told() {
    only_a_proper_yes_counts(Protocol::HttpProtobuf).await;
}

#[tokio::test]
async fn a_batch_is_bounded_in_records_and_bytes() {
    let (collector, evidence, _lines) = running(Protocol::Grpc).await;
    for _ in 0..1000 {
        evidence.reserve().unwrap().refuse(denied());
    }
    assert_eq!(evidence.flush(Duration::from_secs(30)).await, Flushed::All);
    assert_eq!(collector.records().len(), 1000);
    for request in collector.taken.lock().unwrap().iter() {
        let records = request.resource_logs[0].scope_logs[0].log_records.len();
        assert!(records <= BATCH_RECORDS && request.encoded_len() <= BATCH_BYTES + 1024);
    }
    let mut batch = Batch { bytes: BATCH_BYTES, ..Batch::default() };
    assert!(batch.has_room_for(&LogRecord::default()), "a batch takes one record, whatever its size");
    batch.records.push(LogRecord::default());
    assert!(!batch.has_room_for(&LogRecord { event_name: "x".into(), ..LogRecord::default() }));
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_used_stops_the_start() {
    for (endpoint, message) in [
        ("127.0.0.1:4317", "is not a URL"),
        ("", "is not a URL"),
        ("ftp://127.0.0.1/", "is not a URL"),
        ("https://collector.example:4317", "not supported yet"),
    ] {
        let settings = crate::evidence::Settings {
            gateway: "gw-1".into(),
            floor: None,
            output: None,
            otlp: Some(Settings { endpoint: endpoint.into(), protocol: Protocol::Grpc }),
            limits: limits(8),
        };
        let error = Evidence::start(settings, Arc::new(Metrics::new().unwrap())).err().unwrap().to_string();
        assert!(error.contains(message) && error.contains(&format!("`{endpoint}`")), "{error}");
    }
}
