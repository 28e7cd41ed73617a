//! Files to a `PolicySet`, or every reason why not.

mod claims;
mod exceptions;
mod lifetime;
mod rules;
mod scope;
mod shared;
mod when;

pub(crate) use when::condition;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::case::{self, Suite};
use crate::catalogue::Catalogue;
use crate::diagnostic::{At, Diagnostic, Place, Report, meant_or};
use crate::document::bundle::{Bundle, Reach};
use crate::document::cases::RawSuite;
use crate::document::catalogue::CidrSet;
use crate::document::exceptions::RawException;
use crate::document::rules::{Book, RawRule};
use crate::document::workloads::Workload;
use crate::document::{self, Body, Document};
use crate::limits::Limits;
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
    /// Its tests, by file; whoever decides by the policy has no use for them.
    pub tests: Vec<Suite>,
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
    let built = read(files, limits, &mut report).and_then(|mut parts| {
        let suites = std::mem::take(&mut parts.suites);
        let set = build(files, parts, now, limits, &mut report)?;
        let tests = case::compile(suites, &set, &mut report);
        Some((set, tests))
    });
    let warnings = report.finish()?;
    match built {
        Some((set, tests)) => Ok(Compiled { set, warnings, tests }),
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
    suites: Vec<(At<String>, RawSuite)>,
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
            documents.extend(document::read(&tree, limits, report));
        }
        let tests: usize = documents.iter().map(Document::tests).sum();
        if tests > limits.tests {
            report.error(Place::NOWHERE, format!("more than {} tests in the bundle", limits.tests));
            return None;
        }
    }
    sort(documents, report)
}

fn sort(documents: Vec<Document>, report: &mut Report<'_>) -> Option<Parts> {
    let mut bundle: Option<(At<String>, Option<String>, Bundle)> = None;
    let (mut workloads, mut tagged, mut cidr_sets, mut books) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut excepted, mut suites) = (Vec::new(), Vec::new());
    let mut ids: BTreeMap<String, Place> = BTreeMap::new();
    for Document { id, owner, body } in documents {
        if let Some(first) = ids.get(&id.value).copied() {
            let message = format!("another file has the id `{}`", id.value);
            let why = "paths such as `payments/stripe` must name one rule, in decisions and in exceptions";
            report.again(id.place, first, message, why, "give each file an id of its own");
        } else {
            ids.insert(id.value.clone(), id.place);
        }
        match body {
            Body::Bundle(found) => match &bundle {
                None => bundle = Some((id, owner, *found)),
                Some((first, ..)) => {
                    let why = "scopes and lifetimes would hang on which of the two is read";
                    let message = "the bundle has two files of kind `Bundle`";
                    report.again(id.place, first.place, message, why, "merge the two");
                }
            },
            Body::Workloads(mut found) => workloads.append(&mut found),
            Body::Destinations(mut found) => {
                tagged.append(&mut found.tagged);
                cidr_sets.append(&mut found.cidr_sets);
            }
            Body::Guardrails(rules) => books.push(RuleBook { book: Book::Guardrails, id, owner, rules }),
            Body::Exceptions(exceptions) => excepted.push(ExceptionBook { id, owner, exceptions }),
            Body::Tests(suite) => suites.push((id, suite)),
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
        suites,
    })
}

/// What every rule is checked against.
struct Surroundings<'p> {
    classes: BTreeSet<&'p str>,
    sets: BTreeMap<&'p str, &'p CidrSet>,
    bundle: &'p Bundle,
    words: claims::Vocabulary,
    now: Timestamp,
}

fn build(
    files: &[SourceFile],
    parts: Parts,
    now: Timestamp,
    limits: &Limits,
    report: &mut Report<'_>,
) -> Option<PolicySet> {
    let Parts { name, owner, bundle, workloads, catalogue, cidr_sets, books, exceptions, suites: _ } = parts;
    let words = claims::Vocabulary { tags: catalogue.all_tags(), labels: claims::labels(&workloads) };
    let classes = classes(&bundle, report);
    let around = Surroundings { classes, sets: sets(&cidr_sets, now, report), bundle: &bundle, words, now };
    check_classes(&around, &workloads, report);
    let registry = Registry::build(workloads, &around.classes, limits, report);
    let rules = rules_of(&around, &books, report);
    let (excepted, places) = exceptions::all(&around, &exceptions, report);
    let global = rules.iter().filter(|(rule, _)| matches!(crate::index::keys(rule), crate::index::Keys::Global));
    if let Some((_, place)) = global.into_iter().nth(limits.global_rules) {
        let message = format!("more than {} rules have neither a host nor a CIDR key", limits.global_rules);
        report.error_help(*place, message, "each of them is evaluated in every decision: name `hosts` or `cidrs`");
    }
    exceptions::known_targets(&around, &exceptions, &rules, report);
    if report.has_errors() {
        return None;
    }
    let rules: Vec<Rule> = rules.into_iter().map(|(rule, _)| rule).collect();
    let terms = Terms::of(bundle, owner.as_deref().unwrap_or(&name.value));
    let names = (name.value.into(), digest(files).into());
    let set = PolicySet::new(names, rules, registry, catalogue, terms, *limits).with_exceptions(excepted);
    for (dormant, help) in crate::overrides::refused(&set) {
        let place = places.get(&dormant.path).copied().unwrap_or(Place::NOWHERE);
        report.error_help(place, dormant.why, help);
    }
    Some(set)
}

