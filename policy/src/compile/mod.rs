//! Files to a `PolicySet`, or every reason why not.

mod exceptions;
mod lifetime;
mod rules;
mod scope;
mod when;

pub(crate) use when::condition;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::catalogue::Catalogue;
use crate::diagnostic::{At, Diagnostic, Place, Report};
use crate::document::bundle::{Bundle, Reach};
use crate::document::catalogue::CidrSet;
use crate::document::exceptions::RawException;
use crate::document::rules::{Book, RawRule};
use crate::document::workloads::Workload;
use crate::document::{self, Body, Document};
use crate::limits::Limits;
use crate::overrides::Override;
use crate::registry::{Registry, UNCLASSIFIED};
use crate::rule::Rule;
use crate::set::PolicySet;
use crate::source::{self, SourceFile};
use crate::terms::Terms;

/// A bundle that can be used.
#[derive(Debug)]
pub struct Compiled {
    /// The policy.
    pub set: PolicySet,
    /// What somebody should look at all the same.
    pub warnings: Vec<Diagnostic>,
}

/// Compile the files of one bundle, in any order. `now` is what lifetimes are measured from.
///
/// # Errors
///
/// Every problem of the bundle, in the order of files and lines, warnings behind the errors.
pub fn compile(files: &[SourceFile], now: Timestamp) -> Result<Compiled, Vec<Diagnostic>> {
    compile_within(files, now, &Limits::STANDARD)
}

/// Compile within other bounds.
///
/// # Errors
///
/// As `compile`.
pub fn compile_within(files: &[SourceFile], now: Timestamp, limits: &Limits) -> Result<Compiled, Vec<Diagnostic>> {
    let mut report = Report::new(files, limits.diagnostics);
    let set = read(files, limits, &mut report).and_then(|parts| build(files, parts, now, limits, &mut report));
    let warnings = report.finish()?;
    match set {
        Some(set) => Ok(Compiled { set, warnings }),
        // Unreachable as long as whoever gives up says why; refusing is the only safe answer if one forgot.
        None => Err(warnings),
    }
}

/// All files, sorted by what they are.
struct Parts {
    name: At<String>,
    owner: Option<String>,
    bundle: Bundle,
    workloads: Vec<Workload>,
    catalogue: Catalogue,
    cidr_sets: Vec<CidrSet>,
    books: Vec<RuleBook>,
    exceptions: Vec<ExceptionBook>,
}

/// The exceptions of one file.
struct ExceptionBook {
    id: At<String>,
    owner: Option<String>,
    exceptions: Vec<RawException>,
}

/// The rules of one file.
struct RuleBook {
    book: Book,
    id: At<String>,
    owner: Option<String>,
    rules: Vec<RawRule>,
}

fn read(files: &[SourceFile], limits: &Limits, report: &mut Report<'_>) -> Option<Parts> {
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    if files.len() > limits.files || bytes > limits.bundle_bytes {
        let message = format!("more than {} files or {} bytes in the bundle", limits.files, limits.bundle_bytes);
        report.error(Place::NOWHERE, message);
        return None;
    }
    // The order in which the caller found them must not show anywhere.
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|at| files.get(*at).map(|file| &file.name));
    let mut documents = Vec::new();
    let mut names = BTreeSet::new();
    for at in order {
        let (Some(file), Ok(number)) = (files.get(at), u32::try_from(at)) else { continue };
        if !names.insert(&file.name) {
            report.error(Place { file: number, start: 0, end: 0 }, "the bundle has two files of this name");
        }
        if let Some(tree) = source::parse(number, &file.text, limits, report) {
            documents.extend(document::read(&tree, report));
        }
    }
    sort(documents, report)
}

