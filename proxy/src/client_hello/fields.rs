//! The fields of a complete ClientHello (RFC 8446 section 4.1.2), read strictly: every length fits exactly.

use std::net::{Ipv4Addr, Ipv6Addr};

use gatepass_policy::facts::Hello;
use gatepass_policy::host::Host;

/// Longest name that a record need carry; no host name is longer (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;
/// Protocols that a record need carry: browsers offer two or three, and each becomes a string of its own.
const PROTOCOLS_MAX: usize = 64;

const TLS_1_0: u16 = 0x0301;
const TLS_1_3: u16 = 0x0304;

pub(super) const SERVER_NAME: u16 = 0;
pub(super) const ALPN: u16 = 16;
pub(super) const SUPPORTED_VERSIONS: u16 = 43;
/// RFC 9849 section 5.1: never in a hello on the wire.
const ECH_OUTER_EXTENSIONS: u16 = 0xfd00;
/// RFC 9849 section 5.
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;
/// The encrypted server name of draft-ietf-tls-esni before it became ECH: hides the name all the same.
const ENCRYPTED_SERVER_NAME: u16 = 0xffce;

pub(super) type Read<T> = Result<T, &'static str>;

/// Read the body of a ClientHello, its message header left out.
pub(super) fn parse(message: &[u8]) -> Read<Hello> {
    let mut body = Cursor(message);
    let legacy_version = body.u16()?;
    // RFC 8446 appendix D.5: SSL 3.0 and older are never negotiated.
    if !(TLS_1_0..=0x03ff).contains(&legacy_version) {
        return Err("the ClientHello's version is not TLS");
    }
    body.take(32)?;
    if body.vector8()?.0.len() > 32 {
        return Err("the session id is longer than 32 bytes");
    }
    let ciphers = body.vector16()?.0.len();
    if ciphers == 0 || !ciphers.is_multiple_of(2) {
        return Err("the list of cipher suites is empty or has an odd length");
    }
    let compressions = body.vector8()?.0;
    if !compressions.contains(&0) {
        return Err("the compression methods lack `null`");
    }
    let mut hello = Hello::default();
    let mut versions = None;
    if !body.0.is_empty() {
        extensions(body.vector16()?, &mut hello, &mut versions)?;
    }
    body.end("bytes follow the extensions")?;
    let versions = versions.unwrap_or_else(|| up_to(legacy_version));
    // RFC 8446 section 4.1.2: a hello that offers 1.3 offers no compression.
    if versions.contains(&TLS_1_3) && compressions != [0] {
        return Err("compression is offered together with TLS 1.3");
    }
    hello.versions = versions.into_iter().filter_map(version_name).map(str::to_owned).collect();
    Ok(hello)
}

fn extensions(mut list: Cursor, hello: &mut Hello, versions: &mut Option<Vec<u16>>) -> Read<()> {
    let mut kinds = Vec::new();
    while !list.0.is_empty() {
        let kind = list.u16()?;
        let data = list.vector16()?;
        kinds.push(kind);
        match kind {
            SERVER_NAME => hello.sni = Some(server_name(data)?),
            ALPN => hello.alpn = protocols(data)?,
            SUPPORTED_VERSIONS => *versions = Some(supported_versions(data)?),
            ENCRYPTED_CLIENT_HELLO => {
                encrypted_hello(data)?;
                hello.ech = true;
            }
            ENCRYPTED_SERVER_NAME => hello.ech = true,
            ECH_OUTER_EXTENSIONS => return Err("`ech_outer_extensions` stands outside an encrypted ClientHello"),
            _ => {}
        }
    }
    // RFC 8446 section 4.2. Sorted rather than compared pairwise: 64,000 bytes hold 16,000 extensions.
    kinds.sort_unstable();
    if kinds.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err("an extension stands twice");
    }
    Ok(())
}

