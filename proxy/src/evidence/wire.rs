//! Protocol Buffers (protobuf.dev, "Encoding"), as far as a log record needs them, written into one buffer.
//!
//! The bytes are those that `prost` makes of the same message: fields in the order of their numbers, the shortest
//! varints, nothing that is zero. So whoever decodes a record can make the same bytes of it again, and the same leaf hash.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

/// Wire types, in the low three bits of a tag.
const VARINT: u8 = 0;
const FIXED64: u8 = 1;
const LENGTH: u8 = 2;

/// Fields of `AnyValue`.
const STRING: u8 = 1;
const BOOL: u8 = 2;
const INT: u8 = 3;
const DOUBLE: u8 = 4;
const ARRAY: u8 = 5;
const MAP: u8 = 6;

/// `LogRecord.attributes`.
const ATTRIBUTES: u8 = 6;

/// Writes fields of a message.
pub(super) struct Wire<'b> {
    pub into: &'b mut Vec<u8>,
}

const fn tag(field: u8, wire_type: u8) -> u8 {
    field << 3 | wire_type
}

/// Bytes of a number as a varint.
fn varint_len(number: usize) -> usize {
    match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 10,
    }
}

/// Append a number, seven bits a byte, the lowest first.
#[inline]
pub(super) fn varint(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "the low seven bits are what is meant")]
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "less than 0x80")]
    into.push(number as u8);
}

impl Wire<'_> {
    pub fn fixed64(&mut self, field: u8, number: u64) {
        if number != 0 {
            self.into.push(tag(field, FIXED64));
            self.into.extend_from_slice(&number.to_le_bytes());
        }
    }

    pub fn enumeration(&mut self, field: u8, number: u8) {
        self.into.push(tag(field, VARINT));
        varint(number.into(), self.into);
    }

    pub fn bytes(&mut self, field: u8, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.field(field, bytes);
        }
    }

    #[inline]
    fn field(&mut self, field: u8, bytes: &[u8]) {
        self.into.push(tag(field, LENGTH));
        varint(bytes.len() as u64, self.into);
        self.into.extend_from_slice(bytes);
    }

    /// A field that is a message, whose length is only known when it is written: almost always it fits one byte, for
    /// which room is left; otherwise what was written moves on.
    fn nested(&mut self, field: u8, write: impl FnOnce(&mut Wire<'_>)) {
        self.into.push(tag(field, LENGTH));
        let at = self.into.len();
        self.into.push(0);
        write(self);
        let length = self.into.len() - at - 1;
        if let (Ok(short @ 0..0x80), Some(byte)) = (u8::try_from(length), self.into.get_mut(at)) {
            *byte = short;
            return;
        }
        // The length stands behind what it is the length of: turn it to the front, and take away the byte left for it.
        let end = self.into.len();
        varint(length as u64, self.into);
        let more = self.into.len() - end;
        if let Some(turned) = self.into.get_mut(at..) {
            turned.rotate_right(more);
        }
        self.into.remove(at + more);
    }

    /// `LogRecord.body`, or any other field that is a text value.
    pub fn text_value(&mut self, field: u8, text: &str) {
        self.nested(field, |value| value.field(STRING, text.as_bytes()));
    }

    /// The same, where the text is what something displays as.
    pub fn displayed_value(&mut self, field: u8, what: &impl fmt::Display) {
        self.nested(field, |value| Value { wire: value }.displayed(what));
    }

    /// An attribute that is text. Inlined, so that what is known of the key when this is compiled is not worked out for
    /// each record.
    #[inline]
    pub fn text(&mut self, key: &str, text: &str) {
        let value = 1 + varint_len(text.len()) + text.len();
        let pair = 1 + varint_len(key.len()) + key.len() + 1 + varint_len(value) + value;
        self.into.reserve(pair + 16);
        self.into.push(tag(ATTRIBUTES, LENGTH));
        varint(pair as u64, self.into);
        self.field(1, key.as_bytes());
        self.into.push(tag(2, LENGTH));
        varint(value as u64, self.into);
        self.field(STRING, text.as_bytes());
    }

    /// An attribute whose text is what something displays as.
    pub fn displayed(&mut self, key: &str, what: &impl fmt::Display) {
        self.attribute(key, |value| value.displayed(what));
    }

    /// An attribute that is an address.
    pub fn address(&mut self, key: &str, address: IpAddr) {
        self.attribute(key, |value| value.address(address));
    }

    /// An attribute that is a number.
    pub fn int(&mut self, key: &str, number: i64) {
        self.attribute(key, |value| value.int(number));
    }

    /// An attribute that is a truth value.
    pub fn bool(&mut self, key: &str, truth: bool) {
        self.attribute(key, |value| value.bool(truth));
    }

    /// An attribute that is a fraction.
    pub fn double(&mut self, key: &str, number: f64) {
        self.attribute(key, |value| value.double(number));
    }

    /// An attribute of any type: the closure writes its one value.
    pub fn attribute(&mut self, key: &str, write: impl FnOnce(&mut Value<'_, '_>)) {
        self.nested(ATTRIBUTES, |pair| pair.pair(key, write));
    }

    fn pair(&mut self, key: &str, write: impl FnOnce(&mut Value<'_, '_>)) {
        self.bytes(1, key.as_bytes());
        self.nested(2, |value| write(&mut Value { wire: value }));
    }
}

