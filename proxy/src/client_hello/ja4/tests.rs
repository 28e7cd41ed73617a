//! Known answers: the examples of the specification, and fingerprints that public sites publish beside what they are of.

use super::*;
use crate::client_hello::tests::real::{first_flight, rustls_client};

/// The specification's own example: a Chrome, its lists as they were sent.
const CHROME: &str = "1301,1302,1303,c02b,c02f,c02c,c030,cca9,cca8,c013,c014,009c,009d,002f,0035";
const CHROME_EXTENSIONS: &str = "001b,0000,0033,0010,4469,0017,002d,000d,0005,0023,0012,002b,ff01,000b,000a,0015";
const CHROME_SIGNATURES: &str = "0403,0804,0401,0503,0805,0501,0806,0601";

fn hex(list: &str) -> Vec<u16> {
    list.split(',').filter(|number| !number.is_empty()).map(|number| u16::from_str_radix(number, 16).unwrap()).collect()
}

fn pairs(numbers: &[u16]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_be_bytes()).collect()
}

fn vector8(bytes: &[u8]) -> Vec<u8> {
    [&[u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
}

fn vector16(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

/// A hello with these lists, in this order; what the fingerprint does not read is made up.
struct Sent<'a> {
    ciphers: &'a str,
    extensions: &'a str,
    signatures: &'a str,
    alpn: &'a [&'a [u8]],
    versions: &'a [u16],
}

const SPECIFIED: Sent<'static> = Sent {
    ciphers: CHROME,
    extensions: CHROME_EXTENSIONS,
    signatures: CHROME_SIGNATURES,
    alpn: &[b"h2", b"http/1.1"],
    versions: &[0x0304, 0x0303],
};

impl Sent<'_> {
    fn message(&self) -> Vec<u8> {
        let extension = |kind: u16| {
            let protocols: Vec<u8> = self.alpn.iter().flat_map(|name| vector8(name)).collect();
            let data = match kind {
                0 => vector16(&[&[0][..], &vector16(b"a.test")].concat()),
                13 => vector16(&pairs(&hex(self.signatures))),
                16 => vector16(&protocols),
                43 => vector8(&pairs(self.versions)),
                _ => Vec::new(),
            };
            [kind.to_be_bytes().to_vec(), vector16(&data)].concat()
        };
        let extensions: Vec<u8> = hex(self.extensions).into_iter().flat_map(extension).collect();
        [
            vec![3, 3],
            vec![7; 32],
            vector8(&[]),
            vector16(&pairs(&hex(self.ciphers))),
            vector8(&[0]),
            if extensions.is_empty() { Vec::new() } else { vector16(&extensions) },
        ]
        .concat()
    }

    fn fingerprint(&self) -> String {
        of(&self.message()).unwrap()
    }
}

