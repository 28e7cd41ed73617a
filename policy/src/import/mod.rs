//! Foreign access lists to a bundle of this language, and word of everything that could not be carried over.
//!
//! Nothing is ever widened: what is not understood takes access away, and is told. What stands in the source as an
//! order of lines becomes sets, so that what an earlier line took from a later one is written into the later rule.

mod told;

mod draft;

mod write;

mod formula;

mod cel;

mod rules;

mod tree;

mod smokescreen;

mod squid;

mod envoy;

use jiff::{SignedDuration, Timestamp};

pub use envoy::envoy;
pub use smokescreen::smokescreen;
pub use squid::squid;
pub use told::{Kind, Told};

use crate::pattern::IdentityPattern;
use crate::source::SourceFile;

/// What a source does not say and a rule must.
#[derive(Clone, Debug)]
pub struct Options {
    /// When the import is made: `issued` of every rule.
    pub now: Timestamp,
    /// How long every permission lives from then.
    pub expires_in: SignedDuration,
    /// Who answers for what the source names nobody for.
    pub owner: Option<String>,
    /// How a name of the source becomes an identity.
    pub identity: Template,
    /// The ports of rules whose source names none.
    pub ports: Ports,
    /// The classes of data that imported rules take.
    pub data_classes: Vec<String>,
}

/// The ports of rules whose source names none.
#[derive(Clone, Debug)]
pub enum Ports {
    /// Nobody has chosen: those of the web, and a word about it.
    Usual,
    /// These.
    Chosen(Vec<u16>),
}

impl Ports {
    fn list(&self) -> &[u16] {
        match self {
            Ports::Usual => &[80, 443],
            Ports::Chosen(ports) => ports,
        }
    }
}

/// How a name of the source becomes an identity: a pattern with the one capture `{service}`.
#[derive(Clone, Debug)]
pub struct Template(IdentityPattern);

const HOLE: &str = "{service}";

impl Template {
    /// Parse a template such as `spiffe://corp.example/ns/{service}/**`; on failure what is wrong, and how to mend it.
    pub fn parse(text: &str) -> Result<Template, (String, String)> {
        let pattern = IdentityPattern::parse(text)?;
        let captures: Vec<&str> = pattern.captures().collect();
        if captures != ["service"] {
            let help = "write `{service}` once, as a whole segment: `token:{service}`".to_owned();
            return Err((format!("`{text}` does not say where the name stands"), help));
        }
        Ok(Template(pattern))
    }

    /// The identity of this name, if it can be one.
    fn of(&self, name: &str) -> Option<IdentityPattern> {
        let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) && !name.is_empty();
        plain.then(|| IdentityPattern::parse(&self.0.to_string().replace(HOLE, name)).ok()).flatten()
    }

    /// Every identity of this form.
    fn all(&self) -> Option<IdentityPattern> {
        IdentityPattern::parse(&self.0.to_string().replace(HOLE, "*")).ok()
    }
}

/// What came of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The files of the bundle; none if nothing could be carried over.
    pub files: Vec<SourceFile>,
    /// How many rules they hold, guardrails included.
    pub rules: usize,
    /// What was not carried over, or not whole, by file and line; notes among it.
    pub told: Vec<Told>,
}

impl Imported {
    fn of(files: Vec<SourceFile>, rules: usize, mut told: Vec<Told>) -> Imported {
        told.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
        Imported { files, rules, told }
    }

    /// Whether anything that the source said is missing from the bundle.
    pub fn is_whole(&self) -> bool {
        self.told.iter().all(|told| told.kind == Kind::Note)
    }
}
