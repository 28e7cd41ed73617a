//! Static tokens, kept as hashes: the file that `identity.tokens` names.

use std::collections::HashSet;
use std::path::Path;

use jiff::Timestamp;

use crate::listeners;
use crate::node::{self, Node, Value};
use crate::problem::{Excerpts, Findings, Problem, Problems};
use crate::reading::{self, Reading};

/// Bounds the memory that a mistaken path can take: some 30,000 tokens.
const FILE_MAX: usize = 4 * 1024 * 1024;

/// SHA-256 of nothing: what hashing an unset variable gives.
const OF_NOTHING: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// One static token. It may be expired; whoever checks a credential compares `expires` with the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Unique; the identity is `token:NAME`.
    pub name: String,
    /// SHA-256 of the token's bytes.
    pub sha256: [u8; 32],
    /// Valid while now is before this.
    pub expires: Timestamp,
}

/// Read a tokens file again, for a reload. Warnings come with the tokens.
pub fn read(path: &Path, now: Timestamp) -> Result<(Vec<Token>, Vec<Problem>), Problems> {
    let mut found = Findings::default();
    let tokens = read_into(path, now, &mut found);
    found.close(tokens, path)
}

pub(crate) fn read_into(path: &Path, now: Timestamp, found: &mut Findings) -> Option<Vec<Token>> {
    let text = match reading::read_text(path, FILE_MAX) {
        Ok(text) => text,
        Err(problems) => {
            problems.into_vec().into_iter().for_each(|problem| found.push(problem));
            return None;
        }
    };
    let before = found.count();
    // Somebody will put a token here instead of its hash, and logs are read by more people than this file.
    let root = node::parse(path, text, Excerpts::Withheld, found);
    if root.is_none() && found.count() == before {
        found.push(Problem::of_file(path, "the file is empty; write `[]` for no tokens"));
    }
    convert(&root?, &mut Reading { directory: Path::new("."), now, found })
}

pub(crate) fn convert(node: &Node, reading: &mut Reading<'_>) -> Option<Vec<Token>> {
    let items = reading.list(node)?;
    let mut names = HashSet::new();
    let mut hashes = HashSet::new();
    let mut tokens = Vec::new();
    for item in items {
        let Some(token) = token(item, reading) else { continue };
        if !names.insert(token.name.clone()) {
            reading.found.error(&item.place, format!("two tokens are called `{}`", token.name));
        }
        if !hashes.insert(token.sha256) {
            let message = format!("`{}` has the hash of another token: nobody could tell them apart", token.name);
            reading.found.error(&item.place, message);
        }
        tokens.push(token);
    }
    (tokens.len() == items.len()).then_some(tokens)
}

fn token(node: &Node, reading: &mut Reading<'_>) -> Option<Token> {
    let [name, sha256, expires] = reading.fields(node, ["name", "sha256", "expires"])?;
    let name = reading.required(node, name, "name").and_then(|node| listeners::name(node, reading));
    let sha256 = reading.required(node, sha256, "sha256").and_then(|node| hash(node, reading));
    let expires_at = reading.required(node, expires, "expires").and_then(|node| reading.timestamp(node));
    if let (Some(name), Some(end), Some(entry)) = (&name, expires_at, expires)
        && end <= reading.now
    {
        let help = "whoever presents it is refused; renew it, or take it out";
        reading.found.warning(&entry.node.place, format!("the token `{name}` expired on {end}"), help);
    }
    Some(Token { name: name?, sha256: sha256?, expires: expires_at? })
}

fn hash(node: &Node, reading: &mut Reading<'_>) -> Option<[u8; 32]> {
    hash_of(node, "`printf %s \"$TOKEN\" | sha256sum` prints it", reading)
}

