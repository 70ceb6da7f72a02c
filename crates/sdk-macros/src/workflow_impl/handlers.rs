//! Signals, queries and updates: the function that takes a handler's name, and the arm that finds the handler.
//!
//! Invariants
//! - A handler that may change the state over time takes `this`; one that holds `self` is not `async`.
//! - No handler's name begins with two underscores, which belong to the platform, and no two of a kind have the same.

use super::method::{Marked, Role, mutable_self, shared_self, this_and_rest};
use super::renamed;
use crate::attributes;
use crate::options::Options;
use crate::signature::{self, Arguments};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use std::collections::BTreeSet;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ImplItemFn, Path, Result, ReturnType, Type};

/// What is written for the handlers.
#[derive(Default)]
pub(super) struct Written {
    pub(super) originals: Vec<TokenStream>,
    pub(super) constructors: Vec<TokenStream>,
    pub(super) signals: Vec<String>,
    pub(super) queries: Vec<String>,
    pub(super) updates: Vec<TokenStream>,
    pub(super) updates_of: Vec<Ident>,
    pub(super) signal_arms: Vec<TokenStream>,
    pub(super) query_arms: Vec<TokenStream>,
    pub(super) update_arms: Vec<TokenStream>,
    /// That arguments and answers can travel.
    pub(super) checks: Vec<TokenStream>,
    /// What is taken, by kind.
    names: BTreeSet<(&'static str, String)>,
}

impl Written {
    pub(super) fn handler(
        &mut self,
        krate: &Path,
        state: &Ident,
        one: &Marked,
        validator: Option<&ImplItemFn>,
    ) -> Result<()> {
        let Marked { method, mark, role, .. } = one;
        let sig = &method.sig;
        let (what, rule) = match role {
            Role::Signal => {
                ("a signal", "a signal changes the state: it takes `&mut self`, or `this: This<Self>` if it is `async`")
            }
            Role::Query => ("a query", "a query looks, and changes nothing: it takes `&self`"),
            _ => (
                "an update",
                "an update changes the state: it takes `&mut self`, or `this: This<Self>` if it is `async`",
            ),
        };
        signature::check(sig, what)?;
        let (inputs, this) = match (role, &sig.asyncness) {
            (Role::Query, Some(asyncness)) => {
                return Err(Error::new(asyncness.span(), "a query answers at once: it is not `async`"));
            }
            (Role::Query, None) => (shared_self(method, rule)?, false),
            (_, None) => (mutable_self(method, rule)?, false),
            (_, Some(_)) => {
                let (this, inputs) = this_and_rest(sig.inputs.iter().collect())?;
                (inputs, this)
            }
        };
        let arguments = signature::arguments(inputs.into_iter(), what)?;
        let name = match &mark.meta {
            syn::Meta::Path(_) => sig.ident.to_string(),
            syn::Meta::List(list) => {
                let options = Options::parse(list.tokens.clone(), &[])?;
                options.name.map_or_else(|| sig.ident.to_string(), |name| name.value())
            }
            syn::Meta::NameValue(value) => return Err(Error::new(value.span(), "write #[signal(name = \"...\")]")),
        };
        if name.starts_with("__") {
            return Err(Error::new(mark.span(), "names that begin with two underscores belong to the platform"));
        }
        let hidden = format_ident!("__handler_{}", sig.ident);
        self.originals.push(renamed(method, &hidden));

        let (attrs, vis, ident) = (attributes::outside(&method.attrs), &method.vis, &sig.ident);
        if !self.names.insert((what, name.clone())) {
            return Err(Error::new(ident.span(), format!("there is {what} named `{name}` already")));
        }
        let (args, tuple, passed) = (arguments.tuple_type(ident), arguments.tuple(ident), arguments.passed());
        let parameters = arguments.parameters();
        let (answer, fallible) = answer(&sig.output, krate);
        self.checks.push(arguments.checked(krate, &answer));
        let (this_name, state_name) = (this_name(), state_name());
        let this_arg = this.then(|| quote!(#this_name,));
        let handler = arguments.span(ident);
        let sdk = signature::at(handler, quote!(#krate::workflow));
        let body = |call: TokenStream| match fallible {
            true => call,
            false => quote!(#krate::workflow::infallible(#call)),
        };
        let (message, arm) = match role {
            Role::Signal => {
                if let ReturnType::Type(_, output) = &sig.output {
                    return Err(Error::new(output.span(), "nobody waits for a signal's answer: make it an #[update]"));
                }
                self.signals.push(name.clone());
                let arm = match &sig.asyncness {
                    None => {
                        quote_spanned! {handler=>
                            #sdk::SignalHandler::now(received, |#state_name: &mut Self, #tuple: #args| {
                                #state_name.#hidden(#passed)
                            })
                        }
                    }
                    Some(_) => {
                        quote_spanned! {handler=>
                            #sdk::SignalHandler::over_time(received, |#this_name, #tuple: #args| {
                                Self::#hidden(#this_arg #passed)
                            })
                        }
                    }
                };
                (quote!(Signal<#state>), arm)
            }
            Role::Query => {
                self.queries.push(name.clone());
                let body = body(quote!(#state_name.#hidden(#passed)));
                let answered = signature::over(&answer);
                let sdk = signature::at(answered, quote!(#krate::workflow));
                (
                    quote!(Query<#state, #answer>),
                    quote_spanned! {answered=>
                        #sdk::QueryHandler::new(received, |#state_name: &Self, #tuple: #args| #body)
                    },
                )
            }
            _ => {
                let has_validator = validator.is_some();
                self.updates.push(quote!((#name, #has_validator)));
                self.updates_of.push(sig.ident.clone());
                let check = match validator {
                    Some(validator) => check(krate, validator, &arguments, &args, &tuple)?,
                    None => quote!(|_: &Self, _: &#args| #krate::Result::Ok(())),
                };
                let arm = match &sig.asyncness {
                    None => {
                        let body = body(quote!(#state_name.#hidden(#passed)));
                        quote_spanned! {handler=>
                            #sdk::UpdateHandler::now(received, #check, |#state_name: &mut Self, #tuple: #args| #body)
                        }
                    }
                    Some(_) => {
                        let body = body(quote!(Self::#hidden(#this_arg #passed).await));
                        quote_spanned! {handler=>
                            #sdk::UpdateHandler::over_time(received, #check, |#this_name, #tuple: #args| async move {
                                #body
                            })
                        }
                    }
                };
                (quote!(Update<#state, #answer>), arm)
            }
        };
        let constructor = message_name(&message);
        self.constructors.push(quote! {
            #(#attrs)*
            #vis fn #ident(#parameters) -> #krate::workflow::#message {
                #krate::workflow::#constructor::new(#name, #tuple)
            }
        });
        let arm = quote!(#name => ::core::option::Option::Some(#arm),);
        match role {
            Role::Signal => self.signal_arms.push(arm),
            Role::Query => self.query_arms.push(arm),
            _ => self.update_arms.push(arm),
        }
        Ok(())
    }
}

/// What the run is called where arguments of any name are at hand.
pub(super) fn this_name() -> Ident {
    Ident::new("this", Span::mixed_site())
}

/// What the state is called there.
fn state_name() -> Ident {
    Ident::new("state", Span::mixed_site())
}

/// `Signal` of `Signal<Order>`.
fn message_name(message: &TokenStream) -> TokenStream {
    message.clone().into_iter().take(1).collect()
}

/// The validator, called with references to what the update will be given.
fn check(
    krate: &Path,
    validator: &ImplItemFn,
    arguments: &Arguments,
    args: &TokenStream,
    tuple: &TokenStream,
) -> Result<TokenStream> {
    let ident = &validator.sig.ident;
    let given = validator.sig.inputs.len().saturating_sub(1);
    if given != arguments.len() {
        let message = format!("it takes references to the update's {} argument(s), not {given}", arguments.len());
        return Err(Error::new(ident.span(), message));
    }
    for input in validator.sig.inputs.iter().skip(1) {
        let FnArg::Typed(typed) = input else { continue };
        if !matches!(&*typed.ty, Type::Reference(_)) {
            let message = "a validator only looks at the update's arguments: take a reference";
            return Err(Error::new_spanned(&typed.ty, message));
        }
    }
    let (passed, state) = (arguments.passed(), state_name());
    let verdict = match &validator.sig.output {
        ReturnType::Type(_, output) => signature::over(output),
        ReturnType::Default => signature::over(ident),
    };
    let into_result = signature::at(verdict, quote!(#krate::error::Fallible::into_result));
    let call = quote_spanned!(verdict=> #into_result(#state.#ident(#passed)));
    Ok(quote_spanned!(verdict=> |#state: &Self, #tuple: &#args| #call))
}

/// What the caller gets, and whether the method may fail.
fn answer(output: &ReturnType, krate: &Path) -> (TokenStream, bool) {
    match output {
        ReturnType::Default => (quote!(()), false),
        ReturnType::Type(_, output) => match &**output {
            Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result") => {
                (signature::ok(output, krate), true)
            }
            other => (quote!(#other), false),
        },
    }
}
