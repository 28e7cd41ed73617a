//! Reads Protocol Buffers (protobuf.dev, "Encoding") in place: fields of a message, borrowed from its bytes.
//!
//! Our own, because a question over millions of records looks at a few fields of each, and a decoder that builds the
//! whole message allocates for every one of them.

/// What a field holds, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Held<'a> {
    /// A number of any integer type, or a truth value.
    Varint(u64),
    /// Eight bytes: a fixed integer or a double.
    Fixed64(u64),
    /// Text, bytes, or a message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Fixed32(u32),
}

/// The fields of a message in their order; the last item is an error where the bytes are no message.
#[derive(Clone, Debug)]
pub struct Fields<'a>(&'a [u8]);

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no log record")]
pub struct Garbled;

impl<'a> Fields<'a> {
    /// The fields of this message.
    pub fn of(message: &'a [u8]) -> Fields<'a> {
        Fields(message)
    }

    fn field(&mut self) -> Option<(u32, Held<'a>)> {
        let tag = self.varint()?;
        let held = match tag & 7 {
            0 => Held::Varint(self.varint()?),
            1 => Held::Fixed64(u64::from_le_bytes(*self.take(8)?.first_chunk()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Held::Bytes(self.take(length)?)
            }
            5 => Held::Fixed32(u32::from_le_bytes(*self.take(4)?.first_chunk()?)),
            // Groups are long deprecated, and nothing we read has them.
            _ => return None,
        };
        Some((u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?, held))
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Held<'a>), Garbled>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(Garbled);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

/// One `AnyValue`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Any<'a> {
    /// Without a value.
    Null,
    /// Text.
    Text(&'a str),
    /// A truth value.
    Bool(bool),
    /// A number.
    Int(i64),
    /// A fraction.
    Double(f64),
    /// The bytes of an `ArrayValue`.
    Array(&'a [u8]),
    /// The bytes of a `KeyValueList`.
    Map(&'a [u8]),
}

impl<'a> Any<'a> {
    /// Read one.
    pub fn read(message: &'a [u8]) -> Result<Any<'a>, Garbled> {
        let mut any = Any::Null;
        for field in Fields::of(message) {
            any = match field? {
                (1, Held::Bytes(text)) => Any::Text(utf8(text)?),
                (2, Held::Varint(truth)) => Any::Bool(truth != 0),
                (3, Held::Varint(number)) => Any::Int(number.cast_signed()),
                (4, Held::Fixed64(bits)) => Any::Double(f64::from_bits(bits)),
                (5, Held::Bytes(array)) => Any::Array(array),
                (6, Held::Bytes(map)) => Any::Map(map),
                // Whatever a later version adds.
                _ => any,
            };
        }
        Ok(any)
    }
}

/// One `KeyValue`.
pub fn pair(message: &[u8]) -> Result<(&str, Any<'_>), Garbled> {
    let (mut key, mut value) = ("", Any::Null);
    for field in Fields::of(message) {
        match field? {
            (1, Held::Bytes(text)) => key = utf8(text)?,
            (2, Held::Bytes(any)) => value = Any::read(any)?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The members of an `ArrayValue` or a `KeyValueList`: the messages of its field 1.
pub fn members(message: &[u8]) -> impl Iterator<Item = Result<&[u8], Garbled>> {
    Fields::of(message).filter_map(|field| match field {
        Ok((1, Held::Bytes(member))) => Some(Ok(member)),
        Ok(_) => None,
        Err(garbled) => Some(Err(garbled)),
    })
}

/// Text.
pub fn utf8(bytes: &[u8]) -> Result<&str, Garbled> {
    std::str::from_utf8(bytes).map_err(|_| Garbled)
}

/// What a `LogRecord` has beside its attributes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Envelope<'a> {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// The event's name.
    pub event: &'a str,
    /// The body, where it is text.
    pub body: &'a str,
    /// The trace's id; empty without a trace.
    pub trace: &'a [u8],
    /// The span's id.
    pub span: &'a [u8],
}

/// Read a `LogRecord`: `attribute` is given each attribute in its order.
pub fn log_record<'a>(
    record: &'a [u8],
    mut attribute: impl FnMut(&'a str, Any<'a>) -> Result<(), Garbled>,
) -> Result<Envelope<'a>, Garbled> {
    let mut envelope = Envelope::default();
    for field in Fields::of(record) {
        match field? {
            (1, Held::Fixed64(time)) => envelope.time = time,
            (5, Held::Bytes(body)) => {
                if let Any::Text(text) = Any::read(body)? {
                    envelope.body = text;
                }
            }
            (6, Held::Bytes(message)) => {
                let (key, value) = pair(message)?;
                attribute(key, value)?;
            }
            (9, Held::Bytes(id)) => envelope.trace = id,
            (10, Held::Bytes(id)) => envelope.span = id,
            (12, Held::Bytes(name)) => envelope.event = utf8(name)?,
            _ => {}
        }
    }
    Ok(envelope)
}
