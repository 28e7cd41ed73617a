//! Rolling a gateway out: until a fixed moment, what only the policy denies is recorded as denied, and carried.
//!
//! Everything else holds: the address floor, malformed requests, invalid credentials, refused data classes, limits and
//! evidence. Nor is a private address opened for which no allow that names it is true, nor anything carried against a
//! containment mode.

use gatepass_policy::decision::{Decision, Reason};
use gatepass_policy::facts::Facts;
use gatepass_policy::overrides::NORMAL;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// What cuts a tunnel that only observing carried.
pub const BY_OBSERVE: &str = "observe";

/// Two readings of a clock that goes as it should differ by less.
const CLOCK_SLACK: SignedDuration = SignedDuration::from_secs(1);

/// The end of observing, if it is still to come. Where the clock was set back since the last run nobody knows how late it
/// is, and observing is over.
pub fn until(configured: Timestamp, clock: &Clock) -> Option<Timestamp> {
    let (known, shown) = (clock.now(), clock.wall());
    let behind = known.duration_since(shown) > CLOCK_SLACK;
    if behind {
        eprintln!("observe: the clock stands behind the highest time that was seen: observing is over");
    }
    (!behind && known < configured).then_some(configured)
}

/// Whether this denial is only recorded. `until` is the end of observing, `facts.now` a time that never goes back.
pub fn carries(until: Option<Timestamp>, mode: &str, facts: &Facts, denial: &Decision) -> bool {
    let observing = until.is_some_and(|until| facts.now < until);
    // Operators contain an incident by a mode: that is no policy to be tried out.
    observing && mode == NORMAL && is_the_policys(denial.reason) && !denial.unopened
}

/// Whether a decision for this reason was a denial of the policy, which is carried only while observing.
pub fn is_the_policys(reason: Reason) -> bool {
    match reason {
        Reason::Guardrail | Reason::TeamDeny | Reason::NoRule | Reason::RuleExpired | Reason::RuleError => true,
        Reason::Allowed
        | Reason::Grant
        | Reason::Permitted
        | Reason::AddressFloor
        | Reason::InvalidRequest
        | Reason::IdentityRequired
        | Reason::IdentityInvalid
        | Reason::DataClassRefused
        | Reason::HelloInvalid
        | Reason::HelloTimeout
        | Reason::DnsNxdomain
        | Reason::DnsFailed
        | Reason::DnsTimeout
        | Reason::DialFailed
        | Reason::DialTimeout
        | Reason::Limit
        | Reason::EvidenceUnavailable
        | Reason::PolicyStale
        | Reason::Draining => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_at_its_end_and_where_the_clock_was_set_back() {
        let clock = Clock::system();
        let later = |seconds| clock.now().checked_add(SignedDuration::from_secs(seconds)).unwrap();
        let (soon, end) = (later(-1), later(7200));
        assert_eq!((until(end, &clock), until(soon, &clock)), (Some(end), None));
        clock.at_least(later(3600));
        assert!(clock.now() < end);
        assert_eq!(until(end, &clock), None, "an hour is missing");
    }

    #[test]
    fn only_what_the_policy_denies_is_ever_carried() {
        let carried: Vec<&str> = Reason::ALL.iter().filter(|r| is_the_policys(**r)).map(|r| r.code()).collect();
        assert_eq!(carried, ["guardrail", "team_deny", "no_rule", "rule_expired", "rule_error"]);
    }
}
