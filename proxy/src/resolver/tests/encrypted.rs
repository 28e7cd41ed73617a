//! DNS over TLS and over HTTPS: only a server whose certificate proves its name is believed.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{RootCertStore, ServerConfig};

use super::names::Over;
use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn mint() -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn roots(&self) -> Option<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        Some(Arc::new(roots))
    }

    fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_string()]).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap()
    }
}

async fn server(mut config: ServerConfig, over: Over) -> Names {
    if over == Over::Https {
        config.alpn_protocols = vec![b"h2".to_vec()];
    }
    Names::start_encrypted(config, over, |asked| match asked.kind {
        RecordType::A => Reply::Records(vec![address(&asked.name, 60, "192.0.2.1")]),
        _ => nothing(),
    })
    .await
}

fn asking(names: &Names, over: Over, name: &str, roots: Option<Arc<RootCertStore>>) -> Resolver {
    let port = names.address.port();
    let addresses = if name == "127.0.0.1" { vec![] } else { vec![names.address.ip()] };
    let servers = vec![match over {
        Over::Https => Server::Https { name: name.into(), addresses, port, path: "/dns-query".into() },
        _ => Server::Tls { name: name.into(), addresses, port },
    }];
    Resolver::new(&Settings { servers, roots, ..settings(&[]) }).unwrap()
}

#[tokio::test]
async fn a_server_that_proves_its_name_or_its_address_is_asked() {
    let authority = Authority::mint();
    for (over, name) in [Over::Tls, Over::Https].into_iter().flat_map(|over| [(over, "dns.test"), (over, "127.0.0.1")])
    {
        let names = server(authority.server(name), over).await;
        let resolver = asking(&names, over, name, authority.roots());
        assert_eq!(resolve(&resolver, "a.test").await.unwrap().answers, ips(&["192.0.2.1"]), "{over:?} {name}");
        assert!(names.asked().iter().all(|asked| asked.over == over));
    }
}

#[tokio::test]
async fn a_server_of_another_name_or_authority_is_not_asked_anything() {
    let (authority, other) = (Authority::mint(), Authority::mint());
    for over in [Over::Tls, Over::Https] {
        for config in [authority.server("other.test"), other.server("dns.test")] {
            let names = server(config, over).await;
            let resolver = asking(&names, over, "dns.test", authority.roots());
            let error = resolve(&resolver, "a.test").await.unwrap_err();
            assert_eq!(error, ResolveError::Failed("the name server cannot be reached"), "{over:?}");
            assert_eq!(names.asked(), []);
        }
    }
}

#[tokio::test]
async fn a_server_by_name_without_an_address_makes_no_resolver() {
    let servers = vec![
        Server::Tls { name: "dns.test".into(), addresses: vec![], port: 853 },
        Server::Https { name: "dns.test".into(), addresses: vec![], port: 443, path: "/dns-query".into() },
    ];
    for server in servers {
        let settings = Settings { servers: vec![server], roots: Authority::mint().roots(), ..settings(&[]) };
        let error = Resolver::new(&settings).unwrap_err();
        assert_eq!(error, SettingsError::NoAddress("dns.test".into()));
        assert!(error.to_string().contains("write `dns.test@ADDRESS`"), "{error}");
    }
}
