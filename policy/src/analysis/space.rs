//! Every dimension of the facts at one host, each as a few values that stand for all.

use std::sync::Arc;

use super::answers;
use super::asks::{self, Ask};
use super::servers;
use super::side::{Candidates, Side};
use super::values::{self, Cover};
use super::who::{self, Who};
use crate::expr::{Expr, Landmarks};
use crate::facts::{Hello, Resolved, Tls, Upstream};
use crate::host::Host;
use crate::schema::{Attribute, AttributeSet};

/// The values to combine.
pub(super) struct Space {
    pub(super) whos: Vec<Who>,
    pub(super) asks: Vec<Ask>,
    pub(super) answers: Vec<Resolved>,
    pub(super) hellos: Vec<Tls>,
    /// What servers prove; empty where no rule asks.
    pub(super) servers: Vec<Arc<Upstream>>,
    /// Attributes whose values do not stand for all.
    pub(super) vague: AttributeSet,
}

/// What a question leaves open.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    /// Only this identity.
    pub(super) identity: Option<&'a str>,
    /// Only this port.
    pub(super) port: Option<u16>,
    /// A condition that is asked about beside the rules.
    pub(super) condition: Option<&'a Expr>,
}

/// The space at one host, for the candidates there of each side.
pub(super) fn space(sides: &[&Side<'_>], candidates: &[Candidates<'_>], host: &Host, asked: Asked<'_>) -> Space {
    let mut landmarks = Landmarks::default();
    candidates.iter().for_each(|candidates| candidates.mark(&mut landmarks));
    asked.condition.into_iter().for_each(|condition| landmarks.add(condition));
    let (whos, of_who) = match asked.identity {
        Some(id) => who::only(id, sides, candidates, &landmarks),
        None => who::identities(sides, candidates, &landmarks),
    };
    let (asks, of_asks) = asks::asks(candidates, &landmarks, asked.port);
    let (answers, of_answers) = answers::answers(candidates, &landmarks);
    let (hellos, of_hellos) = hellos(host, &landmarks);
    let (servers, of_servers) = servers::servers(host, &landmarks, sides.first().map(|side| side.now));
    let parts = [of_servers, of_who, of_asks, of_answers, of_hellos, crossed(&landmarks)];
    let vague = parts.into_iter().fold(landmarks.vague, AttributeSet::union);
    // Of a given host or identity nothing is left open, however a rule looks at it.
    let given = |attribute: &Attribute| {
        GIVEN_BY_HOST.contains(attribute) || (asked.identity.is_some() && GIVEN_BY_WHO.contains(attribute))
    };
    let vague = vague.iter().filter(|attribute| !given(attribute)).map(AttributeSet::one);
    Space { whos, asks, answers, hellos, servers, vague: vague.fold(AttributeSet::EMPTY, AttributeSet::union) }
}

/// Attributes that are compared with others, but for those of which the value of the other is among their own.
fn crossed(landmarks: &Landmarks) -> AttributeSet {
    let understood = [
        (Attribute::TlsSni, Attribute::DestinationHost),
        (Attribute::IdentityCertExpires, Attribute::Now),
        (Attribute::UpstreamNotAfter, Attribute::Now),
        servers::OF_THE_HOST,
    ];
    let crossed = landmarks.pairs().filter(|(a, b)| !understood.contains(&(*a, *b)) && !understood.contains(&(*b, *a)));
    crossed.fold(AttributeSet::EMPTY, |all, (a, b)| all.union(AttributeSet::one(a)).union(AttributeSet::one(b)))
}

/// Settled by the host; that hosts stand for all others is `hosts`' to say.
const GIVEN_BY_HOST: [Attribute; 4] = [
    Attribute::DestinationHost,
    Attribute::DestinationKind,
    Attribute::DestinationRegisteredDomain,
    Attribute::DestinationTags,
];

const GIVEN_BY_WHO: [Attribute; 5] = [
    Attribute::IdentityId,
    Attribute::IdentityMethod,
    Attribute::IdentitySpiffeId,
    Attribute::IdentityTrustDomain,
    Attribute::IdentityLabels,
];

/// Every kind of ClientHello that rules tell apart, and its absence.
fn hellos(host: &Host, landmarks: &Landmarks) -> (Vec<Tls>, AttributeSet) {
    let uses = |attribute| landmarks.uses.contains(attribute);
    let mut vague = AttributeSet::EMPTY;
    let plain = Hello { sni: host.name().map(str::to_owned), ..Hello::default() };
    let of_tls = [
        Attribute::TlsPresent,
        Attribute::TlsSni,
        Attribute::TlsAlpn,
        Attribute::TlsVersions,
        Attribute::TlsEch,
        Attribute::TlsJa4,
    ];
    if !of_tls.into_iter().any(uses) {
        // Where nobody speaks TLS there is no certificate either, which a rule that asks about one tells apart.
        let absent = servers::asked(landmarks).then_some(Tls::Absent);
        return (std::iter::once(Tls::Hello(plain)).chain(absent).collect(), vague);
    }
    let mut names: Vec<Option<String>> = vec![plain.sni.clone()];
    if uses(Attribute::TlsSni) {
        let (texts, cover) = values::texts(&landmarks.of(Attribute::TlsSni), "another.invalid");
        names.extend(texts.into_iter().map(Some));
        names.push(None);
        if cover == Cover::Some {
            vague = vague.union(AttributeSet::one(Attribute::TlsSni));
        }
        names.sort();
        names.dedup();
    }
    let mut lists = |attribute: Attribute, fresh: &str| -> Vec<Vec<String>> {
        if !uses(attribute) {
            return vec![Vec::new()];
        }
        let (found, cover) = values::lists(&landmarks.of(attribute), fresh);
        if cover == Cover::Some {
            vague = vague.union(AttributeSet::one(attribute));
        }
        found
    };
    let (alpns, versions) = (lists(Attribute::TlsAlpn, "other"), lists(Attribute::TlsVersions, "0.9"));
    let hidden: &[bool] = if uses(Attribute::TlsEch) { &[false, true] } else { &[false] };
    let prints = fingerprints(landmarks);
    let mut found = vec![Tls::Absent];
    for (sni, alpn) in names.iter().flat_map(|sni| alpns.iter().map(move |alpn| (sni, alpn))) {
        for (versions, ech) in versions.iter().flat_map(|versions| hidden.iter().map(move |ech| (versions, *ech))) {
            for ja4 in prints.iter().cloned() {
                let (sni, alpn, versions) = (sni.clone(), alpn.clone(), versions.clone());
                found.push(Tls::Hello(Hello { sni, alpn, versions, ech, ja4 }));
            }
        }
    }
    (found, vague)
}

fn fingerprints(landmarks: &Landmarks) -> Vec<Option<Box<str>>> {
    if !landmarks.uses.contains(Attribute::TlsJa4) {
        return vec![None];
    }
    let found = values::texts(&landmarks.of(Attribute::TlsJa4), "t13d0000h0_000000000000_000000000000").0;
    found.into_iter().map(|print| Some(print.into())).collect()
}