/// Writes one `AnyValue`. Nothing written is a value without one: null.
pub(super) struct Value<'w, 'b> {
    wire: &'w mut Wire<'b>,
}

impl Value<'_, '_> {
    pub fn text(&mut self, text: &str) {
        self.wire.field(STRING, text.as_bytes());
    }

    /// An address: those of version 4, which most are, without the detour over a formatter.
    pub fn address(&mut self, address: IpAddr) {
        let IpAddr::V4(v4) = address else { return self.displayed(&address) };
        self.wire.nested(STRING, |text| {
            for (place, octet) in v4.octets().into_iter().enumerate() {
                if place > 0 {
                    text.into.push(b'.');
                }
                decimal(octet, text.into);
            }
        });
    }

    pub fn displayed(&mut self, what: &impl fmt::Display) {
        self.wire.nested(STRING, |text| {
            // Writing to a Vec cannot fail.
            let _ = write!(Utf8(text.into), "{what}");
        });
    }

    pub fn bool(&mut self, truth: bool) {
        self.wire.into.extend_from_slice(&[tag(BOOL, VARINT), truth.into()]);
    }

    pub fn int(&mut self, number: i64) {
        self.wire.into.push(tag(INT, VARINT));
        // Negative numbers take all ten bytes, as their two's complement.
        varint(number.cast_unsigned(), self.wire.into);
    }

    pub fn double(&mut self, number: f64) {
        self.wire.into.push(tag(DOUBLE, FIXED64));
        self.wire.into.extend_from_slice(&number.to_le_bytes());
    }

    /// A list: each item writes its own value.
    pub fn array<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Value<'_, '_>, T)) {
        self.wire.nested(ARRAY, |array| {
            for item in items {
                array.nested(1, |value| write(&mut Value { wire: value }, item));
            }
        });
    }

    /// A map: the closure writes its pairs.
    pub fn map(&mut self, write: impl FnOnce(&mut Map<'_, '_>)) {
        self.wire.nested(MAP, |map| write(&mut Map { wire: map }));
    }
}

/// Writes the pairs of one `KeyValueList`.
pub(super) struct Map<'w, 'b> {
    wire: &'w mut Wire<'b>,
}

impl Map<'_, '_> {
    pub fn pair(&mut self, key: &str, write: impl FnOnce(&mut Value<'_, '_>)) {
        self.wire.nested(1, |pair| pair.pair(key, write));
    }

    pub fn text(&mut self, key: &str, text: &str) {
        self.pair(key, |value| value.text(text));
    }
}

/// A small number in decimal digits.
fn decimal(number: u8, into: &mut Vec<u8>) {
    if number >= 100 {
        into.push(b'0' + number / 100);
    }
    if number >= 10 {
        into.push(b'0' + number / 10 % 10);
    }
    into.push(b'0' + number % 10);
}

/// Text goes into a buffer of bytes as it is.
struct Utf8<'b>(&'b mut Vec<u8>);

impl fmt::Write for Utf8<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}
