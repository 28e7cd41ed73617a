//! Signatures: how many of whom, and that nothing can be changed beneath them.

use std::path::Path;

use gatepass_config::limits::Limits;
use proptest::prelude::*;

use super::super::{Archive, Keyring, PrivateKey, PublicKey, Signature};
use super::{archive, release, signed_by};

fn ring(keys: &[&PrivateKey], threshold: usize) -> Keyring {
    Keyring::new(keys.iter().map(|key| key.public().unwrap()).collect(), Some(threshold)).unwrap()
}

fn judged(ring: &Keyring, archive: &Archive) -> Result<(), String> {
    ring.look(archive).suffice().map_err(|refused| refused.to_string())
}

#[test]
fn so_many_of_the_known_keys_must_have_signed() {
    let (alice, bob, carol) = (PrivateKey::generate(), PrivateKey::generate(), PrivateKey::generate());
    let two = ring(&[&alice, &bob], 2);
    assert_eq!(judged(&two, &archive()), Err("2 are needed, and it has 0 valid signatures".to_owned()));
    let one = judged(&two, &signed_by(&[&alice]));
    assert_eq!(one, Err("2 are needed, and it has 1 valid signatures".to_owned()));
    let stranger = judged(&two, &signed_by(&[&alice, &carol]));
    let told = "2 are needed, and it has 1 valid signatures; 1 by keys that are not known here";
    assert_eq!(stranger, Err(told.to_owned()));
    assert_eq!(judged(&two, &signed_by(&[&alice, &bob])), Ok(()));
    assert_eq!(judged(&two, &signed_by(&[&bob, &carol, &alice])), Ok(()));
    assert_eq!(judged(&ring(&[&alice, &bob], 1), &signed_by(&[&bob])), Ok(()));
}

#[test]
fn signing_again_changes_nothing_and_counts_once() {
    let (alice, bob) = (PrivateKey::generate(), PrivateKey::generate());
    let once = signed_by(&[&alice]);
    let twice = signed_by(&[&alice, &alice]);
    assert_eq!(once.to_bytes(), twice.to_bytes());
    assert!(judged(&ring(&[&alice, &bob], 2), &twice).is_err());
}

#[test]
fn a_key_that_is_listed_twice_counts_once() {
    let scratch = tempdir();
    let public = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
    let (one, two) = (scratch.join("one.pem"), scratch.join("two.pem"));
    std::fs::write(&one, public).unwrap();
    std::fs::write(&two, public).unwrap();
    let load = |threshold| Keyring::load([one.as_path(), two.as_path()].into_iter(), threshold);
    assert_eq!(load(Some(2)).unwrap_err(), ["a threshold of 2 cannot be reached with 1 different keys"]);
    assert_eq!(load(Some(0)).unwrap_err(), ["a threshold of 0 would take what nobody has signed"]);
    assert!(load(Some(1)).is_ok() && load(None).is_ok());
    assert!(Keyring::load(std::iter::empty::<&Path>(), None).is_err());
    std::fs::remove_dir_all(scratch).unwrap();
}

fn tempdir() -> std::path::PathBuf {
    let path = std::env::temp_dir().join(format!("gatepass-keyring-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&path).unwrap();
    path
}

#[test]
fn a_signature_of_one_release_does_not_fit_another() {
    let alice = PrivateKey::generate();
    let signature = signed_by(&[&alice]).signatures().first().unwrap().clone();
    let other = Archive::build("corp", release(8), super::files(), &Limits::default()).unwrap();
    let moved = other.with_signature(signature);
    let told = judged(&ring(&[&alice], 1), &moved).unwrap_err();
    assert_eq!(told, format!("its signature by `{}` is wrong", alice.public().unwrap().id()));
}

/// The bare manifest, without the words before it, is what somebody may be brought to sign as something else.
#[test]
fn a_signature_of_the_bare_manifest_is_none() {
    let alice = PrivateKey::generate();
    let bare = archive();
    let bytes = alice.sign(&bare.manifest_text()).try_into().unwrap();
    let signature = Signature { key: alice.public().unwrap().id(), bytes };
    assert!(judged(&ring(&[&alice], 1), &bare.with_signature(signature)).is_err());
}

/// RFC 8032 section 5.1.7: the second half is below the order of the group; adding the order gives a signature that a
/// careless reader takes as well.
#[test]
fn a_signature_written_otherwise_is_refused() {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let alice = PrivateKey::generate();
    let good = signed_by(&[&alice]);
    let mut signature = good.signatures().first().unwrap().clone();
    let mut carry = 0;
    for (byte, add) in signature.bytes[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(judged(&ring(&[&alice], 1), &good), Ok(()));
    assert!(judged(&ring(&[&alice], 1), &good.with_signature(signature)).is_err());
}

/// With such a key and signature, anything at all is signed.
#[test]
fn keys_and_signatures_of_small_order_are_refused() {
    let mut identity = [0; 32];
    identity[0] = 1;
    let order_two = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xec;
        bytes[31] = 0x7f;
        bytes
    };
    let not_reduced = {
        let mut bytes = [0xff; 32];
        bytes[0] = 0xee;
        bytes
    };
    for bytes in [[0; 32], identity, order_two, not_reduced] {
        assert!(PublicKey::of(bytes).is_err(), "{bytes:?}");
    }
    let alice = PrivateKey::generate();
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let signature = Signature { key: alice.public().unwrap().id(), bytes };
    assert!(judged(&ring(&[&alice], 1), &archive().with_signature(signature)).is_err());
}

/// Whatever one byte becomes: refused, or the very same content.
fn refused_or_the_same(bytes: &[u8], at: usize, ring: &Keyring, good: &Archive) {
    match Archive::read(bytes, &Limits::default()) {
        Err(_) => {}
        Ok(read) if judged(ring, &read).is_err() => {}
        Ok(read) => {
            assert_eq!((&read.manifest, &read.files), (&good.manifest, &good.files), "byte {at}");
        }
    }
}

#[test]
fn no_byte_of_a_signed_archive_can_be_changed_unseen() {
    let (alice, bob) = (PrivateKey::generate(), PrivateKey::generate());
    // One signature more than is needed, so that changing one of them alone does not decide.
    let (good, ring) = (signed_by(&[&alice, &bob]), ring(&[&alice, &bob], 1));
    let bytes = good.to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        // Not even where another signature would be enough: whoever changes one has had it in hand.
        let taken = Archive::read(&changed, &Limits::default()).is_ok_and(|read| judged(&ring, &read).is_ok());
        assert!(!taken, "byte {at}");
    }
    assert_eq!(judged(&ring, &good), Ok(()));
}

proptest! {
    #[test]
    fn any_change_is_refused_or_changes_nothing(at in 0_usize..10_000, to: u8, cut in 0_usize..10_000) {
        let alice = PrivateKey::generate();
        let (good, ring) = (signed_by(&[&alice]), ring(&[&alice], 1));
        let mut bytes = good.to_bytes().unwrap();
        let place = at % bytes.len();
        bytes[place] = to;
        refused_or_the_same(&bytes, place, &ring, &good);
        let whole = good.to_bytes().unwrap();
        prop_assert!(Archive::read(&whole[..cut % whole.len()], &Limits::default()).is_err());
    }
}
