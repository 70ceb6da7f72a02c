//! The attributes beside ours, on their way to what they are about: the code that was written, or the function that builds
//! its calls.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{AttrStyle, Attribute, Ident, Meta};

/// What callers see.
const OUTSIDE: [&str; 3] = ["doc", "deprecated", "must_use"];

/// What may be about either: whether they are there, and what the compiler says of them.
const BOTH: [&str; 5] = ["cfg", "allow", "warn", "deny", "forbid"];

/// For the code that was written, whose name was `name` and is hidden now.
pub fn inside(attributes: &[Attribute], name: &Ident) -> Vec<Attribute> {
    let of_the_code = attributes.iter().filter(|attribute| !is_one_of(attribute, &OUTSIDE));
    of_the_code.map(|attribute| named(attribute, name)).collect()
}

/// For the function that builds calls. What stands inside the code stays there.
pub fn outside(attributes: &[Attribute]) -> Vec<&Attribute> {
    let before = attributes.iter().filter(|attribute| matches!(attribute.style, AttrStyle::Outer));
    before.filter(|attribute| is_one_of(attribute, &OUTSIDE) || is_one_of(attribute, &BOTH)).collect()
}

/// For everything that is written beside these two.
pub fn conditions(attributes: &[Attribute]) -> TokenStream {
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    quote!(#(#conditions)*)
}

fn is_one_of(attribute: &Attribute, names: &[&str]) -> bool {
    names.iter().any(|name| attribute.path().is_ident(name))
}

/// `#[instrument]` calls its span as the function is called, which should not be the hidden name.
fn named(attribute: &Attribute, name: &Ident) -> Attribute {
    let mut attribute = attribute.clone();
    if attribute.path().segments.last().is_none_or(|last| last.ident != "instrument") {
        return attribute;
    }
    let name = name.to_string();
    let path = attribute.path();
    attribute.meta = match &attribute.meta {
        Meta::List(list) if !says_name(&list.tokens) => {
            let said = &list.tokens;
            syn::parse_quote!(#path(name = #name, #said))
        }
        Meta::Path(_) => syn::parse_quote!(#path(name = #name)),
        _ => return attribute,
    };
    attribute
}

/// A name stands first as plain text, or anywhere as `name = "..."`.
fn says_name(said: &TokenStream) -> bool {
    use proc_macro2::TokenTree;
    let first_is_text = matches!(said.clone().into_iter().next(), Some(TokenTree::Literal(_)));
    first_is_text || said.clone().into_iter().any(|token| matches!(token, TokenTree::Ident(word) if word == "name"))
}
