//! The keys of policy files: one table for the reference, for JSON Schema and for diagnostics.
//!
//! A test holds it to the readers in `document`: each reads the keys of its row and no others. Whoever adds a key to a
//! reader adds its row here.

mod bundle;
mod exceptions;
mod registry;
mod rules;
mod tests;

pub use crate::schema::Support;

/// A kind of file.
#[derive(Debug)]
pub struct Kind {
    /// The value of `kind`.
    pub name: &'static str,
    /// What it holds.
    pub doc: &'static str,
    /// Who usually writes it.
    pub owner: &'static str,
    /// What stands beside `apiVersion`, `kind` and `metadata`.
    pub body: &'static Mapping,
    /// Whether this version reads it.
    pub support: Support,
}

/// A mapping with known keys.
#[derive(Debug)]
pub struct Mapping {
    /// What diagnostics call it.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// Its keys, in groups that several mappings share.
    pub keys: &'static [&'static [Key]],
    /// What holds among its keys.
    pub bonds: &'static [Bond],
}

/// A key.
#[derive(Debug)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// Whether it may be left out.
    pub need: Need,
    /// What stands behind it.
    pub shape: Shape,
    /// What it says.
    pub doc: &'static str,
    /// A value, as YAML in one line.
    pub example: &'static str,
    /// Whether this version reads it.
    pub support: Support,
}

/// Whether a key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Never.
    Required,
    /// As far as the bonds of its mapping allow.
    Optional,
}

/// What stands behind a key.
#[derive(Debug)]
pub enum Shape {
    /// Text that says something.
    Text,
    /// Up to 63 letters, digits, `-`, `_` and `.`.
    Id,
    /// One of these words, without quotes.
    Word(&'static [&'static str]),
    /// `true` or `false`, without quotes.
    Boolean,
    /// `true`, without quotes.
    True,
    /// A number from 1 to 65535.
    Port,
    /// A whole number in this range.
    Number(u32, u32),
    /// RFC 3339 in UTC, with `Z`.
    Moment,
    /// `30s`, `5m`, `2h`, `90d`.
    Length,
    /// `64KiB`, `5GiB`.
    Size,
    /// A host name or pattern in its canonical spelling.
    Host,
    /// An id of an identity, or a pattern of ids.
    Identity,
    /// The same, of SPIFFE ids.
    SpiffeId,
    /// A network in CIDR form.
    Network,
    /// An IP address.
    Address,
    /// CEL.
    Condition,
    /// Text, or null.
    TextOrNull,
    /// A list of these that is never empty.
    List(&'static Shape),
    /// A list of these, or `[]`.
    Set(&'static Shape),
    /// A mapping.
    Map(&'static Mapping),
    /// A mapping with free keys, each to one of these.
    Entries(Names, &'static Shape),
    /// This, or the word `unknown`, which takes it away from what it is laid over.
    Given(&'static Shape),
    /// This word, without quotes, or this.
    WordOr(&'static str, &'static Shape),
}

/// What the keys of a free mapping are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// Labels: they are written `identity.labels.KEY` in expressions.
    Labels,
    /// Data classes.
    DataClasses,
    /// Containment modes.
    Modes,
    /// Header fields, in lower case.
    Headers,
}

/// What holds among the keys of a mapping.
#[derive(Debug)]
pub enum Bond {
    /// Exactly one of them is there.
    OneOf(&'static [&'static str]),
    /// At least one of them is.
    SomeOf(&'static [&'static str]),
    /// At most one of them is.
    NotBoth(&'static [&'static str]),
    /// Where a key has this value, these hold as well.
    Where(&'static str, &'static str, &'static [Bond]),
    /// All of these are there.
    Needs(&'static [&'static str]),
    /// None of these is there.
    Bars(&'static [&'static str]),
    /// In the mapping behind a key, these hold as well.
    Within(&'static str, &'static [Bond]),
}

/// The version that files of this language name.
pub const VERSION: &str = "gatepass/v1";

