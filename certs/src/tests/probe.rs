//! What servers prove to a probe, and what the probe makes of those that prove nothing.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rcgen::{DistinguishedName, DnType, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::TLS13;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_rustls::TlsAcceptor;

use super::{HOST, VERSIONS, dns, valid, valid_from};
use crate::Alpn;
use crate::mint::{Ca, Issued, Leaf, ca_params};
use crate::probe::{Nothing, Prober, Question, Shown, Unverified};

fn server(own: Arc<CertifiedKey>, version: &'static SupportedProtocolVersion) -> ServerConfig {
    let builder = ServerConfig::builder_with_provider(crate::provider()).with_protocol_versions(&[version]).unwrap();
    builder.with_no_client_auth().with_cert_resolver(Arc::new(SingleCertAndKey::from(own)))
}

fn key_of(own: &Issued) -> Arc<CertifiedKey> {
    Arc::new(CertifiedKey::from_der(own.chain(), own.key(), &crate::provider()).unwrap())
}

/// What comes of a probe for `HOST` of a server that does this with its end.
async fn ask<F>(prober: &Prober, serve: impl FnOnce(DuplexStream) -> F) -> Result<Shown, Nothing>
where
    F: Future<Output = ()> + Send + 'static,
{
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let served = tokio::spawn(serve(theirs));
    let name = ServerName::try_from(HOST).unwrap();
    let question = Question { server_name: &name, host: &name, alpn: &[Alpn::Http11], now: Timestamp::now() };
    let came = prober.ask(ours, &question).await;
    served.await.unwrap();
    came
}

async fn probed(
    prober: &Prober,
    own: Arc<CertifiedKey>,
    version: &'static SupportedProtocolVersion,
) -> Result<Shown, Nothing> {
    let config = Arc::new(server(own, version));
    ask(prober, |theirs| async move {
        if let Ok(mut secured) = TlsAcceptor::from(config).accept(theirs).await {
            let mut sent = Vec::new();
            let _ = secured.read_to_end(&mut sent).await;
            assert!(sent.is_empty(), "a probe carries nothing");
        }
    })
    .await
}

async fn unverified(anchor: &Ca, own: &Issued, why: Unverified) {
    let prober = Prober::trusting(&[anchor.certificate().clone()]).unwrap();
    for version in VERSIONS {
        let shown = probed(&prober, key_of(own), version).await.unwrap();
        assert_eq!(shown.unverified, Some(why), "{version:?}");
    }
}

#[tokio::test]
async fn a_server_that_proves_its_name_is_verified_in_either_version() {
    let ca = Ca::root("test root", valid()).unwrap();
    let own = ca.issue(&Leaf::server(vec![dns(HOST), dns("*.Other.test")], valid())).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    let [old, new] = VERSIONS;
    for (version, name) in [(old, "1.2"), (new, "1.3")] {
        let shown = probed(&prober, key_of(&own), version).await.unwrap();
        assert_eq!((shown.unverified, shown.tls_version), (None, name));
        assert_eq!(shown.dns_sans, [HOST, "*.other.test"]);
        assert_eq!(shown.issuer, "CN=test root");
        assert_eq!(shown.not_after.as_second(), valid().not_after.as_second());
        assert!(shown.spki_sha256.len() == 64 && shown.spki_sha256.bytes().all(|b| b.is_ascii_hexdigit()));
    }
}

#[tokio::test]
async fn what_a_chain_does_not_prove_is_told_and_the_certificate_all_the_same() {
    let ca = Ca::root("test root", valid()).unwrap();
    let stranger = Ca::root("another root", valid()).unwrap();
    let leaf = |names: &[&str], validity| Leaf::server(names.iter().map(|name| dns(name)).collect(), validity);
    let hours = SignedDuration::from_hours;
    unverified(&ca, &stranger.issue(&leaf(&[HOST], valid())).unwrap(), Unverified::UnknownIssuer).await;
    unverified(&ca, &ca.issue(&leaf(&["other.test"], valid())).unwrap(), Unverified::OtherName).await;
    unverified(&ca, &ca.issue(&leaf(&[], valid())).unwrap(), Unverified::OtherName).await;
    unverified(&ca, &ca.issue(&leaf(&[HOST], valid_from(hours(-2), hours(-1)))).unwrap(), Unverified::Expired).await;
    unverified(&ca, &ca.issue(&leaf(&[HOST], valid_from(hours(1), hours(2)))).unwrap(), Unverified::NotYetValid).await;
    let client = ca.issue(&Leaf::client(vec![dns(HOST)], valid())).unwrap();
    unverified(&ca, &client, Unverified::OtherPurpose).await;
    let nobody = Prober::trusting(&[]).unwrap();
    let own = ca.issue(&leaf(&[HOST], valid())).unwrap();
    let shown = probed(&nobody, key_of(&own), &TLS13).await.unwrap();
    assert_eq!((shown.unverified, shown.dns_sans), (Some(Unverified::NoAuthority), vec![HOST.to_owned()]));
}

