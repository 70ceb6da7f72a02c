//! `#[workflow]` on a function, or on the declaration of one that runs elsewhere.

use crate::function::{Function, Written};
use crate::options::{Options, Shape};
use crate::signature;
use crate::workflow_impl;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{Error, Item, Result};

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
    let item = syn::parse2(item)?;
    match (Written::of(&item), item) {
        (Some(function), _) => of_function(attribute, &function),
        (None, Item::Impl(item)) => workflow_impl::expand(attribute, item),
        (None, other) => {
            Err(Error::new_spanned(other, "#[workflow] goes on an async function, or on the `impl` of its state"))
        }
    }
}

fn of_function(attribute: TokenStream, function: &Written) -> Result<TokenStream> {
    let options = Options::parse(attribute, OPTIONS)?;
    let checked = Function::check(function, &options, WHAT)?;
    signature::check_async(&function.sig, "a workflow is `async`")?;
    let Function { krate, arguments, hidden, output, .. } = &checked;
    let (tuple, passed, original) = (arguments.tuple(&function.sig.ident), arguments.passed(), checked.original());
    let run = match &original {
        Some(_) => quote_spanned!(signature::over(output)=> #krate::private::workflow(#hidden(#passed))),
        None => quote!({ let _ = #tuple; #krate::private::workflow_elsewhere(Self::NAME) }),
    };
    let returned = signature::returned(output);
    let own = quote! {
        fn init(_: ::core::option::Option<Self::Args>) {}

        fn run(
            _: #krate::workflow::This<Self>,
            #tuple: Self::Args,
        ) -> #krate::private::LocalBoxFuture<'static, #krate::Result<#returned>> {
            #original
            #run
        }
    };
    Ok(checked.write("workflow", own))
}
