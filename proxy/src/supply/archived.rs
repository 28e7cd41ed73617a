//! An archive as the source of the policy: had, verified, not older than what was seen, compiled, remembered.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gatepass_config::limits::Limits;
use gatepass_config::policy::Remote;
use gatepass_policy::Compiled;
use http::HeaderValue;
use jiff::Timestamp;

use super::fetch::{Answer, fetch};
use super::vault::Vault;
use super::{Loaded, Look, blocking, compile};
use crate::bundle::{self, Archive, Keyring, Manifest};

/// Where the archive is.
#[derive(Clone, Debug)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// A server.
    Url(Box<Remote>),
}

/// An archive as the source of the policy.
#[derive(Debug)]
pub struct Archived {
    place: Place,
    judge: Arc<Judge>,
    /// The server's tag of what is in force.
    tag: Mutex<Option<HeaderValue>>,
    /// What is in force and not remembered yet.
    unsettled: Mutex<Option<Taken>>,
}

/// What decides whether an archive may be used.
#[derive(Debug)]
struct Judge {
    keys: Option<Keyring>,
    limits: Limits,
    vault: Vault,
}

/// An archive that may be used, before it is remembered.
#[derive(Debug)]
struct Taken {
    release: Manifest,
    bytes: Bytes,
    confirmed: Timestamp,
}

impl Archived {
    /// From this place; `keys` are those that must have signed, `state` is the gateway's own directory.
    pub fn new(place: Place, keys: Option<Keyring>, limits: &Limits, state: &std::path::Path) -> Archived {
        let judge = Judge { keys, limits: limits.clone(), vault: Vault::new(state, &name(&place)) };
        Archived { place, judge: Arc::new(judge), tag: Mutex::new(None), unsettled: Mutex::new(None) }
    }

    /// How it is told of.
    pub(super) fn name(&self) -> String {
        format!("`{}`", name(&self.place))
    }

    /// How often the server is asked, where there is one.
    pub(super) fn poll(&self) -> Option<Duration> {
        match &self.place {
            Place::File(_) => None,
            Place::Url(remote) => Some(remote.poll),
        }
    }

    /// The file, where it is one.
    pub fn file(&self) -> Option<&std::path::Path> {
        match &self.place {
            Place::File(path) => Some(path),
            Place::Url(_) => None,
        }
    }

    /// At the start: what the source gives, or else the last good archive. Nothing is written yet, since the state directory
    /// may be another gateway's: [`Archived::settle`] does that.
    pub(super) async fn first(&self, now: Timestamp) -> Result<Loaded, String> {
        let why = match self.had(None).await {
            Ok(Some((bytes, tag))) => match self.judged(bytes, now, now).await {
                Ok((loaded, taken)) => {
                    *held(&self.tag) = tag;
                    *held(&self.unsettled) = Some(taken);
                    return Ok(loaded);
                }
                Err(why) => self.refused(&why),
            },
            Ok(None) => self.refused("it says that nothing has changed since nothing"),
            Err(why) => self.refused(&why),
        };
        let judge = Arc::clone(&self.judge);
        let last = blocking(move || judge.vault.last_good(bundle::most(&judge.limits))).await;
        let Some((bytes, confirmed)) = last.map_err(|error| format!("{why}\nerror: {error}"))? else { return Err(why) };
        match self.judged(bytes.into(), now, confirmed).await {
            Ok((loaded, taken)) => {
                *held(&self.unsettled) = Some(taken);
                Ok(Loaded { instead: Some(why), ..loaded })
            }
            Err(old) => Err(format!("{why}\nerror: the last good archive cannot be used either: {old}")),
        }
    }

    /// Now that the state directory is this gateway's, and the latest time known that it has seen: judge what is in force
    /// once more by them, and remember it.
    pub(super) async fn settle(&self, now: Timestamp) -> Result<(), String> {
        let Some(taken) = held(&self.unsettled).take() else { return Ok(()) };
        let judge = Arc::clone(&self.judge);
        blocking(move || {
            judge.is_due(&taken.release, now)?;
            judge.vault.keep(&taken.release, &taken.bytes)?;
            judge.vault.confirmed(taken.confirmed);
            Ok(())
        })
        .await
        .map_err(|why| self.refused(&why))
    }

