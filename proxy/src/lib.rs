//! Gatepass: an egress forward proxy in which every connection is decided by policy, explained and recorded.
//!
//! Read in this order: [`connection`] is the story of one client, part one; [`passage`] is part two, and the only way
//! out of the gateway.

pub mod http1;

pub mod client_hello;

pub mod prefixed;

pub mod resolver;

pub mod dial;

pub mod tunnel;

pub mod forward;

pub mod evidence;

pub mod metrics;

pub mod admin;
