//! Keys as the programs write them that people have: OpenSSL and OpenSSH.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::{Keyring, PrivateKey, PublicKey, Signature};
use super::{archive, signed_by};

struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("gatepass-keys-{}", uuid::Uuid::now_v7()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn run(&self, line: &str) -> String {
        let mut words = line.split(' ').map(|word| if word == "''" { "" } else { word });
        let output = Command::new(words.next().unwrap()).args(words).current_dir(&self.0).output();
        let output = output.unwrap_or_else(|error| panic!("`{line}`: {error}; tests/run installs it"));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn signs(private: &Path, public: &Path) {
    let key = PrivateKey::load(private).unwrap();
    let signature = Signature::sign(&archive(), &key).unwrap();
    let ring = Keyring::load([public].into_iter(), None).unwrap();
    ring.look(&archive().with_signature(signature)).suffice().unwrap();
    assert!(ring.look(&signed_by(&[&PrivateKey::generate()])).suffice().is_err());
}

fn refused(path: &Path) -> (String, String) {
    let public = PublicKey::load(path).unwrap_err();
    let private = PrivateKey::load(path).err().unwrap();
    assert!(public.contains(&path.display().to_string()) && private.contains(&path.display().to_string()));
    (public, private)
}

#[test]
fn keys_of_openssl_sign_and_verify() {
    let folder = Folder::new();
    folder.run("openssl genpkey -algorithm ed25519 -out release.key");
    folder.run("openssl pkey -in release.key -pubout -out release.pub");
    signs(&folder.file("release.key"), &folder.file("release.pub"));
    folder.run("openssl pkey -in release.key -aes256 -passout pass:secret -out locked.key");
    let (_, why) = refused(&folder.file("locked.key"));
    assert!(why.contains("protected by a passphrase"), "{why}");
    folder.run("openssl genpkey -algorithm X25519 -out other.key");
    folder.run("openssl pkey -in other.key -pubout -out other.pub");
    assert!(refused(&folder.file("other.key")).1.contains("no Ed25519 key"));
    assert!(refused(&folder.file("other.pub")).0.contains("no Ed25519 key"));
}

#[test]
fn keys_of_openssh_sign_and_verify_and_have_its_fingerprint() {
    let folder = Folder::new();
    folder.run("ssh-keygen -q -t ed25519 -N '' -C alice@example.com -f release");
    signs(&folder.file("release"), &folder.file("release.pub"));
    let shown = folder.run("ssh-keygen -l -f release.pub");
    let id = PublicKey::load(&folder.file("release.pub")).unwrap().id().to_string();
    assert_eq!(shown.split(' ').nth(1), Some(id.as_str()));
    folder.run("ssh-keygen -q -t ed25519 -N secret -f locked");
    let (_, why) = refused(&folder.file("locked"));
    assert!(why.contains("protected by a passphrase"), "{why}");
    folder.run("ssh-keygen -q -t ecdsa -N '' -f other");
    assert!(refused(&folder.file("other")).1.contains("no Ed25519 key"));
    assert!(refused(&folder.file("other.pub")).0.contains("no Ed25519 key"));
}

#[test]
fn a_key_in_the_wrong_place_is_told_as_that() {
    let folder = Folder::new();
    folder.run("ssh-keygen -q -t ed25519 -N '' -f release");
    assert!(PublicKey::load(&folder.file("release")).unwrap_err().contains("it is a private key"));
    let wrong = PrivateKey::load(&folder.file("release.pub")).err().unwrap();
    assert!(wrong.contains("it is a public key"), "{wrong}");
    let both = std::fs::read_to_string(folder.file("release.pub")).unwrap().repeat(2);
    assert!(refused(&folder.write("both.pub", &both)).0.contains("several"));
    for (name, text) in [("empty", ""), ("noise", "hello\n"), ("cut", "-----BEGIN PUBLIC KEY-----\nMCow\n")] {
        refused(&folder.write(name, text));
    }
    refused(&folder.file("missing"));
    refused(&folder.0);
    let long = "#".repeat(70_000);
    assert!(refused(&folder.write("long", &long)).0.contains("at most 65536 bytes"));
    let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    assert!(refused(&folder.write("weak", weak)).0.contains("small order"));
}
