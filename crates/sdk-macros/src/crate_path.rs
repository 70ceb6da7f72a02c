//! How expanded code names the SDK.

use proc_macro2::Span;
use syn::Path;

/// `::tradewind`, unless the attribute says `crate = path`.
pub fn default() -> Path {
    let name = syn::Ident::new("tradewind", Span::call_site());
    syn::parse_quote!(::#name)
}
