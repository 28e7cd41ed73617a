//! How long a permission may live.

use super::Surroundings;
use crate::diagnostic::Report;
use crate::document::rules::{Action, RawRule};

/// Check the dates of a rule: an end within the ceiling, nothing that is over without a word about it.
pub(super) fn check(raw: &RawRule, around: &Surroundings<'_>, report: &mut Report<'_>) {
    if let Some(at) = &raw.review_by
        && around.now >= at.value
    {
        let help = "the deny stays in force: confirm it and move the date";
        report.warning(at.place, format!("the review of `{}` is overdue", raw.id.value), help);
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
    match from.checked_add(ceiling) {
        Ok(latest) if expires.value > latest => {
            let days = ceiling.as_hours() / 24;
            let since = if raw.issued.is_some() { "`issued`" } else { "now" };
            let length = if days > 0 { format!("{days}d") } else { format!("{}s", ceiling.as_secs()) };
            let message = format!("this lives longer than {what} may: {length} after {since}");
            let mut help = format!("the latest end is \"{latest:.0}\"");
            if raw.issued.is_none() {
                help.push_str(", or say when it was `issued`");
            }
            report.error_help(expires.place, message, help);
        }
        // A ceiling beyond the end of time is none.
        Ok(_) | Err(_) => {}
    }
}
