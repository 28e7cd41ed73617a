//! Why the head of a request is refused, and what its sender is told.

use std::fmt;

use gatepass_policy::host::Malformed;

use super::framing::FramingError;
use super::lines::LineError;
use super::target::TargetError;

/// Why a head is refused. The connection ends with it: what follows cannot be read with certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadError {
    /// TLS, HTTP/2 or a PROXY header on a port that does not expect it: closed without an answer.
    NotHttp,
    /// Not `METHOD target HTTP/1.x` with single spaces.
    RequestLine,
    /// Not a token, too long, or with lower-case letters.
    Method,
    /// TRACE and TRACK reflect what the gateway adds (RFC 9110 section 9.3.8).
    MethodRefused,
    /// Not HTTP/1.0 or HTTP/1.1.
    Version,
    /// The target is longer than the limit.
    TargetTooLong,
    /// The target is not what a proxy can be asked for.
    Target(TargetError),
    /// A line of the head is malformed.
    Line(LineError),
    /// The framing is ambiguous.
    Framing(FramingError),
    /// HTTP/1.1 without `Host`.
    HostMissing,
    /// More than one `Host`.
    HostRepeated,
    /// `Host` is malformed.
    Host(Malformed),
    /// `Host` is not the authority of the target.
    HostDiffers,
    /// CONNECT with a body (RFC 9110 section 9.3.6).
    ConnectBody,
    /// More than one `Proxy-Authorization`.
    CredentialsRepeated,
    /// More than one `Gatepass-Data-Class`.
    DataClassRepeated,
    /// An expectation other than `100-continue`.
    Expectation,
    /// `Max-Forwards` of an OPTIONS request is used up (RFC 9110 section 7.6.2).
    MaxForwards,
    /// The request has been through this gateway already.
    Loop,
}

impl HeadError {
    /// The status to answer with; `None` where the connection is closed without an answer.
    pub fn status(self) -> Option<u16> {
        match self {
            HeadError::NotHttp => None,
            HeadError::MethodRefused => Some(405),
            HeadError::TargetTooLong => Some(414),
            HeadError::Expectation => Some(417),
            HeadError::Line(LineError::TooLarge | LineError::TooManyFields) => Some(431),
            HeadError::Version => Some(505),
            HeadError::Loop => Some(508),
            HeadError::RequestLine
            | HeadError::Method
            | HeadError::Target(_)
            | HeadError::Line(LineError::LineEnd | LineError::Fold | LineError::FieldName | LineError::FieldValue)
            | HeadError::Framing(_)
            | HeadError::HostMissing
            | HeadError::HostRepeated
            | HeadError::Host(_)
            | HeadError::HostDiffers
            | HeadError::ConnectBody
            | HeadError::CredentialsRepeated
            | HeadError::DataClassRepeated
            | HeadError::MaxForwards => Some(400),
        }
    }

    /// For the client: ASCII, under 100 octets, nothing of the request in it.
    pub fn text(self) -> &'static str {
        match self {
            HeadError::NotHttp => "this is not HTTP/1",
            HeadError::RequestLine => "the request line is not `METHOD target HTTP/1.1`",
            HeadError::Method => "the method is not a short upper-case token",
            HeadError::MethodRefused => "the method is not forwarded",
            HeadError::Version => "the version is not HTTP/1.0 or HTTP/1.1",
            HeadError::TargetTooLong => "the request target is too long",
            HeadError::Target(error) => error.text(),
            HeadError::Line(error) => error.text(),
            HeadError::Framing(error) => error.text(),
            HeadError::HostMissing => "the request has no Host",
            HeadError::HostRepeated => "the request has more than one Host",
            HeadError::Host(_) => "Host is malformed",
            HeadError::HostDiffers => "Host is not the host of the request target",
            HeadError::ConnectBody => "a CONNECT request has no body",
            HeadError::CredentialsRepeated => "the request has more than one Proxy-Authorization",
            HeadError::DataClassRepeated => "the request has more than one Gatepass-Data-Class",
            HeadError::Expectation => "Expect is not `100-continue`",
            HeadError::MaxForwards => "Max-Forwards is not a number above 0",
            HeadError::Loop => "the request has come round to the same gateway",
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl std::error::Error for HeadError {}

impl From<LineError> for HeadError {
    fn from(error: LineError) -> HeadError {
        HeadError::Line(error)
    }
}

impl From<FramingError> for HeadError {
    fn from(error: FramingError) -> HeadError {
        HeadError::Framing(error)
    }
}
