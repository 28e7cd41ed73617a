//! `probe`: whom the gateway trusts to vouch for servers, where a rule asks what they prove (`upstream.*`).

use std::path::PathBuf;

use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};

/// Whom the gateway trusts to vouch for servers.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Authorities of one's own, PEM.
    pub ca: Option<Located<PathBuf>>,
    /// Whether the machine's own are trusted.
    pub machine: Machine,
}

/// The machine's own trust anchors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// They are trusted; where there are none, nothing is verified.
    Trusted,
    /// They are trusted because the file says so, and must be there.
    Demanded,
    /// They are not.
    Left,
}

impl Probe {
    /// The machine's own anchors alone.
    pub fn of_the_machine() -> Probe {
        Probe { ca: None, machine: Machine::Trusted }
    }
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Probe> {
    let [ca, system] = reading.fields(node, ["ca", "system"])?;
    let file = optional(ca, reading, |node, reading| reading.file(node));
    let wanted = optional(system, reading, |node, reading| reading.flag(node))?;
    if let (None, Some(false), Some(entry)) = (ca, wanted, system) {
        let help = "name a file of authorities in `ca`, or leave `system` out";
        reading.found.error_with_help(&entry.node.place, "nobody would be trusted to vouch for a server", help);
    }
    let machine = match (ca, wanted) {
        (_, Some(true)) => Machine::Demanded,
        (None, None) => Machine::Trusted,
        (_, Some(false)) | (Some(_), None) => Machine::Left,
    };
    Some(Probe { ca: file?, machine })
}
