//! The language as a whole: bundles as text, facts as values, decisions with rule and reason.

mod allocations;
mod ambiguities;
mod analysis;
mod bundles;
mod cases;
mod certificate;
mod checks;
mod corpus;
mod decisions;
mod explanations;
mod hostile;
mod keys;
mod limits;
mod overridden;
mod overrides;
mod properties;
mod sample;
mod subjects;
mod world;
