//! Refusals of the admin listener as problem documents (RFC 9457).

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

/// Why a request was not answered. `detail` is for the operator who asked.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The status.
    pub status: StatusCode,
    /// What went wrong and how to mend it: lower case, no full stop.
    pub detail: String,
    /// What is wrong with the single fields of a body or a query.
    pub errors: Vec<Fault>,
    /// Fields that the status asks for.
    fields: Vec<(HeaderName, HeaderValue)>,
}

/// One thing that is wrong with a body or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Dotted from the root (`destinations[0].host`); empty for the whole.
    pub field: String,
    /// What is wrong with it.
    pub detail: String,
}

impl Problem {
    /// A problem of this status.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Problem {
        Problem { status, detail: detail.into(), errors: Vec::new(), fields: Vec::new() }
    }

    /// 400, with what is wrong field by field.
    pub fn faults(detail: impl Into<String>, errors: Vec<Fault>) -> Problem {
        Problem { errors, ..Problem::new(StatusCode::BAD_REQUEST, detail) }
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, detail)
    }

    /// 403.
    pub fn forbidden(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::FORBIDDEN, detail)
    }

    /// 401: another credential could help.
    pub fn unauthorized(detail: impl Into<String>) -> Problem {
        let challenge = HeaderValue::from_static("Bearer realm=\"gatepass admin\"");
        Problem::new(StatusCode::UNAUTHORIZED, detail).with(header::WWW_AUTHENTICATE, challenge)
    }

    /// 429: not before this time has passed.
    pub fn too_many(detail: impl Into<String>, wait: Duration) -> Problem {
        let seconds = wait.as_secs().saturating_add(1);
        Problem::new(StatusCode::TOO_MANY_REQUESTS, detail).with(header::RETRY_AFTER, seconds.into())
    }

    /// With a further field of the head.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Problem {
        self.fields.push((name, value));
        self
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        // `type` is left out: it then is `about:blank`, and the title says what the status says (section 4.2.1).
        let title = self.status.canonical_reason().unwrap_or("Error");
        let mut body = json!({"status": self.status.as_u16(), "title": title, "detail": self.detail});
        if let (false, Value::Object(fields)) = (self.errors.is_empty(), &mut body) {
            let errors = self.errors.iter().map(|fault| json!({"field": fault.field, "detail": fault.detail}));
            fields.insert("errors".into(), errors.collect());
        }
        let mut response = super::reply::answer(self.status, "application/problem+json", body.to_string());
        response.headers_mut().extend(self.fields);
        response
    }
}

impl Fault {
    /// What is wrong with this field.
    pub fn new(field: impl Into<String>, detail: impl Into<String>) -> Fault {
        Fault { field: field.into(), detail: detail.into() }
    }
}
