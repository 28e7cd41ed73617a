//! What is told of an invariant: that it holds, the facts that break it, or why it is not known.

use gatepass_policy::analysis::{Exactness, Proof, Witness};
use gatepass_policy::facts::{Facts, Tls};

/// One word for how it went.
pub(super) fn word(proof: &Proof) -> &'static str {
    match proof {
        Proof::Holds => "holds",
        Proof::Broken(..) => "broken",
        Proof::Errs(..) => "errs",
        Proof::Unproved(_) => "unproved",
    }
}

/// What there is to say of it beyond the word.
pub(super) fn detail(proof: &Proof) -> Vec<String> {
    match proof {
        Proof::Holds => Vec::new(),
        Proof::Broken(witness, rule) => {
            let by = rule.as_ref().map(|rule| format!("allowed by {} ({})", rule.path, rule.owner));
            by.into_iter().chain(shown(witness)).collect()
        }
        Proof::Errs(witness, why) => {
            let first = format!("allowed, and the condition cannot be evaluated: {why}");
            std::iter::once(first).chain(shown(witness)).collect()
        }
        Proof::Unproved(exactness) => vec![unproved(exactness)],
    }
}

fn shown(witness: &Witness) -> Vec<String> {
    let mut told = counterexample(witness.facts());
    told.push(format!("explain: {}", witness.explain()));
    told
}

fn unproved(exactness: &Exactness) -> String {
    match exactness.vague.as_slice() {
        [] => "no connection breaks it, but there were more combinations than are looked at".to_owned(),
        vague => format!(
            "no connection that was tried breaks it, but {} is looked at in ways (regular expressions, arithmetic, \
             comparisons with each other) of which some values only are tried",
            vague.join(", ")
        ),
    }
}

/// The facts that are allowed and must not be, in the words of a test.
fn counterexample(facts: &Facts) -> Vec<String> {
    let mut told = vec![
        format!("identity: {}", facts.identity.id()),
        format!("destination: {}", facts.destination),
        format!("request.protocol: {}", facts.protocol.as_str()),
        format!("data_classes: [{}]", facts.subject.registered.join(", ")),
    ];
    if !facts.subject.labels.is_empty() {
        let labels: Vec<String> = facts.subject.labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
        told.push(format!("identity.labels: {{{}}}", labels.join(", ")));
    }
    if let Some(declared) = &facts.subject.declared {
        told.push(format!("declared: [{}]", declared.join(", ")));
    }
    if let Some(resolved) = &facts.resolved {
        let answers: Vec<String> = resolved.answers.iter().map(ToString::to_string).collect();
        told.push(format!("dns.answers: [{}]", answers.join(", ")));
    }
    match &facts.tls {
        None => {}
        Some(Tls::Absent) => told.push("tls.present: false".to_owned()),
        Some(Tls::Hello(hello)) => told.push(format!("tls.sni: {}", hello.sni.as_deref().unwrap_or("null"))),
    }
    if let Some(request) = &facts.request {
        told.push(format!("request: {} {}", request.method, request.path));
    }
    told.push(format!("now: {}", facts.now));
    if &*facts.mode != gatepass_policy::overrides::NORMAL {
        told.push(format!("mode: {}", facts.mode));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_an_invariant_is_told_as_facts() {
        let facts = crate::evidence::tests::all_facts();
        let told = counterexample(&facts);
        assert_eq!(told[0], format!("identity: {}", facts.identity.id()));
        assert_eq!(told[1], format!("destination: {}", facts.destination));
        assert!(told.iter().any(|line| line.starts_with("dns.answers: [")), "{told:?}");
        let exactness = Exactness { vague: vec!["tls.sni"], cut_short: false };
        assert!(detail(&Proof::Unproved(exactness))[0].contains("tls.sni"));
        assert_eq!((word(&Proof::Holds), detail(&Proof::Holds)), ("holds", Vec::new()));
    }
}
