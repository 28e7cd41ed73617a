//! `listeners`: where clients arrive, and what they speak there.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::node::{Entry, Node};
use crate::problem::Located;
use crate::reading::{Reading, optional};

/// One listener.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Unique; `listener.name` in rules and records.
    pub name: String,
    /// Unique among listeners and admin, port 0 excepted.
    pub bind: Located<SocketAddr>,
    /// What clients speak.
    pub protocol: Protocol,
    /// How refusals are worded.
    pub compat: Compat,
}

/// How refusals are worded: statuses, phrases and fields. What is decided and recorded is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compat {
    /// In this gateway's own way.
    None,
    /// As Smokescreen does, for clients that were made for it.
    Smokescreen,
}

/// What clients speak on a listener.
#[derive(Clone, Debug)]
pub enum Protocol {
    /// The HTTP proxy protocol on plain TCP.
    Http,
    /// The same inside TLS.
    Https(Box<Tls>),
}

/// TLS material of a listener. Each file exists and can be opened; whether it is usable is for the caller to find out.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The gateway's chain, PEM.
    pub certificate: Located<PathBuf>,
    /// The private key of its leaf, PEM.
    pub key: Located<PathBuf>,
    /// What is asked of clients.
    pub clients: ClientCertificates,
}

/// What is asked of clients of a TLS listener.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Nothing: no certificate is requested.
    None,
    /// A certificate that `ca` vouches for and `crl` does not revoke.
    Verified {
        /// Trust anchors, PEM.
        ca: Located<PathBuf>,
        /// Revocation lists, PEM.
        crl: Option<Located<PathBuf>>,
        /// Whether a client may do without.
        presence: Presence,
    },
}

/// Whether a client may do without a certificate. A bad one is refused in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It may not.
    Required,
    /// It may, and is then identified by token or network.
    Optional,
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Listener>> {
    let items = reading.filled_list(node)?;
    let read: Vec<Option<Listener>> = items.iter().map(|item| listener(item, reading)).collect();
    for (index, item) in items.iter().enumerate() {
        let Some(Some(this)) = read.get(index) else { continue };
        let before = || read.iter().take(index).flatten();
        if before().any(|other| other.name == this.name) {
            reading.found.error(&item.place, format!("two listeners are called `{}`", this.name));
        }
        if let Some(other) = before().find(|other| collide(other.bind.value, this.bind.value)) {
            collision(&this.bind, &other.bind, &format!("listener `{}`", other.name), reading);
        }
    }
    read.into_iter().collect()
}

fn listener(node: &Node, reading: &mut Reading<'_>) -> Option<Listener> {
    let [name, bind, protocol, tls, proxy_protocol, compat] =
        reading.fields(node, ["name", "bind", "protocol", "tls", "proxy_protocol", "compat"])?;
    reading.unsupported(proxy_protocol);
    let name = reading.required(node, name, "name").and_then(|node| self::name(node, reading));
    let bind = reading.required(node, bind, "bind").and_then(|node| address(node, reading));
    let protocol = reading.required(node, protocol, "protocol").and_then(|node| spoken(node, tls, reading));
    let compat =
        optional(compat, reading, |node, reading| reading.choice(node, &[("smokescreen", Compat::Smokescreen)]));
    let compat = compat?.unwrap_or(Compat::None);
    Some(Listener { name: name?, bind: bind?, protocol: protocol?, compat })
}

#[derive(Clone, Copy)]
enum Word {
    Http,
    Https,
    Transparent,
}

fn spoken(node: &Node, material: Option<&Entry>, reading: &mut Reading<'_>) -> Option<Protocol> {
    let words = [("http", Word::Http), ("https", Word::Https), ("transparent", Word::Transparent)];
    match (reading.choice(node, &words)?, material) {
        (Word::Http, None) => Some(Protocol::Http),
        (Word::Http, Some(entry)) => {
            let message = "`tls` belongs to a listener with `protocol: https`, and this one is `http`";
            reading.found.error(&entry.place, message);
            None
        }
        (Word::Https, Some(entry)) => {
            tls(&entry.node, Presence::Required, reading).map(|tls| Protocol::Https(Box::new(tls)))
        }
        (Word::Https, None) => {
            let help = "give `tls: {certificate: FILE, key: FILE}`";
            reading.found.error_with_help(&node.place, "`protocol: https` needs `tls`", help);
            None
        }
        (Word::Transparent, _) => {
            reading.unsupported_value(&node.place, "protocol: transparent");
            None
        }
    }
}

