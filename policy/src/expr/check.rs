//! Names, types and literals: from what an author wrote to the compiled form, or to every problem in it.

use std::ops::Range;

use super::ExprProblem;
use super::compiled::{Cond, Each, Literal, Term};
use super::hosts::Flaw;
use super::syntax::{Kind, Node, Quantifier};
use crate::schema::{ATTRIBUTES, Attribute, AttributeSet, Type};

/// A condition that was checked, in the conjuncts that its author wrote.
#[derive(Debug)]
pub(super) struct Checked {
    pub(super) conjuncts: Vec<(Cond, Range<usize>)>,
    pub(super) uses: AttributeSet,
}

/// Check a whole expression.
pub(super) fn check(text: &str, tree: &Node) -> Result<Checked, Vec<ExprProblem>> {
    let mut checker = Checker { text, problems: Vec::new(), uses: AttributeSet::EMPTY, item: None };
    let members = match &tree.kind {
        Kind::And(members) => members.as_slice(),
        _ => std::slice::from_ref(tree),
    };
    let mut conjuncts = Vec::with_capacity(members.len());
    for member in members {
        if let Some(cond) = checker.cond(member) {
            conjuncts.push((cond, member.range.clone()));
        }
    }
    if checker.problems.is_empty() {
        Ok(Checked { conjuncts, uses: checker.uses })
    } else {
        checker.problems.sort_by_key(|problem| problem.range.start);
        Err(checker.problems)
    }
}

/// Something with a type.
pub(super) enum Typed {
    /// Of type bool.
    Cond(Cond),
    /// Of any type.
    Term(Term, Type),
}

impl Typed {
    pub(super) fn term(self) -> (Term, Type) {
        match self {
            Typed::Cond(cond) => (Term::Truth(Box::new(cond)), Type::Bool),
            Typed::Term(term, ty) => (term, ty),
        }
    }
}

/// The variable of the macro that is being checked.
pub(super) struct Item {
    pub(super) name: String,
    pub(super) ty: Type,
    /// Whether it stands for a host name.
    pub(super) host: bool,
}

pub(super) struct Checker<'t> {
    pub(super) text: &'t str,
    pub(super) problems: Vec<ExprProblem>,
    pub(super) uses: AttributeSet,
    pub(super) item: Option<Item>,
}

