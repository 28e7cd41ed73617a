//! A request head means the same however it arrives: whole, or byte by byte.
#![no_main]

use gatepass::http1::{Limits, Parser, request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        head: 32 * 1024,
        target: 8 * 1024,
        fields: 128,
        chunk_line: 256,
        trailers: 8 * 1024,
        pseudonym: "gatepass".into(),
    };
    let whole = request::parse(bytes, &limits);
    if let Ok(Some((_, consumed))) = &whole {
        assert!(*consumed <= bytes.len());
    }
    let mut parser = Parser::default();
    let mut pieces = Ok(None);
    for end in 1..=bytes.len().min(512) {
        pieces = parser.parse(&bytes[..end], &limits);
        if !matches!(pieces, Ok(None)) {
            break;
        }
    }
    match (whole, pieces) {
        (Ok(Some((_, one))), Ok(Some((_, other)))) => assert_eq!(one, other),
        (Err(_), Ok(Some(_))) => panic!("accepted in pieces, refused as a whole"),
        _ => {}
    }
});
