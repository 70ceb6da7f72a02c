//! The options in an attribute's parentheses: `name = "charge", start_to_close_timeout = "5m", local`.

use crate::{crate_path, duration};
use proc_macro2::TokenStream;
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, ExprLit, Ident, Lit, LitStr, Path, Result, Token};

/// What an option's value may be. A literal is checked here; any other expression is left to its type.
#[derive(Clone, Copy, PartialEq)]
pub enum Shape {
    Duration,
    /// A whole number, at least one.
    Count,
    /// A number above zero.
    Rate,
    /// A number, at least one.
    Factor,
    Text,
    Texts,
    /// Present or not.
    Flag,
    /// Present or not, and a matter of the expansion alone.
    Switch,
    Expression,
}

/// What an attribute says, beside how its item is called.
pub struct Options {
    pub name: Option<LitStr>,
    pub crate_path: Path,
    setters: Vec<TokenStream>,
    /// All that are set.
    set: Vec<Ident>,
}

struct OneOption {
    name: Ident,
    value: Option<Expr>,
}

impl Parse for OneOption {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        use syn::ext::IdentExt;
        if let Ok(text) = input.fork().parse::<LitStr>() {
            let message = format!("options are named: write `name = {:?}`", text.value());
            return Err(Error::new(text.span(), message));
        }
        let name: Ident = input.call(Ident::parse_any)?;
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) if name == "crate" => {
                let wanted =
                    |error: Error| Error::new(error.span(), "a path, such as `crate = my_contracts::tradewind`");
                let path: Path = input.parse().map_err(wanted)?;
                Some(syn::parse_quote!(#path))
            }
            Some(_) => Some(input.parse()?),
            None if input.peek(Token![:]) => return Err(input.error(format!("write `{name} = ...`"))),
            None => None,
        };
        Ok(OneOption { name, value })
    }
}

impl Options {
    /// Parses an attribute that knows these options.
    pub fn parse(attribute: TokenStream, known: &[(&str, Shape)]) -> Result<Options> {
        use syn::parse::Parser;
        let parsed = Punctuated::<OneOption, Token![,]>::parse_terminated.parse2(attribute)?;
        let mut options =
            Options { name: None, crate_path: crate_path::default(), setters: Vec::new(), set: Vec::new() };
        for OneOption { name, value } in parsed {
            let text = name.to_string();
            if options.set.contains(&name) {
                return Err(Error::new(name.span(), format!("`{text}` is set twice")));
            }
            options.set.push(name.clone());
            match (text.as_str(), value) {
                ("name", Some(value)) => options.name = Some(wire_name(&value)?),
                ("crate", Some(Expr::Path(path))) => options.crate_path = path.path,
                (_, value) => options.set(&name, value, known)?,
            }
        }
        Ok(options)
    }

    fn set(&mut self, name: &Ident, value: Option<Expr>, known: &[(&str, Shape)]) -> Result<()> {
        let text = name.to_string();
        let Some((_, shape)) = known.iter().find(|(known, _)| *known == text) else {
            let names: Vec<_> = ["name"].into_iter().chain(known.iter().map(|(name, _)| *name)).collect();
            let message = format!("there is no option `{text}`; the options are {}", names.join(", "));
            return Err(Error::new(name.span(), message));
        };
        let value = match (shape, value) {
            // Whoever expands the attribute asks for it.
            (Shape::Switch, None) => return Ok(()),
            (Shape::Flag, None) => quote!(true),
            (Shape::Flag | Shape::Switch, Some(value)) => {
                return Err(Error::new(value.span(), format!("`{text}` is on when it is named: it takes no value")));
            }
            (_, None) => return Err(Error::new(name.span(), format!("`{text}` needs a value: `{text} = ...`"))),
            (shape, Some(value)) => self.value(*shape, &value)?,
        };
        self.setters.push(quote!(.#name(#value)));
        Ok(())
    }

    fn value(&self, shape: Shape, value: &Expr) -> Result<TokenStream> {
        let refuse = |message: &str| Err(Error::new(value.span(), message));
        match (shape, value) {
            (Shape::Duration, Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) => {
                let parsed = duration::parse(&text.value()).map_err(|why| Error::new(text.span(), why))?;
                let krate = &self.crate_path;
                let (secs, nanos) = (parsed.as_secs(), parsed.subsec_nanos());
                Ok(quote!(#krate::private::Duration::new(#secs, #nanos)))
            }
            (Shape::Duration, Expr::Lit(_)) => refuse("a duration is text, such as \"90s\" or \"1h30m\""),
            (Shape::Count, Expr::Lit(ExprLit { lit: Lit::Int(number), .. })) => match number.base10_parse::<u32>() {
                Ok(0) => refuse("at least 1: leave the option out for no limit"),
                Ok(number) => Ok(quote!(#number)),
                Err(error) => Err(Error::new(number.span(), error)),
            },
            (Shape::Count, Expr::Lit(_)) => refuse("a whole number, such as 3"),
            (Shape::Factor, Expr::Lit(literal)) => number_at_least(literal, |number| number >= 1.0, "at least 1.0"),
            (Shape::Rate, Expr::Lit(literal)) => {
                number_at_least(literal, |number| number > 0.0, "more than 0: how many may start per second")
            }
            (Shape::Text, Expr::Lit(ExprLit { lit: Lit::Str(text), .. })) if text.value().is_empty() => {
                refuse("this is empty")
            }
            (Shape::Texts, Expr::Lit(_)) => refuse("a list, such as [\"CardDeclined\", \"BadAmount\"]"),
            _ => Ok(value.to_token_stream()),
        }
    }

    /// Refuses these, if they are set. `why` follows the option's name.
    pub fn refuse(&self, options: &[&str], why: &str) -> Result<()> {
        match self.set.iter().find(|name| options.iter().any(|option| *name == option)) {
            Some(name) => Err(Error::new(name.span(), format!("`{name}` {why}"))),
            None => Ok(()),
        }
    }

    /// Whether this option is there.
    pub fn has(&self, option: &str) -> bool {
        self.set.iter().any(|name| name == option)
    }

    /// The options as a value of this type: its default, changed by what was set.
    pub fn build(&self, of: TokenStream) -> TokenStream {
        let setters = &self.setters;
        quote!(<#of as ::core::default::Default>::default()#(#setters)*)
    }
}

fn number_at_least(literal: &ExprLit, fits: impl Fn(f64) -> bool, otherwise: &str) -> Result<TokenStream> {
    let number: f64 = match &literal.lit {
        Lit::Int(number) => number.base10_parse()?,
        Lit::Float(number) => number.base10_parse()?,
        other => return Err(Error::new(other.span(), "a number, such as 2.0")),
    };
    match fits(number) {
        true => Ok(quote!(#number)),
        false => Err(Error::new(literal.span(), otherwise)),
    }
}

fn wire_name(value: &Expr) -> Result<LitStr> {
    match value {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if !text.value().is_empty() => Ok(text.clone()),
        other => Err(Error::new(other.span(), "a name is text, such as \"charge-card\"")),
    }
}
