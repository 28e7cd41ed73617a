//! `policy`: where the bundle is, who must have signed it, when it is read again, and what is done when it grows old.

use std::path::PathBuf;
use std::time::Duration;

use gatepass_policy::address;

use crate::collector::{self, Header};
use crate::node::{Entry, Node};
use crate::problem::{Located, Place};
use crate::reading::{Reading, each_once, optional};
use crate::url::{self, Url};

/// Where the policy comes from.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The bundle.
    pub bundle: Bundle,
    /// Who must have signed it; `None` takes it as it is.
    pub trust: Option<Trust>,
    /// When it is read again.
    pub reload: Reload,
    /// How long it is used after its source has confirmed it last; `None`: until its own end.
    pub max_age: Option<Duration>,
    /// What is done beyond that, and beyond its own end.
    pub when_stale: WhenStale,
    /// Another bundle that decides beside it, and is only told of. Whatever is there.
    pub candidate: Option<Located<PathBuf>>,
}

/// Where a bundle is.
#[derive(Clone, Debug)]
pub enum Bundle {
    /// A directory of YAML files, which existed when the configuration was loaded.
    Directory(Located<PathBuf>),
    /// An archive, which existed when the configuration was loaded.
    Archive(Located<PathBuf>),
    /// An archive that is fetched; there are always keys that must have signed it.
    Url(Box<Remote>),
    /// The sample that the binary carries: quickstart only, no file can ask for it.
    Embedded,
}

/// An archive that is fetched.
#[derive(Clone, Debug)]
pub struct Remote {
    /// `https`; `http` on loopback and the development floor.
    pub url: Located<Url>,
    /// How often it is asked for.
    pub poll: Duration,
    /// Sent with each question.
    pub headers: Vec<Header>,
    /// Who vouches for its server, PEM; `None`: the machine's trust anchors.
    pub ca: Option<Located<PathBuf>>,
}

/// Who must have signed an archive.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Files of public keys, at least one.
    pub keys: Vec<Located<PathBuf>>,
    /// How many of them: at least 1, and no more than there are files.
    pub threshold: usize,
}

/// When the bundle is read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// When a file changes, and on SIGHUP.
    Watch,
    /// On SIGHUP only.
    Signal,
}

/// What is done with a bundle beyond its end, or of which its source was not heard for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenStale {
    /// It goes on deciding, and the gateway says that it is stale.
    Keep,
    /// New connections are refused; what is open stays.
    Refuse,
}

/// How often an archive is asked for unless the configuration says so: a change is in force within two minutes.
const POLL: Duration = Duration::from_secs(60);

const POLL_MIN: Duration = Duration::from_secs(1);

/// More than any release has approvers.
const KEYS_MAX: usize = 64;

impl Policy {
    /// This bundle, read again on SIGHUP, and nothing more.
    pub fn of(bundle: Bundle) -> Policy {
        let when_stale = WhenStale::Refuse;
        Policy { bundle, trust: None, reload: Reload::Signal, max_age: None, when_stale, candidate: None }
    }
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Policy> {
    let keys = ["bundle", "verify_keys", "threshold", "reload", "max_age", "when_stale", "candidate"];
    let [poll, headers, ca] = ["poll", "headers", "ca"];
    let [a, b, c, d, e, f, g] = keys;
    let [bundle, verify_keys, threshold, reload, max_age, when_stale, candidate, poll, headers, ca] =
        reading.fields(node, [a, b, c, d, e, f, g, poll, headers, ca])?;
    let place = reading.required(node, bundle, "bundle");
    let trust = optional(verify_keys, reading, |node, reading| trust(node, threshold, reading));
    if let (None, Some(threshold)) = (verify_keys, threshold) {
        reading.found.error(&threshold.place, "`threshold` counts `verify_keys`, and there are none");
    }
    let far = Far { poll, headers, ca, signed: verify_keys.is_some() };
    let bundle = place.and_then(|node| self::bundle(node, &far, reading));
    let reload = optional(reload, reading, |node, reading| {
        reading.choice(node, &[("watch", Reload::Watch), ("signal", Reload::Signal)])
    });
    let age = optional(max_age, reading, |node, reading| at_least(node, POLL_MIN, reading));
    let stale = optional(when_stale, reading, |node, reading| {
        reading.choice(node, &[("keep", WhenStale::Keep), ("refuse", WhenStale::Refuse)])
    });
    let candidate = optional(candidate, reading, |node, reading| {
        let value = reading.path(node)?;
        Some(Located { value, place: Some(node.place.clone()) })
    });
    let bundle = bundle?;
    if let Bundle::Directory(_) = &bundle {
        let only = [("verify_keys", verify_keys), ("max_age", max_age), ("when_stale", when_stale)];
        for (key, entry) in only {
            alone(entry, key, "a directory is neither signed nor dated", reading);
        }
    }
    Some(Policy {
        bundle,
        trust: trust?,
        reload: reload?.unwrap_or(Reload::Watch),
        max_age: age?,
        when_stale: stale?.unwrap_or(WhenStale::Refuse),
        candidate: candidate?,
    })
}

/// In clear only what never leaves this machine, and only where everything is a trial.
pub(crate) fn check(policy: &Policy, development: Option<&Place>, reading: &mut Reading<'_>) {
    let Bundle::Url(remote) = &policy.bundle else { return };
    let Some(place) = &remote.url.place else { return };
    let loopback = remote.url.value.host.ip().is_some_and(|ip| address::unmap(ip).is_loopback());
    if remote.url.value.scheme == "http" && !(loopback && development.is_some()) {
        let message = "a bundle is not fetched in clear text";
        let help = "write `https://`; `http://` is for loopback addresses with `floor.development_loopback: true`";
        reading.found.error_with_help(place, message, help);
    }
}

/// What only an archive that is fetched has.
struct Far<'n> {
    poll: Option<&'n Entry>,
    headers: Option<&'n Entry>,
    ca: Option<&'n Entry>,
    signed: bool,
}

