//! The files of a bundle directory, read whole or not at all.
//!
//! A bundle is every `*.yaml` and `*.yml` below the directory, in the order of their names; other files (a README, an
//! editor's backup) are not part of it. What would be left out by accident is an error instead, because a deny that is
//! not read is an open door: a hidden file, an ending in capitals, a directory or a device with a file's ending.
//!
//! Links are followed to files and directories as long as they stay below the directory's real path, which is what a
//! Kubernetes ConfigMap needs: `team.yaml -> ..data/team.yaml`, and `..data` a link to a hidden directory that changes
//! at once. Hidden directories themselves are passed over: `..data` would bring each file twice, and `.git` none that
//! counts. The real path is taken once, so a directory that is swapped while it is read is seen as changed.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gatepass_policy::source::SourceFile;

use crate::limits::Limits;
use crate::problem::{Findings, Problem, Problems};
use crate::reading::why;

/// How many entries a directory may hold for each file that a bundle may have: a bundle named by mistake as `/` ends here.
const OTHERS: usize = 8;

/// Read the bundle in `directory`, at most `bundle_files`, `bundle_file_bytes`, `bundle_bytes` and `bundle_depth` of it.
///
/// A file that vanishes or changes meanwhile is a problem; the caller tries again when the directory has come to rest.
pub fn read(directory: &Path, limits: &Limits) -> Result<Vec<SourceFile>, Problems> {
    let root = directory.canonicalize().map_err(|error| unreadable(directory, &error))?;
    let mut walk = Walk { root: &root, limits, files: BTreeMap::new(), found: Findings::default(), seen: 0 };
    walk.directory(&root, "", limits.bundle_depth);
    let Walk { files, mut found, .. } = walk;
    if files.is_empty() && found.count() == 0 {
        found.push(Problem::of_file(directory, "the bundle has no `*.yaml` file"));
    }
    let mut sources = Vec::new();
    let mut left = limits.bundle_bytes;
    for (name, path) in &files {
        match contents(path, limits.bundle_file_bytes.min(left)) {
            Ok(text) => {
                left = left.saturating_sub(text.len());
                sources.push(SourceFile { name: name.clone(), text });
            }
            Err(Refused::TooLong) if left < limits.bundle_file_bytes => {
                let message = format!("the bundle is longer than `limits.bundle_bytes`, {} bytes", limits.bundle_bytes);
                found.push(Problem::of_file(directory, message));
                break;
            }
            Err(refused) => found.push(refused.problem(path, limits)),
        }
    }
    // A ConfigMap swaps all its files at once: half of the old and half of the new would be nobody's policy.
    let moved = |(name, path): &(&String, &PathBuf)| directory.join(name).canonicalize().ok().as_ref() != Some(path);
    if files.iter().any(|file| moved(&file)) {
        found.push(Refused::Changed.problem(directory, limits));
    }
    found.close(Some(sources), directory).map(|(sources, _)| sources)
}

/// Why the bytes of a file cannot be had.
enum Refused {
    TooLong,
    Changed,
    Io(std::io::Error),
}

impl Refused {
    fn problem(&self, path: &Path, limits: &Limits) -> Problem {
        match self {
            Refused::TooLong => {
                let most = limits.bundle_file_bytes;
                Problem::of_file(path, format!("the file is longer than `limits.bundle_file_bytes`, {most} bytes"))
            }
            Refused::Changed => Problem::of_file(path, "it changed while it was read"),
            Refused::Io(error) => unreadable(path, error),
        }
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::of_file(path, format!("cannot read it: {}", why(error)))
}

fn contents(path: &Path, most: usize) -> Result<Vec<u8>, Refused> {
    let file = File::open(path).map_err(Refused::Io)?;
    let before = stamp(&file.metadata().map_err(Refused::Io)?);
    let mut text = Vec::new();
    (&file).take(most as u64 + 1).read_to_end(&mut text).map_err(Refused::Io)?;
    if text.len() > most {
        return Err(Refused::TooLong);
    }
    let after = stamp(&file.metadata().map_err(Refused::Io)?);
    // By the path again: an editor, or a ConfigMap, puts another file in its place.
    let named = stamp(&fs::metadata(path).map_err(Refused::Io)?);
    if before != after || before != named || before.0 != text.len() as u64 {
        return Err(Refused::Changed);
    }
    Ok(text)
}

fn stamp(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}

struct Walk<'a> {
    root: &'a Path,
    limits: &'a Limits,
    /// By name, so that the order is the same on every machine; the path is the real one.
    files: BTreeMap<String, PathBuf>,
    found: Findings,
    /// Entries looked at, of whatever kind.
    seen: usize,
}

/// What a name says about a file before it is looked at.
enum Ending {
    Yaml,
    /// Meant as YAML, and spelled so that it would be overlooked.
    Almost,
    Other,
}

