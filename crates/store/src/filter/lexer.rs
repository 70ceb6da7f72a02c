//! Words of a query.

/// One word, and where the text after it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    /// A name or a keyword, as written.
    Word(String),
    /// A name in back quotes: never a keyword.
    Quoted(String),
    Text(String),
    Number(String),
    Symbol(&'static str),
    /// What no rule can use; shown in the error.
    Unknown(char),
    /// A quote that is never closed.
    Unterminated,
    End,
}

/// Longer ones first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 18] =
    ["<=>", "<=", ">=", "<>", "!=", "=", "<", ">", "(", ")", ",", ".", "-", "+", "*", "/", ";", "%"];

/// Splits the text; the last token is always `End`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (kind, after) = next(rest, first);
        rest = after;
        tokens.push(Token { kind, end: text.len() - rest.len() });
        rest = rest.trim_start();
    }
    tokens.push(Token { kind: Kind::End, end: text.len() });
    tokens
}

fn next(text: &str, first: char) -> (Kind, &str) {
    match first {
        '\'' | '"' => quoted(text, first, Kind::Text),
        '`' => quoted(text, first, Kind::Quoted),
        _ if is_name_start(first) => {
            let (word, rest) = split(text, |c| is_name_start(c) || c.is_ascii_digit());
            (Kind::Word(word.to_owned()), rest)
        }
        _ if first.is_ascii_digit() => number(text),
        '.' if text[1..].starts_with(|c: char| c.is_ascii_digit()) => number(text),
        _ => match SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol)) {
            Some(symbol) => (Kind::Symbol(symbol), &text[symbol.len()..]),
            None => (Kind::Unknown(first), &text[first.len_utf8()..]),
        },
    }
}

fn is_name_start(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '@'
}

/// A quote is written inside by doubling it or after a backslash.
fn quoted(text: &str, quote: char, kind: fn(String) -> Kind) -> (Kind, &str) {
    let mut inside = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        let after = at + c.len_utf8();
        match c {
            _ if c == quote => match chars.next_if(|(_, c)| *c == quote) {
                Some(_) => inside.push(quote),
                None => return (kind(inside), &text[after..]),
            },
            '\\' if quote != '`' => match chars.next() {
                Some((_, escaped)) => inside.push(unescape(escaped)),
                None => return (Kind::Unterminated, ""),
            },
            _ => inside.push(c),
        }
    }
    (Kind::Unterminated, "")
}

fn unescape(escaped: char) -> char {
    match escaped {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'b' => '\u{8}',
        '0' => '\0',
        other => other,
    }
}

fn number(text: &str) -> (Kind, &str) {
    let bytes = text.as_bytes();
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let mut end = digits(0);
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1);
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = digits(end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
        }
    }
    (Kind::Number(text[..end].to_owned()), &text[end..])
}

fn split(text: &str, belongs: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()))
}
