//! Squid's configuration: `acl` lists, and `http_access` lines of which the first that fits decides.
//!
//! An order of lines becomes sets: an allow is what its line asks and no deny above it does. A deny above every allow is a
//! guardrail, where it does not merely say which hosts, ports or clients the allows are for. A deny that is not
//! understood counts as one that always fits.

mod acls;

mod access;

mod lines;

use super::draft::Draft;
use super::told::{Spot, Told};
use super::{Imported, Options, write};
use crate::source::SourceFile;
use access::{Access, Line};
use acls::Acls;
use lines::Word;

/// Where the files are that a configuration names: the name as written, and the file that names it.
pub type Reader<'r> = &'r dyn Fn(&str, &str) -> Result<Vec<SourceFile>, String>;

/// Import a configuration. It is read line by line, so that nothing in it is an error: what is not understood is told.
pub fn squid(file: &SourceFile, reader: Reader<'_>, options: &Options) -> Imported {
    let mut import = Import { reader, told: Vec::new(), acls: Acls::new(), lines: Vec::new(), passed_over: Vec::new() };
    import.file(file, 0);
    let Import { mut told, acls, lines, passed_over, .. } = import;
    if let Some((first, spot)) = passed_over.first() {
        let mut names: Vec<&str> = passed_over.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let why =
            format!("from `{first}` on, {} directives are no access rules: {}", passed_over.len(), names.join(", "));
        told.push(spot.note(why, "nothing: they say nothing of who may go where"));
    }
    let mut draft = Draft::new("squid");
    Access { options, acls: &acls, told: &mut told, draft: &mut draft }.carry(&lines);
    let files = write::files(&draft, options);
    Imported::of(files, draft.rules(), told)
}

struct Import<'a> {
    reader: Reader<'a>,
    told: Vec<Told>,
    acls: Acls,
    lines: Vec<Line>,
    passed_over: Vec<(String, Spot)>,
}

/// How deep files may name files, and how many access lines there may be.
const DEPTH_MAX: usize = 16;
const LINES_MAX: usize = 10_000;

/// Lists beside `http_access` that can refuse what it allows.
const FURTHER: [&str; 6] =
    ["http_access2", "adapted_http_access", "http_reply_access", "miss_access", "ssl_bump", "url_rewrite_program"];

impl Import<'_> {
    fn file(&mut self, file: &SourceFile, depth: usize) {
        for line in lines::of(file) {
            if self.lines.len() >= LINES_MAX {
                return self
                    .told
                    .push(line.spot.dropped("there are too many access lines to go on", "import the file in parts"));
            }
            self.line(&line, file, depth);
        }
    }

    fn line(&mut self, line: &lines::Directive, file: &SourceFile, depth: usize) {
        let words = &line.words;
        match line.name.as_str() {
            "acl" => self.acls.define(words, &line.spot, &mut |name| (self.reader)(&file.name, name), &mut self.told),
            "http_access" => match words.split_first() {
                Some((verb, rest)) if verb.text == "allow" => self.lines.push(Line::allow(rest, &line.spot)),
                Some((verb, rest)) if verb.text == "deny" => self.lines.push(Line::deny(rest, &line.spot)),
                Some(_) | None => self.poison(&line.spot, "neither `allow` nor `deny` stands here"),
            },
            "include" => self.include(words, file, &line.spot, depth),
            "if" | "elif" | "else" | "endif" => {
                self.poison(&line.spot, "conditions are not evaluated, so what holds below is not known")
            }
            "configuration_includes_quoted_values" if words.first().is_some_and(|word| word.text == "on") => {
                self.poison(&line.spot, "quoted values are read in the usual way only, as names of files");
            }
            name if FURTHER.contains(&name) => {
                let harmless = words.iter().map(|word| word.text.as_str()).eq(["allow", "all"])
                    || (name == "ssl_bump"
                        && words.first().is_some_and(|word| ["none", "splice", "peek"].contains(&word.text.as_str())));
                if harmless {
                    self.passed_over.push((name.to_owned(), line.spot.clone()));
                } else {
                    self.poison(
                        &line.spot,
                        &format!("`{name}` may refuse what `http_access` allows, and is not carried over"),
                    );
                }
            }
            name => self.passed_over.push((super::told::plain(name), line.spot.clone())),
        }
    }

    fn include(&mut self, words: &[Word], file: &SourceFile, spot: &Spot, depth: usize) {
        if depth >= DEPTH_MAX {
            return self.poison(spot, "files name one another too deeply");
        }
        for word in words {
            match (self.reader)(&file.name, &word.text) {
                Ok(files) => files.iter().for_each(|file| self.file(file, depth + 1)),
                Err(why) => self.poison(spot, &format!("the file cannot be read: {why}")),
            }
        }
    }

    /// Something that may deny whatever comes: nothing is allowed any more, from here on or, where it stands beside the
    /// list, at all.
    fn poison(&mut self, spot: &Spot, why: &str) {
        let beside = FURTHER.iter().any(|name| spot.text.starts_with(name));
        let line = Line::unknown(spot, why);
        if beside { self.lines.insert(0, line) } else { self.lines.push(line) }
    }
}
