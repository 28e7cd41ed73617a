//! `acl NAME TYPE VALUE…`: what each name asks, its lines and files together.

use std::collections::BTreeMap;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::super::formula::{Atom, Formula};
use super::super::told::{Spot, Told, plain};
use super::lines::{Word, words};
use crate::desugar::quoted;
use crate::host::Host;
use crate::pattern::HostPattern;
use crate::source::SourceFile;

pub(super) struct Acls(BTreeMap<String, Acl>);

/// One list.
pub(super) struct Acl {
    kind: String,
    values: Vec<Formula>,
    /// What of it is not understood.
    pub(super) unknown: Option<String>,
    /// Whether Squid would also look up the name of an address that is asked for.
    pub(super) looks_back: bool,
}

/// Values of all lists together, so that a file without end is none.
const VALUES_MAX: usize = 1_000_000;

const MANAGER: &str = "request.path.startsWith(\"/squid-internal-mgr/\")";

impl Acls {
    /// Those that Squid brings along.
    pub(super) fn new() -> Acls {
        let nets = |list: &[&str]| list.iter().filter_map(|text| text.parse().ok()).collect::<Vec<IpNet>>();
        let built_in = [
            ("all", "src", Formula::Always),
            ("manager", "url_regex", Formula::Is(Atom::Http(MANAGER.to_owned()))),
            ("localhost", "src", Formula::Is(Atom::Sources(nets(&["127.0.0.1/32", "::1/128"])))),
            (
                "to_localhost",
                "dst",
                Formula::Is(Atom::Answers(nets(&["127.0.0.0/8", "0.0.0.0/32", "::1/128", "::/128"]))),
            ),
            ("to_linklocal", "dst", Formula::Is(Atom::Answers(nets(&["169.254.0.0/16", "fe80::/10"])))),
            ("CONNECT", "method", method("CONNECT")),
        ];
        let acl = |kind: &str, formula| Acl {
            kind: kind.to_owned(),
            values: vec![formula],
            unknown: None,
            looks_back: false,
        };
        Acls(built_in.into_iter().map(|(name, kind, formula)| (name.to_owned(), acl(kind, formula))).collect())
    }

    /// The list of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Acl> {
        self.0.get(name)
    }

    /// Take in one `acl` line.
    pub(super) fn define(
        &mut self,
        line: &[Word],
        spot: &Spot,
        read: &mut dyn FnMut(&str) -> Result<Vec<SourceFile>, String>,
        told: &mut Vec<Told>,
    ) {
        let [name, kind, values @ ..] = line else {
            return told.push(spot.dropped("this is no whole `acl` line", "mend it: `acl NAME TYPE VALUE`"));
        };
        let many: usize = self.0.values().map(|acl| acl.values.len()).sum();
        let acl = self.0.entry(name.text.clone()).or_insert_with(|| Acl {
            kind: kind.text.clone(),
            values: Vec::new(),
            unknown: None,
            looks_back: kind.text == "dstdomain",
        });
        if acl.kind != kind.text {
            acl.lost(format!("`{}` is of two types", plain(&name.text)));
            return;
        }
        let mut flags = true;
        for value in values {
            match value.text.as_str() {
                flag if flags && !value.quoted && flag.starts_with('-') => match flag {
                    "--" => flags = false,
                    "-n" if kind.text == "dstdomain" => acl.looks_back = false,
                    "-i" => {}
                    other => acl.lost(format!(
                        "the flag `{}` of `acl {}` is not understood",
                        plain(other),
                        plain(&name.text)
                    )),
                },
                path if value.quoted => match read(path) {
                    Ok(files) => files.iter().for_each(|file| acl.values_of(file, many, told)),
                    Err(why) => acl.lost(format!("the file `{}` cannot be read: {why}", plain(path))),
                },
                text => acl.value(text, spot, told),
            }
        }
    }
}

impl Acl {
    /// What it asks: one of its values.
    pub(super) fn formula(&self) -> Formula {
        let unknown = self.unknown.iter().map(|_| Formula::Unknown);
        let mut merged: Vec<Formula> = Vec::new();
        for value in &self.values {
            // Lists of a hundred thousand names are one atom, not as many.
            let same = match (merged.last_mut(), value) {
                (Some(Formula::Is(Atom::Hosts(known))), Formula::Is(Atom::Hosts(more))) => extend(known, more),
                (Some(Formula::Is(Atom::Ports(known))), Formula::Is(Atom::Ports(more))) => extend(known, more),
                (Some(Formula::Is(Atom::Sources(known))), Formula::Is(Atom::Sources(more))) => extend(known, more),
                (Some(Formula::Is(Atom::Answers(known))), Formula::Is(Atom::Answers(more))) => extend(known, more),
                (Some(Formula::Is(Atom::Http(known))), Formula::Is(Atom::Http(more))) => {
                    *known = format!("{known} || {more}");
                    true
                }
                (Some(_) | None, _) => false,
            };
            if !same {
                merged.push(value.clone());
            }
        }
        Formula::Any(merged.into_iter().chain(unknown).collect())
    }

    fn lost(&mut self, why: String) {
        self.unknown.get_or_insert(why);
    }

    fn values_of(&mut self, file: &SourceFile, many: usize, told: &mut Vec<Told>) {
        let text = String::from_utf8_lossy(&file.text);
        for (at, line) in text.lines().enumerate() {
            if many + self.values.len() >= VALUES_MAX {
                return self.lost(format!("there are more than {VALUES_MAX} values"));
            }
            for word in words(line) {
                self.value(&word.text, &Spot::new(&file.name, at + 1, line), told);
            }
        }
    }