fn sort(documents: Vec<Document>, report: &mut Report<'_>) -> Option<Parts> {
    let mut bundle: Option<(At<String>, Option<String>, Bundle)> = None;
    let (mut workloads, mut tagged, mut cidr_sets, mut books) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut excepted = Vec::new();
    let mut ids = BTreeSet::new();
    for Document { id, owner, body } in documents {
        if !ids.insert(id.value.clone()) {
            let help = "paths such as `payments/stripe` must name one rule";
            report.error_help(id.place, format!("another file has the id `{}`", id.value), help);
        }
        match body {
            Body::Bundle(found) => match &bundle {
                None => bundle = Some((id, owner, *found)),
                Some(_) => report.error(id.place, "the bundle has two files of kind `Bundle`"),
            },
            Body::Workloads(mut found) => workloads.append(&mut found),
            Body::Destinations(mut found) => {
                tagged.append(&mut found.tagged);
                cidr_sets.append(&mut found.cidr_sets);
            }
            Body::Guardrails(rules) => books.push(RuleBook { book: Book::Guardrails, id, owner, rules }),
            Body::Exceptions(exceptions) => excepted.push(ExceptionBook { id, owner, exceptions }),
            Body::Fragment(rules) => books.push(RuleBook { book: Book::Fragment, id, owner, rules }),
        }
    }
    let Some((name, owner, bundle)) = bundle else {
        // A bundle file that could not be read has already said so.
        if !report.has_errors() {
            let help = "`bundle.yaml` holds the data classes, the lifetimes and the fragments";
            report.error_help(Place::NOWHERE, "no file of kind `Bundle`", help);
        }
        return None;
    };
    Some(Parts {
        name,
        owner,
        bundle,
        workloads,
        catalogue: Catalogue::build(tagged),
        cidr_sets,
        books,
        exceptions: excepted,
    })
}

/// What every rule is checked against.
struct Surroundings<'p> {
    classes: BTreeSet<&'p str>,
    sets: BTreeMap<&'p str, &'p CidrSet>,
    bundle: &'p Bundle,
    now: Timestamp,
}

fn build(
    files: &[SourceFile],
    parts: Parts,
    now: Timestamp,
    limits: &Limits,
    report: &mut Report<'_>,
) -> Option<PolicySet> {
    let Parts { name, owner, bundle, workloads, catalogue, cidr_sets, books, exceptions } = parts;
    let around =
        Surroundings { classes: classes(&bundle, report), sets: sets(&cidr_sets, now, report), bundle: &bundle, now };
    check_classes(&around, &workloads, report);
    let registry = Registry::build(workloads, &around.classes, limits, report);
    let rules = rules_of(&around, &books, report);
    let (excepted, places) = exceptions_of(&around, &exceptions, report);
    let global = rules.iter().filter(|(rule, _)| matches!(crate::index::keys(rule), crate::index::Keys::Global));
    if let Some((_, place)) = global.into_iter().nth(limits.global_rules) {
        let message = format!("more than {} rules have neither a host nor a CIDR key", limits.global_rules);
        report.error_help(*place, message, "each of them is evaluated in every decision: name `hosts` or `cidrs`");
    }
    if report.has_errors() {
        return None;
    }
    let rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
    let terms = Terms::of(bundle, owner.as_deref().unwrap_or(&name.value));
    let names = (name.value.into(), digest(files).into());
    let set = PolicySet::new(names, rules, registry, catalogue, terms, *limits).with_exceptions(excepted);
    for dormant in crate::overrides::refused(&set) {
        let place = places.get(&dormant.path).copied().unwrap_or(Place::NOWHERE);
        report.error(place, dormant.why);
    }
    Some(set)
}

fn rules_of(around: &Surroundings<'_>, books: &[RuleBook], report: &mut Report<'_>) -> Vec<(Rule, Place)> {
    let mut compiled = Vec::new();
    for book in books {
        let grant = match book.book {
            Book::Guardrails => None,
            Book::Fragment => {
                let grant = around.bundle.fragments.iter().find(|grant| grant.id.value == book.id.value);
                if grant.is_none() {
                    let message = format!("the fragment `{}` is not listed in the bundle", book.id.value);
                    report.error_help(book.id.place, message, "list it under `fragments`, with its scope");
                    continue;
                }
                grant
            }
        };
        let scope = grant.map(|grant| scope::CompiledScope::of(&grant.scope));
        let owner = book.owner.as_deref().or_else(|| grant.and_then(|grant| grant.owner.as_deref()));
        let mut ids = BTreeSet::new();
        for raw in &book.rules {
            if !ids.insert(&raw.id.value) {
                report.error(raw.id.place, format!("another rule of this file has the id `{}`", raw.id.value));
            }
            let rule =
                rules::compile(raw, &rules::Home { id: &book.id.value, owner, scope: scope.as_ref() }, around, report);
            compiled.extend(rule.map(|rule| (rule, raw.place)));
        }
    }
    compiled
}

