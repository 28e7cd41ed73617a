//! Host patterns: an exact name, `*.x` for one label below `x`, `**.x` for one or more; nothing else parses.

use std::fmt;

use crate::host::Host;

/// Which host names a rule means. An IP literal matches none of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// This name.
    Exact(Box<str>),
    /// Exactly one label below this apex.
    Child(Box<str>),
    /// One label or more below this apex.
    Below(Box<str>),
}

impl HostPattern {
    /// Parse a pattern; on failure what is wrong, and how to mend it.
    pub fn parse(text: &str) -> Result<HostPattern, (String, String)> {
        if let Some(apex) = text.strip_prefix("**.") {
            return canonical(apex, "**.").map(HostPattern::Below);
        }
        if let Some(apex) = text.strip_prefix("*.") {
            return canonical(apex, "*.").map(HostPattern::Child);
        }
        canonical(text, "").map(HostPattern::Exact)
    }

    /// Whether the host is meant.
    pub fn matches(&self, host: &Host) -> bool {
        let Host::Name(name) = host else { return false };
        match self {
            HostPattern::Exact(exact) => **exact == **name,
            HostPattern::Child(apex) => below(name, apex).is_some_and(|labels| !labels.contains('.')),
            HostPattern::Below(apex) => below(name, apex).is_some(),
        }
    }

    /// Whether every host that `other` means is meant by this pattern.
    pub fn contains(&self, other: &HostPattern) -> bool {
        match (self, other) {
            (HostPattern::Exact(mine), HostPattern::Exact(theirs))
            | (HostPattern::Child(mine), HostPattern::Child(theirs)) => mine == theirs,
            (HostPattern::Child(apex), HostPattern::Exact(name)) => {
                below(name, apex).is_some_and(|labels| !labels.contains('.'))
            }
            (HostPattern::Below(apex), HostPattern::Exact(name)) => below(name, apex).is_some(),
            (HostPattern::Below(mine), HostPattern::Child(theirs) | HostPattern::Below(theirs)) => {
                mine == theirs || below(theirs, mine).is_some()
            }
            (HostPattern::Exact(_), HostPattern::Child(_) | HostPattern::Below(_))
            | (HostPattern::Child(_), HostPattern::Below(_)) => false,
        }
    }

    /// The name itself, or the apex below which the meant names lie.
    pub fn base(&self) -> &str {
        match self {
            HostPattern::Exact(name) | HostPattern::Child(name) | HostPattern::Below(name) => name,
        }
    }

    /// Whether it reaches any depth (`**.`), and so has a lifetime ceiling of its own.
    pub fn is_deep(&self) -> bool {
        matches!(self, HostPattern::Below(_))
    }

    /// The same in CEL, over `destination.host`.
    pub(crate) fn to_cel(&self) -> String {
        match self {
            HostPattern::Exact(name) => format!("destination.host == \"{name}\""),
            HostPattern::Child(apex) => {
                let regex = format!("^[^.]+\\.{}$", super::escaped(apex));
                format!("destination.host.matches({})", crate::desugar::quoted(&regex))
            }
            HostPattern::Below(apex) => format!("destination.host.endsWith(\".{apex}\")"),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(name) => f.write_str(name),
            HostPattern::Child(apex) => write!(f, "*.{apex}"),
            HostPattern::Below(apex) => write!(f, "**.{apex}"),
        }
    }
}

/// The labels of `name` before `.apex`, if there are any.
fn below<'n>(name: &'n str, apex: &str) -> Option<&'n str> {
    name.strip_suffix(apex)?.strip_suffix('.').filter(|labels| !labels.is_empty())
}

fn canonical(text: &str, prefix: &str) -> Result<Box<str>, (String, String)> {
    let whole = format!("{prefix}{text}");
    if text.contains('*') {
        let help = "only `*.x` (one label) and `**.x` (one or more) are patterns, and the apex is listed by itself";
        return Err((format!("`{whole}` is not a host pattern"), help.to_owned()));
    }
    let network = text.parse::<ipnet::IpNet>().is_ok();
    if text.parse::<std::net::IpAddr>().is_ok() || text.starts_with('[') || network {
        let help = "list addresses under `cidrs`: `192.0.2.1/32`";
        return Err((format!("`{whole}` is not a host name"), help.to_owned()));
    }
    match Host::parse(text.as_bytes()) {
        Ok(Host::Name(name)) if *name == *text => Ok(text.into()),
        Ok(host) => Err((format!("`{whole}` is not canonical"), format!("write `{prefix}{host}`"))),
        Err(why) => {
            let help = match idna::domain_to_ascii(text) {
                Ok(ascii) if !text.is_ascii() => format!("write its A-label form: `{prefix}{ascii}`"),
                Ok(_) | Err(_) => "write a name such as `api.example.com`, without scheme, port or path".to_owned(),
            };
            Err((format!("`{whole}` is not a host name: {why}"), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        HostPattern::parse(text).unwrap()
    }

    fn host(text: &str) -> Host {
        Host::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_pattern_stops_at_label_boundaries() {
        for (text, yes, no) in [
            ("x.test", &["x.test"][..], &["a.x.test", "ax.test", "test"][..]),
            ("*.x.test", &["a.x.test"], &["x.test", "a.b.x.test", "ax.test", "x.test.evil"]),
            ("**.x.test", &["a.x.test", "a.b.x.test"], &["x.test", "ax.test", "a.x.test.evil"]),
        ] {
            for name in yes {
                assert!(pattern(text).matches(&host(name)), "{text} {name}");
            }
            for name in no {
                assert!(!pattern(text).matches(&host(name)), "{text} {name}");
            }
            assert!(!pattern(text).matches(&host("192.0.2.1")));
            assert_eq!(pattern(text).to_string(), text);
        }
    }

    #[test]
    fn one_pattern_contains_another_only_if_it_means_all_of_it() {
        let names = ["x.test", "*.x.test", "**.x.test", "a.x.test", "*.a.x.test", "**.a.x.test", "b.a.x.test"];
        let expected: [&[usize]; 7] = [&[0], &[1, 3], &[1, 2, 3, 4, 5, 6], &[3], &[4, 6], &[4, 5, 6], &[6]];
        for (outer, wanted) in names.iter().zip(expected) {
            let got: Vec<usize> = (0..names.len()).filter(|&i| pattern(outer).contains(&pattern(names[i]))).collect();
            assert_eq!(got, wanted, "{outer}");
        }
    }

    #[test]
    fn only_canonical_names_parse() {
        for (text, help) in [
            ("API.example.com", "write `api.example.com`"),
            ("**.Example.com", "write `**.example.com`"),
            ("example.com.", "write `example.com`"),
            ("bücher.test", "write its A-label form: `xn--bcher-kva.test`"),
            ("192.0.2.1", "list addresses under `cidrs`: `192.0.2.1/32`"),
            ("[2001:db8::1]", "list addresses under `cidrs`: `192.0.2.1/32`"),
        ] {
            assert_eq!(HostPattern::parse(text).unwrap_err().1, help, "{text}");
        }
        for text in
            ["", "*", "**", "*.", "a*.test", "a.*.test", "*.*.test", "***.x.test", "https://x.test", "x.test:443"]
        {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
