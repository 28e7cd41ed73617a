//! Reading a node as one of the few shapes that a configuration has; each refusal says what was wanted.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::node::{Entry, Node, Style, Value};
use crate::problem::{Findings, Located, Place, Problem, Problems};
use crate::scalar::{Plain, decimal, nearest, parse_duration, parse_size, plain};

/// What every conversion needs besides its node.
pub(crate) struct Reading<'a> {
    /// Paths are relative to this directory.
    pub directory: &'a Path,
    /// What has expired is told by this.
    pub now: Timestamp,
    pub found: &'a mut Findings,
}

impl Reading<'_> {
    /// The entries of a mapping that may hold `keys` and nothing else, in the order of `keys`.
    pub(crate) fn fields<'n, const N: usize>(
        &mut self,
        node: &'n Node,
        keys: [&str; N],
    ) -> Option<[Option<&'n Entry>; N]> {
        let entries = self.entries(node)?;
        for entry in entries.iter().filter(|entry| !keys.contains(&entry.name.as_str())) {
            self.unknown_key(node, entry, &keys, None);
        }
        Some(keys.map(|key| entries.iter().find(|entry| entry.name == key)))
    }

    /// The entries of a mapping, whatever their keys.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node) -> Option<&'n [Entry]> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            Value::List(_) | Value::Scalar(..) | Value::Refused => self.wanted(node, "a mapping of keys"),
        }
    }

    /// `all` says what the keys are where they are too many to list.
    pub(crate) fn unknown_key(&mut self, node: &Node, entry: &Entry, keys: &[&str], all: Option<&str>) {
        let owner = owner_of(node);
        let message = format!("`{}` is not a key of {owner}", entry.name);
        let help = match nearest(&entry.name, keys) {
            Some(key) => format!("did you mean `{key}`?"),
            None => all.map_or_else(|| format!("its keys are {}", listed(keys)), str::to_owned),
        };
        self.found.error_with_help(&entry.place, message, help);
    }

    /// The value of a key that must be there.
    pub(crate) fn required<'n>(&mut self, node: &Node, entry: Option<&'n Entry>, key: &str) -> Option<&'n Node> {
        if entry.is_none() {
            self.found.error(&node.place, format!("{} has no `{key}`", owner_of(node)));
        }
        entry.map(|entry| &entry.node)
    }

    /// A key of the design that nothing enforces yet.
    pub(crate) fn unsupported(&mut self, entry: Option<&Entry>) {
        if let Some(entry) = entry {
            self.unsupported_value(&entry.place, &entry.name);
        }
    }

    pub(crate) fn unsupported_value(&mut self, place: &Place, what: &str) {
        let help = "leave it out: nothing would enforce it";
        self.found.error_with_help(place, format!("`{what}` is not supported yet"), help);
    }

    pub(crate) fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            Value::Map(_) | Value::Scalar(..) | Value::Refused => self.wanted(node, "a list"),
        }
    }

    /// A list with something in it.
    pub(crate) fn filled_list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        let items = self.list(node)?;
        if items.is_empty() {
            self.found.error(&node.place, format!("{} is an empty list", owner_of(node)));
            return None;
        }
        Some(items)
    }

    /// Text. Plain text that any YAML parser reads as something else has to be quoted.
    pub(crate) fn text<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let Value::Scalar(text, style) = &node.value else { return self.wanted(node, "text") };
        let read_as = match style {
            Style::Quoted => return Some(text),
            Style::Plain => match plain(text) {
                Plain::Text => return Some(text),
                Plain::Nothing => return self.wanted(node, "text"),
                Plain::Boolean => "a boolean",
                Plain::Number => "a number",
            },
        };
        let message = format!("{} is text, but YAML may read `{text}` as {read_as}", owner_of(node));
        self.found.error_with_help(&node.place, message, format!("write it in quotes: \"{text}\""));
        None
    }

    /// Text that `convert` understands; `wanted` says what that is.
    pub(crate) fn parsed<T>(
        &mut self,
        node: &Node,
        wanted: &str,
        convert: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(node)?;
        let value = convert(text);
        if value.is_none() {
            self.found.error(&node.place, format!("`{text}` is not {wanted}"));
        }
        value
    }

    pub(crate) fn flag(&mut self, node: &Node) -> Option<bool> {
        match &node.value {
            Value::Scalar(text, Style::Plain) if text == "true" => Some(true),
            Value::Scalar(text, Style::Plain) if text == "false" => Some(false),
            Value::Scalar(..) | Value::Map(_) | Value::List(_) | Value::Refused => {
                self.wanted(node, "`true` or `false`")
            }
        }
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let help = match nearest(text, &words) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("write {}", listed(&words)),
        };
        self.found.error_with_help(&node.place, format!("`{text}` is not a value of {}", owner_of(node)), help);
        None
    }

    pub(crate) fn count(&mut self, node: &Node) -> Option<usize> {
        match &node.value {
            Value::Scalar(text, Style::Plain) if decimal(text).is_some() => decimal(text),
            _ => self.wanted(node, "a plain decimal number"),
        }
    }

    pub(crate) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let value = scalar(node).and_then(parse_duration);
        if value.is_some() {
            value
        } else {
            self.wanted(node, "a duration such as `250ms`, `30s`, `5m`, `2h` or `90d`")
        }
    }

    pub(crate) fn size(&mut self, node: &Node) -> Option<u64> {
        let value = scalar(node).and_then(parse_size);
        if value.is_some() { value } else { self.wanted(node, "a size such as `512B`, `64KiB`, `1MiB` or `5GiB`") }
    }

    /// An end: RFC 3339 in UTC. A local offset would make two readers disagree about the day.
    pub(crate) fn timestamp(&mut self, node: &Node) -> Option<Timestamp> {
        let value = scalar(node).filter(|text| text.ends_with('Z')).and_then(|text| text.parse().ok());
        if value.is_some() { value } else { self.wanted(node, "a time such as \"2027-01-31T00:00:00Z\"") }
    }

    /// A regular file that can be opened now.
    pub(crate) fn file(&mut self, node: &Node) -> Option<Located<PathBuf>> {
        let path = self.path(node)?;
        let trouble = match fs::metadata(&path) {
            Err(error) => Some(why(&error)),
            Ok(found) if !found.is_file() => Some("it is not a regular file".to_owned()),
            Ok(_) => File::open(&path).err().map(|error| why(&error)),
        };
        self.usable(node, path, trouble)
    }

    /// A directory that can be listed now; `file` says what is wrong with a file in its place.
    pub(crate) fn directory(&mut self, node: &Node, file: &str) -> Option<Located<PathBuf>> {
        let path = self.path(node)?;
        let trouble = match fs::metadata(&path) {
            Err(error) => Some(why(&error)),
            Ok(found) if found.is_file() => Some(file.to_owned()),
            Ok(_) => fs::read_dir(&path).err().map(|error| why(&error)),
        };
        self.usable(node, path, trouble)
    }

    /// A directory that can be listed now, or could be made: the nearest thing above it that is there is a directory.
    pub(crate) fn directory_to_be(&mut self, node: &Node) -> Option<Located<PathBuf>> {
        let path = self.path(node)?;
        let trouble = match fs::metadata(&path) {
            Ok(found) if found.is_dir() => fs::read_dir(&path).err().map(|error| why(&error)),
            Ok(_) => Some("it is not a directory".to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let above = path.ancestors().skip(1).find(|above| above.exists());
                above.filter(|above| !above.is_dir()).map(|above| format!("`{}` is not a directory", above.display()))
            }
            Err(error) => Some(why(&error)),
        };
        self.usable(node, path, trouble)
    }

    /// A regular file, or nothing yet in a directory that is there.
    pub(crate) fn file_to_be(&mut self, node: &Node) -> Option<Located<PathBuf>> {
        let path = self.path(node)?;
        let trouble = match fs::metadata(&path) {
            Ok(found) if found.is_file() => None,
            Ok(_) => Some("it is not a regular file".to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                // The parent of a bare name is empty, and stands for the current directory.
                let directory = path.parent().is_some_and(|above| above == Path::new("") || above.is_dir());
                (!directory).then(|| "its directory is not there".to_owned())
            }
            Err(error) => Some(why(&error)),
        };
        self.usable(node, path, trouble)
    }

    pub(crate) fn twice(&mut self, node: &Node, what: &str) {
        self.found.error(&node.place, format!("{what} is given twice"));
    }

    /// A path, whatever is there.
    pub(crate) fn path(&mut self, node: &Node) -> Option<PathBuf> {
        let text = self.text(node)?;
        if text.is_empty() {
            return self.wanted(node, "a path");
        }
        Some(self.directory.join(text))
    }

    fn usable(&mut self, node: &Node, path: PathBuf, trouble: Option<String>) -> Option<Located<PathBuf>> {
        match trouble {
            None => Some(Located { value: path, place: Some(node.place.clone()) }),
            Some(trouble) => {
                let message = format!("{} names `{}`, which cannot be used: {trouble}", owner_of(node), path.display());
                self.found.error(&node.place, message);
                None
            }
        }
    }

    /// Say what was wanted in place of `node`, unless it was reported already.
    fn wanted<T>(&mut self, node: &Node, what: &str) -> Option<T> {
        let seen = match &node.value {
            Value::Refused => return None,
            Value::Map(_) => "a mapping".to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Scalar(text, Style::Plain) if text.is_empty() => "empty".to_owned(),
            Value::Scalar(text, Style::Plain) => format!("`{text}`"),
            Value::Scalar(text, Style::Quoted) => format!("the text `{text}`"),
        };
        self.found.error(&node.place, format!("{} is {seen}, not {what}", owner_of(node)));
        None
    }
}

