//! Where records go from the spool, from `evidence`: the configuration's collector, receiver and file to sinks.

use std::time::Duration;

use gatepass_config::channel::Channel;
use gatepass_config::collector::{Collector, Header};
use gatepass_config::evidence::{Compression, Evidence, Form, Otlp, Syslog, Transport};
use gatepass_config::limits::Limits;
use gatepass_config::telemetry::{Metrics, Parent, Telemetry as Configured};
use http::{HeaderName, HeaderValue};

use crate::evidence::ship::otlp::{self, Client};
use crate::evidence::ship::tls::{Secure, Tls, secure};
use crate::evidence::ship::{self, Sink};
use crate::evidence::sinks::{ocsf, rfc5424, syslog};
use crate::telemetry;

/// Every sink that is configured. Blocks on files; nothing is connected yet.
pub fn sinks(evidence: &Evidence, limits: &Limits) -> Result<Vec<Sink>, String> {
    let mut sinks = Vec::new();
    if let Some(otlp) = &evidence.otlp {
        let settings = collector(otlp, limits.otlp_timeout)?;
        sinks.push(Sink::Otlp(Client::new(&settings).map_err(|error| unusable("otlp", &error))?));
    }
    if let Some(syslog) = &evidence.syslog {
        sinks.push(Sink::syslog(receiver(syslog, limits.otlp_timeout)?));
    }
    if let Some(ocsf) = &evidence.ocsf {
        let (path, rotate_size, rotate_keep) = (ocsf.file.value.clone(), ocsf.rotate_size, ocsf.rotate_keep);
        sinks.push(Sink::ocsf(ocsf::Settings { path, rotate_size, rotate_keep }));
    }
    Ok(sinks)
}

/// The bounds of a way to a sink.
pub fn bounds(limits: &Limits) -> ship::Limits {
    ship::Limits {
        records: limits.evidence_batch_records,
        bytes: limits.evidence_batch_bytes,
        in_flight: limits.evidence_batches_in_flight,
        retry_first: limits.evidence_retry_first,
        retry_longest: limits.evidence_retry_longest,
    }
}

/// A collector. Headers that stand in files are read now: at a reload this is asked again, and
/// [`Client::reload`] given the answer.
pub fn collector(otlp: &Otlp, timeout: Duration) -> Result<otlp::Settings, String> {
    Ok(otlp::Settings {
        endpoint: otlp.collector.endpoint.value.to_string(),
        protocol: match otlp.collector.transport {
            Transport::Grpc => otlp::Protocol::Grpc,
            Transport::Http => otlp::Protocol::HttpProtobuf,
        },
        compression: match otlp.compression {
            Compression::Gzip => otlp::Compression::Gzip,
            Compression::None => otlp::Compression::None,
        },
        headers: headers(&otlp.collector)?,
        tls: match &otlp.collector.channel {
            Channel::Clear => None,
            Channel::Tls(tls) => Some(Tls::from(&**tls)),
        },
        timeout,
    })
}

/// What a collector is shown, as it is now.
fn headers(collector: &Collector) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let read = |header: &Header| {
        let value = header.read().map_err(|problems| format!("the header `{}`: {problems}", header.name))?;
        let name = HeaderName::try_from(&header.name).map_err(|error| unusable("otlp.headers", &error))?;
        let mut value = HeaderValue::try_from(value.expose()).map_err(|error| unusable("otlp.headers", &error))?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    collector.headers.iter().map(read).collect()
}

/// Where the gateway's own metrics and traces go.
pub fn telemetry(configured: &Configured, gateway: &str) -> Result<telemetry::Settings, String> {
    let collector = &configured.otlp;
    Ok(telemetry::Settings {
        endpoint: collector.endpoint.value.to_string(),
        headers: headers(collector)?,
        tls: match &collector.channel {
            Channel::Clear => None,
            Channel::Tls(tls) => {
                let Tls { ca, own, server_name } = Tls::from(&**tls);
                Some(telemetry::Tls { ca, own: own.map(|own| (own.certificate, own.key)), server_name })
            }
        },
        metrics: match configured.metrics {
            Metrics::Every(interval) => Some(interval),
            Metrics::None => None,
        },
        sample: configured.traces.sample.ratio(),
        parent: match configured.traces.parent {
            Parent::Follow => telemetry::Parent::Follow,
            Parent::Ignore => telemetry::Parent::Ignore,
        },
        gateway: gateway.to_owned(),
    })
}

fn receiver(configured: &Syslog, timeout: Duration) -> Result<syslog::Settings, String> {
    let host = configured.address.value.host.to_text().into_owned();
    let tls = match &configured.channel {
        Channel::Clear => None,
        Channel::Tls(tls) => {
            // RFC 5425 has no protocol to agree on.
            let Secure { config, name } =
                secure(&Tls::from(&**tls), &host, &[]).map_err(|error| unusable("syslog.tls", &error))?;
            Some((config, name))
        }
    };
    Ok(syslog::Settings {
        host,
        port: configured.address.value.port,
        tls,
        form: match configured.form {
            Form::Rfc5424 => syslog::Form::Rfc5424,
            Form::Ocsf => syslog::Form::Ocsf,
        },
        sender: rfc5424::Sender::this(),
        timeout,
    })
}

fn unusable(key: &str, why: &dyn std::fmt::Display) -> String {
    format!("error: `evidence.{key}`: {why}")
}

#[cfg(test)]
mod tests;
