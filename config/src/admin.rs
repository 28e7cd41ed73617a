//! `admin`: the operators' own listener.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use gatepass_policy::address;
use gatepass_policy::host::Host;

use crate::listeners::{self, ClientCertificates, Presence, Tls};
use crate::node::{Node, Value};
use crate::oidc::{self, Oidc};
use crate::operators::{self, Asked, Means, Operator};
use crate::problem::Located;
use crate::reading::{Reading, each_once, optional};
use crate::webhooks::{self, Webhook};

/// The operators' listener.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Shared with no listener.
    pub bind: Bind,
    /// TLS, where it is spoken.
    pub tls: Option<Box<Tls>>,
    /// Names beside its own address that it is asked by.
    pub names: Vec<Host>,
    /// The identity provider, if ID tokens are taken.
    pub oidc: Option<Oidc>,
    /// Who may ask for more than health and metrics; nobody where there is none.
    pub operators: Vec<Operator>,
    /// The file that they stand in, which a reload reads again.
    pub operators_file: Option<Located<PathBuf>>,
    /// Who is told at once of grants, exceptions and the mode.
    pub webhooks: Vec<Webhook>,
}

/// Where it listens.
#[derive(Clone, Debug)]
pub enum Bind {
    /// An address and port.
    Tcp(Located<SocketAddr>),
    /// A socket in the file system.
    Unix(Located<PathBuf>),
}

impl Bind {
    /// The address, where it is one.
    pub fn tcp(&self) -> Option<&Located<SocketAddr>> {
        match self {
            Bind::Tcp(address) => Some(address),
            Bind::Unix(_) => None,
        }
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(address) => address.value.fmt(f),
            Bind::Unix(path) => write!(f, "unix:{}", path.value.display()),
        }
    }
}

impl Admin {
    /// On this address, in clear and without operators.
    pub fn on(bind: Located<SocketAddr>) -> Admin {
        Admin {
            bind: Bind::Tcp(bind),
            tls: None,
            names: Vec::new(),
            oidc: None,
            operators: Vec::new(),
            operators_file: None,
            webhooks: Vec::new(),
        }
    }

    /// Which credentials it asks for.
    pub fn means(&self) -> Means {
        means(self.tls.as_deref(), self.oidc.as_ref())
    }
}

fn means(tls: Option<&Tls>, oidc: Option<&Oidc>) -> Means {
    let word = |asked| if asked { Asked::Yes } else { Asked::No };
    let certificates = tls.is_some_and(|tls| match tls.clients {
        ClientCertificates::None => false,
        ClientCertificates::Verified { .. } => true,
    });
    Means { certificates: word(certificates), oidc: word(oidc.is_some()) }
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Admin> {
    let [bind, tls, names, oidc, operators, webhooks] =
        reading.fields(node, ["bind", "tls", "names", "oidc", "operators", "webhooks"])?;
    let webhooks = optional(webhooks, reading, webhooks::convert);
    let bind = reading.required(node, bind, "bind").and_then(|node| self::bind(node, reading));
    if let (Some(Bind::Unix(_)), Some(entry)) = (&bind, tls) {
        let message = "`tls` belongs to an address, and `bind` names a socket in the file system";
        reading.found.error(&entry.place, message);
    }
    // Whoever has no certificate may have a token, unless the file says otherwise.
    let tls = optional(tls, reading, |node, reading| listeners::tls(node, Presence::Optional, reading).map(Box::new));
    let names = optional(names, reading, |node, reading| {
        each_once(node, reading, |node, reading| {
            reading.parsed(node, "a host name or an address", |text| Host::parse(text.as_bytes()).ok())
        })
    });
    let oidc = optional(oidc, reading, oidc::convert);
    // What is asked for is not known where `tls` or `oidc` is wrong; then nothing is said about that.
    let means = match (&tls, &oidc) {
        (Some(tls), Some(oidc)) => means(tls.as_deref(), oidc.as_ref()),
        (None, _) | (_, None) => Means { certificates: Asked::Yes, oidc: Asked::Yes },
    };
    let listed = optional(operators, reading, |node, reading| self::operators(node, means, reading));
    if let (Some(Bind::Tcp(bind)), Some(None), Some(entry)) = (&bind, &tls, operators)
        && !address::unmap(bind.value.ip()).is_loopback()
    {
        let message = format!("operators' tokens cross the network in clear on their way to `{}`", bind.value);
        reading.found.warning(&entry.place, message, "give `admin.tls`, or bind loopback");
    }
    let (operators, operators_file) = listed?.unwrap_or_default();
    Some(Admin {
        bind: bind?,
        tls: tls?,
        names: names?.unwrap_or_default(),
        oidc: oidc?,
        operators,
        operators_file,
        webhooks: webhooks?.unwrap_or_default(),
    })
}

fn bind(node: &Node, reading: &mut Reading<'_>) -> Option<Bind> {
    let path = match &node.value {
        Value::Scalar(text, _) => text.strip_prefix("unix:"),
        Value::Map(_) | Value::List(_) | Value::Refused => None,
    };
    match path {
        None => listeners::address(node, reading).map(Bind::Tcp),
        Some("") => {
            reading.found.error(&node.place, "`unix:` names no path");
            None
        }
        Some(path) => {
            Some(Bind::Unix(Located { value: reading.directory.join(path), place: Some(node.place.clone()) }))
        }
    }
}

type Listed = (Vec<Operator>, Option<Located<PathBuf>>);

/// A list, or the path of a file that holds one.
fn operators(node: &Node, means: Means, reading: &mut Reading<'_>) -> Option<Listed> {
    match &node.value {
        Value::Scalar(..) => {
            let path = reading.file(node)?;
            let operators = operators::read_into(&path.value, reading.now, means, reading.found)?;
            Some((operators, Some(path)))
        }
        Value::Map(_) | Value::List(_) | Value::Refused => {
            node.withhold(reading.found);
            operators::convert(node, means, reading).map(|operators| (operators, None))
        }
    }
}
