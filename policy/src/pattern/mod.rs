//! What a rule may write where it means more than one host or identity.

mod host;
mod identity;

pub use host::HostPattern;
pub use identity::{IdentityPattern, Specificity};

/// `text` so that a regular expression matches it and nothing else.
pub(crate) fn escaped(text: &str) -> String {
    regex::escape(text)
}
