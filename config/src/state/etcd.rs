//! An etcd cluster: where its members are, how the gateway proves itself, and which keys are ours.

use std::path::PathBuf;

use gatepass_policy::address;

use crate::channel::{self, Tls};
use crate::node::{Entry, Node, Style, Value};
use crate::problem::{Located, Problem, Problems};
use crate::reading::{self, Reading, each_once, optional, owner_of};
use crate::scalar::{Plain, plain};
use crate::secret::Secret;
use crate::state::Store;
use crate::url::{self, Url};

/// An etcd cluster, version 3.4 or later.
#[derive(Clone, Debug)]
pub struct Etcd {
    /// At least one, none twice, all of one scheme; each is a member, or a balancer in front of some. No path.
    pub endpoints: Vec<Url>,
    /// Where the endpoints are `https`.
    pub tls: Option<Box<Tls>>,
    /// What every key of the fleet begins with; never empty.
    pub prefix: String,
    /// Whom etcd takes the gateway for, where that is not the common name of its certificate.
    pub user: Option<User>,
}

/// A user of etcd.
#[derive(Clone, Debug)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Password,
}

/// Where a password is.
#[derive(Clone, Debug)]
pub enum Password {
    /// In the configuration.
    Inline(Secret),
    /// In a file of its own, which may change: read whenever etcd asks for it.
    File(Located<PathBuf>),
}

const PREFIX: &str = "gatepass/";
const PREFIX_MAX: usize = 256;

/// A cluster has seven members at most, by etcd's own advice; twice that in a migration.
const ENDPOINTS_MAX: usize = 16;

/// Bytes of a password with its line break.
const PASSWORD_MAX: usize = 1024;
const PASSWORD: &str = "a password: one line without spaces around it";

impl Password {
    /// The password as it is now. A file's last line break is cut.
    ///
    /// # Errors
    /// The file cannot be read, or holds no password.
    pub fn read(&self) -> Result<Secret, Problems> {
        match self {
            Password::Inline(secret) => Ok(secret.clone()),
            Password::File(path) => {
                let text = reading::read_text(&path.value, PASSWORD_MAX)?;
                let text = text.strip_suffix('\n').unwrap_or(&text);
                let text = text.strip_suffix('\r').unwrap_or(text);
                match is_password(text) {
                    true => Ok(Secret::new(text)),
                    false => Err(Problem::of_file(&path.value, format!("it does not hold {PASSWORD}")).into()),
                }
            }
        }
    }
}

fn is_password(text: &str) -> bool {
    (1..PASSWORD_MAX).contains(&text.len()) && !text.contains(char::is_control) && text.trim().len() == text.len()
}

/// Keep out of what is told whatever stands where a password is or was meant to be: also below a key that is misspelt.
pub(super) fn withhold(node: &Node, more: &[&str], reading: &mut Reading<'_>) {
    let Value::Map(entries) = &node.value else { return };
    for entry in entries {
        let name = entry.name.as_str();
        if !["endpoints", "tls", "prefix", "username"].contains(&name) && !more.contains(&name) {
            entry.node.withhold(reading.found);
        }
    }
}

/// `store: {etcd: {…}}`
pub(super) fn within(node: &Node, reading: &mut Reading<'_>) -> Option<Store> {
    withhold(node, &[], reading);
    let fields = reading.fields(node, ["endpoints", "tls", "prefix", "username", "password"])?;
    convert(node, fields, reading)
}

/// A cluster, from its keys, which stand below `node`.
pub(super) fn convert(
    node: &Node,
    [endpoints, tls, prefix, username, password]: [Option<&Entry>; 5],
    reading: &mut Reading<'_>,
) -> Option<Store> {
    let channel = optional(tls, reading, channel::tls);
    let prefix = optional(prefix, reading, self::prefix);
    let user = user(username, password, reading);
    let list = reading.required(node, endpoints, "endpoints")?;
    let endpoints = self::endpoints(list, reading);
    let (endpoints, channel, user) = (endpoints?, channel?, user?);
    let secure = endpoints.iter().any(|endpoint| endpoint.scheme == "https");
    let channel = match (secure, channel) {
        (true, channel) => Some(Box::new(channel.unwrap_or(Tls { ca: None, own: None, server_name: None }))),
        (false, None) => None,
        (false, Some(_)) => {
            let place = tls.map_or(&list.place, |entry| &entry.place);
            reading.found.error(place, "`tls` belongs to endpoints with `https://`, and these have `http://`");
            return None;
        }
    };
    if channel.as_ref().is_some_and(|tls| tls.own.is_none()) && user.is_none() {
        let message = "nothing proves the gateway to etcd, so anyone who reaches it may write what the gateway would";
        let help = "give `tls: {certificate: FILE, key: FILE}`, or `username` and `password`";
        reading.found.warning(&list.place, message, help);
    }
    let prefix = prefix?.unwrap_or_else(|| PREFIX.to_owned());
    Some(Store::Etcd(Box::new(Etcd { endpoints, tls: channel, prefix, user })))
}

