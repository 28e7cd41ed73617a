//! What a test expects: at least one thing, and nothing that can never come.

use super::facts::word;
use crate::decision::{Effect, Reason};
use crate::diagnostic::{At, Place, Report};
use crate::schema::{ATTRIBUTES, Attribute, Stage, Support};
use crate::source::read::{self, Fields};
use crate::source::{Node, Value};

/// Each field that is named must come exactly so.
pub(crate) struct RawExpect {
    pub(crate) effect: Option<Wanted>,
    pub(crate) rule: Option<At<String>>,
    pub(crate) reason: Option<At<Reason>>,
    pub(crate) stage: Option<Stage>,
    pub(crate) nearest: Option<RawNearest>,
    pub(crate) waits_for: Option<Vec<Attribute>>,
    pub(crate) shadow: Option<Vec<At<String>>>,
    pub(crate) exception: Option<At<String>>,
}

/// What can come of facts of which some may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    Allow,
    Deny,
    Pending,
}

impl Wanted {
    pub(crate) const ALL: [Wanted; 3] = [Wanted::Allow, Wanted::Deny, Wanted::Pending];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Wanted::Allow => Effect::Allow.as_str(),
            Wanted::Deny => Effect::Deny.as_str(),
            Wanted::Pending => "pending",
        }
    }
}

pub(crate) struct RawNearest {
    pub(crate) rule: At<String>,
    /// In any order, all of them.
    pub(crate) failed: Option<Vec<At<String>>>,
}

pub(super) fn read(node: &Node<'_>, report: &mut Report<'_>) -> Option<RawExpect> {
    let mut fields = Fields::of(node, "`expect`", report)?;
    let (place, problems) = (fields.place(), report.error_count());
    let effects = Wanted::ALL.map(|wanted| (wanted.as_str(), wanted));
    let effect = fields.optional("effect").map(|node| word(node, "an effect", &effects, report));
    let rule = fields.optional("rule").map(|node| read::text(node, report));
    let reason = fields.optional("reason").map(|node| reason(node, report));
    let stages: Vec<(&str, Stage)> = Stage::all().into_iter().map(|stage| (stage.as_str(), stage)).collect();
    let stage = fields.optional("stage").map(|node| word(node, "a stage", &stages, report));
    let nearest = fields.optional("nearest").map(|node| nearest(node, report));
    let waits_for = fields.optional("waits_for").map(|node| read::list(node, report, attribute));
    let shadow = fields.optional("shadow").map(|node| maybe_empty(node, report));
    let exception = fields.optional("exception").map(|node| read::text(node, report));
    fields.finish(report);
    let expect = RawExpect {
        effect: wrong_is_gone(effect)?,
        rule: wrong_is_gone(rule)?,
        reason: wrong_is_gone(reason)?,
        stage: wrong_is_gone(stage)?,
        nearest: wrong_is_gone(nearest)?,
        waits_for,
        shadow,
        exception: wrong_is_gone(exception)?,
    };
    // What is misspelt was meant, and is complained about already.
    (report.error_count() == problems && expect.can_come(place, report)).then_some(expect)
}

/// What is there but wrong was complained about: then nothing more is said of the whole.
fn wrong_is_gone<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

/// The reasons that the policy itself gives; the others are a gateway's, of what happens around a decision.
fn is_of_policy(reason: Reason) -> bool {
    match reason {
        Reason::Allowed
        | Reason::Grant
        | Reason::Permitted
        | Reason::Guardrail
        | Reason::TeamDeny
        | Reason::NoRule
        | Reason::RuleExpired
        | Reason::RuleError
        | Reason::AddressFloor
        | Reason::InvalidRequest
        | Reason::DataClassRefused => true,
        Reason::IdentityRequired
        | Reason::IdentityInvalid
        | Reason::HelloInvalid
        | Reason::HelloTimeout
        | Reason::DnsNxdomain
        | Reason::DnsFailed
        | Reason::DnsTimeout
        | Reason::DialFailed
        | Reason::DialTimeout
        | Reason::Limit
        | Reason::EvidenceUnavailable
        | Reason::PolicyStale
        | Reason::Draining => false,
    }
}

