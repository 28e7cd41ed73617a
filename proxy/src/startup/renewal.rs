//! What a collector is shown and trusts, read again: a token or a certificate changes without a restart.

use std::path::Path;
use std::time::Duration;

use arc_swap::ArcSwap;
use gatepass_config::evidence::{Evidence, Otlp};
use sha2::{Digest as _, Sha256};

use super::sinks;
use crate::evidence::ship::otlp::{Client, Settings};

type Seen = [u8; 32];

/// The way to the collector, and what it was made from.
pub struct Renewal {
    client: Client,
    otlp: Otlp,
    timeout: Duration,
    seen: ArcSwap<Seen>,
}

impl Renewal {
    /// For this client, which was made after `seen` had been read: what changes in between is found at the next look.
    pub fn new(client: Client, otlp: Otlp, timeout: Duration, seen: Seen) -> Renewal {
        Renewal { client, otlp, timeout, seen: ArcSwap::from_pointee(seen) }
    }

    /// Look once. Says whether anything had changed; what is in force stays where the new is not usable. Blocks on files.
    pub fn once(&self) -> Result<bool, String> {
        let settings = sinks::collector(&self.otlp, self.timeout)?;
        let seen = digest(&settings)?;
        if **self.seen.load() == seen {
            return Ok(false);
        }
        self.client.reload(&settings).map_err(|error| error.to_string())?;
        self.seen.store(seen.into());
        Ok(true)
    }
}

/// What the files of the collector hold now, if there is one.
pub fn seen(evidence: &Evidence, timeout: Duration) -> Result<Option<Seen>, String> {
    evidence.otlp.as_ref().map(|otlp| digest(&sinks::collector(otlp, timeout)?)).transpose()
}

/// Over each header and each file, its length before it.
fn digest(settings: &Settings) -> Result<Seen, String> {
    let mut digest = Sha256::new();
    let mut add = |bytes: &[u8]| {
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
    };
    for (name, value) in &settings.headers {
        add(name.as_str().as_bytes());
        add(value.as_bytes());
    }
    let tls = settings.tls.iter();
    let files = tls.flat_map(|tls| {
        let own = tls.own.iter().flat_map(|own| [own.certificate.as_path(), own.key.as_path()]);
        tls.ca.as_deref().into_iter().chain(own)
    });
    for file in files {
        add(&read(file)?);
    }
    Ok(digest.finalize().into())
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("`{}`: {error}", path.display()))
}
