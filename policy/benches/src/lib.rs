//! One set of rules and questions for the benches, and how each engine spells it.

pub mod world;

pub mod gatepass;

pub mod worst;

pub mod linear;

pub mod cedar;

pub mod rego;
