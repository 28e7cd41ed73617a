//! Whether the credential of an open tunnel still stands: not expired, not revoked, and still known.

use std::collections::HashSet;
use std::sync::Arc;

use gatepass_certs::rotate::Loaded;
use gatepass_policy::facts::Facts;
use jiff::Timestamp;

use super::tunnel::Tunnel;
use crate::evidence::words::Ending;
use crate::identity::Registry;

/// Certificates that stand, each checked once in one pass: checking costs signatures, and a workload has many tunnels.
#[derive(Default)]
pub(super) struct Checks {
    /// By what it was checked against and its fingerprint.
    stand: HashSet<(usize, Arc<str>)>,
    /// Keeps the addresses in `stand` those of what they were taken of.
    against: Vec<Arc<Loaded>>,
}

/// How a tunnel ends whose credential does not stand at this moment; `None` where it stands.
pub(super) fn fault(
    tunnel: &Tunnel,
    facts: &Facts,
    registry: &Registry,
    now: Timestamp,
    checks: &mut Checks,
) -> Option<Ending> {
    if tunnel.credential_end.is_some_and(|end| end <= now) {
        return Some(Ending::Expired);
    }
    if !registry.stands(&facts.identity, facts.source.map(|source| source.ip())) || !checks.stands(tunnel, facts, now) {
        return Some(Ending::PolicyChanged);
    }
    None
}

impl Checks {
    fn stands(&mut self, tunnel: &Tunnel, facts: &Facts, now: Timestamp) -> bool {
        let Some(checked) = tunnel.checked.as_ref().filter(|checked| checked.is_outdated()) else { return true };
        let against = checked.rotating.current();
        let known = facts.identity.certificate();
        let key = known.map(|certificate| (Arc::as_ptr(&against) as usize, Arc::clone(&certificate.sha256)));
        if key.as_ref().is_some_and(|key| self.stand.contains(key)) {
            return true;
        }
        let stands = checked.stands(now);
        if let (true, Some(key)) = (stands, key) {
            if !self.against.iter().any(|kept| Arc::ptr_eq(kept, &against)) {
                self.against.push(against);
            }
            self.stand.insert(key);
        }
        stands
    }
}
