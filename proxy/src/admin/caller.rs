//! Who calls: an operator, proven by a token, a client certificate or an ID token.
//!
//! A credential that is shown and not valid refuses, whatever else is shown. Wrong ones are counted, for each source
//! address and in all, and beyond a bound are told to wait; a right one is never held up by them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use gatepass_certs::rotate::Loaded;
use gatepass_certs::subject::{NoSubject, Subject};
use gatepass_config::operators::{Certificate, Operator, Role};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::State;
use super::limiter::Limiter;
use super::oidc::{self, NotTaken};
use super::problem::Problem;

/// An operator who was proven.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The entry whose credentials were shown.
    pub operator: Arc<Operator>,
    /// What was shown; never empty.
    pub by: Vec<By>,
}

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A client certificate.
    Certificate,
    /// A token of the operator's own.
    Token,
    /// An ID token of the identity provider.
    Oidc,
}

impl By {
    /// The word for it in records.
    pub fn as_str(self) -> &'static str {
        match self {
            By::Certificate => "certificate",
            By::Token => "token",
            By::Oidc => "oidc",
        }
    }
}

impl Caller {
    /// Who that is: two entries of one person are one person.
    pub fn person(&self) -> &str {
        &self.operator.person
    }

    /// Whether this was shown.
    pub fn showed(&self, by: By) -> bool {
        self.by.contains(&by)
    }

    /// Whether one of these roles is the caller's.
    pub fn may(&self, any_of: &[Role]) -> Result<(), Problem> {
        if any_of.iter().any(|role| self.operator.may(*role)) {
            return Ok(());
        }
        let words: Vec<String> = any_of.iter().map(|role| format!("`{role}`")).collect();
        let name = &self.operator.name;
        Err(Problem::forbidden(format!("this needs the role {}, and operator `{name}` has it not", words.join(" or "))))
    }
}

/// The other end of a connection to the admin listener.
#[derive(Debug)]
pub(super) struct Peer {
    /// The address that was reached; none where it is a socket in the file system.
    pub reached: Option<SocketAddr>,
    /// The caller's address.
    pub from: Option<SocketAddr>,
    /// The client certificate, once its chain is verified.
    pub certificate: Shown,
    /// Whether its last request proved an operator.
    pub proven: Arc<AtomicBool>,
}

/// What the caller showed in the handshake.
#[derive(Debug)]
pub(super) enum Shown {
    /// Nothing.
    Nothing,
    /// A verified certificate, and what it was checked against.
    Certificate(Box<Subject>, Arc<Loaded>),
    /// A verified certificate that can stand for nobody.
    Unfit(NoSubject),
}

/// Wrong credentials that one address may show before it is told to wait, and in which time one is forgiven.
const BAD_OF_ONE: (u32, Duration) = (20, Duration::from_secs(3));
/// The same for all addresses together.
const BAD_OF_ALL: (u32, Duration) = (100, Duration::from_millis(600));
/// Addresses that are told apart.
const ADDRESSES: usize = 4096;

/// Wrong credentials so far.
#[derive(Debug)]
pub struct Wrong {
    one: Limiter<IpAddr>,
    all: Limiter<()>,
}

impl Default for Wrong {
    fn default() -> Wrong {
        Wrong {
            one: Limiter::new(BAD_OF_ONE.0, BAD_OF_ONE.1, ADDRESSES),
            all: Limiter::new(BAD_OF_ALL.0, BAD_OF_ALL.1, 1),
        }
    }
}

impl Wrong {
    /// What a wrong credential gets: `refused`, or to be told to wait.
    fn counted(&self, from: Option<SocketAddr>, refused: Problem) -> Problem {
        let now = Instant::now();
        let address = from.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |from| from.ip());
        match self.one.take(address, now).and_then(|()| self.all.take((), now)) {
            Ok(()) => refused,
            Err(wait) => Problem::too_many("too many wrong credentials were shown: wait, and show a right one", wait),
        }
    }
}

/// Prove who calls, by all that the connection and the request show.
pub(super) async fn prove(headers: &HeaderMap, peer: &Peer, state: &State) -> Result<Caller, Problem> {
    let operators = state.kept.operators();
    if operators.is_empty() {
        return Err(Problem::forbidden(
            "no operator is configured, so nobody may ask this: name one in `admin.operators`",
        ));
    }
    let now = (state.now)();
    let wrong = |problem| state.wrong.counted(peer.from, problem);
    let by_certificate = certificate(&peer.certificate, &operators, state, now)?;
    let by_bearer = match bearer(headers).map_err(wrong)? {
        None => None,
        Some(shown) => Some(borne(shown, &operators, state, peer.from).await?),
    };
    let (operator, by) = match (by_certificate, by_bearer) {
        (None, None) => return Err(unproven(state)),
        (Some(operator), None) => (operator, vec![By::Certificate]),
        (None, Some((operator, by))) => (operator, vec![by]),
        (Some(one), Some((other, by))) if Arc::ptr_eq(&one, &other) => (one, vec![By::Certificate, by]),
        (Some(_), Some(_)) => {
            return Err(wrong(Problem::unauthorized("the certificate and the token name different operators")));
        }
    };
    if now >= operator.expires {
        let detail = format!("operator `{}` has expired: renew the entry in `admin.operators`", operator.name);
        return Err(wrong(Problem::unauthorized(detail)));
    }
    Ok(Caller { operator, by })
}

