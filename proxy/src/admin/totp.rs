//! One-time codes (RFC 6238): SHA-1, 30 seconds, six digits, a step either side; each code counts once.
//!
//! SHA-1 is what authenticator programs speak, and HMAC does not need the property that SHA-1 has lost.

use std::fmt;
use std::time::{Duration, Instant};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use gatepass_config::operators::TotpSecret;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;

use super::limiter::Limiter;
use super::problem::Problem;

/// The field that bears a code.
pub const FIELD: &str = "gatepass-totp";

/// Seconds of a step.
const STEP: u64 = 30;
/// Steps either side of now that are taken: clocks differ, and people type (RFC 6238 section 5.2).
const WINDOW: u64 = 1;
const DIGITS: usize = 6;

/// Wrong codes of one person, and in which time one is forgiven: guessing one of a million takes months.
const WRONG: (u32, Duration) = (5, Duration::from_secs(12));
/// Persons that are told apart; there are no more than operators.
const PERSONS: usize = 4096;

/// What remembers that the code of a step was used. It answers `Spent::Now` at most once for a person and a step, only for
/// a step after every earlier one of that person, and only once that would survive a crash.
pub type Spend = Box<dyn Fn(&str, u64) -> Spent + Send + Sync>;

/// What became of a code that was right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spent {
    /// It is used from now on.
    Now,
    /// It, or a later one, was used before.
    Before,
    /// That it was used could not be remembered; the text says why.
    Unkept(String),
}

/// The check of one-time codes.
pub struct Totp {
    spend: Spend,
    wrong: Limiter<String>,
}

/// Why a code does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TotpProblem {
    /// None came.
    #[error("a one-time code is needed: send it in the field `Gatepass-Totp`")]
    Missing,
    /// The operator has no secret.
    #[error("this operator has no one-time codes: `gatepass operators add NAME --totp` enrols one")]
    NotEnrolled,
    /// It is not six digits.
    #[error("a one-time code is six digits")]
    Malformed,
    /// It is not the code of now.
    #[error("this one-time code is wrong: wait for the next one, and check the clocks")]
    Wrong,
    /// It was used.
    #[error("this one-time code was used before: wait for the next one")]
    Used,
    /// Too many were wrong.
    #[error("too many one-time codes were wrong: wait")]
    TooMany(Duration),
    /// Its use cannot be remembered.
    #[error("that this one-time code is used cannot be remembered: {0}")]
    Unkept(String),
}

/// A person has shown the code of the moment. Only [`Totp`] makes one.
#[derive(Debug)]
pub struct SecondFactor {
    person: String,
}

impl SecondFactor {
    /// Whose it is.
    pub fn person(&self) -> &str {
        &self.person
    }
}

impl Totp {
    /// Codes that `spend` remembers.
    pub fn new(spend: Spend) -> Totp {
        Totp { spend, wrong: Limiter::new(WRONG.0, WRONG.1, PERSONS) }
    }

    /// Whether `code` is the person's code of now, or of a step beside, and was not used.
    pub fn verify(
        &self,
        person: &str,
        secret: &TotpSecret,
        code: &str,
        now: Timestamp,
    ) -> Result<SecondFactor, TotpProblem> {
        if code.len() != DIGITS || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(TotpProblem::Malformed);
        }
        // Taken before the code is looked at, so that a hundred guesses at once are not a hundred first ones.
        let moment = Instant::now();
        self.wrong.take(person.to_owned(), moment).map_err(TotpProblem::TooMany)?;
        let step = matching(secret.expose(), code, now).ok_or(TotpProblem::Wrong)?;
        let spent = (self.spend)(person, step);
        // What was right was no guess; one that was used may be somebody else's.
        if spent != Spent::Before {
            self.wrong.give_back(&person.to_owned(), moment);
        }
        match spent {
            Spent::Now => Ok(SecondFactor { person: person.to_owned() }),
            Spent::Before => Err(TotpProblem::Used),
            Spent::Unkept(why) => Err(TotpProblem::Unkept(why)),
        }
    }

    /// The same for the code in the head of a request.
    pub(super) fn of_request(
        &self,
        headers: &HeaderMap,
        person: &str,
        secret: Option<&TotpSecret>,
        now: Timestamp,
    ) -> Result<SecondFactor, TotpProblem> {
        let mut fields = headers.get_all(FIELD).iter();
        let code = match (fields.next(), fields.next()) {
            (None, _) => return Err(TotpProblem::Missing),
            (Some(code), None) => code.to_str().map_err(|_| TotpProblem::Malformed)?,
            (Some(_), Some(_)) => return Err(TotpProblem::Malformed),
        };
        self.verify(person, secret.ok_or(TotpProblem::NotEnrolled)?, code, now)
    }
}

impl fmt::Debug for Totp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Totp(…)")
    }
}

impl From<TotpProblem> for Problem {
    fn from(problem: TotpProblem) -> Problem {
        let text = problem.to_string();
        match problem {
            TotpProblem::Missing | TotpProblem::NotEnrolled | TotpProblem::Wrong | TotpProblem::Used => {
                Problem::forbidden(text)
            }
            TotpProblem::Malformed => Problem::new(StatusCode::BAD_REQUEST, text),
            TotpProblem::TooMany(wait) => Problem::too_many(text, wait),
            TotpProblem::Unkept(_) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, text),
        }
    }
}

/// The step whose code this is. Every step of the window is compared, each in constant time; a later one wins.
fn matching(secret: &[u8], code: &str, now: Timestamp) -> Option<u64> {
    let current = u64::try_from(now.as_second()).ok()? / STEP;
    let first = current.saturating_sub(WINDOW);
    let mut found = None;
    for step in first..=current.saturating_add(WINDOW) {
        if verify_slices_are_equal(code_of(secret, step).as_bytes(), code.as_bytes()).is_ok() {
            found = Some(step);
        }
    }
    found
}

