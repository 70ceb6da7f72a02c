//! `#[workflow]` on an `impl`: a type whose entrypoint and handlers share its state.
//!
//! The methods that are marked move out of the way, and functions of the same names take their place: they build what
//! a client or another workflow sends. Methods without a mark stay what they are.

mod elsewhere;
mod handlers;
mod method;

use self::handlers::{Written, this_name};
use self::method::{Marked, Role, no_options, only, shared_self, split, this_and_rest};
use crate::attributes;
use crate::options::Options;
use crate::signature::{self, Arguments};
use crate::workflow::OPTIONS;
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ImplItemFn, ItemImpl, Path, Result, ReturnType, Type};

pub fn expand(attribute: TokenStream, item: ItemImpl) -> Result<TokenStream> {
    let options = Options::parse(attribute, OPTIONS)?;
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new(path.span(), "a workflow is an inherent `impl`: its state is its own type"));
    }
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new(generic.span(), "a workflow has one name and so one type: it cannot be generic"));
    }
    let state = type_name(&item.self_ty)?;
    let (attrs, conditions) = (&item.attrs, attributes::conditions(&item.attrs));
    let (marked, others) = split(item.items)?;
    let krate = options.crate_path.clone();

    let entrypoint = only(&marked, Role::Entrypoint)?.ok_or_else(|| {
        Error::new(state.span(), "a workflow needs a method marked #[entrypoint]: the code that runs from its start")
    })?;
    let entrypoint = self::entrypoint(&krate, &state, entrypoint)?;
    if !entrypoint.has_body {
        return elsewhere::expand(&options, &state, &item.attrs, &entrypoint, &marked, &others);
    }
    if let Some(declared) = marked.iter().find(|one| !one.has_body) {
        let message = "its entrypoint has a body, so this workflow runs here, and this needs one too";
        return Err(Error::new(declared.method.sig.ident.span(), message));
    }
    let init = init(only(&marked, Role::Init)?, &state, &entrypoint)?;
    let validators = validators(&marked)?;

    let mut written = Written::default();
    for one in marked.iter().filter(|one| matches!(one.role, Role::Signal | Role::Query | Role::Update)) {
        let validator =
            validators.iter().find(|(update, _)| *update == one.method.sig.ident).map(|(_, method)| *method);
        written.handler(&krate, &state, one, validator)?;
    }
    if let Some((update, _)) = validators.iter().find(|(update, _)| !written.updates_of.contains(update)) {
        return Err(Error::new(update.span(), format!("there is no #[update] named `{update}` to validate")));
    }

    let name = options.name.as_ref().map_or_else(|| state.to_string(), |name| name.value());
    let declared = options.build(quote!(#krate::workflow::Options));
    let Entrypoint { ident, original, hidden, constructor, arguments, output, this, .. } = entrypoint;
    let (args, tuple, passed) = (arguments.tuple_type(&ident), arguments.tuple(&ident), arguments.passed());
    let ok = signature::ok(&output, &krate);
    let checked = arguments.checked(&krate, &ok);
    let returned = signature::returned(&output);
    let given = this_name();
    let this = this.then(|| quote!(#given,));
    let run = quote_spanned!(signature::over(&output)=> #krate::private::workflow(Self::#hidden(#this #passed)));
    let Init { takes_args, make, original: init_method } = init;
    let kept = marked.iter().filter(|one| one.role == Role::Validator).map(|one| &one.method);
    let Written {
        originals,
        constructors,
        signals,
        queries,
        updates,
        signal_arms,
        query_arms,
        update_arms,
        checks,
        ..
    } = written;
    Ok(quote! {
        #(#attrs)*
        impl #state {
            #(#others)*
            #(#kept)*
            #init_method
            #constructor
            #(#constructors)*
        }

        #(#attrs)*
        #[doc(hidden)]
        impl #state {
            #original
            #(#originals)*
        }

        #conditions
        impl #krate::workflow::Implemented for #state {}

        #conditions
        impl #krate::workflow::Definition for #state {
            const NAME: &'static str = #name;
            type State = Self;
            type Args = #args;
            type Output = #ok;

            fn options() -> #krate::workflow::Options {
                let _ = || { #checked #(#checks)* };
                #declared
            }

            const INIT_TAKES_ARGS: bool = #takes_args;

            fn init(args: ::core::option::Option<Self::Args>) -> Self {
                #make
            }

            fn run(
                #given: #krate::workflow::This<Self>,
                #tuple: Self::Args,
            ) -> #krate::private::LocalBoxFuture<'static, #krate::Result<#returned>> {
                #run
            }

            const MESSAGES: #krate::workflow::Messages = #krate::workflow::Messages {
                signals: &[#(#signals),*],
                queries: &[#(#queries),*],
                updates: &[#(#updates),*],
            };

            fn signal(
                name: &str,
                received: #krate::workflow::Received,
            ) -> ::core::option::Option<#krate::private::Decoded<#krate::workflow::SignalHandler<Self>>> {
                match name {
                    #(#signal_arms)*
                    _ => ::core::option::Option::None,
                }
            }

            fn query(
                name: &str,
                received: #krate::workflow::Received,
            ) -> ::core::option::Option<#krate::private::Decoded<#krate::workflow::QueryHandler<Self>>> {
                match name {
                    #(#query_arms)*
                    _ => ::core::option::Option::None,
                }
            }

            fn update(
                name: &str,
                received: #krate::workflow::Received,
            ) -> ::core::option::Option<#krate::private::Decoded<#krate::workflow::UpdateHandler<Self>>> {
                match name {
                    #(#update_arms)*
                    _ => ::core::option::Option::None,
                }
            }
        }
    })
}

