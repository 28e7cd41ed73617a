//! Hellos built to break one field at a time.

use super::*;

/// A hello with these extensions and nothing else of interest.
pub(super) fn hello_with(extensions: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut list = Vec::new();
    for (kind, data) in extensions {
        list.extend(kind.to_be_bytes());
        list.extend(vector16(data));
    }
    let body = [&[3, 3][..], &[7; 32], &[0], &vector16(&[0x13, 1]), &[1, 0], &vector16(&list)].concat();
    let message = [&[1, 0][..], &vector16(&body)].concat();
    [&[22, 3, 1][..], &vector16(&message)].concat()
}

pub(super) fn vector16(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).unwrap().to_be_bytes()[..], data].concat()
}

pub(super) fn name(name: &[u8]) -> Vec<u8> {
    vector16(&[&[0][..], &vector16(name)].concat())
}

#[test]
fn a_server_name_is_canonical_or_equal_to_no_host() {
    let sni = |text: &[u8]| hello(&hello_with(&[(0, name(text))])).sni.unwrap();
    assert_eq!(sni(b"XN--Bcher-kva.Example"), "xn--bcher-kva.example");
    for (sent, told) in [
        (&b"allowed.test."[..], "allowed.test."),
        (b"allowed.test:443", "allowed.test:443"),
        (b" allowed.test", " allowed.test"),
        (b"allowed..test", "allowed..test"),
        (b"127.1", "127.1"),
        (b"\xff\"\\.test", "\\xff\\\"\\\\.test"),
        ("bücher.test".as_bytes(), "b\\xc3\\xbccher.test"),
    ] {
        assert_eq!(sni(sent), told);
        let canonical = gatepass_policy::host::Host::parse(told.as_bytes()).map(|host| host.to_text().into_owned());
        assert_ne!(canonical.as_deref(), Ok(told), "{told} is no destination");
    }
}

#[test]
fn a_server_name_list_that_two_readers_could_read_differently_is_refused() {
    let two = vector16(&[&[0][..], &vector16(b"allowed.test"), &[0], &vector16(b"evil.test")].concat());
    let trailing = [name(b"allowed.test"), vec![0]].concat();
    for (data, why) in [
        (two, "there is more than one server name"),
        (trailing, "bytes follow the server name list"),
        (name(b""), "the server name is empty"),
        (vector16(b""), "a length in the ClientHello points past its end"),
        (vec![], "a length in the ClientHello points past its end"),
        (name(&[b'a'; 256]), "the server name is longer than any host name"),
        (name(b"192.0.2.1"), "the server name is an IP address"),
        (name(b"192.0.2.1."), "the server name is an IP address"),
        (name(b"2001:db8::1"), "the server name is an IP address"),
        (name(b"[2001:db8::1]"), "the server name is an IP address"),
    ] {
        assert_eq!(parse(&hello_with(&[(0, data)]), MAX), Parsed::Invalid(why));
    }
}

#[test]
fn extensions_that_break_their_form_are_refused() {
    let many = vector16(&[1, b'x'].repeat(65));
    for (kind, data, why) in [
        (16, vector16(b""), "the list of protocols is empty"),
        (16, vector16(&[0]), "a protocol name is empty"),
        (16, vector16(&[3, b'h', b'2']), "a length in the ClientHello points past its end"),
        (16, [vector16(&[2, b'h', b'2']), vec![0]].concat(), "bytes follow the list of protocols"),
        (16, many, "more than 64 protocols are offered"),
        (43, vec![0], "the list of versions is empty"),
        (43, vec![3, 3, 4, 3], "a length in the ClientHello points past its end"),
        (43, vec![2, 3, 4, 3], "bytes follow the list of versions"),
        (0xfe0d, vec![0, 0, 1, 0, 1, 5, 0, 0, 0, 0], "the encrypted ClientHello is empty"),
        (0xfe0d, vec![0, 0, 1, 0, 1, 5, 0, 0, 0, 1, 9, 9], "bytes follow the encrypted ClientHello"),
        (0xfd00, vec![], "`ech_outer_extensions` stands outside an encrypted ClientHello"),
    ] {
        assert_eq!(parse(&hello_with(&[(kind, data)]), MAX), Parsed::Invalid(why), "{kind}");
    }
}

#[test]
fn protocols_that_are_not_text_are_escaped_and_unknown_versions_left_out() {
    let facts = hello(&hello_with(&[(16, vector16(&[2, 0xfa, 0xfa, 2, b'h', b'2'])), (43, vec![4, 0x1a, 0x1a, 3, 4])]));
    assert_eq!(facts.alpn, ["\\xfa\\xfa", "h2"]);
    assert_eq!(facts.versions, ["1.3"]);
}
