//! Every operation that is served, with what answers it; and the way from a path to its rows.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::described;
use super::operation::Operation;
use super::page::Page;
use super::query::Query;
use crate::admin::caller::Caller;
use crate::admin::problem::Problem;
use crate::admin::totp::SecondFactor;
use crate::admin::{Limits, State, live, overrides, routes};

/// An operation and what answers it.
pub struct Row {
    /// What it is.
    pub operation: &'static Operation,
    /// What answers it.
    pub handler: Handler,
}

/// What answers an operation. It runs once everything about the request was checked: who calls, the query, the body.
#[derive(Clone, Copy)]
pub enum Handler {
    /// At once, from memory.
    Now(fn(&Asked<'_>) -> Result<Response<Full<Bytes>>, Problem>),
    /// After something was waited for.
    Waits(for<'a> fn(&'a Asked<'a>) -> Answering<'a>),
}

/// An answer that is waited for.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Problem>> + Send + 'a>>;

/// A request, after everything about it was checked.
pub struct Asked<'a> {
    /// What answers are made of.
    pub state: &'a State,
    /// The bounds.
    pub limits: Limits,
    /// Who calls; nobody on a path that is open.
    pub(in crate::admin) caller: Option<&'a Caller>,
    /// What stands in the place of `{id}`.
    pub id: Option<&'a str>,
    /// The path.
    pub path: &'a str,
    /// The query, of the shape that the operation says.
    pub query: Query,
    /// The body, of the shape that the operation says; `null` where it takes none.
    pub body: Value,
    /// The fields of the head.
    pub headers: &'a HeaderMap,
    /// The caller's address; none over a socket in the file system.
    pub from: Option<SocketAddr>,
}

impl Asked<'_> {
    /// Who calls.
    ///
    /// # Errors
    /// On a path that is open nobody was proven.
    pub fn caller(&self) -> Result<&Caller, Problem> {
        self.caller.ok_or_else(|| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "nobody was asked who calls"))
    }

    /// The one-time code in the field `Gatepass-Totp`, which counts once.
    pub fn second_factor(&self) -> Result<SecondFactor, Problem> {
        let operator = &self.caller()?.operator;
        let now = (self.state.now)();
        let shown = self.state.totp.of_request(self.headers, &operator.person, operator.totp.as_ref(), now);
        shown.map_err(Problem::from)
    }

    /// Which part of a list is asked for.
    pub fn page(&self) -> Page<'_> {
        Page::of(&self.query, self.path, self.limits.decisions)
    }
}

/// Everything that is served.
pub static TABLE: &[Row] = &[
    Row { operation: &described::HEALTH, handler: Handler::Now(routes::health) },
    Row { operation: &described::READY, handler: Handler::Now(routes::ready) },
    Row { operation: &described::METRICS, handler: Handler::Now(routes::metrics) },
    Row { operation: &described::OPENAPI, handler: Handler::Now(routes::openapi) },
    Row { operation: &described::LOGIN, handler: Handler::Now(routes::login) },
    Row { operation: &described::WHOAMI, handler: Handler::Now(routes::whoami) },
    Row { operation: &described::POLICY, handler: Handler::Now(routes::policy) },
    Row { operation: &described::TUNNELS, handler: Handler::Now(routes::tunnels) },
    Row { operation: &described::TUNNEL_CUT, handler: Handler::Waits(live::cut) },
    Row { operation: &described::POLICY_PREVIEW, handler: Handler::Waits(live::preview) },
    Row { operation: &described::DECISIONS, handler: Handler::Now(routes::decisions) },
    Row { operation: &described::DECISION_BY_ID, handler: Handler::Now(routes::decision) },
    Row { operation: &described::GRANTS, handler: Handler::Now(overrides::grants) },
    Row { operation: &described::GRANT_REQUEST, handler: Handler::Waits(overrides::grant_request) },
    Row { operation: &described::GRANT_BY_ID, handler: Handler::Now(overrides::grant) },
    Row { operation: &described::GRANT_REVOKE, handler: Handler::Waits(overrides::grant_revoke) },
    Row { operation: &described::GRANT_APPROVE, handler: Handler::Waits(overrides::grant_approve) },
    Row { operation: &described::GRANT_REVIEW, handler: Handler::Waits(overrides::grant_review) },
    Row { operation: &described::EXCEPTIONS, handler: Handler::Now(overrides::exceptions) },
    Row { operation: &described::EXCEPTION_REQUEST, handler: Handler::Waits(overrides::exception_request) },
    Row { operation: &described::EXCEPTION_BY_ID, handler: Handler::Now(overrides::exception) },
    Row { operation: &described::EXCEPTION_REVOKE, handler: Handler::Waits(overrides::exception_close) },
    Row { operation: &described::EXCEPTION_APPROVE, handler: Handler::Waits(overrides::exception_approve) },
    Row { operation: &described::MODE, handler: Handler::Now(overrides::mode) },
    Row { operation: &described::MODE_SET, handler: Handler::Waits(overrides::mode_set) },
];

/// What a path leads to.
pub(in crate::admin) struct Found<'p> {
    /// One row a method; never empty.
    pub rows: Vec<&'static Row>,
    /// What stands in the place of `{id}`.
    pub id: Option<&'p str>,
}

/// The rows of a path. A path has one spelling: what is encoded, doubled or dotted is another path, and there is none.
pub(in crate::admin) fn find<'p>(table: &'static [Row], path: &'p str) -> Option<Found<'p>> {
    let mut found = Found { rows: Vec::new(), id: None };
    for row in table {
        if let Some(id) = matched(row.operation.path, path) {
            found.rows.push(row);
            found.id = found.id.or(id);
        }
    }
    (!found.rows.is_empty()).then_some(found)
}

/// Whether the path is of this form, and what then stands in the place of `{id}`.
fn matched<'p>(template: &str, path: &'p str) -> Option<Option<&'p str>> {
    let mut id = None;
    let mut segments = path.split('/');
    for wanted in template.split('/') {
        let segment = segments.next()?;
        match wanted {
            "{id}" if is_id(segment) => id = Some(segment),
            _ if wanted == segment => {}
            _ => return None,
        }
    }
    segments.next().is_none().then_some(id)
}

fn is_id(segment: &str) -> bool {
    (1..=64).contains(&segment.len()) && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling() {
        for path in ["/health", "/v1/decisions", "/v1/decisions/019a8f3e-1d2c-7b4a-9c1e-2f60a1b3c4d5"] {
            assert!(find(TABLE, path).is_some(), "{path}");
        }
        for path in [
            "",
            "/",
            "//health",
            "/health/",
            "/./health",
            "/x/../health",
            "/%68ealth",
            "/health;a=b",
            "/v1%2fdecisions",
            "/v1//decisions",
            "/v1/decisions/",
            "/v1/decisions/..",
            "/v1/decisions/.",
            "/v1/decisions/%2e%2e",
            "/v1/decisions/a/b",
            "/v1/decisions/a;b=c",
            "/HEALTH",
        ] {
            assert!(find(TABLE, path).is_none(), "{path}");
        }
        assert_eq!(find(TABLE, "/v1/decisions/abc").and_then(|found| found.id), Some("abc"));
    }

    #[test]
    fn no_two_rows_are_the_same_operation() {
        for (at, row) in TABLE.iter().enumerate() {
            let same =
                |other: &&Row| (other.operation.verb, other.operation.path) == (row.operation.verb, row.operation.path);
            assert_eq!(TABLE.iter().position(|other| same(&other)), Some(at), "{}", row.operation.path);
        }
    }
}
