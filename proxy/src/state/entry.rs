//! What grants and exceptions have in common as they are kept in the store: who, and what is covered.

use gatepass_policy::overrides::Spec;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::evidence::text::Text;
use crate::evidence::{By, Details};

/// Who did something, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// The moment, by the clock of the gateway that was asked.
    pub at: Timestamp,
    /// Who.
    pub by: Who,
    /// Why, where that is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// [`Who::method`] of a workload.
pub const WORKLOAD: &str = "workload";

/// Somebody: an operator, or a workload that asks for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Who {
    /// The operator's name, or the workload's identity.
    pub name: String,
    /// The person behind it: two operators of one person are one.
    pub person: String,
    /// How that was established: `certificate`, `token`, `oidc`; `workload` for a workload's own identity.
    pub method: String,
}

impl Who {
    /// Whether both are one person, however they are written.
    pub fn is(&self, other: &Who) -> bool {
        self.person.eq_ignore_ascii_case(&other.person) || self.name.eq_ignore_ascii_case(&other.name)
    }

    /// Whether it is a workload that asks for itself.
    pub fn is_workload(&self) -> bool {
        self.method == WORKLOAD
    }

    /// As records tell it.
    pub fn by(&self) -> By {
        let by = match self.method.as_str() {
            "certificate" => "certificate",
            "token" => "token",
            "oidc" => "oidc",
            _ => WORKLOAD,
        };
        By { name: Text::name(&self.name), person: Text::name(&self.person), by }
    }
}

/// For whom, where to and with what data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// Identity ids and patterns.
    #[serde(default)]
    pub identities: Vec<String>,
    /// Where to.
    #[serde(default)]
    pub destinations: Destinations,
    /// The connection's classes must be among these.
    #[serde(default)]
    pub data_classes: Vec<String>,
}

/// Where to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destinations {
    /// Names and patterns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Networks, for IP literals.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cidrs: Vec<String>,
    /// Ports.
    #[serde(default)]
    pub ports: Vec<u16>,
}

impl Terms {
    /// As the policy reads it.
    pub fn spec(&self) -> Spec {
        Spec {
            identities: self.identities.clone(),
            hosts: self.destinations.hosts.clone(),
            cidrs: self.destinations.cidrs.clone(),
            ports: self.destinations.ports.clone(),
            data_classes: self.data_classes.clone(),
        }
    }

    /// As records tell it.
    pub fn details(&self) -> Details {
        let Destinations { hosts, cidrs, ports } = &self.destinations;
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let details = Details::default().texts("identities", &self.identities);
        let details = if hosts.is_empty() { details } else { details.texts("hosts", hosts) };
        let details = if cidrs.is_empty() { details } else { details.texts("cidrs", cidrs) };
        details.texts("ports", &ports).texts("data_classes", &self.data_classes)
    }

    /// `api.example.com:443`, or as much of it as there is.
    pub fn destination(&self) -> String {
        let Destinations { hosts, cidrs, ports } = &self.destinations;
        let places: Vec<&str> = hosts.iter().chain(cidrs).map(String::as_str).collect();
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        format!("{}:{}", places.join(","), ports.join(","))
    }
}

/// A length of time as people write it: `30s`, `15m`, `2h`, `7d`.
///
/// Nothing else is one, neither a bare number nor anything signed; too long for the arithmetic of time is none either.
pub fn parse_length(text: &str) -> Option<SignedDuration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.is_empty() || number.len() > 9 || !number.bytes().all(|b| b.is_ascii_digit()) || number.starts_with('0') {
        return None;
    }
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<i64>().ok()?.checked_mul(seconds).map(SignedDuration::from_secs)
}

/// As people write it.
pub fn show_length(length: SignedDuration) -> String {
    let seconds = length.as_secs();
    match seconds {
        s if s % 86_400 == 0 && s > 0 => format!("{}d", s / 86_400),
        s if s % 3600 == 0 && s > 0 => format!("{}h", s / 3600),
        s if s % 60 == 0 && s > 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_lengths_are_lengths() {
        for (text, seconds) in [("30s", 30), ("15m", 900), ("2h", 7200), ("7d", 604_800)] {
            assert_eq!(parse_length(text), Some(SignedDuration::from_secs(seconds)));
            assert_eq!(show_length(SignedDuration::from_secs(seconds)), text);
        }
        for text in
            ["", "s", "0s", "00s", "-1s", "+1s", "1", "1e9s", "1.5h", "1 h", "9223372036854775807s", "1w", "1H", "１h"]
        {
            assert_eq!(parse_length(text), None, "{text}");
        }
    }

    #[test]
    fn one_person_is_one_person_under_every_name() {
        let who = |name: &str, person: &str| Who { name: name.into(), person: person.into(), method: "token".into() };
        assert!(who("a", "alice@x").is(&who("b", "ALICE@x")));
        assert!(who("a", "1").is(&who("A", "2")));
        assert!(!who("a", "alice@x").is(&who("b", "bob@x")));
    }
}