#[test]
fn the_example_of_the_specification_has_its_fingerprint() {
    assert_eq!(SPECIFIED.fingerprint(), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    // "If there are no signature algorithms, the string ends without an underscore."
    let none = Sent { signatures: "", ..SPECIFIED };
    assert_eq!(none.fingerprint(), "t13d1516h2_8daaf6152771_6d807ffa2a79");
}

#[test]
fn published_fingerprints_are_those_of_their_lists() {
    let chrome = Sent {
        extensions: "002d,0033,0010,fe0d,0017,44cd,0000,000b,000a,002b,ff01,0023,0012,0005,000d,001b",
        ..SPECIFIED
    };
    assert_eq!(chrome.fingerprint(), "t13d1516h2_8daaf6152771_d8a2da3f94cd");
    let library = Sent {
        ciphers: "1302,1301,1303,c02c,c02b,cca9,c030,c02f,cca8,00ff",
        extensions: "000a,0023,0005,0017,0010,002b,0033,0000,000d,002d,000b",
        signatures: "0503,0403,0807,0806,0805,0804,0601,0501,0401",
        ..SPECIFIED
    };
    assert_eq!(library.fingerprint(), "t13d1011h2_61a7ad8aa9b6_3fcd1a44f3e3");
}

#[test]
fn grease_is_nowhere_in_it() {
    let greased = Sent {
        ciphers: &format!("3a3a,{CHROME},fafa"),
        extensions: &format!("0a0a,{CHROME_EXTENSIONS},7a7a"),
        signatures: &format!("{CHROME_SIGNATURES},1a1a"),
        alpn: &[&[0x2a, 0x2a], b"h2"],
        versions: &[0xbaba, 0x0304, 0x0303],
    };
    assert_eq!(greased.fingerprint(), SPECIFIED.fingerprint());
    // Only values of that form: these count.
    let counted = Sent { ciphers: &format!("{CHROME},3a4a,0a0b"), ..SPECIFIED };
    assert!(counted.fingerprint().starts_with("t13d1716h2_"), "{}", counted.fingerprint());
}

#[test]
fn the_first_protocol_is_told_by_its_ends() {
    for (first, told) in [
        (&b"http/1.1"[..], "h1"),
        (b"h2", "h2"),
        (b"x", "xx"),
        (&[0xab], "ab"),
        (&[0xab, 0xcd], "ad"),
        (&[0x30, 0xab], "3b"),
        (&[0x30, 0x31, 0xab, 0xcd], "3d"),
        (&[0x30, 0xab, 0xcd, 0x31], "01"),
    ] {
        let fingerprint = Sent { alpn: &[first, b"h2"], ..SPECIFIED }.fingerprint();
        assert_eq!(fingerprint.get(8..10), Some(told), "{fingerprint}");
    }
    let without = Sent { extensions: &CHROME_EXTENSIONS.replace(",0010", ""), ..SPECIFIED };
    assert_eq!(without.fingerprint(), "t13d151500_8daaf6152771_e5627efa2ab1");
}

#[test]
fn versions_counts_and_empty_lists_are_told_as_specified() {
    let versions = |versions: &'static [u16]| Sent { versions, ..SPECIFIED }.fingerprint();
    assert!(versions(&[0x0302, 0x0303]).starts_with("t12d"));
    assert!(versions(&[0x0301]).starts_with("t10d"));
    assert!(versions(&[0x7f1c]).starts_with("t00d"));
    let by_header = Sent { extensions: "000d", ..SPECIFIED };
    assert_eq!(by_header.fingerprint().get(..10), Some("t12i150100"));
    let bare = Sent { ciphers: "8a8a", extensions: "", ..SPECIFIED };
    assert_eq!(bare.fingerprint(), "t12i000000_000000000000_000000000000");
    let only_captured = Sent { extensions: "0000,0010", ..SPECIFIED };
    assert_eq!(only_captured.fingerprint(), "t12d1502h2_8daaf6152771_000000000000");
    let many: Vec<String> = (0..120).map(|n| format!("{:04x}", 0x1000 + n)).collect();
    assert!(Sent { ciphers: &many.join(","), ..SPECIFIED }.fingerprint().starts_with("t13d9916h2_"));
}

#[test]
fn what_breaks_off_has_none() {
    let whole = SPECIFIED.message();
    for length in (0..whole.len()).filter(|length| *length != whole.len()) {
        // Without extensions at all it is a hello of its own kind.
        let cut = of(&whole[..length]);
        assert!(cut.is_err() || cut == Ok("t12i150000_8daaf6152771_000000000000".to_owned()), "{length}: {cut:?}");
    }
}

#[test]
fn a_real_hello_has_one_and_the_name_and_the_order_of_extensions_do_not_change_it() {
    let one = crate::client_hello::ja4(&first_flight(&mut rustls_client(&[b"h2", b"http/1.1"])), 64_000).unwrap();
    let other = crate::client_hello::ja4(&first_flight(&mut rustls_client(&[b"h2", b"http/1.1"])), 64_000).unwrap();
    assert_eq!(one, other, "rustls shuffles its extensions");
    assert!(one.starts_with("t13d") && one.len() == 36, "{one}");
    assert_eq!(crate::client_hello::ja4(b"SSH-2.0-x", 64_000), None);
}
