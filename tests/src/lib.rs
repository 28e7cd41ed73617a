//! The harness: a scenario in a few lines, with the real binary in the middle.
//!
//! Everything binds loopback on a port of the system's choice, certificates are minted on the fly, and every wait ends
//! by itself. A harness that cannot do its work panics: that is a failed test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this crate is test code: a failure here is a failed test"
)]

mod scratch;

pub mod corpus;

pub mod bundle;

pub mod origin;

pub mod resolver;

pub mod collector;

pub mod depot;

pub mod etcd;

pub mod faulty;

pub mod gateway;

pub mod identities;

pub mod operators;

pub mod trouble;

pub mod client;

pub mod programs;

pub mod provider;

pub mod site;

pub mod spool;

pub mod witness;

use std::time::Duration;

pub use bundle::Bundle;
pub use client::{Client, Reply};
pub use collector::Collector;
pub use depot::Depot;
pub use etcd::Cluster;
pub use faulty::{Fault, Faulty};
pub use gateway::{Gateway, Setup};
pub use origin::Origin;
pub use provider::Provider;
pub use resolver::Resolver;
pub use scratch::Scratch;
pub use spool::Spool;
pub use witness::Witness;

/// The longest that anything here waits: a machine under load, not a slow program.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Wait until `ready` says so, and fail with `what` if it never does.
pub fn eventually<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = std::time::Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(std::time::Instant::now() < end, "never happened: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
