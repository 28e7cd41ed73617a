//! Problems of a bundle as workflow commands of GitHub, which shows them beside the lines of a pull request.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use gatepass_config::problem::Problem;
use gatepass_policy::diagnostic::{Diagnostic, Related, printable};

/// The directory that paths of annotations start from, and the bundle's own.
pub struct Repository {
    root: PathBuf,
    bundle: PathBuf,
}

impl Repository {
    /// Around this bundle: the nearest directory above it that holds `.git`; without one, the working directory.
    pub fn around(bundle: &Path) -> Repository {
        let bundle = bundle.canonicalize().unwrap_or_else(|_| bundle.to_owned());
        let work = bundle.ancestors().find(|above| above.join(".git").exists()).map(Path::to_owned);
        let root = work.or_else(|| std::env::current_dir().ok()).unwrap_or_default();
        Repository { root, bundle }
    }

    /// One diagnostic as a line.
    pub fn diagnostic(&self, found: &Diagnostic) -> String {
        let file = self.inside(&found.file);
        let mut text = printable(&found.message);
        for (word, said) in [("why", &found.why), ("help", &found.help)] {
            if let Some(said) = said {
                let _ = write!(text, "\n{word}: {}", printable(said));
            }
        }
        if let Some(Related { file, line, message, .. }) = &found.related {
            let _ = write!(text, "\n{message}: {}:{line}", self.inside(file));
        }
        format!(
            "::{} file={},line={},col={},endColumn={},title=gatepass check::{}",
            found.severity.as_str(),
            property(&file),
            found.line,
            found.column,
            found.column.saturating_add(found.length),
            data(&text)
        )
    }

    /// One file that could not be read as a line.
    pub fn problem(&self, found: &Problem) -> String {
        let help = found.help.as_ref().map_or_else(String::new, |help| format!("\nhelp: {help}"));
        let file = self.relative(&found.file);
        format!("::error file={},title=gatepass check::{}", property(&file), data(&format!("{}{help}", found.message)))
    }

    fn inside(&self, name: &str) -> String {
        self.relative(&self.bundle.join(name))
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

/// The text of a command: it ends with the line, and `%` begins an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of a command, which `:` and `,` would end.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_bundle_can_end_a_command_or_begin_another() {
        let evil = "a,line=1::\n::error::b%0A\r";
        assert_eq!(property(evil), "a%2Cline=1%3A%3A%0A%3A%3Aerror%3A%3Ab%250A%0D");
        assert_eq!(data(evil), "a,line=1::%0A::error::b%250A%0D");
    }
}