fn bundle(node: &Node, far: &Far<'_>, reading: &mut Reading<'_>) -> Option<Bundle> {
    if reading.text(node)?.contains("://") {
        return remote(node, far, reading).map(|remote| Bundle::Url(Box::new(remote)));
    }
    for (key, entry) in [("poll", far.poll), ("headers", far.headers), ("ca", far.ca)] {
        alone(entry, key, "the bundle is not fetched from a URL", reading);
    }
    if reading.path(node)?.is_file() {
        return reading.file(node).map(Bundle::Archive);
    }
    reading.directory(node, "it is a file").map(Bundle::Directory)
}

fn remote(node: &Node, far: &Far<'_>, reading: &mut Reading<'_>) -> Option<Remote> {
    let wanted = "a URL such as `https://bundles.example/corp.gpb`";
    let value = reading.parsed(node, wanted, |text| url::parse(text, &[("https", 443), ("http", 80)]));
    let poll = optional(far.poll, reading, |node, reading| at_least(node, POLL_MIN, reading));
    let headers = optional(far.headers, reading, collector::headers);
    let ca = optional(far.ca, reading, |node, reading| reading.file(node));
    if !far.signed {
        let message = "a bundle from a URL needs `verify_keys`: otherwise whoever has the server has the policy";
        reading.found.error_with_help(&node.place, message, "name the public keys of those who sign releases");
        return None;
    }
    let url = Located { value: value?, place: Some(node.place.clone()) };
    Some(Remote { url, poll: poll?.unwrap_or(POLL), headers: headers?.unwrap_or_default(), ca: ca? })
}

fn trust(node: &Node, threshold: Option<&Entry>, reading: &mut Reading<'_>) -> Option<Trust> {
    let keys = each_once(node, reading, |item, reading| Some(reading.file(item)?.value))?;
    if keys.len() > KEYS_MAX {
        reading.found.error(&node.place, format!("more than {KEYS_MAX} keys"));
        return None;
    }
    let known = keys.len();
    let threshold = match threshold {
        None if known == 1 => 1,
        None => {
            let message = format!("{known} keys are listed, and not how many of them must have signed");
            reading.found.error_with_help(&node.place, message, format!("write `threshold:`, 1 to {known}"));
            return None;
        }
        Some(entry) => {
            let count = reading.count(&entry.node)?;
            if count == 0 || count > known {
                let message = format!("a threshold of {count} does not fit {known} keys");
                reading.found.error_with_help(&entry.node.place, message, format!("write 1 to {known}"));
                return None;
            }
            count
        }
    };
    Some(Trust { keys: keys.into_iter().map(Located::nowhere).collect(), threshold })
}

fn at_least(node: &Node, least: Duration, reading: &mut Reading<'_>) -> Option<Duration> {
    let value = reading.duration(node)?;
    if value < least {
        reading.found.error(&node.place, format!("it is shorter than {least:?}"));
        return None;
    }
    Some(value)
}

/// A key that means nothing here.
fn alone(entry: Option<&Entry>, key: &str, why: &str, reading: &mut Reading<'_>) {
    if let Some(entry) = entry {
        reading.found.error_with_help(&entry.place, format!("`{key}` means nothing here: {why}"), "leave it out");
    }
}
