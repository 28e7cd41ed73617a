//! The one place that chooses a status code, a reason phrase, a `Proxy-Status` error or a TLS alert.
//!
//! Most clients show their user only the reason phrase of a refused CONNECT, some only the code, a few the header block;
//! nobody shows the body. So the explanation stands in all of them, the shortest first, and each carries the decision id.

mod smokescreen;

use std::fmt::Write as _;
use std::sync::Arc;

use gatepass_config::listeners::Compat;
use gatepass_policy::decision::Reason;
use uuid::Uuid;

use crate::client_hello::AlertDescription as Alert;
use crate::evidence::DecisionRecord;
use crate::explanation::explain;

/// Longest reason phrase in bytes: the shortest limit met among clients is about 200.
const PHRASE_MAX: usize = 180;

/// An answer that the gateway makes instead of carrying something: its record, put into words for the client.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// What is recorded of it.
    pub record: Arc<DecisionRecord>,
    /// A more exact status than the reason's own, for a malformed head (RFC 9110 section 15, RFC 6585 section 5).
    pub status: Option<u16>,
    /// Seconds after which it may be worth asking again, where that is known.
    pub retry_after: Option<u64>,
}

/// How the client wants to read the explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `text/plain`.
    Text,
    /// `application/json`.
    Json,
}

/// Whether the connection can be used for another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It ends: a refused CONNECT always, a malformed head always.
    Close,
    /// It stays.
    KeepAlive,
}

/// Whether the answer brings its body along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// It does.
    Sent,
    /// It only says how long it would be: the request was a HEAD (RFC 9110 section 9.3.2).
    Withheld,
}

impl Body {
    /// What this method's answer does.
    pub fn for_method(method: &str) -> Body {
        if method == "HEAD" { Body::Withheld } else { Body::Sent }
    }
}

/// One row: what a client sees of a reason.
struct Row {
    status: u16,
    /// The error of RFC 9209 section 2.3.
    error: &'static str,
}

/// The table of outcomes. It is exhaustive by construction: a new reason does not compile without its row.
fn row(reason: Reason) -> Row {
    let (status, error) = match reason {
        Reason::Guardrail
        | Reason::TeamDeny
        | Reason::NoRule
        | Reason::RuleExpired
        | Reason::RuleError
        | Reason::DataClassRefused => (403, "http_request_denied"),
        Reason::AddressFloor => (403, "destination_ip_prohibited"),
        Reason::InvalidRequest => (400, "http_request_error"),
        Reason::IdentityRequired | Reason::IdentityInvalid => (407, "http_request_denied"),
        Reason::HelloInvalid => (403, "http_request_denied"),
        Reason::HelloTimeout => (403, "http_request_denied"),
        Reason::DnsNxdomain | Reason::DnsFailed => (502, "dns_error"),
        Reason::DnsTimeout => (504, "dns_timeout"),
        Reason::DialFailed => (502, "connection_refused"),
        Reason::DialTimeout => (504, "connection_timeout"),
        Reason::Limit => (503, "connection_limit_reached"),
        Reason::EvidenceUnavailable | Reason::PolicyStale => (503, "proxy_internal_error"),
        Reason::Draining => (503, "proxy_internal_error"),
        // These permit; that one of them would be refused is a fault of ours, and is answered as one.
        Reason::Allowed | Reason::Grant | Reason::Permitted => (500, "proxy_internal_error"),
    };
    Row { status, error }
}

impl Refusal {
    /// The status code.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or_else(|| row(self.reason()).status)
    }

    /// The reason phrase: `gatepass: <short reason> [<decision id>]`, printable ASCII.
    pub fn phrase(&self) -> String {
        let mut phrase = String::from("gatepass: ");
        let room = PHRASE_MAX - 50;
        phrase.extend(self.short().chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).take(room));
        let _ = write!(phrase, " [{}]", self.record.id);
        phrase
    }

    /// The TLS alert that says it to a client whose tunnel was already open: whose fault it is stands in the record.
    pub fn alert(sni_disagrees: bool) -> Alert {
        if sni_disagrees { Alert::UnrecognizedName } else { Alert::AccessDenied }
    }

    /// The whole HTTP/1.1 answer.
    pub fn response(&self, form: Form, after: After, body: Body, compat: Compat) -> Vec<u8> {
        let text = match form {
            Form::Text => explain(&self.record),
            Form::Json => self.json(),
        };
        match compat {
            Compat::None => self.own(form, &text, after, body),
            Compat::Smokescreen => {
                let said = smokescreen::refusal(self);
                let proxy_status = (row(self.reason()).error, self.record.reason.text.as_str());
                let status_line = format!("HTTP/1.1 {} {}", said.status, said.phrase);
                assemble(
                    &status_line,
                    proxy_status,
                    self.record.id,
                    &said.fields(),
                    (form, &said.body(form, &text)),
                    after,
                    body,
                )
            }
        }
    }

    fn own(&self, form: Form, text: &str, after: After, body: Body) -> Vec<u8> {
        let status = self.status();
        let challenges = match status {
            407 => CHALLENGES.to_owned(),
            429 | 503 => format!("Retry-After: {}\r\n", self.retry_after.unwrap_or(RETRY_AFTER)),
            _ => String::new(),
        };
        let status_line = format!("HTTP/1.1 {status} {}", self.phrase());
        let proxy_status = (row(self.reason()).error, self.record.reason.text.as_str());
        assemble(&status_line, proxy_status, self.record.id, &challenges, (form, text), after, body)
    }

    fn reason(&self) -> Reason {
        self.record.reason.code
    }

    /// A malformed request and a limit deserve their particulars in the phrase: whoever wrote the client reads nothing else.
    fn short(&self) -> &str {
        match self.reason() {
            Reason::InvalidRequest | Reason::Limit => self.record.reason.text.as_str(),
            reason => reason.sentence(),
        }
    }

    fn json(&self) -> String {
        serde_json::to_string(&*self.record).map_or_else(|_| "{}\n".to_owned(), |json| json + "\n")
    }
}