/// With a CA, `usual` holds unless the file says otherwise.
pub(crate) fn tls(node: &Node, usual: Presence, reading: &mut Reading<'_>) -> Option<Tls> {
    let [certificate, key, client_ca, client_certificate, crl, alpn] =
        reading.fields(node, ["certificate", "key", "client_ca", "client_certificate", "crl", "alpn"])?;
    let certificate = reading.required(node, certificate, "certificate").and_then(|node| reading.file(node));
    let key = reading.required(node, key, "key").and_then(|node| reading.file(node));
    let clients = clients(client_ca, client_certificate, crl, usual, reading);
    if let Some(entry) = alpn {
        check_alpn(&entry.node, reading);
    }
    Some(Tls { certificate: certificate?, key: key?, clients: clients? })
}

/// Naming a CA and asking nobody is no mistake that should stay silent: with one, certificates are asked for.
fn clients(
    ca: Option<&Entry>,
    presence: Option<&Entry>,
    crl: Option<&Entry>,
    usual: Presence,
    reading: &mut Reading<'_>,
) -> Option<ClientCertificates> {
    let words = [("required", Some(Presence::Required)), ("optional", Some(Presence::Optional)), ("none", None)];
    let asked = match presence {
        Some(entry) => reading.choice(&entry.node, &words)?,
        None => ca.map(|_| usual),
    };
    match (asked, ca) {
        (Some(presence), Some(ca)) => {
            let ca = reading.file(&ca.node);
            let crl = match crl {
                Some(entry) => reading.file(&entry.node).map(Some),
                None => Some(None),
            };
            Some(ClientCertificates::Verified { ca: ca?, crl: crl?, presence })
        }
        (Some(_), None) => {
            if let Some(entry) = presence {
                let message =
                    "`client_certificate` asks for certificates, but no `client_ca` says who vouches for them";
                reading.found.error(&entry.node.place, message);
            }
            None
        }
        (None, ca) => {
            let unused: Vec<&Entry> = ca.into_iter().chain(crl).collect();
            for entry in &unused {
                let message = format!("`{}` is given, but no client certificate is asked for", entry.name);
                let help = "give `client_ca`, and `client_certificate: required` or `optional`";
                reading.found.error_with_help(&entry.place, message, help);
            }
            unused.is_empty().then_some(ClientCertificates::None)
        }
    }
}

fn check_alpn(node: &Node, reading: &mut Reading<'_>) {
    for item in reading.filled_list(node).unwrap_or_default() {
        match reading.text(item) {
            Some("http/1.1") | None => {}
            Some(other) => reading.unsupported_value(&item.place, other),
        }
    }
}

/// A name that can stand in rules, records and logs without quoting.
pub(crate) fn name(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    reading.parsed(node, "a name of 1 to 64 letters, digits, `-`, `_` and `.`", |text| {
        is_name(text).then(|| text.to_owned())
    })
}

pub(crate) fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

pub(crate) fn address(node: &Node, reading: &mut Reading<'_>) -> Option<Located<SocketAddr>> {
    let wanted = "an address and port such as `127.0.0.1:3128` or `[::1]:3128`";
    let value = reading.parsed(node, wanted, |text| text.parse().ok())?;
    Some(Located { value, place: Some(node.place.clone()) })
}

/// Whether the second of two sockets could not be bound. Port 0 stands for any free port.
pub(crate) fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let overlap = one.ip() == other.ip() || (same_family && (one.ip().is_unspecified() || other.ip().is_unspecified()));
    one.port() != 0 && one.port() == other.port() && overlap
}

pub(crate) fn collision(
    this: &Located<SocketAddr>,
    other: &Located<SocketAddr>,
    whose: &str,
    reading: &mut Reading<'_>,
) {
    if let Some(place) = &this.place {
        let message = format!("`{}` is already bound by {whose} (`{}`)", this.value, other.value);
        reading.found.error(place, message);
    }
}

/// Everything that is bound to more than loopback.
pub(crate) fn exposed<'a>(binds: impl Iterator<Item = &'a Located<SocketAddr>>) -> Vec<String> {
    let open = |bind: &&Located<SocketAddr>| !gatepass_policy::address::unmap(bind.value.ip()).is_loopback();
    binds.filter(open).map(|bind| bind.value.to_string()).collect()
}
