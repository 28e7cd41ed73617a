//! Sinks beside the collector: a syslog receiver, and a file of OCSF events. Both take records as the JSON of standard
//! output.
//!
//! Whoever follows the spool hands over a batch and asks whether it is out; where it is not, the same batch comes again.
//! So a record may come twice, and is known by its id; `docs/evidence/sinks.md` says what each sink can promise.

pub mod syslog;

pub mod rfc5424;

pub mod ocsf;

mod view;

#[cfg(test)]
mod tests;
