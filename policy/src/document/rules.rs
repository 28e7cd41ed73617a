//! Rules as written in `Guardrails` and `Fragment` files.

use ipnet::IpNet;
use jiff::Timestamp;

use super::limits::{self, RawLimits};
use super::{egress_point, host, identity_without_captures, network};
use crate::decision::Keeping;
use crate::diagnostic::{At, Place, Report, did_you_mean};
use crate::pattern::{HostPattern, IdentityPattern};
use crate::source::Node;
use crate::source::read::{self, Fields};

/// Which kind of file a rule stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Book {
    Guardrails,
    Fragment,
}

impl Book {
    /// What one of its rules is called.
    fn of_its_rules(self) -> &'static str {
        match self {
            Book::Guardrails => "a guardrail",
            Book::Fragment => "a rule",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Allow,
    Deny,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    Enforce,
    Shadow,
}

/// What lifts a guardrail where it covers a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lifts {
    pub(crate) exception: bool,
    pub(crate) grant: bool,
}

impl Lifts {
    /// Nothing does.
    pub(crate) const NONE: Lifts = Lifts { exception: false, grant: false };
}

/// Which classes an allow reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    Registered,
    Declared,
}

pub(crate) struct RawRule {
    pub(crate) id: At<String>,
    pub(crate) place: Place,
    pub(crate) action: Action,
    pub(crate) enforcement: Enforcement,
    pub(crate) trust: Trust,
    pub(crate) lifts: Lifts,
    pub(crate) purpose: String,
    pub(crate) owner: Option<String>,
    pub(crate) ticket: Option<String>,
    pub(crate) anyone: Option<Place>,
    pub(crate) identities: Option<Vec<RawSelector>>,
    pub(crate) destinations: Targets,
    pub(crate) at_most: Option<Vec<At<String>>>,
    pub(crate) any_of: Option<Vec<At<String>>>,
    pub(crate) issued: Option<At<Timestamp>>,
    pub(crate) expires: Option<At<Timestamp>>,
    pub(crate) review_by: Option<At<Timestamp>>,
    pub(crate) when: Option<At<String>>,
    pub(crate) keeping: Option<At<Keeping>>,
    pub(crate) limits: Option<At<RawLimits>>,
}

pub(crate) struct RawSelector {
    pub(crate) id: Option<At<IdentityPattern>>,
    pub(crate) spiffe_id: Option<At<IdentityPattern>>,
    pub(crate) labels: Vec<(Box<str>, Box<str>)>,
}

#[derive(Default)]
pub(crate) struct Targets {
    pub(crate) hosts: Vec<At<HostPattern>>,
    pub(crate) ports: Vec<u16>,
    pub(crate) cidrs: Vec<At<IpNet>>,
    pub(crate) cidr_sets: Vec<At<String>>,
    written: Written,
}

/// Which of the keys of `destinations` are written, be their values right or wrong.
#[derive(Default)]
struct Written {
    places: bool,
    ports: bool,
}

pub(crate) fn read(fields: &mut Fields<'_, '_>, book: Book, report: &mut Report<'_>) -> Vec<RawRule> {
    let Some(node) = fields.required("rules", "list the rules", report) else { return Vec::new() };
    read::list(node, report, |node, report| rule(node, book, report))
}

