//! Files: what is wrong with them is said with their path, and a bad one never replaces a good one.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::{HOST, ID, LIMITS, World, dns, shake, uri, valid, valid_from};
use crate::chain::{Chain, Purpose};
use crate::mint::{self, Ca, Crl, Dev, Existing, Issued, Leaf, Name, dev};
use crate::rotate::{Clients, Reload, Rotating, Source};
use crate::subject::SpiffeId;
use crate::trust::{Presence, Trust};
use crate::{Alpn, Limits, Problem, Unusable, client, pem};

/// A directory of its own for each test, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Directory {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gatepass-certs-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

fn server_leaf() -> Leaf {
    Leaf::server(vec![dns(HOST)], valid())
}

fn load(directory: &Directory, certificate: &str, key: &str) -> Result<Chain, Unusable> {
    let certificate = directory.write("gateway.pem", certificate);
    let key = directory.write("gateway.key", key);
    Chain::load(&certificate, &key, Purpose::Server, &LIMITS, Timestamp::now())
}

/// The error names the file `name`, and its text has `part`.
#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, Unusable>, name: &str, part: &str) -> Problem {
    let error = result.unwrap_err();
    assert_eq!(error.path.file_name().unwrap(), name);
    let text = error.to_string();
    assert!(text.contains(part) && text.contains(name), "{text}");
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
    error.problem
}

#[test]
fn a_good_pair_is_loaded_with_its_end() {
    let directory = Directory::new();
    let ca = Ca::root("r", valid()).unwrap().intermediate("below", valid()).unwrap();
    let leaf = server_leaf();
    let issued = ca.issue(&leaf).unwrap();
    let chain = load(&directory, &issued.chain_pem(), &issued.key_pem()).unwrap();
    assert_eq!(chain.not_after().as_second(), leaf.validity.not_after.as_second());
    // Both in one file, with words around them, is usual too.
    let both = format!("# gateway\n{}\n{}", issued.key_pem(), issued.chain_pem());
    load(&directory, &both, &both).unwrap();
}

#[test]
fn each_mistake_with_a_file_is_named() {
    let directory = Directory::new();
    let issued = World::new().ca.issue(&server_leaf()).unwrap();
    let (chain, key) = (issued.chain_pem(), issued.key_pem());
    let read = |text: &[u8]| pem::certificates(&directory.write("f.pem", text), &LIMITS);
    says(pem::certificates(&directory.0.join("none.pem"), &LIMITS), "none.pem", "cannot be read");
    let folder = directory.0.join("folder");
    fs::create_dir(&folder).unwrap();
    says(pem::certificates(&folder, &LIMITS), "folder", "is not a file");
    says(read(b""), "f.pem", "is empty");
    says(read(b" \n\t\n"), "f.pem", "is empty");
    says(read(&issued.chain()[0]), "f.pem", "openssl x509");
    says(read(b"hello"), "f.pem", "no PEM block `CERTIFICATE`");
    says(read(key.as_bytes()), "f.pem", "no PEM block `CERTIFICATE`");
    says(read(chain.replace("-----END CERTIFICATE-----", "").as_bytes()), "f.pem", "`-----END CERTIFICATE-----`");
    says(read(chain.replacen("MII", "M!I", 1).as_bytes()), "f.pem", "not base64");
    let twice = format!("{chain}{}", chain.replacen("MII", "MIA", 1));
    says(read(twice.as_bytes()), "f.pem", "`CERTIFICATE` number 2");
    let small = Limits { file_bytes: 100, ..LIMITS };
    says(pem::certificates(&directory.write("f.pem", &chain), &small), "f.pem", "larger than 100 bytes");
}

