//! What one word of a configuration means: plain scalars, numbers, durations, sizes, and the word that was meant.

use std::time::Duration;

/// What any of the YAML versions in use would read in an unquoted scalar.
pub(crate) enum Plain {
    Text,
    Nothing,
    Boolean,
    Number,
}

pub(crate) fn plain(text: &str) -> Plain {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        "" | "~" | "null" => return Plain::Nothing,
        "y" | "yes" | "n" | "no" | "on" | "off" | "true" | "false" => return Plain::Boolean,
        ".inf" | "+.inf" | "-.inf" | ".nan" => return Plain::Number,
        _ => {}
    }
    let digits = lower.trim_start_matches(['+', '-']);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && (digits.parse::<f64>().is_ok()
            || all_of(digits, |c| c.is_ascii_digit() || c == '_')
            || ["0x", "0o", "0b"].iter().any(|prefix| {
                digits.strip_prefix(prefix).is_some_and(|rest| all_of(rest, |c| c.is_ascii_hexdigit() || c == '_'))
            })
            // Base 60, as YAML 1.1 reads `22:22`.
            || digits.split(':').all(|part| part.len() <= 2 && all_of(part, |c| c.is_ascii_digit())));
    if is_number { Plain::Number } else { Plain::Text }
}

fn all_of(text: &str, test: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(test)
}

/// A decimal number in its one spelling: no sign, no leading zero, no separators.
pub(crate) fn decimal(text: &str) -> Option<usize> {
    let canonical = all_of(text, |c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    let number = u64::try_from(decimal(number)?).ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(60 * 60),
        "d" => seconds(24 * 60 * 60),
        _ => None,
    }
}

pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let power = match unit {
        "B" => 0,
        "KiB" => 1,
        "MiB" => 2,
        "GiB" => 3,
        "TiB" => 4,
        _ => return None,
    };
    u64::try_from(decimal(number)?).ok()?.checked_mul(1024u64.checked_pow(power)?)
}

fn split_unit(text: &str) -> Option<(&str, &str)> {
    text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)
}

/// The word that was probably meant: at most a third of its letters differ.
pub(crate) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let best = words.iter().map(|word| (distance(text, word), *word)).min()?;
    (best.0 <= best.1.len().max(3) / 3).then_some(best.1)
}

/// Levenshtein's distance over bytes, one row at a time.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        if let Some(first) = row.first_mut() {
            *first = before;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(right.bytes()) {
            let replaced = diagonal + usize::from(a != b);
            diagonal = *cell;
            before = replaced.min(before + 1).min(diagonal + 1);
            *cell = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_that_some_parser_reads_as_something_else_are_not_text() {
        for text in ["no", "Yes", "ON", "y", "true", "0x1F", "0o17", "017", "1_000", "1e3", "-1", ".5", "22:22", ".inf"]
        {
            assert!(!matches!(plain(text), Plain::Text), "{text}");
        }
        for text in ["", "~", "NULL"] {
            assert!(matches!(plain(text), Plain::Nothing), "{text}");
        }
        for text in ["127.0.0.1:3128", "none", "nope", "30s", "10.8.0.0/16", "1.2.3.4", "2001:db8::1", "12ab", "system"]
        {
            assert!(matches!(plain(text), Plain::Text), "{text}");
        }
    }

    #[test]
    fn durations_and_sizes_have_one_spelling_and_a_unit() {
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("90d"), Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(parse_size("5GiB"), Some(5 << 30));
        assert_eq!(parse_size("1TiB"), Some(1 << 40));
        for text in ["", "30", "s", "030s", "1.5h", "30 s", "30S", "-1s", "99999999999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        for text in ["64", "64K", "64KB", "64kib", "99999999999GiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_keyboard_is_recognised_and_another_word_is_not() {
        assert_eq!(nearest("drain_timout", &["drain_timeout", "dial_timeout"]), Some("drain_timeout"));
        assert_eq!(nearest("bnid", &["bind", "name"]), None);
        assert_eq!(nearest("bin", &["bind", "name"]), Some("bind"));
        assert_eq!(nearest("colour", &["bind", "name"]), None);
    }
}
