//! What is recorded of a call: who, from where, what, and what came of it.

use std::net::SocketAddr;

use http::{Method, StatusCode};

use super::caller::By;

/// One call that needs an operator, allowed or refused.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The operator, where one was proven.
    pub operator: Option<&'a str>,
    /// Who that is.
    pub person: Option<&'a str>,
    /// What proved it.
    pub by: &'a [By],
    /// The caller's address; none over a socket in the file system.
    pub from: Option<SocketAddr>,
    /// The method.
    pub method: &'a Method,
    /// The route, as the OpenAPI document spells it.
    pub route: &'static str,
    /// The path that was asked for, without its query.
    pub path: &'a str,
    /// What came of it.
    pub outcome: Outcome<'a>,
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It is about to change something. Where this cannot be kept, nothing is changed.
    Begun,
    /// It was answered.
    Answered {
        /// With this status.
        status: StatusCode,
        /// Where it was refused, why.
        detail: Option<&'a str>,
    },
}

/// What records a call, or says why it cannot be kept.
pub type Record = Box<dyn Fn(&Call<'_>) -> Result<(), Unkept> + Send + Sync>;

/// A call could not be recorded; the text is for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unkept(pub String);