#[test]
fn each_mistake_with_a_key_is_named() {
    let directory = Directory::new();
    let issued = World::new().ca.issue(&server_leaf()).unwrap();
    let key = issued.key_pem();
    let read = |text: &str| pem::key(&directory.write("f.key", text), &LIMITS);
    says(read(&issued.chain_pem()), "f.key", "no PEM block `PRIVATE KEY`");
    says(read(&format!("{key}{key}")), "f.key", "more than one private key");
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    says(read(&encrypted), "f.key", "openssl pkey");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n\
               -----END RSA PRIVATE KEY-----\n";
    assert!(matches!(says(read(old), "f.key", "is encrypted"), Problem::EncryptedKey));
    let damaged = read(&key.replacen("MI", "M!", 1));
    let text = says(damaged, "f.key", "not base64").to_string();
    assert!(!text.contains("M!"), "a key's text must not be repeated: {text}");
    let garbage =
        load(&directory, &issued.chain_pem(), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
    says(garbage, "gateway.key", "is not taken");
}

#[test]
fn a_key_that_belongs_to_another_certificate_is_named() {
    let directory = Directory::new();
    let ca = World::new().ca.intermediate("below", valid()).unwrap();
    let (issued, other) = (ca.issue(&server_leaf()).unwrap(), ca.issue(&server_leaf()).unwrap());
    says(load(&directory, &issued.chain_pem(), &other.key_pem()), "gateway.key", "does not belong");
    let turned = format!("{}{}", ca.pem(), issued.chain_pem());
    says(load(&directory, &turned, &issued.key_pem()), "gateway.pem", "is number 2 in its file");
    let unrelated = format!("{}{}", issued.chain_pem(), other.chain_pem());
    says(
        load(&directory, &unrelated, &issued.key_pem()),
        "gateway.pem",
        "certificate 2 is not issued by the one after it",
    );
}

#[test]
fn a_certificate_that_no_client_could_believe_is_named() {
    let directory = Directory::new();
    let ca = World::new().ca;
    let hour = SignedDuration::from_hours(1);
    let try_leaf = |leaf: Leaf| {
        let issued = ca.issue(&leaf).unwrap();
        load(&directory, &issued.chain_pem(), &issued.key_pem())
    };
    says(try_leaf(Leaf { validity: valid_from(-hour, -hour / 2), ..server_leaf() }), "gateway.pem", "expired at");
    says(try_leaf(Leaf { validity: valid_from(hour, hour * 2), ..server_leaf() }), "gateway.pem", "not valid before");
    says(try_leaf(Leaf::client(vec![dns(HOST)], valid())), "gateway.pem", "lacks serverAuth");
    says(try_leaf(Leaf::server(vec![uri(ID)], valid())), "gateway.pem", "names no host");
    try_leaf(Leaf { usages: Vec::new(), ..server_leaf() }).unwrap();
}

#[test]
fn each_mistake_with_trust_is_named() {
    let directory = Directory::new();
    let world = World::new();
    let now = Timestamp::now();
    let hour = SignedDuration::from_hours(1);
    let ca = directory.write("clients-ca.pem", world.ca.pem());
    let list =
        |validity| world.ca.crl(&Crl { revoked: &[], validity, distribution_point: None }).unwrap().pem().unwrap();
    let trust = |crl: &Path| Trust::load(&ca, Some(crl), &LIMITS, now);
    trust(&directory.write("clients.crl", list(valid()))).unwrap();
    says(trust(&directory.write("clients.crl", "")), "clients.crl", "is empty");
    says(trust(&ca), "clients-ca.pem", "no PEM block `X509 CRL`");
    says(trust(&directory.write("clients.crl", list(valid_from(-hour, -hour / 2)))), "clients.crl", "out of date");

    let anchors = |text: String| Trust::load(&directory.write("other.pem", text), None, &LIMITS, now);
    let issued = world.ca.issue(&server_leaf()).unwrap();
    says(
        anchors(format!("{}{}", world.ca.pem(), issued.chain_pem())),
        "other.pem",
        "certificate 2 is not an authority",
    );
    let old = Ca::root("old", valid_from(-hour, -hour / 2)).unwrap();
    says(anchors(old.pem()), "other.pem", "expired at");
}

/// A listener's files in a directory, and a client that has a certificate of them.
struct Listener {
    directory: Directory,
    ca: Ca,
    client: Issued,
    source: Source,
}

impl Listener {
    fn new(presence: Presence) -> Listener {
        let directory = Directory::new();
        let ca = Ca::root("root", valid()).unwrap();
        let gateway = ca.issue(&server_leaf()).unwrap();
        let list = ca.crl(&Crl { revoked: &[], validity: valid(), distribution_point: None }).unwrap();
        let source = Source {
            certificate: directory.write("gateway.pem", gateway.chain_pem()),
            key: directory.write("gateway.key", gateway.key_pem()),
            clients: Some(Clients {
                ca: directory.write("clients-ca.pem", ca.pem()),
                crl: Some(directory.write("clients.crl", list.pem().unwrap())),
                presence,
            }),
            alpn: vec![Alpn::Http11],
            limits: LIMITS,
        };
        let client = ca.issue(&Leaf::client(vec![uri(ID)], valid())).unwrap();
        Listener { directory, ca, client, source }
    }

    async fn shake(&self, rotating: &Rotating) -> super::Shaken {
        let own = Chain::new(self.client.chain(), self.client.key(), Purpose::Client, Timestamp::now()).unwrap();
        let client = client::config(&[self.ca.certificate().clone()], Some(&own), &[Alpn::Http11]).unwrap();
        shake(&rotating.current().config, client, HOST).await
    }
}

#[tokio::test]
async fn revoking_a_client_takes_one_reload() {
    let listener = Listener::new(Presence::Required);
    let rotating = Rotating::load(listener.source.clone(), Timestamp::now()).unwrap();
    assert!(listener.shake(&rotating).await.accepted().subject.unwrap().is_some());
    assert_eq!(rotating.reload(Timestamp::now()).unwrap(), Reload::Unchanged);

    let crl = Crl { revoked: &[listener.client.serial()], validity: valid(), distribution_point: None };
    listener.directory.write("clients.crl", listener.ca.crl(&crl).unwrap().pem().unwrap());
    listener.shake(&rotating).await.accepted();
    assert_eq!(rotating.reload(Timestamp::now()).unwrap(), Reload::Changed);
    listener.shake(&rotating).await.refused_for("Revoked");
}

#[tokio::test]
async fn a_new_gateway_certificate_takes_one_reload() {
    let listener = Listener::new(Presence::Optional);
    let rotating = Rotating::load(listener.source.clone(), Timestamp::now()).unwrap();
    let before = rotating.current();
    let fresh = listener.ca.issue(&server_leaf()).unwrap();
    listener.directory.write("gateway.pem", fresh.chain_pem());
    // Half of the pair is there: the files do not fit together.
    says(rotating.reload(Timestamp::now()), "gateway.key", "does not belong");
    assert!(Arc::ptr_eq(&before, &rotating.current()));
    listener.directory.write("gateway.key", fresh.key_pem());
    assert_eq!(rotating.reload(Timestamp::now()).unwrap(), Reload::Changed);
    assert!(!Arc::ptr_eq(&before, &rotating.current()));
    listener.shake(&rotating).await.accepted();
}

#[tokio::test]
pub async fn a_bad_reload_keeps_the_last_good_configuration() {
    let listener = Listener::new(Presence::Required);
    let rotating = Rotating::load(listener.source.clone(), Timestamp::now()).unwrap();
    let before = rotating.current();
    let forger = Ca::root("root", valid()).unwrap();
    let forged = forger.crl(&Crl { revoked: &[], validity: valid(), distribution_point: None }).unwrap();
    let good = fs::read(listener.directory.0.join("clients.crl")).unwrap();
    listener.directory.write("clients.crl", forged.pem().unwrap());
    says(rotating.reload(Timestamp::now()), "clients.crl", "bad signature");
    fs::remove_file(listener.directory.0.join("clients.crl")).unwrap();
    says(rotating.reload(Timestamp::now()), "clients.crl", "cannot be read");
    listener.directory.write("clients-ca.pem", "");
    says(rotating.reload(Timestamp::now()), "clients-ca.pem", "is empty");
    assert!(Arc::ptr_eq(&before, &rotating.current()));
    listener.shake(&rotating).await.accepted();
    listener.directory.write("clients-ca.pem", listener.ca.pem());
    listener.directory.write("clients.crl", good);
    assert_eq!(rotating.reload(Timestamp::now()).unwrap(), Reload::Unchanged);
}

#[test]
fn what_is_missing_at_the_start_is_an_error() {
    let listener = Listener::new(Presence::Required);
    for name in ["gateway.pem", "gateway.key", "clients-ca.pem", "clients.crl"] {
        let path = listener.directory.0.join(name);
        let text = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        says(Rotating::load(listener.source.clone(), Timestamp::now()), name, "cannot be read");
        fs::write(&path, text).unwrap();
    }
    Rotating::load(listener.source.clone(), Timestamp::now()).unwrap();
}

fn wanted(existing: Existing) -> Dev {
    Dev {
        client: SpiffeId::parse(ID).unwrap(),
        gateway_names: vec![Name::Dns(HOST.to_owned())],
        validity: valid(),
        existing,
    }
}

#[tokio::test]
async fn development_certificates_work_together() {
    let directory = Directory::new();
    let written = dev(&directory.0.join("new/certs"), &wanted(Existing::Refuse)).unwrap();
    for (path, mode) in [
        (&written.ca_key, 0o600),
        (&written.gateway_key, 0o600),
        (&written.client_key, 0o600),
        (&written.gateway, 0o644),
    ] {
        // The umask may take away, never add.
        let found = fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(found & !mode, 0, "{path:?} is {found:o}");
    }
    let clients =
        Clients { ca: written.clients_ca.clone(), crl: Some(written.crl.clone()), presence: Presence::Required };
    let rotating = Rotating::load(
        Source {
            certificate: written.gateway.clone(),
            key: written.gateway_key.clone(),
            clients: Some(clients),
            alpn: vec![Alpn::Http11],
            limits: LIMITS,
        },
        Timestamp::now(),
    )
    .unwrap();
    let own = Chain::load(&written.client, &written.client_key, Purpose::Client, &LIMITS, Timestamp::now()).unwrap();
    let client = client::load(&written.ca, Some(&own), &[Alpn::Http11], &LIMITS).unwrap();
    for host in ["localhost", "127.0.0.1", "::1", HOST] {
        let seen = shake(&rotating.current().config, client.clone(), host).await.accepted();
        assert_eq!(seen.subject.unwrap().unwrap().spiffe_id.unwrap().as_str(), ID);
    }
}

#[test]
fn development_certificates_replace_nothing_unasked() {
    let directory = Directory::new();
    let first = dev(&directory.0, &wanted(Existing::Refuse)).unwrap();
    let key = fs::read(&first.ca_key).unwrap();
    assert!(matches!(dev(&directory.0, &wanted(Existing::Refuse)), Err(mint::Error::Exists(_))));
    assert_eq!(fs::read(&first.ca_key).unwrap(), key);
    dev(&directory.0, &wanted(Existing::Replace)).unwrap();
    assert_ne!(fs::read(&first.ca_key).unwrap(), key);
    // One file is enough to refuse, and then nothing else is written.
    let other = Directory::new();
    other.write("client.key", "mine");
    assert!(matches!(dev(&other.0, &wanted(Existing::Refuse)), Err(mint::Error::Exists(_))));
    assert_eq!(fs::read_dir(&other.0).unwrap().count(), 1);
}