type Exceptions = (Vec<Override>, BTreeMap<Box<str>, Place>);

fn exceptions_of(around: &Surroundings<'_>, books: &[ExceptionBook], report: &mut Report<'_>) -> Exceptions {
    let (mut found, mut places) = (Vec::new(), BTreeMap::new());
    for book in books {
        for raw in &book.exceptions {
            let one = exceptions::compile(raw, &book.id, book.owner.as_deref(), around, report);
            let Some(one) = one else { continue };
            if places.insert(one.info().path.clone(), raw.place()).is_some() {
                report.error(raw.place(), format!("another exception of this file has the id `{}`", raw.id.value));
            }
            found.push(one);
        }
    }
    (found, places)
}

fn classes<'p>(bundle: &'p Bundle, report: &mut Report<'_>) -> BTreeSet<&'p str> {
    let mut classes = BTreeSet::new();
    for class in &bundle.data_classes {
        if !classes.insert(class.value.as_str()) {
            report.error(class.place, format!("the data class `{}` stands twice", class.value));
        }
    }
    // It exists whether the catalogue describes it or not.
    classes.insert(UNCLASSIFIED);
    classes
}

fn sets<'p>(sets: &'p [CidrSet], now: Timestamp, report: &mut Report<'_>) -> BTreeMap<&'p str, &'p CidrSet> {
    let mut found = BTreeMap::new();
    for set in sets {
        if found.insert(set.id.value.as_str(), set).is_some() {
            report.error(set.id.place, format!("the CIDR set `{}` stands twice", set.id.value));
        }
        if set.expires.is_some_and(|end| now >= end) {
            let help = "allows that name it are over: confirm its networks and move `expires`";
            report.warning(set.id.place, format!("the CIDR set `{}` has expired", set.id.value), help);
        }
    }
    found
}

/// Class names outside of rules.
fn check_classes(around: &Surroundings<'_>, workloads: &[Workload], report: &mut Report<'_>) {
    let mut fragments = BTreeSet::new();
    for grant in &around.bundle.fragments {
        if !fragments.insert(&grant.id.value) {
            report.error(grant.id.place, format!("the fragment `{}` is listed twice", grant.id.value));
        }
        if let Reach::Only(named) = &grant.scope.data_classes {
            around.known_classes(named, report);
        }
    }
    around.known_classes(&around.bundle.lifetimes.named, report);
    around.known_classes(&around.bundle.terms.classes, report);
    let mut modes = BTreeSet::new();
    for mode in &around.bundle.modes {
        if !modes.insert(&mode.name.value) {
            report.error(mode.name.place, format!("the mode `{}` stands twice", mode.name.value));
        }
    }
    for workload in workloads {
        around.known_classes(&workload.data_classes, report);
        for class in &workload.may_declare {
            if !workload.data_classes.iter().any(|registered| registered.value == class.value) {
                let message = format!("`{}` may be declared but is not among its data classes", class.value);
                report.error_help(class.place, message, "a client can only narrow what is registered");
            }
        }
    }
}

impl Surroundings<'_> {
    /// Complain about every class that the catalogue does not have.
    fn known_classes(&self, named: &[At<String>], report: &mut Report<'_>) {
        for class in named {
            if self.classes.contains(class.value.as_str()) {
                continue;
            }
            let help = match crate::diagnostic::did_you_mean(&class.value, self.classes.iter().copied()) {
                Some(name) => format!("did you mean `{name}`?"),
                None => "list it under `data_classes` of the bundle".to_owned(),
            };
            report.error_help(class.place, format!("`{}` is not a data class of this bundle", class.value), help);
        }
    }
}

/// `sha256:` and the digest of these files, in whatever order they come: over names and contents, each with its length
/// before it so that nothing can be moved from one to the other.
pub fn digest(files: &[SourceFile]) -> String {
    let mut sorted: Vec<&SourceFile> = files.iter().collect();
    sorted.sort_by_key(|file| &file.name);
    let mut hash = Sha256::new();
    for file in sorted {
        for part in [file.name.as_bytes(), &file.text] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    let mut text = String::from("sha256:");
    for byte in hash.finalize() {
        text.push_str(&format!("{byte:02x}"));
    }
    text
}
