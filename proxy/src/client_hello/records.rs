//! Reassembles the ClientHello message from TLS records (RFC 8446 section 5.1), remembering how far it has come.

use std::borrow::Cow;

/// Content type, version, length.
const RECORD_HEADER: usize = 5;
/// Message type and a length of three bytes.
const MESSAGE_HEADER: usize = 4;
/// Longest fragment of a plain record (RFC 8446 section 5.1).
const FRAGMENT_MAX: usize = 1 << 14;

const CHANGE_CIPHER_SPEC: u8 = 20;
const HANDSHAKE: u8 = 22;
const HEARTBEAT: u8 = 24;
const CLIENT_HELLO: u8 = 1;

/// How far the records of one stream have been read. The stream's bytes stay with the caller and only ever grow.
pub(super) struct Scan {
    max_bytes: usize,
    /// Where the first record begins that is not complete yet.
    at: usize,
    /// Bytes of the message in the records before `at`.
    collected: usize,
    /// The message's type and length, as far as known.
    head: [u8; MESSAGE_HEADER],
}

/// Where the scan stands.
pub(super) enum Step {
    More,
    NotTls,
    Invalid(&'static str),
    /// The records before the scan's position hold exactly one ClientHello.
    Complete,
}

impl Scan {
    pub(super) fn new(max_bytes: usize) -> Scan {
        Scan { max_bytes, at: 0, collected: 0, head: [0; MESSAGE_HEADER] }
    }

    /// Go on as far as `bytes`, the whole stream from its first byte, allows. Each record is walked over once.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Step {
        loop {
            if let Err(step) = self.record(bytes) {
                return step;
            }
        }
    }

    /// The whole message, its header left out; borrowed where one record holds it.
    pub(super) fn message<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let mut fragments = Fragments(bytes.get(..self.at).unwrap_or_default());
        let first = fragments.next().unwrap_or_default();
        if first.len() == self.collected {
            return Cow::Borrowed(first.get(MESSAGE_HEADER..).unwrap_or_default());
        }
        let mut message = Vec::with_capacity(self.collected);
        message.extend_from_slice(first);
        fragments.for_each(|fragment| message.extend_from_slice(fragment));
        message.drain(..MESSAGE_HEADER.min(message.len()));
        Cow::Owned(message)
    }

    /// Walk over one record; the error is the step that ends the walk. Checks stand in the order in which their bytes
    /// arrive, so that what is decided on a prefix stays decided.
    fn record(&mut self, bytes: &[u8]) -> Result<(), Step> {
        if self.at + RECORD_HEADER > self.max_bytes {
            return Err(Step::Invalid(TOO_LONG));
        }
        let record = bytes.get(self.at..).unwrap_or_default();
        let length = header(record, self.at == 0)?;
        let end = self.at + RECORD_HEADER + length;
        if end > self.max_bytes {
            return Err(Step::Invalid(TOO_LONG));
        }
        let fragment = record.get(RECORD_HEADER..).unwrap_or_default();
        let fragment = fragment.get(..length).unwrap_or(fragment);
        for (place, byte) in self.head.iter_mut().skip(self.collected).zip(fragment) {
            *place = *byte;
        }
        let known = self.collected + fragment.len();
        if known > 0 && self.kind() != CLIENT_HELLO {
            return Err(Step::Invalid("the first handshake message is not a ClientHello"));
        }
        if known >= MESSAGE_HEADER {
            let message = self.length();
            if self.at + RECORD_HEADER + (message - self.collected.min(message)) > self.max_bytes {
                return Err(Step::Invalid(TOO_LONG));
            }
            // A ClientHello ends where its record ends (RFC 8446 section 5.1).
            if self.collected + length > message {
                return Err(Step::Invalid("bytes follow the ClientHello in its record"));
            }
        }
        if fragment.len() < length {
            return Err(Step::More);
        }
        self.at = end;
        self.collected = known;
        if known >= MESSAGE_HEADER && known == self.length() { Err(Step::Complete) } else { Ok(()) }
    }

    fn kind(&self) -> u8 {
        let [kind, ..] = self.head;
        kind
    }

    /// Length of the message with its header.
    fn length(&self) -> usize {
        let [_, high, middle, low] = self.head;
        (usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low)) + MESSAGE_HEADER
    }
}

const TOO_LONG: &str = "the ClientHello is longer than the limit";

/// The length in a record's header, which may still be arriving.
fn header(record: &[u8], first: bool) -> Result<usize, Step> {
    let mut bytes = record.iter().copied();
    match bytes.next().ok_or(Step::More)? {
        HANDSHAKE => {}
        // Some servers skip an alert or a change of cipher before the hello that they then obey, so such a stream is
        // not "no TLS".
        CHANGE_CIPHER_SPEC..=HEARTBEAT => {
            return Err(Step::Invalid("a TLS record other than a handshake comes before the end of the ClientHello"));
        }
        _ if first => return Err(Step::NotTls),
        _ => return Err(Step::Invalid("the ClientHello breaks off in something that is not a TLS record")),
    }
    // RFC 5246 appendix E.1: any minor version is to be accepted here; RFC 8446 section 5.1 ignores it altogether.
    if bytes.next().ok_or(Step::More)? != 3 {
        return Err(Step::Invalid("the record's version is not 3.x"));
    }
    let _minor = bytes.next().ok_or(Step::More)?;
    let high = bytes.next().ok_or(Step::More)?;
    let low = bytes.next().ok_or(Step::More)?;
    match usize::from(u16::from_be_bytes([high, low])) {
        // RFC 8446 section 5.1: no empty handshake fragments; they would also make the walk endless for nothing.
        0 => Err(Step::Invalid("a handshake record is empty")),
        length if length > FRAGMENT_MAX => Err(Step::Invalid("a record is longer than 16,384 bytes")),
        length => Ok(length),
    }
}

/// The fragments of complete records, one after the other.
struct Fragments<'a>(&'a [u8]);

impl<'a> Iterator for Fragments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (header, rest) = self.0.split_first_chunk::<RECORD_HEADER>()?;
        let [_, _, _, high, low] = *header;
        let (fragment, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        self.0 = rest;
        Some(fragment)
    }
}
