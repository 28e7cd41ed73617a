//! The wall: the only place that names the CEL crate. Its parser reads the text, and nothing of it gets out.
//!
//! The crate has two parsers. This is the ANTLR one: it is the crate's public and default parser, and the only one that
//! says where a node stands when parsing succeeds. `parser_pratt` is faster and needs less stack, but it is hidden from
//! the crate's documentation, drops all positions on success, and takes `!-x`, which CEL's grammar does not.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use cel::common::ast::{CallExpr, ComprehensionExpr, Expr as Cel, IdedExpr, LiteralValue, SourceInfo, operators};
use cel::parser::{ParseErrors, Parser};

use super::ExprProblem;
use super::syntax::{Binary, Kind, Node, Quantifier};
use super::tokens::{self, Tokens};

/// Stack of a parsing thread: eight times what the worst text within the bounds was seen to take without optimisation,
/// `[[[…` at 8 MiB. Only pages that are touched exist.
const STACK: usize = 64 * 1024 * 1024;
/// Texts no longer and no deeper than this are parsed where we stand: they were seen to take less than 1 MiB of stack
/// without optimisation, and the smallest default for a thread is 2 MiB. A thread for each would cost as much as parsing.
const SMALL_TOKENS: usize = 24;
const SMALL_DEPTH: usize = 1;
/// Syntax errors after which the parser gives up; the first is nearly always the cause of the others.
const RECOVERIES: u32 = 4;

/// Read a text within the bounds; on failure every problem that can be told apart.
pub(super) fn parse(text: &str) -> Result<Node, Vec<ExprProblem>> {
    let tokens = Tokens::scan(text)?;
    if tokens.len() <= SMALL_TOKENS && tokens.depth <= SMALL_DEPTH {
        return guarded(&tokens);
    }
    let tokens = &tokens;
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("expression".to_owned()).stack_size(STACK);
        match thread.spawn_scoped(scope, move || guarded(tokens)) {
            Ok(handle) => handle.join().unwrap_or_else(|_| Err(refused(text))),
            Err(_) => Err(vec![whole(text, "no thread could be started to read the expression".to_owned())]),
        }
    })
}

/// The parser is not ours: should it panic, that is an error in the text, not the end of the gateway.
fn guarded(tokens: &Tokens<'_>) -> Result<Node, Vec<ExprProblem>> {
    catch_unwind(AssertUnwindSafe(|| read(tokens))).unwrap_or_else(|_| Err(refused(tokens.text)))
}

fn refused(text: &str) -> Vec<ExprProblem> {
    vec![whole(text, "the expression cannot be read".to_owned())]
}

fn whole(text: &str, message: String) -> ExprProblem {
    ExprProblem { range: 0..text.len(), message, why: None, help: None }
}

fn read(tokens: &Tokens<'_>) -> Result<Node, Vec<ExprProblem>> {
    let depth = u16::try_from(tokens::NODES_MAX).unwrap_or(u16::MAX);
    let parser = Parser::new().max_recursion_depth(depth).error_recovery_limit(RECOVERIES);
    match parser.parse_with_source_info(tokens.text) {
        Ok((tree, places)) => Ok(Reader { tokens, places: &places }.node(&tree)),
        Err(errors) => Err(explained(tokens, &errors)),
    }
}

struct Reader<'a> {
    tokens: &'a Tokens<'a>,
    places: &'a SourceInfo,
}