/// `help` says how to make one.
pub(crate) fn hash_of(node: &Node, help: &str, reading: &mut Reading<'_>) -> Option<[u8; 32]> {
    // In whatever quotes: what is wrong with a hash is told without its text, which may be what it should hide.
    let bytes = match &node.value {
        Value::Scalar(text, _) => from_hex(text),
        Value::Map(_) | Value::List(_) | Value::Refused => None,
    };
    let Some(bytes) = bytes else {
        let message = format!("`{}` is not a SHA-256 hash: 64 hexadecimal digits", node.place.key());
        reading.found.error_with_help(&node.place, message, help);
        return None;
    };
    if Some(bytes) == from_hex(OF_NOTHING) {
        let message = format!("`{}` is the hash of the empty text, which everybody knows", node.place.key());
        reading.found.error(&node.place, message);
        return None;
    }
    Some(bytes)
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    let bytes: Option<Vec<u8>> = digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    /// A file, and each problem's message, line and column.
    type Case<'a> = (&'a str, &'a [(&'a str, usize, usize)]);

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaA";
    const B: &str = "00000000000000000000000000000000000000000000000000000000000000fb";

    fn now() -> Timestamp {
        "2027-01-01T00:00:00Z".parse().unwrap()
    }

    fn read_this(text: &str) -> Result<(Vec<Token>, Vec<Problem>), Problems> {
        let scratch = Scratch::new();
        read(&scratch.file("tokens.yaml", text), now())
    }

    #[test]
    fn tokens_load_and_an_expired_one_is_a_warning() {
        let text = format!(
            "- {{name: ci-runner, sha256: \"{A}\", expires: \"2027-01-31T00:00:00Z\"}}\n\
             - {{name: old, sha256: \"{B}\", expires: \"2027-01-01T00:00:00Z\"}}\n"
        );
        let (tokens, warnings) = read_this(&text).unwrap();
        assert_eq!(tokens.len(), 2);
        assert_eq!((tokens[0].name.as_str(), tokens[0].sha256), ("ci-runner", [0xaa; 32]));
        assert_eq!(tokens[1].sha256[31], 0xfb);
        assert_eq!(warnings.len(), 1);
        assert_eq!(warnings[0].message, "the token `old` expired on 2027-01-01T00:00:00Z");
        assert_eq!(warnings[0].position.as_ref().map(|at| (at.line, at.column)), Some((2, 100)));
        assert_eq!(read_this("[]\n").unwrap().0, []);
    }

    #[test]
    fn every_fault_of_a_tokens_file_is_told_with_its_place_and_no_line_of_it_is_repeated() {
        let end = "\"2027-06-01T00:00:00Z\"";
        let cases: &[Case<'_>] = &[
            ("", &[("the file is empty; write `[]` for no tokens", 0, 0)]),
            ("a: b", &[("the file is a mapping, not a list", 1, 1)]),
            ("- {name: a}", &[("`[0]` has no `sha256`", 1, 3), ("`[0]` has no `expires`", 1, 3)]),
            (
                &format!("- {{name: a, token: hunter2, sha256: \"{A}\", expires: {end}}}"),
                &[("`token` is not a key of `[0]`", 1, 13)],
            ),
            (
                &format!(
                    "- {{name: a, sha256: \"{B}\", expires: {end}}}\n- {{name: a, sha256: \"{B}\", expires: {end}}}"
                ),
                &[
                    ("two tokens are called `a`", 2, 3),
                    ("`a` has the hash of another token: nobody could tell them apart", 2, 3),
                ],
            ),
            (
                &format!("- {{name: a, sha256: hunter2, expires: {end}}}"),
                &[("`[0].sha256` is not a SHA-256 hash: 64 hexadecimal digits", 1, 21)],
            ),
            (
                &format!("- {{name: a, sha256: \"{OF_NOTHING}\", expires: {end}}}"),
                &[("`[0].sha256` is the hash of the empty text, which everybody knows", 1, 21)],
            ),
            (
                &format!("- {{name: \"a:b\", sha256: \"{A}\", expires: \"2027-06-01\"}}"),
                &[
                    ("`a:b` is not a name of 1 to 64 letters, digits, `-`, `_` and `.`", 1, 10),
                    ("`[0].expires` is the text `2027-06-01`, not a time such as \"2027-01-31T00:00:00Z\"", 1, 102),
                ],
            ),
        ];
        for (text, wanted) in cases {
            let problems = read_this(text).unwrap_err();
            let seen: Vec<(&str, usize, usize)> = problems
                .iter()
                .map(|p| (p.message.as_str(), p.position.as_ref().map_or((0, 0), |at| (at.line, at.column))))
                .map(|(message, (line, column))| (message, line, column))
                .collect();
            assert_eq!(&seen, wanted, "{text}");
            assert!(!problems.to_string().contains("hunter2"), "{problems}");
        }
    }

    #[test]
    fn a_tokens_file_that_is_not_there_is_an_error() {
        let scratch = Scratch::new();
        let problems = read(&scratch.path().join("gone.yaml"), now()).unwrap_err();
        assert!(problems.to_string().starts_with("error: cannot read the file: no such file or directory\n"));
    }
}
