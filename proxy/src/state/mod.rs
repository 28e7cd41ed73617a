//! What operators lay over a policy, and where it is kept.

pub mod store;
