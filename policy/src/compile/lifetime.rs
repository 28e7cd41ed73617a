//! How long a permission may live.

use jiff::{SignedDuration, Timestamp};

use super::Surroundings;
use crate::diagnostic::{At, Report};
use crate::document::exceptions::RawException;
use crate::document::rules::{Action, RawRule};

/// Check the dates of a rule: an end within the ceiling, nothing that is over without a word about it.
pub(super) fn check(raw: &RawRule, around: &Surroundings<'_>, report: &mut Report<'_>) {
    if let Some(at) = &raw.review_by
        && around.now >= at.value
    {
        let why = "the deny stays in force, and nobody has said since that it still should";
        report.warning_why(
            at.place,
            format!("the review of `{}` is overdue", raw.id.value),
            why,
            "confirm it and move the date",
        );
    }
    let (Action::Allow, Some(expires)) = (raw.action, &raw.expires) else { return };
    let from = match &raw.issued {
        None => around.now,
        Some(issued) if issued.value > around.now => {
            report.error(issued.place, "`issued` lies in the future");
            return;
        }
        Some(issued) if issued.value >= expires.value => {
            report.error_help(expires.place, "this rule can never match: it ends before it begins", "check both dates");
            return;
        }
        Some(issued) => issued.value,
    };
    if around.now >= expires.value {
        let help = "it allows nothing any more: renew it or delete it";
        report.warning(expires.place, format!("`{}` has expired", raw.id.value), help);
    }
    let lifetimes = &around.bundle.lifetimes;
    let named = raw.at_most.iter().chain(&raw.any_of).flatten();
    let classes = named.filter_map(|class| {
        let ceiling = lifetimes.data_classes.get(&class.value)?;
        Some((*ceiling, format!("data class `{}`", class.value)))
    });
    let deep = raw.destinations.hosts.iter().any(|host| host.value.is_deep());
    let wildcard = lifetimes.wildcard.filter(|_| deep).map(|ceiling| (ceiling, "hosts with `**.`".to_owned()));
    let default = (lifetimes.default, "rules".to_owned());
    let lowest = std::iter::once(default).chain(wildcard).chain(classes).min_by_key(|(ceiling, _)| *ceiling);
    let Some((ceiling, what)) = lowest else { return };
    within(expires, from, raw.issued.is_some(), ceiling, &what, report);
}

/// The end of an exception: within its ceiling, and a word where it is over.
pub(super) fn exception(raw: &RawException, around: &Surroundings<'_>, report: &mut Report<'_>) {
    let from = match &raw.issued {
        Some(issued) if issued.value > around.now => return report.error(issued.place, "`issued` lies in the future"),
        Some(issued) => issued.value,
        None => around.now,
    };
    if around.now >= raw.expires.value {
        let help = "it has no effect any more: renew it or delete it";
        report.warning(raw.expires.place, format!("`{}` has expired", raw.id.value), help);
    }
    let lifetimes = &around.bundle.lifetimes;
    let ceiling = lifetimes.exception.unwrap_or(lifetimes.default);
    within(&raw.expires, from, raw.issued.is_some(), ceiling, "exceptions", report);
}

fn within(
    expires: &At<Timestamp>,
    from: Timestamp,
    issued: bool,
    ceiling: SignedDuration,
    what: &str,
    report: &mut Report<'_>,
) {
    match from.checked_add(ceiling) {
        Ok(latest) if expires.value > latest => {
            let days = ceiling.as_hours() / 24;
            let since = if issued { "`issued`" } else { "now" };
            let length = if days > 0 { format!("{days}d") } else { format!("{}s", ceiling.as_secs()) };
            let message = format!("this lives longer than {what} may: {length} after {since}");
            let mut help = format!("the latest end is \"{latest:.0}\"");
            if !issued {
                help.push_str(", or say when it was `issued`");
            }
            report.error_why(expires.place, message, "what nobody renews is over, not forgotten", help);
        }
        // A ceiling beyond the end of time is none.
        Ok(_) | Err(_) => {}
    }
}
