//! `gatepass reach`: who can reach a host, or what an identity can reach. Offline, over all connections there can be.

use std::path::PathBuf;

use clap::Args;
use gatepass_policy::analysis::{Reach, Side, Way, reach_from, reach_to};
use gatepass_policy::host::{Authority, Host};
use gatepass_policy::overrides::NORMAL;
use gatepass_policy::pattern::IdentityPattern;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Exit;
use super::analysed::{self, look};
use crate::evidence::questions::table::Table;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The bundle: a directory of YAML files, or an archive.
    bundle: PathBuf,
    /// Who can reach this host: a name or an IP address, at one port or at any.
    #[arg(long, value_name = "HOST[:PORT]", required_unless_present = "from", conflicts_with = "from")]
    to: Option<String>,
    /// What this identity can reach: `spiffe://…`, `dns:NAME`, `token:NAME`, `network:NAME` or `anonymous`.
    #[arg(long, value_name = "ID")]
    from: Option<String>,
    /// At this moment instead of now (RFC 3339, `Z`).
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// In this containment mode of the bundle.
    #[arg(long, value_name = "NAME", default_value = NORMAL)]
    mode: String,
    /// The answer as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Exit {
    let now = arguments.at.unwrap_or_else(Timestamp::now);
    let set = match super::compile_bundle(&arguments.bundle, now) {
        Ok(set) => set,
        Err(exit) => return exit,
    };
    let side = match analysed::side(&set, &arguments.mode, now) {
        Ok(side) => side,
        Err(exit) => return exit,
    };
    match ask(arguments, &side) {
        Ok(reach) => say(arguments, &reach),
        Err(problem) => {
            eprintln!("error: {problem}");
            Exit::Usage
        }
    }
}

fn ask(arguments: &Arguments, side: &Side<'_>) -> Result<Reach, String> {
    if let Some(from) = &arguments.from {
        let pattern = IdentityPattern::parse(from).map_err(|(message, help)| format!("`--from`: {message}: {help}"))?;
        if pattern.exact().is_none() {
            return Err(format!("`--from {from}` is a pattern, and one identity is wanted"));
        }
        return Ok(reach_from(side, from));
    }
    let to = arguments.to.as_deref().unwrap_or_default();
    let (host, port) = destination(to)?;
    Ok(reach_to(side, &host, port))
}

/// A host, with or without a port; an IPv6 address may stand without brackets where there is no port.
fn destination(text: &str) -> Result<(Host, Option<u16>), String> {
    if let Ok(ip) = text.parse::<std::net::Ipv6Addr>() {
        return Ok((Host::Ip(gatepass_policy::address::unmap(ip.into())), None));
    }
    if let Ok(authority) = Authority::parse(text.as_bytes()) {
        return Ok((authority.host, Some(authority.port)));
    }
    let host = Host::parse(text.as_bytes()).map_err(|why| format!("`--to {text}`: {why}"))?;
    Ok((host, None))
}

fn say(arguments: &Arguments, reach: &Reach) -> Exit {
    if arguments.json {
        analysed::out(&json!({"ways": reach.ways, "exact": reach.exactness.exact(), "vague": reach.exactness.vague}));
    } else {
        let mut table =
            Table::new(&["identity", "destination", "ports", "rule", "owner", "until", "data classes", "hangs on"]);
        table.rows = reach.ways.iter().map(row).collect();
        print!("{}", table.text(look()));
        if reach.ways.is_empty() {
            println!("{}", if arguments.from.is_some() { "nothing" } else { "nobody" });
        }
        analysed::warn(&reach.exactness);
    }
    if reach.ways.is_empty() { Exit::No } else { Exit::Yes }
}

fn row(way: &Way) -> Vec<Value> {
    let classes: Vec<String> = way.data_classes.iter().map(|set| set.join("+")).collect();
    let hangs: Vec<&str> = way.hangs_on.iter().map(|attribute| attribute.row().name).collect();
    let until = way.rule.expires.map(analysed::day).unwrap_or_default();
    vec![
        way.who.to_string().into(),
        way.to.to_string().into(),
        analysed::ports(&way.ports).into(),
        way.rule.path.to_string().into(),
        way.rule.owner.to_string().into(),
        until.into(),
        classes.join(" or ").into(),
        hangs.join(", ").into(),
    ]
}