fn reason(node: &Node<'_>, report: &mut Report<'_>) -> Option<At<Reason>> {
    let known: Vec<(&str, Reason)> = Reason::ALL.iter().map(|reason| (reason.code(), *reason)).collect();
    let found = word(node, "a reason", &known, report)?;
    if !is_of_policy(found) {
        let help = "it tells of what happens around a decision, and a test has the policy's answers only";
        report.error_help(node.place, format!("`{}` is never the policy's reason", found.code()), help);
        return None;
    }
    Some(At { value: found, place: node.place })
}

fn nearest(node: &Node<'_>, report: &mut Report<'_>) -> Option<RawNearest> {
    let mut fields = Fields::of(node, "`nearest`", report)?;
    let rule = fields.required("rule", "the path of the allow that comes nearest", report);
    let rule = rule.and_then(|node| read::text(node, report));
    let failed = fields.optional("failed").map(|node| read::list(node, report, read::text));
    fields.finish(report);
    Some(RawNearest { rule: rule?, failed })
}

fn attribute(node: &Node<'_>, report: &mut Report<'_>) -> Option<Attribute> {
    let built = ATTRIBUTES.iter().filter(|row| row.support == Support::Built);
    let known: Vec<(&str, Attribute)> = built.map(|row| (row.name, row.attribute)).collect();
    word(node, "an attribute", &known, report)
}

/// A list of which the empty one means that there is nothing.
fn maybe_empty(node: &Node<'_>, report: &mut Report<'_>) -> Vec<At<String>> {
    match &node.value {
        Value::List(items) if items.is_empty() => Vec::new(),
        Value::Text(..) | Value::List(_) | Value::Map(_) => read::list(node, report, read::text),
    }
}

impl RawExpect {
    /// Whether it names something, and no two things that never come together.
    fn can_come(&self, place: Place, report: &mut Report<'_>) -> bool {
        let told = |there: bool, name| there.then_some(name);
        let decided = told(self.rule.is_some(), "rule")
            .or(told(self.reason.is_some(), "reason"))
            .or(told(self.nearest.is_some(), "nearest"))
            .or(told(self.shadow.is_some(), "shadow"))
            .or(told(self.exception.is_some(), "exception"));
        if self.effect.is_none() && self.stage.is_none() && self.waits_for.is_none() && decided.is_none() {
            report.error_help(place, "this test expects nothing, so it cannot fail", "such as `effect: deny`");
            return false;
        }
        let effect = self.effect.map(Wanted::as_str);
        let waits = self.effect == Some(Wanted::Pending) || self.waits_for.is_some();
        let problem = match (&self.reason, self.effect) {
            (_, Some(Wanted::Allow | Wanted::Deny)) if self.waits_for.is_some() => Some((
                "`waits_for` beside another effect than `pending`".to_owned(),
                "what is decided waits for nothing",
            )),
            (_, _) if waits && decided.is_some() => {
                let message = format!("`{}` of a decision that is pending", decided.unwrap_or_default());
                Some((message, "nothing has decided yet: leave it out"))
            }
            (Some(reason), Some(wanted)) if effect_of(reason.value) != wanted => {
                let message = format!("`{}` is never the reason of `{}`", reason.value.code(), wanted.as_str());
                Some((message, "in a table: `reason: unknown` takes away what the test says"))
            }
            (_, Some(Wanted::Allow)) if self.nearest.is_some() => {
                Some(("`nearest` beside an allow".to_owned(), "what is allowed has no nearest rule"))
            }
            (Some(reason), _) if self.nearest.is_some() && !reason.value.tells_nearest() => {
                let message = format!("`nearest` beside the reason `{}`", reason.value.code());
                Some((message, "only `no_rule` and `rule_expired` tell the nearest rule"))
            }
            (_, Some(Wanted::Deny)) if self.exception.is_some() => Some((
                format!("`exception` beside `{}`", effect.unwrap_or_default()),
                "it is told of what it lets through",
            )),
            (_, _) => None,
        };
        if let Some((message, help)) = &problem {
            report.error_help(place, message.as_str(), *help);
        }
        problem.is_none()
    }
}

fn effect_of(reason: Reason) -> Wanted {
    let allows = matches!(reason, Reason::Allowed | Reason::Grant | Reason::Permitted);
    if allows { Wanted::Allow } else { Wanted::Deny }
}
