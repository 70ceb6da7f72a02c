//! What activities and workflows that are functions have in common: a definition of the function's name, and in the
//! function's place one that builds its calls.

use crate::attributes;
use crate::options::Options;
use crate::signature::{self, Arguments};
use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Block, Ident, Item, ItemFn, Path, Result, Signature, Token, Type, Visibility};

/// A function as it was written: with a body, or with a semicolon in its place, which says that it runs elsewhere.
pub struct Written {
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub sig: Signature,
    pub body: Option<Box<Block>>,
}

/// A function, or a method, without a body.
pub struct Declaration {
    pub attrs: Vec<Attribute>,
    pub vis: Visibility,
    pub sig: Signature,
}

impl Parse for Declaration {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let declaration =
            Declaration { attrs: input.call(Attribute::parse_outer)?, vis: input.parse()?, sig: input.parse()? };
        input.parse::<Token![;]>()?;
        Ok(declaration)
    }
}

impl Written {
    /// The function that this is, if it is one.
    pub fn of(item: &Item) -> Option<Self> {
        match item {
            Item::Fn(ItemFn { attrs, vis, sig, block }) => {
                let (attrs, vis, sig) = (attrs.clone(), vis.clone(), sig.clone());
                Some(Written { attrs, vis, sig, body: Some(block.clone()) })
            }
            Item::Verbatim(tokens) => {
                let Declaration { attrs, vis, sig } = syn::parse2(tokens.clone()).ok()?;
                Some(Written { attrs, vis, sig, body: None })
            }
            _ => None,
        }
    }
}

/// A function that was checked.
pub struct Function<'a> {
    pub krate: &'a Path,
    pub arguments: Arguments,
    /// What the function as it was written is called now, inside the definition. Its own name means the call, in its
    /// own body too.
    pub hidden: Ident,
    function: &'a Written,
    options: &'a Options,
    pub output: Type,
}

impl<'a> Function<'a> {
    /// Checks what every function under an attribute must be. `what` is "an activity" and the like.
    pub fn check(function: &'a Written, options: &'a Options, what: &str) -> Result<Self> {
        let signature = &function.sig;
        signature::check(signature, what)?;
        Ok(Function {
            krate: &options.crate_path,
            arguments: signature::arguments(signature.inputs.iter(), what)?,
            hidden: format_ident!("__{}", signature.ident),
            output: signature::output(signature, what)?,
            function,
            options,
        })
    }

    /// The function as it was written, under its hidden name, if it has a body.
    pub fn original(&self) -> Option<TokenStream> {
        let block = self.function.body.clone()?;
        let attrs = attributes::inside(&self.function.attrs, &self.function.sig.ident);
        let sig = Signature { ident: self.hidden.clone(), ..self.function.sig.clone() };
        Some(ItemFn { attrs, vis: Visibility::Inherited, sig, block }.into_token_stream())
    }

    /// The definition, with what is its own, and the function that builds calls. `module` is the SDK's for its kind.
    pub fn write(&self, module: &str, own: TokenStream) -> TokenStream {
        let Function { krate, arguments, function, options, output, .. } = self;
        let Written { attrs, vis, sig, body } = function;
        let (ident, module) = (&sig.ident, format_ident!("{module}"));
        let name = options.name.as_ref().map_or_else(|| ident.to_string(), |name| name.value());
        let declared = options.build(quote!(#krate::#module::Options));
        let ok = signature::ok(output, krate);
        let checked = arguments.checked(krate, &ok);
        let (args, tuple, parameters) = (arguments.tuple_type(ident), arguments.tuple(ident), arguments.parameters());
        let (attrs, conditions) = (attributes::outside(attrs), attributes::conditions(attrs));
        let implemented = body.as_ref().map(|_| quote!(#conditions impl #krate::#module::Implemented for #ident {}));
        quote! {
            #conditions
            #[doc(hidden)]
            #[allow(non_camel_case_types)]
            #vis struct #ident {}

            #conditions
            impl #krate::#module::Definition for #ident {
                const NAME: &'static str = #name;
                type State = ();
                type Args = #args;
                type Output = #ok;

                fn options() -> #krate::#module::Options {
                    #declared
                }

                #own
            }

            #implemented

            #conditions
            const _: fn() = || { #checked };

            #(#attrs)*
            #vis fn #ident(#parameters) -> #krate::#module::Call<#ident> {
                #krate::#module::Call::new(#tuple)
            }
        }
    }
}
