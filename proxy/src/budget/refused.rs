//! Why there is no seat: which rule's which limit, what it sees and what it wants.

use std::sync::Arc;

use gatepass_policy::budget::{Budget, Measure};
use gatepass_policy::decision::{FailedClause, Nearest, Shown};

/// Every [`Refused::label`].
pub const LABELS: [&str; 6] = [
    Measure::Connections.key(),
    Measure::NewConnections.key(),
    Measure::Upload.key(),
    Measure::Download.key(),
    "accounts",
    "disk",
];

/// No seat was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A limit of a rule is reached: the client's own doing.
    Reached {
        /// Whose limit.
        budget: Arc<Budget>,
        /// Which.
        measure: Measure,
        /// How much it would be.
        seen: u64,
        /// Seconds until it may be worth asking again.
        retry_after: u64,
    },
    /// The gateway counts for as many as it can.
    Full,
    /// The disk did not note in time that bytes are about to be used.
    Unkept,
}

impl Refused {
    /// One sentence for the client and the record.
    pub fn text(&self) -> String {
        let Refused::Reached { budget, measure, .. } = self else {
            return match self {
                Refused::Full => "the gateway has no room to count for another identity".to_owned(),
                Refused::Unkept | Refused::Reached { .. } => {
                    "the gateway could not note in time that bytes of a limit are used".to_owned()
                }
            };
        };
        let most = measure.show(budget.most(*measure).unwrap_or(0));
        let what = match measure {
            Measure::Connections => format!("have {most} connections open"),
            Measure::NewConnections => format!("open {most} connections in a second"),
            Measure::Upload => format!("send {most} in a day (UTC)"),
            Measure::Download => format!("receive {most} in a day (UTC)"),
            Measure::Duration => format!("have a connection for {most}"),
        };
        format!("{} lets each identity {what}", budget.rule.path)
    }

    /// The limit as a clause of its rule that does not hold.
    pub fn clause(&self) -> Option<Nearest> {
        let Refused::Reached { budget, measure, seen, .. } = self else { return None };
        let most = measure.show(budget.most(*measure)?);
        let failed = FailedClause {
            clause: format!("limits.{}", measure.key()),
            seen: Shown::Int(i64::try_from(*seen).unwrap_or(i64::MAX)),
            wanted: Shown::Text(match measure {
                Measure::Connections | Measure::NewConnections | Measure::Duration => format!("at most {most}"),
                Measure::Upload | Measure::Download => format!("less than {most}"),
            }),
        };
        Some(Nearest { rule: Arc::clone(&budget.rule), failed: vec![failed] })
    }

    /// The status where the reason's own does not fit (RFC 6585 section 4): 429 is for what the client does too much of.
    pub fn status(&self) -> Option<u16> {
        match self {
            Refused::Reached { .. } => Some(429),
            Refused::Full | Refused::Unkept => None,
        }
    }

    /// Seconds for `Retry-After`.
    pub fn retry_after(&self) -> Option<u64> {
        match self {
            Refused::Reached { retry_after, .. } => Some(*retry_after),
            Refused::Full | Refused::Unkept => None,
        }
    }

    /// The value of a metric's label.
    pub fn label(&self) -> &'static str {
        match self {
            Refused::Reached { measure, .. } => measure.key(),
            Refused::Full => "accounts",
            Refused::Unkept => "disk",
        }
    }
}
