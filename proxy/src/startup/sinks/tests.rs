//! A configuration's sinks, with everything that can be set about them.

use std::path::PathBuf;

use gatepass_certs::mint::{Ca, Leaf, Name, Validity};
use jiff::{SignedDuration, Timestamp};

use super::*;

/// A directory that goes with its test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A configuration with this `evidence`, read from a directory with certificates and a token.
fn read(evidence: &str) -> (gatepass_config::Config, Directory) {
    let directory = std::env::temp_dir().join(format!("gatepass-sinks-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(directory.join("policy")).unwrap();
    let hour = Validity::from(Timestamp::now(), SignedDuration::from_hours(1)).unwrap();
    let ca = Ca::root("test authority", hour).unwrap();
    let own = ca.issue(&Leaf::client(vec![Name::Dns("gw-1".into())], hour)).unwrap();
    let listeners = "listeners: [{name: plain, bind: \"127.0.0.1:0\", protocol: http}]";
    let config = format!("{listeners}\npolicy: {{bundle: ./policy}}\nevidence: {evidence}\n");
    for (name, text) in [
        ("ca.pem", ca.pem()),
        ("own.pem", own.chain_pem()),
        ("own.key", own.key_pem()),
        ("token", "from-a-file\n".to_owned()),
        ("gatepass.yaml", config),
    ] {
        std::fs::write(directory.join(name), text).unwrap();
    }
    let config = gatepass_config::load(&directory.join("gatepass.yaml"), Timestamp::now());
    (config.unwrap_or_else(|all| panic!("{all}")), Directory(directory))
}

#[test]
fn everything_that_is_configured_about_a_collector_reaches_it() {
    let (config, _directory) = read(
        "{otlp: {endpoint: \"https://[::1]:4318/otlp\", protocol: http, compression: none,
          headers: {x-tenant: \"inline\", authorization: {file: ./token}},
          tls: {ca: ca.pem, certificate: own.pem, key: own.key, server_name: collector.internal}}}",
    );
    let settings = collector(config.evidence.otlp.as_ref().unwrap(), Duration::from_secs(3)).unwrap();
    assert_eq!(settings.endpoint, "https://[::1]:4318/otlp");
    assert_eq!(settings.protocol, otlp::Protocol::HttpProtobuf);
    assert_eq!((settings.compression, settings.timeout), (otlp::Compression::None, Duration::from_secs(3)));
    let headers: Vec<(&str, &[u8])> = settings.headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
    assert_eq!(headers, [("x-tenant", &b"inline"[..]), ("authorization", b"from-a-file")]);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("inline") && !shown.contains("from-a-file"), "{shown}");
    let tls = settings.tls.unwrap();
    let own = tls.own.unwrap();
    assert!(
        tls.ca.unwrap().ends_with("ca.pem") && own.certificate.ends_with("own.pem") && own.key.ends_with("own.key")
    );
    assert_eq!(tls.server_name.as_deref(), Some("collector.internal"));
}

#[test]
fn each_configured_sink_is_there_and_none_without_configuration() {
    let limits = Limits::default();
    assert_eq!(sinks(&read("{stdout: none}").0.evidence, &limits).unwrap().len(), 0);
    let (config, _directory) = read(
        "{otlp: {endpoint: \"http://127.0.0.1:4317\"}, ocsf: {file: ./events.jsonl},
          syslog: {address: \"tls://127.0.0.1:6514\", tls: {ca: ca.pem, server_name: logs.internal}}}",
    );
    let made = sinks(&config.evidence, &limits).unwrap();
    assert!(matches!(made.as_slice(), [Sink::Otlp(_), Sink::Syslog(_), Sink::Ocsf(_)]), "{made:?}");
    let receiver = receiver(config.evidence.syslog.as_ref().unwrap(), Duration::from_secs(1)).unwrap();
    assert_eq!((receiver.host.as_str(), receiver.port), ("127.0.0.1", 6514));
    assert_eq!(receiver.tls.unwrap().1.to_str(), "logs.internal");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_with_the_key_it_belongs_to() {
    let (config, _directory) = read("{otlp: {endpoint: \"https://127.0.0.1:4317\", tls: {ca: token}}}");
    let error = sinks(&config.evidence, &Limits::default()).unwrap_err();
    assert!(error.starts_with("error: `evidence.otlp`: ") && error.contains("token"), "{error}");
}
