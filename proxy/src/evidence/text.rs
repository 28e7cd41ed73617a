//! Text that is safe to put into a record: control and bidirectional characters escaped, over-long text cut.
//!
//! Host names, server names and paths come from clients that may want to forge a line, colour a terminal or flip the
//! direction of what an operator reads (Unicode TR36, section 3; CVE-2021-42574).

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// Bytes of one name: a host name has at most 253 (RFC 1035), a label of an application protocol 255 (RFC 7301).
pub const NAME_MAX: usize = 256;
/// Bytes of an identity: a SPIFFE ID has at most 2,048 (SPIFFE ID, section 2.3).
pub const IDENTITY_MAX: usize = 2048;
/// Bytes of a request path: enough to know an endpoint by; what follows is mostly identifiers.
pub const PATH_MAX: usize = 1024;
/// Bytes of a sentence about a decision, which may quote an identity.
pub const REASON_MAX: usize = 3072;
/// Entries of one list: more addresses or protocols than any honest answer has.
pub const LIST_MAX: usize = 32;
/// Bytes of all that is told of rules that came near: with everything else, a record stays below 64 KiB.
pub const NEAREST_BYTES: usize = 12 << 10;
/// Rules that came near: people read the first.
pub const NEAREST_MAX: usize = 3;

/// Text that went through [`clean`]. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Escape what could mislead a reader, and cut after `max` bytes.
    pub fn new(raw: &str, max: usize) -> Text {
        Text(clean(raw, max).as_ref().into())
    }

    /// A name: see [`NAME_MAX`].
    pub fn name(raw: &str) -> Text {
        Text::new(raw, NAME_MAX)
    }

    /// A word of a bundle whose characters were checked when it was loaded: taken as it is, without a copy.
    pub(super) fn plain(word: &Arc<str>) -> Text {
        Text(Arc::clone(word))
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

/// `raw` without anything that could mislead a reader, at most `max` bytes of it before the marker `…[+N bytes]`.
pub fn clean(raw: &str, max: usize) -> Cow<'_, str> {
    if raw.len() <= max && is_plain(raw.as_bytes()) {
        return Cow::Borrowed(raw);
    }
    if raw.len() <= max && !raw.chars().any(misleads) {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len().min(max));
    let mut kept = 0;
    for c in raw.chars() {
        let before = text.len();
        if misleads(c) {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
        if text.len() > max {
            text.truncate(before);
            // Writing to a String cannot fail.
            let _ = write!(text, "…[+{} bytes]", raw.len() - kept);
            break;
        }
        kept += c.len_utf8();
    }
    Cow::Owned(text)
}

/// Whether this is printable ASCII alone, as almost all of it is; without an early end, so that many bytes are looked at
/// at once.
fn is_plain(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |plain, byte| plain & (b' '..=b'~').contains(byte))
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and format characters that reorder, join or hide.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What a client wrote as its target where that is not an authority: no user information, no query, no fragment.
pub fn malformed_target(raw: &[u8]) -> Text {
    let text = String::from_utf8_lossy(raw);
    // A malformed target has no certain structure, so whatever precedes a possible `@` may be a password.
    let lower = text.to_ascii_lowercase();
    let at = [lower.rfind('@').map(|at| at + 1), lower.rfind("%40").map(|at| at + 3)].into_iter().flatten().max();
    let (hidden, shown) = match at {
        Some(at) => ("…@", text.get(at..).unwrap_or_default()),
        None => ("", &*text),
    };
    let shown = shown.split(['?', '#']).next().unwrap_or_default();
    Text::name(&format!("{hidden}{shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_forge_a_line_or_turn_the_reading_direction_is_escaped() {
        assert_eq!(clean("a\nb\r\u{1b}[31m", 99), "a\\u{a}b\\u{d}\\u{1b}[31m");
        assert_eq!(clean("moc.\u{202e}elpmaxe", 99), "moc.\\u{202e}elpmaxe");
        assert_eq!(clean("\u{85}\u{2028}\u{200b}\u{feff}", 99), "\\u{85}\\u{2028}\\u{200b}\\u{feff}");
        assert_eq!(clean("münchen – 東京", 99), "münchen – 東京");
    }

    #[test]
    fn over_long_text_is_cut_at_a_character_and_says_by_how_much() {
        assert_eq!(clean("abcdef", 4), "abcd…[+2 bytes]");
        assert_eq!(clean("aaaé", 4), "aaa…[+2 bytes]");
        assert_eq!(clean("abc\n", 4), "abc…[+1 bytes]");
        assert_eq!(clean("abcd", 4), "abcd");
    }

    #[test]
    fn a_malformed_target_shows_neither_credentials_nor_a_query() {
        for (raw, shown) in [
            ("exa mple.com:443", "exa mple.com:443"),
            ("http://user:secret@host/x?token=secret", "…@host/x"),
            ("http://user:se?cret@host/", "…@host/"),
            ("user:secret%40host:443", "…@host:443"),
            ("host:443?secret", "host:443"),
            ("host:443#secret", "host:443"),
        ] {
            assert_eq!(malformed_target(raw.as_bytes()).as_str(), shown);
        }
        assert_eq!(malformed_target(b"\xff\x00").as_str(), "\u{fffd}\\u{0}");
    }
}
