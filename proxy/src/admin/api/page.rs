//! Lists in pages: `?limit=&after=`, and where the next page is, in the answer and in its `Link` field (RFC 8288).

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map, Value};

use super::query::Query;
use super::shape::{Field, Shape};
use crate::admin::reply::{JSON, answer};

/// Items of a page where the request does not say.
pub const PAGE: usize = 100;

/// `limit`, for the query of an operation that answers a list.
pub const LIMIT: Field =
    Field::optional("limit", Shape::Integer { min: 0, max: 1_000_000 }, "items in one answer; the gateway has a bound");
/// `after`, for the query of an operation that answers a list.
pub const AFTER: Field = Field::optional("after", Shape::Id, "the id of the last item of the page before");
/// `next`, for the answer of such an operation.
pub const NEXT: Field = Field::optional("next", Shape::Text { max: 8192 }, "path and query of the next page");

/// Which part of a list is asked for.
#[derive(Clone, Debug)]
pub struct Page<'q> {
    /// At most so many items.
    pub limit: usize,
    /// Those after the item with this id.
    pub after: Option<&'q str>,
    query: &'q Query,
    path: &'q str,
}

impl<'q> Page<'q> {
    /// What this query of this path asks for, at most `most` items.
    pub(in crate::admin) fn of(query: &'q Query, path: &'q str, most: usize) -> Page<'q> {
        let limit = query.number("limit").unwrap_or(PAGE).min(most);
        Page { limit, after: query.text("after"), query, path }
    }

    /// This page of a list whose every item has an `id`: the items, and whether there are more.
    pub fn cut(&self, items: Vec<Value>) -> (Vec<Value>, More) {
        let id = |item: &Value| item.get("id").and_then(Value::as_str).map(str::to_owned);
        // Without the item that the last page ended with, which may be gone by now, its place among ids in the order of
        // time is as good.
        let at = self.after.and_then(|after| items.iter().position(|item| id(item).as_deref() == Some(after)));
        let rest: Vec<Value> = match (self.after, at) {
            (None, _) => items,
            (Some(_), Some(at)) => items.into_iter().skip(at + 1).collect(),
            (Some(after), None) => {
                items.into_iter().filter(|item| id(item).is_some_and(|id| id.as_str() > after)).collect()
            }
        };
        let more = if rest.len() > self.limit { More::Yes } else { More::No };
        (rest.into_iter().take(self.limit).collect(), more)
    }

    /// The answer with these items under `name`.
    pub fn answer(&self, name: &str, items: Vec<Value>, more: More) -> Response<Full<Bytes>> {
        let last = items.last().and_then(|item| item.get("id")).and_then(Value::as_str).map(str::to_owned);
        let mut body = Map::new();
        body.insert(name.to_owned(), Value::Array(items));
        let next = self.next(last.as_deref(), more);
        if let Some(next) = &next {
            body.insert("next".to_owned(), next.as_str().into());
        }
        let mut response = answer(StatusCode::OK, JSON, Value::Object(body).to_string());
        link(&mut response, next.as_deref());
        response
    }

    /// Path and query of the next page, where there is one.
    pub(in crate::admin) fn next(&self, last: Option<&str>, more: More) -> Option<String> {
        match more {
            More::Yes => last.map(|last| format!("{}?{}", self.path, self.query.continued(last))),
            More::No => None,
        }
    }
}

/// Whether there are more items than those of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// There are.
    Yes,
    /// There are none.
    No,
}

/// Say where the next page is.
pub(in crate::admin) fn link(response: &mut Response<Full<Bytes>>, next: Option<&str>) {
    // Whatever a query held is percent-encoded by now.
    if let Some(Ok(value)) = next.map(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\""))) {
        response.headers_mut().insert(header::LINK, value);
    }
}
