//! A workflow whose code is elsewhere: its entrypoint and handlers are declared, with semicolons in the place of bodies,
//! and only what builds calls and messages is written.

use super::handlers::Written;
use super::method::{Marked, Role};
use super::{Entrypoint, attributes};
use crate::options::Options;
use crate::signature;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Attribute, Error, Ident, ImplItem, Result};

pub(super) fn expand(
    options: &Options,
    state: &Ident,
    attrs: &[Attribute],
    entrypoint: &Entrypoint,
    marked: &[Marked],
    others: &[ImplItem],
) -> Result<TokenStream> {
    let krate = &options.crate_path;
    let mut written = Written::default();
    for one in marked {
        match one.role {
            Role::Entrypoint => {}
            Role::Signal | Role::Query | Role::Update if one.has_body => {
                let message =
                    "its entrypoint has no body, so this workflow runs elsewhere: write `;` for this body too";
                return Err(Error::new(one.method.sig.ident.span(), message));
            }
            Role::Signal | Role::Query | Role::Update => written.handler(krate, state, one, None)?,
            Role::Init | Role::Validator => {
                let message = "this belongs to the workflow's code, which is elsewhere: its entrypoint has no body";
                return Err(Error::new(one.method.sig.ident.span(), message));
            }
        }
    }
    let name = options.name.as_ref().map_or_else(|| state.to_string(), |name| name.value());
    let declared = options.build(quote!(#krate::workflow::Options));
    let Entrypoint { ident, constructor, arguments, output, .. } = entrypoint;
    let (args, ok, returned) = (arguments.tuple_type(ident), signature::ok(output, krate), signature::returned(output));
    let checked = arguments.checked(krate, &ok);
    let conditions = attributes::conditions(attrs);
    let Written { constructors, checks, .. } = written;
    Ok(quote! {
        #(#attrs)*
        impl #state {
            #(#others)*
            #constructor
            #(#constructors)*
        }

        #conditions
        impl #krate::workflow::Definition for #state {
            const NAME: &'static str = #name;
            type State = ();
            type Args = #args;
            type Output = #ok;

            fn options() -> #krate::workflow::Options {
                let _ = || { #checked #(#checks)* };
                #declared
            }

            fn init(_: ::core::option::Option<Self::Args>) {}

            fn run(
                _: #krate::workflow::This<Self>,
                _: Self::Args,
            ) -> #krate::private::LocalBoxFuture<'static, #krate::Result<#returned>> {
                #krate::private::workflow_elsewhere(Self::NAME)
            }
        }
    })
}
