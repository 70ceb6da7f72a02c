//! The grammar: a WHERE clause of SQL, without names or types.
//!
//! ```text
//! query      = [or] [GROUP BY operand {, operand}] [ORDER BY …] [LIMIT …]
//! or         = and {OR and}
//! and        = not {AND not}
//! not        = NOT not | condition
//! condition  = operand [IS [NOT] (NULL | TRUE | FALSE)
//!                      | [NOT] BETWEEN operand AND operand
//!                      | [NOT] IN ( operand {, operand} )
//!                      | [NOT] (LIKE | REGEXP | STARTS_WITH) operand
//!                      | (= | != | <> | < | <= | > | >= | <=>) operand]
//! operand    = name | literal | name ( … ) | ( or {, or} )
//! ```
//!
//! What the grammar takes and the language does not (functions, LIKE, ORDER BY, …) is kept in the tree, so
//! that the refusal can say what it refuses.

use super::{
    Error,
    lexer::{Kind, Token, tokens},
};

/// How deep parentheses and negations may nest.
const DEPTH_MAX: usize = 100;
/// How many words a query may have. A statement of SQLite takes 32,766 values.
const TOKENS_MAX: usize = 20_000;
/// The reference server parses the filter behind this text, and counts positions from its beginning.
const PREFIX: usize = "select * from table1 where ".len();
const PREFIX_WITHOUT_WHERE: usize = "select * from table1 ".len();

