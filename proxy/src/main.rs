//! The binary `gatepass`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gatepass::cli::run()
}
