//! What a gateway remembers of releases across restarts, in its state directory: the highest number of each bundle, and the
//! last good archive of each source.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::bundle::{Manifest, replace};

/// The highest numbers.
const SERIALS: &str = "serials.json";

/// Bytes of the file of numbers: some thousand bundles.
const SERIALS_MAX: u64 = 1 << 20;

/// The folder in the state directory. It is made when there is something to remember.
#[derive(Clone, Debug)]
pub(super) struct Vault {
    folder: PathBuf,
    /// What names the source in file names.
    source: String,
}

/// The highest release of a bundle that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Highest {
    serial: u64,
    digest: String,
}

impl Vault {
    /// In this state directory, for a source of this name.
    pub(super) fn new(state: &Path, source: &str) -> Vault {
        let digest = Sha256::digest(source.as_bytes());
        let source = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Vault { folder: state.join("policy"), source }
    }

    /// Whether this release is older than one that was seen, or another of the same number.
    pub(super) fn check(&self, release: &Manifest) -> Result<(), String> {
        let serials = self.serials()?;
        let Some(highest) = serials.get(&release.bundle) else { return Ok(()) };
        let (bundle, serial) = (&release.bundle, release.serial);
        if serial < highest.serial {
            let seen = highest.serial;
            return Err(format!(
                "its serial is {serial}, and {seen} of `{bundle}` was in force here: going back to older files is a new \
                 release with a higher serial"
            ));
        }
        if serial == highest.serial && release.digest != highest.digest {
            let seen = &highest.digest;
            return Err(format!("its serial is {serial}, and so was that of other files of `{bundle}`, {seen}"));
        }
        Ok(())
    }

    /// Remember this release and its bytes: on the disk when this returns.
    pub(super) fn keep(&self, release: &Manifest, bytes: &[u8]) -> Result<(), String> {
        let mut serials = self.serials()?;
        let highest = Highest { serial: release.serial, digest: release.digest.clone() };
        let known = serials.insert(release.bundle.clone(), highest.clone());
        std::fs::create_dir_all(&self.folder).map_err(|error| self.failed(&self.folder, &error))?;
        if known.as_ref() != Some(&highest) {
            let text = serde_json::to_vec(&serials).map_err(|error| error.to_string())?;
            self.write(&self.folder.join(SERIALS), &text)?;
        }
        let archive = self.archive();
        let same = std::fs::read(&archive).is_ok_and(|there| there == bytes);
        if same { Ok(()) } else { self.write(&archive, bytes) }
    }

    /// Remember that the source has confirmed what is kept. Losing it makes the policy look older, and so it is not waited
    /// for.
    pub(super) fn confirmed(&self, at: Timestamp) {
        let _ = replace(&self.stamp(), at.to_string().as_bytes());
    }

    /// The last good archive of the source, at most `most` bytes, and when the source confirmed it last.
    pub(super) fn last_good(&self, most: usize) -> Result<Option<(Vec<u8>, Timestamp)>, String> {
        let archive = self.archive();
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&archive).and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes));
        match read {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed(&archive, &error)),
            Ok(_) => {}
        }
        let stamp = std::fs::read_to_string(self.stamp()).ok();
        let confirmed = stamp.and_then(|text| text.parse().ok()).unwrap_or(Timestamp::UNIX_EPOCH);
        Ok(Some((bytes, confirmed)))
    }

    fn serials(&self) -> Result<BTreeMap<String, Highest>, String> {
        let path = self.folder.join(SERIALS);
        let mut text = Vec::new();
        match std::fs::File::open(&path).and_then(|file| file.take(SERIALS_MAX).read_to_end(&mut text)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(self.failed(&path, &error)),
            Ok(_) => {}
        }
        serde_json::from_slice(&text).map_err(|error| {
            format!(
                "`{}` is damaged ({error}): put it back from a backup; removing it forgets which releases are old",
                path.display()
            )
        })
    }

    fn archive(&self) -> PathBuf {
        self.folder.join(format!("{}.gpb", self.source))
    }

    fn stamp(&self) -> PathBuf {
        self.folder.join(format!("{}.confirmed", self.source))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), String> {
        replace(path, bytes).map_err(|error| self.failed(path, &error))
    }

    fn failed(&self, path: &Path, error: &std::io::Error) -> String {
        format!("`{}` in the state directory: {error}", path.display())
    }
}
