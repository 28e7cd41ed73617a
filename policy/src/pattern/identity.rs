//! Identity patterns, by segment: `*` one, `**` (last only) the rest, `{name}` one, captured.

mod meet;

use std::fmt;

/// Which identity ids are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdentityPattern {
    text: Box<str>,
    /// `spiffe://`, `token:`, `network:`, `dns:`, or nothing (`anonymous`).
    scheme: &'static str,
    segments: Box<[Segment]>,
    kind: Kind,
}

/// Whether the pattern is an id: most are, and then comparing is all there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Exact,
    Open,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<str>),
    One,
    Capture(Box<str>),
    Rest,
}

/// How specific a pattern is; the smaller is the more specific. Exact before pattern, fewer captures first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Specificity {
    open_ended: bool,
    wildcards: usize,
}

const SCHEMES: [&str; 4] = ["spiffe://", "token:", "network:", "dns:"];

const KINDS: &str = "an id is a SPIFFE URI, `token:NAME`, `network:NAME`, `dns:NAME` or `anonymous`";

impl IdentityPattern {
    /// Parse an id or a pattern of ids; on failure what is wrong, and how to mend it.
    pub fn parse(text: &str) -> Result<IdentityPattern, (String, String)> {
        if text == crate::identity::ANONYMOUS {
            let segments = Box::new([Segment::Literal(text.into())]);
            return Ok(IdentityPattern { text: text.into(), scheme: "", segments, kind: Kind::Exact });
        }
        let Some(scheme) = SCHEMES.into_iter().find(|scheme| text.starts_with(scheme)) else {
            return Err((format!("`{text}` is not an identity"), KINDS.to_owned()));
        };
        let rest = text.strip_prefix(scheme).unwrap_or("");
        let mut segments = Vec::new();
        let mut written = rest.split('/').peekable();
        while let Some(part) = written.next() {
            let last = written.peek().is_none();
            segments.push(segment(part, last).map_err(|help| (format!("`{text}` is not an identity pattern"), help))?);
        }
        // A trust domain is whose word is taken; nobody means all of them.
        if scheme == "spiffe://" && !matches!(segments.first(), Some(Segment::Literal(_))) {
            return Err((format!("`{text}` leaves the trust domain open"), "write the trust domain out".to_owned()));
        }
        for (at, found) in segments.iter().enumerate() {
            if matches!(found, Segment::Capture(_)) && segments.iter().take(at).any(|earlier| earlier == found) {
                return Err((format!("`{text}` captures one name twice"), "give each capture its own name".to_owned()));
            }
        }
        let kind = match segments.iter().all(|s| matches!(s, Segment::Literal(_))) {
            true => Kind::Exact,
            false => Kind::Open,
        };
        Ok(IdentityPattern { text: text.into(), scheme, segments: segments.into(), kind })
    }

    /// The id, if only one is meant.
    pub fn exact(&self) -> Option<&str> {
        (self.kind == Kind::Exact).then_some(&*self.text)
    }

    /// Whether it is of SPIFFE ids.
    pub fn is_spiffe(&self) -> bool {
        self.scheme == "spiffe://"
    }

