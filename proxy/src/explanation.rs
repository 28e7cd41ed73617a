//! A record as a person wants to read it: the verdict, the sentence, what came nearest. One form for the body of a
//! refusal and for the answer to `why`.

use std::fmt::Write as _;

use gatepass_policy::decision::Effect;
use gatepass_policy::identity::Method;

use crate::evidence::DecisionRecord;
use crate::evidence::words::Outcome;

/// Several lines, each ended.
pub fn explain(record: &DecisionRecord) -> String {
    let verdict = match (record.effect, record.outcome) {
        (Effect::Deny, _) if record.would_deny => "OBSERVED",
        (Effect::Deny, _) => "DENY",
        (Effect::Allow, Outcome::Failed) => "FAIL",
        (Effect::Allow, Outcome::Admitted | Outcome::Refused) => "ALLOW",
    };
    let who = record.identity.as_ref().map_or("?", |who| who.id.as_str());
    let mut text = format!("{verdict:<5} {who} -> {}", whither(record));
    let _ =
        write!(text, "   at {}   {}   {}\n      {}\n", record.stage, record.reason.code, record.id, record.reason.text);
    if let Some(rule) = &record.rule {
        let _ = writeln!(text, "  rule     {}{}", rule.0.path, answerable(&rule.0.owner, rule.0.expires));
    }
    for near in &record.nearest {
        // Of a limit, the rule is told already.
        if record.rule.as_ref().is_none_or(|rule| rule.0.path != near.rule.path) {
            let _ = writeln!(text, "  nearest  {}{}", near.rule.path, answerable(&near.rule.owner, near.rule.expires));
        }
        for failed in &near.failed {
            let _ = writeln!(text, "           {failed}");
        }
    }
    if let Some(command) = command_that_asks(record) {
        let _ = writeln!(text, "  ask      {command}");
    }
    if !record.shadow.is_empty() {
        for shadow in &record.shadow {
            let _ = writeln!(text, "  shadow   {} would have said {}", shadow.rule, shadow.effect.as_str());
        }
    }
    text
}

/// The command that asks for an exception; `None` where none would help, or nobody may ask.
pub fn command_that_asks(record: &DecisionRecord) -> Option<String> {
    let (what, to) = (askable(record)?, whither(record));
    Some(format!("gatepass exception request --to {to} {what}--for 24h --reason \"…\""))
}

/// What an exception for this denial says beside its destination; `None` where none would help, or nobody may ask.
fn askable(record: &DecisionRecord) -> Option<String> {
    if record.effect != Effect::Deny || !may_ask(record) {
        return None;
    }
    match (record.reason.code.tells_nearest(), &record.rule) {
        (true, _) => Some(String::new()),
        (false, Some(rule)) if record.liftable => Some(format!("--lifts {} ", rule.0.path)),
        (false, _) => None,
    }
}

/// Whether the caller is somebody for whom an exception can be asked.
fn may_ask(record: &DecisionRecord) -> bool {
    let known = record.identity.as_ref().is_some_and(|who| who.method != Method::None.as_str());
    known && record.destination.as_ref().is_some_and(|to| to.host.is_some() && to.port.is_some())
}

/// `host:port`, as far as it could be read.
pub fn whither(record: &DecisionRecord) -> String {
    let Some(destination) = &record.destination else { return "?".to_owned() };
    match (&destination.host, destination.port, &destination.text) {
        (Some(host), Some(port), _) if host.as_str().contains(':') => format!("[{host}]:{port}"),
        (Some(host), Some(port), _) => format!("{host}:{port}"),
        (Some(host), None, _) => host.to_string(),
        (None, _, Some(text)) => text.to_string(),
        (None, _, None) => "?".to_owned(),
    }
}

/// Midnight goes without saying.
fn day(end: jiff::Timestamp) -> String {
    let text = end.to_string();
    text.strip_suffix("T00:00:00Z").map_or_else(|| text.clone(), str::to_owned)
}

fn answerable(owner: &str, expires: Option<jiff::Timestamp>) -> String {
    match expires {
        Some(expires) => format!(" ({owner}, until {})", day(expires)),
        None => format!(" ({owner})"),
    }
}
