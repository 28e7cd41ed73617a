//! The sinks of records, from the configuration: at the start, and again at each reload.

use std::sync::Arc;
use std::time::Duration;

use gatepass_config::channel::{self, Channel};
use gatepass_config::collector::{Collector, Transport};
use gatepass_config::evidence::{Compression, Evidence, Form, Ocsf, Otlp, Syslog};
use http::{HeaderName, HeaderValue};

use crate::evidence::ship::{Sink, otlp};
use crate::evidence::sinks::{ocsf, rfc5424, syslog};

/// Every sink that is configured.
pub(super) fn sinks(evidence: &Evidence, timeout: Duration) -> Result<Vec<Sink>, String> {
    let mut sinks = Vec::new();
    if let Some(otlp) = &evidence.otlp {
        let client = otlp::Client::new(&otlp_settings(otlp, timeout)?);
        sinks.push(Sink::Otlp(client.map_err(|error| format!("error: `evidence.otlp`: {error}"))?));
    }
    if let Some(syslog) = &evidence.syslog {
        sinks.push(Sink::syslog(syslog_settings(syslog, timeout)?));
    }
    if let Some(ocsf) = &evidence.ocsf {
        sinks.push(Sink::ocsf(ocsf_settings(ocsf)));
    }
    Ok(sinks)
}

/// The collector of records, with its headers and certificates as they are now.
pub(crate) fn otlp_settings(otlp: &Otlp, timeout: Duration) -> Result<otlp::Settings, String> {
    let collector = &otlp.collector;
    Ok(otlp::Settings {
        endpoint: collector.endpoint.value.to_string(),
        protocol: match collector.transport {
            Transport::Grpc => otlp::Protocol::Grpc,
            Transport::Http => otlp::Protocol::HttpProtobuf,
        },
        compression: match otlp.compression {
            Compression::Gzip => otlp::Compression::Gzip,
            Compression::None => otlp::Compression::None,
        },
        headers: headers(collector)?,
        tls: match &collector.channel {
            Channel::Clear => None,
            Channel::Tls(tls) => Some(self::tls(tls)),
        },
        timeout,
    })
}

/// The header fields that a collector is shown, their values marked as secrets.
pub(crate) fn headers(collector: &Collector) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let read = |header: &gatepass_config::collector::Header| {
        let unusable = || format!("error: `{}` cannot be sent as a header", header.name);
        let name = HeaderName::try_from(header.name.as_str()).map_err(|_| unusable())?;
        let secret = header.read().map_err(|problems| problems.to_string())?;
        let mut value = HeaderValue::try_from(secret.expose()).map_err(|_| unusable())?;
        value.set_sensitive(true);
        Ok((name, value))
    };
    collector.headers.iter().map(read).collect()
}

/// TLS as a client.
pub(crate) fn tls(tls: &channel::Tls) -> otlp::Tls {
    otlp::Tls {
        ca: tls.ca.as_ref().map(|ca| ca.value.clone()),
        own: tls
            .own
            .as_ref()
            .map(|own| otlp::Own { certificate: own.certificate.value.clone(), key: own.key.value.clone() }),
        server_name: tls.server_name.as_ref().map(|name| name.to_text().into_owned()),
    }
}

fn syslog_settings(syslog: &Syslog, timeout: Duration) -> Result<syslog::Settings, String> {
    let authority = &syslog.address.value;
    let host = authority.host.to_text().into_owned();
    let secured = match &syslog.channel {
        Channel::Clear => None,
        Channel::Tls(tls) => Some(otlp::secured(&self::tls(tls), &host, &[])),
    };
    let tls = secured.transpose().map_err(|error| format!("error: `evidence.syslog`: {error}"))?;
    Ok(syslog::Settings {
        host,
        port: authority.port,
        tls: tls.map(|(config, name)| (Arc::clone(&config), name)),
        form: match syslog.form {
            Form::Rfc5424 => syslog::Form::Rfc5424,
            Form::Ocsf => syslog::Form::Ocsf,
        },
        sender: rfc5424::Sender::this(),
        timeout,
    })
}

fn ocsf_settings(ocsf: &Ocsf) -> ocsf::Settings {
    ocsf::Settings { path: ocsf.file.value.clone(), rotate_size: ocsf.rotate_size, rotate_keep: ocsf.rotate_keep }
}
