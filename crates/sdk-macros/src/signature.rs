//! What a function must look like so that its calls can be recorded.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, GenericParam, Ident, Pat, Path, Result, ReturnType, Signature, Type};

/// As many as the SDK's tuples have places.
const ARGUMENTS_MAX: usize = 8;

/// The arguments of a call.
pub struct Arguments {
    names: Vec<Ident>,
    types: Vec<Type>,
}

impl Arguments {
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// What the compiler says of all arguments together stands on the only one, or else on the name of what takes them.
    pub fn span(&self, of: &Ident) -> Span {
        match &self.types[..] {
            [only] => over(only),
            _ => over(of),
        }
    }

    /// The types as the tuple that is recorded.
    pub fn tuple_type(&self, of: &Ident) -> TokenStream {
        let types = &self.types;
        quote_spanned!(self.span(of)=> (#(#types,)*))
    }

    /// The names as a tuple: a value, and a pattern.
    pub fn tuple(&self, of: &Ident) -> TokenStream {
        let names = &self.names;
        quote_spanned!(self.span(of)=> (#(#names,)*))
    }

    /// As the parameters of a function.
    pub fn parameters(&self) -> TokenStream {
        let (names, types) = (&self.names, &self.types);
        quote!(#(#names: #types),*)
    }

    /// Statements that make the compiler complain about what cannot be an argument, or this result, where it stands.
    pub fn checked(&self, krate: &Path, result: &TokenStream) -> TokenStream {
        let arguments = self.types.iter().map(|of| quote_spanned!(over(of)=> #krate::private::value::<#of>();));
        let result = quote_spanned!(over(result)=> #krate::private::value::<#result>(););
        quote!(#(#arguments)* #result)
    }

    /// As what a function is called with.
    pub fn passed(&self) -> TokenStream {
        let names = &self.names;
        quote!(#(#names),*)
    }
}

/// Refuses what has no meaning for something that is called by name, over a wire. `what` is "an activity" and the like.
pub fn check(signature: &Signature, what: &str) -> Result<()> {
    match signature.generics.params.first() {
        Some(GenericParam::Lifetime(lifetime)) => return Err(Error::new(lifetime.span(), owned(what))),
        Some(generic) => {
            let message = format!("{what} has one name and so one type: it cannot be generic");
            return Err(Error::new(generic.span(), message));
        }
        None => {}
    }
    if let Some(unsafety) = &signature.unsafety {
        return Err(Error::new(unsafety.span(), format!("{what} cannot be unsafe")));
    }
    if let Some(constness) = &signature.constness {
        return Err(Error::new(constness.span(), format!("{what} cannot be const")));
    }
    if let Some(abi) = &signature.abi {
        return Err(Error::new(abi.span(), format!("{what} cannot be extern")));
    }
    if let Some(variadic) = &signature.variadic {
        return Err(Error::new(variadic.span(), format!("{what} has a fixed number of arguments")));
    }
    Ok(())
}

/// Insists on `async`.
pub fn check_async(signature: &Signature, message: &str) -> Result<()> {
    match signature.asyncness {
        Some(_) => Ok(()),
        None => Err(Error::new(signature.fn_token.span(), message)),
    }
}

/// The type that is returned, which must be said: what it is, is checked by the compiler.
pub fn output(signature: &Signature, what: &str) -> Result<Type> {
    match &signature.output {
        ReturnType::Type(_, output) => Ok((**output).clone()),
        ReturnType::Default => {
            let message = format!("{what} returns `Result<T>`: write `-> Result<()>` if there is nothing to return");
            Err(Error::new(signature.ident.span(), message))
        }
    }
}

/// What is in the result that is returned, or a complaint of the compiler where the type stands.
pub fn ok(output: &Type, krate: &Path) -> TokenStream {
    quote_spanned!(output.span()=> <#output as #krate::error::Fallible>::Ok)
}

/// The same, where it has been given its name.
pub fn returned(output: &Type) -> TokenStream {
    quote_spanned!(over(output)=> Self::Output)
}

/// Where this stands, for what is written because of it: the compiler complains there, and its lints know that nobody wrote
/// it by hand.
pub fn over(what: &impl Spanned) -> Span {
    Span::call_site().located_at(what.span())
}

/// Code that stands at this place for the compiler's complaints, and means what it meant.
pub fn at(span: Span, tokens: impl ToTokens) -> TokenStream {
    let moved = tokens.into_token_stream().into_iter().map(|mut token| {
        token.set_span(span.resolved_at(token.span()));
        token
    });
    moved.collect()
}

/// The arguments without a receiver.
pub fn arguments<'a>(inputs: impl Iterator<Item = &'a FnArg>, what: &str) -> Result<Arguments> {
    let mut arguments = Arguments { names: Vec::new(), types: Vec::new() };
    for input in inputs {
        let typed = match input {
            FnArg::Typed(typed) => typed,
            FnArg::Receiver(receiver) => {
                let message = format!("{what} outside an `impl` has no `self`");
                return Err(Error::new_spanned(receiver, message));
            }
        };
        match &*typed.ty {
            Type::Reference(reference) => return Err(Error::new_spanned(reference, owned(what))),
            Type::ImplTrait(generic) => {
                let message = format!("arguments of {what} are recorded: name their type");
                return Err(Error::new_spanned(generic, message));
            }
            nested => {
                if let Some(borrowed) = borrowed(nested.to_token_stream()) {
                    return Err(Error::new(borrowed, owned(what)));
                }
            }
        }
        if arguments.names.len() == ARGUMENTS_MAX {
            let message = format!("{what} has at most {ARGUMENTS_MAX} arguments: put them into a struct");
            return Err(Error::new_spanned(typed, message));
        }
        arguments.names.push(match &*typed.pat {
            Pat::Ident(name) => name.ident.clone(),
            _ => format_ident!("argument_{}", arguments.names.len()),
        });
        arguments.types.push((*typed.ty).clone());
    }
    Ok(arguments)
}

fn owned(what: &str) -> String {
    format!("arguments of {what} are recorded, so they own their data: use an owned type (`String`, not `&str`)")
}

/// Where a type holds a reference, or a lifetime other than `'static`.
fn borrowed(tokens: TokenStream) -> Option<Span> {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => {
                if let Some(found) = borrowed(group.stream()) {
                    return Some(found);
                }
            }
            TokenTree::Punct(punct) if punct.as_char() == '&' => return Some(punct.span()),
            TokenTree::Punct(punct) if punct.as_char() == '\'' => match tokens.peek() {
                Some(TokenTree::Ident(name)) if name == "static" => {}
                Some(name) => return Some(name.span()),
                None => {}
            },
            _ => {}
        }
    }
    None
}
