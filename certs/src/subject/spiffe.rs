//! SPIFFE IDs, by the letter of the SPIFFE-ID specification (section 2): no normalisation, one spelling each.

use std::fmt;
use std::sync::Arc;

/// Longest ID in bytes (SPIFFE-ID section 2.3).
const ID_MAX: usize = 2048;
/// Longest trust domain in bytes (SPIFFE-ID section 2.3).
const TRUST_DOMAIN_MAX: usize = 255;
const SCHEME: &str = "spiffe://";

/// `spiffe://TRUST-DOMAIN/PATH`; the path is never empty. Two IDs are the same if their bytes are.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpiffeId {
    text: Arc<str>,
    /// Where the path begins, with its slash.
    path: usize,
}

/// Why a text is not a SPIFFE ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More than 2048 bytes.
    #[error("it is longer than 2048 bytes")]
    TooLong,
    /// It does not begin with `spiffe://`, in lower case.
    #[error("it does not begin with `spiffe://` in lower case")]
    Scheme,
    /// The trust domain is empty, longer than 255 bytes, or has other characters: so do a port and user information.
    #[error("its trust domain is not 1 to 255 of `a-z`, `0-9`, `.`, `-` and `_`")]
    TrustDomain,
    /// There is no path: the ID is the trust domain's own.
    #[error("it has no path")]
    NoPath,
    /// An empty segment, one of dots, or a slash at the end.
    #[error("its path has an empty segment, `.`, `..` or a final slash")]
    Segment,
    /// A character outside the path's alphabet: a percent sign, a query and a fragment are.
    #[error("its path has a character other than letters, digits, `.`, `-` and `_`")]
    Character,
}

impl SpiffeId {
    /// Parse a whole ID.
    pub fn parse(text: &str) -> Result<SpiffeId, Malformed> {
        if text.len() > ID_MAX {
            return Err(Malformed::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(Malformed::Scheme)?;
        let (trust_domain, path) = match rest.split_once('/') {
            Some((trust_domain, path)) => (trust_domain, Some(path)),
            None => (rest, None),
        };
        let in_trust_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        if !(1..=TRUST_DOMAIN_MAX).contains(&trust_domain.len()) || !trust_domain.bytes().all(in_trust_domain) {
            return Err(Malformed::TrustDomain);
        }
        for segment in path.ok_or(Malformed::NoPath)?.split('/') {
            let in_segment = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if !segment.bytes().all(in_segment) {
                return Err(Malformed::Character);
            }
            if matches!(segment, "" | "." | "..") {
                return Err(Malformed::Segment);
            }
        }
        Ok(SpiffeId { text: text.into(), path: SCHEME.len() + trust_domain.len() })
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain: an authority may vouch only for its own, which the holder of the authorities checks.
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..self.path).unwrap_or_default()
    }

    /// The path with its first slash.
    pub fn path(&self) -> &str {
        self.text.get(self.path..).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