#[tokio::test]
async fn a_self_signed_certificate_proves_nothing_and_is_shown() {
    let ca = Ca::root("test root", valid()).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    let leaf = Leaf::server(vec![dns(HOST)], valid()).params().unwrap();
    let mut authority = ca_params("self", valid()).unwrap();
    authority.subject_alt_names = leaf.subject_alt_names.clone();
    for (params, why) in [(leaf, Unverified::UnknownIssuer), (authority, Unverified::Authority)] {
        let key = KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let own = CertifiedKey::new(vec![own.der().clone()], any_supported_type(&key.into()).unwrap());
        let shown = probed(&prober, Arc::new(own), &TLS13).await.unwrap();
        assert_eq!((shown.unverified, shown.dns_sans), (Some(why), vec![HOST.to_owned()]));
    }
}

#[tokio::test]
async fn a_certificate_without_its_key_is_no_certificate() {
    let ca = Ca::root("test root", valid()).unwrap();
    let own = ca.issue(&Leaf::server(vec![dns(HOST)], valid())).unwrap();
    let other = ca.issue(&Leaf::server(vec![dns(HOST)], valid())).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    for version in VERSIONS {
        let stolen = CertifiedKey::new(own.chain(), any_supported_type(&other.key()).unwrap());
        assert_eq!(probed(&prober, Arc::new(stolen), version).await, Err(Nothing::KeyNotProved), "{version:?}");
    }
}

#[tokio::test]
async fn an_issuer_cannot_pass_for_another_one() {
    let mut params = ca_params("x", valid()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "US");
    params.distinguished_name.push(DnType::CommonName, "R3,O=Let's Encrypt\n");
    params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "7");
    let ca = Ca::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let own = ca.issue(&Leaf::server(vec![dns(HOST)], valid())).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    let shown = probed(&prober, key_of(&own), &TLS13).await.unwrap();
    assert_eq!(shown.issuer, "2.5.4.5=#0c0137,CN=R3\\,O=Let's Encrypt\\0a,C=US");
}

#[tokio::test]
async fn a_name_that_is_none_is_equal_to_no_host() {
    let ca = Ca::root("test root", valid()).unwrap();
    let own = ca.issue(&Leaf::server(vec![dns("a b.test"), dns("x\ny")], valid())).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    let shown = probed(&prober, key_of(&own), &TLS13).await.unwrap();
    assert_eq!(shown.dns_sans, ["\\a b.test", "\\x\\ny"]);
}

#[tokio::test]
async fn more_names_than_rules_would_see_are_no_certificate() {
    let ca = Ca::root("test root", valid()).unwrap();
    let names = (0..1025).map(|n| dns(&format!("n{n}.test"))).collect();
    let own = ca.issue(&Leaf::server(names, valid())).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    assert_eq!(probed(&prober, key_of(&own), &TLS13).await, Err(Nothing::Unreadable));
}

#[tokio::test]
async fn what_is_no_tls_server_proves_nothing() {
    let prober = Prober::trusting(&[]).unwrap();
    let says = |bytes: Vec<u8>| {
        |mut theirs: DuplexStream| async move {
            let _ = theirs.write_all(&bytes).await;
        }
    };
    assert_eq!(ask(&prober, says(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec())).await, Err(Nothing::NotTls));
    assert_eq!(ask(&prober, says(Vec::new())).await, Err(Nothing::Ended));
    assert_eq!(ask(&prober, says(vec![21, 3, 3, 0, 2, 2, 40])).await, Err(Nothing::Refused));
    // The beginning of a handshake message that never ends, in records as long as they may be.
    let mut record = vec![22, 3, 3, 0x40, 0];
    record.resize(5 + 0x4000, 11);
    let endless = record.repeat(20);
    let came = ask(&prober, says(endless)).await;
    assert!(matches!(came, Err(Nothing::NotTls | Nothing::Failed | Nothing::TooLong)), "{came:?}");
}

#[tokio::test]
async fn a_server_that_wants_a_certificate_of_ours_is_told_as_it_answers() {
    let ca = Ca::root("test root", valid()).unwrap();
    let own = ca.issue(&Leaf::server(vec![dns(HOST)], valid())).unwrap();
    let prober = Prober::trusting(&[ca.certificate().clone()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(ca.certificate().clone()).unwrap();
    let [old, new] = VERSIONS;
    for (version, verified) in [(old, Err(Nothing::Refused)), (new, Ok(None))] {
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.clone()), crate::provider());
        let config = ServerConfig::builder_with_provider(crate::provider()).with_protocol_versions(&[version]).unwrap();
        let config = config.with_client_cert_verifier(clients.build().unwrap());
        let config = config.with_single_cert(own.chain(), own.key()).unwrap();
        let came = ask(&prober, |theirs| async move {
            let _ = TlsAcceptor::from(Arc::new(config)).accept(theirs).await;
        });
        // With 1.2 the server has the last word, with 1.3 the client.
        assert_eq!(came.await.map(|shown| shown.unverified), verified, "{version:?}");
    }
}
