//! Lines of a configuration: continued by a backslash, ended by a comment, split at blanks.

use super::super::told::Spot;
use crate::source::SourceFile;

/// One directive.
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) words: Vec<Word>,
    pub(super) spot: Spot,
}

/// A word, and whether it stood in quotation marks: then it names a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// The directives of a file.
pub(super) fn of(file: &SourceFile) -> Vec<Directive> {
    let text = String::from_utf8_lossy(&file.text);
    let mut directives = Vec::new();
    let mut held: Option<(usize, String)> = None;
    for (at, line) in text.lines().enumerate() {
        let (number, mut whole) = held.take().unwrap_or((at + 1, String::new()));
        if let Some(part) = line.strip_suffix('\\') {
            whole.push_str(part);
            whole.push(' ');
            held = Some((number, whole));
            continue;
        }
        whole.push_str(line);
        directives.extend(directive(file, number, &whole));
    }
    if let Some((number, whole)) = held {
        directives.extend(directive(file, number, &whole));
    }
    directives
}

fn directive(file: &SourceFile, number: usize, line: &str) -> Option<Directive> {
    let mut words = words(line);
    if words.is_empty() {
        return None;
    }
    let name = words.remove(0).text;
    Some(Directive { name, words, spot: Spot::new(&file.name, number, line) })
}

/// The words of a line up to a comment.
pub(super) fn words(line: &str) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (word, after) = match rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            Some((inner, after)) => (Word { text: inner.to_owned(), quoted: true }, after),
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                (Word { text: word.to_owned(), quoted: false }, after)
            }
        };
        words.push(word);
        rest = after.trim_start();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_split_and_end_at_comments() {
        let text =
            b"# nothing\nacl a port 1 \\\n  2 # two\n\nacl f dstdomain \"/x y\"\nhttp_access deny\tall\r\n".to_vec();
        let found = of(&SourceFile { name: "s".into(), text });
        let told: Vec<(u32, String)> = found
            .iter()
            .map(|d| (d.spot.line, d.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join("|")))
            .collect();
        assert_eq!(told, [(2, "a|port|1|2".into()), (5, "f|dstdomain|/x y".into()), (6, "deny|all".into())]);
        assert!(found[1].words[2].quoted && !found[1].words[1].quoted);
    }
}
