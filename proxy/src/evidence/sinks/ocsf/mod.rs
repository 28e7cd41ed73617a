//! Records in the Open Cybersecurity Schema Framework, version 1.7.0: how one becomes an event, and a file of them.

mod event;
pub use event::{VERSION, event};

mod network;

mod words;

mod file;
pub use file::{File, Settings};
