//! The first bytes inside a tunnel: is this a TLS ClientHello, and what does it say?
//!
//! Pure: bytes in, facts out. A stream that some TLS server could read as TLS is never called "not TLS": where this
//! parser is in doubt it says `Invalid`, and an invalid hello is refused.

mod records;

mod fields;

mod ja4;

mod read;

mod alert;

pub use alert::{AlertDescription, alert};
use gatepass_policy::facts::Hello;
pub use read::{Limits, Outcome, read};
use records::{Scan, Step};

/// What the bytes so far are. Only `Incomplete` may change as more bytes arrive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The beginning of a ClientHello; more bytes are needed.
    Incomplete,
    /// No TLS record can begin like this (SSH, HTTP, SOCKS, the SSLv2 form of a hello …).
    NotTls,
    /// TLS by its first byte, but not a ClientHello that two readers are sure to read alike. The text says why.
    Invalid(&'static str),
    /// A complete ClientHello. Bytes after its last record were not looked at.
    Hello(Hello),
}

/// Read the first bytes that a client sent. A hello that ends after `max_bytes`, record headers included, is invalid.
pub fn parse(bytes: &[u8], max_bytes: usize) -> Parsed {
    parse_on(&mut Scan::new(max_bytes), bytes)
}

/// As [`parse`], continuing where `scan` stopped, so that a hello in tiny pieces costs no more than a whole one.
fn parse_on(scan: &mut Scan, bytes: &[u8]) -> Parsed {
    match scan.advance(bytes) {
        Step::More => Parsed::Incomplete,
        Step::NotTls => Parsed::NotTls,
        Step::Invalid(why) => Parsed::Invalid(why),
        Step::Complete => match fields::parse(&scan.message(bytes)) {
            Ok(hello) => Parsed::Hello(hello),
            Err(why) => Parsed::Invalid(why),
        },
    }
}

/// The JA4 fingerprint of a hello that [`parse`] takes; `None` of anything else.
pub fn ja4(bytes: &[u8], max_bytes: usize) -> Option<String> {
    let mut scan = Scan::new(max_bytes);
    match scan.advance(bytes) {
        Step::Complete => ja4::of(&scan.message(bytes)).ok(),
        Step::More | Step::NotTls | Step::Invalid(_) => None,
    }
}

#[cfg(test)]
mod tests;
