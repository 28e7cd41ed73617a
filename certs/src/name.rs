//! A distinguished name as text that no other name has: RFC 4514, with everything in a value escaped that could pass for
//! the end of it.

use x509_parser::der_parser::asn1_rs::{Oid, ToDer};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// What is written by a short name (RFC 4514 section 3); every other type is written as its number.
const SHORT: [(&[u64], &str); 9] = [
    (&[2, 5, 4, 3], "CN"),
    (&[2, 5, 4, 7], "L"),
    (&[2, 5, 4, 8], "ST"),
    (&[2, 5, 4, 10], "O"),
    (&[2, 5, 4, 11], "OU"),
    (&[2, 5, 4, 6], "C"),
    (&[2, 5, 4, 9], "STREET"),
    (&[0, 9, 2342, 19_200_300, 100, 1, 25], "DC"),
    (&[0, 9, 2342, 19_200_300, 100, 1, 1], "UID"),
];

/// The name, its last part first: `CN=R3,O=Let's Encrypt,C=US`. `None` where a part of it cannot be written.
pub(crate) fn text(name: &X509Name<'_>) -> Option<String> {
    let mut parts = Vec::new();
    for part in name.iter() {
        let values: Option<Vec<String>> = part.iter().map(attribute).collect();
        parts.push(values?.join("+"));
    }
    parts.reverse();
    Some(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> Option<String> {
    let oid: &Oid<'_> = attribute.attr_type();
    let parts: Vec<u64> = oid.iter()?.collect();
    let short = SHORT.iter().find(|(number, _)| **number == *parts).map(|(_, short)| *short);
    match (short, attribute.as_str()) {
        (Some(short), Ok(value)) => Some(format!("{short}={}", escaped(value))),
        (Some(_), Err(_)) | (None, _) => {
            let der = attribute.attr_value().to_der_vec().ok()?;
            Some(format!("{}=#{}", oid.to_id_string(), crate::subject::hex(&der)))
        }
    }
}

/// RFC 4514 section 2.4. Control characters are escaped as well: the RFC lets them stand.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, c) in value.chars().enumerate() {
        let special = match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => true,
            ' ' => place == 0 || place == last,
            '#' => place == 0,
            _ => false,
        };
        if c.is_control() {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| text.push_str(&format!("\\{byte:02x}")));
            continue;
        }
        if special {
            text.push('\\');
        }
        text.push(c);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_value_passes_for_the_end_of_it() {
        for (value, wanted) in [
            ("Let's Encrypt", "Let's Encrypt"),
            ("a,O=b", "a\\,O=b"),
            ("a+OU=b\\", "a\\+OU=b\\\\"),
            (" #a ", "\\ #a\\ "),
            ("#ab", "\\#ab"),
            ("a\nb\u{85}", "a\\0ab\\c2\\85"),
            ("Ä;<>\"", "Ä\\;\\<\\>\\\""),
            ("", ""),
        ] {
            assert_eq!(escaped(value), wanted);
        }
    }
}
