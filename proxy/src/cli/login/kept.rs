//! The tokens of `gatepass login`: one file of the user's own, a token for each gateway.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;

use serde_json::{Map, Value};

/// The token for this gateway, if there is one.
pub fn token(admin: &str) -> Option<String> {
    let all = read(&file().ok()?).ok()?;
    all.get(key(admin)).and_then(Value::as_str).map(str::to_owned)
}

/// Keep this token for this gateway; where it is kept.
pub fn keep(admin: &str, token: &str) -> Result<PathBuf, String> {
    let file = file()?;
    let mut all = read(&file)?;
    all.insert(key(admin).to_owned(), token.into());
    write(&file, &all)?;
    Ok(file)
}

/// Keep none for this gateway.
pub fn forget(admin: &str) -> Result<(), String> {
    let file = file()?;
    let mut all = read(&file)?;
    match all.remove(key(admin)) {
        Some(_) => write(&file, &all),
        None => Ok(()),
    }
}

fn key(admin: &str) -> &str {
    admin.trim_end_matches('/')
}

fn file() -> Result<PathBuf, String> {
    let there = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let directory = there("XDG_CONFIG_HOME").or_else(|| there("HOME").map(|home| home.join(".config")));
    let directory = directory.ok_or("neither XDG_CONFIG_HOME nor HOME says where to keep a token")?;
    Ok(directory.join("gatepass").join("logins.json"))
}

fn read(file: &PathBuf) -> Result<Map<String, Value>, String> {
    let told = |error: &dyn std::fmt::Display| format!("`{}`: {error}", file.display());
    match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(error) => return Err(told(&error)),
        // Somebody else may have read it, or put a token of their own there.
        Ok(found) if found.mode() & 0o077 != 0 => return Err(told(&"others may read it: remove it, and log in again")),
        Ok(_) => {}
    }
    let text = fs::read_to_string(file).map_err(|error| told(&error))?;
    serde_json::from_str(&text).map_err(|_| told(&"it is not what `gatepass login` writes: remove it"))
}

/// As a whole, and the user's alone from the first moment.
fn write(file: &PathBuf, all: &Map<String, Value>) -> Result<(), String> {
    let directory = crate::reload::directory_of(file);
    let fresh = directory.join(format!(".logins.json.{}", std::process::id()));
    let written = DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&directory)
        .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh))
        .and_then(|mut file| file.write_all(Value::Object(all.clone()).to_string().as_bytes()))
        .and_then(|()| fs::rename(&fresh, file));
    written.map_err(|error| {
        let _ = fs::remove_file(&fresh);
        format!("`{}`: {error}", file.display())
    })
}