    /// Again. What is taken is remembered before it is in force.
    pub(super) async fn look(&self, now: Timestamp) -> Result<Look, String> {
        let known = held(&self.tag).clone();
        let Some((bytes, tag)) = self.had(known).await.map_err(|why| self.refused(&why))? else {
            self.confirm(now).await;
            return Ok(Look::Same);
        };
        let (loaded, taken) = self.judged(bytes, now, now).await.map_err(|why| self.refused(&why))?;
        let judge = Arc::clone(&self.judge);
        let kept = blocking(move || judge.vault.keep(&taken.release, &taken.bytes)).await;
        kept.map_err(|why| self.refused(&why))?;
        self.confirm(now).await;
        *held(&self.tag) = tag;
        Ok(Look::Loaded(Box::new(loaded)))
    }

    async fn confirm(&self, now: Timestamp) {
        let judge = Arc::clone(&self.judge);
        // Where it cannot be written the policy looks older after a restart, and nothing else is lost.
        let kept = move || {
            judge.vault.confirmed(now);
            Ok(())
        };
        let _ = blocking(kept).await;
    }

    /// The bytes of the archive, with the server's tag; `None` where the server says that they have the tag that is known.
    async fn had(&self, known: Option<HeaderValue>) -> Result<Option<(Bytes, Option<HeaderValue>)>, String> {
        let limits = &self.judge.limits;
        let most = bundle::most(limits);
        match &self.place {
            Place::File(path) => {
                let (path, limits) = (path.clone(), limits.clone());
                let bytes = blocking(move || bundle::bytes(&path, &limits).map_err(|error| error.to_string())).await?;
                Ok(Some((bytes.into(), None)))
            }
            Place::Url(remote) => match fetch(remote, known, most, limits.bundle_fetch_timeout).await? {
                Answer::Same => Ok(None),
                Answer::Archive(bytes, tag) => Ok(Some((bytes, tag))),
            },
        }
    }

    async fn judged(&self, bytes: Bytes, now: Timestamp, confirmed: Timestamp) -> Result<(Loaded, Taken), String> {
        let judge = Arc::clone(&self.judge);
        blocking(move || judge.take(bytes, now, confirmed)).await
    }

    fn refused(&self, why: &str) -> String {
        format!("error: {}: {why}", self.name())
    }
}

impl Judge {
    /// In this order: form, signatures, time and number, and only then what the files say.
    fn take(&self, bytes: Bytes, now: Timestamp, confirmed: Timestamp) -> Result<(Loaded, Taken), String> {
        let archive = Archive::read(&bytes, &self.limits).map_err(|refused| refused.to_string())?;
        if let Some(keys) = &self.keys {
            keys.look(&archive).suffice().map_err(|refused| refused.to_string())?;
        }
        let Archive { manifest: release, files, .. } = archive;
        self.is_due(&release, now)?;
        let Compiled { set, warnings, .. } = compile(&files, now, &crate::startup::policy_limits(&self.limits))?;
        if set.bundle() != release.bundle {
            return Err(format!("its manifest is of `{}`, and its files of `{}`", release.bundle, set.bundle()));
        }
        let (serial, not_after) = (release.serial, Some(release.not_after));
        let loaded = Loaded { set, warnings, serial, not_after, confirmed, instead: None };
        Ok((loaded, Taken { release, bytes, confirmed }))
    }

    /// Neither over nor older than what was seen.
    fn is_due(&self, release: &Manifest, now: Timestamp) -> Result<(), String> {
        if now >= release.not_after {
            return Err(format!(
                "it ended at {}: build it again with a higher serial and a later end",
                release.not_after
            ));
        }
        self.vault.check(release)
    }
}

/// What tells sources apart, and what they are called.
fn name(place: &Place) -> String {
    match place {
        Place::File(path) => path.display().to_string(),
        Place::Url(remote) => remote.url.value.to_string(),
    }
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
