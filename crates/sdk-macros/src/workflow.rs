//! `#[workflow]` on a function.

use crate::activity::inner;
use crate::options::{Options, Shape};
use crate::signature;
use crate::workflow_impl;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{Error, Item, ItemFn, Result};

pub const OPTIONS: &[(&str, Shape)] = &[
    ("task_queue", Shape::Text),
    ("execution_timeout", Shape::Duration),
    ("run_timeout", Shape::Duration),
    ("task_timeout", Shape::Duration),
    ("cron_schedule", Shape::Text),
    ("retry_policy", Shape::Expression),
    ("priority", Shape::Expression),
    ("parent_close_policy", Shape::Expression),
    ("cancellation", Shape::Expression),
    ("summary", Shape::Text),
];

const WHAT: &str = "a workflow";

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    match syn::parse2(item)? {
        Item::Fn(function) => of_function(attribute, function),
        Item::Impl(item) => workflow_impl::expand(attribute, item),
        other => Err(Error::new_spanned(other, "#[workflow] goes on an async function, or on the `impl` of its state")),
    }
}

fn of_function(attribute: TokenStream, function: ItemFn) -> Result<TokenStream> {
    let options = Options::parse(attribute, OPTIONS)?;
    let ItemFn { attrs, vis, sig, .. } = &function;
    signature::check(sig, WHAT)?;
    signature::check_async(sig, "a workflow is `async`")?;
    let output = signature::output(sig, WHAT)?;
    let arguments = signature::arguments(sig.inputs.iter(), WHAT)?;

    let krate = &options.crate_path;
    let (ok, checked) = (signature::ok(&output, krate), arguments.checked(krate));
    let ident = &sig.ident;
    let name = options.name.as_ref().map_or_else(|| ident.to_string(), |name| name.value());
    let declared = options.build(quote!(#krate::workflow::Options));
    let (args, tuple) = (arguments.tuple_type(), arguments.tuple());
    let (parameters, passed) = (arguments.parameters(), arguments.passed());
    let hidden = format_ident!("__{ident}");
    let body = inner(&function, &hidden);
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis struct #ident {}

        impl #krate::workflow::Definition for #ident {
            const NAME: &'static str = #name;
            type State = ();
            type Args = #args;
            type Output = #ok;

            fn options() -> #krate::workflow::Options {
                #declared
            }

            fn init(_: ::core::option::Option<Self::Args>) {}

            fn run(
                _: #krate::workflow::This<Self>,
                #tuple: Self::Args,
            ) -> #krate::private::LocalBoxFuture<'static, #krate::Result<Self::Output>> {
                #body
                #krate::private::workflow(#hidden(#passed))
            }
        }

        #checked

        #(#attrs)*
        #vis fn #ident(#parameters) -> #krate::workflow::Call<#ident> {
            #krate::workflow::Call::new(#tuple)
        }
    })
}
