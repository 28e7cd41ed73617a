//! The policy language of Gatepass: facts in, a decision out, and why.
//!
//! Nothing here reads a file, a socket, a clock or an environment variable: whoever calls passes the bytes of a bundle
//! and the facts of a connection, `now` included. `clippy.toml` beside this crate bans the rest.

pub mod host;

pub mod address;

pub mod identity;

pub mod facts;

pub mod schema;

pub mod decision;

pub mod expr;