impl Reader<'_> {
    fn node(&self, tree: &IdedExpr) -> Node {
        let place = self.token(tree);
        let own = self.range(place);
        match &tree.expr {
            Cel::Literal(value) => self.literal(value, place, own),
            Cel::Ident(name) => Node { kind: Kind::Name(name.clone()), range: own },
            Cel::Select(select) if select.test => {
                let kind = Kind::Has { of: Box::new(self.node(&select.operand)), field: select.field.clone() };
                Node { kind, range: self.call_range(place) }
            }
            Cel::Select(select) => {
                let of = self.node(&select.operand);
                let range = self.outer(&of).start..self.range(place + 1).end;
                Node { kind: Kind::Select { of: Box::new(of), field: select.field.clone() }, range }
            }
            Cel::Call(call) => self.call(call, place),
            Cel::Comprehension(comprehension) => self.comprehension(comprehension, place),
            Cel::List(list) => {
                let elements = list.elements.iter().map(|element| self.node(element)).collect();
                Node { kind: Kind::List(elements), range: self.bracketed(place) }
            }
            Cel::Map(_) => Node { kind: Kind::Foreign("a map literal"), range: self.bracketed(place) },
            Cel::Struct(_) => Node { kind: Kind::Foreign("a message literal"), range: self.bracketed(place) },
            Cel::Unspecified => Node { kind: Kind::Foreign("this"), range: own },
        }
    }

    /// The index of the token that a node was made at: an operator, an opening bracket, a name or a literal.
    fn token(&self, tree: &IdedExpr) -> usize {
        self.places.offset_for(tree.id).and_then(|(start, _)| self.tokens.at(start as usize)).unwrap_or(0)
    }

    fn range(&self, token: usize) -> Range<usize> {
        self.tokens.get(token).map_or(0..self.tokens.text.len(), |token| token.start..token.end)
    }

    /// From the bracket at `place` to its partner.
    fn bracketed(&self, place: usize) -> Range<usize> {
        let end = self.tokens.get(place).map_or(place, |token| token.partner);
        self.range(place).start..self.range(end).end
    }

    /// `name(…)` where the bracket stands at `place`.
    fn call_range(&self, place: usize) -> Range<usize> {
        self.range(place.saturating_sub(1)).start..self.bracketed(place).end
    }

    /// A node's range with the grouping brackets that the tree has lost.
    fn outer(&self, node: &Node) -> Range<usize> {
        self.tokens.with_brackets(node.range.clone())
    }

    fn literal(&self, value: &LiteralValue, place: usize, own: Range<usize>) -> Node {
        let kind = match value {
            LiteralValue::Boolean(value) => Kind::Bool(*value.inner()),
            LiteralValue::Int(value) => {
                // The place of a negative number is that of its digits.
                let sign = place.checked_sub(1).map(|before| self.range(before));
                let range = sign.filter(|_| *value.inner() < 0).map_or(own.clone(), |sign| sign.start..own.end);
                return Node { kind: Kind::Int(*value.inner()), range };
            }
            LiteralValue::String(value) => Kind::Text(value.inner().to_owned()),
            LiteralValue::Null => Kind::Null,
            LiteralValue::UInt(_) => Kind::Foreign("an unsigned number"),
            LiteralValue::Double(_) => Kind::Foreign("a number with a fraction"),
            LiteralValue::Bytes(_) => Kind::Foreign("a literal of bytes"),
        };
        Node { kind, range: own }
    }

    fn call(&self, call: &CallExpr, place: usize) -> Node {
        let mut arguments: Vec<Node> = call.args.iter().map(|argument| self.node(argument)).collect();
        if let Some(target) = &call.target {
            let target = self.node(target);
            let range = self.outer(&target).start..self.bracketed(place).end;
            return Node { kind: self.named(call, place, Some(Box::new(target)), arguments), range };
        }
        let from = arguments.first().map_or(0, |first| self.outer(first).start);
        let to = arguments.last().map_or(0, |last| self.outer(last).end);
        let own = self.range(place);
        match (call.func_name.as_str(), arguments.len()) {
            (operators::LOGICAL_AND, 2) => Node { kind: Kind::And(flat(arguments, Chain::And)), range: from..to },
            (operators::LOGICAL_OR, 2) => Node { kind: Kind::Or(flat(arguments, Chain::Or)), range: from..to },
            (operators::CONDITIONAL, 3) => match <[Node; 3]>::try_from(arguments) {
                Ok(parts) => {
                    let [condition, then, otherwise] = parts.map(Box::new);
                    Node { kind: Kind::If { condition, then, otherwise }, range: from..to }
                }
                Err(_) => Node { kind: Kind::Foreign("this"), range: from..to },
            },
            (name, 1) if name == operators::LOGICAL_NOT || name == operators::NEGATE => {
                let of = Box::new(arguments.remove(0));
                let kind = if name == operators::NEGATE { Kind::Negate(of) } else { Kind::Not(of) };
                Node { kind, range: own.start..to }
            }
            (name, 2) if name == operators::INDEX => {
                let key = Box::new(arguments.remove(1));
                let of = Box::new(arguments.remove(0));
                Node { kind: Kind::Index { of, key }, range: from..self.bracketed(place).end }
            }
            (name, 2) if name.contains(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.') => {
                let Some(operator) = binary(name) else {
                    return Node { kind: Kind::Foreign(foreign_operator(name)), range: from..to };
                };
                let right = Box::new(arguments.remove(1));
                let left = Box::new(arguments.remove(0));
                Node { kind: Kind::Binary { operator, left, right }, range: from..to }
            }
            _ => Node { kind: self.named(call, place, None, arguments), range: self.call_range(place) },
        }
    }

    fn named(&self, call: &CallExpr, place: usize, target: Option<Box<Node>>, arguments: Vec<Node>) -> Kind {
        let name_range = self.range(place.saturating_sub(1));
        Kind::Call { name: call.func_name.clone(), name_range, target, arguments }
    }

    /// The parser expands macros; the word before the bracket says which it was, the expansion where its body is.
    fn comprehension(&self, expanded: &ComprehensionExpr, place: usize) -> Node {
        let name = place.checked_sub(1).and_then(|before| self.tokens.get(before));
        let quantifier = match name.map(|token| self.tokens.text_of(token)) {
            Some("exists") => Some((Quantifier::Exists, 1)),
            Some("all") => Some((Quantifier::All, 1)),
            Some("exists_one" | "existsOne") => Some((Quantifier::ExistsOne, 0)),
            _ => None,
        };
        let over = self.node(&expanded.iter_range);
        let range = self.outer(&over).start..self.bracketed(place).end;
        let body = match (&expanded.loop_step.expr, quantifier) {
            (Cel::Call(step), Some((_, argument))) => step.args.get(argument),
            _ => None,
        };
        let kind = match (quantifier, body) {
            (Some((quantifier, _)), Some(body)) => Kind::Macro {
                quantifier,
                over: Box::new(over),
                variable: expanded.iter_var.clone(),
                body: Box::new(self.node(body)),
            },
            _ => Kind::Foreign("a macro that makes a list"),
        };
        Node { kind, range }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Chain {
    And,
    Or,
}

/// `a && b && c` arrives as a balanced tree; `&&` and `||` are associative, errors and unknowns included.
fn flat(nodes: Vec<Node>, chain: Chain) -> Vec<Node> {
    let mut out = Vec::with_capacity(nodes.len());
    for node in nodes {
        match (node.kind, chain) {
            (Kind::And(members), Chain::And) | (Kind::Or(members), Chain::Or) => out.extend(members),
            (kind, _) => out.push(Node { kind, range: node.range }),
        }
    }
    out
}

fn binary(name: &str) -> Option<Binary> {
    Some(match name {
        operators::EQUALS => Binary::Equal,
        operators::NOT_EQUALS => Binary::NotEqual,
        operators::LESS => Binary::Less,
        operators::LESS_EQUALS => Binary::LessOrEqual,
        operators::GREATER => Binary::Greater,
        operators::GREATER_EQUALS => Binary::GreaterOrEqual,
        operators::IN => Binary::In,
        operators::ADD => Binary::Add,
        operators::SUBSTRACT => Binary::Subtract,
        operators::MULTIPLY => Binary::Multiply,
        _ => return None,
    })
}

fn foreign_operator(name: &str) -> &'static str {
    match name {
        operators::DIVIDE => "division",
        operators::MODULO => "the remainder of a division",
        _ => "this operator",
    }
}

