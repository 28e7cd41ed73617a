//! Refusals in the words of Smokescreen: its statuses, its phrases and `X-Smokescreen-Error`.
//!
//! It answers 407 to whatever its list does not allow, and sends no challenge with it, although that status asks for
//! credentials (RFC 9110 section 15.5.8): some clients try again with some. Those that were made for it know better.

use gatepass_policy::decision::Reason;

use super::{CHALLENGES, Form, Refusal};
use crate::explanation::whither;

/// The status line and the message of one answer.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) phrase: &'static str,
    message: String,
    /// Fields beside the message, each with its line end.
    more: &'static str,
}

/// Longest message in bytes: it stands in a header field.
const MESSAGE_MAX: usize = 1024;

impl Said {
    /// The fields of the head.
    pub(super) fn fields(&self) -> String {
        format!("X-Smokescreen-Error: {}\r\n{}", self.message, self.more)
    }

    /// The message first, as there; then the explanation. JSON is for those who ask for it.
    pub(super) fn body(&self, form: Form, explanation: &str) -> String {
        match form {
            Form::Text => format!("{}\n\n{explanation}", self.message),
            Form::Json => explanation.to_owned(),
        }
    }
}

/// What is said of a refusal.
pub(super) fn refusal(refusal: &Refusal) -> Said {
    let text = refusal.record.reason.text.as_str();
    let denied = || {
        let message = format!("Egress proxying is denied to host '{}': {text}.", whither(&refusal.record));
        said(407, "Request rejected by proxy", &message, "")
    };
    match refusal.record.reason.code {
        Reason::Guardrail
        | Reason::TeamDeny
        | Reason::NoRule
        | Reason::RuleExpired
        | Reason::RuleError
        | Reason::AddressFloor
        | Reason::DataClassRefused
        | Reason::HelloInvalid
        | Reason::HelloTimeout => denied(),
        // Whoever can show credentials here is asked for them: that is what the status is for.
        Reason::IdentityRequired | Reason::IdentityInvalid => {
            let more = if refusal.status() == 407 { CHALLENGES } else { "" };
            Said { more, ..denied() }
        }
        Reason::DnsNxdomain | Reason::DnsFailed => {
            said(502, "Bad gateway", &format!("Failed to resolve remote hostname: {text}"), "")
        }
        Reason::DialFailed => said(502, "Bad gateway", &format!("Failed to connect to remote host: {text}"), ""),
        Reason::DnsTimeout | Reason::DialTimeout => {
            said(504, "Gateway timeout", &format!("Timed out connecting to remote host: {text}"), "")
        }
        Reason::Limit => said(429, "Too Many Requests", text, "Retry-After: 1\r\n"),
        // It has none of these, and a status of its own for what it did not expect.
        Reason::InvalidRequest
        | Reason::EvidenceUnavailable
        | Reason::PolicyStale
        | Reason::Draining
        | Reason::Allowed
        | Reason::Grant
        | Reason::Permitted => {
            let status = refusal.status();
            let more = if status == 503 { "Retry-After: 5\r\n" } else { "" };
            let phrase = if status < 500 { "Bad Request" } else { "Service Unavailable" };
            said(status, phrase, &format!("An unexpected error occurred: {text}"), more)
        }
    }
}

/// What is said where the upstream failed before it answered.
pub(super) fn upstream_failed(status: u16, text: &str) -> Said {
    match status {
        504 => said(504, "Gateway timeout", &format!("Timed out connecting to remote host: {text}"), ""),
        502 => said(502, "Bad gateway", &format!("Failed to connect to remote host: {text}"), ""),
        other => said(other, "Internal server error", &format!("An unexpected error occurred: {text}"), ""),
    }
}

fn said(status: u16, phrase: &'static str, message: &str, more: &'static str) -> Said {
    let visible = message.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' });
    Said { status, phrase, message: visible.take(MESSAGE_MAX).collect(), more }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gatepass_config::listeners::Compat;

    use super::super::{After, Body};
    use super::*;
    use crate::evidence::DecisionRecord;

    fn answer(reason: Reason, text: &str, form: Form) -> String {
        let client = "192.0.2.1:40000".parse().unwrap();
        let mut record = DecisionRecord::unread(jiff::Timestamp::UNIX_EPOCH, client, "test", reason, text);
        record.id = uuid::Uuid::now_v7();
        let refusal = Refusal { record: Arc::new(record), status: None, retry_after: None };
        String::from_utf8(refusal.response(form, After::Close, Body::Sent, Compat::Smokescreen)).unwrap()
    }

    #[test]
    fn every_reason_has_its_status_and_its_message() {
        for &reason in Reason::ALL {
            let answer = answer(reason, "detail", Form::Text);
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            let wanted = match reason.code() {
                "guardrail" | "team_deny" | "no_rule" | "rule_expired" | "rule_error" | "address_floor"
                | "identity_required" | "identity_invalid" | "data_class_refused" | "hello_invalid"
                | "hello_timeout" => "407 Request rejected by proxy",
                "dns_nxdomain" | "dns_failed" | "dial_failed" => "502 Bad gateway",
                "dns_timeout" | "dial_timeout" => "504 Gateway timeout",
                "limit" => "429 Too Many Requests",
                "invalid_request" => "400 Bad Request",
                _ => "50",
            };
            assert!(head.starts_with(&format!("HTTP/1.1 {wanted}")), "{reason}: {head}");
            let message = head.lines().find_map(|line| line.strip_prefix("X-Smokescreen-Error: ")).unwrap();
            assert!(body.starts_with(&format!("{message}\n")), "{reason}: {body}");
            assert!(head.contains("\r\nProxy-Status: gatepass; error=") && head.contains("\r\nGatepass-Decision: "));
            let challenged = matches!(reason, Reason::IdentityRequired | Reason::IdentityInvalid);
            assert_eq!(head.contains("Proxy-Authenticate"), challenged, "{reason}");
        }
    }

    #[test]
    fn nothing_a_client_sends_can_break_out_of_the_head() {
        let answer = answer(Reason::NoRule, "bad\r\nSet-Cookie: x\u{202e}", Form::Json);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().all(|line| !line.starts_with("Set-Cookie")), "{head}");
        assert!(body.starts_with('{'), "{body}");
    }
}
