//! Whatever the bytes of a record are, all readers agree on whether they are one, and none panics.
#![no_main]

use gatepass::evidence::otlp::decode;
use gatepass::evidence::questions::row::Row;
use gatepass::evidence::spool::segment::Reader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(json) = decode::record(bytes, "gw") {
        let row = Row::of_bytes(bytes);
        assert!(row.is_ok(), "{json}");
        let again = Row::of_json(&json);
        assert_eq!(again.map(|row| row.kind), row.map(|row| row.kind));
    }
    if let Ok(mut reader) = Reader::open(bytes) {
        let mut at = reader.at();
        while let Ok(Some(_)) = reader.next() {
            assert!(reader.at() > at && reader.at() <= bytes.len() as u64);
            at = reader.at();
        }
    }
});
