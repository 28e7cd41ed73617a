//! Who may ask: the right `Host`, no page of another site, and for most paths an operator's token.

use std::net::SocketAddr;

use gatepass_policy::host::{Authority, Host};
use http::{HeaderMap, StatusCode, Uri, header};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::problem::Problem;

/// Names beside the listener's own address and `localhost` that a `Host` field may bear, such as a service's.
#[derive(Clone, Debug, Default)]
pub struct Names(pub Vec<Host>);

/// SHA-256 of an operator's token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash itself, as configured.
    pub fn new(hash: [u8; 32]) -> TokenHash {
        TokenHash(hash)
    }

    /// The hash of this token.
    pub fn of(token: &[u8]) -> TokenHash {
        TokenHash(Sha256::digest(token).into())
    }

    /// Compared without an early end, so that time does not tell how much was right.
    fn matches(&self, other: &TokenHash) -> bool {
        self.0.iter().zip(other.0).fold(0u8, |differ, (one, two)| differ | (one ^ two)) == 0
    }
}

/// Only hashes are kept, but even they are nobody's business.
impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash(…)")
    }
}

/// An operator: a token, for as long as it holds.
#[derive(Clone, Copy, Debug)]
pub struct Operator {
    /// Of the token.
    pub hash: TokenHash,
    /// Not valid from here on.
    pub expires: Timestamp,
}

/// The request is for this listener, and no page of another site caused it.
pub(super) fn check(headers: &HeaderMap, uri: &Uri, names: &Names, reached: SocketAddr) -> Result<(), Problem> {
    if uri.authority().is_some() || !uri.path().starts_with('/') {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "Misdirected Request",
            "this is the admin listener, not a proxy: send the request's path alone",
        ));
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let ours = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Authority::parse_with_default(host.as_bytes(), 80).is_ok_and(|asked| {
            (asked.port == reached.port() && is_address(&asked.host, reached)) || names.0.contains(&asked.host)
        }),
        (None, _) | (Some(_), Some(_)) => false,
    };
    if !ours {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "Misdirected Request",
            "the Host field names neither this listener's address nor a configured name",
        ));
    }
    // Browsers tell where a request comes from; other clients send neither field.
    let site = headers.get("sec-fetch-site").map(|value| value.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") || headers.contains_key(header::ORIGIN) {
        return Err(Problem::new(StatusCode::FORBIDDEN, "Forbidden", "requests of web pages are not answered"));
    }
    Ok(())
}

/// The address that the client really reached, or `localhost` where that is loopback.
fn is_address(host: &Host, reached: SocketAddr) -> bool {
    let own = gatepass_policy::address::unmap(reached.ip());
    match host {
        Host::Ip(ip) => *ip == own,
        Host::Name(name) => &**name == "localhost" && own.is_loopback(),
    }
}

/// Whoever asks shows an operator's token.
pub(super) fn operator(headers: &HeaderMap, operators: &[Operator], now: Timestamp) -> Result<(), Problem> {
    let unauthorized = |detail| Problem {
        field: Some((header::WWW_AUTHENTICATE, "Bearer realm=\"gatepass admin\"")),
        ..Problem::new(StatusCode::UNAUTHORIZED, "Unauthorized", detail)
    };
    if operators.is_empty() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "Forbidden",
            "no operator is configured, so nobody may ask this: name one in `admin.operators`",
        ));
    }
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(unauthorized("an operator's token is needed: `Authorization: Bearer TOKEN`"));
    };
    let shown = match field.as_bytes().split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty() => TokenHash::of(token),
        Some(_) | None => return Err(unauthorized("only `Authorization: Bearer TOKEN` is taken")),
    };
    // Every hash is compared, so that time does not tell which one is near.
    let holds = |operator: &Operator| operator.hash.matches(&shown) & (now < operator.expires);
    let known = operators.iter().fold(false, |known, operator| known | holds(operator));
    if known { Ok(()) } else { Err(unauthorized("this token belongs to no operator, or has expired")) }
}
