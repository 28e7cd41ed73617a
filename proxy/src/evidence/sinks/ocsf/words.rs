//! The words of the schema that events use: each number with its caption.

use crate::evidence::sinks::view::Severity;

/// A number of an enumeration, with its caption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub id: u32,
    pub caption: &'static str,
}

const fn word(id: u32, caption: &'static str) -> Word {
    Word { id, caption }
}

/// A class, with the number of its category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub category: Word,
    pub class: Word,
}

/// A connection: `CONNECT`, redirected traffic, and the end of anything that was carried.
pub(super) const NETWORK: Class =
    Class { category: word(4, "Network Activity"), class: word(4001, "Network Activity") };

/// A plain HTTP request.
pub(super) const HTTP: Class = Class { category: NETWORK.category, class: word(4002, "HTTP Activity") };

/// What happens to a policy. Application Lifecycle would say that the gateway itself was updated, and has no place for
/// the policy; here it is the entity, with its name, digest and serial number.
pub(super) const ENTITY: Class =
    Class { category: word(3, "Identity & Access Management"), class: word(3004, "Entity Management") };

/// What the schema has no class for: checkpoints and gaps of the log are about records, not about what they tell.
pub(super) const BASE: Class = Class { category: word(0, "Uncategorized"), class: word(0, "Base Event") };

pub(super) const OPEN: Word = word(1, "Open");
pub(super) const CLOSE: Word = word(2, "Close");
pub(super) const FAIL: Word = word(4, "Fail");
pub(super) const REFUSE: Word = word(5, "Refuse");

/// Of an entity.
pub(super) const ACTIVATE: Word = word(10, "Activate");

/// Of any class; the name is then the source's.
pub(super) const OTHER: u32 = 99;

/// The methods that are activities of [`HTTP`].
pub(super) const METHODS: [(&str, Word); 9] = [
    ("CONNECT", word(1, "Connect")),
    ("DELETE", word(2, "Delete")),
    ("GET", word(3, "Get")),
    ("HEAD", word(4, "Head")),
    ("OPTIONS", word(5, "Options")),
    ("POST", word(6, "Post")),
    ("PUT", word(7, "Put")),
    ("TRACE", word(8, "Trace")),
    ("PATCH", word(9, "Patch")),
];

pub(super) const ALLOWED: Word = word(1, "Allowed");
pub(super) const DENIED: Word = word(2, "Denied");

pub(super) const BLOCKED: Word = word(2, "Blocked");
pub(super) const REJECTED: Word = word(25, "Rejected");
pub(super) const UNAUTHORIZED: Word = word(26, "Unauthorized");
pub(super) const ERROR: Word = word(27, "Error");

pub(super) const SUCCESS: Word = word(1, "Success");
pub(super) const FAILURE: Word = word(2, "Failure");

/// A denial is a control that did its work: the user decides whether something is to be done, which is `Low`.
pub(super) fn severity(severity: Severity) -> Word {
    match severity {
        Severity::Info => word(1, "Informational"),
        Severity::Warn => word(2, "Low"),
        Severity::Error => word(3, "Medium"),
    }
}