/// The type that is the state, which must be a plain name, since functions beside it need its name too.
pub fn type_name(of: &Type) -> Result<Ident> {
    match of {
        Type::Path(path) if path.qself.is_none() => match path.path.get_ident() {
            Some(ident) => Ok(ident.clone()),
            None => Err(Error::new(path.span(), "write the `impl` where the type is defined, with its plain name")),
        },
        other => Err(Error::new(other.span(), "this is not the name of a type")),
    }
}

/// The entrypoint, and what is written for it.
struct Entrypoint {
    ident: Ident,
    original: TokenStream,
    hidden: Ident,
    constructor: TokenStream,
    arguments: Arguments,
    output: Type,
    /// Whether it wants to reach the state.
    this: bool,
    /// Whether its code is here.
    has_body: bool,
}

fn entrypoint(krate: &Path, state: &Ident, marked: &Marked) -> Result<Entrypoint> {
    no_options(marked)?;
    let ImplItemFn { attrs, vis, sig, .. } = &marked.method;
    let attrs = attributes::outside(attrs);
    signature::check(sig, "a workflow")?;
    signature::check_async(sig, "the entrypoint is `async`")?;
    let output = signature::output(sig, "the entrypoint")?;
    let (this, inputs) = this_and_rest(sig.inputs.iter().collect())?;
    let arguments = signature::arguments(inputs.into_iter(), "the entrypoint")?;
    let ident = sig.ident.clone();
    let hidden = format_ident!("__entrypoint_{ident}");
    let (parameters, tuple) = (arguments.parameters(), arguments.tuple(&ident));
    let constructor = quote! {
        #(#attrs)*
        #vis fn #ident(#parameters) -> #krate::workflow::Call<#state> {
            #krate::workflow::Call::new(#tuple)
        }
    };
    let (original, has_body) = (renamed(&marked.method, &hidden), marked.has_body);
    Ok(Entrypoint { ident, original, hidden, constructor, arguments, output, this, has_body })
}

/// How the state begins.
struct Init<'a> {
    takes_args: bool,
    make: TokenStream,
    original: Option<&'a ImplItemFn>,
}

fn init<'a>(marked: Option<&'a Marked>, state: &Ident, entrypoint: &Entrypoint) -> Result<Init<'a>> {
    let Some(marked) = marked else {
        let default = quote_spanned!(state.span()=> <Self as ::core::default::Default>::default());
        return Ok(Init { takes_args: false, make: quote!({ let _ = args; #default }), original: None });
    };
    let sig = &marked.method.sig;
    no_options(marked)?;
    if let Some(asyncness) = &sig.asyncness {
        return Err(Error::new(asyncness.span(), "the state is made at once: #[init] is not `async`"));
    }
    if let Some(FnArg::Receiver(receiver)) = sig.inputs.first() {
        return Err(Error::new_spanned(receiver, "#[init] makes the state: it has no `self` yet"));
    }
    if matches!(sig.output, ReturnType::Default) {
        return Err(Error::new(sig.ident.span(), "#[init] returns `Self`"));
    }
    let ident = &sig.ident;
    if sig.inputs.is_empty() {
        return Ok(Init {
            takes_args: false,
            make: quote!({ let _ = args; Self::#ident() }),
            original: Some(&marked.method),
        });
    }
    let arguments = signature::arguments(sig.inputs.iter(), "#[init]")?;
    if arguments.len() != entrypoint.arguments.len() {
        let message =
            format!("#[init] takes what the entrypoint takes, {} argument(s), or nothing", entrypoint.arguments.len());
        return Err(Error::new(ident.span(), message));
    }
    let (tuple, passed) = (arguments.tuple(ident), arguments.passed());
    let make = quote! {
        let #tuple = args.expect("they were asked for");
        Self::#ident(#passed)
    };
    Ok(Init { takes_args: true, make, original: Some(&marked.method) })
}

/// Each `#[validator(update)]` with the update that it checks.
fn validators(marked: &[Marked]) -> Result<Vec<(Ident, &ImplItemFn)>> {
    let mut validators: Vec<(Ident, &ImplItemFn)> = Vec::new();
    for one in marked.iter().filter(|one| one.role == Role::Validator) {
        let update: Ident = one
            .mark
            .parse_args()
            .map_err(|_| Error::new(one.mark.span(), "name the update that it checks: #[validator(add_item)]"))?;
        let sig = &one.method.sig;
        if let Some(asyncness) = &sig.asyncness {
            return Err(Error::new(asyncness.span(), "a validator answers at once: it is not `async`"));
        }
        shared_self(&one.method, "a validator looks, and changes nothing: it takes `&self`")?;
        if validators.iter().any(|(other, _)| *other == update) {
            return Err(Error::new(update.span(), format!("`{update}` has a validator already")));
        }
        validators.push((update, &one.method));
    }
    Ok(validators)
}

/// A method under another name, for the code that calls it.
pub fn renamed(method: &ImplItemFn, name: &Ident) -> TokenStream {
    let mut method = method.clone();
    method.attrs = attributes::inside(&method.attrs, &method.sig.ident);
    method.vis = syn::Visibility::Inherited;
    method.sig.ident = name.clone();
    quote!(#method)
}