    /// The names of its captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|s| match s {
            Segment::Capture(name) => Some(&**name),
            Segment::Literal(_) | Segment::One | Segment::Rest => None,
        })
    }

    /// How specific it is.
    pub fn specificity(&self) -> Specificity {
        let wildcards = self.segments.iter().filter(|s| !matches!(s, Segment::Literal(_))).count();
        Specificity { open_ended: matches!(self.segments.last(), Some(Segment::Rest)), wildcards }
    }

    /// Whether the id is meant.
    pub fn matches(&self, id: &str) -> bool {
        match self.kind {
            Kind::Exact => *self.text == *id,
            Kind::Open => self.walk(id, |_, _| {}),
        }
    }

    /// What the captures stand for in this id; `None` if it is not meant.
    pub fn capture<'p, 'i>(&'p self, id: &'i str) -> Option<Vec<(&'p str, &'i str)>> {
        let mut found = Vec::new();
        self.walk(id, |name, value| found.push((name, value))).then_some(found)
    }

    fn walk<'p, 'i>(&'p self, id: &'i str, mut captured: impl FnMut(&'p str, &'i str)) -> bool {
        // `anonymous` has no scheme, and no other id is without one.
        let Some(rest) = id.strip_prefix(self.scheme) else { return false };
        let mut parts = rest.split('/');
        for segment in &self.segments {
            let Some(part) = parts.next() else { return false };
            match segment {
                Segment::Literal(literal) if **literal == *part => {}
                Segment::Literal(_) => return false,
                Segment::One | Segment::Capture(_) | Segment::Rest if part.is_empty() => return false,
                Segment::One => {}
                Segment::Capture(name) => captured(name, part),
                Segment::Rest => return true,
            }
        }
        parts.next().is_none()
    }

    /// Whether every id that `other` means is meant by this pattern.
    pub fn contains(&self, other: &IdentityPattern) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        let mut theirs = other.segments.iter();
        for mine in &self.segments {
            let Some(their) = theirs.next() else { return false };
            match (mine, their) {
                (Segment::Rest, Segment::Literal(text)) => return !text.is_empty(),
                (Segment::Rest, Segment::One | Segment::Capture(_) | Segment::Rest) => return true,
                (Segment::Literal(a), Segment::Literal(b)) if a == b => {}
                (Segment::One | Segment::Capture(_), Segment::Literal(text)) if !text.is_empty() => {}
                (Segment::One | Segment::Capture(_), Segment::One | Segment::Capture(_)) => {}
                (Segment::Literal(_) | Segment::One | Segment::Capture(_), _) => return false,
            }
        }
        theirs.next().is_none()
    }

    /// Whether some id is meant by both.
    pub fn overlaps(&self, other: &IdentityPattern) -> bool {
        if self.scheme != other.scheme {
            return false;
        }
        let (mut mine, mut theirs) = (self.segments.iter(), other.segments.iter());
        loop {
            match (mine.next(), theirs.next()) {
                (None, None) => return true,
                (Some(Segment::Rest), Some(_)) | (Some(_), Some(Segment::Rest)) => return true,
                (Some(Segment::Literal(a)), Some(Segment::Literal(b))) if a != b => return false,
                (Some(_), Some(_)) => {}
                (None, Some(_)) | (Some(_), None) => return false,
            }
        }
    }

    /// The same in CEL, over `identity.id`: a SPIFFE URI is nobody's id but its own.
    pub(crate) fn to_cel(&self) -> String {
        if let Some(id) = self.exact() {
            return format!("identity.id == {}", crate::desugar::quoted(id));
        }
        let segments: Vec<String> = self.segments.iter().map(Segment::to_regex).collect();
        let regex = format!("^{}{}$", super::escaped(self.scheme), segments.join("/"));
        format!("identity.id.matches({})", crate::desugar::quoted(&regex))
    }
}

impl Segment {
    fn to_regex(&self) -> String {
        match self {
            Segment::Literal(text) => super::escaped(text),
            Segment::One | Segment::Capture(_) => "[^/]+".to_owned(),
            Segment::Rest => "[^/]+(/.*)?".to_owned(),
        }
    }
}

impl fmt::Display for IdentityPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn segment(part: &str, last: bool) -> Result<Segment, String> {
    match part {
        "" => Err("a segment is empty".to_owned()),
        "*" => Ok(Segment::One),
        "**" if last => Ok(Segment::Rest),
        "**" => Err("`**` stands for the rest, so it can only be the last segment".to_owned()),
        _ => match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') => {
                Ok(Segment::Capture(name.into()))
            }
            Some(_) => Err("a capture is `{name}`, of letters, digits and `_`".to_owned()),
            None if part.contains(['*', '{', '}']) => {
                Err("`*`, `**` and `{name}` stand for a whole segment, never for part of one".to_owned())
            }
            None if !part.bytes().all(|b| b.is_ascii_graphic()) => {
                Err("an identity has visible ASCII characters only".to_owned())
            }
            None => Ok(Segment::Literal(part.into())),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> IdentityPattern {
        IdentityPattern::parse(text).unwrap()
    }

