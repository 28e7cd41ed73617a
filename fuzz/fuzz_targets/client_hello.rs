//! Bytes that come later never change what a ClientHello was read as.
#![no_main]

use gatepass::client_hello::{Parsed, ja4, parse};
use libfuzzer_sys::fuzz_target;

const MAX: usize = 64_000;

fuzz_target!(|bytes: &[u8]| {
    let whole = parse(bytes, MAX);
    let _ = ja4(bytes, MAX);
    for end in 0..bytes.len().min(256) {
        match (parse(&bytes[..end], MAX), &whole) {
            (Parsed::Incomplete, _) => {}
            (Parsed::Hello(early), Parsed::Hello(late)) => assert_eq!(early.sni, late.sni),
            (Parsed::NotTls, Parsed::NotTls) | (Parsed::Invalid(_), Parsed::Invalid(_)) => return,
            (early, late) => panic!("{early:?} became {late:?}"),
        }
    }
});
