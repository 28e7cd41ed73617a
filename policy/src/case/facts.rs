//! What a test gives, with what the policy knows of it.

use std::sync::Arc;

use jiff::Timestamp;

use super::Asked;
use crate::address::Floor;
use crate::decision::Reason;
use crate::diagnostic::{Report, did_you_mean};
use crate::document::cases::facts::Given;
use crate::facts::{Facts, Protocol, Subject, Tls};
use crate::schema::Stage;
use crate::set::PolicySet;

/// The facts at `now` in `mode`. `None` if the policy does not have what they name; the report says what.
pub(super) fn asked(
    given: Given,
    (now, mode): (Timestamp, Arc<str>),
    set: &PolicySet,
    report: &mut Report<'_>,
) -> Option<Asked> {
    let destination = match given.destination.value {
        Ok(destination) => destination,
        Err(why) => return Some(Asked::Refused(Reason::InvalidRequest, why.to_string())),
    };
    let subject = match set.subject(&given.identity, given.declared.as_deref().map(str::as_bytes)) {
        Ok(subject) => subject,
        Err(why) => return Some(Asked::Refused(Reason::DataClassRefused, why.to_string())),
    };
    let mut unknown = false;
    let classes = given.data_classes.unwrap_or_default();
    for class in classes.iter().filter(|class| !set.knows_class(&class.value)) {
        let help = match did_you_mean(&class.value, set.class_names()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => "list it under `data_classes` of the bundle".to_owned(),
        };
        report.error_help(class.place, format!("`{}` is not a data class of this bundle", class.value), help);
        unknown = true;
    }
    if unknown {
        return None;
    }
    let named: Vec<Box<str>> = classes.iter().map(|class| class.value.as_str().into()).collect();
    let subject = Subject {
        labels: given.labels.map_or(subject.labels, Arc::new),
        registered: if named.is_empty() { subject.registered } else { crate::registry::sorted(named) },
        declared: subject.declared,
    };
    Some(Asked::Facts(Box::new(Facts {
        now,
        mode,
        source: given.source,
        listener: given.listener,
        identity: given.identity,
        subject,
        tags: set.tags(&destination.host),
        destination,
        protocol: given.protocol,
        request: given.request,
        floor: Arc::new(Floor::default()),
        resolved: given.resolved,
        tls: given.tls,
        upstream: given.upstream.map(Arc::new),
    })))
}

/// What a gateway knows of these facts at a stage.
pub(super) fn known_at(facts: &Facts, stage: Stage) -> Facts {
    // Plain HTTP has no TLS, and knows it from the start.
    let first = match facts.protocol {
        Protocol::Http => Some(Tls::Absent),
        Protocol::Connect | Protocol::Transparent => None,
    };
    match stage {
        Stage::Request => Facts { resolved: None, tls: first, upstream: None, ..facts.clone() },
        Stage::Resolved => Facts { tls: first, upstream: None, ..facts.clone() },
        Stage::Tls => Facts { upstream: None, ..facts.clone() },
        Stage::Certificate => facts.clone(),
    }
}
