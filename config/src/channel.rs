//! A connection of the gateway's own to a service: in clear, or inside TLS.

use std::path::PathBuf;

use gatepass_policy::host::Host;

use crate::node::{Entry, Node};
use crate::problem::Located;
use crate::reading::{Reading, optional};
use crate::url::Url;

/// What a service is reached through.
#[derive(Clone, Debug)]
pub enum Channel {
    /// Plain TCP.
    Clear,
    /// TLS.
    Tls(Box<Tls>),
}

/// TLS as a client. Each file exists and can be opened; whether it is usable is for the caller to find out.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Who vouches for the service, PEM; without it, the machine's own trust anchors.
    pub ca: Option<Located<PathBuf>>,
    /// What the gateway proves itself with, where it is asked.
    pub own: Option<Own>,
    /// What the service's certificate must name, where that is not the host of its address.
    pub server_name: Option<Host>,
}

/// A certificate of the gateway's.
#[derive(Clone, Debug)]
pub struct Own {
    /// The chain, PEM.
    pub certificate: Located<PathBuf>,
    /// The private key of its leaf, PEM.
    pub key: Located<PathBuf>,
}

/// What a URL with the scheme `secure` and the key `tls` say together.
pub(crate) fn of(
    url: &Url,
    secure: &str,
    entry: Option<&Entry>,
    tls: Option<Tls>,
    reading: &mut Reading<'_>,
) -> Option<Channel> {
    if url.scheme == secure {
        let by_the_machine = Tls { ca: None, own: None, server_name: None };
        return Some(Channel::Tls(Box::new(tls.unwrap_or(by_the_machine))));
    }
    let Some(entry) = entry else { return Some(Channel::Clear) };
    let message = format!("`tls` belongs to an address with `{secure}://`, and this one has `{}://`", url.scheme);
    reading.found.error(&entry.place, message);
    None
}

pub(crate) fn tls(node: &Node, reading: &mut Reading<'_>) -> Option<Tls> {
    let [ca, certificate, key, server_name] = reading.fields(node, ["ca", "certificate", "key", "server_name"])?;
    let ca = optional(ca, reading, |node, reading| reading.file(node));
    let own = own(certificate, key, reading);
    let server_name = optional(server_name, reading, |node, reading| {
        reading.parsed(node, "a host name or an address", |text| Host::parse(text.as_bytes()).ok())
    });
    Some(Tls { ca: ca?, own: own?, server_name: server_name? })
}

fn own(certificate: Option<&Entry>, key: Option<&Entry>, reading: &mut Reading<'_>) -> Option<Option<Own>> {
    match (certificate, key) {
        (None, None) => Some(None),
        (Some(certificate), Some(key)) => {
            let certificate = reading.file(&certificate.node);
            let key = reading.file(&key.node);
            Some(Some(Own { certificate: certificate?, key: key? }))
        }
        (Some(entry), None) => alone(entry, "key", reading),
        (None, Some(entry)) => alone(entry, "certificate", reading),
    }
}

fn alone<T>(entry: &Entry, missing: &str, reading: &mut Reading<'_>) -> Option<T> {
    let message = format!("`{}` is given without `{missing}`", entry.name);
    reading.found.error_with_help(&entry.place, message, "give both: the chain, and the private key of its leaf");
    None
}