/// Nothing where the key is absent, and no answer at all where its value is wrong.
pub(crate) fn optional<T>(
    entry: Option<&Entry>,
    reading: &mut Reading<'_>,
    convert: impl FnOnce(&Node, &mut Reading<'_>) -> Option<T>,
) -> Option<Option<T>> {
    match entry {
        None => Some(None),
        Some(entry) => convert(&entry.node, reading).map(Some),
    }
}

/// A list with something in it and nothing in it twice.
pub(crate) fn each_once<T: PartialEq>(
    node: &Node,
    reading: &mut Reading<'_>,
    convert: impl Fn(&Node, &mut Reading<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let items = reading.filled_list(node)?;
    let mut values = Vec::new();
    for item in items {
        let Some(value) = convert(item, reading) else { continue };
        if values.contains(&value) {
            reading.twice(item, "the same value");
        }
        values.push(value);
    }
    (values.len() == items.len()).then_some(values)
}

/// Whole text of a file that a user wrote, at most `limit` bytes of UTF-8.
pub(crate) fn read_text(path: &Path, limit: usize) -> Result<String, Problems> {
    let refused = |message: String| Problems::from(Problem::of_file(path, message));
    let cannot = |error: std::io::Error| refused(format!("cannot read the file: {}", why(&error)));
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err(refused("it is not a regular file".to_owned()));
    }
    let file = File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() > limit {
        return Err(refused(format!("the file is longer than {limit} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| refused("the file is not UTF-8 text".to_owned()))
}

/// The operating system's words, without Rust's error number and in our case.
pub(crate) fn why(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    text.to_lowercase()
}

pub(crate) fn owner_of(node: &Node) -> String {
    match node.place.key() {
        "" => "the file".to_owned(),
        key => format!("`{key}`"),
    }
}

pub(crate) fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

fn scalar(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text, _) => Some(text),
        Value::Map(_) | Value::List(_) | Value::Refused => None,
    }
}
