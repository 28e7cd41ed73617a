//! What the commands that analyse a whole policy have in common: the side they look at, and how they print.

use std::collections::BTreeSet;
use std::io::IsTerminal as _;

use gatepass_policy::PolicySet;
use gatepass_policy::analysis::{Exactness, Side};
use jiff::Timestamp;
use serde_json::Value;

use super::Exit;
use crate::evidence::questions::table::Look;

/// One policy at a moment in a mode that it has.
pub fn side<'s>(set: &'s PolicySet, mode: &str, now: Timestamp) -> Result<Side<'s>, Exit> {
    let modes = set.modes();
    if modes.contains(&mode) {
        return Ok(Side::in_mode(set, mode, now));
    }
    eprintln!("error: `--mode {mode}`: the bundle has no such mode; it has `{}`", modes.join("`, `"));
    Err(Exit::Usage)
}

/// For whom tables are printed.
pub fn look() -> Look {
    if std::io::stdout().is_terminal() { Look::Terminal } else { Look::Plain }
}

/// One JSON document on standard output.
pub fn out(answer: &Value) {
    println!("{answer}");
}

/// Ports in their order.
pub fn ports(ports: &BTreeSet<u16>) -> String {
    ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// The day where a moment is the beginning of one.
pub fn day(at: Timestamp) -> String {
    let text = at.to_string();
    text.strip_suffix("T00:00:00Z").map_or(text.clone(), str::to_owned)
}

/// Say where an answer does not hold for every connection there can be.
pub fn warn(exactness: &Exactness) {
    if !exactness.vague.is_empty() {
        eprintln!(
            "approximate: rules look at {} in ways (regular expressions, arithmetic, comparisons with each other) that \
             are tried with some values only",
            exactness.vague.join(", ")
        );
    }
    if exactness.cut_short {
        eprintln!("approximate: there were more combinations than are looked at");
    }
}
