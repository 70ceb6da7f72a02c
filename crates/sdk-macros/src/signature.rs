//! What a function must look like so that its calls can be recorded.

use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, Pat, Path, Result, ReturnType, Signature, Type};

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

    /// The types as the tuple that is recorded.
    pub fn tuple_type(&self) -> TokenStream {
        let types = &self.types;
        quote!((#(#types,)*))
    }

    /// The names as a tuple: a value, and a pattern.
    pub fn tuple(&self) -> TokenStream {
        let names = &self.names;
        quote!((#(#names,)*))
    }

    /// As the parameters of a function.
    pub fn parameters(&self) -> TokenStream {
        let (names, types) = (&self.names, &self.types);
        quote!(#(#names: #types),*)
    }

    /// Makes the compiler complain about what cannot be an argument where it stands.
    pub fn checked(&self, krate: &Path) -> TokenStream {
        let checks = self.types.iter().map(|of| quote_spanned!(of.span()=> #krate::private::value::<#of>();));
        quote!(const _: fn() = || { #(#checks)* };)
    }

    /// As what a function is called with.
    pub fn passed(&self) -> TokenStream {
        let names = &self.names;
        quote!(#(#names),*)
    }
}

/// Refuses what has no meaning for something that is called by name, over a wire. `what` is "an activity" and the like.
pub fn check(signature: &Signature, what: &str) -> Result<()> {
    if let Some(generic) = signature.generics.params.first() {
        let message = format!("{what} has one name and so one type: it cannot be generic");
        return Err(Error::new(generic.span(), message));
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
            Type::Reference(reference) => {
                let message = format!(
                    "arguments of {what} are recorded, so they own their data: use an owned type (`String`, not `&str`)"
                );
                return Err(Error::new_spanned(reference, message));
            }
            Type::ImplTrait(generic) => {
                let message = format!("arguments of {what} are recorded: name their type");
                return Err(Error::new_spanned(generic, message));
            }
            _ => {}
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
