//! What a permission asks: of the host, the port, the server name, the path, the destination's address.

use super::super::formula::{Atom, Formula};
use super::super::told::Spot;
use super::super::tree;
use super::Asked;
use super::texts::{self, Match};
use crate::desugar::quoted;
use crate::host::Host;
use crate::pattern::HostPattern;
use crate::source::{Node, SourceFile};

/// One permission.
pub(super) fn asked(node: &Node<'_>, file: &SourceFile) -> Asked {
    let mut reading = Reading { file, told: Vec::new() };
    let formula = reading.permission(node);
    Asked { formula, told: reading.told }
}

struct Reading<'a> {
    file: &'a SourceFile,
    told: Vec<(Spot, String, &'static str)>,
}

const HAND: &str = "write the rule by hand, with names instead";

impl Reading<'_> {
    fn permission(&mut self, node: &Node<'_>) -> Formula {
        let [(key, value)] = tree::fields(node) else {
            return self.unknown(node, "a permission has exactly one field".to_owned(), "mend it");
        };
        match &*key.text {
            "any" => Formula::Always,
            "and_rules" => Formula::All(self.several(value)),
            "or_rules" => Formula::Any(self.several(value)),
            "not_rule" => self.permission(value).not(),
            "header" => self.header(value),
            "url_path" => self.path(value),
            "destination_port" => self.ports(value, value, 0),
            "destination_port_range" => match (tree::field(value, "start"), tree::field(value, "end")) {
                // The end is not part of the range.
                (Some(start), Some(end)) => self.ports(start, end, 1),
                (Some(_) | None, _) => self.unknown(value, "the range has no two ends".to_owned(), "mend it"),
            },
            "destination_ip" => match texts::network(value) {
                Some(network) => Formula::Is(Atom::Answers(vec![network])),
                None => self.unknown(value, "this is no network".to_owned(), "mend it"),
            },
            "requested_server_name" => self.server_name(value),
            other => {
                self.unknown(value, format!("`{other}` is nothing that this language asks of a destination"), HAND)
            }
        }
    }

    fn several(&mut self, node: &Node<'_>) -> Vec<Formula> {
        tree::items(tree::field(node, "rules")).iter().map(|item| self.permission(item)).collect()
    }

    fn unknown(&mut self, node: &Node<'_>, why: String, help: &'static str) -> Formula {
        self.told.push((tree::spot(self.file, node), why, help));
        Formula::Unknown
    }

    fn ports(&mut self, start: &Node<'_>, end: &Node<'_>, beyond: u16) -> Formula {
        let number = |node: &Node<'_>| tree::text(node).and_then(|text| text.parse::<u32>().ok());
        let ends = number(start).zip(number(end).and_then(|end| end.checked_sub(u32::from(beyond))));
        let ends = ends.and_then(|(from, to)| Some((u16::try_from(from).ok()?, u16::try_from(to).ok()?)));
        match ends {
            Some((from, to)) if from <= to => Formula::Is(Atom::Ports(vec![(from, to)])),
            Some(_) | None => self.unknown(start, "this is no port, or no range of ports".to_owned(), "mend it"),
        }
    }

    fn header(&mut self, node: &Node<'_>) -> Formula {
        let name = tree::field(node, "name").and_then(tree::text).unwrap_or_default().to_ascii_lowercase();
        let formula = match name.as_str() {
            ":authority" | "host" => self.authority(node),
            ":path" => self.whole_path(node),
            ":method" => match texts::matcher(node) {
                Match::Exact(text) if text == "CONNECT" => {
                    Formula::Is(Atom::Text("request.protocol == \"connect\"".to_owned()))
                }
                Match::Exact(text) => plain_http(&format!("request.method == {}", quoted(&text))),
                Match::Prefix(_) | Match::Suffix(_) | Match::Contains(_) | Match::Other(_) => {
                    self.unknown(node, "a method is compared as a whole here".to_owned(), HAND)
                }
            },
            other => {
                let why = format!("the header `{other}` is not seen inside a tunnel");
                self.unknown(
                    node,
                    why,
                    "on plain HTTP: write `request.protocol == \"http\" && request.headers[…]` as `when`",
                )
            }
        };
        match tree::field(node, "invert_match").and_then(tree::text) {
            Some("true") => formula.not(),
            Some(_) | None => formula,
        }
    }

    /// A host, with or without a port. Without one it is the scheme's own port that is meant.
    fn authority(&mut self, node: &Node<'_>) -> Formula {
        let found = match texts::matcher(node) {
            Match::Exact(text) => {
                let (host, port) = split(&text);
                literal_or_name(host).map(|host| (host, port))
            }
            Match::Suffix(text) => {
                let (host, port) = split(&text);
                if !host.starts_with('.') {
                    let why = "the suffix does not begin with a dot, and so also means names like `evil-example.com`";
                    return self.unknown(
                        node,
                        why.to_owned(),
                        "name the apex with `exact`, and what is below with a suffix that begins with a dot",
                    );
                }
                HostPattern::parse(&format!("**{host}"))
                    .ok()
                    .map(|pattern| (Formula::Is(Atom::Hosts(vec![pattern])), port))
            }
            Match::Prefix(text) if text.ends_with(':') => {
                literal_or_name(text.trim_end_matches(':')).map(|host| (host, None))
            }
            Match::Prefix(_) => {
                return self.unknown(node, "a prefix of a host means names under every domain".to_owned(), HAND);
            }
            Match::Contains(_) => {
                return self.unknown(node, "a part of a host means names under every domain".to_owned(), HAND);
            }
            Match::Other(how) => return self.unknown(node, format!("hosts are not compared by `{how}` here"), HAND),
        };
        match found {
            Some((host, None)) => host,
            Some((host, Some(port))) => Formula::All(vec![host, Formula::Is(Atom::Ports(vec![(port, port)]))]),
            None => self.unknown(node, "this is no host name".to_owned(), "write it in its canonical form"),
        }
    }

    /// The name in the ClientHello.
    fn server_name(&mut self, node: &Node<'_>) -> Formula {
        let pattern = match texts::matcher(node) {
            Match::Exact(text) => HostPattern::parse(&text.to_ascii_lowercase()),
            Match::Suffix(text) if text.starts_with('.') => {
                HostPattern::parse(&format!("**{}", text.to_ascii_lowercase()))
            }
            Match::Suffix(_) | Match::Prefix(_) | Match::Contains(_) => {
                return self.unknown(node, "server names are compared by whole labels here".to_owned(), HAND);
            }
            Match::Other(how) => {
                return self.unknown(node, format!("server names are not compared by `{how}` here"), HAND);
            }
        };
        match pattern {
            Ok(pattern) => Formula::Is(Atom::Sni(vec![pattern])),
            Err(_) => self.unknown(node, "this is no host name".to_owned(), "write it in its canonical form"),
        }
    }

    fn path(&mut self, node: &Node<'_>) -> Formula {
        let inner = tree::field(node, "path").unwrap_or(node);
        if texts::ignores_case(inner) {
            return self.unknown(inner, "paths differ by case here".to_owned(), HAND);
        }
        match texts::matcher(inner) {
            Match::Exact(text) => plain_http(&format!("request.path == {}", quoted(&text))),
            Match::Prefix(text) => plain_http(&format!("request.path.startsWith({})", quoted(&text))),
            Match::Suffix(text) => plain_http(&format!("request.path.endsWith({})", quoted(&text))),
            Match::Contains(text) => plain_http(&format!("request.path.contains({})", quoted(&text))),
            Match::Other(how) => self.unknown(
                inner,
                format!("paths are not compared by `{how}` here"),
                "write it as `when` with `matches`",
            ),
        }
    }

    /// `:path` has the query behind it: only its beginning says the same here.
    fn whole_path(&mut self, node: &Node<'_>) -> Formula {
        match texts::matcher(node) {
            Match::Prefix(text) if !text.contains('?') && !texts::ignores_case(node) => {
                plain_http(&format!("request.path.startsWith({})", quoted(&text)))
            }
            Match::Exact(_) | Match::Prefix(_) | Match::Suffix(_) | Match::Contains(_) | Match::Other(_) => self
                .unknown(
                    node,
                    "`:path` is the path with its query".to_owned(),
                    "compare `url_path`, or write `request.path` and `request.query` as `when`",
                ),
        }
    }
}

fn plain_http(condition: &str) -> Formula {
    Formula::Is(Atom::Http(condition.to_owned()))
}

fn split(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        Some(_) | None => (text, None),
    }
}

fn literal_or_name(text: &str) -> Option<Formula> {
    match Host::parse(text.as_bytes()).ok()? {
        Host::Name(name) => Some(Formula::Is(Atom::Hosts(vec![HostPattern::Exact((*name).into())]))),
        Host::Ip(ip) => {
            let literal = Formula::Is(Atom::Text(format!("destination.host == {}", quoted(&ip.to_string()))));
            Some(Formula::All(vec![literal, Formula::Is(Atom::Answers(vec![ip.into()]))]))
        }
    }
}
