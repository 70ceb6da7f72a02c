//! `#[activity]` on a function.

use crate::options::{Options, Shape};
use crate::signature;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{ItemFn, Result};

pub const OPTIONS: &[(&str, Shape)] = &[
    ("start_to_close_timeout", Shape::Duration),
    ("schedule_to_close_timeout", Shape::Duration),
    ("schedule_to_start_timeout", Shape::Duration),
    ("heartbeat_timeout", Shape::Duration),
    ("max_attempts", Shape::Count),
    ("initial_interval", Shape::Duration),
    ("maximum_interval", Shape::Duration),
    ("backoff_coefficient", Shape::Factor),
    ("non_retryable_errors", Shape::Texts),
    ("task_queue", Shape::Text),
    ("rate_limit", Shape::Rate),
    ("local", Shape::Flag),
    ("priority", Shape::Expression),
    ("cancellation", Shape::Expression),
    ("summary", Shape::Text),
];

const WHAT: &str = "an activity";

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(attribute, OPTIONS)?;
    let function: ItemFn = syn::parse2(item)?;
    let ItemFn { attrs, vis, sig, .. } = &function;
    signature::check(sig, WHAT)?;
    signature::check_async(sig, "an activity is `async`")?;
    let output = signature::output(sig, WHAT)?;
    let arguments = signature::arguments(sig.inputs.iter(), WHAT)?;

    let krate = &options.crate_path;
    let ident = &sig.ident;
    let name = options.name.as_ref().map_or_else(|| ident.to_string(), |name| name.value());
    let declared = options.build(quote!(#krate::activity::Options));
    let (args, tuple) = (arguments.tuple_type(), arguments.tuple());
    let (parameters, passed) = (arguments.parameters(), arguments.passed());
    let body = inner(&function);
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis struct #ident {}

        impl #krate::activity::Definition for #ident {
            const NAME: &'static str = #name;
            type State = ();
            type Args = #args;
            type Output = <#output as #krate::error::Fallible>::Ok;

            fn options() -> #krate::activity::Options {
                #declared
            }

            fn run(
                _: #krate::private::Arc<()>,
                #tuple: Self::Args,
            ) -> #krate::private::BoxFuture<'static, #krate::Result<Self::Output>> {
                #body
                #krate::private::activity(#ident(#passed))
            }
        }

        #(#attrs)*
        #vis fn #ident(#parameters) -> #krate::activity::Call<#ident> {
            #krate::activity::Call::new(#tuple)
        }
    })
}

/// The function as it was written, for the inside of another one.
pub fn inner(function: &ItemFn) -> TokenStream {
    let (sig, block) = (&function.sig, &function.block);
    let lints = function
        .attrs
        .iter()
        .filter(|attribute| ["allow", "expect", "warn", "deny"].iter().any(|lint| attribute.path().is_ident(lint)));
    quote!(#(#lints)* #sig #block)
}