    #[test]
    fn a_pattern_matches_by_segment() {
        for (text, yes, no) in [
            (
                "spiffe://c.example/ns/ci/**",
                &["spiffe://c.example/ns/ci/a", "spiffe://c.example/ns/ci/a/b"][..],
                &["spiffe://c.example/ns/ci", "spiffe://c.example/ns/ci/", "spiffe://c.example/ns/cia/b"][..],
            ),
            (
                "spiffe://c.example/ns/*/sa/x",
                &["spiffe://c.example/ns/a/sa/x"],
                &["spiffe://c.example/ns/a/b/sa/x", "spiffe://c.example/ns//sa/x", "spiffe://c.example/ns/a/sa/x/y"],
            ),
            ("network:*", &["network:build"], &["token:build", "network:a/b", "network:", "anonymous"]),
            ("anonymous", &["anonymous"], &["anonymous2", "network:anonymous", "token:anonymous"]),
        ] {
            for id in yes {
                assert!(pattern(text).matches(id), "{text} {id}");
            }
            for id in no {
                assert!(!pattern(text).matches(id), "{text} {id}");
            }
        }
    }

    #[test]
    fn captures_are_named() {
        let found = pattern("spiffe://c.example/ns/{namespace}/sa/{app}");
        assert_eq!(found.capture("spiffe://c.example/ns/a/sa/b").unwrap(), [("namespace", "a"), ("app", "b")]);
        assert!(found.capture("spiffe://c.example/ns/a/sa").is_none());
    }

    #[test]
    fn containment_is_never_wider_than_the_pattern() {
        let wide = pattern("spiffe://c.example/ns/payments/**");
        for inside in [
            "spiffe://c.example/ns/payments/sa/x",
            "spiffe://c.example/ns/payments/*",
            "spiffe://c.example/ns/payments/a/**",
        ] {
            assert!(wide.contains(&pattern(inside)), "{inside}");
        }
        for outside in [
            "spiffe://c.example/ns/payments",
            "spiffe://c.example/ns/*/sa/x",
            "spiffe://c.example/ns/**",
            "token:payments",
        ] {
            assert!(!wide.contains(&pattern(outside)), "{outside}");
        }
        assert!(!pattern("spiffe://c.example/**").contains(&pattern("network:c.example/x")));
        assert!(!pattern("spiffe://c.example/a/*").contains(&pattern("spiffe://c.example/a/**")));
    }

    #[test]
    fn patterns_overlap_when_some_id_is_both() {
        let overlap = |a: &str, b: &str| pattern(a).overlaps(&pattern(b));
        assert!(overlap("spiffe://c.example/{a}/x", "spiffe://c.example/y/{b}"));
        assert!(overlap("spiffe://c.example/**", "spiffe://c.example/y/{b}"));
        assert!(!overlap("spiffe://c.example/z/{a}", "spiffe://c.example/y/{b}"));
        assert!(!overlap("spiffe://c.example/{a}", "spiffe://c.example/y/{b}"));
    }

    #[test]
    fn half_segments_and_open_trust_domains_are_refused() {
        for text in [
            "*",
            "**",
            "",
            "build",
            "spiffe://*/a",
            "spiffe://**",
            "spiffe://c/a*",
            "spiffe://c/**/a",
            "spiffe://c//a",
            "spiffe://c/{a}/{a}",
            "spiffe://c/{}",
            "spiffe://c/a b",
            "Network:x",
            "token:",
        ] {
            assert!(IdentityPattern::parse(text).is_err(), "{text}");
        }
    }
}
