//! Refusals of the admin listener as problem documents (RFC 9457).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::json;

/// Why a request was not answered. `detail` is for the operator who asked.
#[derive(Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub title: &'static str,
    pub detail: &'static str,
    /// A field that the status asks for.
    pub field: Option<(header::HeaderName, &'static str)>,
}

impl Problem {
    pub fn new(status: StatusCode, title: &'static str, detail: &'static str) -> Problem {
        Problem { status, title, detail, field: None }
    }

    pub fn into_response(self) -> Response<Full<Bytes>> {
        // `type` is left out: it then is `about:blank`, and the title says what the status says (section 4.2.1).
        let body = json!({"status": self.status.as_u16(), "title": self.title, "detail": self.detail});
        let mut response = super::routes::answer(self.status, "application/problem+json", body.to_string());
        if let Some((name, value)) = self.field {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