/// A query as it is written.
#[derive(Debug, PartialEq, Default)]
pub(super) struct Clauses {
    pub(super) filter: Option<Node>,
    pub(super) group_by: Vec<Node>,
    pub(super) ordered: bool,
    pub(super) limited: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Node {
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Paren(Box<Node>),
    Compare { left: Box<Node>, operator: Operator, right: Box<Node> },
    Between { left: Box<Node>, negated: bool, from: Box<Node>, to: Box<Node> },
    Is { left: Box<Node>, test: IsTest },
    Name(String),
    Text(String),
    Number(String),
    Bool(bool),
    Null,
    Tuple(Vec<Node>),
    Call,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IsTest {
    Null,
    NotNull,
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    NullSafeEqual,
    In,
    NotIn,
    Like,
    NotLike,
    Regexp,
    NotRegexp,
    StartsWith,
    NotStartsWith,
}

pub(super) fn parse(text: &str) -> Result<Clauses, Error> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Clauses::default());
    }
    let lower = text.get(..8).unwrap_or_default().to_ascii_lowercase();
    let has_filter = lower != "order by" && lower != "group by";
    let prefix = if has_filter { PREFIX } else { PREFIX_WITHOUT_WHERE };
    let tokens = tokens(text);
    if tokens.len() > TOKENS_MAX {
        return Err(Error(format!("malformed SQL query: more than {TOKENS_MAX} words")));
    }
    let mut parser = Parser { tokens, at: 0, depth: 0, prefix, length: text.len() };
    let filter = if has_filter { Some(parser.or()?) } else { None };
    let mut clauses = Clauses { filter, ..Clauses::default() };
    if parser.take_words(&["group", "by"]) {
        clauses.group_by = parser.list()?;
    }
    if parser.take_words(&["order", "by"]) {
        clauses.ordered = true;
        loop {
            parser.operand()?;
            let _direction = parser.take_word("asc") || parser.take_word("desc");
            if !parser.take_symbol(",") {
                break;
            }
        }
    }
    if parser.take_word("limit") {
        clauses.limited = true;
        parser.list()?;
        if parser.take_word("offset") {
            parser.operand()?;
        }
    }
    let _ = parser.take_symbol(";");
    match parser.peek() {
        Kind::End => Ok(clauses),
        _ => Err(parser.unexpected()),
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    prefix: usize,
    length: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Node, Error> {
        let first = self.and()?;
        if !self.is_word("or") {
            return Ok(first);
        }
        let mut nodes = vec![first];
        while self.take_word("or") {
            nodes.push(self.and()?);
        }
        Ok(Node::Or(nodes))
    }

    fn and(&mut self) -> Result<Node, Error> {
        let first = self.not()?;
        if !self.is_word("and") {
            return Ok(first);
        }
        let mut nodes = vec![first];
        while self.take_word("and") {
            nodes.push(self.not()?);
        }
        Ok(Node::And(nodes))
    }

    fn not(&mut self) -> Result<Node, Error> {
        if self.take_word("not") {
            return self.deeper(|parser| Ok(Node::Not(Box::new(parser.not()?))));
        }
        self.condition()
    }

    fn condition(&mut self) -> Result<Node, Error> {
        let left = self.operand()?;
        if self.take_word("is") {
            let test = self.is_test()?;
            return Ok(Node::Is { left: Box::new(left), test });
        }
        // `NOT` behind an operand can only belong to one of these.
        let negated = self.take_word("not");
        if self.take_word("between") {
            let from = Box::new(self.operand()?);
            if !self.take_word("and") {
                return Err(self.unexpected());
            }
            let to = Box::new(self.operand()?);
            return Ok(Node::Between { left: Box::new(left), negated, from, to });
        }
        let operator = match self.operator(negated) {
            Some(operator) => operator,
            None if negated => return Err(self.unexpected()),
            None => return Ok(left),
        };
        let right = if matches!(operator, Operator::In | Operator::NotIn) { self.tuple()? } else { self.operand()? };
        Ok(Node::Compare { left: Box::new(left), operator, right: Box::new(right) })
    }

    fn operator(&mut self, negated: bool) -> Option<Operator> {
        let operator = match (self.peek(), negated) {
            (Kind::Word(word), _) => match (word.to_ascii_lowercase().as_str(), negated) {
                ("in", false) => Operator::In,
                ("in", true) => Operator::NotIn,
                ("like", false) => Operator::Like,
                ("like", true) => Operator::NotLike,
                ("regexp" | "rlike", false) => Operator::Regexp,
                ("regexp" | "rlike", true) => Operator::NotRegexp,
                ("starts_with", false) => Operator::StartsWith,
                ("starts_with", true) => Operator::NotStartsWith,
                _ => return None,
            },
            (Kind::Symbol(symbol), false) => match *symbol {
                "=" => Operator::Equal,
                "!=" | "<>" => Operator::NotEqual,
                "<" => Operator::Less,
                "<=" => Operator::LessOrEqual,
                ">" => Operator::Greater,
                ">=" => Operator::GreaterOrEqual,
                "<=>" => Operator::NullSafeEqual,
                _ => return None,
            },
            _ => return None,
        };
        self.at += 1;
        Some(operator)
    }

    fn is_test(&mut self) -> Result<IsTest, Error> {
        let negated = self.take_word("not");
        if self.take_word("null") {
            return Ok(if negated { IsTest::NotNull } else { IsTest::Null });
        }
        if self.take_word("true") || self.take_word("false") {
            return Ok(IsTest::Other);
        }
        Err(self.unexpected())
    }

    fn operand(&mut self) -> Result<Node, Error> {
        let node = match self.peek().clone() {
            Kind::Word(word) => match word.to_ascii_lowercase().as_str() {
                "true" => Node::Bool(true),
                "false" => Node::Bool(false),
                "null" => Node::Null,
                lower if is_keyword(lower) => return Err(self.unexpected()),
                _ => return self.name(word),
            },
            Kind::Quoted(name) => return self.name(name),
            Kind::Text(text) => Node::Text(text),
            Kind::Number(number) => Node::Number(number),
            Kind::Symbol(sign @ ("-" | "+")) => {
                let Some(Kind::Number(number)) = self.tokens.get(self.at + 1).map(|token| token.kind.clone()) else {
                    self.at += 1;
                    return Err(self.unexpected());
                };
                self.at += 1;
                Node::Number(if sign == "-" { format!("-{number}") } else { number })
            }
            Kind::Symbol("(") => return self.deeper(Parser::parenthesis),
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        Ok(node)
    }

    /// A name, its parts put together by dots; or the call of a function, whose arguments nobody needs.
    fn name(&mut self, first: String) -> Result<Node, Error> {
        self.at += 1;
        let mut name = first;
        if self.is_symbol("(") {
            self.skip_arguments()?;
            return Ok(Node::Call);
        }
        while self.take_symbol(".") {
            match self.peek().clone() {
                Kind::Word(part) | Kind::Quoted(part) => {
                    name = format!("{name}.{part}");
                    self.at += 1;
                }
                _ => return Err(self.unexpected()),
            }
        }
        Ok(Node::Name(name))
    }

    fn skip_arguments(&mut self) -> Result<(), Error> {
        let mut open = 0;
        loop {
            match self.peek() {
                Kind::Symbol("(") => open += 1,
                Kind::Symbol(")") => open -= 1,
                Kind::End | Kind::Unterminated => return Err(self.unexpected()),
                _ => {}
            }
            self.at += 1;
            if open == 0 {
                return Ok(());
            }
        }
    }

    fn parenthesis(&mut self) -> Result<Node, Error> {
        self.at += 1;
        let first = self.or()?;
        let node = if self.is_symbol(",") {
            let mut items = vec![first];
            while self.take_symbol(",") {
                items.push(self.or()?);
            }
            Node::Tuple(items)
        } else {
            Node::Paren(Box::new(first))
        };
        if !self.take_symbol(")") {
            return Err(self.unexpected());
        }
        Ok(node)
    }

    fn tuple(&mut self) -> Result<Node, Error> {
        if !self.take_symbol("(") {
            return Err(self.unexpected());
        }
        let items = self.list()?;
        if !self.take_symbol(")") {
            return Err(self.unexpected());
        }
        Ok(Node::Tuple(items))
    }

    fn list(&mut self) -> Result<Vec<Node>, Error> {
        let mut items = vec![self.operand()?];
        while self.take_symbol(",") {
            items.push(self.operand()?);
        }
        Ok(items)
    }

    fn deeper<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T, Error>) -> Result<T, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error(format!("malformed SQL query: nested more than {DEPTH_MAX} levels deep")));
        }
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn peek(&self) -> &Kind {
        // The last token is `End`, which nothing steps over.
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Kind::Word(found) if found.eq_ignore_ascii_case(word))
    }

    fn is_symbol(&self, symbol: &str) -> bool {
        matches!(self.peek(), Kind::Symbol(found) if *found == symbol)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    /// All of the words, or none.
    fn take_words(&mut self, words: &[&str]) -> bool {
        let start = self.at;
        let found = words.iter().all(|word| self.take_word(word));
        if !found {
            self.at = start;
        }
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = self.is_symbol(symbol);
        self.at += usize::from(found);
        found
    }

    /// The error for the token at hand, as the reference's parser words it.
    fn unexpected(&self) -> Error {
        let token = &self.tokens[self.at.min(self.tokens.len() - 1)];
        let position = (self.prefix + token.end + 1).min(self.prefix + self.length + 1);
        let near = match &token.kind {
            Kind::Word(word) if is_keyword(&word.to_ascii_lowercase()) => Some(word.to_ascii_lowercase()),
            Kind::Word(text) | Kind::Quoted(text) | Kind::Text(text) | Kind::Number(text) => Some(text.clone()),
            Kind::Unknown(c) => Some(c.to_string()),
            Kind::Symbol(_) | Kind::Unterminated | Kind::End => None,
        };
        let near = near.map(|text| format!(" near '{text}'")).unwrap_or_default();
        Error(format!("malformed SQL query: syntax error at position {position}{near}"))
    }
}

/// Words that name nothing unless quoted.
fn is_keyword(lower: &str) -> bool {
    const KEYWORDS: [&str; 28] = [
        "and",
        "or",
        "not",
        "in",
        "is",
        "between",
        "like",
        "regexp",
        "rlike",
        "starts_with",
        "null",
        "true",
        "false",
        "group",
        "order",
        "by",
        "limit",
        "offset",
        "having",
        "asc",
        "desc",
        "select",
        "from",
        "where",
        "case",
        "when",
        "exists",
        "union",
    ];
    KEYWORDS.contains(&lower)
}
