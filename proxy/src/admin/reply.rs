//! Answers of the admin listener: what no cache keeps and no browser guesses about.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::Value;

/// What nearly every answer is.
pub(super) const JSON: &str = "application/json";
/// For people.
pub(super) const TEXT: &str = "text/plain; charset=utf-8";

/// An answer in JSON.
pub fn json(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    answer(status, JSON, body.to_string())
}

/// An answer of this type.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    fields.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