/// The operator whose token this is.
async fn borne(
    shown: &[u8],
    operators: &[Arc<Operator>],
    state: &State,
    from: Option<SocketAddr>,
) -> Result<(Arc<Operator>, By), Problem> {
    let wrong = |problem| state.wrong.counted(from, problem);
    if let Some(found) = token(shown, operators) {
        return Ok(found);
    }
    let Some(oidc) = state.oidc.as_ref().filter(|_| oidc::looks_like_one(shown)) else {
        return Err(wrong(Problem::unauthorized("this token belongs to no operator")));
    };
    let holder = oidc.holder(shown, (state.now)()).await.map_err(|not| match not {
        NotTaken::Token(_) => wrong(Problem::unauthorized(not.to_string())),
        // No guess is answered by this.
        NotTaken::Provider(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, not.to_string()),
    })?;
    let mut found = operators.iter().filter(|operator| holder.is(operator));
    match (found.next(), found.next()) {
        (Some(operator), None) => Ok((Arc::clone(operator), By::Oidc)),
        (Some(_), Some(_)) => Err(wrong(Problem::unauthorized("the ID token names more than one operator"))),
        (None, _) => Err(wrong(Problem::unauthorized("the ID token belongs to no operator"))),
    }
}

/// Nothing was shown. That is no guess, so it is not counted.
fn unproven(state: &State) -> Problem {
    let asks = state.kept.tls().is_some();
    Problem::unauthorized(match asks {
        true => "an operator is needed: a client certificate, or `Authorization: Bearer TOKEN`",
        false => "an operator's token is needed: `Authorization: Bearer TOKEN`",
    })
}

/// What the one `Authorization` field bears, if there is one.
fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, Problem> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let field = match (fields.next(), fields.next()) {
        (None, _) => return Ok(None),
        (Some(field), None) => field,
        (Some(_), Some(_)) => return Err(Problem::unauthorized("one `Authorization` field is taken, not several")),
    };
    match field.as_bytes().split_at_checked("Bearer ".len()) {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case(b"Bearer ") && !token.is_empty() => Ok(Some(token)),
        Some(_) | None => Err(Problem::unauthorized("only `Authorization: Bearer TOKEN` is taken")),
    }
}

/// Every hash is compared, each in constant time, so that time tells neither how much was right nor whose it is near.
fn token(shown: &[u8], operators: &[Arc<Operator>]) -> Option<(Arc<Operator>, By)> {
    let shown = Sha256::digest(shown);
    let holds =
        |operator: &Operator| operator.sha256.is_some_and(|hash| verify_slices_are_equal(&hash.0, &shown).is_ok());
    let mut found = None;
    for operator in operators {
        if holds(operator) {
            found = Some((Arc::clone(operator), By::Token));
        }
    }
    found
}

/// Verified in the handshake, but connections outlive certificates, and what was trusted: each request asks anew. Nobody
/// guesses a certificate that an authority has signed, so these refusals are not counted.
fn certificate(
    shown: &Shown,
    operators: &[Arc<Operator>],
    state: &State,
    now: Timestamp,
) -> Result<Option<Arc<Operator>>, Problem> {
    let (subject, under) = match shown {
        Shown::Nothing => return Ok(None),
        Shown::Unfit(why) => return Err(Problem::unauthorized(why.to_string())),
        Shown::Certificate(subject, under) => (subject, under),
    };
    if now >= subject.not_after {
        return Err(again("the client certificate has expired since this connection was opened"));
    }
    if !state.kept.tls().is_some_and(|tls| Arc::ptr_eq(&tls.current(), under)) {
        return Err(again("certificates were renewed since this connection was opened: open another one"));
    }
    let mut found = operators.iter().filter(|operator| names(operator, subject));
    match (found.next(), found.next()) {
        (Some(operator), None) => Ok(Some(Arc::clone(operator))),
        (Some(_), Some(_)) => Err(Problem::unauthorized("the client certificate names more than one operator")),
        (None, _) => Err(Problem::unauthorized("the client certificate belongs to no operator")),
    }
}

/// Another connection could help, so this one ends.
fn again(detail: &str) -> Problem {
    Problem::unauthorized(detail).with(header::CONNECTION, HeaderValue::from_static("close"))
}

fn names(operator: &Operator, subject: &Subject) -> bool {
    operator.certificates.iter().any(|certificate| match certificate {
        Certificate::Sha256(hash) => subject.sha256_hex == hex(hash),
        Certificate::SpiffeId(id) => subject.spiffe_id.as_ref().is_some_and(|shown| shown.as_str() == id),
        // One name stands for one holder; a certificate with several is a server's, and anybody's who runs it.
        Certificate::Dns(name) => matches!(subject.dns.as_slice(), [only] if only == name),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