/// Seconds until a gateway that is full may have room again.
const RETRY_AFTER: u64 = 5;

/// What a client can authenticate with (RFC 9110 section 11.7.1).
const CHALLENGES: &str = "Proxy-Authenticate: Basic realm=\"gatepass\", charset=\"UTF-8\"\r\nProxy-Authenticate: Bearer realm=\"gatepass\"\r\n";

/// The answer where an admitted request came to nothing because of the upstream, before a byte of its answer was
/// passed on. `error` is of RFC 9209 section 2.3.
pub fn upstream_failed(id: Uuid, (status, text): (u16, &str), form: Form, body: Body, compat: Compat) -> Vec<u8> {
    let error = match status {
        504 => "http_response_timeout",
        502 => "http_protocol_error",
        _ => "http_request_error",
    };
    let line = format!("HTTP/1.1 {status} gatepass: {text} [{id}]");
    let explanation = match form {
        Form::Text => format!("FAIL  {id}\n      {text}\n"),
        Form::Json => serde_json::json!({"id": id.to_string(), "reason": {"text": text}}).to_string() + "\n",
    };
    match compat {
        Compat::None => assemble(&line, (error, text), id, "", (form, &explanation), After::Close, body),
        Compat::Smokescreen => {
            let said = smokescreen::upstream_failed(status, text);
            let line = format!("HTTP/1.1 {} {}", said.status, said.phrase);
            let explanation = said.body(form, &explanation);
            assemble(&line, (error, text), id, &said.fields(), (form, &explanation), After::Close, body)
        }
    }
}

fn assemble(
    status_line: &str,
    (error, details): (&str, &str),
    id: Uuid,
    challenges: &str,
    (form, text): (Form, &str),
    after: After,
    body: Body,
) -> Vec<u8> {
    let kind = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    };
    let mut answer = format!("{status_line}\r\nProxy-Status: gatepass; error={error}; details={}\r\n", quoted(details));
    let _ = write!(answer, "Gatepass-Decision: {id}\r\n{challenges}Content-Type: {kind}\r\n");
    let _ = write!(answer, "Content-Length: {}\r\nCache-Control: no-store\r\n", text.len());
    if after == After::Close {
        answer.push_str("Connection: close\r\n");
    }
    answer.push_str("\r\n");
    if body == Body::Sent {
        answer.push_str(text);
    }
    answer.into_bytes()
}

/// A Structured Fields string (RFC 9651 section 3.3.3): printable ASCII, quotes and backslashes escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            ' '..='~' => out.push(c),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(reason: Reason, text: &str) -> Refusal {
        let client = "192.0.2.1:40000".parse().unwrap();
        let mut record = DecisionRecord::unread(jiff::Timestamp::UNIX_EPOCH, client, "test", reason, text);
        record.id = uuid::Uuid::now_v7();
        Refusal { record: Arc::new(record), status: None, retry_after: None }
    }

    #[test]
    fn nothing_a_client_sends_can_break_out_of_the_head() {
        let refusal = refusal(Reason::InvalidRequest, "bad \"host\"\r\nSet-Cookie: x\u{202e}");
        let answer = String::from_utf8(refusal.response(Form::Text, After::Close, Body::Sent, Compat::None)).unwrap();
        let head = answer.split("\r\n\r\n").next().unwrap();
        assert!(!head.contains("\r\nSet-Cookie"), "{head}");
        assert!(head.lines().all(|line| !line.starts_with("Set-Cookie")), "{head}");
        assert!(head.contains("details=\"the request is malformed: bad \\\"host\\\""), "{head}");
        assert!(refusal.phrase().is_ascii() && refusal.phrase().len() < 200);
    }

    #[test]
    fn every_reason_has_an_error_status_and_an_error_token() {
        for &reason in Reason::ALL {
            let refusal = refusal(reason, "");
            assert!((400..600).contains(&refusal.status()), "{reason}");
            let answer =
                String::from_utf8(refusal.response(Form::Json, After::Close, Body::Sent, Compat::None)).unwrap();
            assert!(answer.contains(&format!("Gatepass-Decision: {}", refusal.record.id)));
            assert!(answer.contains("Proxy-Status: gatepass; error=") && answer.contains("Connection: close"));
            assert_eq!(answer.contains("Proxy-Authenticate"), refusal.status() == 407, "{reason}");
            assert_eq!(answer.contains("Retry-After"), refusal.status() == 503, "{reason}");
        }
    }
}
