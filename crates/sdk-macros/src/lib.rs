//! The attributes of the Tradewind SDK.
//!
//! They parse, check, and write calls of named functions in the SDK; what those do is not decided here. Every complaint
//! points at the token that it is about. The SDK documents them, since that is where users find them.

mod activities;
mod activity;
mod attributes;
mod crate_path;
mod duration;
mod function;
mod options;
mod select;
mod signature;
mod workflow;
mod workflow_impl;

use proc_macro::TokenStream;

#[proc_macro_attribute]
pub fn activity(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(activity::expand(attribute.into(), item.into()))
}

#[proc_macro_attribute]
pub fn activities(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(activities::expand(attribute.into(), item.into()))
}

#[proc_macro_attribute]
pub fn workflow(attribute: TokenStream, item: TokenStream) -> TokenStream {
    expand(workflow::expand(attribute.into(), item.into()))
}

#[proc_macro]
pub fn select(branches: TokenStream) -> TokenStream {
    expand(select::expand(branches.into()))
}

fn expand(result: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    result.unwrap_or_else(syn::Error::into_compile_error).into()
}
