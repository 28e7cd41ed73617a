//! A chunked body is read with progress at every step, and never beyond what is there.
#![no_main]

use gatepass::http1::{Decoder, Framing, Limits, Step};
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
    let mut decoder = Decoder::new(Framing::Chunked);
    let mut rest = bytes;
    loop {
        match decoder.step(rest, &limits) {
            Ok(Step::Skip(taken) | Step::Data(taken)) => {
                assert!(taken > 0 && taken <= rest.len());
                rest = &rest[taken..];
            }
            Ok(Step::More) | Err(_) => return,
            Ok(Step::End) => {
                assert!(decoder.is_done());
                return;
            }
        }
    }
});
