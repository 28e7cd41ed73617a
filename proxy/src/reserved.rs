//! The reserved host: `http://gatepass.internal/` through the proxy tells a client why *it* was denied.
//!
//! It never tells one client about another. Behind a NAT many clients are `anonymous`, so without an identity a
//! client must know the whole decision id, which only the denied request was given. Clients of one named network are
//! one workload to the gateway, and may ask as one.

use std::sync::Arc;

use gatepass_policy::host::Host;
use gatepass_policy::identity::{Identity, Method};
use uuid::Uuid;

use crate::evidence::DecisionRecord;
use crate::evidence::recent::Recent;
use crate::explanation::explain;
use crate::refusal::{After, Body, Form, quoted};

/// The host that no DNS server is ever asked for.
pub const HOST: &str = "gatepass.internal";

/// What was asked of the reserved host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// One decision.
    Decision(Uuid),
    /// The caller's last denial, to this host where one is named.
    LastDenial(Option<String>),
    /// Something else.
    Unknown,
}

impl Question {
    /// From path and query: `/`, `/?host=NAME`, `/DECISION-ID`.
    pub fn parse(path_and_query: &str) -> Question {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        match path.strip_prefix('/').unwrap_or(path) {
            "" => {
                let host = query.split('&').find_map(|pair| pair.strip_prefix("host="));
                let canonical = host.map(canonical);
                match canonical {
                    Some(None) => Question::Unknown,
                    Some(host) => Question::LastDenial(host),
                    None => Question::LastDenial(None),
                }
            }
            id => Uuid::try_parse(id).map_or(Question::Unknown, Question::Decision),
        }
    }
}

/// As records spell it; an IPv6 address may stand without brackets, as it does there.
pub fn canonical(host: &str) -> Option<String> {
    let bare = host.parse::<std::net::Ipv6Addr>().map(|ip| Host::Ip(gatepass_policy::address::unmap(ip.into())));
    bare.or_else(|_| Host::parse(host.as_bytes())).ok().map(|host| host.to_text().into_owned())
}

/// The whole HTTP/1.1 answer.
pub fn answer(question: &Question, asker: &Identity, recent: &Recent, form: Form, after: After, sent: Body) -> Vec<u8> {
    let found = match question {
        Question::Decision(id) => recent.by_id(*id).filter(|record| may_read(asker, record)),
        Question::LastDenial(host) => match asker.method() {
            Method::None => None,
            Method::Mtls | Method::Jwt | Method::Token | Method::Network => {
                recent.last_denial(asker.id(), host.as_deref())
            }
        },
        Question::Unknown => None,
    };
    let (head, body) = match found {
        Some(record) => {
            let head = format!("200 OK\r\nProxy-Status: gatepass\r\nGatepass-Decision: {}", record.id);
            (head, render(&record, form))
        }
        None => {
            let text = nothing(question, asker);
            let details = quoted(text);
            let head = format!(
                "404 gatepass: nothing known\r\nProxy-Status: gatepass; error=http_request_error; details={details}"
            );
            (head, render_nothing(text, form))
        }
    };
    let kind = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    };
    let length = body.len();
    let connection = match after {
        After::Close => "Connection: close\r\n",
        After::KeepAlive => "",
    };
    let body = match sent {
        Body::Sent => &*body,
        Body::Withheld => "",
    };
    format!(
        "HTTP/1.1 {head}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{connection}\r\n{body}"
    )
    .into_bytes()
}

/// A decision about somebody else is nobody's business but an operator's.
fn may_read(asker: &Identity, record: &DecisionRecord) -> bool {
    match &record.identity {
        Some(who) => who.id.as_str() == asker.id(),
        // Nobody could be made out, so nobody but the holder of the id can be meant.
        None => true,
    }
}

fn render(record: &Arc<DecisionRecord>, form: Form) -> String {
    match form {
        Form::Text => explain(record),
        Form::Json => serde_json::to_string(&**record).unwrap_or_default() + "\n",
    }
}

fn nothing(question: &Question, asker: &Identity) -> &'static str {
    match (question, asker.method()) {
        (Question::Unknown, _) => "ask for `/`, `/?host=NAME` or `/DECISION-ID`",
        (Question::LastDenial(_), Method::None) => {
            "without an identity, ask by the decision id that the denial gave: `/DECISION-ID`"
        }
        (Question::LastDenial(_) | Question::Decision(_), _) => "no such decision of yours is remembered",
    }
}

fn render_nothing(text: &str, form: Form) -> String {
    match form {
        Form::Text => format!("{text}\n"),
        Form::Json => serde_json::json!({"error": text}).to_string() + "\n",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_strictly() {
        assert_eq!(Question::parse("/"), Question::LastDenial(None));
        assert_eq!(Question::parse("/?host=API.test."), Question::LastDenial(Some("api.test".to_owned())));
        assert_eq!(Question::parse("/?host=[2001:DB8::1]"), Question::parse("/?host=2001:db8:0::1"));
        assert_eq!(Question::parse("/?host=a b"), Question::Unknown);
        assert_eq!(Question::parse("/nonsense"), Question::Unknown);
    }

    #[test]
    fn without_an_identity_only_the_whole_id_tells() {
        let recent = Recent::new(4);
        let answer = |question| {
            let asker = Identity::anonymous();
            let answer = answer(&question, &asker, &recent, Form::Text, After::KeepAlive, Body::Sent);
            String::from_utf8(answer).unwrap()
        };
        assert!(answer(Question::LastDenial(None)).starts_with("HTTP/1.1 404"));
        assert!(answer(Question::LastDenial(None)).contains("by the decision id"));
    }
}
