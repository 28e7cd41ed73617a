//! The language as a whole: bundles as text, facts as values, decisions with rule and reason.

mod bundles;
mod checks;
mod corpus;
mod decisions;
mod explanations;
mod overridden;
mod overrides;
mod partial;
mod properties;
mod subjects;
mod world;
