//! Operators: who may use the admin API, what proves it is they, and what they may do.
//!
//! They stand under `admin.operators`, or in a file of their own that is read again at each reload.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

use jiff::Timestamp;

use crate::listeners;
use crate::node::{self, Node, Value};
use crate::problem::{Excerpts, Findings, Problem, Problems};
use crate::reading::{self, Reading, each_once, optional};

mod base32;

mod credentials;

pub use base32::{decode as base32_decoded, encode as base32_encoded};
pub use credentials::{Certificate, Hash, Subject, TotpSecret};

/// Bounds the memory that a mistaken path can take: some thousand operators.
const FILE_MAX: usize = 1024 * 1024;

/// The longest name of a person, an address or a subject.
const TEXT_MAX: usize = 128;

/// One operator. `Debug` shows no secret and no hash of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// Unique; what records call whoever showed the credentials of this entry.
    pub name: String,
    /// Who that is, in lower case: entries of one person count as one person wherever two are needed.
    pub person: String,
    /// What the operator may do; never empty.
    pub roles: Vec<Role>,
    /// Valid while now is before this.
    pub expires: Timestamp,
    /// SHA-256 of a token.
    pub sha256: Option<Hash>,
    /// Client certificates, any of which will do.
    pub certificates: Vec<Certificate>,
    /// The subject of an ID token.
    pub oidc: Option<Subject>,
    /// The secret of one-time codes.
    pub totp: Option<TotpSecret>,
}

/// What an operator may do. Every role may also read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Read: decisions, tunnels, policy, grants, exceptions, the mode.
    Viewer,
    /// Approve or refuse what others ask for.
    Approver,
    /// Ask for grants, and set the mode.
    Breaker,
}

/// Every role with the word for it.
pub const ROLES: [(&str, Role); 3] =
    [("viewer", Role::Viewer), ("approver", Role::Approver), ("breaker", Role::Breaker)];

impl Role {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Viewer => "viewer",
            Role::Approver => "approver",
            Role::Breaker => "breaker",
        }
    }
}

impl Operator {
    /// Whether the operator may do what this role is for.
    pub fn may(&self, role: Role) -> bool {
        match role {
            Role::Viewer => true,
            Role::Approver | Role::Breaker => self.roles.contains(&role),
        }
    }
}

/// The kinds of credentials that the admin listener asks for. One that it does not ask for is a mistake in an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Means {
    /// `admin.tls.client_ca` is there.
    pub certificates: Asked,
    /// `admin.oidc` is there.
    pub oidc: Asked,
}

/// Whether a kind of credential is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It is.
    Yes,
    /// Nothing would ever look at it.
    No,
}

/// Read a file of operators again, for a reload. Warnings come with them.
pub fn read(path: &Path, now: Timestamp, means: Means) -> Result<(Vec<Operator>, Vec<Problem>), Problems> {
    let mut found = Findings::default();
    let operators = read_into(path, now, means, &mut found);
    found.close(operators, path)
}

