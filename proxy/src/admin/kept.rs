//! What a reload renews for the admin listener: the operators, and the certificates that it shows and trusts.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use gatepass_certs::rotate::{self, Rotating};
use gatepass_config::operators::{self, Means, Operator};
use jiff::Timestamp;

/// Every operator, in the order of the file.
pub type Operators = Arc<Vec<Arc<Operator>>>;

/// The operators and certificates in force.
#[derive(Debug)]
pub struct Kept {
    operators: ArcSwap<Vec<Arc<Operator>>>,
    /// The file that the operators stand in, if they stand in one of their own.
    file: Option<PathBuf>,
    means: Means,
    tls: Option<Arc<Rotating>>,
    /// Why the file, as it is now, is not in force.
    refused: ArcSwapOption<String>,
}

impl Kept {
    /// These operators, from this file, and this TLS.
    pub fn new(operators: Vec<Operator>, file: Option<PathBuf>, means: Means, tls: Option<Arc<Rotating>>) -> Kept {
        Kept { operators: ArcSwap::from_pointee(shared(operators)), file, means, tls, refused: ArcSwapOption::empty() }
    }

    /// Who may ask now.
    pub fn operators(&self) -> Operators {
        self.operators.load_full()
    }

    /// Why the operators' file, as it is now, is not in force; nothing where it is.
    pub fn refused(&self) -> Option<Arc<String>> {
        self.refused.load_full()
    }

    /// TLS, where it is spoken.
    pub fn tls(&self) -> Option<&Arc<Rotating>> {
        self.tls.as_ref()
    }

    /// Look at the files once; each part keeps what it has where the new is not valid. What there is to say about it is
    /// returned. Blocks on files.
    pub fn reload(&self, now: Timestamp) -> Vec<String> {
        let mut said = Vec::new();
        if let Some(file) = &self.file {
            match operators::read(file, now, self.means) {
                Ok((fresh, warnings)) => {
                    self.refused.store(None);
                    let fresh = shared(fresh);
                    if fresh != **self.operators.load() {
                        said.extend(warnings.iter().map(ToString::to_string));
                        said.push(format!("operators: {} of `{}` are in force", fresh.len(), file.display()));
                        self.operators.store(Arc::new(fresh));
                    }
                }
                Err(problems) => {
                    let problems = problems.to_string();
                    // Said once, not at every look.
                    if self.refused().is_none_or(|before| *before != problems) {
                        said.push(format!("operators: those known so far stay in force\n{problems}"));
                        self.refused.store(Some(Arc::new(problems)));
                    }
                }
            }
        }
        match self.tls.as_ref().map(|tls| tls.reload(now)) {
            None | Some(Ok(rotate::Reload::Unchanged)) => {}
            Some(Ok(rotate::Reload::Changed)) => said.push("certificates: `admin` serves the new ones".to_owned()),
            Some(Err(unusable)) => said.push(format!("certificates: `admin` keeps the old ones: {unusable}")),
        }
        said
    }
}

fn shared(operators: Vec<Operator>) -> Vec<Arc<Operator>> {
    operators.into_iter().map(Arc::new).collect()
}
