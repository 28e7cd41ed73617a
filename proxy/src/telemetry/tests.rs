//! Metrics and spans at a receiver of OTLP in this process.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use gatepass_policy::decision::{Effect, Reason};
use gatepass_policy::facts::{Facts, HttpRequest, Protocol};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue as Told;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric as Exported;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource as Sender;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::{Span, status};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::*;
use crate::evidence::tests::facts;
use crate::evidence::words::Outcome;
use crate::metrics::{METRICS, Metrics};

const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps whatever it is sent.
#[derive(Clone, Default)]
struct Receiver {
    metrics: Arc<Mutex<Vec<ExportMetricsServiceRequest>>>,
    traces: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    async fn start() -> (Receiver, SocketAddr) {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, receiver) = (socket.local_addr().unwrap(), Receiver::default());
        let router = tonic::transport::Server::builder()
            .add_service(MetricsServiceServer::new(receiver.clone()))
            .add_service(TraceServiceServer::new(receiver.clone()));
        tokio::spawn(router.serve_with_incoming(tonic::transport::server::TcpIncoming::from(socket)));
        (receiver, address)
    }

    fn note<T>(&self, request: &Request<T>) {
        let shown = request.metadata().get("x-tenant").map_or("", |value| value.to_str().unwrap());
        self.shown.lock().unwrap().push(shown.to_owned());
    }

    /// The metrics of the last export.
    fn metrics(&self) -> (Sender, Vec<Exported>) {
        let last = self.metrics.lock().unwrap().last().cloned().unwrap().resource_metrics.remove(0);
        let metrics = last.scope_metrics.into_iter().flat_map(|scope| scope.metrics).collect();
        (last.resource.unwrap(), metrics)
    }

    fn spans(&self) -> Vec<Span> {
        let all = self.traces.lock().unwrap().clone().into_iter().flat_map(|request| request.resource_spans);
        all.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

#[tonic::async_trait]
impl MetricsService for Receiver {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.note(&request);
        self.metrics.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.note(&request);
        self.traces.lock().unwrap().push(request.into_inner());
        Ok(Response::new(Default::default()))
    }
}

/// Nothing is exported before the end, except what the end exports.
fn settings(address: SocketAddr) -> Settings {
    Settings {
        endpoint: format!("http://{address}"),
        headers: vec![(HeaderName::from_static("x-tenant"), HeaderValue::from_static("edge"))],
        tls: None,
        metrics: Some(Duration::from_secs(3600)),
        sample: 1.0,
        parent: Parent::Ignore,
        gateway: "gw-1".to_owned(),
    }
}

fn attribute<'a>(attributes: &'a [Told], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()
}

fn text<'a>(attributes: &'a [Told], key: &str) -> Option<&'a str> {
    match attribute(attributes, key)? {
        Value::StringValue(text) => Some(text),
        other => panic!("{key} is {other:?}"),
    }
}

