//! The file of operators, changed as a whole or not at all: other entries and comments stay as they are.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};

use gatepass_config::operators::{self, Asked, Means, Operator};
use jiff::Timestamp;

/// Which credentials the gateway asks for stands in its configuration, which need not be here.
const ANY: Means = Means { certificates: Asked::Yes, oidc: Asked::Yes };

/// A file of operators, read and valid; or one that is not there yet.
pub struct File {
    path: PathBuf,
    text: String,
    pub operators: Vec<Operator>,
}

impl File {
    /// Read it.
    pub fn open(path: &Path, now: Timestamp) -> Result<File, String> {
        // A link stays a link: what it leads to is replaced.
        let path = match path.canonicalize() {
            Ok(real) => real,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(File { path: path.to_owned(), text: String::new(), operators: Vec::new() });
            }
            Err(error) => return Err(format!("`{}`: {error}", path.display())),
        };
        let text = fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
        let operators = match text.trim().is_empty() {
            true => Vec::new(),
            false => read(&path, now)?,
        };
        Ok(File { path, text, operators })
    }

    /// With a further entry at the end.
    pub fn append(&self, entry: &str, now: Timestamp) -> Result<(), String> {
        let mut text = self.kept(&self.text);
        let indent = " ".repeat(self.indent());
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.extend(entry.lines().map(|line| format!("{indent}{line}\n")));
        self.replace(&text, self.operators.len() + 1, now)
    }

    /// Without the entry at this place.
    pub fn without(&self, at: usize, now: Timestamp) -> Result<(), String> {
        let lines: Vec<&str> = self.text.lines().collect();
        let starts: Vec<usize> =
            (0..lines.len()).filter(|line| lines.get(*line).is_some_and(|l| self.begins(l))).collect();
        let by_hand =
            || format!("`{}` is not written an entry a line and below: take it out by hand", self.path.display());
        if starts.len() != self.operators.len() {
            return Err(by_hand());
        }
        let first = *starts.get(at).ok_or_else(by_hand)?;
        let mut end = starts.get(at + 1).copied().unwrap_or(lines.len());
        // What is said above the next entry is said about that one.
        let is_comment = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        while end > first + 1 && lines.get(end - 1).is_some_and(is_comment) {
            end -= 1;
        }
        let kept = lines.iter().enumerate().filter(|(line, _)| !(first..end).contains(line));
        let mut text: String = kept.map(|(_, line)| format!("{line}\n")).collect();
        if starts.len() == 1 {
            text.push_str("[]\n");
        }
        self.replace(&text, self.operators.len() - 1, now)
    }

    /// The text, without the `[]` of a list that is empty.
    fn kept(&self, text: &str) -> String {
        match self.operators.is_empty() {
            false => text.to_owned(),
            true => text.lines().filter(|line| line.trim() != "[]").map(|line| format!("{line}\n")).collect(),
        }
    }

    /// How far the entries are indented.
    fn indent(&self) -> usize {
        let first = self.text.lines().find(|line| line.trim_start().starts_with("- "));
        first.map_or(0, |line| line.len() - line.trim_start().len())
    }

    fn begins(&self, line: &str) -> bool {
        line.strip_prefix(&" ".repeat(self.indent())).is_some_and(|rest| rest.starts_with("- "))
    }

    /// Put `text` in the place of the file, once it is sure to be read as so many operators.
    fn replace(&self, text: &str, count: usize, now: Timestamp) -> Result<(), String> {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let fresh = crate::reload::directory_of(&self.path).join(format!(".{name}.new"));
        let told = |error: std::io::Error| format!("`{}`: {error}", fresh.display());
        let mut file = match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let fresh = fresh.display();
                return Err(format!(
                    "`{fresh}` is there: another change is under way, or one was cut short; remove it then"
                ));
            }
            Err(error) => return Err(told(error)),
        };
        let written = file
            .write_all(text.as_bytes())
            .and_then(|()| self.owned(&fresh))
            .and_then(|()| file.sync_all())
            .map_err(told)
            .and_then(|()| read(&fresh, now))
            .and_then(|operators| match operators.len() == count {
                true => fs::rename(&fresh, &self.path).map_err(told),
                false => Err(format!("`{}` cannot be changed by machine: change it by hand", self.path.display())),
            });
        if written.is_err() {
            let _ = fs::remove_file(&fresh);
        }
        written
    }

    /// The file stays its owner's: the gateway has to read it, whoever enrols.
    fn owned(&self, fresh: &Path) -> std::io::Result<()> {
        match (fs::metadata(&self.path), fs::metadata(fresh)) {
            (Ok(old), Ok(new)) if (old.uid(), old.gid()) != (new.uid(), new.gid()) => {
                chown(fresh, Some(old.uid()), Some(old.gid()))
            }
            (Ok(_), Ok(_)) => Ok(()),
            (Err(error), _) if error.kind() == ErrorKind::NotFound => Ok(()),
            (Err(error), _) | (_, Err(error)) => Err(error),
        }
    }
}

fn read(path: &Path, now: Timestamp) -> Result<Vec<Operator>, String> {
    operators::read(path, now, ANY).map(|(operators, _)| operators).map_err(|problems| {
        let text = problems.to_string();
        format!("the file is not valid\n{text}")
    })
}
