//! Files on disk to validated values: what `gatepass.yaml` and the files it names mean, or everything that is wrong.
//!
//! One file per section, in one order: the keys it may hold, the type that says what they mean, the one conversion.
//! A conversion never stops at the first problem. Nothing is kept that nothing enforces: a key of the design that is
//! not built yet is the error `not supported yet`.

mod load;
pub use load::{Config, load, quickstart};

pub mod listeners;

pub mod identity;

pub mod tokens;

pub mod floor;

pub mod policy;

mod observe;

pub mod dns;

pub mod probe;

pub mod evidence;

pub mod telemetry;

pub mod state;

pub mod collector;

pub mod channel;

pub mod secret;
pub use secret::Secret;

pub mod url;

pub mod admin;

pub mod webhooks;

pub mod operators;

pub mod oidc;

mod egress_points;

pub mod limits;

pub mod bundle;

pub mod problem;
pub use problem::{Located, Place, Problem, Problems};

mod node;

mod reading;

mod scalar;

#[cfg(test)]
mod scratch;