    fn value(&mut self, text: &str, spot: &Spot, told: &mut Vec<Told>) {
        let found = match self.kind.as_str() {
            "dstdomain" => domain(text),
            "port" => port(text),
            "src" => {
                networks(text).map(|found| found.map_or(Formula::Always, |found| Formula::Is(Atom::Sources(found))))
            }
            "dst" => {
                networks(text).map(|found| found.map_or(Formula::Always, |found| Formula::Is(Atom::Answers(found))))
            }
            "method" => Some(method(text)),
            kind => {
                self.unknown.get_or_insert_with(|| {
                    format!("`{}` is of the type `{}`, which no field of a rule says", plain(&spot.text), plain(kind))
                });
                return;
            }
        };
        match found {
            Some(formula) => self.values.push(formula),
            None if self.kind == "dstdomain" => {
                // Nobody can ask for it here, so that neither an allow nor a deny of it changes anything.
                told.push(spot.dropped(
                    format!("`{}` is no host that can be asked for", plain(text)),
                    "write the name, or `.` and the name",
                ));
            }
            None => self.lost(format!("`{}` is not understood as a value of `{}`", plain(text), self.kind)),
        }
    }
}

fn extend<T: Clone>(known: &mut Vec<T>, more: &[T]) -> bool {
    known.extend_from_slice(more);
    true
}

/// `.x` is `x` and everything below it.
fn domain(text: &str) -> Option<Formula> {
    let (base, below) = match text.strip_prefix('.') {
        Some(base) => (base, true),
        None => (text, false),
    };
    match Host::parse(base.as_bytes()).ok()? {
        Host::Name(name) => {
            let mut patterns = vec![HostPattern::Exact((*name).into())];
            if below {
                patterns.push(HostPattern::Below((*name).into()));
            }
            Some(Formula::Is(Atom::Hosts(patterns)))
        }
        Host::Ip(ip) if !below => {
            let literal = Formula::Is(Atom::Text(format!("destination.host == {}", quoted(&ip.to_string()))));
            Some(Formula::All(vec![literal, Formula::Is(Atom::Answers(vec![ip.into()]))]))
        }
        Host::Ip(_) => None,
    }
}

fn port(text: &str) -> Option<Formula> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to): (u16, u16) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then(|| Formula::Is(Atom::Ports(vec![(from, to)])))
}

fn method(text: &str) -> Formula {
    match text {
        "CONNECT" => Formula::Is(Atom::Text("request.protocol == \"connect\"".to_owned())),
        other => Formula::Is(Atom::Http(format!("request.method == {}", quoted(&plain(other))))),
    }
}

/// `Some(None)`: every address. A name, which Squid would resolve when it starts, is not understood.
fn networks(text: &str) -> Option<Option<Vec<IpNet>>> {
    match text {
        "all" => return Some(None),
        "ipv4" => return Some(Some(vec!["0.0.0.0/0".parse().ok()?])),
        "ipv6" => return Some(Some(vec!["::/0".parse().ok()?])),
        _ => {}
    }
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    if let Some((from, to)) = address.split_once('-') {
        return match (prefix, from.parse().ok()?, to.parse().ok()?) {
            (None, std::net::IpAddr::V4(from), std::net::IpAddr::V4(to)) => {
                Some(Some(Ipv4Subnets::new(from, to, 0).map(IpNet::V4).collect()))
            }
            (None, std::net::IpAddr::V6(from), std::net::IpAddr::V6(to)) => {
                Some(Some(Ipv6Subnets::new(from, to, 0).map(IpNet::V6).collect()))
            }
            (Some(_), _, _)
            | (None, std::net::IpAddr::V4(_), std::net::IpAddr::V6(_))
            | (None, std::net::IpAddr::V6(_), std::net::IpAddr::V4(_)) => None,
        };
    }
    let ip: std::net::IpAddr = address.parse().ok()?;
    let network = match prefix {
        None => IpNet::from(ip),
        Some(bits) => match bits.parse::<u8>() {
            Ok(bits) => IpNet::new(ip, bits).ok()?,
            Err(_) => IpNet::with_netmask(ip, bits.parse().ok()?).ok()?,
        },
    };
    Some(Some(vec![network.trunc()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_in_every_form_and_names_are_not() {
        let read =
            |text| networks(text).map(|found| found.map(|list| list.iter().map(IpNet::to_string).collect::<Vec<_>>()));
        assert_eq!(read("10.1.2.3"), Some(Some(vec!["10.1.2.3/32".into()])));
        assert_eq!(read("10.1.2.3/255.255.0.0"), Some(Some(vec!["10.1.0.0/16".into()])));
        assert_eq!(read("10.0.0.4-10.0.0.9"), Some(Some(vec!["10.0.0.4/30".into(), "10.0.0.8/31".into()])));
        assert_eq!(read("all"), Some(None));
        for text in ["intranet.example", "10.0.0.0-10.1.0.0/16", "10.0.0.0/33", "10.0.0.0/255.0.255.0", "1-::1"] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_leading_dot_is_the_apex_and_below() {
        let Some(Formula::Is(Atom::Hosts(found))) = domain(".Example.com") else { panic!("no hosts") };
        assert_eq!(found.iter().map(HostPattern::to_string).collect::<Vec<_>>(), ["example.com", "**.example.com"]);
        let Some(Formula::Is(Atom::Hosts(found))) = domain("example.com") else { panic!("no hosts") };
        assert_eq!(found.iter().map(HostPattern::to_string).collect::<Vec<_>>(), ["example.com"]);
        assert_eq!((domain("*.example.com"), domain(".10.0.0.1"), domain("")), (None, None, None));
    }
}