impl Walk<'_> {
    /// Take in the directory at the real path `path`, known as `prefix` within the bundle.
    fn directory(&mut self, path: &Path, prefix: &str, deeper: usize) {
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => return self.found.push(unreadable(path, &error)),
        };
        for entry in entries {
            self.seen += 1;
            if self.is_full() {
                return;
            }
            match entry {
                Err(error) => self.found.push(unreadable(path, &error)),
                Ok(entry) => match entry.file_name().to_str() {
                    Some(name) => self.entry(&entry.path(), name, prefix, deeper),
                    None => self.error(&entry.path(), "its name is not UTF-8"),
                },
            }
        }
    }

    fn entry(&mut self, path: &Path, name: &str, prefix: &str, deeper: usize) {
        let ending = ending(name);
        if name.starts_with('.') {
            // `.#x.yaml` is the lock that Emacs puts beside a file while it is edited, a link to nowhere.
            let hidden_file = !path.is_dir() && !name.starts_with(".#");
            if hidden_file && !matches!(ending, Ending::Other) {
                self.error(path, "a hidden file is not read: rename it, or move it out of the bundle");
            }
            return;
        }
        let real = match path.canonicalize() {
            Ok(real) => real,
            Err(error) => return self.found.push(unreadable(path, &error)),
        };
        let metadata = match fs::metadata(&real) {
            Ok(metadata) => metadata,
            Err(error) => return self.found.push(unreadable(path, &error)),
        };
        if !real.starts_with(self.root) {
            if metadata.is_dir() || !matches!(ending, Ending::Other) {
                self.error(path, format!("it leads out of the bundle, to `{}`", real.display()));
            }
            return;
        }
        match (metadata.is_dir(), ending) {
            (true, Ending::Yaml | Ending::Almost) => self.error(path, "it is a directory with the ending of a file"),
            (true, Ending::Other) => self.below(path, &real, &format!("{prefix}{name}/"), deeper),
            (false, Ending::Almost) => self.error(path, "write the ending in lower case"),
            (false, Ending::Yaml) if !metadata.is_file() => self.error(path, "it is not a regular file"),
            (false, Ending::Yaml) => self.file(format!("{prefix}{name}"), real),
            (false, Ending::Other) => {}
        }
    }

    fn below(&mut self, path: &Path, real: &Path, prefix: &str, deeper: usize) {
        // A link to a directory that holds it would be walked until the depth is used up.
        let loops =
            path.parent().and_then(|parent| parent.canonicalize().ok()).is_none_or(|from| from.starts_with(real));
        if loops {
            return self.error(path, "it leads back to a directory that holds it");
        }
        match deeper.checked_sub(1) {
            Some(deeper) => self.directory(real, prefix, deeper),
            None => {
                let most = self.limits.bundle_depth;
                self.error(path, format!("it lies deeper than `limits.bundle_depth`, {most} directories"));
            }
        }
    }

    fn file(&mut self, name: String, real: PathBuf) {
        self.files.insert(name, real);
        if self.files.len() > self.limits.bundle_files {
            let most = self.limits.bundle_files;
            self.error(self.root, format!("the bundle has more files than `limits.bundle_files`, {most}"));
        }
    }

    /// Whether to stop walking: too many files, or a directory that is no bundle.
    fn is_full(&mut self) -> bool {
        let most = self.limits.bundle_files.saturating_mul(OTHERS);
        if self.seen == most.saturating_add(1) {
            self.error(self.root, format!("the directory holds more than {most} entries; is it the bundle?"));
        }
        self.files.len() > self.limits.bundle_files || self.seen > most
    }

    fn error(&mut self, path: &Path, message: impl Into<String>) {
        self.found.push(Problem::of_file(path, message));
    }
}

