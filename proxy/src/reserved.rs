//! The reserved host: `http://gatepass.internal/` through the proxy tells a client why *it* was denied.
//!
//! It never tells one client about another. Behind a NAT many clients are `anonymous` or one network, so without an
//! identity of its own a client must know the whole decision id, which only the denied request was given.

use std::sync::Arc;

use gatepass_policy::host::Host;
use gatepass_policy::identity::{Identity, Method};
use uuid::Uuid;

use crate::evidence::DecisionRecord;
use crate::evidence::recent::Recent;
use crate::explanation::explain;
use crate::refusal::{After, Body, Form};

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
                let canonical = host.map(|host| Host::parse(host.as_bytes()).map(|host| host.to_text().into_owned()));
                match canonical.transpose() {
                    Ok(host) => Question::LastDenial(host),
                    Err(_) => Question::Unknown,
                }
            }
            id => Uuid::try_parse(id).map_or(Question::Unknown, Question::Decision),
        }
    }
}

/// The whole HTTP/1.1 answer.
pub fn answer(question: &Question, asker: &Identity, recent: &Recent, form: Form, after: After, body: Body) -> Vec<u8> {
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
    let (status, text) = match found {
        Some(record) => ("200 OK", render(&record, form)),
        None => ("404 gatepass: nothing known", nothing(question, asker, form)),
    };
    let kind = match form {
        Form::Text => "text/plain; charset=utf-8",
        Form::Json => "application/json",
    };
    let length = text.len();
    let connection = match after {
        After::Close => "Connection: close\r\n",
        After::KeepAlive => "",
    };
    // After a HEAD, a body would be read as the answer to the next request.
    let text = match body {
        Body::Sent => text.as_str(),
        Body::Withheld => "",
    };
    format!(
        "HTTP/1.1 {status}\r\nProxy-Status: gatepass\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{connection}\r\n{text}"
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

fn nothing(question: &Question, asker: &Identity, form: Form) -> String {
    let text = match (question, asker.method()) {
        (Question::Unknown, _) => "ask for `/`, `/?host=NAME` or `/DECISION-ID`",
        (Question::LastDenial(_), Method::None) => {
            "without an identity, ask by the decision id that the denial gave: `/DECISION-ID`"
        }
        (Question::LastDenial(_) | Question::Decision(_), _) => "no such decision of yours is remembered",
    };
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
        assert_eq!(Question::parse("/?host=a b"), Question::Unknown);
        assert_eq!(Question::parse("/nonsense"), Question::Unknown);
    }

    #[test]
    fn without_an_identity_only_the_whole_id_tells() {
        let recent = Recent::new(4);
        let answer = |question| {
            let nobody = Identity::anonymous();
            let answer = answer(&question, &nobody, &recent, Form::Text, After::KeepAlive, Body::Sent);
            String::from_utf8(answer).unwrap()
        };
        assert!(answer(Question::LastDenial(None)).starts_with("HTTP/1.1 404"));
        assert!(answer(Question::LastDenial(None)).contains("by the decision id"));
    }
}
