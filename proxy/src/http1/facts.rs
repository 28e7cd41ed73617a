//! What rules may see of a request.

use std::collections::BTreeMap;

use gatepass_policy::facts::HttpRequest;

use super::framing::nominated;
use super::{Field, Framing, Kind, RequestHead, Target};

impl RequestHead {
    /// The facts of a plain HTTP request; `None` for CONNECT. Fields that carry credentials are left out, so that no rule
    /// and no record can come to depend on them. So are those that end here, among them whatever `Connection` names: a
    /// rule that asks for a field must not be satisfied by one that the origin never gets. Bytes from 0x80 on that are
    /// not UTF-8 become U+FFFD.
    pub fn facts(&self) -> Option<HttpRequest> {
        let Target::Absolute { .. } = &self.target else { return None };
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        let told = |field: &Field<'_>| {
            !is_credential(field.kind) && !ends_here(field.kind) && !nominated(&self.fields, field.name())
        };
        for field in self.fields.iter().filter(told) {
            let value = String::from_utf8_lossy(field.value());
            headers
                .entry(field.lower().into_owned())
                .and_modify(|joined| {
                    joined.push_str(", ");
                    joined.push_str(&value);
                })
                .or_insert_with(|| value.clone().into_owned());
        }
        Some(HttpRequest {
            method: self.method().to_owned(),
            path: self.target.path().unwrap_or_default().to_owned(),
            query: self.target.query().unwrap_or_default().to_owned(),
            headers,
            content_length: match self.framing {
                Framing::None => Some(0),
                Framing::Length(length) => Some(length),
                Framing::Chunked | Framing::UntilClose => None,
            },
        })
    }
}

fn is_credential(kind: Kind) -> bool {
    matches!(kind, Kind::Authorization | Kind::ProxyAuthorization | Kind::Cookie | Kind::SetCookie)
}

/// What is for the gateway alone and never goes on.
fn ends_here(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::DataClass
            | Kind::ForwardedClientCert
            | Kind::Gatepass
            | Kind::KeepAlive
            | Kind::ProxyAuthenticate
            | Kind::ProxyAuthenticationInfo
            | Kind::ProxyConnection
            | Kind::ProxyStatus
            | Kind::Te
            | Kind::Trailer
    )
}

#[cfg(test)]
mod tests {
    use super::super::corpus_tests::limits;
    use super::super::request;

    #[test]
    fn rules_see_the_request_without_its_credentials() {
        let raw =
            b"POST http://a.test/p?q=1 HTTP/1.1\r\nHost: a.test\r\nX-A: 1\r\nx-a: 2\r\nAuthorization: Basic secret\r\n\
            Proxy-Authorization: Basic secret\r\nCookie: secret\r\nContent-Length: 5\r\n\r\n";
        let (head, _) = request::parse(raw, &limits()).unwrap().unwrap();
        let facts = head.facts().unwrap();
        assert_eq!((facts.method.as_str(), facts.path.as_str(), facts.query.as_str()), ("POST", "/p", "q=1"));
        assert_eq!(facts.headers.get("x-a").map(String::as_str), Some("1, 2"));
        assert_eq!(facts.content_length, Some(5));
        assert!(!format!("{facts:?} {head:?}").contains("secret"));
        assert_eq!(head.proxy_authorization(), Some(&b"Basic secret"[..]));
    }

    #[test]
    fn rules_do_not_see_a_field_that_the_origin_never_gets() {
        let raw = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\nConnection: close, X-Guard, Content-Type\r\nX-Guard: on\r\n\
            Content-Type: text/plain\r\nX-Forwarded-Client-Cert: URI=a\r\nGatepass-Anything: b\r\nX-Kept: yes\r\n\r\n";
        let (head, _) = request::parse(raw, &limits()).unwrap().unwrap();
        let facts = head.facts().unwrap();
        let names: Vec<&str> = facts.headers.keys().map(String::as_str).collect();
        assert_eq!(names, ["connection", "host", "x-kept"]);
    }

    #[test]
    fn a_connect_request_has_no_facts_of_plain_http() {
        let (head, _) = request::parse(b"CONNECT a.test:443 HTTP/1.0\r\n\r\n", &limits()).unwrap().unwrap();
        assert!(head.facts().is_none());
    }
}