/// Every kind of file, in the order of the documentation.
pub static KINDS: &[Kind] = &[
    Kind {
        name: "Bundle",
        doc: "Data classes, the longest lifetimes, containment modes, the terms of overrides, and each team's fragment \
              with the scope it is granted. A bundle has one.",
        owner: "the platform",
        body: &bundle::BUNDLE,
        support: Support::Built,
    },
    Kind {
        name: "Workloads",
        doc: "Identities, and patterns of identities, to labels and data classes. The most specific entry counts.",
        owner: "the platform",
        body: &registry::WORKLOADS,
        support: Support::Built,
    },
    Kind {
        name: "Destinations",
        doc: "Hosts to tags, and named sets of networks.",
        owner: "the platform",
        body: &registry::DESTINATIONS,
        support: Support::Built,
    },
    Kind {
        name: "Guardrails",
        doc: "Deny rules over everything.",
        owner: "the platform",
        body: &rules::GUARDRAILS,
        support: Support::Built,
    },
    Kind {
        name: "Fragment",
        doc: "A team's allow and deny rules. What lies outside the scope that the bundle grants it is a load error.",
        owner: "a team",
        body: &rules::FRAGMENT,
        support: Support::Built,
    },
    Kind {
        name: "Exceptions",
        doc: "Exceptions that were approved: each lifts one guardrail, or permits within one fragment's scope.",
        owner: "the platform",
        body: &exceptions::EXCEPTIONS,
        support: Support::Built,
    },
    Kind {
        name: "Tests",
        doc: "Facts and what is expected of the policy on them at a moment that is written down; invariants.",
        owner: "anyone",
        body: &tests::TESTS,
        support: Support::Built,
    },
];

/// What every file begins with.
pub static HEADER: Mapping = Mapping {
    name: "a policy file",
    doc: "What every file begins with.",
    keys: &[&[
        required("apiVersion", Shape::Word(&[VERSION]), "The version of this language.", "gatepass/v1"),
        required(
            "kind",
            Shape::Word(&["Bundle", "Workloads", "Destinations", "Guardrails", "Fragment", "Exceptions", "Tests"]),
            "What the file holds.",
            "Fragment",
        ),
        required("metadata", Shape::Map(&METADATA), "Its name, and who answers for it.", "{id: payments}"),
    ]],
    bonds: &[],
};

static METADATA: Mapping = Mapping {
    name: "`metadata`",
    doc: "The file's name, and who answers for it.",
    keys: &[&[
        required(
            "id",
            Shape::Id,
            "The first part of the path of everything in the file; no two files share one.",
            "payments",
        ),
        optional("owner", Shape::Text, "Who answers for its rules, unless a rule says otherwise.", "team@corp.example"),
    ]],
    bonds: &[],
};

impl Mapping {
    /// Its keys.
    pub fn all(&self) -> impl Iterator<Item = &'static Key> {
        self.keys.iter().flat_map(|group| group.iter())
    }
}

impl Shape {
    /// The mapping that it leads to, through lists and words.
    pub fn mapping(&self) -> Option<&'static Mapping> {
        match self {
            Shape::Map(mapping) => Some(mapping),
            Shape::List(of) | Shape::Set(of) | Shape::Entries(_, of) | Shape::Given(of) | Shape::WordOr(_, of) => {
                of.mapping()
            }
            Shape::Text
            | Shape::Id
            | Shape::Word(_)
            | Shape::Boolean
            | Shape::True
            | Shape::Port
            | Shape::Number(..)
            | Shape::Moment
            | Shape::Length
            | Shape::Size
            | Shape::Host
            | Shape::Identity
            | Shape::SpiffeId
            | Shape::Network
            | Shape::Address
            | Shape::Condition
            | Shape::TextOrNull => None,
        }
    }
}

/// Every mapping, each once, the outer before the inner.
pub fn mappings() -> Vec<&'static Mapping> {
    below(std::iter::once(&HEADER).chain(KINDS.iter().map(|kind| kind.body)).collect())
}

/// These and all that they lead to.
fn below(mut found: Vec<&'static Mapping>) -> Vec<&'static Mapping> {
    let mut at = 0;
    while let Some(mapping) = found.get(at).copied() {
        for inner in mapping.all().filter_map(|key| key.shape.mapping()) {
            if !found.iter().any(|known| std::ptr::eq(*known, inner)) {
                found.push(inner);
            }
        }
        at += 1;
    }
    found
}

/// Where else a key is at home, for whoever wrote it in this mapping: of a test among those of tests, otherwise among
/// those of what is decided by.
pub(crate) fn home_of(key: &str, written_in: &str) -> Option<&'static str> {
    let of_tests = below(vec![&tests::TESTS]);
    let among = if of_tests.iter().any(|mapping| mapping.name == written_in) {
        of_tests
    } else {
        below(KINDS.iter().filter(|kind| kind.name != "Tests").map(|kind| kind.body).collect())
    };
    let mut homes = among.into_iter().filter(|mapping| mapping.all().any(|known| known.name == key));
    let home = homes.next()?;
    // A word that stands in many places helps nobody find the one that was meant.
    homes.all(|other| other.name == home.name).then_some(home.name)
}

const fn required(name: &'static str, shape: Shape, doc: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::Required, shape, doc, example, support: Support::Built }
}

const fn optional(name: &'static str, shape: Shape, doc: &'static str, example: &'static str) -> Key {
    Key { name, need: Need::Optional, shape, doc, example, support: Support::Built }
}
