//! `#[activity]` on a function.

use crate::options::{Options, Shape};
use crate::signature;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn, Result, Signature, Visibility};

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
    ("blocking", Shape::Switch),
    ("priority", Shape::Expression),
    ("cancellation", Shape::Expression),
    ("summary", Shape::Text),
];

pub const WHAT: &str = "an activity";

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(attribute, OPTIONS)?;
    let function: ItemFn = syn::parse2(item)?;
    let ItemFn { attrs, vis, sig, .. } = &function;
    signature::check(sig, WHAT)?;
    let blocking = options.has("blocking");
    check_asyncness(sig, blocking)?;
    let output = signature::output(sig, WHAT)?;
    let arguments = signature::arguments(sig.inputs.iter(), WHAT)?;

    let krate = &options.crate_path;
    let (ok, checked) = (signature::ok(&output, krate), arguments.checked(krate));
    let ident = &sig.ident;
    let name = options.name.as_ref().map_or_else(|| ident.to_string(), |name| name.value());
    let declared = options.build(quote!(#krate::activity::Options));
    let (args, tuple) = (arguments.tuple_type(), arguments.tuple());
    let (parameters, passed) = (arguments.parameters(), arguments.passed());
    let hidden = format_ident!("__{ident}");
    let body = inner(&function, &hidden);
    let run = match blocking {
        true => quote!(#krate::private::blocking(move || #hidden(#passed))),
        false => quote!(#krate::private::activity(#hidden(#passed))),
    };
    Ok(quote! {
        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        #vis struct #ident {}

        impl #krate::activity::Definition for #ident {
            const NAME: &'static str = #name;
            type State = ();
            type Args = #args;
            type Output = #ok;

            fn options() -> #krate::activity::Options {
                #declared
            }

            fn run(
                _: #krate::private::Arc<()>,
                #tuple: Self::Args,
            ) -> #krate::private::BoxFuture<'static, #krate::Result<Self::Output>> {
                #body
                #run
            }
        }

        #checked

        #(#attrs)*
        #vis fn #ident(#parameters) -> #krate::activity::Call<#ident> {
            #krate::activity::Call::new(#tuple)
        }
    })
}

/// Blocking activities are plain functions, and all others async ones.
pub fn check_asyncness(signature: &Signature, blocking: bool) -> Result<()> {
    match (blocking, &signature.asyncness) {
        (true, Some(asyncness)) => Err(Error::new(
            asyncness.span(),
            "a blocking activity is a plain function: leave out `async`, or `blocking`",
        )),
        (true, None) => Ok(()),
        (false, _) => {
            signature::check_async(signature, "an activity is `async`; a plain function is #[activity(blocking)]")
        }
    }
}

/// The function as it was written, under another name, for the inside of another one: so its own name, in its body too,
/// means the call.
pub fn inner(function: &ItemFn, name: &Ident) -> TokenStream {
    let mut function = function.clone();
    let lints = ["allow", "expect", "warn", "deny"];
    function.attrs.retain(|attribute| lints.iter().any(|lint| attribute.path().is_ident(lint)));
    function.vis = Visibility::Inherited;
    function.sig.ident = name.clone();
    quote!(#function)
}
