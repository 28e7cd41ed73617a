//! What of the store is believed: whoever can write there writes no grant and no exception that operations here would not
//! have made.

use jiff::{SignedDuration, Timestamp};

use super::entry::{Done, Who};
use super::exception::Exception;
use super::fleet::Pointer;
use super::grant::{Grant, Scope};

/// Of a grant that is kept under this id.
pub(super) fn grant(one: &Grant, id: &str, scope: Scope) -> Result<(), String> {
    named(&one.id, id)?;
    if one.scope != scope {
        return Err("it holds elsewhere than where it is kept".to_owned());
    }
    lived(one.begins, one.ends, one.seconds)?;
    match (one.begins, one.needs_approval, one.totp) {
        (None, _, _) | (Some(_), false, true) => Ok(()),
        (Some(_), true, _) => approved(one.approved.as_ref(), &one.requested.by),
        (Some(_), false, false) => Err("it began without a second factor".to_owned()),
    }
}

/// Of an exception that is kept under this id.
pub(super) fn exception(one: &Exception, id: &str) -> Result<(), String> {
    named(&one.id, id)?;
    lived(one.begins, one.ends, one.seconds)?;
    match one.begins {
        None => Ok(()),
        Some(_) => approved(one.approved.as_ref(), &one.requested.by),
    }
}

/// Of what a gateway decides by: it is shown to people.
pub(super) fn pointer(one: &Pointer) -> Result<(), String> {
    let plain = |text: &str| !text.is_empty() && text.len() <= 256 && !text.chars().any(char::is_control);
    let hex = one.digest.strip_prefix("sha256:").unwrap_or_default();
    let digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    match plain(&one.gateway) && plain(&one.bundle) && digest {
        true => Ok(()),
        false => Err("it names no gateway, bundle and digest".to_owned()),
    }
}

fn named(own: &str, key: &str) -> Result<(), String> {
    match own == key {
        true => Ok(()),
        false => Err("it is kept under the id of another".to_owned()),
    }
}

fn lived(begins: Option<Timestamp>, ends: Option<Timestamp>, seconds: i64) -> Result<(), String> {
    if seconds <= 0 {
        return Err("it has no length".to_owned());
    }
    match (begins, ends) {
        (None, None) => Ok(()),
        (Some(begins), Some(ends)) if ends.duration_since(begins) <= SignedDuration::from_secs(seconds) => Ok(()),
        (Some(_), Some(_)) => Err("it ends later than its length says".to_owned()),
        (Some(_), None) | (None, Some(_)) => Err("it has a beginning or an end, and not both".to_owned()),
    }
}

fn approved(by: Option<&Done>, requester: &Who) -> Result<(), String> {
    match by {
        Some(done) if !done.by.is(requester) => Ok(()),
        Some(_) => Err("it was approved by who asked for it".to_owned()),
        None => Err("it began without an approval".to_owned()),
    }
}
