//! The words of an expression: where each one stands, and the bounds that hold before any parser sees the text.

use std::ops::Range;

use super::ExprProblem;

/// Longest text in bytes. A rule that needs more wants to be several rules.
const BYTES_MAX: usize = 4096;
/// Most names, literals and operators. It bounds every chain (`a.b.b…`, `- - -…`, `? : ? :`) and so every recursion.
pub(super) const NODES_MAX: usize = 256;
/// Deepest nesting of brackets.
const DEPTH_MAX: usize = 24;

/// What a token is to the bounds and to the ranges; the grammar is the parser's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, of whatever.
    Name,
    /// A number, text, `true`, `false` or `null`.
    Literal,
    /// An operator, `in` and `?` among them.
    Operator,
    /// An opening bracket.
    Open,
    /// A closing bracket.
    Close,
    /// `.`, `,` or `:`.
    Mark,
}

/// One token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
    /// For a bracket, the index of the token that closes or opens it.
    pub(super) partner: usize,
}

/// All tokens of one text.
#[derive(Debug)]
pub(super) struct Tokens<'t> {
    pub(super) text: &'t str,
    list: Vec<Token>,
    /// Deepest nesting of brackets.
    pub(super) depth: usize,
}

impl<'t> Tokens<'t> {
    /// Split `text`, or say what breaks a bound or belongs to no expression.
    pub(super) fn scan(text: &'t str) -> Result<Tokens<'t>, Vec<ExprProblem>> {
        if text.len() > BYTES_MAX {
            let message = format!("the expression has {} bytes; at most {BYTES_MAX} are allowed", text.len());
            return Err(vec![problem(0..text.len(), message, Some("split it into several rules"))]);
        }
        let mut tokens = Tokens { text, list: Vec::new(), depth: 0 };
        let mut problems = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut nodes = 0;
        let mut at = 0;
        while let Some((kind, range)) = next(text, at, &mut problems) {
            at = range.end;
            let index = tokens.list.len();
            let mut partner = index;
            match kind {
                Kind::Name | Kind::Literal | Kind::Operator => nodes += 1,
                Kind::Mark => {}
                Kind::Open => {
                    open.push(index);
                    tokens.depth = tokens.depth.max(open.len());
                }
                Kind::Close => match open.pop() {
                    Some(opened) => {
                        partner = opened;
                        if let Some(token) = tokens.list.get_mut(opened) {
                            token.partner = index;
                        }
                    }
                    None => problems.push(problem(range.clone(), "this bracket closes nothing".to_owned(), None)),
                },
            }
            tokens.list.push(Token { kind, start: range.start, end: range.end, partner });
        }
        problems.extend(
            open.iter()
                .filter_map(|index| tokens.get(*index))
                .map(|token| problem(token.start..token.end, "this bracket is never closed".to_owned(), None)),
        );
        if tokens.depth > DEPTH_MAX {
            let message = format!("brackets are nested {} deep; at most {DEPTH_MAX} are allowed", tokens.depth);
            problems = vec![problem(0..text.len(), message, None)];
        } else if nodes > NODES_MAX {
            let message =
                format!("the expression has {nodes} names, literals and operators; at most {NODES_MAX} are allowed");
            problems = vec![problem(0..text.len(), message, Some("split it into several rules"))];
        } else if tokens.list.is_empty() && problems.is_empty() {
            problems.push(problem(0..text.len(), "the expression is empty".to_owned(), None));
        }
        if problems.is_empty() { Ok(tokens) } else { Err(problems) }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The token of this index.
    pub(super) fn get(&self, index: usize) -> Option<Token> {
        self.list.get(index).copied()
    }

    /// The index of the token that begins at `start`.
    pub(super) fn at(&self, start: usize) -> Option<usize> {
        self.list.binary_search_by_key(&start, |token| token.start).ok()
    }

    /// The index of the token that covers or follows `position`.
    pub(super) fn near(&self, position: usize) -> usize {
        self.list.partition_point(|token| token.end <= position)
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: Token) -> &'t str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// `range` with the grouping brackets around it, which a tree does not keep.
    pub(super) fn with_brackets(&self, mut range: Range<usize>) -> Range<usize> {
        while let Some((before, after)) = self.around(&range) {
            let calls = before.checked_sub(1).and_then(|i| self.get(i)).is_some_and(|token| token.kind == Kind::Name);
            match (self.get(before), self.get(after)) {
                (Some(open), Some(close))
                    if !calls && open.kind == Kind::Open && open.partner == after && self.text_of(open) == "(" =>
                {
                    range = open.start..close.end;
                }
                _ => break,
            }
        }
        range
    }

    fn around(&self, range: &Range<usize>) -> Option<(usize, usize)> {
        Some((self.at(range.start)?.checked_sub(1)?, self.near(range.end)))
    }
}

fn problem(range: Range<usize>, message: String, help: Option<&str>) -> ExprProblem {
    ExprProblem { range, message, why: None, help: help.map(str::to_owned) }
}

/// The next token at or after `from`; what is not one is reported and passed over.
fn next(text: &str, from: usize, problems: &mut Vec<ExprProblem>) -> Option<(Kind, Range<usize>)> {
    let mut at = from;
    loop {
        let rest = text.get(at..)?;
        let first = rest.chars().next()?;
        let (kind, length) = match first {
            ' ' | '\t' | '\r' | '\n' | '\x0c' => {
                at += 1;
                continue;
            }
            '/' if rest.starts_with("//") => {
                at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            'a'..='z' | 'A'..='Z' | '_' => word(rest),
            '0'..='9' => (Kind::Literal, number(rest)),
            '"' | '\'' => (Kind::Literal, quoted(rest, 0, Escapes::Read)),
            '(' | '[' | '{' => (Kind::Open, Some(1)),
            ')' | ']' | '}' => (Kind::Close, Some(1)),
            '.' | ',' | ':' => (Kind::Mark, Some(1)),
            _ => (Kind::Operator, operator(rest)),
        };
        let end = at + length.unwrap_or(first.len_utf8());
        if length.is_some() {
            return Some((kind, at..end));
        }
        problems.push(stray(first, kind, at..end));
        at = if kind == Kind::Literal { text.len() } else { end };
    }
}

fn stray(first: char, kind: Kind, range: Range<usize>) -> ExprProblem {
    match (first, kind) {
        (_, Kind::Literal) => problem(range, "this text is never closed".to_owned(), None),
        ('=', _) => problem(range, "`=` compares nothing".to_owned(), Some("write `==`")),
        ('&', _) => problem(range, "`&` is no operator".to_owned(), Some("write `&&`")),
        ('|', _) => problem(range, "`|` is no operator".to_owned(), Some("write `||`")),
        _ => problem(range, format!("`{}` has no meaning here", first.escape_debug()), None),
    }
}

fn operator(rest: &str) -> Option<usize> {
    let known = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "+", "-", "*", "/", "%", "?"];
    known.iter().find(|known| rest.starts_with(**known)).map(|known| known.len())
}

fn number(rest: &str) -> Option<usize> {
    let mut previous = '0';
    let hexadecimal = rest.starts_with("0x");
    let end = rest.char_indices().find(|(at, c)| {
        let fraction = *c == '.' && rest.as_bytes().get(at + 1).is_some_and(u8::is_ascii_digit);
        let exponent = matches!(c, '+' | '-') && matches!(previous, 'e' | 'E') && !hexadecimal;
        previous = *c;
        !(c.is_ascii_alphanumeric() || *c == '_' || fraction || exponent)
    });
    Some(end.map_or(rest.len(), |(at, _)| at))
}

/// A name, a word of the language, or the prefix of a text (`r"…"`, `b"…"`).
fn word(rest: &str) -> (Kind, Option<usize>) {
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let (name, after) = rest.split_at(length);
    if after.starts_with(['"', '\'']) && matches!(name.to_ascii_lowercase().as_str(), "r" | "b" | "rb" | "br") {
        let escapes = if name.contains(['r', 'R']) { Escapes::Raw } else { Escapes::Read };
        return (Kind::Literal, quoted(rest, length, escapes));
    }
    let kind = match name {
        "true" | "false" | "null" => Kind::Literal,
        "in" => Kind::Operator,
        _ => Kind::Name,
    };
    (kind, Some(length))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Read,
    Raw,
}

/// Where the text ends whose first quote stands at `from`.
fn quoted(rest: &str, from: usize, escapes: Escapes) -> Option<usize> {
    let body = rest.get(from..)?;
    let quote = body.get(..1)?;
    let triple = quote.repeat(3);
    let mark = if body.starts_with(&triple) { triple.as_str() } else { quote };
    let mut at = from + mark.len();
    loop {
        let left = rest.get(at..)?;
        if left.starts_with(mark) {
            return Some(at + mark.len());
        }
        let mut chars = left.chars();
        let first = chars.next()?;
        at += first.len_utf8();
        if first == '\\' && escapes == Escapes::Read {
            at += chars.next()?.len_utf8();
        }
    }
}
