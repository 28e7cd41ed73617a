//! A containment mode: nothing is allowed in it but what its condition says, and what a grant allows.

use std::sync::Arc;

use crate::decision::RuleInfo;
use crate::expr::{Expr, Reading, Truth};
use crate::facts::Facts;
use crate::rule::Knowledge;
use crate::schema::AttributeSet;

/// The mode that always exists, and restricts nothing.
pub const NORMAL: &str = "normal";

/// What a mode other than `normal` demands.
#[derive(Debug)]
pub(crate) struct ModeRule {
    info: Arc<RuleInfo>,
    /// `None`: nothing is allowed.
    allow_when: Option<Expr>,
}

impl ModeRule {
    /// The mode `name`, which the owner of the bundle answers for.
    pub(crate) fn new(name: &str, owner: &str, allow_when: Option<Expr>) -> ModeRule {
        let text = allow_when.as_ref().map(|expr| expr.source().trim()).filter(|text| *text != "false");
        let allows = text.map_or_else(|| "nothing but grants".to_owned(), |text| format!("only: {text}"));
        let info = RuleInfo {
            path: format!("mode/{name}").into(),
            owner: owner.into(),
            purpose: format!("the mode `{name}` allows {allows}").into(),
            ticket: None,
            expires: None,
        };
        ModeRule { info: Arc::new(info), allow_when }
    }

    pub(crate) fn info(&self) -> &Arc<RuleInfo> {
        &self.info
    }

    /// What it allows; `None`: nothing.
    pub(crate) fn allow_when(&self) -> Option<&Expr> {
        self.allow_when.as_ref()
    }

    /// Whether nothing but grants goes in it, whatever is asked for.
    pub(crate) fn forbids_all(&self) -> bool {
        self.allow_when.as_ref().is_none_or(|expr| expr.source().trim() == "false")
    }

    /// What it looks at.
    pub(crate) fn uses(&self) -> AttributeSet {
        self.allow_when.as_ref().map_or(AttributeSet::EMPTY, Expr::uses)
    }

    /// Whether it forbids. Its condition is evaluated as it stands and not negated, so that what cannot be evaluated,
    /// or what the protocol can never have, forbids.
    pub(crate) fn forbids(&self, facts: &Facts, knowledge: Knowledge) -> Truth {
        let Some(allow_when) = &self.allow_when else { return Truth::Yes };
        match (allow_when.eval(facts, Reading::Registered), knowledge) {
            (Truth::Yes, _) => Truth::No,
            (Truth::No, _) => Truth::Yes,
            (Truth::Pending(_), Knowledge::Complete) => Truth::Error("a fact that it needs never became known"),
            (other @ (Truth::Pending(_) | Truth::Error(_)), _) => other,
        }
    }
}
