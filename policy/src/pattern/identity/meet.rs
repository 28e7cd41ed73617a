//! What two identity patterns have in common, and ids that stand for all that a pattern means.

use super::{IdentityPattern, Kind, Segment};

impl IdentityPattern {
    /// The pattern of the ids that both mean; `None` if there are none. Captures lose their names.
    pub(crate) fn meet(&self, other: &IdentityPattern) -> Option<IdentityPattern> {
        if self.scheme != other.scheme {
            return None;
        }
        let (mut mine, mut theirs) = (self.segments.iter().peekable(), other.segments.iter().peekable());
        let mut segments = Vec::new();
        loop {
            match (mine.peek(), theirs.peek()) {
                (None, None) => break,
                (Some(Segment::Rest), Some(_)) => {
                    segments.extend(theirs.by_ref().map(plain));
                    break;
                }
                (Some(_), Some(Segment::Rest)) => {
                    segments.extend(mine.by_ref().map(plain));
                    break;
                }
                (Some(a), Some(b)) => {
                    segments.push(segment(a, b)?);
                    mine.next();
                    theirs.next();
                }
                (None, Some(_)) | (Some(_), None) => return None,
            }
        }
        let empty = |s: &Segment| matches!(s, Segment::Literal(text) if text.is_empty());
        (!segments.iter().any(empty)).then(|| self.with(segments))
    }

    /// The pattern with one of its captures replaced by this text; `None` where it has no such capture, or the text is no
    /// segment.
    pub(crate) fn filled(&self, capture: &str, text: &str) -> Option<IdentityPattern> {
        if text.is_empty() || text.contains(['/', '*', '{', '}']) {
            return None;
        }
        let named = |s: &Segment| matches!(s, Segment::Capture(name) if **name == *capture);
        self.segments.iter().any(named).then(|| {
            let fill = |s: &Segment| if named(s) { Segment::Literal(text.into()) } else { s.clone() };
            self.with(self.segments.iter().map(fill).collect())
        })
    }

    /// One id that it means: `fresh` wherever it leaves a segment open, and `rest` times where it leaves all of them open.
    pub(crate) fn instance(&self, fresh: &str, rest: usize) -> String {
        let mut parts: Vec<&str> = Vec::new();
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => parts.push(text),
                Segment::One | Segment::Capture(_) => parts.push(fresh),
                Segment::Rest => parts.extend(std::iter::repeat_n(fresh, rest.max(1))),
            }
        }
        format!("{}{}", self.scheme, parts.join("/"))
    }

    /// How many segments it writes out.
    pub(crate) fn depth(&self) -> usize {
        self.segments.len()
    }

    /// The texts that it writes out.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(text) => Some(&**text),
            Segment::One | Segment::Capture(_) | Segment::Rest => None,
        })
    }

    fn with(&self, segments: Vec<Segment>) -> IdentityPattern {
        let written = segments.iter().map(|segment| match segment {
            Segment::Literal(text) => text.to_string(),
            Segment::One | Segment::Capture(_) => "*".to_owned(),
            Segment::Rest => "**".to_owned(),
        });
        let text = format!("{}{}", self.scheme, written.collect::<Vec<_>>().join("/"));
        let exact = segments.iter().all(|segment| matches!(segment, Segment::Literal(_)));
        let kind = if exact { Kind::Exact } else { Kind::Open };
        IdentityPattern { text: text.into(), scheme: self.scheme, segments: segments.into(), kind }
    }
}

fn plain(segment: &Segment) -> Segment {
    match segment {
        Segment::Capture(_) => Segment::One,
        Segment::Literal(_) | Segment::One | Segment::Rest => segment.clone(),
    }
}

fn segment(a: &Segment, b: &Segment) -> Option<Segment> {
    match (a, b) {
        (Segment::Literal(a), Segment::Literal(b)) => (a == b).then(|| Segment::Literal(a.clone())),
        (Segment::Literal(text), _) | (_, Segment::Literal(text)) => Some(Segment::Literal(text.clone())),
        (Segment::One | Segment::Capture(_) | Segment::Rest, _) => Some(Segment::One),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> IdentityPattern {
        IdentityPattern::parse(text).unwrap()
    }

    #[test]
    fn two_patterns_meet_in_the_ids_that_both_mean() {
        for (a, b, both) in [
            ("spiffe://c/{ns}/sa/*", "spiffe://c/pay/**", Some("spiffe://c/pay/sa/*")),
            ("spiffe://c/**", "spiffe://c/a/{b}", Some("spiffe://c/a/*")),
            ("spiffe://c/*/x", "spiffe://c/y/*", Some("spiffe://c/y/x")),
            ("spiffe://c/**", "spiffe://c/a/**", Some("spiffe://c/a/**")),
            ("spiffe://c/*", "spiffe://c/a/b", None),
            ("spiffe://c/*", "token:c", None),
            ("spiffe://c/**", "spiffe://d/**", None),
            ("spiffe://c/**", "spiffe://c", None),
        ] {
            let met = pattern(a).meet(&pattern(b));
            assert_eq!(met.as_ref().map(ToString::to_string).as_deref(), both, "{a} {b}");
            assert_eq!(met, pattern(b).meet(&pattern(a)).or(met.clone()));
            if let Some(met) = met {
                let id = met.instance("any", 3);
                assert!(pattern(a).matches(&id) && pattern(b).matches(&id), "{id}");
            }
        }
    }

    #[test]
    fn a_capture_is_filled_with_a_segment_only() {
        let filled = pattern("spiffe://c/{ns}/sa/{app}").filled("ns", "pay").unwrap();
        assert_eq!(filled.to_string(), "spiffe://c/pay/sa/*");
        assert!(pattern("spiffe://c/{ns}").filled("ns", "a/b").is_none());
        assert!(pattern("spiffe://c/{ns}").filled("other", "a").is_none());
    }
}
