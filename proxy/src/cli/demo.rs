//! `gatepass demo`.
use super::Exit;
use clap::Args;
#[derive(Debug, Args)]
pub struct Arguments {}
pub fn run(_a: &Arguments) -> Exit {
    Exit::Failed
}
