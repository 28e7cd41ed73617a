//! Base32 (RFC 4648 section 6), in which secrets of one-time codes are written.

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Without padding, as authenticator programs want it.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for chunk in bytes.chunks(5) {
        let mut group = [0u8; 5];
        group.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        let bits = group.iter().fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
        for place in 0..(chunk.len() * 8).div_ceil(5) {
            let five = usize::try_from((bits >> (35 - 5 * place)) & 31).unwrap_or_default();
            text.extend(ALPHABET.get(five).map(|letter| char::from(*letter)));
        }
    }
    text
}

/// Small letters, spaces and final padding are taken: people copy these by hand. Bits that stand for nothing must be zero.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 5 / 8);
    let (mut bits, mut held) = (0u32, 0u32);
    for letter in text.trim_end_matches('=').bytes().filter(|byte| *byte != b' ') {
        let value = ALPHABET.iter().position(|known| *known == letter.to_ascii_uppercase())?;
        bits = (bits << 5) | u32::try_from(value).ok()?;
        held += 5;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    (held < 5 && bits == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_rfc() {
        for (plain, coded) in [
            ("", ""),
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            assert_eq!(encode(plain.as_bytes()), coded.trim_end_matches('='));
            assert_eq!(decode(coded).as_deref(), Some(plain.as_bytes()), "{coded}");
        }
        assert_eq!(decode("mzxw 6ytb").as_deref(), Some(&b"fooba"[..]));
    }

    #[test]
    fn what_is_not_base32_is_nothing() {
        for text in ["1", "MZXW0", "M", "MZX", "MZ", "MY=A", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
