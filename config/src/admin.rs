//! `admin`: the operators' own listener.

use std::net::SocketAddr;

use gatepass_policy::address;

use crate::listeners;
use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};
use crate::tokens::{self, Token};

/// The operators' listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Shared with no listener.
    pub bind: Located<SocketAddr>,
    /// Who may ask for more than health and metrics; empty: nobody.
    pub operators: Vec<Token>,
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Admin> {
    let [bind, tls, operators] = reading.fields(node, ["bind", "tls", "operators"])?;
    reading.unsupported(tls);
    let bind = reading.required(node, bind, "bind").and_then(|node| listeners::address(node, reading));
    let tokens = optional(operators, reading, |node, reading| {
        node.withhold(reading.found);
        tokens::convert(node, reading)
    });
    if let (Some(bind), Some(entry)) = (&bind, operators)
        && !address::unmap(bind.value.ip()).is_loopback()
    {
        let message = format!("operators' tokens cross the network in clear on their way to `{}`", bind.value);
        reading.found.warning(&entry.place, message, "bind loopback, or make sure that the network is yours alone");
    }
    Some(Admin { bind: bind?, operators: tokens?.unwrap_or_default() })
}