fn rule(node: &Node<'_>, book: Book, report: &mut Report<'_>) -> Option<RawRule> {
    let mut fields = Fields::of(node, book.of_its_rules(), report)?;
    let place = fields.place();
    let id = fields.required("id", "name the rule", report).and_then(|node| read::id(node, report));
    let place = id.as_ref().map_or(place, |id| id.place);
    let action = fields.required("action", "`allow` or `deny`", report);
    let action = action.and_then(|node| choice(node, ["allow", "deny"], [Action::Allow, Action::Deny], report));
    let purpose = fields.required("purpose", "say why the rule exists", report);
    let purpose = purpose.and_then(|node| read::text(node, report));
    let owner = optional_text(&mut fields, "owner", report);
    let ticket = optional_text(&mut fields, "ticket", report);
    let anyone = fields.optional("anyone").and_then(|node| match read::boolean(node, report)? {
        true => Some(node.place),
        false => {
            report.error_help(node.place, "`anyone: false` says nothing", "leave the key out");
            None
        }
    });
    let identities = fields.optional("identities").map(|node| read::list(node, report, selector));
    let destinations = fields.optional("destinations").map(|node| targets(node, report)).unwrap_or_default();
    let (at_most, any_of) = fields.optional("data_classes").map_or((None, None), |node| data_classes(node, report));
    let issued = fields.optional("issued").and_then(|node| read::instant(node, report));
    let expires = fields.optional("expires").and_then(|node| read::instant(node, report));
    let review_by = fields.optional("review_by").and_then(|node| read::instant(node, report));
    let enforcement = fields.optional("enforcement").map_or(Some(Enforcement::Enforce), |node| {
        choice(node, ["enforce", "shadow"], [Enforcement::Enforce, Enforcement::Shadow], report)
    });
    let trust = trust(&mut fields, place, report);
    let when = fields.optional("when").and_then(|node| read::text(node, report));
    let keeping = fields.optional("evidence").map(|node| keeping(node, report));
    let limits = fields.optional("limits").map(|node| limits::read(node, report));
    let _ = fields.optional("egress_point").and_then(|node| egress_point(node, report));
    let lifts = lifted_by(&mut fields, book, report);
    not_yet(&mut fields, report);
    let named = Named {
        identities: fields.says("identities") || fields.says("anyone"),
        data_classes: fields.says("data_classes"),
        expires: fields.says("expires"),
    };
    fields.finish(report);
    // What is missing or wrong has been told; what else the rule must say is told beside it.
    let obliges = !matches!(keeping, Some(None)) && !matches!(limits, Some(None));
    let whole = id.is_some() && purpose.is_some() && enforcement.is_some() && trust.is_some() && obliges;
    let (trust, trust_place) = trust.unwrap_or((Trust::Registered, place));
    let rule = RawRule {
        id: id.unwrap_or(At { value: String::new(), place }),
        place,
        action: action?,
        enforcement: enforcement.unwrap_or(Enforcement::Enforce),
        trust,
        lifts,
        purpose: purpose.map(|at| at.value).unwrap_or_default(),
        owner,
        ticket,
        anyone,
        identities,
        destinations,
        at_most,
        any_of,
        issued,
        expires,
        review_by,
        when,
        keeping: keeping.flatten(),
        limits: limits.flatten(),
    };
    check_action(&rule, &named, book, trust_place, report);
    whole.then_some(rule)
}

