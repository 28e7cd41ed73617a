//! How long a body is, from the fields that say so (RFC 9112 section 6).

use super::Version;
use super::fields::{Fields, Kind};
use super::syntax;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// After so many octets.
    Length(u64),
    /// After the last chunk and the trailers.
    Chunked,
    /// When the connection closes: answers only.
    UntilClose,
}

/// What is wrong with the fields that frame a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FramingError {
    /// Not one plain decimal number.
    ContentLength,
    /// Anything but `chunked`, once.
    TransferEncoding,
    /// `Content-Length` and `Transfer-Encoding` together.
    Both,
    /// `Transfer-Encoding` in HTTP/1.0.
    OldVersion,
    /// An interim answer with a body (RFC 9112 section 6.3).
    Interim,
    /// `Connection` is not a list of tokens, or a longer one than the limit.
    Connection,
    /// `Connection` names a field that must not be removed.
    Nominated,
}

impl FramingError {
    /// For the one who sent it.
    pub fn text(self) -> &'static str {
        match self {
            FramingError::ContentLength => "Content-Length is not one plain decimal number",
            FramingError::TransferEncoding => "Transfer-Encoding is not exactly `chunked`",
            FramingError::Both => "Content-Length and Transfer-Encoding exclude each other",
            FramingError::OldVersion => "HTTP/1.0 has no Transfer-Encoding",
            FramingError::Interim => "an interim answer has no body",
            FramingError::Connection => "Connection is not a short list of names",
            FramingError::Nominated => "Connection names a field that must not be removed",
        }
    }
}

/// What the framing fields declare; `None` where neither is there.
pub(super) fn declared(fields: &Fields, version: Version) -> Result<Option<Framing>, FramingError> {
    let length = fields.single(Kind::ContentLength).map_err(|_| FramingError::ContentLength)?;
    let coding = fields.single(Kind::TransferEncoding).map_err(|_| FramingError::TransferEncoding)?;
    match (length, coding, version) {
        (None, None, Version::Http10 | Version::Http11) => Ok(None),
        // One spelling of a number, so that nobody behind us can read another (RFC 9110 section 8.6).
        (Some(length), None, Version::Http10 | Version::Http11) => {
            syntax::decimal(length).map(|n| Some(Framing::Length(n))).ok_or(FramingError::ContentLength)
        }
        (Some(_), Some(_), Version::Http10 | Version::Http11) => Err(FramingError::Both),
        // RFC 9112 section 6.1: such a message has faulty framing.
        (None, Some(_), Version::Http10) => Err(FramingError::OldVersion),
        (None, Some(coding), Version::Http11) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
        (None, Some(_), Version::Http11) => Err(FramingError::TransferEncoding),
    }
}

/// The options of `Connection` and of its unofficial twin `Proxy-Connection`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `close`, in either field.
    pub(super) close: bool,
    /// `keep-alive` in `Connection`.
    pub(super) keep_alive: bool,
    /// `upgrade` in `Connection`.
    pub(super) upgrade: bool,
}

/// Read the connection options, and refuse those that would remove what frames or routes the message.
pub(super) fn options(fields: &Fields, limit: usize) -> Result<Options, FramingError> {
    let mut options = Options::default();
    let mut count = 0;
    for value in fields.of(Kind::Connection) {
        for option in syntax::list(value) {
            count += 1;
            if count > limit || !syntax::is_token(option) {
                return Err(FramingError::Connection);
            }
            options.close |= option.eq_ignore_ascii_case(b"close");
            options.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
            options.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
            if matches!(Kind::of(option), Kind::Host | Kind::ContentLength | Kind::TransferEncoding) {
                return Err(FramingError::Nominated);
            }
        }
    }
    for value in fields.of(Kind::ProxyConnection) {
        options.close |= syntax::list(value).any(|option| option.eq_ignore_ascii_case(b"close"));
    }
    Ok(options)
}

/// Whether a field of this name is removed because `Connection` names it (RFC 9110 section 7.6.1).
pub fn nominated(fields: &Fields, name: &[u8]) -> bool {
    fields.of(Kind::Connection).any(|value| syntax::list(value).any(|option| option.eq_ignore_ascii_case(name)))
}
