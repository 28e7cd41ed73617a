//! Which records a question is about.

use super::row::Row;

/// A pattern over a name: `*` stands for any text, everything else for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl std::str::FromStr for Pattern {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Pattern, Self::Err> {
        Ok(Pattern(text.to_owned()))
    }
}

impl Pattern {
    /// Whether it matches all of `text`.
    pub fn matches(&self, text: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return self.0 == text };
        let Some(text) = text.strip_prefix(head) else { return false };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(mut text) = text.strip_suffix(tail) else { return false };
        // Taking each piece where it first occurs leaves the most room for those that follow.
        for piece in middle.split('*') {
            match text.find(piece) {
                Some(at) => text = text.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        true
    }
}

/// From when to when, in microseconds since 1970: the first moment that is in, and the first that is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub since: i64,
    /// The end.
    pub until: i64,
}

impl Span {
    /// All of time.
    pub const ALL: Span = Span { since: i64::MIN, until: i64::MAX };

    /// Whether a moment is in it.
    pub fn has(self, time: i64) -> bool {
        self.since <= time && time < self.until
    }
}

/// Which decisions.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Who asked.
    pub identity: Option<Pattern>,
    /// The host asked for.
    pub host: Option<Pattern>,
    /// What happened.
    pub outcome: Option<Pattern>,
    /// Why.
    pub reason: Option<Pattern>,
    /// The rule that decided.
    pub rule: Option<Pattern>,
}

impl Filter {
    /// Whether a decision is one of them.
    pub fn takes(&self, row: &Row<'_>) -> bool {
        let wanted = [
            (&self.identity, row.who()),
            (&self.host, row.host),
            (&self.outcome, row.outcome),
            (&self.reason, row.reason),
            (&self.rule, row.rule),
        ];
        wanted.iter().all(|(pattern, text)| pattern.as_ref().is_none_or(|pattern| pattern.matches(text)))
    }

    /// Whether it takes every decision.
    pub fn is_open(&self) -> bool {
        [&self.identity, &self.host, &self.outcome, &self.reason, &self.rule].iter().all(|pattern| pattern.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_all_of_the_name_must_match() {
        for (pattern, text, matches) in [
            ("a.example", "a.example", true),
            ("a.example", "xa.example", false),
            ("*", "", true),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("spiffe://corp/*/sa/*", "spiffe://corp/ns/x/sa/y", true),
            ("spiffe://corp/*/sa/*", "spiffe://corp/ns/x/sb/y", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "ac", false),
            ("a*a", "a", false),
            ("ab*ba", "aba", false),
            ("*a*", "bab", true),
            ("*é*", "caféx", true),
        ] {
            assert_eq!(Pattern(pattern.into()).matches(text), matches, "{pattern} {text}");
        }
    }
}
