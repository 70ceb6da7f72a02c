//! `#[workflow]` on an `impl`: a type whose entrypoint and handlers share its state.
//!
//! The methods that are marked move out of the way, and functions of the same names take their place: they build what
//! a client or another workflow sends. Methods without a mark stay what they are.

use crate::options::Options;
use crate::signature::{self, Arguments};
use crate::workflow::OPTIONS;
use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Path, Result, ReturnType, Type};

/// What a method is for.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    Init,
    Entrypoint,
    Signal,
    Query,
    Update,
    Validator,
}

const ROLES: [(&str, Role); 6] = [
    ("init", Role::Init),
    ("entrypoint", Role::Entrypoint),
    ("signal", Role::Signal),
    ("query", Role::Query),
    ("update", Role::Update),
    ("validator", Role::Validator),
];

/// A marked method.
struct Marked {
    method: ImplItemFn,
    mark: Attribute,
    role: Role,
}

pub fn expand(attribute: TokenStream, item: ItemImpl) -> Result<TokenStream> {
    let options = Options::parse(attribute, OPTIONS)?;
    if let Some((_, path, _)) = &item.trait_ {
        return Err(Error::new(path.span(), "a workflow is an inherent `impl`: its state is its own type"));
    }
    if let Some(generic) = item.generics.params.first() {
        return Err(Error::new(generic.span(), "a workflow has one name and so one type: it cannot be generic"));
    }
    let state = type_name(&item.self_ty)?;
    let (marked, others) = split(item.items)?;
    let krate = options.crate_path.clone();

    let entrypoint = only(&marked, Role::Entrypoint)?.ok_or_else(|| {
        Error::new(state.span(), "a workflow needs a method marked #[entrypoint]: the code that runs from its start")
    })?;
    let entrypoint = self::entrypoint(&krate, &state, entrypoint)?;
    let init = init(only(&marked, Role::Init)?, &state)?;
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
    let Entrypoint { original, hidden, constructor, arguments, output, this } = entrypoint;
    let (args, tuple, passed) = (arguments.tuple_type(), arguments.tuple(), arguments.passed());
    let (ok, checked) = (signature::ok(&output, &krate), arguments.checked(&krate));
    let this = this.then(|| quote!(this,));
    let Init { takes_args, make, original: init_method } = init;
    let kept = marked.iter().filter(|one| one.role == Role::Validator).map(|one| &one.method);
    let Written { originals, constructors, signals, queries, updates, signal_arms, query_arms, update_arms, .. } =
        written;
    Ok(quote! {
        impl #state {
            #(#others)*
            #(#kept)*
            #init_method
            #constructor
            #(#constructors)*
        }

        #[doc(hidden)]
        impl #state {
            #original
            #(#originals)*
        }

        #checked

        impl #krate::workflow::Definition for #state {
            const NAME: &'static str = #name;
            type State = Self;
            type Args = #args;
            type Output = #ok;

            fn options() -> #krate::workflow::Options {
                #declared
            }

            const INIT_TAKES_ARGS: bool = #takes_args;

            fn init(args: ::core::option::Option<Self::Args>) -> Self {
                #make
            }

            fn run(
                this: #krate::workflow::This<Self>,
                #tuple: Self::Args,
            ) -> #krate::private::LocalBoxFuture<'static, #krate::Result<Self::Output>> {
                #krate::private::workflow(Self::#hidden(#this #passed))
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

fn split(items: Vec<ImplItem>) -> Result<(Vec<Marked>, Vec<ImplItem>)> {
    let (mut marked, mut others) = (Vec::new(), Vec::new());
    for item in items {
        match item {
            ImplItem::Fn(method) => match mark(&method)? {
                Some((at, role)) => {
                    let mut method = method;
                    let mark = method.attrs.remove(at);
                    marked.push(Marked { method, mark, role });
                }
                None => others.push(ImplItem::Fn(method)),
            },
            other => others.push(other),
        }
    }
    Ok((marked, others))
}

