//! `identity`: what a client may show, and who it is then.

use std::path::PathBuf;

use ipnet::IpNet;

use crate::listeners;
use crate::node::Node;
use crate::problem::Located;
use crate::reading::{Reading, each_once, optional};
use crate::tokens::{self, Token};

/// How clients are identified. Where nothing here applies, a client is `anonymous`.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Static tokens, if any are accepted.
    pub tokens: Option<TokensFile>,
    /// The longest prefix first: the first that contains the client's address names it.
    pub networks: Vec<Network>,
    /// How names are taken from a verified certificate.
    pub mtls: Mtls,
}

/// A tokens file and what it held; `tokens::read` reads it again.
#[derive(Clone, Debug)]
pub struct TokensFile {
    /// The file.
    pub path: Located<PathBuf>,
    /// What it held when the configuration was loaded.
    pub tokens: Vec<Token>,
}

/// A source network that is an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Never an IPv4-mapped network: client addresses are unmapped before they are compared.
    pub cidr: IpNet,
    /// The name, without `network:`.
    pub name: String,
}

/// How names are taken from a verified client certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mtls {
    /// Kinds of names that count, in the order of preference; never empty.
    pub names: Vec<NameKind>,
    /// SPIFFE trust domains that are accepted; `None` accepts whatever the CA vouches for.
    pub trust_domains: Option<Vec<String>>,
}

/// A kind of name in a certificate. A common name is never one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// The one URI SAN with the scheme `spiffe`.
    Spiffe,
    /// A DNS SAN: the identity is `dns:NAME`.
    Dns,
}

impl Identity {
    /// Nobody but holders of verified SPIFFE certificates has a name.
    pub(crate) fn nothing() -> Identity {
        Identity { tokens: None, networks: Vec::new(), mtls: spiffe_only() }
    }
}

fn spiffe_only() -> Mtls {
    Mtls { names: vec![NameKind::Spiffe], trust_domains: None }
}

pub(crate) fn convert(node: Option<&Node>, reading: &mut Reading<'_>) -> Option<Identity> {
    let Some(node) = node else { return Some(Identity::nothing()) };
    let [jwt, tokens, networks, mtls] = reading.fields(node, ["jwt", "tokens", "networks", "mtls"])?;
    reading.unsupported(jwt);
    let tokens = optional(tokens, reading, tokens_file);
    let networks = optional(networks, reading, self::networks);
    let mtls = optional(mtls, reading, self::mtls);
    Some(Identity { tokens: tokens?, networks: networks?.unwrap_or_default(), mtls: mtls?.unwrap_or_else(spiffe_only) })
}

fn tokens_file(node: &Node, reading: &mut Reading<'_>) -> Option<TokensFile> {
    let path = reading.file(node)?;
    let tokens = tokens::read_into(&path.value, reading.now, reading.found)?;
    Some(TokensFile { path, tokens })
}

fn networks(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Network>> {
    let items = reading.list(node)?;
    let mut networks: Vec<Network> = Vec::new();
    for item in items {
        let Some(network) = network(item, reading) else { continue };
        if networks.iter().any(|other| other.cidr == network.cidr) {
            reading.twice(item, &format!("`{}`", network.cidr));
        }
        networks.push(network);
    }
    let all = networks.len() == items.len();
    networks.sort_by_key(|network| std::cmp::Reverse(network.cidr.prefix_len()));
    all.then_some(networks)
}

fn network(node: &Node, reading: &mut Reading<'_>) -> Option<Network> {
    let [cidr, id] = reading.fields(node, ["cidr", "id"])?;
    let cidr = reading.required(node, cidr, "cidr").and_then(|node| self::cidr(node, reading));
    let id = reading.required(node, id, "id").and_then(|node| {
        reading.parsed(node, "a network's identity: `network:` and a name of letters, digits, `-`, `_`, `.`", |text| {
            text.strip_prefix("network:").filter(|name| listeners::is_name(name)).map(str::to_owned)
        })
    });
    Some(Network { cidr: cidr?, name: id? })
}

fn cidr(node: &Node, reading: &mut Reading<'_>) -> Option<IpNet> {
    let cidr: IpNet = reading.parsed(node, "a network such as `10.8.0.0/16`", |text| text.parse().ok())?;
    let help = match cidr {
        _ if cidr.trunc() != cidr => format!("write `{}` if the whole network is meant", cidr.trunc()),
        IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => "write it as an IPv4 network".to_owned(),
        IpNet::V4(_) | IpNet::V6(_) => return Some(cidr),
    };
    reading.found.error_with_help(&node.place, format!("`{cidr}` is not the plain form of a network"), help);
    None
}

fn mtls(node: &Node, reading: &mut Reading<'_>) -> Option<Mtls> {
    let [names, trust_domains] = reading.fields(node, ["names", "trust_domains"])?;
    let names = optional(names, reading, |node, reading| {
        each_once(node, reading, |item, reading| {
            reading.choice(item, &[("spiffe", NameKind::Spiffe), ("dns", NameKind::Dns)])
        })
    });
    let domains = optional(trust_domains, reading, |node, reading| each_once(node, reading, trust_domain));
    let (names, domains) = (names?.unwrap_or_else(|| spiffe_only().names), domains?);
    if domains.is_some()
        && !names.contains(&NameKind::Spiffe)
        && let Some(entry) = trust_domains
    {
        reading.found.error(&entry.place, "`trust_domains` is about SPIFFE names, and `names` has no `spiffe`");
    }
    Some(Mtls { names, trust_domains: domains })
}

/// SPIFFE ID standard, section 2.1: lower-case letters, digits, `.`, `-`, `_`, at most 255 bytes.
fn trust_domain(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    reading.parsed(node, "a SPIFFE trust domain: lower-case letters, digits, `.`, `-`, `_`", |text| {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
        ((1..=255).contains(&text.len()) && text.chars().all(allowed)).then(|| text.to_owned())
    })
}
