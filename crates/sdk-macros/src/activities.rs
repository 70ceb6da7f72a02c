//! `#[activities]` on an `impl`: activities that share the state they are methods of.
//!
//! The methods marked `#[activity]` move out of the way, and functions of the same names take their place: they build
//! calls. Methods without a mark stay what they are.

use crate::activity;
use crate::attributes;
use crate::function::Declaration;
use crate::options::Options;
use crate::signature;
use crate::workflow_impl::{renamed, type_name};
use proc_macro2::{Span, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, ImplItem, ImplItemFn, Item, Path, Result, Type};

pub fn expand(attribute: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let options = Options::parse(attribute, &[])?;
    let item = match syn::parse2(item)? {
        Item::Impl(item) => item,
        other => {
            let message = "#[activities] goes on an `impl`; a function by itself is #[activity]";
            return Err(Error::new_spanned(other, message));
        }
    };
    if let Some(name) = &options.name {
        return Err(Error::new(name.span(), "names belong to the methods: #[activity(name = \"...\")]"));
    }
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new(path.span(), "activities are an inherent `impl` of the state they share"));
    }
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new(generic.span(), "an activity has one name and so one type: it cannot be generic"));
    }
    let state = type_name(&item.self_ty)?;
    let (attrs, conditions) = (&item.attrs, attributes::conditions(&item.attrs));
    let krate = options.crate_path;
    let mut written = Written::default();
    for item in item.items {
        match item {
            ImplItem::Verbatim(tokens) => {
                if let Ok(Declaration { attrs, sig, .. }) = syn::parse2(tokens.clone())
                    && attrs.iter().any(is_mark)
                {
                    let message = "an activity that runs elsewhere has no state here: declare it as a function";
                    return Err(Error::new(sig.ident.span(), message));
                }
                written.others.push(ImplItem::Verbatim(tokens));
            }
            ImplItem::Fn(mut method) => match method.attrs.iter().position(is_mark) {
                Some(at) => {
                    let mark = method.attrs.remove(at);
                    let tokens = match mark.meta {
                        syn::Meta::Path(_) => TokenStream::new(),
                        syn::Meta::List(list) => list.tokens,
                        syn::Meta::NameValue(value) => {
                            return Err(Error::new(value.span(), "write #[activity(name = \"...\")]"));
                        }
                    };
                    written.activity(&krate, &state, &conditions, tokens, &method)?;
                }
                None => written.others.push(ImplItem::Fn(method)),
            },
            other => written.others.push(other),
        }
    }
    if written.definitions.is_empty() {
        return Err(Error::new(state.span(), "there is no method marked #[activity]"));
    }
    let Written { others, originals, constructors, definitions, registrations } = written;
    Ok(quote! {
        #(#attrs)*
        impl #state {
            #(#others)*
            #(#constructors)*
        }

        #(#attrs)*
        #[doc(hidden)]
        impl #state {
            #(#originals)*
        }

        #(#definitions)*

        #conditions
        impl #krate::activity::Activities for #state {
            fn register(state: #krate::private::Arc<Self>, registrar: &mut #krate::activity::Registrar) {
                #(#registrations)*
            }
        }
    })
}

fn is_mark(attribute: &Attribute) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == "activity")
}

#[derive(Default)]
struct Written {
    others: Vec<ImplItem>,
    originals: Vec<TokenStream>,
    constructors: Vec<TokenStream>,
    definitions: Vec<TokenStream>,
    registrations: Vec<TokenStream>,
}

/// What a method is called on.
enum Receiver {
    Shared,
    Counted,
    None,
}

