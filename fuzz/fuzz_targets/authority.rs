//! A host that is taken is canonical: written out and read again it is the same.
#![no_main]

use gatepass_policy::host::{Authority, Host};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = Authority::parse(bytes);
    if let Ok(host) = Host::parse(bytes) {
        let text = host.to_text();
        let again = Host::parse(text.as_bytes()).map(|host| host.to_text().into_owned());
        assert_eq!(again.as_deref().ok(), Some(&*text));
    }
});