fn ending(name: &str) -> Ending {
    match Path::new(name).extension().and_then(|ending| ending.to_str()) {
        Some("yaml" | "yml") => Ending::Yaml,
        Some(other) if other.eq_ignore_ascii_case("yaml") || other.eq_ignore_ascii_case("yml") => Ending::Almost,
        Some(_) | None if name == ".yaml" || name == ".yml" => Ending::Almost,
        Some(_) | None => Ending::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn names(scratch: &Scratch, directory: &str) -> Vec<String> {
        let files = read(&scratch.path().join(directory), &Limits::default()).unwrap();
        files.into_iter().map(|file| file.name).collect()
    }

    fn told(scratch: &Scratch, directory: &str, limits: &Limits) -> Vec<String> {
        let problems = read(&scratch.path().join(directory), limits).unwrap_err();
        let here = format!("{}/", scratch.path().display());
        let line = |problem: &Problem| format!("{}: {}", problem.file.display(), problem.message).replace(&here, "");
        problems.iter().map(line).collect()
    }

    #[test]
    fn every_yaml_file_below_the_directory_is_read_in_the_order_of_names() {
        let scratch = Scratch::new();
        for name in ["b/z.yaml", "b/a.yml", "a.yaml", "b.yaml", "b/c/deep.yaml", "README.md", "a.yaml~", ".git/x.yaml"]
        {
            scratch.file(&format!("bundle/{name}"), name);
        }
        let files = read(&scratch.path().join("bundle"), &Limits::default()).unwrap();
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a.yaml", "b.yaml", "b/a.yml", "b/c/deep.yaml", "b/z.yaml"]);
        assert!(files.iter().all(|file| file.text == file.name.as_bytes()));
    }

    #[test]
    fn a_config_map_is_read_once_through_its_links() {
        let scratch = Scratch::new();
        scratch.file("bundle/..2027_01_01/bundle.yaml", "one");
        scratch.file("bundle/..2027_01_01/teams/a.yaml", "two");
        scratch.link("bundle/..data", "..2027_01_01");
        scratch.link("bundle/bundle.yaml", "..data/bundle.yaml");
        scratch.link("bundle/teams", "..data/teams");
        assert_eq!(names(&scratch, "bundle"), ["bundle.yaml", "teams/a.yaml"]);
        scratch.link("current", "bundle");
        assert_eq!(names(&scratch, "current"), ["bundle.yaml", "teams/a.yaml"]);
    }

    #[test]
    fn a_link_that_leads_out_of_the_bundle_is_refused() {
        let scratch = Scratch::new();
        let outside = scratch.file("secret.yaml", "").display().to_string();
        scratch.file("bundle/a.yaml", "");
        scratch.link("bundle/b.yaml", "../secret.yaml");
        scratch.link("bundle/c.yaml", &outside);
        scratch.file("elsewhere/d.yaml", "");
        scratch.link("bundle/d", "../elsewhere");
        scratch.link("bundle/e.md", "../secret.yaml");
        assert_eq!(
            told(&scratch, "bundle", &Limits::default()),
            [
                "bundle/b.yaml: it leads out of the bundle, to `secret.yaml`",
                "bundle/c.yaml: it leads out of the bundle, to `secret.yaml`",
                "bundle/d: it leads out of the bundle, to `elsewhere`",
            ]
        );
    }

    #[test]
    fn what_would_be_left_out_by_accident_is_a_problem() {
        let scratch = Scratch::new();
        scratch.file("bundle/a.yaml", "");
        scratch.file("bundle/.deny.yaml", "");
        scratch.file("bundle/.yaml", "");
        scratch.file("bundle/deny.YAML", "");
        scratch.file("bundle/deny.yaml/x.md", "");
        scratch.link("bundle/gone.yaml", "nowhere.yaml");
        scratch.link("bundle/.#a.yaml", "user@host.1234");
        scratch.link("bundle/loop", ".");
        let _socket = std::os::unix::net::UnixListener::bind(scratch.path().join("bundle/socket.yaml")).unwrap();
        assert_eq!(
            told(&scratch, "bundle", &Limits::default()),
            [
                "bundle/.deny.yaml: a hidden file is not read: rename it, or move it out of the bundle",
                "bundle/.yaml: a hidden file is not read: rename it, or move it out of the bundle",
                "bundle/deny.YAML: write the ending in lower case",
                "bundle/deny.yaml: it is a directory with the ending of a file",
                "bundle/gone.yaml: cannot read it: no such file or directory",
                "bundle/loop: it leads back to a directory that holds it",
                "bundle/socket.yaml: it is not a regular file",
            ]
        );
    }

    #[test]
    fn every_bound_refuses_the_whole_bundle() {
        let scratch = Scratch::new();
        scratch.file("bundle/a.yaml", "12345");
        scratch.file("bundle/b/b.yaml", "1234");
        let limits =
            Limits { bundle_files: 2, bundle_file_bytes: 5, bundle_bytes: 9, bundle_depth: 1, ..Limits::default() };
        assert_eq!(read(&scratch.path().join("bundle"), &limits).unwrap().len(), 2);
        let check = |limits: Limits, wanted: &str| assert_eq!(told(&scratch, "bundle", &limits), [wanted]);
        check(
            Limits { bundle_files: 1, ..limits.clone() },
            "bundle: the bundle has more files than `limits.bundle_files`, 1",
        );
        check(
            Limits { bundle_file_bytes: 4, ..limits.clone() },
            "bundle/a.yaml: the file is longer than `limits.bundle_file_bytes`, 4 bytes",
        );
        check(
            Limits { bundle_bytes: 8, ..limits.clone() },
            "bundle: the bundle is longer than `limits.bundle_bytes`, 8 bytes",
        );
        check(
            Limits { bundle_depth: 0, ..limits.clone() },
            "bundle/b: it lies deeper than `limits.bundle_depth`, 0 directories",
        );
        for number in 0..20 {
            scratch.file(&format!("bundle/{number}.md"), "");
        }
        check(limits, "bundle: the directory holds more than 16 entries; is it the bundle?");
    }

    #[test]
    fn a_bundle_without_files_or_without_a_directory_is_a_problem() {
        let scratch = Scratch::new();
        scratch.file("bundle/README.md", "");
        assert_eq!(told(&scratch, "bundle", &Limits::default()), ["bundle: the bundle has no `*.yaml` file"]);
        assert_eq!(told(&scratch, "gone", &Limits::default()), ["gone: cannot read it: no such file or directory"]);
        let told = told(&scratch, "bundle/README.md", &Limits::default());
        assert_eq!(told, ["bundle/README.md: cannot read it: not a directory"]);
    }
}
