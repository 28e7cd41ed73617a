//! `evidence.syslog`: a receiver of records as syslog messages.

use gatepass_policy::host::Authority;

use crate::channel::{self, Channel};
use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, optional};
use crate::url::{self, Url};

/// A syslog receiver.
#[derive(Clone, Debug)]
pub struct Syslog {
    /// Where it is.
    pub address: Located<Authority>,
    /// What it is reached through: TCP (RFC 6587) or TLS (RFC 5425).
    pub channel: Channel,
    /// What its messages hold.
    pub form: Form,
}

/// What a syslog message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Structured data and a sentence.
    Rfc5424,
    /// An OCSF event in JSON.
    Ocsf,
}

/// The port that RFC 3195 registered for syslog over TCP, where receivers listen; 514 is a remote shell's.
const TCP_PORT: u16 = 601;
/// RFC 5425 section 4.1.
const TLS_PORT: u16 = 6514;

pub(super) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Syslog> {
    let [address, format, tls_entry] = reading.fields(node, ["address", "format", "tls"])?;
    let form = optional(format, reading, |node, reading| {
        reading.choice(node, &[("rfc5424", Form::Rfc5424), ("ocsf", Form::Ocsf)])
    });
    let tls = optional(tls_entry, reading, channel::tls);
    let address = reading.required(node, address, "address").and_then(|node| self::address(node, reading));
    let address = address?;
    let channel = channel::of(&address.value, "tls", tls_entry, tls?, reading);
    let Located { value: Url { host, port, .. }, place } = address;
    let address = Located { value: Authority { host, port }, place };
    Some(Syslog { address, channel: channel?, form: form?.unwrap_or(Form::Rfc5424) })
}

fn address(node: &Node, reading: &mut Reading<'_>) -> Option<Located<Url>> {
    if reading.text(node)?.starts_with("udp://") {
        let message = "syslog over UDP loses records, and nobody learns of it";
        reading.found.error_with_help(&node.place, message, "write `tcp://` or `tls://`");
        return None;
    }
    let wanted = "a receiver such as `tcp://127.0.0.1:601` or `tls://logs.example:6514`";
    let parse =
        |text: &str| url::parse(text, &[("tcp", TCP_PORT), ("tls", TLS_PORT)]).filter(|url| url.path.is_empty());
    let value = reading.parsed(node, wanted, parse)?;
    Some(Located { value, place: Some(node.place.clone()) })
}
