//! Makes the handles: each feeds the Prometheus recorder and, where metrics are exported, the OpenTelemetry SDK as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Label, Level, Metadata, Recorder as _,
    Unit,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::table::{Kind, METRICS, Metric, bounds};

/// The labels of a series.
type Labels<'a> = &'a [(&'static str, &'static str)];

/// Makes handles of one recorder.
pub(super) struct Maker {
    prometheus: PrometheusRecorder,
    exported: Option<Exported>,
}

/// What the SDK is to read whenever it exports. Counters and gauges are read rather than written to it, so that counting
/// costs one more addition and never a lock of the SDK's.
struct Exported {
    meter: Meter,
    series: Vec<Series>,
}

struct Series {
    metric: Metric,
    labels: Vec<KeyValue>,
    cell: Arc<AtomicU64>,
}

const METADATA: Metadata<'static> = Metadata::new("gatepass", Level::INFO, None);

impl Maker {
    /// A recorder of its own, that exports through `meter` where there is one.
    pub fn new(meter: Option<Meter>) -> Result<Maker, BuildError> {
        let mut builder = PrometheusBuilder::new().with_recommended_naming(true);
        for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Histogram) {
            builder = builder.set_buckets_for_metric(Matcher::Full(metric.name.into()), bounds(metric))?;
        }
        let exported = meter.map(|meter| Exported { meter, series: Vec::new() });
        let maker = Maker { prometheus: builder.build_recorder(), exported };
        maker.describe();
        Ok(maker)
    }

    fn describe(&self) {
        for metric in METRICS {
            let (name, unit, help) = (KeyName::from_const_str(metric.name), Some(metric.unit), metric.help.into());
            match metric.kind {
                Kind::Counter => self.prometheus.describe_counter(name, unit, help),
                Kind::Gauge => self.prometheus.describe_gauge(name, unit, help),
                Kind::Histogram => self.prometheus.describe_histogram(name, unit, help),
            }
        }
    }

    pub fn counter(&mut self, metric: Metric, labels: Labels) -> Counter {
        let counter = self.prometheus.register_counter(&key(metric, labels), &METADATA);
        match self.cell(metric, labels) {
            Some(cell) => Counter::from_arc(Arc::new(Both(counter, cell))),
            None => counter,
        }
    }

    pub fn gauge(&mut self, metric: Metric, labels: Labels) -> Gauge {
        let gauge = self.prometheus.register_gauge(&key(metric, labels), &METADATA);
        match self.cell(metric, labels) {
            Some(cell) => Gauge::from_arc(Arc::new(Both(gauge, cell))),
            None => gauge,
        }
    }

    pub fn histogram(&mut self, metric: Metric) -> Histogram {
        let histogram = self.prometheus.register_histogram(&key(metric, &[]), &METADATA);
        let Some(Exported { meter, .. }) = &self.exported else { return histogram };
        let instrument = meter.f64_histogram(metric.name).with_unit(ucum(metric.unit)).with_description(metric.help);
        let instrument = instrument.with_boundaries(bounds(&metric).to_vec()).build();
        Histogram::from_arc(Arc::new(Both(histogram, instrument)))
    }

    fn cell(&mut self, metric: Metric, labels: Labels) -> Option<Arc<AtomicU64>> {
        let Exported { series, .. } = self.exported.as_mut()?;
        let cell = Arc::new(AtomicU64::new(0));
        let labels = labels.iter().map(|(key, value)| KeyValue::new(*key, *value)).collect();
        series.push(Series { metric, labels, cell: Arc::clone(&cell) });
        Some(cell)
    }

    /// Every handle is made: let the SDK read them, and give what renders them for Prometheus.
    pub fn finish(self) -> PrometheusHandle {
        if let Some(exported) = self.exported {
            exported.observe();
        }
        self.prometheus.handle()
    }
}

impl Exported {
    fn observe(mut self) {
        for metric in METRICS {
            let of_metric: Vec<Series> =
                self.series.extract_if(.., |series| series.metric.name == metric.name).collect();
            let (name, unit, help) = (metric.name, ucum(metric.unit), metric.help);
            match metric.kind {
                Kind::Histogram => {}
                Kind::Counter => {
                    let read = self.meter.u64_observable_counter(name).with_unit(unit).with_description(help);
                    read.with_callback(move |to| {
                        for Series { labels, cell, .. } in &of_metric {
                            to.observe(cell.load(Ordering::Relaxed), labels);
                        }
                    })
                    .build();
                }
                Kind::Gauge => {
                    let read = self.meter.f64_observable_gauge(name).with_unit(unit).with_description(help);
                    read.with_callback(move |to| {
                        for Series { labels, cell, .. } in &of_metric {
                            to.observe(f64::from_bits(cell.load(Ordering::Relaxed)), labels);
                        }
                    })
                    .build();
                }
            }
        }
    }
}

/// A handle of Prometheus, and what the SDK reads or is told.
struct Both<A, B>(A, B);

impl CounterFn for Both<Counter, Arc<AtomicU64>> {
    fn increment(&self, value: u64) {
        self.0.increment(value);
        CounterFn::increment(&*self.1, value);
    }

    fn absolute(&self, value: u64) {
        self.0.absolute(value);
        CounterFn::absolute(&*self.1, value);
    }
}

impl GaugeFn for Both<Gauge, Arc<AtomicU64>> {
    fn increment(&self, value: f64) {
        self.0.increment(value);
        GaugeFn::increment(&*self.1, value);
    }

    fn decrement(&self, value: f64) {
        self.0.decrement(value);
        GaugeFn::decrement(&*self.1, value);
    }

    fn set(&self, value: f64) {
        self.0.set(value);
        GaugeFn::set(&*self.1, value);
    }
}

impl HistogramFn for Both<Histogram, opentelemetry::metrics::Histogram<f64>> {
    fn record(&self, value: f64) {
        self.0.record(value);
        self.1.record(value, &[]);
    }
}

fn key(metric: Metric, labels: Labels) -> Key {
    debug_assert!(labels.iter().map(|(key, _)| key).eq(metric.labels), "{} has other labels", metric.name);
    Key::from_parts(metric.name, labels.iter().map(|(key, value)| Label::new(*key, *value)).collect::<Vec<_>>())
}

/// The unit as OTLP writes it. What is merely counted has an annotation, which is no unit: `1` would say that it is a
/// ratio.
fn ucum(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "{count}",
        Unit::Bytes => "By",
        other => other.as_canonical_label(),
    }
}