/// Which attribute of the method says what it is for.
fn mark(method: &ImplItemFn) -> Result<Option<(usize, Role)>> {
    let mut found = None;
    for (at, attribute) in method.attrs.iter().enumerate() {
        let Some((_, role)) = ROLES.iter().find(|(name, _)| is(attribute.path(), name)) else { continue };
        if found.is_some() {
            return Err(Error::new_spanned(attribute, "a method has one role: this is its second"));
        }
        found = Some((at, *role));
    }
    Ok(found)
}

fn is(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == name)
}

fn only(marked: &[Marked], role: Role) -> Result<Option<&Marked>> {
    let mut of_role = marked.iter().filter(|one| one.role == role);
    let first = of_role.next();
    match of_role.next() {
        Some(second) => Err(Error::new_spanned(&second.mark, "there is one already")),
        None => Ok(first),
    }
}

/// The entrypoint, and what is written for it.
struct Entrypoint {
    original: TokenStream,
    hidden: Ident,
    constructor: TokenStream,
    arguments: Arguments,
    output: Type,
    /// Whether it wants to reach the state.
    this: bool,
}

fn entrypoint(krate: &Path, state: &Ident, marked: &Marked) -> Result<Entrypoint> {
    no_options(marked)?;
    let ImplItemFn { attrs, vis, sig, .. } = &marked.method;
    signature::check(sig, "a workflow")?;
    signature::check_async(sig, "the entrypoint is `async`")?;
    let output = signature::output(sig, "the entrypoint")?;
    let (this, inputs) = this_and_rest(sig.inputs.iter().collect())?;
    let arguments = signature::arguments(inputs.into_iter(), "the entrypoint")?;
    let ident = &sig.ident;
    let hidden = format_ident!("__entrypoint_{ident}");
    let (parameters, tuple) = (arguments.parameters(), arguments.tuple());
    let constructor = quote! {
        #(#attrs)*
        #vis fn #ident(#parameters) -> #krate::workflow::Call<#state> {
            #krate::workflow::Call::new(#tuple)
        }
    };
    Ok(Entrypoint { original: renamed(&marked.method, &hidden), hidden, constructor, arguments, output, this })
}

/// How the state begins.
struct Init<'a> {
    takes_args: bool,
    make: TokenStream,
    original: Option<&'a ImplItemFn>,
}

