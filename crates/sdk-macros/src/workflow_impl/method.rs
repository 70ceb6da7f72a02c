//! A method of the `impl`: what its mark says that it is for, and which `self` it takes.
//!
//! Invariants
//! - A marked method has one role, and its mark is no longer among its attributes.
//! - A method without a mark comes out as it went in.

use crate::function::Declaration;
use syn::spanned::Spanned;
use syn::{Attribute, Error, FnArg, ImplItem, ImplItemFn, Path, Result, Type};

/// What a method is for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Role {
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
pub(super) struct Marked {
    pub(super) method: ImplItemFn,
    /// Whether there is code, and not a semicolon in its place.
    pub(super) has_body: bool,
    pub(super) mark: Attribute,
    pub(super) role: Role,
}

pub(super) fn split(items: Vec<ImplItem>) -> Result<(Vec<Marked>, Vec<ImplItem>)> {
    let (mut marked, mut others) = (Vec::new(), Vec::new());
    for item in items {
        let Some((mut method, has_body)) = method(&item) else {
            others.push(item);
            continue;
        };
        match mark(&method)? {
            Some((at, role)) => {
                let mark = method.attrs.remove(at);
                marked.push(Marked { method, has_body, mark, role });
            }
            None => others.push(item),
        }
    }
    Ok((marked, others))
}

/// The method that this is, with whether it has a body: one without gets an empty one.
fn method(item: &ImplItem) -> Option<(ImplItemFn, bool)> {
    match item {
        ImplItem::Fn(method) => Some((method.clone(), true)),
        ImplItem::Verbatim(tokens) => {
            let Declaration { attrs, vis, sig } = syn::parse2(tokens.clone()).ok()?;
            Some((ImplItemFn { attrs, vis, defaultness: None, sig, block: syn::parse_quote!({}) }, false))
        }
        _ => None,
    }
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

pub(super) fn only(marked: &[Marked], role: Role) -> Result<Option<&Marked>> {
    let mut of_role = marked.iter().filter(|one| one.role == role);
    let first = of_role.next();
    match of_role.next() {
        Some(second) => Err(Error::new_spanned(&second.mark, "there is one already")),
        None => Ok(first),
    }
}

pub(super) fn no_options(marked: &Marked) -> Result<()> {
    match &marked.mark.meta {
        syn::Meta::Path(_) => Ok(()),
        other => Err(Error::new(other.span(), "this takes no options: they belong to #[workflow(...)]")),
    }
}

pub(super) fn shared_self<'a>(method: &'a ImplItemFn, rule: &str) -> Result<Vec<&'a FnArg>> {
    match method.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_none() => {
            Ok(method.sig.inputs.iter().skip(1).collect())
        }
        Some(first) => Err(Error::new_spanned(first, rule)),
        None => Err(Error::new(method.sig.ident.span(), rule)),
    }
}

pub(super) fn mutable_self<'a>(method: &'a ImplItemFn, rule: &str) -> Result<Vec<&'a FnArg>> {
    match method.sig.inputs.first() {
        Some(FnArg::Receiver(receiver)) if receiver.reference.is_some() && receiver.mutability.is_some() => {
            Ok(method.sig.inputs.iter().skip(1).collect())
        }
        Some(first) => Err(Error::new_spanned(first, rule)),
        None => Err(Error::new(method.sig.ident.span(), rule)),
    }
}

/// Whether the first argument is `this: This<Self>`, and the others.
pub(super) fn this_and_rest(inputs: Vec<&FnArg>) -> Result<(bool, Vec<&FnArg>)> {
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

fn is(path: &Path, name: &str) -> bool {
    path.segments.last().is_some_and(|segment| segment.ident == name)
}