pub(crate) fn read_into(path: &Path, now: Timestamp, means: Means, found: &mut Findings) -> Option<Vec<Operator>> {
    let text = match reading::read_text(path, FILE_MAX) {
        Ok(text) => text,
        Err(problems) => {
            problems.into_vec().into_iter().for_each(|problem| found.push(problem));
            return None;
        }
    };
    let before = found.count();
    // It may hold secrets of one-time codes, and somebody will put a token in the place of its hash.
    let root = node::parse(path, text, Excerpts::Withheld, found);
    if root.is_none() && found.count() == before {
        found.push(Problem::of_file(path, "the file is empty; write `[]` for no operators"));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    convert(&root?, means, &mut Reading { directory, now, found })
}

pub(crate) fn convert(node: &Node, means: Means, reading: &mut Reading<'_>) -> Option<Vec<Operator>> {
    let items = reading.list(node)?;
    let mut seen = Seen::default();
    let mut operators = Vec::new();
    for item in items {
        let Some(operator) = operator(item, means, reading) else { continue };
        for message in seen.again(&operator) {
            reading.found.error(&item.place, message);
        }
        operators.push(operator);
    }
    (operators.len() == items.len()).then_some(operators)
}

/// What may stand in one entry only: otherwise nobody could tell who showed it.
#[derive(Default)]
struct Seen {
    /// Who is meant by what somebody is called, as an operator or as a person, in lower case.
    people: HashMap<String, String>,
    names: HashSet<String>,
    tokens: HashSet<Hash>,
    certificates: HashSet<Certificate>,
    subjects: HashSet<String>,
}

impl Seen {
    fn again(&mut self, operator: &Operator) -> Vec<String> {
        let name = &operator.name;
        let mut messages = Vec::new();
        if !self.names.insert(name.clone()) {
            messages.push(format!("two operators are called `{name}`"));
        }
        // The policy names approvers by either: `bob` must not be one person by name and another as a person.
        for called in [name.to_ascii_lowercase(), operator.person.clone()] {
            let known = self.people.entry(called.clone()).or_insert_with(|| operator.person.clone());
            if *known != operator.person {
                let other = known.clone();
                messages.push(format!("`{called}` would be both `{other}` and `{}`: call them apart", operator.person));
            }
        }
        if operator.sha256.is_some_and(|hash| !self.tokens.insert(hash)) {
            messages.push(format!("`{name}` has the hash of another operator: nobody could tell them apart"));
        }
        for certificate in &operator.certificates {
            if !self.certificates.insert(certificate.clone()) {
                messages.push(format!("`{name}` has a certificate of another operator: nobody could tell them apart"));
            }
        }
        let subject = operator.oidc.as_ref();
        let texts = subject.into_iter().flat_map(|it| {
            let subject = it.subject.iter().map(|text| format!("subject {text}"));
            subject.chain(it.email.iter().map(|text| format!("email {text}")))
        });
        for text in texts {
            if !self.subjects.insert(text) {
                messages.push(format!("`{name}` has the `oidc` of another operator: nobody could tell them apart"));
            }
        }
        messages
    }
}

fn operator(node: &Node, means: Means, reading: &mut Reading<'_>) -> Option<Operator> {
    let [name, person, roles, expires, sha256, certificates, oidc, totp] =
        reading.fields(node, ["name", "person", "roles", "expires", "sha256", "certificates", "oidc", "totp"])?;
    let name = reading.required(node, name, "name").and_then(|node| listeners::name(node, reading));
    let person = optional(person, reading, self::person);
    let roles = optional(roles, reading, |node, reading| {
        each_once(node, reading, |node, reading| reading.choice(node, &ROLES))
    });
    let expires_at = reading.required(node, expires, "expires").and_then(|node| reading.timestamp(node));
    let unasked = |entry: Option<&node::Entry>, asked: Asked, help: &str, reading: &mut Reading<'_>| match entry {
        Some(entry) if asked == Asked::No => {
            let message = format!("`{}` is given, but nothing asks for it", entry.name);
            reading.found.error_with_help(&entry.place, message, help);
        }
        Some(_) | None => {}
    };
    unasked(certificates, means.certificates, "give `admin.tls` with a `client_ca`", reading);
    unasked(oidc, means.oidc, "give `admin.oidc` with an `issuer`", reading);
    let without = sha256.is_none() && certificates.is_none() && oidc.is_none();
    if without {
        let message = format!("{} has neither `sha256` nor `certificates` nor `oidc`", reading::owner_of(node));
        reading.found.error_with_help(&node.place, message, "give one: nobody could show that it is they");
    }
    let sha256 = optional(sha256, reading, credentials::token);
    let certificates =
        optional(certificates, reading, |node, reading| each_once(node, reading, credentials::certificate));
    let oidc = optional(oidc, reading, credentials::subject);
    let totp = optional(totp, reading, credentials::totp);
    if let (Some(name), Some(end), Some(entry)) = (&name, expires_at, expires)
        && end <= reading.now
    {
        let help = "whoever shows its credentials is refused; renew it, or take it out";
        reading.found.warning(&entry.node.place, format!("the operator `{name}` expired on {end}"), help);
    }
    let name = name?;
    let operator = Operator {
        person: person?.unwrap_or_else(|| name.to_ascii_lowercase()),
        name,
        roles: roles?.unwrap_or_else(|| vec![Role::Viewer]),
        expires: expires_at?,
        sha256: sha256?,
        certificates: certificates?.unwrap_or_default(),
        oidc: oidc?,
        totp: totp?,
    };
    (!without).then_some(operator)
}

/// In lower case, so that `Alice@Example.com` does not become a second person who approves what the first one asks for.
fn person(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    reading.parsed(node, "a person: 1 to 128 letters, digits, `-`, `_`, `.`, `+` and `@`", |text| {
        is_person(text).then(|| text.to_ascii_lowercase())
    })
}

/// Whether this may stand for a person.
pub fn is_person(text: &str) -> bool {
    (1..=TEXT_MAX).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '@'))
}

/// Whether this may be an operator's name.
pub fn is_name(text: &str) -> bool {
    listeners::is_name(text)
}

/// The text of a scalar whose words no problem repeats.
fn withheld_text<'n>(node: &'n Node, reading: &mut Reading<'_>) -> Option<&'n str> {
    match &node.value {
        Value::Scalar(text, _) if !text.is_empty() => Some(text),
        Value::Refused => None,
        Value::Scalar(..) | Value::Map(_) | Value::List(_) => {
            reading.found.error(&node.place, format!("{} is not text", reading::owner_of(node)));
            None
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
