//! What the server can prove to the gateway's probe, as far as rules tell it apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::values::{self, Cover};
use crate::expr::Landmarks;
use crate::facts::{Proof, ServerCertificate, Upstream};
use crate::host::Host;
use crate::schema::{Attribute, AttributeSet};

const OF_A_SERVER: [Attribute; 6] = [
    Attribute::UpstreamVerified,
    Attribute::UpstreamDnsSans,
    Attribute::UpstreamIssuer,
    Attribute::UpstreamSpkiSha256,
    Attribute::UpstreamNotAfter,
    Attribute::UpstreamTlsVersion,
];

/// A name of the certificate compared with the host, which is therefore one of the names to try.
pub(super) const OF_THE_HOST: (Attribute, Attribute) = (Attribute::UpstreamDnsSans, Attribute::DestinationHost);

/// From how many kinds of server on they are not all tried.
const SERVERS_MAX: usize = 20_000;

/// Whether a rule asks what the server proves.
pub(super) fn asked(landmarks: &Landmarks) -> bool {
    OF_A_SERVER.into_iter().any(|attribute| landmarks.uses.contains(attribute))
}

/// Every kind of server at this host; none where no rule asks.
pub(super) fn servers(
    host: &Host,
    landmarks: &Landmarks,
    now: Option<Timestamp>,
) -> (Vec<Arc<Upstream>>, AttributeSet) {
    let uses = |attribute| landmarks.uses.contains(attribute);
    let mut vague = AttributeSet::EMPTY;
    if !asked(landmarks) {
        return (Vec::new(), vague);
    }
    // A part that nobody asks for is left out, in what is shown to people as well.
    let mut texts = |attribute: Attribute, fresh: &str| -> BTreeSet<Option<String>> {
        if !uses(attribute) {
            return BTreeSet::from([None]);
        }
        let (found, cover) = values::texts(&landmarks.of(attribute), fresh);
        if cover == Cover::Some {
            vague = vague.union(AttributeSet::one(attribute));
        }
        found.into_iter().map(Some).collect()
    };
    let issuers = texts(Attribute::UpstreamIssuer, "CN=another authority");
    let pins = texts(Attribute::UpstreamSpkiSha256, "00");
    let versions = texts(Attribute::UpstreamTlsVersion, "1.3");
    let (names, cover) = match uses(Attribute::UpstreamDnsSans) {
        true => {
            let mut marks = landmarks.of(Attribute::UpstreamDnsSans);
            let host_is_asked = landmarks.pairs().any(|pair| pair == OF_THE_HOST || (pair.1, pair.0) == OF_THE_HOST);
            marks.equal.extend(host_is_asked.then(|| host.to_text().into()));
            let (lists, cover) = values::lists(&marks, "another.invalid");
            (lists.into_iter().map(Some).collect(), cover)
        }
        false => (vec![None], Cover::All),
    };
    let mut ends = values::moments(&landmarks.of(Attribute::UpstreamNotAfter), now);
    ends.extend(ends.is_empty().then_some(Timestamp::MAX));
    let ends: Vec<Option<Timestamp>> = match uses(Attribute::UpstreamNotAfter) {
        true => ends.into_iter().map(Some).collect(),
        false => vec![None],
    };
    if cover == Cover::Some {
        vague = vague.union(AttributeSet::one(Attribute::UpstreamDnsSans));
    }
    let mut found = vec![Arc::new(Upstream::Nothing("nothing was shown".into()))];
    for (issuer, pin) in issuers.iter().flat_map(|issuer| pins.iter().map(move |pin| (issuer, pin))) {
        for (version, names) in versions.iter().flat_map(|version| names.iter().map(move |names| (version, names))) {
            for (end, proof) in ends.iter().flat_map(|end| proofs().into_iter().map(move |proof| (*end, proof))) {
                if found.len() >= SERVERS_MAX {
                    return (found, vague.union(AttributeSet::one(Attribute::UpstreamIssuer)));
                }
                found.push(Arc::new(Upstream::Shown(ServerCertificate {
                    proof,
                    dns_sans: names.clone(),
                    issuer: issuer.clone(),
                    spki_sha256: pin.clone(),
                    not_after: end,
                    tls_version: version.clone(),
                })));
            }
        }
    }
    (found, vague)
}

fn proofs() -> [Proof; 2] {
    [Proof::Verified, Proof::Unverified("it does not prove the host".into())]
}