fn conclusion(effect: Effect, outcome: Outcome, reason: Reason, fault: Fault) -> Conclusion {
    Conclusion { id: Uuid::now_v7(), effect, outcome, reason, fault }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_metric_of_the_table_is_exported_under_its_name_with_the_numbers_that_a_scrape_shows() {
    let (receiver, address) = Receiver::start().await;
    let telemetry = Telemetry::start(&settings(address)).unwrap();
    let metrics = Metrics::exported(telemetry.meter()).unwrap();
    metrics.transmitted.increment(7);
    metrics.received.increment(9);
    metrics.tunnels.increment(3.0);
    metrics.tunnels.decrement(1.0);
    for histogram in [&metrics.decision_duration, &metrics.dns_duration, &metrics.dial_duration] {
        histogram.record(Duration::from_micros(3));
    }
    metrics.request_duration.record(0.2);
    metrics.probed(crate::metrics::ProbeResult::Verified, Duration::from_millis(3));
    metrics.evidence_commit.record(0.001);
    metrics.redecide_duration.record(0.02);
    metrics.exception_decision.record(7200.0);
    telemetry.end(PATIENCE).await;

    let (sender, exported) = receiver.metrics();
    assert_eq!(text(&sender.attributes, "service.name"), Some("gatepass"));
    assert_eq!(text(&sender.attributes, "service.instance.id"), Some("gw-1"));
    assert_eq!(receiver.shown.lock().unwrap().first().map(String::as_str), Some("edge"), "headers are sent");
    let mut names: Vec<_> = exported.iter().map(|metric| metric.name.as_str()).collect();
    let mut expected: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
    names.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names, expected);
    for metric in METRICS {
        let there = exported.iter().find(|there| there.name == metric.name).unwrap();
        assert_eq!(there.description, metric.help);
        let (unit, points): (&str, Vec<&[Told]>) = match there.data.as_ref().unwrap() {
            Data::Sum(sum) => {
                assert!(sum.is_monotonic, "{}", metric.name);
                (&there.unit, sum.data_points.iter().map(|point| point.attributes.as_slice()).collect())
            }
            Data::Gauge(gauge) => {
                (&there.unit, gauge.data_points.iter().map(|point| point.attributes.as_slice()).collect())
            }
            Data::Histogram(histogram) => {
                let bounds = &histogram.data_points[0].explicit_bounds;
                // People take their time, and machines do not.
                let wanted = if metric.name == "gatepass.exceptions.decision.duration" {
                    (60.0, 604_800.0)
                } else {
                    (1e-6, 60.0)
                };
                assert_eq!((bounds.first(), bounds.last()), (Some(&wanted.0), Some(&wanted.1)), "{}", metric.name);
                (&there.unit, histogram.data_points.iter().map(|point| point.attributes.as_slice()).collect())
            }
            other => panic!("{} is {other:?}", metric.name),
        };
        assert!(["s", "By", "{count}"].contains(&unit), "{}: {unit}", metric.name);
        for point in points {
            assert!(point.iter().map(|label| label.key.as_str()).all(|key| metric.labels.contains(&key)));
            assert_eq!(point.len(), metric.labels.len(), "{}", metric.name);
        }
    }
    let data = |name: &str| exported.iter().find(|metric| metric.name == name).unwrap().data.clone().unwrap();
    let Data::Sum(io) = data("gatepass.io") else { panic!("a counter") };
    let of = |direction| {
        let points = io.data_points.iter();
        let mut points = points.filter(|point| text(&point.attributes, "direction") == Some(direction));
        format!("{:?}", points.next().unwrap().value.unwrap())
    };
    assert_eq!((of("transmit").as_str(), of("receive").as_str()), ("AsInt(7)", "AsInt(9)"));
    let Data::Gauge(tunnels) = data("gatepass.tunnels.active") else { panic!("a gauge") };
    assert_eq!(format!("{:?}", tunnels.data_points[0].value.unwrap()), "AsDouble(2.0)");
    let Data::Histogram(decisions) = data("gatepass.decision.duration") else { panic!("a histogram") };
    assert_eq!(decisions.data_points[0].bucket_counts[..3], [0, 1, 0], "3 us is between 1 and 5 us");
    let scraped = metrics.render();
    assert!(scraped.contains("gatepass_io_bytes_total{direction=\"transmit\"} 7\n"), "{scraped}");
    assert!(scraped.contains("gatepass_tunnels_active 2\n"), "{scraped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_a_server_span_with_its_parts_below_it_and_the_decision_on_it() {
    let (receiver, address) = Receiver::start().await;
    let telemetry = Telemetry::start(&settings(address)).unwrap();
    let (facts, tracing) = (facts(), telemetry.tracing().unwrap());
    let request = tracing.begin(&facts, None).unwrap();
    let trace = request.trace();
    request.part(Part::Decide, &facts, Duration::from_micros(2), None);
    request.part(Part::Dns, &facts, Duration::from_millis(4), None);
    request.part(Part::Connect(Some("192.0.2.7:443".parse().unwrap())), &facts, Duration::from_millis(9), None);
    request.part(Part::Tls, &facts, Duration::from_millis(1), None);
    let came = conclusion(Effect::Allow, Outcome::Admitted, Reason::Allowed, Fault::None);
    request.verdict(came);
    telemetry.end(PATIENCE).await;

    let spans = receiver.spans();
    let server = spans.iter().find(|span| span.name == "CONNECT").unwrap();
    assert_eq!((server.kind(), server.parent_span_id.len()), (Kind::Server, 0));
    assert_eq!((&server.trace_id[..], &server.span_id[..]), (&trace.id[..], &trace.span[..]), "as on the record");
    assert_eq!(text(&server.attributes, "gatepass.decision.id"), Some(came.id.to_string().as_str()));
    assert_eq!(text(&server.attributes, "gatepass.decision.outcome"), Some("admitted"));
    assert_eq!(text(&server.attributes, "http.request.method"), Some("CONNECT"));
    assert_eq!(text(&server.attributes, "server.address"), Some("api.stripe.com"));
    assert_eq!(attribute(&server.attributes, "error.type"), None);
    let part = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let kinds = [("decide", Kind::Internal), ("dns", Kind::Client), ("connect", Kind::Client), ("tls", Kind::Client)];
    assert_eq!(spans.len(), 1 + kinds.len());
    for (name, kind) in kinds {
        let span = part(name);
        assert_eq!((span.kind(), &span.parent_span_id, &span.trace_id), (kind, &server.span_id, &server.trace_id));
    }
    assert_eq!(text(&part("dns").attributes, "dns.question.name"), Some("api.stripe.com"));
    assert_eq!(text(&part("connect").attributes, "network.peer.address"), Some("192.0.2.7"));
    let took = part("dns").end_time_unix_nano - part("dns").start_time_unix_nano;
    assert_eq!(took, 4_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_is_no_error_of_the_span_and_a_failure_is_one_of_its_part_as_well() {
    let (receiver, address) = Receiver::start().await;
    let telemetry = Telemetry::start(&settings(address)).unwrap();
    let (facts, tracing) = (facts(), telemetry.tracing().unwrap());
    let denied = tracing.begin(&facts, None).unwrap();
    let of_denied = denied.trace();
    denied.verdict(conclusion(Effect::Deny, Outcome::Refused, Reason::NoRule, Fault::None));
    let failed = tracing.begin(&facts, None).unwrap();
    let of_failed = failed.trace();
    failed.part(Part::Connect(None), &facts, Duration::from_secs(1), Some(Reason::DialTimeout));
    failed.verdict(conclusion(Effect::Allow, Outcome::Failed, Reason::DialTimeout, Fault::Server));
    telemetry.end(PATIENCE).await;

    assert_ne!(of_denied.id, of_failed.id);
    let spans = receiver.spans();
    let code = |span: &Span| span.status.as_ref().map_or(status::StatusCode::Unset, |status| status.code());
    for span in &spans {
        if span.trace_id == of_denied.id {
            assert_eq!(text(&span.attributes, "gatepass.decision.reason"), Some("no_rule"));
            assert_eq!((code(span), text(&span.attributes, "error.type")), (status::StatusCode::Unset, None));
        } else {
            assert_eq!(text(&span.attributes, "error.type"), Some("dial_timeout"), "{}", span.name);
            assert_eq!(code(span), status::StatusCode::Error, "{}", span.name);
        }
    }
    assert_eq!(spans.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_tells_neither_path_nor_query_nor_who_asked_and_clients_do_not_name_it() {
    let (receiver, address) = Receiver::start().await;
    let telemetry = Telemetry::start(&settings(address)).unwrap();
    let tracing = telemetry.tracing().unwrap();
    let asked = |method: &str| {
        let request = HttpRequest {
            method: method.into(),
            path: "/secret-path".into(),
            query: "key=hunter2".into(),
            headers: Default::default(),
            content_length: None,
        };
        let facts = Facts { protocol: Protocol::Http, request: Some(request), ..facts() };
        let span = tracing.begin(&facts, None).unwrap();
        span.part(Part::Decide, &facts, Duration::ZERO, None);
        span.verdict(conclusion(Effect::Allow, Outcome::Admitted, Reason::Allowed, Fault::None));
    };
    asked("GET");
    asked("FORGED-NAME");
    telemetry.end(PATIENCE).await;

    let spans = receiver.spans();
    let servers: Vec<_> = spans.iter().filter(|span| span.kind() == Kind::Server).collect();
    let names: Vec<_> = servers.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["GET", "HTTP"]);
    assert_eq!(text(&servers[1].attributes, "http.request.method"), Some("_OTHER"));
    assert_eq!(text(&servers[0].attributes, "url.scheme"), Some("http"));
    let all = format!("{spans:?}");
    for secret in ["secret-path", "hunter2", "FORGED", "spiffe:"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trace_of_a_client_is_followed_only_if_it_is_sampled_and_following_is_configured() {
    let (receiver, address) = Receiver::start().await;
    let (facts, parent) = (facts(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let unsampled = parent.replace("-01", "-00");
    let follow = Settings { sample: 0.0, parent: Parent::Follow, ..settings(address) };
    let telemetry = Telemetry::start(&follow).unwrap();
    let tracing = telemetry.tracing().unwrap();
    assert!(tracing.begin(&facts, None).is_none() && tracing.begin(&facts, Some(unsampled.as_bytes())).is_none());
    drop(tracing.begin(&facts, Some(parent.as_bytes())).unwrap());
    telemetry.end(PATIENCE).await;
    let spans = receiver.spans();
    assert_eq!(spans.len(), 1, "a request whose task dies ends its span");
    assert_eq!(spans[0].parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());

    let ignore = Settings { sample: 0.0, metrics: None, ..settings(address) };
    let telemetry = Telemetry::start(&ignore).unwrap();
    assert!(telemetry.tracing().is_none() && telemetry.meter().is_none(), "nothing is traced, and nothing costs");
    let all = Telemetry::start(&settings(address)).unwrap();
    let ignoring = all.tracing().unwrap().begin(&facts, Some(parent.as_bytes())).unwrap();
    assert_ne!(ignoring.trace().id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn about_the_configured_share_of_requests_is_traced_each_whatever_the_one_before_it_was() {
    let tenth = Settings { sample: 0.1, metrics: None, ..settings("127.0.0.1:9".parse().unwrap()) };
    let telemetry = Telemetry::start(&tenth).unwrap();
    let (facts, tracing) = (facts(), telemetry.tracing().unwrap());
    let traced: Vec<bool> = (0..20_000).map(|_| tracing.begin(&facts, None).is_some()).collect();
    let chosen = traced.iter().filter(|chosen| **chosen).count();
    let turns = traced.windows(2).filter(|pair| pair[0] != pair[1]).count();
    // Around 2,000 and 3,600; more than ten standard deviations to either side.
    assert!((1_500..2_500).contains(&chosen), "{chosen} of 20,000");
    assert!((2_700..4_500).contains(&turns), "{turns} turns: bursts are traced as a whole");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_takes_connections_and_never_answers_does_not_hold_the_end_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let telemetry = Telemetry::start(&settings(silent.local_addr().unwrap())).unwrap();
    let _metrics = Metrics::exported(telemetry.meter()).unwrap();
    drop(telemetry.tracing().unwrap().begin(&facts(), None).unwrap());
    let started = std::time::Instant::now();
    telemetry.end(Duration::from_millis(200)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
}

#[test]
fn tls_files_that_are_not_there_are_told_of_before_anything_runs() {
    let missing = Tls { ca: Some(PathBuf::from("/nowhere/ca.pem")), own: None, server_name: None };
    let settings = Settings { tls: Some(missing), ..settings("127.0.0.1:9".parse().unwrap()) };
    let problem = Telemetry::check(&settings).unwrap_err();
    assert!(problem.starts_with("error: `telemetry.otlp.tls`: `/nowhere/ca.pem`: "), "{problem}");
}
