//! What a clause saw and what it wanted, in words that the author of the rule used.

use jiff::Timestamp;

use crate::decision::{FailedClause, Shown};
use crate::expr::Truth;
use crate::facts::{Classes, Facts};
use crate::rule::{Clause, Rule, Selector, Who, known_answers};

/// The clauses that stand in the way, in the order of the rule's fields.
pub(crate) fn failed(rule: &Rule, facts: &Facts) -> Vec<FailedClause> {
    Clause::ALL.into_iter().flat_map(|clause| failed_clause(rule, clause, facts)).collect()
}

/// The names under which the clauses of a rule can fail.
pub(crate) fn names(rule: &Rule) -> Vec<String> {
    let mut names: Vec<String> = rule.fields().map(|clause| clause.name().to_owned()).collect();
    if let Who::Among(list) = &rule.who
        && let [one] = &**list
    {
        names.extend(one.id.iter().map(|_| "identities.id".to_owned()));
        names.extend(one.spiffe_id.iter().map(|_| "identities.spiffe_id".to_owned()));
        names.extend(one.labels.iter().map(|(key, _)| format!("identities.labels.{key}")));
    }
    if let Some(when) = &rule.when {
        names.extend(when.conjuncts().map(|part| part.text().to_owned()));
    }
    names
}

/// How many clauses stand in the way, each condition of `when` and each key of an only entry counted as it is told.
pub(crate) fn failures(rule: &Rule, facts: &Facts) -> usize {
    let stands = |truth: &Truth| matches!(truth, Truth::No | Truth::Error(_));
    let count = |clause: Clause| match (clause, &rule.who, &rule.when) {
        _ if !rule.clause(clause, facts).as_ref().is_some_and(stands) => 0,
        (Clause::When, _, Some(when)) => {
            when.conjuncts().filter(|part| stands(&part.eval(facts, rule.reading()))).count().max(1)
        }
        (Clause::Identities, Who::Among(list), _) => match &**list {
            [one] => failed_selector(one, facts).len().max(1),
            _ => 1,
        },
        _ => 1,
    };
    Clause::ALL.into_iter().map(count).sum()
}

fn failed_clause(rule: &Rule, clause: Clause, facts: &Facts) -> Vec<FailedClause> {
    if !matches!(rule.clause(clause, facts), Some(Truth::No | Truth::Error(_))) {
        return Vec::new();
    }
    match (clause, &rule.who, &rule.when) {
        (Clause::When, _, Some(when)) => {
            let failed =
                when.conjuncts().filter(|part| matches!(part.eval(facts, rule.reading()), Truth::No | Truth::Error(_)));
            failed.filter_map(|part| part.failed(facts, rule.reading())).collect()
        }
        (Clause::Identities, Who::Among(list), _) => match &**list {
            [one] => failed_selector(one, facts),
            _ => vec![whole(rule, clause, facts)],
        },
        _ => vec![whole(rule, clause, facts)],
    }
}

fn whole(rule: &Rule, clause: Clause, facts: &Facts) -> FailedClause {
    FailedClause { clause: clause.name().to_owned(), seen: seen(rule, clause, facts), wanted: wanted(rule, clause) }
}

/// Of the only entry, the very key that differs.
fn failed_selector(selector: &Selector, facts: &Facts) -> Vec<FailedClause> {
    let id = facts.identity.id();
    let mut failed = Vec::new();
    for (pattern, clause) in [(&selector.id, "identities.id"), (&selector.spiffe_id, "identities.spiffe_id")] {
        if let Some(pattern) = pattern.as_ref().filter(|pattern| !pattern.matches(id)) {
            failed.push(FailedClause { clause: clause.to_owned(), seen: text(id), wanted: text(pattern) });
        }
    }
    if let Some(scope) = selector.scope.as_ref().filter(|scope| !scope.iter().any(|pattern| pattern.matches(id))) {
        let wanted = Shown::List(scope.iter().map(text).collect());
        failed.push(FailedClause { clause: "identities".to_owned(), seen: text(id), wanted });
    }
    for (key, value) in &selector.labels {
        let found = facts.subject.labels.get(key);
        if found != Some(value) {
            let seen = found.map_or(Shown::Null, text);
            failed.push(FailedClause { clause: format!("identities.labels.{key}"), seen, wanted: text(value) });
        }
    }
    failed
}

/// The value in the facts.
pub(crate) fn seen(rule: &Rule, clause: Clause, facts: &Facts) -> Shown {
    match clause {
        Clause::Identities => text(facts.identity.id()),
        Clause::Hosts => text(facts.destination.host.to_text()),
        Clause::Ports => Shown::Int(facts.destination.port.into()),
        Clause::Networks => match known_answers(facts) {
            Some(answers) => Shown::List(answers.iter().map(text).collect()),
            None => text(facts.destination.host.to_text()),
        },
        Clause::AtMost | Clause::AnyOf => Shown::List(rule.classes(facts).iter().map(text).collect()),
        Clause::Expires => moment(facts.now),
        Clause::When => match rule.clause(clause, facts) {
            Some(Truth::Yes) => Shown::Bool(true),
            Some(Truth::No) => Shown::Bool(false),
            Some(Truth::Pending(_)) | None => Shown::Null,
            Some(Truth::Error(why)) => text(why),
        },
    }
}

/// What the rule wants.
pub(crate) fn wanted(rule: &Rule, clause: Clause) -> Shown {
    let classes = |list: &Option<Classes>| Shown::List(list.as_deref().into_iter().flatten().map(text).collect());
    match clause {
        Clause::Identities => match &rule.who {
            Who::Anyone => text("anyone"),
            Who::Among(list) => Shown::List(list.iter().map(selector).collect()),
        },
        Clause::Hosts => Shown::List(rule.hosts.iter().map(text).collect()),
        Clause::Ports => Shown::List(rule.ports.iter().map(|port| Shown::Int((*port).into())).collect()),
        Clause::Networks => Shown::List(rule.networks.iter().map(text).collect()),
        Clause::AtMost => classes(&rule.at_most),
        Clause::AnyOf => classes(&rule.any_of),
        Clause::Expires => rule.expires.map_or(Shown::Null, |end| text(format!("before {end}"))),
        Clause::When => rule.when.as_ref().map_or(Shown::Null, |when| text(when.source())),
    }
}

fn selector(selector: &Selector) -> Shown {
    let ids = selector.id.iter().chain(&selector.spiffe_id).map(ToString::to_string);
    let labels = selector.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let scope = selector.scope.iter().map(|scope| {
        let patterns: Vec<String> = scope.iter().map(ToString::to_string).collect();
        format!("within {}", patterns.join(" or "))
    });
    text(ids.chain(labels).chain(scope).collect::<Vec<_>>().join(" "))
}

fn text(value: impl ToString) -> Shown {
    Shown::Text(value.to_string())
}

fn moment(at: Timestamp) -> Shown {
    text(at)
}