impl Written {
    fn activity(
        &mut self,
        krate: &Path,
        state: &Ident,
        conditions: &TokenStream,
        attribute: TokenStream,
        method: &ImplItemFn,
    ) -> Result<()> {
        let mut options = activity::options(attribute)?;
        options.crate_path = krate.clone();
        let sig = &method.sig;
        signature::check(sig, activity::WHAT)?;
        let blocking = options.has("blocking");
        activity::check_asyncness(sig, blocking)?;
        let output = signature::output(sig, activity::WHAT)?;
        let receiver = receiver(method)?;
        let skipped = usize::from(!matches!(receiver, Receiver::None));
        let arguments = signature::arguments(sig.inputs.iter().skip(skipped), activity::WHAT)?;

        let ok = signature::ok(&output, krate);
        let checked = arguments.checked(krate, &ok);
        let (attrs, vis, ident) = (attributes::outside(&method.attrs), &method.vis, &sig.ident);
        let name = options.name.as_ref().map_or_else(|| ident.to_string(), |name| name.value());
        let hidden = format_ident!("__activity_{ident}");
        // As visible as the method. That it is one of the state keeps it from being more visible than the state.
        let definition_name = format_ident!("__{state}_{ident}");
        let definition = quote!(#definition_name<#state>);
        let declared = options.build(quote!(#krate::activity::Options));
        let (args, tuple) = (arguments.tuple_type(ident), arguments.tuple(ident));
        let (parameters, passed) = (arguments.parameters(), arguments.passed());
        // An argument may have this name too.
        let on = Ident::new("state", Span::mixed_site());
        let (state_type, call) = match receiver {
            Receiver::Shared => (quote!(#state), quote!(#state::#hidden(&#on, #passed))),
            Receiver::Counted => (quote!(#state), quote!(#state::#hidden(#on, #passed))),
            Receiver::None => (quote!(()), quote!(#state::#hidden(#passed))),
        };
        let body = match blocking {
            true => {
                quote_spanned!(signature::over(&output)=> #krate::private::blocking(move || { let _ = &#on; #call }))
            }
            false => {
                quote_spanned!(signature::over(&output)=> #krate::private::activity(async move { let _ = &#on; #call.await }))
            }
        };
        let registered_on = match receiver {
            Receiver::None => quote!(#krate::private::Arc::new(())),
            _ => quote!(state.clone()),
        };
        self.originals.push(renamed(method, &hidden));
        self.constructors.push(quote! {
            #(#attrs)*
            #[allow(private_interfaces)]
            #vis fn #ident(#parameters) -> #krate::activity::Call<#definition> {
                #krate::activity::Call::new(#tuple)
            }
        });
        let returned = signature::returned(&output);
        self.definitions.push(quote! {
            #conditions
            #[doc(hidden)]
            #[allow(non_camel_case_types)]
            #vis struct #definition_name<S>(::core::marker::PhantomData<fn() -> S>);

            #conditions
            const _: fn() = || { #checked };

            #conditions
            impl #krate::activity::Implemented for #definition {}

            #conditions
            impl #krate::activity::Definition for #definition {
                const NAME: &'static str = #name;
                type State = #state_type;
                type Args = #args;
                type Output = #ok;

                const BLOCKING: bool = #blocking;

                fn options() -> #krate::activity::Options {
                    #declared
                }

                fn run(
                    #on: #krate::private::Arc<Self::State>,
                    #tuple: Self::Args,
                ) -> #krate::private::BoxFuture<'static, #krate::Result<#returned>> {
                    #body
                }
            }
        });
        self.registrations.push(quote!(registrar.add::<#definition>(#registered_on);));
        Ok(())
    }
}

fn receiver(method: &ImplItemFn) -> Result<Receiver> {
    let Some(FnArg::Receiver(receiver)) = method.sig.inputs.first() else { return Ok(Receiver::None) };
    if receiver.mutability.is_some() && receiver.reference.is_some() {
        let message = "many calls run at once on one state: take `&self`, and lock what changes";
        return Err(Error::new_spanned(receiver, message));
    }
    match (&receiver.reference, &*receiver.ty) {
        (Some(_), _) => Ok(Receiver::Shared),
        (None, Type::Path(path)) if path.path.segments.last().is_some_and(|last| last.ident == "Arc") => {
            Ok(Receiver::Counted)
        }
        _ => Err(Error::new_spanned(receiver, "an activity is called on `&self` or `self: Arc<Self>`")),
    }
}
