//! What the bundle that is to take a fragment says already: what it allows, what it denies, and what it takes.

use gatepass_policy::PolicySet;
use gatepass_policy::decision::{Decision, Reason, RuleInfo, Verdict};
use gatepass_policy::overrides::{Kind, NORMAL, Override, Overrides, Spec};
use jiff::{SignedDuration, Timestamp};

use super::LeftOut;
use crate::recorded::Recorded;
use crate::recorded::facts::{Ground, Lack, Maker, Workloads};

/// The bundle that is to take the fragment.
pub(super) struct Against<'s> {
    set: &'s PolicySet,
    maker: Maker<'s>,
    laid: Overrides,
}

impl<'s> Against<'s> {
    /// With nothing laid over it but its own exceptions.
    pub(super) fn new(set: &'s PolicySet) -> Against<'s> {
        let maker = Maker::new(set, Ground::Registries, Workloads::OfPolicy);
        Against { set, maker, laid: set.lay(NORMAL, &[]).0 }
    }

    /// Whether it has this fragment.
    pub(super) fn lists(&self, fragment: &str) -> bool {
        self.set.fragments().contains(&fragment)
    }

    /// How long a rule for exact names and these classes may live.
    pub(super) fn longest_life(&self, classes: &[&str]) -> SignedDuration {
        self.set.longest_life(classes, false)
    }

    /// Whether nothing but the lack of a rule stands in the way.
    pub(super) fn leaves_open(&mut self, record: &Recorded<'_>, now: Timestamp) -> Result<(), LeftOut> {
        let facts = match self.maker.facts(record, now, self.laid.mode()) {
            Ok(facts) => facts,
            Err(Lack::ClassRefused(_)) => return Err(LeftOut::Denied(Reason::DataClassRefused.code().to_owned())),
            Err(Lack::Unread | Lack::Cut) => return Err(LeftOut::Unnamed),
        };
        match self.set.decide_under(&facts, &self.laid) {
            // It waits for facts only where an allow is true or may become so.
            Verdict::Allow(_) | Verdict::Pending(_) => Err(LeftOut::Allowed),
            Verdict::Deny(Decision { reason: Reason::NoRule | Reason::RuleExpired | Reason::AddressFloor, .. }) => {
                Ok(())
            }
            Verdict::Deny(decision) => {
                let by = decision.rule.map_or_else(|| decision.reason.code().to_owned(), |rule| rule.path.to_string());
                Err(LeftOut::Denied(by))
            }
        }
    }

    /// What of these lies outside of the bundle's data classes, and of the fragment's scope where it has one. `place` is a
    /// host, a pattern, or a network.
    pub(super) fn outside(
        &self,
        identity: &str,
        place: &str,
        classes: &[String],
        fragment: Option<&str>,
    ) -> Option<String> {
        if let Err(class) = self.set.classes(classes) {
            return Some(format!("`{class}` is not a data class of the bundle"));
        }
        let (hosts, cidrs) = match place.contains('/') {
            true => (Vec::new(), vec![place.to_owned()]),
            false => (vec![place.to_owned()], Vec::new()),
        };
        let (identities, data_classes) = (vec![identity.to_owned()], classes.to_vec());
        let spec = Spec { identities, hosts, cidrs, ports: vec![443], data_classes };
        let info = RuleInfo {
            path: ASKING.into(),
            owner: ASKING.into(),
            purpose: ASKING.into(),
            ticket: None,
            expires: Some(Timestamp::MAX),
        };
        // An exception is asked about, since the policy tells of one whether its scope takes it.
        let one = match Override::new(Kind::Permits(fragment?.into()), info, &spec) {
            Ok(one) => one,
            Err(faults) => return faults.into_iter().next().map(|fault| fault.detail),
        };
        let (_, dormant) = self.set.lay(NORMAL, &[one]);
        dormant.into_iter().find(|dormant| &*dormant.path == ASKING).map(|dormant| dormant.why)
    }
}

/// No path of an exception: those have a slash.
const ASKING: &str = "suggested";
