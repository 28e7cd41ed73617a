//! What went wrong with a question to etcd, and whether it may have been acted upon.

use std::error::Error;

use http::Uri;
use tonic::{Code, Status};

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// Nothing was sent, or etcd says that it did not act on it: another member, or another moment, may do better.
    NotTaken(String),
    /// Not acted on: the token is none, or no longer one.
    Token(String),
    /// Not acted on, and no other member would.
    Refused(String),
    /// It may have been acted on.
    Unknown(String),
}

/// A request that never left.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed")]
pub(super) struct NotSent;

/// What members say before they act (`api/v3rpc/rpctypes/error.go` of etcd).
const NOT_TAKEN: [&str; 4] = [
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: rpc not supported for learner",
    "etcdserver: rpc not supported for learner.",
];

/// What etcd's own client meets by asking for a new token.
const TOKEN: [&str; 3] =
    ["etcdserver: invalid auth token", "etcdserver: user name is empty", "etcdserver: revision of auth store is old"];

/// No more room: nothing is written until an operator makes some.
const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

impl Failure {
    pub fn of(status: &Status) -> Failure {
        let message = status.message();
        let why = || format!("etcd says: {message}");
        // A status that has a cause was not sent by etcd.
        if let Some(cause) = status.source() {
            return match not_sent(cause) {
                true => Failure::NotTaken(NotSent.to_string()),
                false => Failure::Unknown(format!("the connection broke: {}", sources(cause))),
            };
        }
        if TOKEN.contains(&message) {
            return Failure::Token(why());
        }
        if NOT_TAKEN.contains(&message) {
            return Failure::NotTaken(why());
        }
        match status.code() {
            Code::PermissionDenied
            | Code::Unauthenticated
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::Unimplemented => Failure::Refused(why()),
            Code::ResourceExhausted if message == NO_SPACE => Failure::Refused(why()),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::AlreadyExists
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::OutOfRange
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss => Failure::Unknown(why()),
        }
    }

    /// The failure of something that may be done twice.
    pub fn harmless(self) -> Failure {
        match self {
            Failure::Unknown(why) => Failure::NotTaken(why),
            Failure::NotTaken(_) | Failure::Token(_) | Failure::Refused(_) => self,
        }
    }

    /// The same, with the member that it came from.
    pub fn at(self, member: &Uri) -> Failure {
        self.told(|why| format!("`{}`: {why}", member.authority().map_or("", |authority| authority.as_str())))
    }

    /// The same, with something that may explain it.
    pub fn also(self, more: Option<&str>) -> Failure {
        self.told(|why| match more {
            Some(more) if !why.contains(more) => format!("{why}: {more}"),
            Some(_) | None => why,
        })
    }

    fn told(self, change: impl FnOnce(String) -> String) -> Failure {
        match self {
            Failure::NotTaken(why) => Failure::NotTaken(change(why)),
            Failure::Token(why) => Failure::Token(change(why)),
            Failure::Refused(why) => Failure::Refused(change(why)),
            Failure::Unknown(why) => Failure::Unknown(change(why)),
        }
    }

    /// For the operators' log.
    pub fn why(self) -> String {
        match self {
            Failure::NotTaken(why) | Failure::Token(why) | Failure::Refused(why) | Failure::Unknown(why) => why,
        }
    }
}

fn not_sent(cause: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(cause);
    while let Some(error) = cause {
        if error.is::<NotSent>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error with what caused it: the outer words only say that a transport failed.
pub(super) fn sources(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_not_acted_on_may_be_sent_again() {
        let failed = |code, message: &str| Failure::of(&Status::new(code, message));
        let said = |message: &str| format!("etcd says: {message}");
        for (code, message) in
            [(Code::Unavailable, "etcdserver: no leader"), (Code::ResourceExhausted, "etcdserver: too many requests")]
        {
            assert_eq!(failed(code, message), Failure::NotTaken(said(message)));
        }
        assert_eq!(Failure::of(&Status::from_error(Box::new(NotSent))), Failure::NotTaken(NotSent.to_string()));
        for (code, message) in [
            (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure"),
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::Unknown, "transport error"),
            (Code::DeadlineExceeded, "context deadline exceeded"),
            (Code::ResourceExhausted, "something that is exhausted"),
        ] {
            assert_eq!(failed(code, message), Failure::Unknown(said(message)));
        }
        for (code, message) in [
            (Code::PermissionDenied, "etcdserver: permission denied"),
            (Code::ResourceExhausted, NO_SPACE),
            (Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"),
        ] {
            assert_eq!(failed(code, message), Failure::Refused(said(message)));
        }
        let token = "etcdserver: invalid auth token";
        assert_eq!(failed(Code::Unauthenticated, token), Failure::Token(said(token)));
    }
}