fn keeping(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<Keeping>> {
    let value = choice(node, ["synced"], [Keeping::Synced], report)?;
    Some(At { value, place: node.place })
}

/// Which classes it reads, and where it says so. `None` if that cannot be read.
fn trust(fields: &mut Fields<'_, '_>, place: Place, report: &mut Report<'_>) -> Option<(Trust, Place)> {
    let Some(node) = fields.optional("trust_declared") else { return Some((Trust::Registered, place)) };
    let trust = if read::boolean(node, report)? { Trust::Declared } else { Trust::Registered };
    Some((trust, node.place))
}

/// What this version does not enforce.
fn not_yet(fields: &mut Fields<'_, '_>, report: &mut Report<'_>) {
    if let Some(node) = fields.optional("inspect").filter(|node| !read::is_word(node, "never")) {
        report.not_yet(node.place, "inspect: required");
    }
}

/// Which keys are written, be their values right or wrong: what is wrong is not also missing.
struct Named {
    identities: bool,
    data_classes: bool,
    expires: bool,
}

/// What an allow must say and a deny must not.
fn check_action(rule: &RawRule, named: &Named, book: Book, trust: Place, report: &mut Report<'_>) {
    match rule.action {
        Action::Allow => {
            let mut missing = |there: bool, key: &str, help: &str| {
                if !there {
                    report.error_help(rule.place, format!("an allow must name `{key}`"), help);
                }
            };
            let to = &rule.destinations;
            missing(named.identities, "identities", "list them, or `anyone: true`");
            missing(to.written.places, "destinations", "with `hosts`, `cidrs` or `cidr_sets`");
            missing(to.written.ports, "destinations.ports", "such as `ports: [443]`");
            missing(named.data_classes, "data_classes", "`at_most: […]` or `any_of: […]`");
            missing(named.expires, "expires", "every permission ends");
            if book == Book::Guardrails {
                let why = "guardrails stand over everything: an allow among them would be inside nobody's scope";
                report.error_why(rule.place, "a guardrail can only deny", why, "allow in a `Fragment`");
            }
            if let Some(at) = &rule.review_by {
                report.error_help(at.place, "`review_by` is for denies", "an allow has `expires`");
            }
        }
        Action::Deny => {
            for at in [&rule.expires, &rule.issued].into_iter().flatten() {
                let why = "a deny that ended would open access";
                let help = "write `review_by`: the deny stays in force past it, and somebody is reminded";
                report.error_why(at.place, "a deny has neither `expires` nor `issued`", why, help);
            }
            if let Some(at) = &rule.keeping {
                let help = "what is refused is not carried: leave the key out";
                report.error_help(at.place, "`evidence` is for allows", help);
            }
            if let Some(at) = &rule.limits {
                let help = "a deny refuses all of it: leave the key out";
                report.error_help(at.place, "`limits` is for allows", help);
            }
            if rule.trust == Trust::Declared {
                let why = "a client could talk itself out of a deny by declaring less";
                report.error_why(trust, "a deny always reads the registered classes", why, "leave the key out");
            }
        }
    }
    if let (Some(place), true) = (rule.anyone, rule.identities.is_some()) {
        report.error_help(place, "`anyone` beside `identities`", "keep one of them");
    }
}

fn optional_text(fields: &mut Fields<'_, '_>, key: &'static str, report: &mut Report<'_>) -> Option<String> {
    fields.optional(key).and_then(|node| read::text(node, report)).map(|at| at.value)
}

fn choice<T: Copy, const N: usize>(
    node: &Node<'_>,
    words: [&str; N],
    values: [T; N],
    report: &mut Report<'_>,
) -> Option<T> {
    let found = words.iter().zip(values).find(|(word, _)| read::is_word(node, word)).map(|(_, value)| value);
    if found.is_none() {
        let wanted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
        let meant = match &node.value {
            crate::source::Value::Text(text, _) => did_you_mean(&text.to_lowercase(), words),
            crate::source::Value::List(_) | crate::source::Value::Map(_) => None,
        };
        let help = meant.map(|word| format!("did you mean `{word}`?"));
        report.found(node.place, format!("{} is wanted here", wanted.join(" or ")), None, help);
    }
    found
}

/// What lifts a guardrail: nothing, unless it is listed.
fn lifted_by(fields: &mut Fields<'_, '_>, book: Book, report: &mut Report<'_>) -> Lifts {
    let mut lifts = Lifts::NONE;
    if book == Book::Fragment {
        return lifts;
    }
    let Some(node) = fields.optional("lifted_by") else { return lifts };
    let crate::source::Value::List(items) = &node.value else {
        report.error_help(node.place, "a list is wanted here", "`[]`, or any of `exception` and `grant`");
        return lifts;
    };
    for item in items {
        if read::is_word(item, "exception") {
            lifts.exception = true;
        } else if read::is_word(item, "grant") {
            lifts.grant = true;
        } else {
            let help = match &item.value {
                crate::source::Value::Text(text, _) => did_you_mean(text, ["exception", "grant"]),
                crate::source::Value::List(_) | crate::source::Value::Map(_) => None,
            };
            let help =
                help.map_or_else(|| "`exception` or `grant`".to_owned(), |word| format!("did you mean `{word}`?"));
            report.error_help(item.place, "nothing else lifts a guardrail", help);
        }
    }
    lifts
}

pub(crate) fn selector(node: &Node<'_>, report: &mut Report<'_>) -> Option<RawSelector> {
    let mut fields = Fields::of(node, "an entry of `identities`", report)?;
    let place = fields.place();
    let before = report.error_count();
    let id = fields.optional("id").and_then(|node| identity_without_captures(node, report));
    let spiffe_id = fields.optional("spiffe_id").and_then(|node| {
        let found = identity_without_captures(node, report)?;
        if !found.value.is_spiffe() {
            let message = format!("`{}` is not a SPIFFE ID", found.value);
            report.error_help(found.place, message, "it begins with `spiffe://`; other ids go under `id`");
            return None;
        }
        Some(found)
    });
    let labels = fields.optional("labels").map(|node| labels(node, report)).unwrap_or_default();
    fields.finish(report);
    if report.error_count() > before {
        return None;
    }
    if id.is_none() && spiffe_id.is_none() && labels.is_empty() {
        report.error_help(place, "this entry names nobody", "write `id`, `spiffe_id` or `labels`");
        return None;
    }
    Some(RawSelector { id, spiffe_id, labels })
}

/// Labels that an identity must have.
pub(crate) fn labels(node: &Node<'_>, report: &mut Report<'_>) -> Vec<(Box<str>, Box<str>)> {
    let mut labels = Vec::new();
    for (key, node) in read::entries(node, report) {
        // They are written `identity.labels.KEY` in expressions.
        let head = key.value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let keyword = ["in", "true", "false", "null"].contains(&key.value);
        if keyword
            || !head
            || !key.value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            || key.value.len() > 63
        {
            let message = format!("`{}` is not a label name", key.value);
            report.error_help(
                key.place,
                message,
                "up to 63 letters, digits and `_`; no digit first, no keyword of expressions",
            );
            continue;
        }
        if let Some(value) = read::text(node, report) {
            labels.push((key.value.into(), value.value.into()));
        }
    }
    labels.sort();
    labels
}

pub(crate) fn targets(node: &Node<'_>, report: &mut Report<'_>) -> Targets {
    let Some(mut fields) = Fields::of(node, "`destinations`", report) else { return Targets::default() };
    let places = ["hosts", "cidrs", "cidr_sets"].iter().any(|key| fields.says(key));
    let written = Written { places, ports: fields.says("ports") };
    let hosts = fields.optional("hosts").map(|node| read::list(node, report, host)).unwrap_or_default();
    let mut ports = fields.optional("ports").map(|node| read::list(node, report, read::port)).unwrap_or_default();
    let cidrs = fields.optional("cidrs").map(|node| read::list(node, report, network)).unwrap_or_default();
    let cidr_sets = fields.optional("cidr_sets").map(|node| read::list(node, report, read::id)).unwrap_or_default();
    fields.finish(report);
    ports.sort_unstable();
    ports.dedup();
    Targets { hosts, ports, cidrs, cidr_sets, written }
}

type ClassLists = (Option<Vec<At<String>>>, Option<Vec<At<String>>>);

pub(crate) fn data_classes(node: &Node<'_>, report: &mut Report<'_>) -> ClassLists {
    if matches!(node.value, crate::source::Value::List(_)) {
        let why =
            "all of what a connection carries, or some of it: one reading lets card data go where the other does not";
        let help = "`{at_most: […]}`: its classes are among these; `{any_of: […]}`: it carries one of these";
        report.error_why(node.place, "a bare list of data classes can be read two ways", why, help);
        return (None, None);
    }
    let Some(mut fields) = Fields::of(node, "`data_classes`", report) else { return (None, None) };
    let at_most = fields.optional("at_most").map(|node| read::list(node, report, read::id));
    let any_of = fields.optional("any_of").map(|node| read::list(node, report, read::id));
    if at_most.is_none() && any_of.is_none() {
        report.error_help(node.place, "no data class is named", "write `at_most: […]` or `any_of: […]`");
    }
    fields.finish(report);
    (at_most, any_of)
}
