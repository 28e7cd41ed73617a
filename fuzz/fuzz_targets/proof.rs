//! Whatever a note, a key or a proof is, reading it never panics, and what was read is written as it was.
#![no_main]

use gatepass::evidence::log::{Checkpoint, VerifyingKey};
use gatepass::evidence::verify::proof::Proof;
use libfuzzer_sys::fuzz_target;

/// A key whose private half nobody has.
const KEY: &str = "gatepass.evidence/fuzz/00000000+eb38a627+AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB";

fuzz_target!(|text: &str| {
    if let Some(key) = VerifyingKey::parse(text) {
        assert_eq!(VerifyingKey::parse(&key.to_text()), Some(key));
    }
    let key = VerifyingKey::parse(KEY).expect("a key");
    assert!(Checkpoint::verify(text, &key).is_err(), "a note that nobody signed");
    if let Ok(proof) = Proof::parse(text) {
        assert_eq!(Proof::parse(&proof.to_text("")), Ok(proof.clone()));
        assert!(proof.check(&key, None).is_err(), "a proof that nobody signed");
    }
});
