//! Measures forward proxies on loopback: load, origin and DNS server in one process, the proxies beside it.
//!
//! It knows Gatepass by the wire only, like any other proxy: a configuration file goes in, sockets and `/proc` tell
//! the rest. Linux only, for `/proc`.

pub mod options;

pub mod compare;
pub mod measure;
pub mod proxy;

pub mod load;
pub mod names;
pub mod origin;

pub mod dns;

pub mod report;
pub mod statistics;
pub mod table;

pub mod machine;
pub mod process;
pub mod progress;
pub mod scratch;

use std::fmt;

/// Why something could not be measured, as a sentence for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub String);

impl Failure {
    /// For `map_err`: what was being done, then what went wrong.
    pub fn at<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> Failure {
        move |error| Failure(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}
