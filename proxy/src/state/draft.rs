//! A request for a grant, read and checked, before anything of it is kept.

use gatepass_policy::decision::Factors;
use jiff::SignedDuration;
use serde::Deserialize;
use uuid::Uuid;

use super::claims::fingerprint;
use super::entry::{Destinations, Done, Terms, Who, parse_length, show_length};
use super::grant::{Grant, Scope};
use super::{Refused, State};

/// Bytes of a reason, a ticket or a note.
const TEXT_MAX: usize = 1024;

/// What an operator asks for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// For whom.
    #[serde(default)]
    pub identities: Vec<String>,
    /// Where to.
    #[serde(default)]
    pub destinations: Destinations,
    /// With what data.
    #[serde(default)]
    pub data_classes: Vec<String>,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The ticket.
    #[serde(default)]
    pub ticket: Option<String>,
    /// For how long, such as `30m`.
    #[serde(rename = "for")]
    pub length: String,
    /// Whether it is an exercise.
    #[serde(default)]
    pub drill: bool,
    /// Anything that no other request of this person has: the same twice is refused.
    #[serde(default)]
    pub nonce: Option<String>,
}

/// Whether a code of the requester's authenticator was shown, and was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It was.
    Right,
    /// None was shown.
    None,
}

pub(super) fn check_text(field: &str, text: &str, least: usize) -> Result<(), Refused> {
    let told = text.trim().chars().count();
    if told < least {
        return Err(Refused::field(field, "say it in words: it is what others are told, now and later"));
    }
    if text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(Refused::field(field, format!("at most {TEXT_MAX} bytes on one line")));
    }
    Ok(())
}

/// A length within its ceiling.
pub(super) fn check_length(text: &str, ceiling: SignedDuration) -> Result<SignedDuration, Refused> {
    let length = parse_length(text)
        .ok_or_else(|| Refused::field("for", "a length of time such as `30s`, `15m`, `2h` or `7d` is wanted here"))?;
    if length > ceiling {
        return Err(Refused::field("for", format!("at most {}", show_length(ceiling))));
    }
    Ok(length)
}

impl State {
    /// What the policy asks for beside the certificate, with everything that is wrong with the request.
    pub(super) fn check_request(&self, who: &Who, code: Code, request: &GrantRequest) -> Result<Factors, Refused> {
        self.limit(who)?;
        if who.method != "certificate" {
            let detail = "a grant is asked for with a client certificate: a token or a login alone does not do";
            return Err(Refused::Forbidden(detail.to_owned()));
        }
        check_text("reason", &request.reason, 3)?;
        request.ticket.iter().try_for_each(|ticket| check_text("ticket", ticket, 1))?;
        if let Some(nonce) = &request.nonce
            && !(8..=128).contains(&nonce.len())
        {
            return Err(Refused::field("nonce", "between 8 and 128 bytes"));
        }
        let set = &self.policy.current().set;
        if let Err(unknown) = set.classes(&request.data_classes) {
            return Err(Refused::field("data_classes", format!("`{unknown}` is not a data class of the policy")));
        }
        let factors = set.factors(&request.data_classes);
        if factors.totp && code == Code::None {
            let detail =
                "the policy asks for a code of your authenticator: `Gatepass-Totp: 123456`, or `--totp 123456`";
            return Err(Refused::Forbidden(detail.to_owned()));
        }
        Ok(factors)
    }

    pub(super) fn drafted(
        &self,
        who: &Who,
        code: Code,
        factors: Factors,
        request: GrantRequest,
    ) -> Result<Grant, Refused> {
        let of_policy = self.policy.current().set.ceilings().grant;
        let ceiling = of_policy.map_or(self.ceilings.grant, |ceiling| ceiling.min(self.ceilings.grant));
        let length = check_length(&request.length, ceiling)?;
        let GrantRequest { identities, destinations, data_classes, reason, ticket, drill, nonce, .. } = request;
        let terms = Terms { identities, destinations, data_classes };
        let said = serde_json::to_string(&terms).unwrap_or_default();
        let drilled = if drill { "drill" } else { "" };
        let whole =
            [who.person.as_str(), &said, &reason, ticket.as_deref().unwrap_or_default(), &request.length, drilled];
        let claim = match &nonce {
            Some(nonce) => fingerprint(&["nonce", &who.person, nonce]),
            None => fingerprint(&[&["request"], whole.as_slice()].concat()),
        };
        let now = self.now();
        let grant = Grant {
            id: Uuid::now_v7().to_string(),
            terms,
            reason,
            ticket,
            drill,
            scope: Scope::Fleet,
            seconds: length.as_secs(),
            requested: Done { at: now, by: who.clone(), reason: None },
            totp: code == Code::Right,
            needs_approval: factors.approval || code == Code::None,
            approved: None,
            begins: None,
            ends: None,
            revoked: None,
            reviewed: None,
            claim: if nonce.is_some() { format!("nonce/{claim}") } else { claim },
        };
        match grant.to_override(None) {
            Ok(_) => Ok(grant),
            Err(faults) => {
                Err(Refused::Invalid(faults.into_iter().map(|fault| (fault.field.to_owned(), fault.detail)).collect()))
            }
        }
    }
}
