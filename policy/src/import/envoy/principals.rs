//! Who a principal is: a name in a certificate, or an address.

use super::super::formula::{Atom, Formula};
use super::super::told::Spot;
use super::super::tree;
use super::Asked;
use super::texts::{self, Match};
use crate::pattern::IdentityPattern;
use crate::source::{Node, SourceFile};

/// One principal.
pub(super) fn asked(node: &Node<'_>, file: &SourceFile) -> Asked {
    let mut reading = Reading { file, told: Vec::new() };
    let formula = reading.principal(node);
    Asked { formula, told: reading.told }
}

struct Reading<'a> {
    file: &'a SourceFile,
    told: Vec<(Spot, String, &'static str)>,
}

const SPIFFE: &str = "write the whole SPIFFE ID, or a prefix that ends in `/`";

impl Reading<'_> {
    fn principal(&mut self, node: &Node<'_>) -> Formula {
        let [(key, value)] = tree::fields(node) else {
            return self.unknown(node, "a principal has exactly one field".to_owned(), "mend it");
        };
        match &*key.text {
            "any" => Formula::Always,
            "and_ids" => Formula::All(self.several(value)),
            "or_ids" => Formula::Any(self.several(value)),
            "not_id" => self.principal(value).not(),
            "authenticated" => match tree::field(value, "principal_name") {
                Some(name) => self.name(name),
                None => Formula::Is(Atom::Text("identity.method == \"mtls\"".to_owned())),
            },
            "source_ip" | "direct_remote_ip" => self.network(value),
            // Behind a proxy Envoy takes it from a header; only where there is none is it the client's own.
            "remote_ip" => self.network(value),
            other => self.unknown(
                value,
                format!("`{other}` is nothing that this language asks of a client"),
                "write the rule by hand",
            ),
        }
    }

    fn several(&mut self, node: &Node<'_>) -> Vec<Formula> {
        tree::items(tree::field(node, "ids")).iter().map(|item| self.principal(item)).collect()
    }

    fn unknown(&mut self, node: &Node<'_>, why: String, help: &'static str) -> Formula {
        self.told.push((tree::spot(self.file, node), why, help));
        Formula::Unknown
    }

    fn network(&mut self, node: &Node<'_>) -> Formula {
        match texts::network(node) {
            Some(network) => Formula::Is(Atom::Sources(vec![network])),
            None => self.unknown(node, "this is no network".to_owned(), "mend it"),
        }
    }

    fn name(&mut self, node: &Node<'_>) -> Formula {
        if texts::ignores_case(node) {
            return self.unknown(node, "identities differ by case here".to_owned(), SPIFFE);
        }
        let pattern = match texts::matcher(node) {
            Match::Exact(text) if text.starts_with("spiffe://") => IdentityPattern::parse(&text),
            // Envoy compares a DNS name where the certificate has no URI, the subject where it has neither.
            Match::Exact(text) if !text.contains('=') => IdentityPattern::parse(&format!("dns:{text}")),
            Match::Prefix(text) if text.starts_with("spiffe://") && text.ends_with('/') => {
                IdentityPattern::parse(&format!("{text}**"))
            }
            Match::Exact(_) => return self.unknown(node, "a subject is never an identity here".to_owned(), SPIFFE),
            Match::Prefix(_) | Match::Suffix(_) | Match::Contains(_) => {
                return self.unknown(node, "identities are compared by whole segments here".to_owned(), SPIFFE);
            }
            Match::Other(how) => {
                return self.unknown(node, format!("identities are not compared by `{how}` here"), SPIFFE);
            }
        };
        match pattern {
            Ok(pattern) => Formula::Is(Atom::Who(vec![pattern])),
            Err((message, _)) => self.unknown(node, message, SPIFFE),
        }
    }
}
