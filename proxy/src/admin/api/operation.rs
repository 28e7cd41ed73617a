//! An operation of the admin API: its method and path, who may call it, what it takes and what it answers.

use gatepass_config::operators::Role;
use http::Method;

use super::shape::{Field, Shape};

/// Bytes of a body where an operation does not say: a request is a page of text at most.
pub const BODY_MAX: usize = 64 << 10;

/// One operation, as the router and the OpenAPI document both see it.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The method.
    pub verb: Verb,
    /// The path; at most one segment of it is `{id}`.
    pub path: &'static str,
    /// A few words.
    pub summary: &'static str,
    /// Who may call it.
    pub needs: Needs,
    /// The parameters of its query.
    pub query: &'static [Field],
    /// What it takes; without one, nothing or an empty object.
    pub body: Option<Body>,
    /// What it answers where it does as it was asked.
    pub answer: Answer,
}

/// A method that an operation can have. `HEAD` goes where `GET` goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Reads.
    Get,
    /// Makes something.
    Post,
    /// Sets something.
    Put,
    /// Ends something.
    Delete,
}

/// Who may call an operation.
#[derive(Clone, Copy, Debug)]
pub enum Needs {
    /// Everybody who reaches the listener.
    Nothing,
    /// An operator with one of these roles.
    AnyOf(&'static [Role]),
}

/// A body that an operation takes.
#[derive(Clone, Copy, Debug)]
pub struct Body {
    /// Its form.
    pub shape: Shape,
    /// Its bytes.
    pub max: usize,
}

/// The answer of an operation.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it is.
    pub doc: &'static str,
    /// Its form; text where there is none.
    pub shape: Option<Shape>,
}

impl Verb {
    /// The method of this verb.
    pub fn method(self) -> Method {
        match self {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        }
    }

    /// Whether it closes rather than opens, and so is not kept from happening by a record that cannot be kept. What opens
    /// all the same, such as the return to `normal`, asks for its record itself.
    pub fn closes(self) -> bool {
        match self {
            Verb::Get | Verb::Post => false,
            Verb::Put | Verb::Delete => true,
        }
    }

    /// Whether it may change something.
    pub fn changes(self) -> bool {
        match self {
            Verb::Get => false,
            Verb::Post | Verb::Put | Verb::Delete => true,
        }
    }
}

impl Body {
    /// Of the usual size.
    pub const fn of(shape: Shape) -> Body {
        Body { shape, max: BODY_MAX }
    }
}

impl Operation {
    /// Bytes that its body may have.
    pub fn body_max(&self) -> usize {
        self.body.map_or(BODY_MAX, |body| body.max)
    }
}