/// The parser's complaints in our words, one for each place.
fn explained(tokens: &Tokens<'_>, errors: &ParseErrors) -> Vec<ExprProblem> {
    let mut problems: Vec<ExprProblem> = Vec::new();
    for error in &errors.errors {
        let place = position(tokens.text, error.pos).map(|position| tokens.near(position));
        let token = place.and_then(|index| tokens.get(index));
        let range = token.map_or(tokens.text.len()..tokens.text.len(), |token| token.start..token.end);
        let word = token.map(|token| tokens.text_of(token));
        let (message, help) = match (word, error.msg.strip_prefix("Syntax error: ")) {
            (Some(_), None) => (error.msg.clone(), None),
            (Some(word @ ("and" | "or" | "not")), _) => {
                let sign = if word == "and" {
                    "&&"
                } else if word == "or" {
                    "||"
                } else {
                    "!"
                };
                (format!("`{word}` is no operator"), Some(format!("write `{sign}`")))
            }
            (Some(word), Some(_)) => (format!("`{word}` is not expected here"), None),
            (None, _) => ("the expression ends too early".to_owned(), None),
        };
        if !problems.iter().any(|known| known.range == range) {
            problems.push(ExprProblem { range, message, why: None, help });
        }
    }
    if problems.is_empty() { refused(tokens.text) } else { problems }
}

/// The byte at the parser's line and column, both from 1, columns in characters.
fn position(text: &str, (line, column): (isize, isize)) -> Option<usize> {
    let line = usize::try_from(line).ok()?.checked_sub(1)?;
    let column = usize::try_from(column).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..)?;
    Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
}
