//! Names of files in an archive: those that mean the same file on every machine.

use std::collections::BTreeSet;

use gatepass_config::limits::Limits;

/// A tar header has 155 bytes for the directories and 100 for the rest.
const NAME_MAX: usize = 200;

/// What is wrong with the names of a bundle's files, if anything is; they come in their order.
pub(super) fn check<'n>(names: impl Iterator<Item = &'n str>, limits: &Limits) -> Result<(), String> {
    let (mut before, mut folded): (Option<&str>, BTreeSet<String>) = (None, BTreeSet::new());
    for (count, name) in names.enumerate() {
        if count == limits.bundle_files {
            return Err(format!("it holds more files than `limits.bundle_files`, {}", limits.bundle_files));
        }
        one(name, limits.bundle_depth).map_err(|why| format!("`{}`: {why}", name.escape_debug()))?;
        if before.is_some_and(|before| before >= name) {
            return Err(format!("`{name}` stands twice, or after a name that comes later"));
        }
        if !folded.insert(name.to_ascii_lowercase()) {
            return Err(format!("`{name}` differs from another name in upper and lower case alone"));
        }
        before = Some(name);
    }
    Ok(())
}

/// The rules for directories, which pass over what is hidden and has another ending, and one more: ASCII alone, since some
/// file systems take two spellings of `é` for one name.
fn one(name: &str, depth: usize) -> Result<(), &'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | ' ' | '@' | '/');
    if name.is_empty() || name.len() > NAME_MAX {
        return Err("a name in an archive has 1 to 200 bytes");
    }
    if !name.chars().all(plain) {
        return Err(
            "a name in an archive is made of ASCII letters, digits, `-`, `_`, `.`, `+`, `@` and spaces: rename it",
        );
    }
    let (folders, file) = name.rsplit_once('/').map_or((None, name), |(folders, file)| (Some(folders), file));
    let folders = || folders.into_iter().flat_map(|folders| folders.split('/'));
    if folders().chain([file]).any(|part| part.is_empty() || part.starts_with('.')) {
        return Err("a name in an archive has no empty or hidden part, is not absolute and does not lead upwards");
    }
    if folders().any(|folder| is_yaml(&folder.to_ascii_lowercase())) {
        return Err("it lies in a directory with the ending of a file");
    }
    if folders().count() > depth {
        return Err("it lies deeper than `limits.bundle_depth`");
    }
    if is_yaml(file) { Ok(()) } else { Err("a bundle holds `*.yaml` and `*.yml` files alone") }
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}
