//! The policy language of Gatepass: facts in, a decision out, and why.
//!
//! Nothing here reads a file, a socket, a clock or an environment variable: whoever calls passes the bytes of a bundle
//! and the facts of a connection, `now` included. `clippy.toml` beside this crate bans the rest.

pub mod host;

pub mod address;

pub mod identity;

pub mod facts;

pub mod schema;

pub mod keys;

pub mod decision;

pub mod budget;

pub mod expr;

pub mod limits;

pub mod diagnostic;

pub mod source;

pub mod pattern;

mod document;

mod registry;

mod catalogue;

mod rule;

mod index;

mod compile;

mod set;

mod decide;

pub mod overrides;

mod terms;

mod explain;

pub mod import;

mod nearest;

pub mod trace;

mod desugar;

pub mod analysis;

pub mod case;

pub use compile::{Compiled, compile, compile_within};
pub use decide::stage;
pub use diagnostic::Diagnostic;
pub use registry::{ClassRefused, UNCLASSIFIED};
pub use set::PolicySet;
pub use source::SourceFile;
pub use terms::Ceilings;

#[cfg(test)]
mod tests;
