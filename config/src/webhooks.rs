//! `admin.webhooks`: who is told at once of grants, exceptions and the mode.

use std::path::PathBuf;

use gatepass_policy::address;

use crate::channel::{self, Channel};
use crate::node::{Node, Value};
use crate::problem::{Located, Problem, Problems};
use crate::reading::{self, Reading, optional};
use crate::secret::Secret;
use crate::url::{self, Url};

/// Somebody who is told.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// Where announcements are posted.
    pub url: Url,
    /// In clear or inside TLS.
    pub channel: Channel,
    /// A file with the key of the signature.
    pub secret: Located<PathBuf>,
}

/// The fewest bytes of a key that cannot be guessed.
const SECRET_MIN: usize = 16;
const SECRET_MAX: usize = 1024;

/// More than anybody wants to be called by.
const WEBHOOKS_MAX: usize = 16;

impl Webhook {
    /// The key as it is now. The file's last line break is cut.
    ///
    /// # Errors
    /// The file cannot be read, or holds none.
    pub fn key(&self) -> Result<Secret, Problems> {
        read(&self.secret.value)
    }
}

fn read(path: &std::path::Path) -> Result<Secret, Problems> {
    let text = reading::read_text(path, SECRET_MAX)?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.len() < SECRET_MIN || text.contains(char::is_control) {
        let message = format!("it does not hold a key: one line of at least {SECRET_MIN} bytes");
        return Err(Problem::of_file(path, message).into());
    }
    Ok(Secret::new(text))
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Webhook>> {
    let items = reading.list(node)?;
    if items.len() > WEBHOOKS_MAX {
        reading.found.error(&node.place, format!("more than {WEBHOOKS_MAX} webhooks"));
        return None;
    }
    let webhooks: Vec<Webhook> = items.iter().filter_map(|item| webhook(item, reading)).collect();
    (webhooks.len() == items.len()).then_some(webhooks)
}

fn webhook(node: &Node, reading: &mut Reading<'_>) -> Option<Webhook> {
    // A key that is misspelt, or the secret itself in the place of its file, is not repeated.
    if let Value::Map(entries) = &node.value {
        entries
            .iter()
            .filter(|entry| !["url", "tls"].contains(&entry.name.as_str()))
            .for_each(|entry| entry.node.withhold(reading.found));
    }
    let [url, secret, tls] = reading.fields(node, ["url", "secret", "tls"])?;
    let tls = optional(tls, reading, channel::tls).map(|channel| (tls, channel));
    let secret = reading.required(node, secret, "secret").and_then(|node| {
        let [file] = reading.fields(node, ["file"])?;
        let file = reading.required(node, file, "file").and_then(|node| reading.file(node))?;
        match read(&file.value) {
            Ok(_) => Some(file),
            Err(problems) => {
                problems.into_vec().into_iter().for_each(|problem| reading.found.push(problem));
                None
            }
        }
    });
    let place = reading.required(node, url, "url")?;
    let url = reading.parsed(place, "a URL such as `https://hooks.example/gatepass`", |text| {
        url::parse(text, &[("http", 80), ("https", 443)])
    })?;
    let (entry, channel) = tls?;
    let channel = channel::of(&url, "https", entry, channel, reading)?;
    if let (Channel::Clear, false) = (&channel, url.host.ip().is_some_and(|ip| address::unmap(ip).is_loopback())) {
        let message = "what is announced crosses the network in clear text";
        reading.found.warning(&place.place, message, "write `https://`");
    }
    Some(Webhook { url, channel, secret: secret? })
}
