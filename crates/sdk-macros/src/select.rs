//! `select! { pattern = future => code, ... }`: the first future that is ready, looked at in the order written.

use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Ident, Pat, Result, Token};

struct Branch {
    pattern: Pat,
    future: Expr,
    code: Expr,
}

struct Branches(Vec<Branch>);

impl Parse for Branches {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut branches = Vec::new();
        while !input.is_empty() {
            let pattern = Pat::parse_multi_with_leading_vert(input)?;
            input.parse::<Token![=]>()?;
            let future = input.parse()?;
            input.parse::<Token![=>]>()?;
            // As in a `match`: a block ends where it ends, whatever the next pattern begins with.
            let code = Expr::parse_with_earlier_boundary_rule(input)?;
            let needs_comma = !matches!(
                code,
                Expr::Block(_) | Expr::If(_) | Expr::Match(_) | Expr::Loop(_) | Expr::While(_) | Expr::ForLoop(_)
            );
            branches.push(Branch { pattern, future, code });
            if input.is_empty() {
                break;
            }
            match needs_comma {
                true => drop(input.parse::<Token![,]>()?),
                false => drop(input.parse::<Option<Token![,]>>()?),
            }
        }
        Ok(Branches(branches))
    }
}

pub fn expand(branches: TokenStream) -> Result<TokenStream> {
    let Branches(branches) = syn::parse2(branches)?;
    if branches.is_empty() {
        return Err(Error::new(Span::call_site(), "nothing to wait for: `pattern = future => code`"));
    }
    let of = |prefix: &str| {
        let names = (0..branches.len()).map(|at| format_ident!("{prefix}{at}", span = Span::mixed_site()));
        names.collect::<Vec<_>>()
    };
    let (futures, variants) = (of("future_"), of("Ready"));
    let expressions = branches.iter().map(|branch| &branch.future);
    let patterns = branches.iter().map(|branch| &branch.pattern);
    let codes = branches.iter().map(|branch| &branch.code);
    // Neither variables nor types of the code around are hidden by these.
    let first = Ident::new("first", Span::mixed_site());
    let enumeration = Ident::new("__Select", Span::mixed_site());
    // The losers are dropped, and so cancelled, before the winner's code runs.
    Ok(quote! {{
        #[allow(non_camel_case_types)]
        enum #enumeration<#(#variants),*> { #(#variants(#variants)),* }
        let #first = {
            #(let mut #futures = ::core::pin::pin!(::core::future::IntoFuture::into_future(#expressions));)*
            ::core::future::poll_fn(|context| {
                #(if let ::core::task::Poll::Ready(ready) = ::core::future::Future::poll(#futures.as_mut(), context) {
                    return ::core::task::Poll::Ready(#enumeration::#variants(ready));
                })*
                ::core::task::Poll::Pending
            })
            .await
        };
        match #first { #(#enumeration::#variants(#patterns) => #codes),* }
    }})
}
