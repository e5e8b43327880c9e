//! The paths that code names: in `use` declarations, in expressions, types and patterns, in the tokens
//! that macros and attributes are given, and in strings such as that of `#[serde(with = "…")]`.

use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, ItemUse, Macro, Meta, UseTree};

/// The names of a path, without `::`.
pub(crate) type Path = Vec<String>;

/// Adds the paths that `item` names, but for those in test code.
pub(crate) fn mentions_of(item: &Item, mentions: &mut BTreeSet<Path>) {
    Mentions(mentions).visit_item(item);
}

/// Whether the attributes say `#[cfg(test)]`.
pub(crate) fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// The paths of a `use` declaration, each with the name that it binds: none for `as _`, `*` for all names.
pub(crate) fn use_paths(item: &ItemUse) -> Vec<(Path, Option<String>)> {
    let mut paths = Vec::new();
    // `use ::name` is another crate's.
    if item.leading_colon.is_none() {
        flatten(Vec::new(), &item.tree, &mut paths);
    }
    paths
}

fn flatten(mut before: Path, tree: &UseTree, paths: &mut Vec<(Path, Option<String>)>) {
    let (name, bound) = match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            return flatten(before, &path.tree, paths);
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                flatten(before.clone(), tree, paths);
            }
            return;
        }
        UseTree::Glob(_) => return paths.push((before, Some("*".to_owned()))),
        UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
        UseTree::Rename(rename) => (rename.ident.to_string(), rename.rename.to_string()),
    };
    let bound = match (name.as_str(), bound.as_str()) {
        (_, "_") => None,
        ("self", "self") => before.last().cloned(),
        _ => Some(bound),
    };
    if name != "self" {
        before.push(name);
    }
    paths.push((before, bound));
}

struct Mentions<'a>(&'a mut BTreeSet<Path>);

impl<'ast> Visit<'ast> for Mentions<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        let test = match item {
            Item::Fn(item) => is_test(&item.attrs),
            Item::Impl(item) => is_test(&item.attrs),
            Item::Const(item) => is_test(&item.attrs),
            Item::Struct(item) => is_test(&item.attrs),
            _ => false,
        };
        if !test {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        if !is_test(&function.attrs) {
            visit::visit_impl_item_fn(self, function);
        }
    }

    /// A `use` within a function.
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.0.extend(use_paths(item).into_iter().map(|(path, _)| path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let names = path.segments.iter().map(|segment| segment.ident.to_string());
            self.0.insert(names.collect());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast Macro) {
        visit::visit_macro(self, called);
        paths_in(called.tokens.clone(), self.0);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            paths_in(list.tokens.clone(), self.0);
            paths_in_strings(list.tokens.clone(), self.0);
        }
    }
}

/// Every path in the tokens that a macro is given.
fn paths_in(tokens: TokenStream, paths: &mut BTreeSet<Path>) {
    let mut path = Path::new();
    let mut colons = 0;
    let mut after_dot = false;
    for token in tokens {
        match token {
            TokenTree::Ident(name) if path.is_empty() || colons != 2 => {
                paths.insert(std::mem::take(&mut path));
                // What follows a dot is a field or a method.
                if !after_dot {
                    path.push(name.to_string());
                }
            }
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Punct(mark) if mark.as_char() == ':' => {
                colons += 1;
                continue;
            }
            other => {
                paths.insert(std::mem::take(&mut path));
                after_dot = matches!(&other, TokenTree::Punct(mark) if mark.as_char() == '.');
                if let TokenTree::Group(group) = other {
                    paths_in(group.stream(), paths);
                }
                colons = 0;
                continue;
            }
        }
        (colons, after_dot) = (0, false);
    }
    paths.insert(path);
    paths.remove(&Path::new());
}

/// Every path of more than one name that stands in a string.
fn paths_in_strings(tokens: TokenStream, paths: &mut BTreeSet<Path>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => paths_in_strings(group.stream(), paths),
            TokenTree::Literal(literal) => {
                let Ok(text) = syn::parse_str::<syn::LitStr>(&literal.to_string()) else {
                    continue;
                };
                if let Ok(path) = text.parse::<syn::Path>()
                    && path.segments.len() > 1
                {
                    paths.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
                }
            }
            _ => {}
        }
    }
}
