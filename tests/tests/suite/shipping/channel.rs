//! What a collector is reached through, and what it is shown: TLS, certificates, headers, compression.

use std::time::Duration;

use gatepass::evidence::ship::otlp::{Client, Compression, Protocol, Settings, SettingsError};
use gatepass::evidence::ship::tls::{Own, Tls, TlsError};
use gatepass_certs::chain::{Chain, Purpose};
use gatepass_certs::mint::{Ca, Leaf, Name, Validity};
use gatepass_certs::server::{self, ClientCertificates};
use gatepass_certs::trust::Trust;
use gatepass_certs::{Alpn, Limits};
use gatepass_tests::{Faulty, Scratch};
use jiff::{SignedDuration, Timestamp};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;

use super::{BOTH, World, assert_complete, eventually};

#[tokio::test]
async fn a_request_says_who_sends_it_and_carries_headers_and_is_packed_as_set() {
    for protocol in BOTH {
        for compression in [Compression::None, Compression::Gzip] {
            let (world, collector) = (World::new(), Faulty::start());
            let mut secret: http::HeaderValue = "Bearer very-secret".parse().unwrap();
            secret.set_sensitive(true);
            let headers = vec![("authorization".parse().unwrap(), secret)];
            let settings = Settings { compression, headers, ..world.settings(&collector, protocol) };
            assert!(!format!("{settings:?}").contains("very-secret"));
            world.write(15);
            let shipped = world.ship(&settings);
            world.drained(&shipped).await;
            assert_complete(&collector, 15);
            let seen = collector.seen().remove(0);
            assert_eq!(seen.headers["authorization"], "Bearer very-secret");
            let logs = &seen.request.resource_logs[0];
            let attributes = logs.resource.as_ref().unwrap().attributes.iter();
            let named: Vec<(&str, Option<Any>)> =
                attributes.map(|a| (a.key.as_str(), a.value.clone().unwrap().value)).collect();
            let text = |text: &str| Some(Any::StringValue(text.into()));
            assert_eq!(
                named,
                [
                    ("service.name", text("gatepass")),
                    ("service.version", text("0.1.0")),
                    ("service.instance.id", text("gw-1")),
                    ("host.name", text("machine")),
                    ("gatepass.evidence.log", text("gatepass.test/gw-1")),
                ]
            );
            assert_eq!(logs.scope_logs[0].scope.as_ref().unwrap().name, "gatepass.decision");
        }
    }
}

fn hour() -> Validity {
    Validity::from(Timestamp::now(), SignedDuration::from_hours(1)).unwrap()
}

/// A collector in TLS under another name than its address, who takes only clients of the same authority.
fn secure(ca: &Ca, alpn: Alpn) -> Faulty {
    let issued = ca.issue(&Leaf::server(vec![Name::Dns("collector.internal".into())], hour())).unwrap();
    let own = Chain::new(issued.chain(), issued.key(), Purpose::Server, Timestamp::now()).unwrap();
    let trust = Trust::new(vec![ca.certificate().clone()], &Limits::RECOMMENDED, Timestamp::now()).unwrap();
    Faulty::secure(server::config(&own, &ClientCertificates::Required(trust), &[alpn]).unwrap())
}

#[tokio::test]
async fn a_secure_collector_is_verified_and_shown_a_certificate() {
    for (protocol, alpn) in [(Protocol::Grpc, Alpn::H2), (Protocol::HttpProtobuf, Alpn::Http11)] {
        let (world, files, ca) = (World::new(), Scratch::new(), Ca::root("test authority", hour()).unwrap());
        let collector = secure(&ca, alpn);
        let issued = ca.issue(&Leaf::client(vec![Name::Dns("gw-1".into())], hour())).unwrap();
        let tls = Tls {
            ca: Some(files.write("ca.pem", ca.pem())),
            own: Some(Own {
                certificate: files.write("own.pem", issued.chain_pem()),
                key: files.write("own.key", issued.key_pem()),
            }),
            server_name: Some("collector.internal".into()),
        };
        let endpoint = format!("https://{}", collector.address());
        let settings = Settings { endpoint, tls: Some(tls.clone()), ..world.settings(&collector, protocol) };
        let with = |change: fn(&mut Tls)| {
            let mut tls = tls.clone();
            change(&mut tls);
            Settings { tls: Some(tls), ..settings.clone() }
        };
        // Each of these fails in the handshake, and reaches nobody.
        for wrong in [with(|tls| tls.own = None), with(|tls| tls.server_name = None)] {
            let world = World::new();
            world.write(5);
            let shipped = world.ship(&wrong);
            eventually("attempts fail", || (world.metric("export_failures_total") > 2).then_some(())).await;
            shipped.stop().await;
            assert_eq!(collector.seen().len(), 0, "{wrong:?}");
        }
        world.write(50);
        let shipped = world.ship(&settings);
        world.drained(&shipped).await;
        assert_complete(&collector, 50);
    }
}

#[tokio::test]
async fn settings_that_are_mended_hold_from_the_next_request_on() {
    let (world, collector) = (World::new(), Faulty::start());
    let nowhere = Faulty::bound(None);
    let client = Client::new(&world.settings(&nowhere, Protocol::Grpc)).unwrap();
    let sink = gatepass::evidence::ship::Sink::Otlp(client.clone());
    let settings = gatepass::evidence::ship::Settings { sink, spool: world.spool().to_owned(), limits: world.limits };
    world.write(30);
    let written = tokio::sync::watch::channel(world.written()).1;
    let shipped = gatepass::evidence::ship::start(settings, written, world.metrics.clone()).unwrap();
    eventually("attempts fail", || (world.metric("export_failures_total") > 2).then_some(())).await;
    let broken = Settings { endpoint: "nonsense".into(), ..world.settings(&collector, Protocol::HttpProtobuf) };
    client.reload(&broken).unwrap_err();
    client.reload(&world.settings(&collector, Protocol::HttpProtobuf)).unwrap();
    world.drained(&shipped).await;
    assert_complete(&collector, 30);
}

#[test]
fn settings_that_cannot_be_used_are_refused_with_the_way_to_mend_them() {
    let files = Scratch::new();
    let of = |endpoint: &str, tls: Option<Tls>| {
        let settings = Settings {
            endpoint: endpoint.into(),
            protocol: Protocol::Grpc,
            compression: Compression::Gzip,
            headers: Vec::new(),
            tls,
            timeout: Duration::from_secs(1),
        };
        Client::new(&settings).unwrap_err()
    };
    for endpoint in ["127.0.0.1:4317", "", "ftp://127.0.0.1/", "/v1/logs"] {
        let error = of(endpoint, None);
        assert!(matches!(error, SettingsError::Malformed(_)), "{error}");
        assert!(error.to_string().contains(&format!("`{endpoint}`")), "{error}");
    }
    let error = of("http://127.0.0.1:4317", Some(Tls::default()));
    assert!(matches!(error, SettingsError::TlsOverHttp(_)), "{error}");
    let missing = Tls { ca: Some(files.path().join("none.pem")), ..Tls::default() };
    let error = of("https://127.0.0.1:4317", Some(missing));
    assert!(error.to_string().contains("none.pem"), "{error}");
    let ca = Some(files.write("ca.pem", Ca::root("test authority", hour()).unwrap().pem()));
    let error = of("https://127.0.0.1:4317", Some(Tls { ca, own: None, server_name: Some("no name".into()) }));
    assert!(matches!(error, SettingsError::Tls(TlsError::ServerName(_))), "{error}");
}