impl Checker<'_> {
    pub(super) fn problem(&mut self, range: &Range<usize>, message: String, help: Option<String>) {
        self.problems.push(ExprProblem { range: range.clone(), message, why: None, help });
    }

    /// A literal that can never mean what it says.
    pub(super) fn flaw(&mut self, range: &Range<usize>, flaw: Flaw) {
        let Flaw { message, why, help } = flaw;
        self.problems.push(ExprProblem { range: range.clone(), message, why, help });
    }

    /// A node's text, for a message.
    pub(super) fn snippet(&self, node: &Node) -> String {
        let text = self.text.get(node.range.clone()).unwrap_or_default();
        let short: String = text.chars().take(60).collect();
        if short.len() < text.len() { format!("{short}…") } else { short }
    }

    pub(super) fn term(&mut self, node: &Node) -> Option<(Term, Type)> {
        self.typed(node).map(Typed::term)
    }

    /// A node that has to be a condition.
    pub(super) fn cond(&mut self, node: &Node) -> Option<Cond> {
        match self.typed(node)? {
            Typed::Cond(cond) => Some(cond),
            Typed::Term(_, ty) => {
                let snippet = self.snippet(node);
                let help = match ty {
                    Type::NullableString => Some(format!("to ask whether it is there, write `{snippet} != null`")),
                    Type::StringList | Type::IpList | Type::IntList => {
                        Some(format!("ask about its elements: `{snippet}.exists(x, …)`"))
                    }
                    Type::Bool | Type::Int | Type::String | Type::Ip | Type::Timestamp | Type::Duration => None,
                    Type::StringMap | Type::Cidr | Type::Null => None,
                };
                self.problem(&node.range, format!("`{snippet}` is {ty}, where a condition is needed"), help);
                None
            }
        }
    }

    fn typed(&mut self, node: &Node) -> Option<Typed> {
        match &node.kind {
            Kind::Null => Some(Typed::Term(Term::Literal(Literal::Null), Type::Null)),
            Kind::Bool(value) => Some(Typed::Cond(Cond::Const(*value))),
            Kind::Int(value) => Some(Typed::Term(Term::Literal(Literal::Int(*value)), Type::Int)),
            Kind::Text(text) => Some(Typed::Term(Term::Literal(Literal::Text(text.as_str().into())), Type::String)),
            Kind::List(elements) => self.list(node, elements),
            Kind::Name(_) | Kind::Select { .. } => self.name(node),
            Kind::Has { of, field } => self.has(node, of, field),
            Kind::Index { of, key } => self.index(node, of, key),
            Kind::Call { name, name_range, target, arguments } => {
                self.call(node, (name, name_range), target.as_deref(), arguments)
            }
            Kind::Not(of) => self.cond(of).map(|cond| Typed::Cond(Cond::Not(Box::new(cond)))),
            Kind::Negate(of) => match self.term(of)? {
                (term, Type::Int) => Some(Typed::Term(Term::Negate(Box::new(term)), Type::Int)),
                (_, ty) => {
                    self.problem(&node.range, format!("`-` needs int, and `{}` is {ty}", self.snippet(of)), None);
                    None
                }
            },
            Kind::And(members) => self.conds(members).map(|conds| Typed::Cond(Cond::And(conds))),
            Kind::Or(members) => self.conds(members).map(|conds| Typed::Cond(Cond::Or(conds))),
            Kind::Binary { operator, left, right } => self.binary(node, *operator, left, right),
            Kind::If { condition, then, otherwise } => self.choice(node, condition, then, otherwise),
            Kind::Macro { quantifier, over, variable, body } => self.each(*quantifier, over, variable, body),
            Kind::Foreign(what) => {
                self.problem(&node.range, format!("{what} is not part of this language"), None);
                None
            }
        }
    }

    fn conds(&mut self, members: &[Node]) -> Option<Box<[Cond]>> {
        let conds: Vec<Option<Cond>> = members.iter().map(|member| self.cond(member)).collect();
        conds.into_iter().collect()
    }

    fn list(&mut self, node: &Node, elements: &[Node]) -> Option<Typed> {
        let terms: Vec<Option<(Term, Type)>> = elements.iter().map(|element| self.term(element)).collect();
        let terms: Vec<(Term, Type)> = terms.into_iter().collect::<Option<_>>()?;
        let (mut texts, mut ints, mut ips) = (Vec::new(), Vec::new(), Vec::new());
        for ((term, _), element) in terms.into_iter().zip(elements) {
            match term {
                Term::Literal(Literal::Text(text)) => texts.push(text),
                Term::Literal(Literal::Int(value)) => ints.push(value),
                Term::Literal(Literal::Ip(ip)) => ips.push(ip),
                _ => {
                    let message = format!("`{}` cannot be an element of a list", self.snippet(element));
                    let help = "a list holds literals: texts, numbers, or addresses such as `ip(\"192.0.2.1\")`";
                    self.problem(&element.range, message, Some(help.to_owned()));
                    return None;
                }
            }
        }
        let (literal, ty) = match (texts.len(), ints.len(), ips.len()) {
            (0, 0, 0) => {
                self.problem(&node.range, "the list is empty: nothing is in it".to_owned(), None);
                return None;
            }
            (_, 0, 0) => (Literal::Texts(texts.into()), Type::StringList),
            (0, _, 0) => (Literal::Ints(ints.into()), Type::IntList),
            (0, 0, _) => (Literal::Ips(ips.into()), Type::IpList),
            _ => {
                self.problem(&node.range, "the elements of a list must be of one type".to_owned(), None);
                return None;
            }
        };
        Some(Typed::Term(Term::Literal(literal), ty))
    }

    fn choice(&mut self, node: &Node, condition: &Node, then: &Node, otherwise: &Node) -> Option<Typed> {
        let (condition, then_typed, else_typed) = (self.cond(condition), self.typed(then), self.typed(otherwise));
        match (condition?, then_typed?, else_typed?) {
            (condition, Typed::Cond(a), Typed::Cond(b)) => Some(Typed::Cond(Cond::If(Box::new([condition, a, b])))),
            (condition, a, b) => {
                let ((a, a_type), (b, b_type)) = (a.term(), b.term());
                let ty = match (a_type, b_type) {
                    (a, b) if a == b => a,
                    (a, b) if nullable(a) && nullable(b) => Type::NullableString,
                    (a, b) => {
                        let message = format!("the two sides of `:` differ: {a} and {b}");
                        self.problem(&node.range, message, None);
                        return None;
                    }
                };
                Some(Typed::Term(Term::If(Box::new((condition, a, b))), ty))
            }
        }
    }

    fn each(&mut self, quantifier: Quantifier, over: &Node, variable: &str, body: &Node) -> Option<Typed> {
        if self.item.is_some() {
            let message = "a macro inside a macro: one level is allowed".to_owned();
            self.problem(&over.range, message, Some("split it into several rules".to_owned()));
            return None;
        }
        let first = |name: &'static str| name.split('.').next();
        if ATTRIBUTES.iter().any(|row| first(row.name) == Some(variable)) {
            let message = format!("`{variable}` is the name of an attribute, and cannot be a variable as well");
            self.problem(&over.range, message, None);
            return None;
        }
        let (over_term, ty) = self.term(over)?;
        let ty = match ty {
            Type::StringList => Type::String,
            Type::IpList => Type::Ip,
            Type::IntList => Type::Int,
            Type::Bool | Type::Int | Type::String | Type::NullableString | Type::Ip | Type::Timestamp => {
                return self.not_a_list(over, ty);
            }
            Type::Duration | Type::StringMap | Type::Cidr | Type::Null => return self.not_a_list(over, ty),
        };
        let host = matches!(over_term, Term::Attribute(Attribute::DnsCname));
        self.item = Some(Item { name: variable.to_owned(), ty, host });
        let body = self.cond(body);
        self.item = None;
        Some(Typed::Cond(Cond::Each(Box::new(Each { quantifier, over: over_term, body: body? }))))
    }

    fn not_a_list(&mut self, node: &Node, ty: Type) -> Option<Typed> {
        self.problem(&node.range, format!("`{}` is {ty}, where a list is needed", self.snippet(node)), None);
        None
    }
}

/// Text, or null, or either.
pub(super) fn nullable(ty: Type) -> bool {
    matches!(ty, Type::String | Type::NullableString | Type::Null)
}
