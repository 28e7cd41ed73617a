//! Records in the form of OpenTelemetry: to log records and back.

pub mod encode;

pub mod message;

pub mod decode;