fn endpoints(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Url>> {
    let endpoints = each_once(node, reading, endpoint)?;
    if endpoints.len() > ENDPOINTS_MAX {
        reading.found.error(&node.place, format!("{} has more than {ENDPOINTS_MAX} entries", owner_of(node)));
        return None;
    }
    let mixed = endpoints.windows(2).any(|pair| pair.first().map(scheme) != pair.last().map(scheme));
    if mixed {
        let message = format!("{} has both `https://` and `http://`", owner_of(node));
        reading.found.error_with_help(&node.place, message, "write `https://` in each");
        return None;
    }
    Some(endpoints)
}

fn scheme(url: &Url) -> &str {
    &url.scheme
}

fn endpoint(node: &Node, reading: &mut Reading<'_>) -> Option<Url> {
    let wanted = "the URL of a member of etcd such as `https://etcd-1.internal:2379`";
    let mut url = reading.parsed(node, wanted, |text| url::parse(text, &[("http", 2379), ("https", 2379)]))?;
    if url.path == "/" {
        url.path.clear();
    }
    if !url.path.is_empty() {
        reading.found.error(&node.place, format!("a member of etcd has no path, and this one has `{}`", url.path));
        return None;
    }
    let loopback = url.host.ip().is_some_and(|ip| address::unmap(ip).is_loopback());
    if url.scheme == "http" && !loopback {
        let message = format!("`{url}` is reached in clear text: whoever is on the way could grant what they like");
        let help = "write `https://`; `http://` is for addresses of this machine, such as `http://127.0.0.1:2379`";
        reading.found.error_with_help(&node.place, message, help);
        return None;
    }
    Some(url)
}

fn prefix(node: &Node, reading: &mut Reading<'_>) -> Option<String> {
    let wanted = "a prefix of keys: 2 to 256 printable ASCII characters that end with `/`";
    reading.parsed(node, wanted, |text| {
        let fits = (2..=PREFIX_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        (fits && text.ends_with('/')).then(|| text.to_owned())
    })
}

fn user(username: Option<&Entry>, password: Option<&Entry>, reading: &mut Reading<'_>) -> Option<Option<User>> {
    match (username, password) {
        (None, None) => Some(None),
        (Some(username), Some(password)) => {
            let name =
                reading.parsed(&username.node, "the name of a user", |text| is_password(text).then(|| text.to_owned()));
            let password = self::password(&password.node, reading);
            Some(Some(User { name: name?, password: password? }))
        }
        (Some(entry), None) => {
            let help = "give `password: {file: PATH}` as well";
            reading.found.error_with_help(&entry.place, "`username` is given without `password`", help);
            None
        }
        (None, Some(entry)) => {
            reading.found.error_with_help(&entry.place, "`password` is given without `username`", "give both");
            None
        }
    }
}

fn password(node: &Node, reading: &mut Reading<'_>) -> Option<Password> {
    let help = "write `{file: PATH}`, or one line in quotes";
    let password = match &node.value {
        Value::Map(_) => {
            let [file] = reading.fields(node, ["file"])?;
            Password::File(reading.required(node, file, "file").and_then(|node| reading.file(node))?)
        }
        // What stands here is not repeated.
        Value::Scalar(text, style) if *style == Style::Plain && !matches!(plain(text), Plain::Text) => {
            let message = format!("{} is text, but YAML may read it as something else", owner_of(node));
            reading.found.error_with_help(&node.place, message, help);
            return None;
        }
        Value::Scalar(text, _) if is_password(text) => Password::Inline(Secret::new(text)),
        Value::Scalar(..) | Value::List(_) => {
            reading.found.error_with_help(&node.place, format!("{} is not {PASSWORD}", owner_of(node)), help);
            return None;
        }
        Value::Refused => return None,
    };
    match password.read() {
        Ok(_) => Some(password),
        Err(problems) => {
            problems.into_vec().into_iter().for_each(|problem| reading.found.push(problem));
            None
        }
    }
}
