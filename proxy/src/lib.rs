//! Gatepass: an egress forward proxy in which every connection is decided by policy, explained and recorded.
//!
//! Read in this order: [`connection`] is the story of one client, part one; [`passage`] is part two, and the only way
//! out of the gateway.

mod client;

pub mod conversation;

pub mod connection;

pub mod requests;

pub mod passage;

pub mod carriage;

pub mod budget;

pub mod live;

pub mod refusal;

pub mod explanation;

pub mod reserved;

pub mod peer;

pub mod identity;

pub mod http1;

pub mod client_hello;

pub mod resolver;

pub mod dial;

pub mod probe;

pub mod tunnel;

pub mod forward;

pub mod listener;

pub mod shared;

pub mod server;

pub mod startup;

pub mod reload;

pub mod operations;

pub mod shutdown;

pub mod observe;

pub mod policy_store;

pub mod state;

mod rehearsal;

mod exception_request;

pub mod clock;

pub mod evidence;

pub mod metrics;

pub mod telemetry;

pub mod admin;

pub mod cli;