fn init<'a>(marked: Option<&'a Marked>, state: &Ident) -> Result<Init<'a>> {
    let Some(marked) = marked else {
        let default = quote::quote_spanned!(state.span()=> <Self as ::core::default::Default>::default());
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
    let (tuple, passed) = (arguments.tuple(), arguments.passed());
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

/// What is written for the handlers.
#[derive(Default)]
struct Written {
    originals: Vec<TokenStream>,
    constructors: Vec<TokenStream>,
    signals: Vec<String>,
    queries: Vec<String>,
    updates: Vec<TokenStream>,
    updates_of: Vec<Ident>,
    signal_arms: Vec<TokenStream>,
    query_arms: Vec<TokenStream>,
    update_arms: Vec<TokenStream>,
}

impl Written {
    fn handler(&mut self, krate: &Path, state: &Ident, one: &Marked, validator: Option<&ImplItemFn>) -> Result<()> {
        let Marked { method, mark, role } = one;
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

        let (args, tuple, passed) = (arguments.tuple_type(), arguments.tuple(), arguments.passed());
        let parameters = arguments.parameters();
        let (attrs, vis, ident) = (&method.attrs, &method.vis, &sig.ident);
        let (answer, fallible) = answer(&sig.output);
        let this_arg = this.then(|| quote!(this,));
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
                        quote!(SignalHandler::now(received, |state: &mut Self, #tuple: #args| state.#hidden(#passed)))
                    }
                    Some(_) => {
                        quote!(SignalHandler::over_time(received, |this, #tuple: #args| Self::#hidden(#this_arg #passed)))
                    }
                };
                (quote!(Signal<#state>), arm)
            }
            Role::Query => {
                self.queries.push(name.clone());
                let body = body(quote!(state.#hidden(#passed)));
                (
                    quote!(Query<#state, #answer>),
                    quote!(QueryHandler::new(received, |state: &Self, #tuple: #args| #body)),
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
                        let body = body(quote!(state.#hidden(#passed)));
                        quote!(UpdateHandler::now(received, #check, |state: &mut Self, #tuple: #args| #body))
                    }
                    Some(_) => {
                        let body = body(quote!(Self::#hidden(#this_arg #passed).await));
                        quote!(UpdateHandler::over_time(received, #check, |this, #tuple: #args| async move { #body }))
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
        let arm = quote!(#name => ::core::option::Option::Some(#krate::workflow::#arm),);
        match role {
            Role::Signal => self.signal_arms.push(arm),
            Role::Query => self.query_arms.push(arm),
            _ => self.update_arms.push(arm),
        }
        Ok(())
    }
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
    let passed = arguments.passed();
    Ok(quote!(|state: &Self, #tuple: &#args| #krate::error::Fallible::into_result(state.#ident(#passed))))
}

/// What the caller gets, and whether the method may fail.
fn answer(output: &ReturnType) -> (TokenStream, bool) {
    match output {
        ReturnType::Default => (quote!(()), false),
        ReturnType::Type(_, output) => match &**output {
            Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result") => {
                let krate = crate::crate_path::default();
                (quote!(<#output as #krate::error::Fallible>::Ok), true)
            }
            other => (quote!(#other), false),
        },
    }
}

/// A method under another name, for the code that calls it.
pub fn renamed(method: &ImplItemFn, name: &Ident) -> TokenStream {
    let mut method = method.clone();
    let keep = ["allow", "expect", "warn", "deny"];
    method.attrs.retain(|attribute| keep.iter().any(|lint| attribute.path().is_ident(lint)));
    method.vis = syn::Visibility::Inherited;
    method.sig.ident = name.clone();
    quote!(#method)
}

fn no_options(marked: &Marked) -> Result<()> {
    match &marked.mark.meta {
        syn::Meta::Path(_) => Ok(()),
        other => Err(Error::new(other.span(), "this takes no options: they belong to #[workflow(...)]")),
    }
}

fn shared_self<'a>(method: &'a ImplItemFn, rule: &str) -> Result<Vec<&'a FnArg>> {
    match method.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {
            Ok(method.sig.inputs.iter().skip(1).collect())
        }
        Some(first) => Err(Error::new_spanned(first, rule)),
        None => Err(Error::new(method.sig.ident.span(), rule)),
    }
}

fn mutable_self<'a>(method: &'a ImplItemFn, rule: &str) -> Result<Vec<&'a FnArg>> {
    match method.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_some() => {
            Ok(method.sig.inputs.iter().skip(1).collect())
        }
        Some(first) => Err(Error::new_spanned(first, rule)),
        None => Err(Error::new(method.sig.ident.span(), rule)),
    }
}

/// Whether the first argument is `this: This<Self>`, and the others.
fn this_and_rest(inputs: Vec<&FnArg>) -> Result<(bool, Vec<&FnArg>)> {
    match inputs.first() {
        Some(FnArg::Receiver(receiver)) => Err(Error::new_spanned(
            receiver,
            "`self` cannot be held across awaits, when other handlers change it: take `this: This<Self>`",
        )),
        Some(FnArg::Typed(first)) => match &*first.ty {
            Type::Path(path) if is(&path.path, "This") => Ok((true, inputs.into_iter().skip(1).collect())),
            _ => Ok((false, inputs)),
        },
        None => Ok((false, inputs)),
    }
}
