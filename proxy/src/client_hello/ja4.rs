//! The JA4 fingerprint of a ClientHello over TCP, after FoxIO's specification of JA4 (the TLS client fingerprint alone,
//! which has the BSD 3-clause licence; the others of its family have not).
//!
//! It tells TLS libraries and their settings apart, not clients: whoever wants to can send another's hello.

use sha2::{Digest, Sha256};

use super::fields::{ALPN, Cursor, Read, SERVER_NAME, SUPPORTED_VERSIONS};

const SIGNATURE_ALGORITHMS: u16 = 13;

/// What stands for the hash of an empty list.
const NOTHING: &str = "000000000000";

/// From the body of a ClientHello, its message header left out.
pub(super) fn of(message: &[u8]) -> Read<String> {
    let mut body = Cursor(message);
    let legacy_version = body.u16()?;
    body.take(32)?;
    body.vector8()?;
    let mut ciphers = numbers(body.vector16()?)?;
    body.vector8()?;
    let mut extensions = Extensions::default();
    if !body.0.is_empty() {
        extensions = Extensions::read(body.vector16()?)?;
    }
    let versions = extensions.versions.unwrap_or_else(|| vec![legacy_version]);
    let head = format!(
        "t{}{}{:02}{:02}{}",
        version(versions.into_iter().max()),
        if extensions.kinds.contains(&SERVER_NAME) { 'd' } else { 'i' },
        ciphers.len().min(99),
        extensions.kinds.len().min(99),
        extensions.alpn,
    );
    ciphers.sort_unstable();
    let mut kinds: Vec<u16> = extensions.kinds;
    kinds.retain(|kind| !matches!(*kind, SERVER_NAME | ALPN));
    kinds.sort_unstable();
    let mut told = list(&kinds);
    if !told.is_empty() && !extensions.signatures.is_empty() {
        told = format!("{told}_{}", list(&extensions.signatures));
    }
    Ok(format!("{head}_{}_{}", hash(&list(&ciphers)), hash(&told)))
}

struct Extensions {
    /// In their order.
    kinds: Vec<u16>,
    versions: Option<Vec<u16>>,
    signatures: Vec<u16>,
    alpn: String,
}

impl Default for Extensions {
    fn default() -> Extensions {
        Extensions { kinds: Vec::new(), versions: None, signatures: Vec::new(), alpn: "00".to_owned() }
    }
}

impl Extensions {
    fn read(mut rest: Cursor<'_>) -> Read<Extensions> {
        let mut read = Extensions::default();
        while !rest.0.is_empty() {
            let kind = rest.u16()?;
            let mut data = rest.vector16()?;
            match kind {
                SUPPORTED_VERSIONS => read.versions = Some(numbers(data.vector8()?)?),
                SIGNATURE_ALGORITHMS => read.signatures = numbers(data.vector16()?)?,
                ALPN => read.alpn = protocol(data.vector16()?)?,
                _ => {}
            }
            if !is_grease(kind) {
                read.kinds.push(kind);
            }
        }
        Ok(read)
    }
}

/// Without those that only keep servers from growing stiff (RFC 8701).
fn numbers(mut rest: Cursor<'_>) -> Read<Vec<u16>> {
    let mut numbers = Vec::with_capacity(rest.0.len() / 2);
    while !rest.0.is_empty() {
        numbers.push(rest.u16()?);
    }
    numbers.retain(|number| !is_grease(*number));
    Ok(numbers)
}

fn is_grease(number: u16) -> bool {
    let [high, low] = number.to_be_bytes();
    high == low && low & 0x0f == 0x0a
}

/// The first and the last character of the first protocol, or of its hexadecimal digits.
fn protocol(mut rest: Cursor<'_>) -> Read<String> {
    while !rest.0.is_empty() {
        let name = rest.vector8()?.0;
        let (Some(first), Some(last)) = (name.first(), name.last()) else { break };
        if let [high, low] = name
            && is_grease(u16::from_be_bytes([*high, *low]))
        {
            continue;
        }
        return Ok(if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
            format!("{}{}", char::from(*first), char::from(*last))
        } else {
            format!("{:x}{:x}", first >> 4, last & 0x0f)
        });
    }
    Ok("00".to_owned())
}

fn version(number: Option<u16>) -> &'static str {
    match number {
        Some(0x0304) => "13",
        Some(0x0303) => "12",
        Some(0x0302) => "11",
        Some(0x0301) => "10",
        Some(_) | None => "00",
    }
}

fn list(numbers: &[u16]) -> String {
    let numbers: Vec<String> = numbers.iter().map(|number| format!("{number:04x}")).collect();
    numbers.join(",")
}

fn hash(text: &str) -> String {
    if text.is_empty() {
        return NOTHING.to_owned();
    }
    Sha256::digest(text).iter().take(NOTHING.len() / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