/// RFC 6066 section 3: exactly one name, of the one type there is.
fn server_name(mut data: Cursor) -> Read<String> {
    let mut list = data.vector16()?;
    data.end("bytes follow the server name list")?;
    if list.u8()? != 0 {
        return Err("the server name is not a host name");
    }
    let name = list.vector16()?.0;
    list.end("there is more than one server name")?;
    if name.is_empty() {
        return Err("the server name is empty");
    }
    if name.len() > NAME_MAX {
        return Err("the server name is longer than any host name");
    }
    if is_address(name) {
        return Err("the server name is an IP address");
    }
    // Without a final dot by RFC 6066. What is no host name is told as sent: a canonical destination never reads so.
    match Host::parse(name) {
        Ok(Host::Name(canonical)) if !name.ends_with(b".") => Ok(canonical.as_ref().to_owned()),
        Ok(Host::Name(_) | Host::Ip(_)) | Err(_) => Ok(name.escape_ascii().to_string()),
    }
}

fn is_address(name: &[u8]) -> bool {
    let text = str::from_utf8(name).unwrap_or_default();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let bare = bare.strip_suffix('.').unwrap_or(bare);
    bare.parse::<Ipv4Addr>().is_ok() || bare.parse::<Ipv6Addr>().is_ok()
}

/// RFC 7301 section 3.1.
fn protocols(mut data: Cursor) -> Read<Vec<String>> {
    let mut list = data.vector16()?;
    data.end("bytes follow the list of protocols")?;
    let mut protocols = Vec::new();
    while !list.0.is_empty() {
        let name = list.vector8()?.0;
        if name.is_empty() {
            return Err("a protocol name is empty");
        }
        if protocols.len() == PROTOCOLS_MAX {
            return Err("more than 64 protocols are offered");
        }
        protocols.push(match str::from_utf8(name) {
            Ok(text) => text.to_owned(),
            Err(_) => name.escape_ascii().to_string(),
        });
    }
    if protocols.is_empty() {
        return Err("the list of protocols is empty");
    }
    Ok(protocols)
}

/// RFC 8446 section 4.2.1.
fn supported_versions(mut data: Cursor) -> Read<Vec<u16>> {
    let mut list = data.vector8()?;
    data.end("bytes follow the list of versions")?;
    if list.0.is_empty() {
        return Err("the list of versions is empty");
    }
    let mut versions = Vec::new();
    while !list.0.is_empty() {
        let version = list.u16()?;
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    Ok(versions)
}

/// RFC 9849 section 5: type `outer`, cipher suite, configuration id, key share, payload. GREASE looks the same.
fn encrypted_hello(mut data: Cursor) -> Read<()> {
    if data.u8()? != 0 {
        return Err("the encrypted ClientHello is not of the outer type");
    }
    data.take(5)?;
    data.vector16()?;
    if data.vector16()?.0.is_empty() {
        return Err("the encrypted ClientHello is empty");
    }
    data.end("bytes follow the encrypted ClientHello")
}

/// What a server may choose where the hello names only its highest version (RFC 5246 appendix E.1); 1.3 is offered by
/// the extension alone (RFC 8446 section 4.2.1).
fn up_to(legacy_version: u16) -> Vec<u16> {
    (TLS_1_0..TLS_1_3).rev().filter(|&version| version <= legacy_version).collect()
}

fn version_name(version: u16) -> Option<&'static str> {
    match version {
        0x0304 => Some("1.3"),
        0x0303 => Some("1.2"),
        0x0302 => Some("1.1"),
        0x0301 => Some("1.0"),
        _ => None,
    }
}

const SHORT: &str = "a length in the ClientHello points past its end";

/// Bytes not read yet.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Read<u8> {
        let (&byte, rest) = self.0.split_first().ok_or(SHORT)?;
        self.0 = rest;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Read<u16> {
        let (&bytes, rest) = self.0.split_first_chunk().ok_or(SHORT)?;
        self.0 = rest;
        Ok(u16::from_be_bytes(bytes))
    }

    /// What follows a length of one byte.
    pub(super) fn vector8(&mut self) -> Read<Cursor<'a>> {
        let length = self.u8()?;
        self.take(length.into()).map(Cursor)
    }

    /// What follows a length of two bytes.
    pub(super) fn vector16(&mut self) -> Read<Cursor<'a>> {
        let length = self.u16()?;
        self.take(length.into()).map(Cursor)
    }

    fn end(&self, otherwise: &'static str) -> Read<()> {
        if self.0.is_empty() { Ok(()) } else { Err(otherwise) }
    }
}
