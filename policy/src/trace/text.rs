//! A trace for people.

use std::fmt::{self, Display, Formatter};

use super::{ClauseTrace, Outcome, RuleName, RuleTrace, Trace};

impl Display for Trace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let effect = self.effect.to_uppercase();
        write!(f, "{effect}  {} -> {}   at {}", self.identity, self.destination, self.stage)?;
        if let Some(reason) = self.reason {
            write!(f, "   {reason}")?;
        }
        if let Some(detail) = &self.detail {
            write!(f, "   {detail}")?;
        }
        if !self.waits_for.is_empty() {
            write!(f, "\n  waits for  {}", self.waits_for.join(", "))?;
        }
        if let Some(rule) = &self.rule {
            write!(f, "\n  rule       {rule}\n             {}", rule.purpose)?;
        }
        for budget in &self.limits {
            write!(f, "\n  limits     {budget}")?;
        }
        if let Some(rule) = &self.overridden {
            write!(f, "\n  overrides  {rule}")?;
        }
        for near in &self.nearest {
            write!(f, "\n  nearest    {}", near.rule)?;
            for failed in &near.failed {
                write!(f, "\n             {failed}")?;
            }
        }
        for shadow in &self.shadow {
            write!(f, "\n  in shadow  {} would {}", shadow.rule, shadow.effect)?;
        }
        if !self.rules.is_empty() {
            f.write_str("\n")?;
        }
        for rule in &self.rules {
            rule.fmt(f)?;
        }
        if self.left_out > 0 {
            write!(f, "\n  and {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl Display for RuleName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}", self.path, self.owner)?;
        if let Some(end) = &self.expires {
            write!(f, ", until {}", end.strip_suffix("T00:00:00Z").unwrap_or(end))?;
        }
        f.write_str(")")
    }
}

impl Display for RuleTrace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let shadow = if self.enforcement == "shadow" { ", in shadow" } else { "" };
        write!(f, "\n  {:<9}  {}{shadow}: {}", self.tier, self.rule.path, self.outcome)?;
        self.clauses.iter().try_for_each(|clause| clause.fmt(f))
    }
}

impl Display for ClauseTrace {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "\n    {:<7}  {}: ", self.outcome.as_str(), self.clause)?;
        match (self.outcome, self.error) {
            (Outcome::Yes, _) => write!(f, "{}", self.seen),
            (Outcome::No, _) => write!(f, "{}, wanted {}", self.seen, self.wanted),
            (Outcome::Pending, _) => write!(f, "waits for {} ({})", self.waits_for.join(", "), self.stage),
            (Outcome::Error, why) => f.write_str(why.unwrap_or("cannot be evaluated")),
        }
    }
}

impl Outcome {
    /// The word for people and machines.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Yes => "yes",
            Outcome::No => "no",
            Outcome::Pending => "pending",
            Outcome::Error => "error",
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
