//! `#[activity]` on a function, or on the declaration of one that runs elsewhere.

use crate::function::{Function, Written};
use crate::options::{Options, Shape};
use crate::signature;
use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Item, Result, Signature};

const OPTIONS: &[(&str, Shape)] = &[
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

/// What is said where the code is.
const ELSEWHERE: [&str; 3] = ["blocking", "local", "rate_limit"];

pub const WHAT: &str = "an activity";

/// What is said of a task on the server.
const OF_TASKS: [&str; 4] = ["task_queue", "rate_limit", "heartbeat_timeout", "priority"];

/// The options of an activity, none of which contradicts another.
pub fn options(attribute: TokenStream) -> Result<Options> {
    let options = Options::parse(attribute, OPTIONS)?;
    if options.has("local") {
        options.refuse(&OF_TASKS, "is for a task on the server, and an activity that is `local` has none")?;
    }
    Ok(options)
}

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = options(attribute)?;
    let item: Item = syn::parse2(item)?;
    let Some(function) = Written::of(&item) else {
        let message = "#[activity] goes on a function; for the methods of an `impl`, #[activities] goes on the `impl`";
        return Err(Error::new_spanned(item, message));
    };
    let checked = Function::check(&function, &options, WHAT)?;
    let blocking = options.has("blocking");
    check_asyncness(&function.sig, blocking)?;
    let Function { krate, arguments, hidden, output, .. } = &checked;
    let (tuple, passed, original) = (arguments.tuple(&function.sig.ident), arguments.passed(), checked.original());
    let run = match (&original, blocking) {
        (None, _) => {
            options
                .refuse(&ELSEWHERE, "is for the code of an activity, and this one runs elsewhere: it has no body")?;
            quote!({ let _ = #tuple; #krate::private::activity_elsewhere(Self::NAME) })
        }
        (Some(_), true) => {
            quote_spanned!(signature::over(output)=> #krate::private::blocking(move || #hidden(#passed)))
        }
        (Some(_), false) => quote_spanned!(signature::over(output)=> #krate::private::activity(#hidden(#passed))),
    };
    let returned = signature::returned(output);
    let own = quote! {
        const BLOCKING: bool = #blocking;

        fn run(
            _: #krate::private::Arc<()>,
            #tuple: Self::Args,
        ) -> #krate::private::BoxFuture<'static, #krate::Result<#returned>> {
            #original
            #run
        }
    };
    Ok(checked.write("activity", own))
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
