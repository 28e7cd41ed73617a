//! The suite: one binary, a sentence per test, the real gateway in the middle of each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is a failed test"
)]

mod admin;

mod attacks;

mod certificate;

mod cli;

mod clients;

mod collector;

mod contract;

mod compat;

mod corpus;

mod data_classes;

mod demo;

mod evidence;

mod dashboards;

mod deployment;

mod fleet;

mod guide;

mod hellos;

mod hostile;

mod identity;

mod import;

mod limits;

mod live;

mod observe;

mod overrides;

mod plain_http;

mod records;

mod reload;

mod reserved;

mod reviews;

mod shipping;

mod shutdown;

mod spans;

mod startup;

mod state;

mod telemetry;

mod tidy;

mod tunnels;
