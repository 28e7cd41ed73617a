//! Where the policy comes from, and whether what comes may be used: signed by whom it has to be, within its time, and no
//! release older than one that was seen.

mod fetch;

mod vault;

mod fresh;
pub use fresh::{Freshness, Stale};

mod archived;
pub use archived::{Archived, Place};

mod keep;
pub use keep::poll;

use std::path::PathBuf;
use std::time::Duration;

use gatepass_config::limits::Limits;
use gatepass_policy::diagnostic::Diagnostic;
use gatepass_policy::source::SourceFile;
use gatepass_policy::{Compiled, PolicySet};
use jiff::Timestamp;

/// Where the policy comes from.
#[derive(Debug)]
pub enum Source {
    /// A directory of YAML files.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Bounds on what is read.
        limits: Box<Limits>,
    },
    /// Files that the binary carries.
    Embedded(Vec<SourceFile>),
    /// An archive, in a file or fetched.
    Archive(Box<Archived>),
}

/// What came, and may be used.
#[derive(Debug)]
pub struct Loaded {
    /// The policy.
    pub set: PolicySet,
    /// What its author should know.
    pub warnings: Vec<Diagnostic>,
    /// The number of the release; 0 where there is none.
    pub serial: u64,
    /// The end of the release, where it has one.
    pub not_after: Option<Timestamp>,
    /// When its source said last that this is it.
    pub confirmed: Timestamp,
    /// Why this is an older one than what the source gives now, if it is.
    pub instead: Option<String>,
}

/// What a look at the source brings.
#[derive(Debug)]
pub enum Look {
    /// The source says that there is nothing new.
    Same,
    /// This is what it gives.
    Loaded(Box<Loaded>),
}

impl Source {
    /// For the first time: the source, or the last that was good. What cannot be used is told, every problem as printed.
    pub async fn first(&self, now: Timestamp) -> Result<Loaded, String> {
        match self {
            Source::Archive(archived) => archived.first(now).await,
            Source::Directory { .. } | Source::Embedded(_) => match self.look(now).await? {
                Look::Loaded(loaded) => Ok(*loaded),
                Look::Same => Err("error: there was nothing to be the same as".to_owned()),
            },
        }
    }

    /// Again. What may be used is on the disk, and so is its number, when this returns.
    pub async fn look(&self, now: Timestamp) -> Result<Look, String> {
        match self {
            Source::Archive(archived) => archived.look(now).await,
            Source::Directory { path, limits } => {
                let (path, limits) = (path.clone(), limits.clone());
                blocking(move || {
                    let files =
                        gatepass_config::bundle::read(&path, &limits).map_err(|problems| problems.to_string())?;
                    plain(&files, now, &crate::startup::policy_limits(&limits))
                })
                .await
            }
            Source::Embedded(files) => {
                let files = files.clone();
                blocking(move || plain(&files, now, &gatepass_policy::limits::Limits::STANDARD)).await
            }
        }
    }

    /// The state directory is this gateway's now: remember what is in force, if it is still to be.
    pub async fn settle(&self, now: Timestamp) -> Result<(), String> {
        match self {
            Source::Archive(archived) => archived.settle(now).await,
            Source::Directory { .. } | Source::Embedded(_) => Ok(()),
        }
    }

    /// How often somebody else is asked for it, where that is so: then every look is taken in its own time.
    pub fn poll(&self) -> Option<Duration> {
        match self {
            Source::Archive(archived) => archived.poll(),
            Source::Directory { .. } | Source::Embedded(_) => None,
        }
    }

    /// What it is called where it is refused.
    pub fn name(&self) -> String {
        match self {
            Source::Archive(archived) => archived.name(),
            Source::Directory { .. } | Source::Embedded(_) => "the policy on disk".to_owned(),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    let fault = |_| Err("error: reading the bundle ended in a fault of the gateway".to_owned());
    tokio::task::spawn_blocking(work).await.unwrap_or_else(fault)
}

fn plain(files: &[SourceFile], now: Timestamp, limits: &gatepass_policy::limits::Limits) -> Result<Look, String> {
    let Compiled { set, warnings, .. } = compile(files, now, limits)?;
    let loaded = Loaded { set, warnings, serial: 0, not_after: None, confirmed: now, instead: None };
    Ok(Look::Loaded(Box::new(loaded)))
}

fn compile(files: &[SourceFile], now: Timestamp, limits: &gatepass_policy::limits::Limits) -> Result<Compiled, String> {
    let told = |diagnostics: Vec<Diagnostic>| diagnostics.iter().map(|d| format!("{d}\n")).collect::<String>();
    gatepass_policy::compile_within(files, now, limits).map_err(told)
}
