//! The gateway's own metrics and traces, by the OpenTelemetry SDK. They may be lost, and nothing ever waits for them:
//! evidence goes another way.

mod span;

mod watched;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::sync::oneshot;
use tonic::metadata::{MetadataKey, MetadataMap};
use tonic::transport::{Certificate, ClientTlsConfig, Identity};
use watched::Watched;

pub use span::{Conclusion, Fault, Parent, Part, RequestSpan, Tracing};

/// Spans that may wait: beyond them spans are dropped, and nothing waits.
const SPANS: usize = 8_192;

/// How long one export may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where metrics and traces go, and which.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `http://HOST:PORT` or `https://HOST:PORT`, spoken to by gRPC.
    pub endpoint: String,
    /// Sent with every export.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// TLS, for `https`.
    pub tls: Option<Tls>,
    /// How often metrics are exported; `None` is never.
    pub metrics: Option<Duration>,
    /// The share of requests that start a trace.
    pub sample: f64,
    /// What becomes of the trace that a client brings.
    pub parent: Parent,
    /// The gateway's name.
    pub gateway: String,
}

/// TLS as a client. Files are PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who vouches for the collector; otherwise the machine's anchors.
    pub ca: Option<PathBuf>,
    /// A certificate of the gateway's, and its key.
    pub own: Option<(PathBuf, PathBuf)>,
    /// What the collector's certificate must name.
    pub server_name: Option<String>,
}

/// What runs. Dropping it ends the exports.
pub struct Telemetry {
    metrics: Option<SdkMeterProvider>,
    traces: Option<SdkTracerProvider>,
    sample: f64,
    parent: Parent,
}

impl Telemetry {
    /// Start exporting. Nothing is connected yet; a collector that is not there is not waited for.
    pub fn start(settings: &Settings) -> Result<Telemetry, String> {
        let metrics = match settings.metrics {
            None => None,
            Some(interval) => {
                let exporter = reach(MetricExporter::builder().with_tonic(), settings)?.build();
                let exporter = exporter.map_err(|error| format!("error: `telemetry.metrics`: {error}"))?;
                let reader = PeriodicReader::builder(Watched::new(exporter, "metrics")).with_interval(interval).build();
                Some(SdkMeterProvider::builder().with_reader(reader).with_resource(resource(settings)).build())
            }
        };
        let traced = settings.sample > 0.0 || settings.parent == Parent::Follow;
        let traces = match traced {
            false => None,
            true => {
                let exporter = reach(SpanExporter::builder().with_tonic(), settings)?.build();
                let exporter = exporter.map_err(|error| format!("error: `telemetry.traces`: {error}"))?;
                let bounds = BatchConfigBuilder::default().with_max_queue_size(SPANS).build();
                let processor = BatchSpanProcessor::builder(Watched::new(exporter, "spans")).with_batch_config(bounds);
                let provider = SdkTracerProvider::builder().with_span_processor(processor.build());
                Some(provider.with_resource(resource(settings)).build())
            }
        };
        Ok(Telemetry { metrics, traces, sample: settings.sample, parent: settings.parent })
    }

    /// Whether it could be started, as far as files and settings tell. Nothing runs afterwards.
    pub fn check(settings: &Settings) -> Result<(), String> {
        reach(MetricExporter::builder().with_tonic(), settings).map(drop)
    }

    /// What metrics are exported through, if they are.
    pub fn meter(&self) -> Option<Meter> {
        self.metrics.as_ref().map(|provider| provider.meter("gatepass"))
    }

    /// What requests are traced with, if any are.
    pub fn tracing(&self) -> Option<Tracing> {
        let tracer = self.traces.as_ref()?.tracer("gatepass");
        Some(Tracing::new(tracer, self.sample, self.parent))
    }

    /// Export what there is, and wait for that so long at most: what is not taken is lost, as it may be.
    pub async fn end(&self, patience: Duration) {
        let (traces, metrics) = (self.traces.clone(), self.metrics.clone());
        let ends = [
            apart(move || drop(traces.map(|provider| provider.shutdown_with_timeout(patience)))),
            apart(move || drop(metrics.map(|provider| provider.shutdown_with_timeout(patience)))),
        ];
        let ended = async {
            for end in ends {
                let _ = end.await;
            }
        };
        let _ = tokio::time::timeout(patience, ended).await;
    }
}

/// Do what blocks on a thread of its own, that nobody has to wait for: version 0.33 of the SDK waits five seconds for a
/// last export whatever it is told, and the end of the runtime waits for its own threads.
fn apart(end: impl FnOnce() + Send + 'static) -> oneshot::Receiver<()> {
    let (done, ended) = oneshot::channel();
    let ending = move || {
        end();
        // Whoever asked may have gone.
        let _ = done.send(());
    };
    // Without a thread nothing is exported any more, and the receiver is told so at once.
    let _ = std::thread::Builder::new().name("telemetry-end".to_owned()).spawn(ending);
    ended
}

/// Who exports: the same as on records.
fn resource(settings: &Settings) -> Resource {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let attributes = [
        KeyValue::new("service.name", "gatepass"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", settings.gateway.clone()),
        KeyValue::new("host.name", host),
    ];
    Resource::builder_empty().with_attributes(attributes).build()
}

/// Where to, for either kind of exporter.
fn reach<B: WithTonicConfig + WithExportConfig>(builder: B, settings: &Settings) -> Result<B, String> {
    let mut metadata = MetadataMap::new();
    for (name, value) in &settings.headers {
        let unusable = |_| format!("error: `telemetry.otlp.headers`: `{name}` cannot be sent");
        let key: MetadataKey<_> = MetadataKey::from_bytes(name.as_str().as_bytes()).map_err(|_| unusable(()))?;
        let value = value.to_str().ok().and_then(|value| value.parse().ok()).ok_or_else(|| unusable(()))?;
        metadata.insert(key, value);
    }
    let builder = builder.with_endpoint(&settings.endpoint).with_timeout(TIMEOUT).with_metadata(metadata);
    match &settings.tls {
        None => Ok(builder),
        Some(tls) => Ok(builder.with_tls_config(tls.config()?)),
    }
}

impl Tls {
    fn config(&self) -> Result<ClientTlsConfig, String> {
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| format!("error: `telemetry.otlp.tls`: `{}`: {error}", path.display()))
        };
        let mut config = match &self.ca {
            Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
            None => ClientTlsConfig::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.own {
            config = config.identity(Identity::from_pem(read(certificate)?, read(key)?));
        }
        Ok(match &self.server_name {
            Some(name) => config.domain_name(name),
            None => config,
        })
    }
}

#[cfg(test)]
mod tests;
