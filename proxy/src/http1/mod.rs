//! HTTP/1 as Gatepass accepts it: strict parsers for heads and an incremental framer for bodies, pure and without IO.
//!
//! Every head that a client or an upstream sends is read here and nowhere else, so that no second parser can read the
//! same bytes differently (RFC 9112 section 11). What is ambiguous is refused, never repaired.

use std::fmt;

pub mod request;

pub mod head_error;

pub mod target;

pub mod response;

pub mod framing;

pub mod body;

pub mod fields;

pub mod trailers;

pub mod facts;

mod lines;

mod syntax;

pub use body::{BodyError, Decoder, Step};
pub use fields::{Field, Fields, Kind};
pub use framing::{Framing, FramingError};
pub use head_error::HeadError;
pub use lines::LineError;
pub use request::{Parser, RequestHead, Upgrade};
pub use response::{ResponseError, ResponseHead};
pub use target::{Target, TargetError};

/// The bounds of everything read here.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest head in octets, request line or status line and the empty line included.
    pub head: usize,
    /// Longest request target in octets.
    pub target: usize,
    /// Most fields in a head or in trailers, and most options in `Connection`.
    pub fields: usize,
    /// Longest line before a chunk in octets: the size and its extensions.
    pub chunk_line: usize,
    /// Trailers in octets, all together.
    pub trailers: usize,
    /// The name that this gateway goes by in `Via`; a request that already carries it has come round in a loop.
    pub pseudonym: Box<str>,
}

/// The protocol version of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// As `Via` spells it: `1.0`, `1.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Version::Http10 => "1.0",
            Version::Http11 => "1.1",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP/{}", self.as_str())
    }
}

#[cfg(test)]
pub(crate) mod corpus_tests;

#[cfg(test)]
mod property_tests;
