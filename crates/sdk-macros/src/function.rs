//! What activities and workflows that are functions have in common: a definition of the function's name, and in the
//! function's place one that builds its calls.

use crate::attributes;
use crate::options::Options;
use crate::signature::{self, Arguments};
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Ident, ItemFn, Path, Result, Type, Visibility};

/// A function that was checked.
pub struct Function<'a> {
    pub krate: &'a Path,
    pub arguments: Arguments,
    /// What the function as it was written is called now, inside the definition. Its own name means the call, in its
    /// own body too.
    pub hidden: Ident,
    function: &'a ItemFn,
    options: &'a Options,
    pub output: Type,
}

impl<'a> Function<'a> {
    /// Checks what every function under an attribute must be. `what` is "an activity" and the like.
    pub fn check(function: &'a ItemFn, options: &'a Options, what: &str) -> Result<Self> {
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

    /// The function as it was written, under its hidden name.
    pub fn original(&self) -> TokenStream {
        let mut function = self.function.clone();
        function.attrs = attributes::inside(&function.attrs, &function.sig.ident);
        function.vis = Visibility::Inherited;
        function.sig.ident = self.hidden.clone();
        quote!(#function)
    }

    /// The definition, with what is its own, and the function that builds calls. `module` is the SDK's for its kind.
    pub fn write(&self, module: &str, own: TokenStream) -> TokenStream {
        let Function { krate, arguments, function, options, output, .. } = self;
        let ItemFn { attrs, vis, sig, .. } = function;
        let (ident, module) = (&sig.ident, format_ident!("{module}"));
        let name = options.name.as_ref().map_or_else(|| ident.to_string(), |name| name.value());
        let declared = options.build(quote!(#krate::#module::Options));
        let ok = signature::ok(output, krate);
        let checked = arguments.checked(krate, &ok);
        let (args, tuple, parameters) = (arguments.tuple_type(ident), arguments.tuple(ident), arguments.parameters());
        let (attrs, conditions) = (attributes::outside(attrs), attributes::conditions(attrs));
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

            #conditions
            const _: fn() = || { #checked };

            #(#attrs)*
            #vis fn #ident(#parameters) -> #krate::#module::Call<#ident> {
                #krate::#module::Call::new(#tuple)
            }
        }
    }
}
