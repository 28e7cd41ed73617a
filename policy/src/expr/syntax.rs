//! An expression as its author wrote it: macros unexpanded, chains of `&&` and `||` flat, a byte range on every node.

use std::ops::Range;

/// One node with its place in the text.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) range: Range<usize>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Node>),
    /// A plain name: the first part of an attribute, or a macro's variable.
    Name(String),
    /// `of.field`
    Select {
        of: Box<Node>,
        field: String,
    },
    /// `has(of.field)`
    Has {
        of: Box<Node>,
        field: String,
    },
    /// `of[key]`
    Index {
        of: Box<Node>,
        key: Box<Node>,
    },
    /// `target.name(arguments)` or `name(arguments)`
    Call {
        name: String,
        name_range: Range<usize>,
        target: Option<Box<Node>>,
        arguments: Vec<Node>,
    },
    Not(Box<Node>),
    Negate(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Binary {
        operator: Binary,
        left: Box<Node>,
        right: Box<Node>,
    },
    If {
        condition: Box<Node>,
        then: Box<Node>,
        otherwise: Box<Node>,
    },
    /// `over.exists(variable, body)` and its kin
    Macro {
        quantifier: Quantifier,
        over: Box<Node>,
        variable: String,
        body: Box<Node>,
    },
    /// CEL, but not a part of it that this language has; the text names it.
    Foreign(&'static str),
}

/// Operators between two operands that keep no chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binary {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    Add,
    Subtract,
    Multiply,
}

/// How many elements of a list a body must hold for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Quantifier {
    /// At least one.
    Exists,
    /// Every one.
    All,
    /// Exactly one.
    ExistsOne,
}
