//! Exporters that say once that a collector does not take what they export, and once that it does again. The SDK itself
//! is built without its log, which would tell of every export.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

use crate::evidence::text::{REASON_MAX, clean};

/// An exporter, and what it told the operator last.
#[derive(Debug)]
pub(super) struct Watched<E> {
    exporter: E,
    health: Health,
}

/// Whether what is exported arrives.
#[derive(Debug)]
struct Health {
    /// What is exported, in the plural.
    what: &'static str,
    failing: AtomicBool,
}

impl<E> Watched<E> {
    /// `what` names in the plural what it exports.
    pub fn new(exporter: E, what: &'static str) -> Watched<E> {
        Watched { exporter, health: Health { what, failing: AtomicBool::new(false) } }
    }

    fn told(&self, result: OTelSdkResult) -> OTelSdkResult {
        if let Some(line) = self.health.after(&result) {
            eprintln!("gatepass: telemetry: {line}");
        }
        result
    }
}

impl Health {
    /// What the operator is to be told after this export, if it is news.
    fn after(&self, result: &OTelSdkResult) -> Option<String> {
        let failed = self.failing.swap(result.is_err(), Ordering::Relaxed);
        match (failed, result) {
            (false, Err(error)) => {
                // The collector's own words may be in it.
                let why = error.to_string();
                Some(format!("the collector does not take {}, they are lost: {}", self.what, clean(&why, REASON_MAX)))
            }
            (true, Ok(())) => Some(format!("the collector takes {} again", self.what)),
            (true, Err(_)) | (false, Ok(())) => None,
        }
    }
}

impl<E: SpanExporter> SpanExporter for Watched<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.told(self.exporter.export(batch).await)
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Watched<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.told(self.exporter.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[test]
    fn an_outage_is_told_of_when_it_begins_and_when_it_ends_and_the_collector_cannot_forge_a_line() {
        let watched = Watched::new((), "spans");
        let down = || Err(OTelSdkError::InternalFailure("refused\ngatepass: all is well".to_owned()));
        assert_eq!(watched.health.after(&Ok(())), None);
        let told = watched.health.after(&down()).unwrap();
        assert!(told.starts_with("the collector does not take spans, they are lost: "), "{told}");
        assert!(!told.contains('\n') && told.contains("refused"), "{told}");
        assert_eq!(watched.health.after(&down()), None);
        assert_eq!(watched.health.after(&Ok(())).unwrap(), "the collector takes spans again");
        assert_eq!(watched.health.after(&Ok(())), None);
        assert!(watched.health.after(&down()).is_some(), "another outage is news");
    }
}