/// Why an id stands once.
const ONE_NAME: &str = "a path in a record must name one thing";

fn rules_of(around: &Surroundings<'_>, books: &[RuleBook], report: &mut Report<'_>) -> Vec<(Rule, Place)> {
    let mut compiled = Vec::new();
    let mut shared = shared::Shared::default();
    for book in books {
        let grant = match book.book {
            Book::Guardrails => None,
            Book::Fragment => {
                let grant = around.bundle.fragments.iter().find(|grant| grant.id.value == book.id.value);
                if grant.is_none() {
                    let message = format!("the fragment `{}` is not listed in the bundle", book.id.value);
                    let listed = around.bundle.fragments.iter().map(|grant| grant.id.value.as_str());
                    let help = meant_or(&book.id.value, listed, || {
                        "list it under `fragments` of the bundle, with its scope".to_owned()
                    });
                    report.error_why(book.id.place, message, "a team's scope is granted, never taken", help);
                    continue;
                }
                grant
            }
        };
        let scope = grant.map(|grant| scope::CompiledScope::of(&grant.scope));
        let owner = book.owner.as_deref().or_else(|| grant.and_then(|grant| grant.owner.as_deref()));
        let mut ids = BTreeMap::new();
        for raw in &book.rules {
            if let Some(first) = ids.insert(&raw.id.value, raw.id.place) {
                let message = format!("another rule of this file has the id `{}`", raw.id.value);
                report.again(raw.id.place, first, message, ONE_NAME, "give each rule an id of its own");
            }
            let home = rules::Home { id: &book.id.value, owner, scope: scope.as_ref() };
            let rule = rules::compile(raw, &home, around, &mut shared, report);
            compiled.extend(rule.map(|rule| (rule, raw.place)));
        }
    }
    compiled
}

fn classes<'p>(bundle: &'p Bundle, report: &mut Report<'_>) -> BTreeSet<&'p str> {
    let mut classes = BTreeMap::new();
    for class in &bundle.data_classes {
        if let Some(first) = classes.insert(class.value.as_str(), class.place) {
            let message = format!("the data class `{}` stands twice", class.value);
            report.again(class.place, first, message, "two descriptions of one class mislead", "keep one of them");
        }
    }
    let mut classes: BTreeSet<&str> = classes.into_keys().collect();
    // It exists whether the catalogue describes it or not.
    classes.insert(UNCLASSIFIED);
    classes
}

fn sets<'p>(sets: &'p [CidrSet], now: Timestamp, report: &mut Report<'_>) -> BTreeMap<&'p str, &'p CidrSet> {
    let mut found = BTreeMap::new();
    for set in sets {
        if let Some(first) = found.insert(set.id.value.as_str(), set) {
            let message = format!("the CIDR set `{}` stands twice", set.id.value);
            let why = "which networks a rule opens would hang on the order of files";
            report.again(set.id.place, first.id.place, message, why, "merge the two, or rename one");
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
    let mut fragments = BTreeMap::new();
    for grant in &around.bundle.fragments {
        if let Some(first) = fragments.insert(&grant.id.value, grant.id.place) {
            let message = format!("the fragment `{}` is listed twice", grant.id.value);
            report.again(grant.id.place, first, message, "it would have two scopes", "keep one of them");
        }
        if let Reach::Only(named) = &grant.scope.data_classes {
            around.known_classes(named, report);
        }
    }
    around.known_classes(&around.bundle.lifetimes.named, report);
    around.known_classes(&around.bundle.terms.classes, report);
    for mode in &around.bundle.modes {
        claims::words(&mode.allow_when, &mode.text, around, report);
    }
    for workload in workloads {
        around.known_classes(&workload.data_classes, report);
        for class in &workload.may_declare {
            if !workload.data_classes.iter().any(|registered| registered.value == class.value) {
                let message = format!("`{}` may be declared but is not among its data classes", class.value);
                let why = "a client can only narrow what is registered";
                report.error_why(class.place, message, why, "add it to `data_classes`, or leave it out here");
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
            let help = meant_or(&class.value, self.classes.iter().copied(), || {
                "list it under `data_classes` of the bundle".to_owned()
            });
            report.error_help(class.place, format!("`{}` is not a data class of this bundle", class.value), help);
        }
    }
}

/// Over names and contents, each with its length before it so that nothing can be moved from one to the other.
fn digest(files: &[SourceFile]) -> String {
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