/// The code of a step (RFC 4226 section 5.3).
fn code_of(secret: &[u8], step: u64) -> String {
    let number = truncated(secret, step) % 10u32.pow(6);
    format!("{number:06}")
}

fn truncated(secret: &[u8], step: u64) -> u32 {
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret);
    let tag = hmac::sign(&key, &step.to_be_bytes());
    let bytes = tag.as_ref();
    let offset = bytes.last().map_or(0, |last| usize::from(last & 0x0f));
    let four = bytes.iter().skip(offset).take(4).fold(0u32, |number, byte| (number << 8) | u32::from(*byte));
    four & 0x7fff_ffff
}

/// The code of now, for a program that stands in for an authenticator.
pub fn code_at(secret: &TotpSecret, now: Timestamp) -> Option<String> {
    Some(code_of(secret.expose(), u64::try_from(now.as_second()).ok()? / STEP))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::Mutex;

    use super::*;

    const SECRET: &[u8] = b"12345678901234567890";

    fn secret() -> TotpSecret {
        TotpSecret::new(SECRET).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// As the store does it, in memory.
    fn totp() -> Totp {
        let last: Mutex<HashMap<String, u64>> = Mutex::default();
        Totp::new(Box::new(move |person, step| {
            let mut last = last.lock().unwrap();
            match last.get(person) {
                Some(before) if *before >= step => Spent::Before,
                _ => {
                    last.insert(person.to_owned(), step);
                    Spent::Now
                }
            }
        }))
    }

    #[test]
    fn the_vectors_of_rfc_6238() {
        // Appendix B has eight digits; six are their end.
        for (second, code) in [
            (59, 94_287_082u32),
            (1_111_111_109, 7_081_804),
            (1_111_111_111, 14_050_471),
            (1_234_567_890, 89_005_924),
            (2_000_000_000, 69_279_037),
            (20_000_000_000, 65_353_130),
        ] {
            assert_eq!(truncated(SECRET, second / 30) % 100_000_000, code, "{second}");
        }
        assert_eq!(code_at(&secret(), at(59)).as_deref(), Some("287082"));
    }

    #[test]
    fn the_vectors_of_rfc_4226() {
        let codes =
            ["755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"];
        for (step, code) in (0..).zip(codes) {
            assert_eq!(code_of(SECRET, step), code);
        }
    }

    #[test]
    fn a_code_is_taken_a_step_either_side_and_no_further() {
        for (second, taken) in
            [(1_079, false), (1_080, true), (1_110, true), (1_140, true), (1_169, true), (1_170, false)]
        {
            let code = code_at(&secret(), at(1_110)).unwrap();
            assert_eq!(totp().verify("alice", &secret(), &code, at(second)).is_ok(), taken, "{second}");
        }
    }

    #[test]
    fn a_code_counts_once_and_an_earlier_one_no_more() {
        let totp = totp();
        let verify = |person: &str, code: &str| totp.verify(person, &secret(), code, at(3_000)).map(drop);
        let (before, now) = (code_at(&secret(), at(2_970)).unwrap(), code_at(&secret(), at(3_000)).unwrap());
        assert_eq!(verify("alice", &now), Ok(()));
        assert_eq!(verify("alice", &now), Err(TotpProblem::Used));
        assert_eq!(verify("alice", &before), Err(TotpProblem::Used), "a code before the last used one");
        assert_eq!(verify("bob", &now), Ok(()), "another person's use is their own");
    }

    #[test]
    fn guessing_ends_and_then_the_right_code_waits_as_well() {
        let totp = totp();
        let right = code_at(&secret(), at(3_000)).unwrap();
        let wrong = if right == "000000" { "000001" } else { "000000" };
        for _ in 0..5 {
            assert_eq!(totp.verify("alice", &secret(), wrong, at(3_000)).map(drop), Err(TotpProblem::Wrong));
        }
        let wait = totp.verify("alice", &secret(), &right, at(3_000)).map(drop);
        assert!(matches!(wait, Err(TotpProblem::TooMany(_))), "{wait:?}");
        assert_eq!(totp.verify("bob", &secret(), &right, at(3_000)).map(drop), Ok(()));
    }

    #[test]
    fn what_is_no_code_or_cannot_be_remembered_does_not_count() {
        for code in ["", "12345", "1234567", "12345a", "１２３４５６", " 12345", "-12345"] {
            assert_eq!(
                totp().verify("alice", &secret(), code, at(3_000)).map(drop),
                Err(TotpProblem::Malformed),
                "{code}"
            );
        }
        let broken = Totp::new(Box::new(|_, _| Spent::Unkept("the store is away".to_owned())));
        let code = code_at(&secret(), at(3_000)).unwrap();
        let told = broken.verify("alice", &secret(), &code, at(3_000)).map(drop);
        assert_eq!(told, Err(TotpProblem::Unkept("the store is away".to_owned())));
        let headers = HeaderMap::new();
        let missing = totp().of_request(&headers, "alice", Some(&secret()), at(3_000)).map(drop);
        assert_eq!(missing, Err(TotpProblem::Missing));
        let mut headers = HeaderMap::new();
        headers.insert(FIELD, code.parse().unwrap());
        assert_eq!(totp().of_request(&headers, "alice", None, at(3_000)).map(drop), Err(TotpProblem::NotEnrolled));
        headers.append(FIELD, code.parse().unwrap());
        assert_eq!(
            totp().of_request(&headers, "alice", Some(&secret()), at(3_000)).map(drop),
            Err(TotpProblem::Malformed)
        );
    }
}
